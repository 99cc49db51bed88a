package connector

import (
	"context"
	"errors"
	"fmt"

	"github.com/gotd/td/tg"
	"maunium.net/go/mautrix/bridgev2"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
)

// callsSession is a login as package calls wants it.
type callsSession struct{ c *Client }

var (
	_ calls.Session        = callsSession{}
	_ calls.LocalUsernames = callsSession{}
)

// API implements calls.Session.
func (s callsSession) API(ctx context.Context) (*tg.Client, error) {
	api, err := s.c.API(ctx)
	switch {
	case errors.Is(err, bridgev2.ErrNotLoggedIn):
		return nil, provisioning.ErrNotLoggedIn
	case errors.Is(err, ErrStopped):
		return nil, fmt.Errorf("%w: %w", provisioning.ErrTelegramUnavailable, err)
	}
	return api, err
}

// Self implements calls.Session.
func (s callsSession) Self(context.Context) (calls.Self, error) {
	return calls.Self{ID: s.c.me, Bot: s.c.metadata.IsBot()}, nil
}

// Hashes implements calls.Session.
func (s callsSession) Hashes(ctx context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	known := make(map[int64]int64, len(ids))
	for _, id := range ids {
		hash, ok, err := s.c.connector.hashes.get(ctx, s.c.login.ID, chatIDOf(kind, id))
		if err != nil {
			return nil, err
		}
		if ok {
			known[id] = hash
		}
	}
	return known, nil
}

// PutHashes implements calls.Session.
func (s callsSession) PutHashes(ctx context.Context, peers []calls.Peer) error {
	hashes := make(map[provisioning.ChatID]int64, len(peers))
	for _, peer := range peers {
		hashes[chatIDOf(peer.Kind, peer.ID)] = peer.AccessHash
	}
	return s.c.connector.hashes.put(ctx, s.c.login.ID, hashes)
}

// DeleteHashes implements calls.Session.
func (s callsSession) DeleteHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) error {
	for _, id := range ids {
		if err := s.c.connector.hashes.delete(ctx, s.c.login.ID, chatIDOf(kind, id)); err != nil {
			return err
		}
	}
	return nil
}

// LocalUsername implements calls.LocalUsernames.
func (s callsSession) LocalUsername(_ context.Context, id provisioning.TelegramID) (string, error) {
	if login := s.c.connector.bridge.GetCachedUserLoginByID(LoginID(id)); login != nil {
		return login.RemoteProfile.Username, nil
	}
	return "", nil
}

// chatIDOf returns the chat ID of a user or channel.
func chatIDOf(kind provisioning.PeerType, id int64) provisioning.ChatID {
	if kind == provisioning.PeerUser {
		return provisioning.UserChatID(provisioning.TelegramID(id))
	}
	return provisioning.ChannelChatID(id)
}

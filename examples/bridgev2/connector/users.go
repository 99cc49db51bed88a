package connector

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"go.mau.fi/util/ptr"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// GetUserInfo implements bridgev2.NetworkAPI. Of users whom the account has not met, and of
// channels as senders, there is none.
func (c *Client) GetUserInfo(ctx context.Context, ghost *bridgev2.Ghost) (*bridgev2.UserInfo, error) {
	if id, ok := ParseChannelSenderID(ghost.ID); ok {
		return c.channelInfo(ctx, id)
	}
	id, ok := ParseUserID(ghost.ID)
	if !ok {
		return nil, nil
	}
	user, err := c.userByID(ctx, id)
	if errors.Is(err, ErrUnknownChat) || user == nil {
		return nil, nil
	}
	return infoOf(user), err
}

// channelInfo is the name of a channel that sends messages.
//
// TL: channels.getChannels
func (c *Client) channelInfo(ctx context.Context, id int64) (*bridgev2.UserInfo, error) {
	peer, err := c.inputPeer(ctx, provisioning.ChannelChatID(id))
	channel, ok := peer.(*tg.InputPeerChannel)
	if err != nil || !ok {
		return nil, err
	}
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := api.ChannelsGetChannels(ctx, []tg.InputChannelClass{
		&tg.InputChannel{ChannelID: channel.ChannelID, AccessHash: channel.AccessHash},
	})
	if err != nil {
		return nil, fmt.Errorf("channels.getChannels: %w", err)
	}
	for _, described := range newKnown(nil, answer.GetChats()).channels {
		if described.ID == id {
			return &bridgev2.UserInfo{Name: &described.Title}, nil
		}
	}
	return nil, nil
}

// userByID asks Telegram for a user, and returns nil for none. Errors: ErrUnknownChat.
//
// TL: users.getUsers
func (c *Client) userByID(ctx context.Context, id int64) (*tg.User, error) {
	var input tg.InputUserClass = &tg.InputUserSelf{}
	if id != int64(c.me) {
		peer, err := c.inputPeer(ctx, provisioning.UserChatID(provisioning.TelegramID(id)))
		if err != nil {
			return nil, err
		}
		if user, ok := peer.(*tg.InputPeerUser); ok {
			input = &tg.InputUser{UserID: user.UserID, AccessHash: user.AccessHash}
		}
	}
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	users, err := api.UsersGetUsers(ctx, []tg.InputUserClass{input})
	if err != nil {
		return nil, fmt.Errorf("users.getUsers: %w", err)
	}
	return tg.UserClassArray(users).NotEmptyToMap()[id], nil
}

func infoOf(user *tg.User) *bridgev2.UserInfo {
	info := &bridgev2.UserInfo{Name: ptr.Ptr(nameOf(user)), IsBot: &user.Bot}
	if user.Username != "" {
		info.Identifiers = append(info.Identifiers, "telegram:"+user.Username)
	}
	if user.Phone != "" {
		info.Identifiers = append(info.Identifiers, "tel:+"+user.Phone)
	}
	return info
}

func nameOf(user *tg.User) string {
	name := strings.TrimSpace(user.FirstName + " " + user.LastName)
	if user.Deleted || name == "" {
		return "Deleted account " + strconv.FormatInt(user.ID, 10)
	}
	return name
}

// ResolveIdentifier implements bridgev2.IdentifierResolvingNetworkAPI, for +phone numbers,
// usernames, and the IDs of users whom the account has met. It returns nil for nobody.
func (c *Client) ResolveIdentifier(ctx context.Context, identifier string, _ bool) (*bridgev2.ResolveIdentifierResponse, error) {
	user, err := c.resolve(ctx, identifier)
	if errors.Is(err, ErrUnknownChat) {
		return nil, nil
	}
	if rpc, ok := tgerr.As(err); ok && errors.Is(rpcerror.Error("", rpc.Code, rpc.Message), provisioning.ErrTelegramUserNotFound) {
		return nil, nil
	}
	if err != nil || user == nil || user.Deleted {
		return nil, err
	}
	return c.resolved(ctx, user)
}

// TL: contacts.resolvePhone, contacts.resolveUsername
func (c *Client) resolve(ctx context.Context, identifier string) (*tg.User, error) {
	if id, ok := ParseUserID(networkid.UserID(identifier)); ok {
		return c.userByID(ctx, id)
	}
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	var found *tg.ContactsResolvedPeer
	if phone, ok := strings.CutPrefix(identifier, "+"); ok {
		found, err = api.ContactsResolvePhone(ctx, phone)
	} else {
		username := strings.TrimPrefix(identifier, "@")
		found, err = api.ContactsResolveUsername(ctx, &tg.ContactsResolveUsernameRequest{Username: username})
	}
	if err != nil {
		return nil, fmt.Errorf("resolve an identifier: %w", err)
	}
	described := newKnown(found.Users, found.Chats)
	if err := c.remember(ctx, described.users, described.channels); err != nil {
		return nil, err
	}
	peer, _ := found.Peer.(*tg.PeerUser) // nil for a channel's username
	return tg.UserClassArray(found.Users).NotEmptyToMap()[peer.GetUserID()], nil
}

// resolved describes a user, with the private chat that may be had.
func (c *Client) resolved(ctx context.Context, user *tg.User) (*bridgev2.ResolveIdentifierResponse, error) {
	ghost, err := c.connector.bridge.GetGhostByID(ctx, UserID(user.ID))
	if err != nil {
		return nil, err
	}
	chat := provisioning.UserChatID(provisioning.TelegramID(user.ID))
	return &bridgev2.ResolveIdentifierResponse{
		Ghost: ghost, UserID: ghost.ID, UserInfo: infoOf(user),
		Chat: &bridgev2.CreateChatResponse{PortalKey: c.connector.PortalKey(chat, c.login.ID), PortalInfo: c.directChat(ghost.ID)},
	}, nil
}

// GetContactList implements bridgev2.ContactListingNetworkAPI.
//
// TL: contacts.getContacts
func (c *Client) GetContactList(ctx context.Context) ([]*bridgev2.ResolveIdentifierResponse, error) {
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := api.ContactsGetContacts(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("contacts.getContacts: %w", err)
	}
	contacts, ok := answer.(*tg.ContactsContacts)
	if !ok {
		return nil, errors.New("Telegram says that the contacts have not changed, of which it was told none")
	}
	described := newKnown(contacts.Users, nil)
	if err := c.remember(ctx, described.users, nil); err != nil {
		return nil, err
	}
	list := make([]*bridgev2.ResolveIdentifierResponse, 0, len(described.users))
	for _, user := range described.users {
		resolved, err := c.resolved(ctx, user)
		if err != nil {
			return nil, err
		}
		list = append(list, resolved)
	}
	return list, nil
}

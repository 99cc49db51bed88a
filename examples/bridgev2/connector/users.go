package connector

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gotd/td/tg"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
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
	contact, err := c.calls.ResolveUser(ctx, provisioning.Identifier{ID: provisioning.TelegramID(id)})
	if errors.Is(err, provisioning.ErrTelegramUserNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return infoOf(contact), nil
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

func infoOf(contact provisioning.Contact) *bridgev2.UserInfo {
	info := &bridgev2.UserInfo{Name: &contact.Name, IsBot: &contact.IsBot}
	if contact.Username != "" {
		info.Identifiers = append(info.Identifiers, "telegram:"+contact.Username)
	}
	if contact.Phone != "" {
		info.Identifiers = append(info.Identifiers, "tel:+"+contact.Phone)
	}
	return info
}

// ResolveIdentifier implements bridgev2.IdentifierResolvingNetworkAPI, for +phone numbers,
// usernames, and the IDs of users whom the account knows. It returns nil for nobody.
func (c *Client) ResolveIdentifier(ctx context.Context, identifier string, _ bool) (*bridgev2.ResolveIdentifierResponse, error) {
	var who provisioning.Identifier
	if id, ok := ParseUserID(networkid.UserID(identifier)); ok {
		who.ID = provisioning.TelegramID(id)
	} else if strings.HasPrefix(identifier, "+") {
		who.Phone = identifier
	} else {
		who.Username = strings.TrimPrefix(identifier, "@")
	}
	contact, err := c.calls.ResolveUser(ctx, who)
	if errors.Is(err, provisioning.ErrTelegramUserNotFound) || errors.Is(err, provisioning.ErrNotTelegramUser) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.resolved(ctx, contact)
}

// resolved describes a user, with the private chat that may be had.
func (c *Client) resolved(ctx context.Context, contact provisioning.Contact) (*bridgev2.ResolveIdentifierResponse, error) {
	ghost, err := c.connector.bridge.GetGhostByID(ctx, UserID(int64(contact.ID)))
	if err != nil {
		return nil, err
	}
	return &bridgev2.ResolveIdentifierResponse{
		Ghost: ghost, UserID: ghost.ID, UserInfo: infoOf(contact),
		Chat: &bridgev2.CreateChatResponse{
			PortalKey: c.connector.PortalKey(provisioning.UserChatID(contact.ID), c.login.ID), PortalInfo: c.directChat(ghost.ID),
		},
	}, nil
}

// GetContactList implements bridgev2.ContactListingNetworkAPI.
func (c *Client) GetContactList(ctx context.Context) ([]*bridgev2.ResolveIdentifierResponse, error) {
	contacts, err := c.calls.Contacts(ctx, provisioning.ContactQuery{})
	if err != nil {
		return nil, err
	}
	list := make([]*bridgev2.ResolveIdentifierResponse, len(contacts))
	for i, contact := range contacts {
		if list[i], err = c.resolved(ctx, contact); err != nil {
			return nil, err
		}
	}
	return list, nil
}

package connector

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gotd/td/tg"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/bridgev2/simplevent"

	"github.com/tgprovision/tgprovision/provisioning"
)

// syncChats has portals made of the first chats of the account.
//
// TL: messages.getDialogs
func (c *Client) syncChats(ctx context.Context) error {
	limit := c.connector.Config.CreateLimit
	if limit <= 0 || c.metadata.IsBot() { // bots have no list of chats
		return nil
	}
	api, err := c.API(ctx)
	if err != nil {
		return err
	}
	answer, err := api.MessagesGetDialogs(ctx, &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}, Limit: limit})
	if err != nil {
		return fmt.Errorf("messages.getDialogs: %w", err)
	}
	page, ok := answer.AsModified()
	if !ok {
		return nil
	}
	known := newKnown(page.GetUsers(), page.GetChats())
	if err := c.remember(ctx, known.users, known.channels); err != nil {
		return err
	}
	c.metadata.sync()
	if err := c.login.Save(ctx); err != nil { // before bridgev2 changes the login as well
		return err
	}
	for _, entry := range page.GetDialogs() {
		dialog, ok := entry.(*tg.Dialog)
		if !ok {
			continue // a folder
		}
		chat, _ := chatOf(dialog.Peer)
		if !known.open(chat) {
			continue
		}
		c.connector.bridge.QueueRemoteEvent(c.login, &simplevent.ChatResync{
			EventMeta: simplevent.EventMeta{
				Type: bridgev2.RemoteEventChatResync, PortalKey: c.connector.PortalKey(chat, c.login.ID), CreatePortal: true,
			},
			GetChatInfoFunc: c.GetChatInfo,
		})
	}
	return nil
}

// known is what an answer of Telegram's says of users and chats.
type known struct {
	users    []*tg.User
	chats    []*tg.Chat
	channels []*tg.Channel
}

func newKnown(users []tg.UserClass, chats []tg.ChatClass) known {
	byID := tg.UserClassArray(users).NotEmptyToMap()
	return known{
		slices.Collect(maps.Values(byID)), pointers(tg.ChatClassArray(chats).AsChat()), pointers(tg.ChatClassArray(chats).AsChannel()),
	}
}

// open says whether the account can write and read in a chat of the answer, or at least
// read.
func (k known) open(chat provisioning.ChatID) bool {
	switch kind, id, _ := chat.Split(); kind {
	case provisioning.PeerUser:
		return slices.ContainsFunc(k.users, func(u *tg.User) bool { return u.ID == id && !u.Deleted })
	case provisioning.PeerChat:
		return slices.ContainsFunc(k.chats, func(c *tg.Chat) bool { return c.ID == id && !c.Left && !c.Deactivated })
	default:
		return slices.ContainsFunc(k.channels, func(c *tg.Channel) bool { return c.ID == id && !c.Left })
	}
}

// GetChatInfo implements bridgev2.NetworkAPI. Errors: ErrUnknownChat for what is no chat;
// those of calls.Client.GetChat.
func (c *Client) GetChatInfo(ctx context.Context, portal *bridgev2.Portal) (*bridgev2.ChatInfo, error) {
	chat, ok := ParsePortalID(portal.ID)
	if !ok {
		return nil, ErrUnknownChat
	}
	kind, id, _ := chat.Split()
	if kind == provisioning.PeerUser {
		return c.directChat(UserID(id)), nil
	}
	described, err := c.calls.GetChat(ctx, chat)
	if err != nil {
		return nil, err
	}
	members := &bridgev2.ChatMemberList{MemberMap: bridgev2.ChatMemberMap{UserID(int64(c.me)): {EventSender: c.sender(int64(c.me))}}}
	if kind == provisioning.PeerChat {
		if err := c.addMembers(ctx, id, members); err != nil {
			return nil, err
		}
	}
	room := database.RoomTypeDefault
	return &bridgev2.ChatInfo{
		Name: &described.Title, Topic: &described.About, Type: &room, Members: members,
		ExtraUpdates: func(_ context.Context, portal *bridgev2.Portal) bool { return describe(portal, described) },
	}, nil
}

// describe keeps with a portal what bridgev2 does not, and says whether that has changed.
func describe(portal *bridgev2.Portal, chat provisioning.ChatInfo) bool {
	now := PortalMetadata{Username: chat.Username, Megagroup: chat.Megagroup}
	if before, ok := portal.Metadata.(*PortalMetadata); ok && *before == now {
		return false
	}
	portal.Metadata = &now
	return true
}

// addMembers adds the members of a basic group to a list. Channels may have very many, who
// join their rooms when they say something.
//
// TL: messages.getFullChat
func (c *Client) addMembers(ctx context.Context, group int64, list *bridgev2.ChatMemberList) error {
	api, err := c.API(ctx)
	if err != nil {
		return err
	}
	full, err := api.MessagesGetFullChat(ctx, group)
	if err != nil {
		return fmt.Errorf("messages.getFullChat: %w", err)
	}
	if err := c.remember(ctx, newKnown(full.Users, nil).users, nil); err != nil {
		return err
	}
	chat, ok := full.FullChat.(*tg.ChatFull)
	if !ok {
		return nil
	}
	participants, ok := chat.Participants.(*tg.ChatParticipants)
	if !ok {
		return nil // the account may not see them
	}
	for _, member := range participants.Participants {
		list.MemberMap[UserID(member.GetUserID())] = bridgev2.ChatMember{EventSender: c.sender(member.GetUserID())}
	}
	list.IsFull, list.TotalMemberCount = true, len(list.MemberMap)
	return nil
}

func (c *Client) directChat(with networkid.UserID) *bridgev2.ChatInfo {
	me := UserID(int64(c.me))
	kind := database.RoomTypeDM
	members := bridgev2.ChatMemberMap{me: {EventSender: c.sender(int64(c.me))}}
	if with != me {
		members[with] = bridgev2.ChatMember{EventSender: bridgev2.EventSender{Sender: with, SenderLogin: networkid.UserLoginID(with)}}
	}
	return &bridgev2.ChatInfo{
		Type: &kind, Members: &bridgev2.ChatMemberList{IsFull: true, OtherUserID: with, TotalMemberCount: len(members), MemberMap: members},
	}
}

func pointers[V any](values []V) []*V {
	list := make([]*V, len(values))
	for i := range values {
		list[i] = &values[i]
	}
	return list
}

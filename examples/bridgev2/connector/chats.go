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

// GetChatInfo implements bridgev2.NetworkAPI. Errors: ErrUnknownChat.
//
// TL: messages.getFullChat, channels.getFullChannel
func (c *Client) GetChatInfo(ctx context.Context, portal *bridgev2.Portal) (*bridgev2.ChatInfo, error) {
	chat, ok := ParsePortalID(portal.ID)
	if !ok {
		return nil, ErrUnknownChat
	}
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := c.inputPeer(ctx, chat)
	if err != nil {
		return nil, err
	}
	var full *tg.MessagesChatFull
	switch p := peer.(type) {
	case *tg.InputPeerChat:
		full, err = api.MessagesGetFullChat(ctx, p.ChatID)
	case *tg.InputPeerChannel:
		full, err = api.ChannelsGetFullChannel(ctx, &tg.InputChannel{ChannelID: p.ChannelID, AccessHash: p.AccessHash})
	default:
		return c.directChat(UserID(int64(chat))), nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the chat: %w", err)
	}
	described := newKnown(full.Users, full.Chats)
	if err := c.remember(ctx, described.users, described.channels); err != nil {
		return nil, err
	}
	return c.groupChat(chat, full, described), nil
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

// groupChat describes a basic group with its members, or a channel without them.
func (c *Client) groupChat(chat provisioning.ChatID, full *tg.MessagesChatFull, described known) *bridgev2.ChatInfo {
	about := full.FullChat.GetAbout()
	kind := database.RoomTypeDefault
	members := bridgev2.ChatMemberMap{UserID(int64(c.me)): {EventSender: c.sender(int64(c.me))}}
	info := &bridgev2.ChatInfo{Topic: &about, Type: &kind, Members: &bridgev2.ChatMemberList{MemberMap: members}}
	switch f := full.FullChat.(type) {
	case *tg.ChatFull:
		if list, ok := f.Participants.(*tg.ChatParticipants); ok {
			for _, member := range list.Participants {
				members[UserID(member.GetUserID())] = bridgev2.ChatMember{EventSender: c.sender(member.GetUserID())}
			}
			info.Members.IsFull = true
		}
		info.Members.TotalMemberCount = len(members)
	case *tg.ChannelFull:
		info.Members.TotalMemberCount = f.ParticipantsCount
	}
	for _, group := range described.chats {
		if provisioning.BasicGroupChatID(group.ID) == chat {
			info.Name = &group.Title
		}
	}
	for _, channel := range described.channels {
		if provisioning.ChannelChatID(channel.ID) == chat {
			info.Name = &channel.Title
			info.ExtraUpdates = func(_ context.Context, portal *bridgev2.Portal) bool { return describe(portal, channel) }
		}
	}
	return info
}

// describe keeps with a portal what bridgev2 does not, and says whether that has changed.
func describe(portal *bridgev2.Portal, channel *tg.Channel) bool {
	now := PortalMetadata{Username: channel.Username, Megagroup: channel.Megagroup}
	for _, name := range channel.Usernames { // of a channel with several
		if name.Active && now.Username == "" {
			now.Username = name.Username
		}
	}
	if before, ok := portal.Metadata.(*PortalMetadata); ok && *before == now {
		return false
	}
	portal.Metadata = &now
	return true
}

func pointers[V any](values []V) []*V {
	list := make([]*V, len(values))
	for i := range values {
		list[i] = &values[i]
	}
	return list
}

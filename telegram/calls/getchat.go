package calls

import (
	"context"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
)

// GetChat implements provisioning.ChatGetter. The access hash of a supergroup that a basic
// group has become is not stored: it is found when it is needed.
//
// TL: messages.getFullChat, channels.getFullChannel.
func (c *Client) GetChat(ctx context.Context, chatID provisioning.ChatID) (info provisioning.ChatInfo, err error) {
	err = c.call(ctx, func(a *account) error {
		switch kind, id, _ := chatID.Split(); kind {
		case provisioning.PeerChat:
			info, err = a.basicGroup(ctx, id)
			return err
		case provisioning.PeerChannel:
			info, err = a.channel(ctx, id)
			return err
		default:
			return provisioning.ErrNotInChat
		}
	})
	return info, err
}

// basicGroup describes a basic group or, where it has become one, the supergroup.
func (a *account) basicGroup(ctx context.Context, id int64) (provisioning.ChatInfo, error) {
	answer, err := a.api.MessagesGetFullChat(ctx, id)
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	if become, ok := migratedTo(answer.Chats, id).(*tg.InputChannel); ok {
		return a.fullChannel(ctx, become)
	}
	return infoIn(answer, provisioning.BasicGroupChatID(id))
}

func (a *account) channel(ctx context.Context, id int64) (info provisioning.ChatInfo, err error) {
	err = a.withHash(ctx, provisioning.PeerChannel, id, func(hash int64) error {
		info, err = a.fullChannel(ctx, &tg.InputChannel{ChannelID: id, AccessHash: hash})
		return err
	})
	return info, err
}

func (a *account) fullChannel(ctx context.Context, channel *tg.InputChannel) (provisioning.ChatInfo, error) {
	answer, err := a.api.ChannelsGetFullChannel(ctx, channel)
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	info, err := infoIn(answer, provisioning.ChannelChatID(channel.ChannelID))
	if full, ok := answer.FullChat.(*tg.ChannelFull); ok && full.MigratedFromChatID != 0 {
		info.MigratedFrom = provisioning.BasicGroupChatID(full.MigratedFromChatID)
	}
	return info, err
}

// migratedTo returns the supergroup that a basic group in a list has become, nil for none.
func migratedTo(chats []tg.ChatClass, id int64) tg.InputChannelClass {
	for _, chat := range chats {
		if group, ok := chat.(*tg.Chat); ok && group.ID == id {
			return group.MigratedTo
		}
	}
	return nil
}

// Migrations implements provisioning.MigrationLister.
//
// TL: messages.getChats.
func (c *Client) Migrations(ctx context.Context, groups []provisioning.ChatID) (become map[provisioning.ChatID]provisioning.ChatID, err error) {
	err = c.call(ctx, func(a *account) error {
		become = map[provisioning.ChatID]provisioning.ChatID{}
		err := a.migrations(ctx, groups, become)
		if !tgerr.Is(err, unknownGroup...) {
			return err
		}
		for _, group := range groups { // which of them the account was never in, Telegram does not say
			err := a.migrations(ctx, []provisioning.ChatID{group}, become)
			if err != nil && !tgerr.Is(err, unknownGroup...) {
				return err
			}
		}
		return nil
	})
	return become, err
}

// migrations adds to become what Telegram says of some groups.
func (a *account) migrations(ctx context.Context, groups []provisioning.ChatID, become map[provisioning.ChatID]provisioning.ChatID) error {
	var ids []int64
	for _, group := range groups {
		if kind, id, _ := group.Split(); kind == provisioning.PeerChat {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	answer, err := a.api.MessagesGetChats(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if channel, ok := migratedTo(answer.GetChats(), id).(*tg.InputChannel); ok {
			become[provisioning.BasicGroupChatID(id)] = provisioning.ChannelChatID(channel.ChannelID)
		}
	}
	return nil
}

// infoIn reads a chat out of Telegram's full description, which may also describe
// others.
func infoIn(answer *tg.MessagesChatFull, id provisioning.ChatID) (provisioning.ChatInfo, error) {
	for _, chat := range answer.Chats {
		if info, ok := infoOf(chat); ok && info.ID == id {
			info.About = answer.FullChat.GetAbout()
			return info, nil
		}
	}
	return provisioning.ChatInfo{}, provisioning.ErrNotInChat
}

// infoOf reads a chat out of Telegram's description, which has no about. It returns
// false for one that the account is not in, and for a basic group that has become a
// supergroup.
func infoOf(chat tg.ChatClass) (provisioning.ChatInfo, bool) {
	switch c := chat.(type) {
	case *tg.Chat:
		_, migrated := c.GetMigratedTo()
		return provisioning.ChatInfo{
			ID: provisioning.BasicGroupChatID(c.ID), Title: c.Title, PhotoID: photoID(c.Photo),
		}, !c.Left && !c.Deactivated && !migrated
	case *tg.Channel:
		return provisioning.ChatInfo{
			ID: provisioning.ChannelChatID(c.ID), Title: c.Title, Username: mainUsername(c.Username, c.Usernames),
			Megagroup: c.Megagroup, PhotoID: photoID(c.Photo),
		}, !c.Left
	default: // empty, or forbidden
		return provisioning.ChatInfo{}, false
	}
}

// photoID returns the ID of a chat's photo, 0 for none.
func photoID(photo tg.ChatPhotoClass) int64 {
	if p, ok := photo.(*tg.ChatPhoto); ok {
		return p.PhotoID
	}
	return 0
}

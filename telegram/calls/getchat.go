package calls

import (
	"context"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// GetChat implements provisioning.ChatGetter.
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

func (a *account) basicGroup(ctx context.Context, id int64) (provisioning.ChatInfo, error) {
	answer, err := a.api.MessagesGetFullChat(ctx, id)
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	return infoIn(answer, provisioning.BasicGroupChatID(id))
}

func (a *account) channel(ctx context.Context, id int64) (info provisioning.ChatInfo, err error) {
	err = a.withHash(ctx, provisioning.PeerChannel, id, func(hash int64) error {
		answer, err := a.api.ChannelsGetFullChannel(ctx, &tg.InputChannel{ChannelID: id, AccessHash: hash})
		if err != nil {
			return err
		}
		info, err = infoIn(answer, provisioning.ChannelChatID(id))
		return err
	})
	return info, err
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

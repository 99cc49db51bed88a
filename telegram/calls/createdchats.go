package calls

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// CreatedChats implements provisioning.CreatedChatLister.
//
// TL: messages.getDialogs, messages.getFullChat, channels.getFullChannel, help.getConfig.
func (c *Client) CreatedChats(ctx context.Context, chat provisioning.NewChat, since time.Time) (made []provisioning.CreatedChat, err error) {
	err = c.call(ctx, func(a *account) error {
		candidates, err := a.madeSince(ctx, chat, since.Unix())
		if err != nil || len(candidates) == 0 {
			return err
		}
		config, err := a.api.HelpGetConfig(ctx)
		if err != nil {
			return err
		}
		now := time.Unix(int64(config.Date), 0)
		made = nil // what an earlier try has found
		for _, m := range candidates {
			joined, err := m.joined(ctx, a, chat.Members)
			if err != nil {
				return err
			}
			created := time.Unix(int64(m.date), 0)
			made = append(made, provisioning.CreatedChat{
				ID: m.id, Created: created, Age: max(now.Sub(created), 0), InUse: m.written || joined,
			})
		}
		return nil
	})
	return made, err
}

// madeChat is a chat that the account has made, in its list.
type madeChat struct {
	id      provisioning.ChatID
	date    int
	written bool
	channel *tg.InputChannel // nil for a basic group
}

// madeSince returns the chats of a type and title that the account has made since a time,
// in seconds since 1970. A chat is as far up in the list as its last message is new.
func (a *account) madeSince(ctx context.Context, chat provisioning.NewChat, since int64) (made []madeChat, err error) {
	err = dialogPages(ctx, a.api, mainFolder, func(page *dialogs) (bool, error) {
		var last tg.NotEmptyMessage
		entities := entitiesOf(page)
		for _, dialog := range page.fresh {
			last = page.topMessage(dialog)
			m, title, ok := entities.made(dialog.Peer, chat.Type)
			if ok && int64(m.date) >= since && isTitle(title, chat.Title) {
				m.id, m.written = chatIDOf(dialog.Peer), !isOfCreation(last)
				made = append(made, m)
			}
		}
		return last == nil || int64(last.GetDate()) >= since, nil
	})
	return made, err
}

// made returns a chat with its title, and whether the account has made it as one of a type.
func (e entities) made(peer tg.PeerClass, kind provisioning.ChatType) (made madeChat, title string, ok bool) {
	switch peer.(type) {
	case *tg.PeerChat:
		chat, described := e.groups[chatIDOf(peer)].(*tg.Chat)
		ok = described && kind == provisioning.ChatTypeBasicGroup && chat.Creator && !chat.Deactivated && !chat.Left
		if ok {
			made, title = madeChat{date: chat.Date}, chat.Title
		}
	case *tg.PeerChannel:
		channel, described := e.groups[chatIDOf(peer)].(*tg.Channel)
		is := provisioning.ChatTypeChannel
		if described && channel.Megagroup {
			is = provisioning.ChatTypeSupergroup
		}
		ok = described && kind == is && channel.Creator && !channel.Left
		if ok {
			title = channel.Title
			made = madeChat{date: channel.Date, channel: &tg.InputChannel{ChannelID: channel.ID, AccessHash: channel.AccessHash}}
		}
	}
	return made, title, ok
}

// minCut is the length, in UTF-16 code units, from which on a title may be the beginning of
// the one that was asked for: Telegram cuts long ones.
const minCut = 64

// isTitle says whether a chat's title may be what Telegram has made of another one.
func isTitle(title, asked string) bool {
	title, asked = strings.Join(strings.Fields(title), " "), strings.Join(strings.Fields(asked), " ")
	return title == asked || strings.HasPrefix(asked, title) && len(utf16.Encode([]rune(title))) >= minCut
}

// isOfCreation says whether the last message of a chat is one that it gets when it is made.
func isOfCreation(last tg.NotEmptyMessage) bool {
	service, ok := last.(*tg.MessageService)
	if !ok {
		return false
	}
	switch service.Action.(type) {
	case *tg.MessageActionChatCreate, *tg.MessageActionChannelCreate, *tg.MessageActionChatAddUser, *tg.MessageActionSetMessagesTTL:
		return true
	default:
		return false
	}
}

// joined says whether anybody is in the chat besides the account and the members that it was
// made with.
func (m madeChat) joined(ctx context.Context, a *account, members []provisioning.TelegramID) (bool, error) {
	if m.channel != nil {
		answer, err := a.api.ChannelsGetFullChannel(ctx, m.channel)
		if err != nil {
			return false, err
		}
		full, ok := answer.FullChat.(*tg.ChannelFull)
		return !ok || full.ParticipantsCount != 1, nil
	}
	self, err := a.session.Self(ctx)
	if err != nil {
		return false, err
	}
	_, id, _ := m.id.Split()
	answer, err := a.api.MessagesGetFullChat(ctx, id)
	if err != nil {
		return false, err
	}
	full, ok := answer.FullChat.(*tg.ChatFull)
	if !ok {
		return true, nil
	}
	list, ok := full.Participants.(*tg.ChatParticipants)
	if !ok {
		return true, nil
	}
	return slices.ContainsFunc(list.Participants, func(p tg.ChatParticipantClass) bool {
		who := provisioning.TelegramID(p.GetUserID())
		return who != self.ID && !slices.Contains(members, who)
	}), nil
}

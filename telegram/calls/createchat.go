package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// CreateChat implements provisioning.ChatCreator. When the connection breaks before
// Telegram's answer comes, there may be a chat that only CreatedChats finds. Why a basic
// group has no description goes to the context's zerolog logger: Telegram takes it only when
// the group is there.
//
// TL: messages.createChat, messages.editChatAbout, channels.createChannel.
func (c *Client) CreateChat(ctx context.Context, chat provisioning.NewChat) (info provisioning.ChatInfo, err error) {
	left := false
	err = c.call(ctx, func(a *account) error {
		if chat.Type == provisioning.ChatTypeBasicGroup {
			info, err = a.createBasicGroup(ctx, chat)
		} else {
			info, err = a.createChannel(ctx, chat)
		}
		left = errors.Is(err, provisioning.ErrChatLeft)
		return err
	})
	if left {
		err = fmt.Errorf("%w: %w", provisioning.ErrChatLeft, err)
	}
	return info, err
}

func (a *account) createChannel(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	megagroup := chat.Type == provisioning.ChatTypeSupergroup
	updates, err := a.api.ChannelsCreateChannel(ctx, &tg.ChannelsCreateChannelRequest{
		Megagroup: megagroup, Broadcast: !megagroup, Title: chat.Title, About: chat.About,
	})
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	return a.created(ctx, updates, chat)
}

func (a *account) createBasicGroup(ctx context.Context, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	updates, err := a.createWith(ctx, chat.Title, convertIDs[int64](chat.Members))
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	info, err := a.created(ctx, updates, chat)
	if err != nil || chat.About == "" {
		return info, err
	}
	_, id, _ := info.ID.Split()
	_, err = a.api.MessagesEditChatAbout(ctx, &tg.MessagesEditChatAboutRequest{
		Peer: &tg.InputPeerChat{ChatID: id}, About: chat.About,
	})
	switch reason := explain(ctx, err); {
	case err == nil || tgerr.Is(err, aboutIsSet):
	case ctx.Err() != nil, errors.Is(reason, provisioning.ErrNewChatInvalid), errors.Is(reason, provisioning.ErrNotLoggedIn):
		return provisioning.ChatInfo{}, errors.Join(err, a.deleteUnfinished(ctx, id))
	default:
		info.About = ""
		zerolog.Ctx(ctx).Warn().Err(reason).Int64("chat_id", int64(info.ID)).Msg("A new group has no description")
	}
	return info, nil
}

// cleanupTimeout is how long it may take to delete a group, beyond the deadline of the
// request.
const cleanupTimeout = 5 * time.Second

// deleteUnfinished deletes a basic group that could not be finished, also when ctx has ended.
// Errors: provisioning.ErrChatLeft.
func (a *account) deleteUnfinished(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if _, err := a.api.MessagesDeleteChat(ctx, id); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Int64("chat_id", int64(provisioning.BasicGroupChatID(id))).
			Msg("Could not delete a new group that could not be finished")
		return provisioning.ErrChatLeft
	}
	return nil
}

// createWith makes a basic group with those of the members who can be invited.
func (a *account) createWith(ctx context.Context, title string, members []int64) (tg.UpdatesClass, error) {
	members, err := a.withoutSelf(ctx, members)
	if err != nil {
		return nil, err
	}
	users, _, err := a.users(ctx, members)
	if err != nil {
		return nil, err
	}
	updates, err := a.create(ctx, title, users)
	if !isMemberError(err) {
		return updates, err
	}
	// Somebody among them can't be invited, and Telegram does not say who. If all of
	// their hashes are good, that can only be found out one by one.
	if tgerr.Is(err, wrongHash...) {
		if err := a.session.DeleteHashes(ctx, provisioning.PeerUser, members); err != nil {
			return nil, err
		}
		if users, _, err = a.users(ctx, members); err != nil {
			return nil, err
		}
	}
	return a.createOneByOne(ctx, title, users)
}

// createOneByOne makes a basic group with the first member that it can be made with,
// and adds the rest.
func (a *account) createOneByOne(ctx context.Context, title string, users []*tg.InputUser) (tg.UpdatesClass, error) {
	for i, user := range users {
		updates, err := a.create(ctx, title, []*tg.InputUser{user})
		if isMemberError(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		chats, err := chatsIn(updates)
		if err != nil {
			return nil, err
		}
		for _, chat := range chats {
			if _, _, err := addEach(users[i+1:], a.adderToGroup(ctx, chat.GetID())); err != nil {
				return nil, errors.Join(err, a.deleteUnfinished(ctx, chat.GetID()))
			}
		}
		return updates, nil
	}
	return nil, provisioning.ErrTooFewMembers
}

func (a *account) create(ctx context.Context, title string, users []*tg.InputUser) (tg.UpdatesClass, error) {
	answer, err := a.api.MessagesCreateChat(ctx, &tg.MessagesCreateChatRequest{Title: title, Users: inputUsers(users)})
	if err != nil {
		return nil, err
	}
	return answer.Updates, nil
}

// created reads the new chat out of Telegram's answer.
func (a *account) created(ctx context.Context, updates tg.UpdatesClass, chat provisioning.NewChat) (provisioning.ChatInfo, error) {
	chats, err := chatsIn(updates)
	if err != nil {
		return provisioning.ChatInfo{}, err
	}
	for _, described := range chats {
		if info, ok := infoOf(described); ok {
			info.About = chat.About
			if err := a.storeHashes(ctx, nil, chats); err != nil { // it can be found again
				zerolog.Ctx(ctx).Warn().Err(err).Msg("Could not store the access hash of a new chat")
			}
			return info, nil
		}
	}
	return provisioning.ChatInfo{}, rpcerror.Unexpected(updates)
}

// DeleteChat implements provisioning.ChatCreator.
//
// TL: messages.deleteChat, channels.deleteChannel.
func (c *Client) DeleteChat(ctx context.Context, chatID provisioning.ChatID) error {
	return c.call(ctx, func(a *account) error {
		switch kind, id, _ := chatID.Split(); kind {
		case provisioning.PeerChat:
			_, err := a.api.MessagesDeleteChat(ctx, id)
			return err
		case provisioning.PeerChannel:
			return a.withHash(ctx, kind, id, func(hash int64) error {
				_, err := a.api.ChannelsDeleteChannel(ctx, &tg.InputChannel{ChannelID: id, AccessHash: hash})
				return err
			})
		default:
			return provisioning.ErrNotInChat
		}
	})
}

// withoutSelf returns the users without the account itself, each once.
func (a *account) withoutSelf(ctx context.Context, ids []int64) ([]int64, error) {
	self, err := a.session.Self(ctx)
	if err != nil {
		return nil, err
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id int64) bool { return id == int64(self.ID) }), nil
}

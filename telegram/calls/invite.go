package calls

import (
	"context"
	"slices"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
)

// InviteToChat implements provisioning.ChatCreator. The account knows the people in
// its contacts and chats, those whom it resolved before, and those whom [LocalUsernames]
// has a username of.
//
// TL: messages.addChatUser, channels.inviteToChannel, channels.editAdmin.
func (c *Client) InviteToChat(ctx context.Context, chatID provisioning.ChatID, telegramIDs []provisioning.TelegramID) ([]provisioning.TelegramID, error) {
	wanted := convertIDs[int64](telegramIDs)
	var missing []int64
	err := c.call(ctx, func(a *account) (err error) {
		switch kind, id, _ := chatID.Split(); kind {
		case provisioning.PeerChat:
			missing, err = a.invite(ctx, wanted, func(users []*tg.InputUser) (refused, stale []int64, err error) {
				return addEach(users, a.adderToGroup(ctx, id))
			})
			return err
		case provisioning.PeerChannel:
			return a.withHash(ctx, kind, id, func(hash int64) error {
				channel := &tg.InputChannel{ChannelID: id, AccessHash: hash}
				missing, err = a.invite(ctx, wanted, func(users []*tg.InputUser) (refused, stale []int64, err error) {
					return addAll(users, a.adderToChannel(ctx, channel))
				})
				return err
			})
		default:
			return provisioning.ErrNotInChat
		}
	})
	return convertIDs[provisioning.TelegramID](missing), err
}

// convertIDs makes Telegram user IDs of the TL schema's, or the other way round.
func convertIDs[To, From ~int64](ids []From) []To {
	var converted []To
	for _, id := range ids {
		converted = append(converted, To(id))
	}
	return converted
}

// invite adds users with a function that returns who could not be added, and apart
// from them those whose access hashes are wrong. It returns those who could not be
// added at last.
func (a *account) invite(
	ctx context.Context, ids []int64, add func(users []*tg.InputUser) (refused, stale []int64, err error),
) (missing []int64, err error) {
	wanted, err := a.withoutSelf(ctx, ids)
	if err != nil {
		return nil, err
	}
	for range 2 { // the second time with fresh hashes
		users, unknown, err := a.users(ctx, wanted)
		if err != nil {
			return nil, err
		}
		refused, stale, err := add(users)
		if err != nil {
			return nil, err
		}
		missing = slices.Concat(missing, unknown, refused)
		if wanted = stale; len(stale) == 0 {
			break
		}
		if err := a.session.DeleteHashes(ctx, provisioning.PeerUser, stale); err != nil {
			return nil, err
		}
	}
	return slices.Concat(missing, wanted), nil
}

// adder adds users to a chat, or none of them when there is an error with one. It
// returns those whose privacy settings forbid it.
type adder func(users []*tg.InputUser) (refused []int64, err error)

// maxInvited is how many users are invited at once.
const maxInvited = 100

// addAll adds many users at once, and each by itself where there is an error with one.
func addAll(users []*tg.InputUser, add adder) (refused, stale []int64, err error) {
	for chunk := range slices.Chunk(users, maxInvited) {
		refusedHere, err := add(chunk)
		var staleHere []int64
		if isMemberError(err) {
			refusedHere, staleHere, err = addEach(chunk, add)
		}
		if err != nil {
			return nil, nil, err
		}
		refused, stale = append(refused, refusedHere...), append(stale, staleHere...)
	}
	return refused, stale, nil
}

// addEach adds users one by one. It returns those who can't be added, and apart from
// them those whose access hashes are wrong.
func addEach(users []*tg.InputUser, add adder) (refused, stale []int64, err error) {
	for _, user := range users {
		refusedHere, err := add([]*tg.InputUser{user})
		switch {
		case tgerr.Is(err, alreadyMember):
		case tgerr.Is(err, wrongUser):
			stale = append(stale, user.UserID)
		case isMemberError(err):
			refused = append(refused, user.UserID)
		case err != nil:
			return nil, nil, err
		}
		refused = append(refused, refusedHere...)
	}
	return refused, stale, nil
}

// adderToGroup adds single users to a basic group.
func (a *account) adderToGroup(ctx context.Context, id int64) adder {
	return func(users []*tg.InputUser) ([]int64, error) {
		answer, err := a.api.MessagesAddChatUser(ctx, &tg.MessagesAddChatUserRequest{ChatID: id, UserID: users[0]})
		if err != nil {
			return nil, err
		}
		return missingOf(answer), nil
	}
}

// adderToChannel adds users to a supergroup or channel. A single bot is made an
// administrator where it can't be anything else.
func (a *account) adderToChannel(ctx context.Context, channel *tg.InputChannel) adder {
	return func(users []*tg.InputUser) ([]int64, error) {
		answer, err := a.api.ChannelsInviteToChannel(ctx, &tg.ChannelsInviteToChannelRequest{
			Channel: channel, Users: inputUsers(users),
		})
		if tgerr.Is(err, onlyAdmin) && len(users) == 1 {
			_, err = a.api.ChannelsEditAdmin(ctx, &tg.ChannelsEditAdminRequest{
				Channel: channel, UserID: users[0],
				AdminRights: tg.ChatAdminRights{PostMessages: true, EditMessages: true, DeleteMessages: true},
			})
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		return missingOf(answer), nil
	}
}

// missingOf returns the users whom Telegram did not add.
func missingOf(answer *tg.MessagesInvitedUsers) (ids []int64) {
	for _, missing := range answer.MissingInvitees {
		ids = append(ids, missing.UserID)
	}
	return ids
}

package telegramtest

import (
	"slices"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func memberMethods() []method {
	return []method{
		on(usersOnly, (*caller).messagesAddChatUser),
		on(usersOnly, (*caller).channelsInviteToChannel),
		on(loggedIn, (*caller).channelsEditAdmin),
	}
}

// privacyRestricted is what a user's privacy settings answer.
const privacyRestricted = "USER_PRIVACY_RESTRICTED"

// inputUsers returns the accounts that the caller names, each once.
func (c *caller) inputUsers(input []tg.InputUserClass) (users []*account, err error) {
	for _, named := range input {
		a := c.inputUser(named)
		if a == nil {
			return nil, tgerr.New(400, "USER_ID_INVALID")
		}
		if !slices.Contains(users, a) {
			users = append(users, a)
		}
	}
	return users, nil
}

// admissible returns the error of adding a user to a chat.
func (c *caller) admissible(to *chat, a *account) error {
	switch {
	case a.in(to.peer()):
		return tgerr.New(400, "USER_ALREADY_PARTICIPANT")
	case a.Deleted:
		return tgerr.New(400, "INPUT_USER_DEACTIVATED")
	case a.Bot && to.Kind == KindChannel:
		return tgerr.New(400, "USER_BOT")
	case a.InviteError != "" && a.InviteError != privacyRestricted:
		return rpcError(a.InviteError)
	}
	return nil
}

// admitAll adds users to a chat, or none of them when there is an error with one, and
// returns those whose privacy settings forbid it.
func (c *caller) admitAll(to *chat, users []*account) (missing []tg.MissingInvitee, err error) {
	for _, a := range users {
		if err := c.admissible(to, a); err != nil {
			return nil, err
		}
	}
	for _, a := range users {
		if a.InviteError != "" {
			missing = append(missing, tg.MissingInvitee{UserID: a.ID})
			continue
		}
		c.server.world.join(to, a)
	}
	return missing, nil
}

// invite works off an invitation to a chat that the caller is in.
func (c *caller) invite(to *chat, input []tg.InputUserClass) (bin.Encoder, error) {
	users, err := c.inputUsers(input)
	if err != nil {
		return nil, err
	}
	if !to.mayInvite(c.account.ID) {
		return nil, errAdminRequired(403)
	}
	missing, err := c.admitAll(to, users)
	if err != nil {
		return nil, err
	}
	return &tg.MessagesInvitedUsers{Updates: c.updates(to), MissingInvitees: missing}, c.server.keep(to)
}

// https://core.telegram.org/method/messages.addChatUser
func (c *caller) messagesAddChatUser(q *tg.MessagesAddChatUserRequest) (bin.Encoder, error) {
	group, err := c.myGroup(q.ChatID)
	if err != nil {
		return nil, err
	}
	return c.invite(group, []tg.InputUserClass{q.UserID})
}

// https://core.telegram.org/method/channels.inviteToChannel
func (c *caller) channelsInviteToChannel(q *tg.ChannelsInviteToChannelRequest) (bin.Encoder, error) {
	channel, err := c.myChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	return c.invite(channel, q.Users)
}

// channelsEditAdmin works off https://core.telegram.org/method/channels.editAdmin.
// Whoever is not in the channel is added, bots also to those that only take
// administrators.
func (c *caller) channelsEditAdmin(q *tg.ChannelsEditAdminRequest) (bin.Encoder, error) {
	channel, err := c.myChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	a := c.inputUser(q.UserID)
	switch {
	case !channel.admin(c.account.ID):
		return nil, errAdminRequired(403)
	case a == nil:
		return nil, tgerr.New(400, "USER_ID_INVALID")
	case a.ID == channel.Owner:
		return nil, tgerr.New(400, "USER_CREATOR")
	case !a.in(channel.peer()) && a.InviteError != "":
		return nil, rpcError(a.InviteError)
	}
	q.AdminRights.SetFlags()
	channel.setAdmin(a.ID, !q.AdminRights.Flags.Zero())
	c.server.world.join(channel, a)
	return c.updates(channel), c.server.keep(channel)
}

package telegramtest

import (
	"regexp"
	"strings"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func userMethods() []method {
	return []method{
		on(loggedIn, (*caller).usersGetUsers),
		on(loggedIn, (*caller).usersGetFullUser),
		on(loggedIn, (*caller).contactsResolveUsername),
		on(usersOnly, (*caller).contactsResolvePhone),
		on(loggedIn, (*caller).updatesGetState),
		on(loggedIn, (*caller).updatesGetDifference),
	}
}

// inputUser returns the account that the caller names, nil if there is none or the
// access hash is wrong. Bots need no access hash.
func (c *caller) inputUser(input tg.InputUserClass) *account {
	switch u := input.(type) {
	case *tg.InputUserSelf:
		return c.account
	case *tg.InputUser:
		a := c.server.world.accounts[u.UserID]
		if a == c.account || c.account.Bot && u.AccessHash == 0 || u.AccessHash == c.accessHash(userPeer, u.UserID) {
			return a
		}
	}
	return nil
}

// https://core.telegram.org/method/users.getUsers
func (c *caller) usersGetUsers(q *tg.UsersGetUsersRequest) (bin.Encoder, error) {
	users := &tg.UserClassVector{}
	for _, input := range q.ID {
		if a := c.inputUser(input); a != nil {
			users.Elems = append(users.Elems, c.user(a.ID))
			continue
		}
		empty := &tg.UserEmpty{}
		if u, ok := input.(*tg.InputUser); ok {
			empty.ID = u.UserID
		}
		users.Elems = append(users.Elems, empty)
	}
	return users, nil
}

// https://core.telegram.org/method/users.getFullUser
func (c *caller) usersGetFullUser(q *tg.UsersGetFullUserRequest) (bin.Encoder, error) {
	a := c.inputUser(q.ID)
	if a == nil {
		return nil, tgerr.New(400, "USER_ID_INVALID")
	}
	return &tg.UsersUserFull{FullUser: tg.UserFull{ID: a.ID}, Users: []tg.UserClass{c.user(a.ID)}}, nil
}

var validUsername = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{1,31}$`)

// https://core.telegram.org/method/contacts.resolveUsername
func (c *caller) contactsResolveUsername(q *tg.ContactsResolveUsernameRequest) (bin.Encoder, error) {
	if !validUsername.MatchString(q.Username) {
		return nil, tgerr.New(400, "USERNAME_INVALID")
	}
	w := &c.server.world
	owner, ok := w.byUsername[strings.ToLower(q.Username)]
	if a := w.accounts[owner.id]; !ok || owner.kind == userPeer && a.Deleted {
		return nil, tgerr.New(400, "USERNAME_NOT_OCCUPIED")
	}
	if owner.kind == channelPeer {
		return &tg.ContactsResolvedPeer{
			Peer: &tg.PeerChannel{ChannelID: owner.id}, Chats: []tg.ChatClass{c.chat(w.chats[owner])},
		}, nil
	}
	return c.resolved(c.user(owner.id)), nil
}

// https://core.telegram.org/method/contacts.resolvePhone
func (c *caller) contactsResolvePhone(q *tg.ContactsResolvePhoneRequest) (bin.Encoder, error) {
	a := c.server.world.byPhone[digits(q.Phone)]
	if a == nil || a.Deleted || a.SignUpRequired {
		return nil, tgerr.New(400, "PHONE_NOT_OCCUPIED")
	}
	user := c.user(a.ID)
	user.Phone = a.Phone // the caller knows it
	return c.resolved(user), nil
}

func (c *caller) resolved(user *tg.User) bin.Encoder {
	return &tg.ContactsResolvedPeer{Peer: &tg.PeerUser{UserID: user.ID}, Users: []tg.UserClass{user}}
}

// https://core.telegram.org/method/updates.getState
func (c *caller) updatesGetState(*tg.UpdatesGetStateRequest) (bin.Encoder, error) {
	return &tg.UpdatesState{Pts: 1, Date: int(c.server.now().Unix()), Seq: 1}, nil
}

// https://core.telegram.org/method/updates.getDifference
func (c *caller) updatesGetDifference(*tg.UpdatesGetDifferenceRequest) (bin.Encoder, error) {
	return &tg.UpdatesDifferenceEmpty{Date: int(c.server.now().Unix()), Seq: 1}, nil
}

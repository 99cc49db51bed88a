package calls

import (
	"context"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// Account is that of provisioning.TelegramClient. It asks Telegram, and so notices a
// session that was ended from the outside.
//
// TL: users.getUsers.
func (c *Client) Account(ctx context.Context) (found provisioning.Account, err error) {
	err = c.call(ctx, func(a *account) error {
		self, err := a.self(ctx)
		if err == nil {
			found = AccountOf(self)
		}
		return err
	})
	return found, err
}

// self asks Telegram who is logged in.
func (a *account) self(ctx context.Context) (*tg.User, error) {
	answer, err := a.api.UsersGetUsers(ctx, []tg.InputUserClass{&tg.InputUserSelf{}})
	if err != nil {
		return nil, err
	}
	self, ok := tg.UserClassArray(answer).FirstAsNotEmpty()
	if !ok {
		return nil, rpcerror.Unexpected(answer)
	}
	return self, nil
}

// AccountOf reads an account out of Telegram's description of it, as a login gets it.
func AccountOf(user *tg.User) provisioning.Account {
	return provisioning.Account{
		ID: provisioning.TelegramID(user.ID), Username: usernameOf(user), FirstName: user.FirstName, LastName: user.LastName,
		Phone: user.Phone, IsBot: user.Bot,
	}
}

// usernameOf returns the main username of a user.
func usernameOf(user *tg.User) string { return mainUsername(user.Username, user.Usernames) }

// mainUsername returns the main username. Who has several lists them apart.
//
// https://core.telegram.org/api/usernames
func mainUsername(only string, list []tg.Username) string {
	if only != "" {
		return only
	}
	for _, name := range list {
		if name.Active {
			return name.Username
		}
	}
	return ""
}

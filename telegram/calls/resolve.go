package calls

import (
	"context"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/internal/phone"
	"github.com/tgprovision/tgprovision/provisioning"
)

// ResolveUser implements provisioning.UserResolver.
//
// TL: contacts.resolveUsername, contacts.resolvePhone, users.getUsers.
func (c *Client) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (contact provisioning.Contact, err error) {
	err = c.call(ctx, func(a *account) error {
		user, err := a.resolve(ctx, identifier)
		if err != nil {
			return err
		}
		if user.Deleted {
			return provisioning.ErrTelegramUserNotFound
		}
		contact = contactOf(user)
		return nil
	})
	return contact, err
}

func (a *account) resolve(ctx context.Context, identifier provisioning.Identifier) (*tg.User, error) {
	switch {
	case identifier.Username != "":
		return a.resolveUsername(ctx, identifier.Username)
	case identifier.Phone != "":
		return a.resolvePhone(ctx, identifier.Phone)
	default:
		return a.resolveID(ctx, int64(identifier.ID))
	}
}

func (a *account) resolveUsername(ctx context.Context, username string) (*tg.User, error) {
	answer, err := a.api.ContactsResolveUsername(ctx, &tg.ContactsResolveUsernameRequest{Username: username})
	if err != nil {
		return nil, err
	}
	return a.resolved(ctx, answer)
}

func (a *account) resolvePhone(ctx context.Context, given string) (*tg.User, error) {
	number, ok := phone.Normalize(given)
	self, err := a.session.Self(ctx)
	if err != nil {
		return nil, err
	}
	if !ok || self.Bot { // bots can't look numbers up
		return nil, provisioning.ErrTelegramUserNotFound
	}
	answer, err := a.api.ContactsResolvePhone(ctx, number[1:])
	if err != nil {
		return nil, err
	}
	return a.resolved(ctx, answer)
}

// resolved reads the user out of Telegram's answer.
func (a *account) resolved(ctx context.Context, answer *tg.ContactsResolvedPeer) (*tg.User, error) {
	if err := a.storeHashes(ctx, answer.Users, answer.Chats); err != nil {
		return nil, err
	}
	who, ok := answer.Peer.(*tg.PeerUser)
	if !ok {
		return nil, provisioning.ErrNotTelegramUser
	}
	user := usersByID(answer.Users)[who.UserID]
	if user == nil {
		return nil, provisioning.ErrTelegramUserNotFound
	}
	return user, nil
}

// resolveID finds a user whom the account knows.
func (a *account) resolveID(ctx context.Context, id int64) (user *tg.User, err error) {
	self, err := a.session.Self(ctx)
	if err != nil {
		return nil, err
	}
	if id == int64(self.ID) {
		return a.self(ctx)
	}
	err = a.withHash(ctx, provisioning.PeerUser, id, func(hash int64) error {
		users, err := a.api.UsersGetUsers(ctx, []tg.InputUserClass{&tg.InputUser{UserID: id, AccessHash: hash}})
		if err != nil {
			return err
		}
		if user = usersByID(users)[id]; user == nil {
			return errWrongUser // which Telegram says by leaving the user out
		}
		return nil
	})
	return user, err
}

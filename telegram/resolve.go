package telegram

import (
	"context"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/internal/phone"
	"github.com/tgprovision/tgprovision/provisioning"
)

// ResolveUser implements provisioning.UserResolver.
//
// TL: contacts.resolveUsername, contacts.resolvePhone, users.getUsers.
func (cl *Client) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (contact provisioning.Contact, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		user, err := a.resolve(ctx, identifier)
		if err != nil {
			return err
		}
		if user.Deleted {
			return final(provisioning.ErrTelegramUserNotFound)
		}
		contact = contactOf(user)
		return nil
	})
	return contact, err
}

func (a *active) resolve(ctx context.Context, identifier provisioning.Identifier) (*tg.User, error) {
	switch {
	case identifier.Username != "":
		return a.resolveUsername(ctx, identifier.Username)
	case identifier.Phone != "":
		return a.resolvePhone(ctx, identifier.Phone)
	default:
		return a.resolveID(ctx, int64(identifier.ID))
	}
}

func (a *active) resolveUsername(ctx context.Context, username string) (*tg.User, error) {
	answer, err := a.api().ContactsResolveUsername(ctx, &tg.ContactsResolveUsernameRequest{Username: username})
	if err != nil {
		return nil, err
	}
	return a.resolved(ctx, answer)
}

func (a *active) resolvePhone(ctx context.Context, given string) (*tg.User, error) {
	number, ok := phone.Normalize(given)
	self, err := a.identity(ctx)
	if err != nil {
		return nil, err
	}
	if !ok || self.bot { // bots can't look numbers up
		return nil, final(provisioning.ErrTelegramUserNotFound)
	}
	answer, err := a.api().ContactsResolvePhone(ctx, number[1:])
	if err != nil {
		return nil, err
	}
	return a.resolved(ctx, answer)
}

// resolved reads the user out of Telegram's answer.
func (a *active) resolved(ctx context.Context, answer *tg.ContactsResolvedPeer) (*tg.User, error) {
	if err := a.storeHashes(ctx, answer.Users, answer.Chats); err != nil {
		return nil, err
	}
	who, ok := answer.Peer.(*tg.PeerUser)
	if !ok {
		return nil, final(provisioning.ErrNotTelegramUser)
	}
	user := usersByID(answer.Users)[who.UserID]
	if user == nil {
		return nil, final(provisioning.ErrTelegramUserNotFound)
	}
	return user, nil
}

// resolveID finds a user whom the account knows.
func (a *active) resolveID(ctx context.Context, id int64) (user *tg.User, err error) {
	self, err := a.identity(ctx)
	if err != nil {
		return nil, err
	}
	if id == self.id {
		return a.self(ctx)
	}
	err = a.withHash(ctx, provisioning.PeerUser, id, func(hash int64) error {
		users, err := a.api().UsersGetUsers(ctx, []tg.InputUserClass{&tg.InputUser{UserID: id, AccessHash: hash}})
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

package calls

import (
	"context"
	"time"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// Contacts implements provisioning.ContactLister. It asks for the full list, since
// Telegram's "not modified" answer compares user IDs only: a list that is renewed by it
// would keep old names for ever.
//
// TL: contacts.getContacts.
func (c *Client) Contacts(ctx context.Context, _ provisioning.ContactQuery) (contacts []provisioning.Contact, err error) {
	err = c.call(ctx, func(a *account) error {
		asked := time.Now()
		list, err := a.contacts(ctx)
		if err == nil {
			contacts = contactsOf(list)
			a.keepList(ContactList, appendPeers(nil, list.Users, nil), asked)
		}
		return err
	})
	return contacts, err
}

func (a *account) contacts(ctx context.Context) (*tg.ContactsContacts, error) {
	answer, err := a.api.ContactsGetContacts(ctx, 0)
	if err != nil {
		return nil, err
	}
	list, ok := answer.(*tg.ContactsContacts)
	if !ok {
		return nil, rpcerror.Unexpected(answer)
	}
	return list, nil
}

func contactsOf(list *tg.ContactsContacts) []provisioning.Contact {
	users := usersByID(list.Users)
	contacts := make([]provisioning.Contact, 0, len(list.Contacts))
	for _, entry := range list.Contacts {
		contact := provisioning.Contact{ID: provisioning.TelegramID(entry.UserID), Name: nameOf(nil)}
		if user := users[entry.UserID]; user != nil {
			contact = contactOf(user)
		}
		contacts = append(contacts, contact)
	}
	return contacts
}

// usersByID returns the users that an answer of Telegram's describes.
func usersByID(list []tg.UserClass) map[int64]*tg.User {
	users := make(map[int64]*tg.User, len(list))
	for _, user := range list {
		if u, ok := user.AsNotEmpty(); ok {
			users[u.ID] = u
		}
	}
	return users
}

// contactOf reads a person out of Telegram's description.
func contactOf(user *tg.User) provisioning.Contact {
	contact := provisioning.Contact{
		ID: provisioning.TelegramID(user.ID), Name: nameOf(user), Username: usernameOf(user), Phone: user.Phone, IsBot: user.Bot,
	}
	if photo, ok := user.Photo.(*tg.UserProfilePhoto); ok {
		contact.PhotoID = photo.PhotoID
	}
	return contact
}

package telegram

import (
	"context"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Contacts implements provisioning.ContactLister. It asks for the full list each
// time: Telegram's "not modified" answer compares user IDs only, so a remembered
// list would keep old names for ever.
func (cl *Client) Contacts(ctx context.Context) (contacts []provisioning.Contact, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.f.call(ctx, cl.key, func(client *telegram.Client) error {
		answer, err := client.API().ContactsGetContacts(ctx, 0)
		if err != nil {
			return err
		}
		list, ok := answer.(*tg.ContactsContacts)
		if !ok {
			return unexpected(answer)
		}
		contacts = contactsOf(list)
		return nil
	})
	return contacts, err
}

func contactsOf(list *tg.ContactsContacts) []provisioning.Contact {
	users := map[int64]*tg.User{}
	for _, user := range list.Users {
		if u, ok := user.AsNotEmpty(); ok {
			users[u.ID] = u
		}
	}
	contacts := make([]provisioning.Contact, 0, len(list.Contacts))
	for _, entry := range list.Contacts {
		contact := provisioning.Contact{ID: entry.UserID, Name: nameOf(users[entry.UserID])}
		if user := users[entry.UserID]; user != nil {
			contact.Username, contact.Phone, contact.IsBot = usernameOf(user), user.Phone, user.Bot
		}
		contacts = append(contacts, contact)
	}
	return contacts
}

package telegramtest

import (
	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
)

func contactMethods() []method {
	return []method{on(usersOnly, (*caller).contactsGetContacts)}
}

// https://core.telegram.org/method/contacts.getContacts
func (c *caller) contactsGetContacts(q *tg.ContactsGetContactsRequest) (bin.Encoder, error) {
	list := c.account.contacts
	if q.Hash != 0 && q.Hash == list.hash {
		return &tg.ContactsContactsNotModified{}, nil
	}
	answer := &tg.ContactsContacts{
		Contacts: make([]tg.Contact, 0, len(list.ids)), SavedCount: list.saved, Users: make([]tg.UserClass, 0, len(list.ids)),
	}
	for _, id := range list.ids {
		user := c.user(id)
		answer.Contacts = append(answer.Contacts, tg.Contact{UserID: id, Mutual: user.MutualContact})
		answer.Users = append(answer.Users, user)
	}
	return answer, nil
}

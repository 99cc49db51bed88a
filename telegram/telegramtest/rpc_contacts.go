package telegramtest

import (
	"slices"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func contactMethods() map[uint32]method {
	m := map[uint32]method{}
	add(m, false, getContacts)
	return m
}

// https://core.telegram.org/method/contacts.getContacts
func getContacts(s *Server, key keyID, q *tg.ContactsGetContactsRequest) (bin.Encoder, error) {
	self := s.accountOf(key)
	if self.Bot {
		return nil, errBot
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Hash != 0 && q.Hash == contactsHash(self.Contacts) {
		return &tg.ContactsContactsNotModified{}, nil
	}
	answer := &tg.ContactsContacts{}
	for _, id := range self.Contacts {
		answer.Contacts = append(answer.Contacts, tg.Contact{UserID: id})
		if a := s.world.accounts[id]; a != nil {
			user := a.user(a == self)
			user.Contact = true
			answer.Users = append(answer.Users, user)
		}
	}
	return answer, nil
}

// contactsHash is the hash of a list of contacts of which none was saved without
// an account.
//
// https://core.telegram.org/api/offsets#hash-generation
func contactsHash(ids []int64) int64 {
	var h uint64
	add := func(n int64) {
		h ^= h >> 21
		h ^= h << 35
		h ^= h >> 4
		h += uint64(n)
	}
	add(0) // the number of saved contacts
	for _, id := range slices.Sorted(slices.Values(ids)) {
		add(id)
	}
	return int64(h)
}

var errBot = tgerr.New(400, "BOT_METHOD_INVALID")

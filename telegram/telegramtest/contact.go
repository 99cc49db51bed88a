package telegramtest

import "slices"

// contactList are the contacts of an account. It never changes.
type contactList struct {
	ids   []int64 // in order
	saved int
	hash  int64
}

func newContactList(saved int, ids []int64) *contactList {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return &contactList{ids, saved, listHash(append([]int64{int64(saved)}, ids...))}
}

func (l *contactList) has(id int64) bool {
	_, ok := slices.BinarySearch(l.ids, id)
	return ok
}

// listHash is https://core.telegram.org/api/offsets#hash-generation.
func listHash(ids []int64) int64 {
	var hash uint64
	for _, id := range ids {
		hash ^= hash >> 21
		hash ^= hash << 35
		hash ^= hash >> 4
		hash += uint64(id)
	}
	return int64(hash)
}

// SetContacts replaces the contacts of an account, at any time. Users who are not
// added are deleted accounts to Telegram's clients.
func (s *Server) SetContacts(accountID int64, contacts []int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.account(accountID)
	if err != nil {
		return err
	}
	a.contacts = newContactList(a.SavedContacts, contacts)
	return nil
}

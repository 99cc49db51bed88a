package provisioning

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// Lists may have ten thousands of entries, whose JSON takes longer to make than all the
// rest of an answer that comes from a client's memory. So it is made without reflection,
// and kept together with what it was made of: whoever asks again and has the same list
// gets the same bytes.

// encodedJSON is the body of an answer that is JSON already, with the newline at its end.
// Nobody changes it.
type encodedJSON []byte

const (
	// longList is how many bytes of JSON are worth keeping.
	longList = 16 << 10
	// maxKeptJSON is how many bytes are kept at most, in all.
	maxKeptJSON = 32 << 20
)

// listKey names a list: those of an operation, for a user.
type listKey struct {
	op     string
	userID id.UserID
}

// encodedList is a list with its JSON.
type encodedList struct {
	chats    []Chat
	contacts []Contact
	avatars  map[TelegramID]id.ContentURIString
	json     encodedJSON
}

// weight is about how much memory a list takes: its entries are about as large as
// their JSON.
func (l encodedList) weight() int { return 2 * len(l.json) }

func (l encodedList) same(other encodedList) bool {
	return sameEntries(l.chats, other.chats) && sameEntries(l.contacts, other.contacts) && maps.Equal(l.avatars, other.avatars)
}

// sameEntries is slices.Equal, at once for the same slice.
func sameEntries[T comparable](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// encodedLists keeps the JSON of long lists. When there is too much, the oldest goes.
type encodedLists struct {
	mu     sync.Mutex
	lists  map[listKey]encodedList
	order  []listKey // the oldest first
	weight int
}

// encode returns the JSON of a list, which nobody may change any more: that which is kept
// if it was made of the same, else what append makes.
func (e *encodedLists) encode(key listKey, list encodedList, appendTo func([]byte) []byte) encodedJSON {
	e.mu.Lock()
	kept := e.lists[key]
	e.mu.Unlock()
	if kept.json != nil && kept.same(list) {
		return kept.json
	}
	list.json = append(appendTo(nil), '\n')
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(key)
	if len(list.json) >= longList && list.weight() <= maxKeptJSON {
		e.put(key, list)
	}
	return list.json
}

// forget drops what is kept for a user.
func (e *encodedLists) forget(userID id.UserID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, op := range []string{"get_chats", "get_contacts"} {
		e.remove(listKey{op, userID})
	}
}

// What follows needs the mutex.

func (e *encodedLists) put(key listKey, list encodedList) {
	for e.weight+list.weight() > maxKeptJSON {
		e.remove(e.order[0])
	}
	if e.lists == nil {
		e.lists = map[listKey]encodedList{}
	}
	e.lists[key] = list
	e.order = append(e.order, key)
	e.weight += list.weight()
}

func (e *encodedLists) remove(key listKey) {
	list, ok := e.lists[key]
	if !ok {
		return
	}
	delete(e.lists, key)
	e.order = slices.DeleteFunc(e.order, func(k listKey) bool { return k == key })
	e.weight -= list.weight()
}

// appendChats makes the JSON of a list of chats.
func appendChats(b []byte, chats []Chat) []byte {
	b = append(slices.Grow(b, 64*len(chats)), '[')
	for i, chat := range chats {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":`...)
		b = strconv.AppendInt(b, int64(chat.ID), 10)
		b = append(b, `,"title":`...)
		b = appendString(b, chat.Title)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendContacts makes the JSON of contacts: an object by ID, in the order of the IDs as
// text.
func appendContacts(b []byte, contacts []Contact, avatars map[TelegramID]id.ContentURIString) []byte {
	type keyed struct {
		key string
		*Contact
	}
	byKey := make([]keyed, len(contacts))
	for i := range contacts {
		byKey[i] = keyed{strconv.FormatInt(int64(contacts[i].ID), 10), &contacts[i]}
	}
	slices.SortStableFunc(byKey, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	b = append(slices.Grow(b, 128*len(contacts)), '{')
	for i, contact := range byKey {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), contact.key...), `":`...)
		b = appendContact(b, contactBodyOf(*contact.Contact, avatars))
	}
	return append(b, '}')
}

func appendContact(b []byte, body contactBody) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, int64(body.ID), 10)
	b = append(b, `,"name":`...)
	b = appendString(b, body.Name)
	b = append(b, `,"username":`...)
	b = appendString(b, body.Username)
	b = append(b, `,"phone":`...)
	b = appendString(b, body.Phone)
	b = append(b, `,"is_bot":`...)
	b = strconv.AppendBool(b, body.IsBot)
	b = append(b, `,"avatar_url":`...)
	b = appendString(b, string(body.AvatarURL))
	return append(b, '}')
}

// appendString makes the JSON of a string that package encoding/json makes.
func appendString(b []byte, s string) []byte {
	if !plain(s) {
		quoted, err := json.Marshal(s)
		if err != nil {
			panic("provisioning: string can't be encoded: " + err.Error())
		}
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain says whether a string stands in JSON as it is.
func plain(s string) bool {
	ascii := true
	for _, c := range []byte(s) {
		switch {
		case c < ' ', c == 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return ascii || utf8.ValidString(s) && !strings.ContainsAny(s, "\u2028\u2029")
}

package provisioning

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"maunium.net/go/mautrix/id"
)

// marshal is what the lists have to be like.
func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzListJSON(f *testing.F) {
	for _, s := range []string{"", "a", "é中😀", "\"\\<>&\x00\n\x7f", "\u2028", "\u2029x", "\xff\xfe", "\ufffd", "a\x80"} {
		f.Add(s, int64(5))
	}
	type chatJSON struct {
		ID    ChatID `json:"id"`
		Title string `json:"title"`
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		chats := []Chat{{ChatID(n), s}, {ChatID(-n), s + s}}
		if got, want := string(appendChats(nil, chats)), marshal(t, []chatJSON{chatJSON(chats[0]), chatJSON(chats[1])}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		contacts := []Contact{{ID: 2, Name: s}, {ID: 10, Username: s, Phone: "1", IsBot: true}, {ID: TelegramID(1 + n&0xff<<8), Phone: s}}
		avatars := map[TelegramID]id.ContentURIString{10: id.ContentURIString(s)}
		bodies := map[string]contactBody{}
		for _, c := range contacts {
			bodies[strconv.FormatInt(int64(c.ID), 10)] = contactBodyOf(c, avatars)
		}
		if got, want := string(appendContacts(nil, contacts, avatars)), marshal(t, bodies); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestEmptyLists(t *testing.T) {
	if got := string(appendChats(nil, nil)) + string(appendContacts(nil, nil, nil)); got != "[]{}" {
		t.Error(got)
	}
}

func TestEncodedLists(t *testing.T) {
	var e encodedLists
	made := 0
	encode := func(user id.UserID, title string, n int) encodedJSON {
		chats := make([]Chat, n)
		for i := range chats {
			chats[i] = Chat{ChatID(i), title}
		}
		return e.encode(listKey{"get_chats", user}, encodedList{chats: chats}, func(b []byte) []byte {
			made++
			return appendChats(b, chats)
		})
	}
	want := func(what string, n int) {
		t.Helper()
		if made != n {
			t.Errorf("%s: made %d times, want %d", what, made, n)
		}
		made = 0
		weight := 0
		for _, list := range e.lists {
			weight += list.weight()
		}
		if weight != e.weight || weight > maxKeptJSON || len(e.order) != len(e.lists) {
			t.Errorf("%s: %d bytes are counted as %d; %d lists as %d", what, weight, e.weight, len(e.lists), len(e.order))
		}
	}
	first := encode("a", "old", 1000)
	if again := encode("a", "old", 1000); &again[0] != &first[0] {
		t.Error("the same list has other bytes")
	}
	want("the same", 1)
	if second := encode("a", "new", 1000); string(second) == string(first) {
		t.Error("another list has the same bytes")
	}
	encode("b", "new", 1000)
	want("others", 2)
	encode("a", "new", 3)
	encode("a", "new", 3)
	want("short ones", 2)
	e.forget("b")
	encode("b", "new", 1000)
	want("forgotten", 1)

	title := string(make([]byte, 1<<10))
	large := func(i int) { encode(id.UserID(fmt.Sprint("large", i)), title, 500) } // 3 MB, and as much again
	for i := range 10 {
		large(i)
	}
	want("many large ones", 10)
	large(9)
	want("the newest", 0)
	large(0)
	want("the oldest", 1)
	encode("huge", title, 5000)
	encode("huge", title, 5000)
	want("too large ones", 2)
}

// What the JSON was made of includes the avatars.
func TestEncodedContacts(t *testing.T) {
	var e encodedLists
	contacts := make([]Contact, 500)
	encode := func(avatars map[TelegramID]id.ContentURIString) string {
		return string(e.encode(listKey{"get_contacts", "a"}, encodedList{contacts: contacts, avatars: avatars}, func(b []byte) []byte {
			return appendContacts(b, contacts, avatars)
		}))
	}
	if encode(nil) == encode(map[TelegramID]id.ContentURIString{0: "mxc://example.com/a"}) {
		t.Error("the avatar is missing")
	}
}

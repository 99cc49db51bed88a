package portal

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"maunium.net/go/mautrix/id"
)

// Who has created a room, by what its first event says.
func TestCreatorsOfARoom(t *testing.T) {
	t.Parallel()
	const alice, bob, carol id.UserID = "@alice:example.com", "@bob:example.com", "@carol:example.com"
	for content, want := range map[string]struct {
		creators []id.UserID
		infinite bool
	}{
		`{}`:                             {[]id.UserID{alice}, false}, // version 1
		`{"creator":"@bob:example.com"}`: {[]id.UserID{bob}, false},
		`{"creator":"@bob:example.com","room_version":"10"}`:                                    {[]id.UserID{bob}, false},
		`{"creator":"@bob:example.com","room_version":"11"}`:                                    {[]id.UserID{alice}, false},
		`{"creator":"@bob:example.com","room_version":"12"}`:                                    {[]id.UserID{alice}, true},
		`{"room_version":"11","additional_creators":["@bob:example.com"]}`:                      {[]id.UserID{alice}, false},
		`{"room_version":"12","additional_creators":["@bob:example.com","@carol:example.com"]}`: {[]id.UserID{alice, bob, carol}, true},
		`{"room_version":"12","additional_creators":"@bob:example.com"}`:                        {[]id.UserID{alice}, true},
		`{"room_version":"12","additional_creators":[1,"@bob:example.com"]}`:                    {[]id.UserID{alice}, true},
		`{"room_version":"13"}`:          {[]id.UserID{alice}, true},
		`{"room_version":12}`:            {[]id.UserID{alice}, false},
		`{"room_version":"org.example"}`: {[]id.UserID{alice}, false},
		`null`:                           {[]id.UserID{alice}, false},
	} {
		l := newLevels(nil, stateEvent{Sender: alice, Content: json.RawMessage(content)})
		assert.Equal(t, want.creators, l.creators, content)
		assert.Equal(t, want.infinite, l.infinite, content)
	}
}

// Whatever stands in a room's state, it gives an outsider nothing without saying so, and
// takes nothing from a creator of version 12.
func FuzzLevels(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"users":{"@a:x":"50"}}`, `{"users":[],"events":{"t":1e9}}`, `[]`, `null`, `{"users_default":-1,"kick":null}`,
		`{"state_default":{}}`, `{"events":{"t":null}}`, `{"Users":{"@a:x":100}}`,
	} {
		f.Add(seed, `{"room_version":"12"}`)
		f.Add(seed, `{"room_version":"11","creator":"@a:x"}`)
	}
	f.Fuzz(func(t *testing.T, content, create string) {
		if !json.Valid([]byte(content)) || !json.Valid([]byte(create)) {
			return // no homeserver gives such an event
		}
		l := newLevels(json.RawMessage(content), stateEvent{Sender: "@creator:x", Content: json.RawMessage(create)})
		if l.infinite {
			assert.True(t, l.allow("@creator:x", "t"))
			assert.False(t, l.forbidKicks("@creator:x"))
		}
		if textOf(json.RawMessage(content), "") == "" && json.Unmarshal([]byte(content), &map[string]any{}) != nil {
			assert.False(t, l.allow("@outsider:x", "t"), "malformed")
		}
		l.forbidKicks("@outsider:x")
	})
}

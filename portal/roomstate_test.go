package portal_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	// hugeCount is how many events or members a huge room has besides, and hugeLength how
	// long each of them is: 100 MB in all.
	hugeCount, hugeLength = 25_000, 4 << 10
	// most is how much memory reading them may need.
	most = 16 << 20
)

// A room with more state than anybody wants to have in memory is cleaned up. It isn't
// parallel: it measures the memory of the process.
func TestCleanUpRoomWithHugeState(t *testing.T) {
	w := newWorld(t, "")
	bob := w.newUser("bob")
	roomID := w.mighty(mautrix.ReqCreateRoom{Invite: []id.UserID{"@carol:example.com"}})
	w.joinAs(roomID, bob)
	p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}))
	large := &largeAnswers{RoundTripper: w.as.HTTPClient.Transport, path: "/state", after: "[", value: func(i int) string {
		return fmt.Sprintf(`{"type":"com.example.huge","state_key":"%d","sender":"@bob:example.com","content":{"text":"%s"}},`, i, strings.Repeat("x", hugeLength))
	}}
	w.as.HTTPClient.Transport = large
	require.NoError(t, w.rooms.CleanUp(t.Context(), p, true))
	assert.Less(t, large.needed(t), int64(most))
	assert.Equal(t, []id.UserID{w.alice.UserID}, w.who(roomID, event.MembershipJoin))
	assert.Empty(t, w.who(roomID, event.MembershipInvite))
	assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", "fi.mau.telegram://telegram/-1"))
}

// Members may be called anything.
func TestCleanUpRoomWithHugeNames(t *testing.T) {
	w := newWorld(t, "")
	roomID := w.mighty(mautrix.ReqCreateRoom{})
	large := &largeAnswers{RoundTripper: w.as.HTTPClient.Transport, path: "/joined_members", after: `"joined":{`, value: func(i int) string {
		return fmt.Sprintf(`"@user%d:example.com":{"display_name":"%s"},`, i, strings.Repeat("x", hugeLength))
	}}
	w.as.HTTPClient.Transport = large
	require.NoError(t, w.rooms.CleanUp(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: -1}, false))
	assert.Less(t, large.needed(t), int64(most))
	assert.Equal(t, []id.UserID{w.alice.UserID, botID}, w.who(roomID, event.MembershipJoin))
}

// A homeserver's answer that ends too early, or is something else, is no list.
func TestCleanUpWithBadAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"broken off":       `[{"type":"m.room.member","state_key":"@bob:example.com","content":{"membership":"join"}}`,
		"in an event":      `[{"type":"m.room.member","state_key":"@b`,
		"nothing":          ``,
		"an object":        `{}`,
		"not JSON":         `<html>`,
		"an endless event": `[{"type":"` + strings.Repeat("x", 2<<20) + `"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			roomID := w.mighty(mautrix.ReqCreateRoom{})
			w.as.HTTPClient.Transport = answers{w.as.HTTPClient.Transport, answer}
			err := w.rooms.CleanUp(t.Context(), provisioning.Portal{RoomID: roomID, ChatID: -1}, true)
			require.ErrorIs(t, err, provisioning.ErrHomeserver)
			assert.Equal(t, []id.UserID{w.alice.UserID, ghostID, botID}, w.who(roomID, event.MembershipJoin))
		})
	}
}

// answers gives another answer for the state of rooms.
type answers struct {
	http.RoundTripper
	answer string
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/state") {
		_ = response.Body.Close()
		response.Body, response.ContentLength = io.NopCloser(strings.NewReader(a.answer)), -1
	}
	return response, err
}

// largeAnswers adds values to the answers to a path, and measures how much memory is in use
// while they are read.
type largeAnswers struct {
	http.RoundTripper
	path, after string
	value       func(i int) string

	before, peak uint64
	added        int
	rest         []byte
}

func (l *largeAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, l.path) {
		return response, err
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	begin, end, _ := bytes.Cut(answer, []byte(l.after))
	l.before = inUse()
	response.ContentLength = -1
	response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(begin), strings.NewReader(l.after), l, bytes.NewReader(end)))
	return response, nil
}

// Read implements [io.Reader]: it makes the values.
func (l *largeAnswers) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.added == hugeCount {
			return 0, io.EOF
		}
		if l.added%(hugeCount/20) == 0 {
			l.peak = max(l.peak, inUse())
		}
		l.rest = []byte(l.value(l.added))
		l.added++
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// needed returns how much memory reading the values has needed.
func (l *largeAnswers) needed(t *testing.T) int64 {
	t.Helper()
	require.Equal(t, hugeCount, l.added, "how many values were read")
	return int64(l.peak) - int64(l.before)
}

// inUse returns how much memory is in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

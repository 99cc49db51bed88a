package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// eventLog is a host's Events.
type eventLog struct {
	mu     sync.Mutex
	events []provisioning.Event
	err    error
}

func (l *eventLog) record(_ context.Context, e provisioning.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return l.err
}

func (l *eventLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// take returns the events since the last call, in words, in the order of the words.
func (l *eventLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var words []string
	for _, e := range l.events {
		words = append(words, fmt.Sprintf("%s %s %d %s %d", e.Type, e.UserID, e.TelegramID, e.Portal.RoomID, e.Portal.ChatID))
	}
	l.events = nil
	slices.Sort(words)
	return words
}

// want checks the events since the last call.
func (l *eventLog) want(t *testing.T, words ...string) {
	t.Helper()
	synctest.Wait()
	if got := l.take(); !slices.Equal(got, words) {
		t.Errorf("the events are %q, want %q", got, words)
	}
}

// withEvents has the events recorded.
func withEvents(l *eventLog) func(*bridge, *provisioning.Config) {
	return func(_ *bridge, cfg *provisioning.Config) { cfg.Events = l.record }
}

func TestEventsOfPortals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, withRelay, withEvents(l))
		b.logIn(t, alice, aliceAccount)
		b.post(t, connectPath, 202)
		l.want(t, "portal_connected  2001 !room:example.com -1000000000009")
		b.post(t, connectPath, 200)
		b.post(t, "/portal/!other:example.com/connect/-1000000000009", 409)
		l.want(t)
		b.post(t, "/portal/!other:example.com/connect/-1000000000009"+asAlice+"&force=unbridge", 202)
		l.want(t, "portal_connected @alice:example.com 1001 !other:example.com -1000000000009",
			"portal_disconnected @alice:example.com 1001 !room:example.com -1000000000009")
		b.post(t, "/portal/!other:example.com/disconnect"+asAlice+"&sync=1", 202)
		l.want(t, "portal_disconnected @alice:example.com 0 !other:example.com -1000000000009")
		b.post(t, "/portal/!other:example.com/disconnect", 404)
		b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).want(t, 201, "")
		l.want(t, "portal_created @alice:example.com 1001 !room:example.com -1000000000001")
		b.post(t, user(alice, "/pm/1002"), 201)
		b.post(t, user(alice, "/pm/1002"), 200)
		l.want(t, "portal_created @alice:example.com 1001 !direct4:example.com 1002")
		b.wantNoTasks(t)
	})
}

func TestEventsOfLogins(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, withEvents(l))
		b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
		l.want(t, "login @alice:example.com 2001  0")
		b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
		l.want(t)
		// The account moves to bob.
		b.login(t, bob, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
		l.want(t, "login @bob:example.com 2001  0", "logout @alice:example.com 2001  0")
		b.telegram.EndSession(bob)
		l.want(t) // nobody has noticed
		b.call(t, http.MethodGet, user(bob, ""), "").want(t, 200, "")
		l.want(t, "logout @bob:example.com 2001  0")
		b.login(t, bob, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
		l.want(t, "login @bob:example.com 2001  0")
		b.post(t, user(bob, "/logout"), 200)
		l.want(t, "logout @bob:example.com 2001  0")
		// The process died between the session and the link.
		b.telegram.LogIn(alice, aliceAccount.ID)
		b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
		l.want(t, "login @alice:example.com 1001  0")
		b.wantNoTasks(t)
	})
}

// What was not recorded is not reported.
func TestNoEventsOfWhatFailed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, withRelay, withEvents(l))
		broken := errors.New("disk full")
		for _, method := range []string{"LinkAccount", "UnlinkAccount", "ClaimAccount"} {
			b.users.Fail(method, broken)
		}
		b.call(t, http.MethodPost, user(alice, "/login/bot_token"), `{"token":"`+botAccount.Token+`"}`).want(t, 500, "unhandled_error")
		advance(time.Minute)
		l.want(t)
		for _, method := range []string{"LinkAccount", "UnlinkAccount", "ClaimAccount"} {
			b.users.Fail(method, nil)
		}
		b.logIn(t, bob, aliceAccount)
		b.users.Fail("UnlinkAccount", broken)
		b.call(t, http.MethodPost, user(bob, "/logout"), "").want(t, 500, "unhandled_error")
		advance(time.Minute)
		l.want(t)
		b.portals.Fail("Connect", broken)
		b.post(t, connectPath, 500)
		l.want(t)
		// An event that can't be recorded keeps its change from being made.
		b.portals.Fail("AddTasks", broken)
		b.users.Fail("UnlinkAccount", nil)
		b.telegram.EndSession(bob)
		b.call(t, http.MethodGet, user(bob, ""), "").want(t, 500, "unhandled_error")
		if b.users.Calls("UnlinkAccount") != 1 {
			t.Error("the account was unlinked without its event")
		}
		b.wantNoTasks(t)
	})
}

// The host is told until it has understood, in the next process too, each time under
// the same ID.
func TestEventsComeAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{err: errors.New("not now")}
		b := newBridge(t, withRelay, withEvents(l))
		b.post(t, connectPath, 202)
		b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
		advance(time.Minute)
		b.close(t)
		l.mu.Lock()
		ids := map[string]int{}
		for _, e := range l.events {
			ids[e.ID]++
		}
		l.mu.Unlock()
		if len(ids) != 2 || ids[""] != 0 {
			t.Errorf("the IDs of the events are %v", ids)
		}
		l.take()
		l.fail(nil)
		restarted(t, b, withEvents(l))
		advance(time.Hour)
		l.want(t, "login @alice:example.com 2001  0", "portal_connected  2001 !room:example.com -1000000000009")
		b.wantNoTasks(t)
	})
}

// A host without Events records none.
func TestWithoutEvents(t *testing.T) {
	b := newBridge(t, withRelay)
	b.login(t, alice, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`})
	b.post(t, user(alice, "/logout"), 200)
	if b.portals.Calls("AddTasks") != 0 {
		t.Error("events were recorded for nobody")
	}
}

func TestAvatars(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t)
		account := aliceAccount
		account.ID, account.Phone = 5005, ""
		for i := range provisioning.TelegramID(10) {
			account.Contacts = append(account.Contacts, provisioning.Contact{ID: 100 + i, Name: "C", PhotoID: 500 + int64(i)/2}) // two share each photo
		}
		b.telegram.Add(account)
		b.logIn(t, alice, account)
		gate := b.telegram.Hold("GetPhoto")
		contacts := func() answer { return b.call(t, http.MethodGet, user(alice, "/contacts"), "") }
		first := contacts()
		<-gate.Entered()
		contacts().wantBody(t, 200, first.body[:len(first.body)-1]) // waits for nothing, and fetches nothing twice
		synctest.Wait()
		if got := b.telegram.Calls("GetPhoto"); got != 1 {
			t.Errorf("%d photos are fetched at a time, want 1", got)
		}
		gate.Release()
		synctest.Wait()
		if got := b.telegram.Calls("GetPhoto"); got != 5 {
			t.Errorf("%d photos were fetched, want 5", got)
		}
		a := contacts()
		synctest.Wait()
		if want := `"109":{"id":109,"name":"C","username":"","phone":"","is_bot":false,"avatar_url":"mxc://example.com/504"}`; !strings.Contains(a.body, want) {
			t.Errorf("the contacts are %s, want %s", a.body, want)
		}
		if got := b.telegram.Calls("GetPhoto"); got != 5 {
			t.Errorf("%d photos were fetched, want 5", got)
		}
	})
}

// Avatars that can't be had are no trouble of the contacts'.
func TestAvatarsFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t)
		account := aliceAccount
		account.ID, account.Phone = 5005, ""
		account.Contacts = []provisioning.Contact{{ID: 100, Name: "C", PhotoID: 1}, {ID: 101, Name: "D", PhotoID: 2}}
		b.telegram.Add(account)
		b.logIn(t, alice, account)
		contacts := func() {
			b.call(t, http.MethodGet, user(alice, "/contacts"), "").want(t, 200, "")
			synctest.Wait()
		}
		b.rooms.Fail("Avatars", errors.New("no such table"))
		contacts()
		b.rooms.Fail("Avatars", nil)
		for _, c := range []struct {
			err   error
			calls int
		}{
			{provisioning.ErrPhotoGone, 2}, // the next one may be there
			{&provisioning.FloodWaitError{Wait: time.Hour}, 1},
			{provisioning.ErrNotLoggedIn, 1},
			{provisioning.ErrTelegramUnavailable, 1},
		} {
			b.telegram.Fail("GetPhoto", c.err)
			before := b.telegram.Calls("GetPhoto")
			contacts()
			if got := b.telegram.Calls("GetPhoto") - before; got != c.calls {
				t.Errorf("%v: %d photos were asked for, want %d", c.err, got, c.calls)
			}
		}
		// Close stops what is being fetched.
		gate := b.telegram.Hold("GetPhoto")
		contacts()
		<-gate.Entered()
		b.close(t)
		if err := <-gate.Cancelled(); !errors.Is(err, context.Canceled) {
			t.Errorf("the download ended with %v", err)
		}
	})
}

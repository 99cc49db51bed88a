package provisioning_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// A room that was disconnected while it was being set up shows no bridge.
func TestDisconnectedWhileBeingSetUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		gate := b.rooms.Hold("SetUpPortal")
		b.post(t, connectPath, 202)
		<-gate.Entered()
		b.post(t, disconnectPath, 202)
		gate.Release()
		synctest.Wait()
		if r := b.room(room); r.Portal.ChatID != 0 {
			t.Errorf("the room shows a bridge to %d", r.Portal.ChatID)
		}
		b.wantNoTasks(t)
	})
}

// Work on one room is done in turn: a clean-up does not overtake what it cleans up.
func TestWorkOnARoomIsInTurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		gate := b.rooms.Hold("SetUpPortal")
		b.post(t, connectPath, 202)
		<-gate.Entered()
		b.post(t, disconnectPath+"?delete=1", 202)
		synctest.Wait()
		if b.rooms.Calls("CleanUp") != 0 {
			t.Error("the room was cleaned up while it was being set up")
		}
		gate.Release()
		synctest.Wait()
		if r := b.room(room); r.Portal.ChatID != 0 || !r.NoBot {
			t.Errorf("the room is %+v", r)
		}
		b.wantNoTasks(t)
	})
}

// Nobody is kicked from a room that was bridged again before it was emptied.
func TestBridgedAgainBeforeTheCleanUp(t *testing.T) {
	for _, again := range []provisioning.ChatInfo{news, family} {
		inBubble(t, func(t *testing.T) {
			b := newBridge(t, withRelay)
			b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
			bridged(room, news)(t, b)
			b.post(t, disconnectPath+"?delete=1", 202)
			synctest.Wait()
			bridged(room, again)(t, b)
			b.rooms.Fail("CleanUp", nil)
			advance(time.Minute)
			r := b.room(room)
			if r.NoBot || len(r.Users) == 0 || (len(r.Ghosts) == 0) != (again.ID != news.ID) {
				t.Errorf("bridged to %d again, the room is %+v", again.ID, r)
			}
			b.wantNoTasks(t)
		})
	}
}

// A room that is bridged while it is being emptied is not bridged in the end: the bot is
// there no more.
func TestBridgedWhileBeingEmptied(t *testing.T) {
	for _, held := range []string{"CleanUp", "GetChat"} {
		inBubble(t, func(t *testing.T) {
			var mu sync.Mutex
			events := map[string]int{}
			b := newBridge(t, withRelay, func(_ *bridge, cfg *provisioning.Config) {
				cfg.Events = func(_ context.Context, e provisioning.Event) error {
					mu.Lock()
					defer mu.Unlock()
					events[fmt.Sprint(e.Type, e.Portal.ChatID)]++
					return nil
				}
			})
			connect := func() { b.post(t, connectPath, 202) }
			if held == "CleanUp" { // the bot leaves after the portal was recorded
				gate := b.rooms.Hold(held)
				bridged(room, family)(t, b)
				b.post(t, disconnectPath+"?delete=1", 202)
				<-gate.Entered()
				connect()
				gate.Release()
			} else { // between the look for the bot and that
				gate := b.telegram.Hold(held)
				var connecting sync.WaitGroup
				connecting.Go(connect)
				<-gate.Entered()
				bridged(room, family)(t, b)
				b.post(t, disconnectPath+"?delete=1", 202)
				synctest.Wait()
				gate.Release()
				connecting.Wait()
			}
			synctest.Wait()
			if r := b.room(room); !r.NoBot || r.Portal.ChatID != 0 {
				t.Errorf("%s: the room is %+v", held, r)
			}
			b.call(t, http.MethodGet, "/portal/!room:example.com", "").want(t, 404, "portal_not_found")
			b.wantNoTasks(t)
			mu.Lock()
			defer mu.Unlock()
			// The host may hear of the connection, which is undone at once.
			if n := events[fmt.Sprint("portal_connected", news.ID)]; n > 1 {
				t.Errorf("%s: %d events portal_connected", held, n)
			}
			if n := events[fmt.Sprint("portal_disconnected", news.ID)]; n != 1 {
				t.Errorf("%s: %d events portal_disconnected", held, n)
			}
		})
	}
}

package provisioning_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// watchedPortals counts the reads that may be answered from memory, and the others.
type watchedPortals struct {
	*provisioningtest.MemPortalStore

	mu    sync.Mutex
	reads map[bool]int
}

func (w *watchedPortals) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	w.mu.Lock()
	w.reads[provisioning.CachedReads(ctx)]++
	w.mu.Unlock()
	return w.MemPortalStore.PortalByRoom(ctx, roomID)
}

// Only what a client reads may come from memory. What a request or a task decides by may
// not: it has to see what another process has just committed.
func TestReadsFromMemory(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		watched := &watchedPortals{reads: map[bool]int{}}
		b := newBridge(t, withRelay, func(b *bridge, cfg *provisioning.Config) {
			watched.MemPortalStore = b.portals
			cfg.Portals = watched
		})
		want := func(what string, fromMemory bool) {
			t.Helper()
			synctest.Wait() // a task begins while the answer is sent
			watched.mu.Lock()
			defer watched.mu.Unlock()
			if watched.reads[fromMemory] == 0 || watched.reads[!fromMemory] != 0 {
				t.Errorf("%s: %v", what, watched.reads)
			}
			clear(watched.reads)
		}
		b.rooms.On("SetUpPortal", sleep(time.Minute))
		b.rooms.On("CleanUp", sleep(time.Minute))
		b.post(t, connectPath, 202)
		want("connect", false)
		b.call(t, http.MethodGet, "/portal/!room:example.com", "").want(t, 200, "")
		want("get", true)
		advance(2 * time.Minute)
		want("setting the room up", false)
		b.post(t, disconnectPath+"?delete=1", 202)
		want("disconnect", false)
		advance(2 * time.Minute)
		want("cleaning the room up", false)
	})
}

// A login by QR code waits for Telegram as every login does, though it is a GET.
func TestQRLoginIsNoRead(t *testing.T) {
	b := newBridge(t)
	var fromMemory, called atomic.Bool
	b.telegram.On("LoginQR", func(ctx context.Context) error {
		called.Store(true)
		fromMemory.Store(provisioning.CachedReads(ctx))
		return provisioning.ErrLoginTimeout
	})
	b.scan(t, newRequest(http.MethodGet, "/user/@alice:example.com/login/qr", ""), func(*bridge, string) {})
	if !called.Load() || fromMemory.Load() {
		t.Errorf("LoginQR was called: %t, for what may come from memory: %t", called.Load(), fromMemory.Load())
	}
}

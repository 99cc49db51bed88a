package portal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// shows checks what a ghost shows.
func (w *world) shows(telegramID provisioning.TelegramID, name string, avatar id.ContentURIString) {
	w.t.Helper()
	gotName, gotAvatar, ok := w.hs.Profile(w.rooms.GhostID(telegramID))
	assert.True(w.t, ok)
	assert.Equal(w.t, name, gotName)
	assert.Equal(w.t, avatar, gotAvatar)
}

// avatars returns what Avatars does, and expects no error.
func (w *world) avatars(contacts ...provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact) {
	w.t.Helper()
	known, outdated, err := w.rooms.Avatars(w.t.Context(), contacts)
	require.NoError(w.t, err)
	return known, outdated
}

func TestGhostsAreSetUpOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ctx := t.Context()
	var calls atomic.Int64
	zaphod := provisioning.Contact{ID: 42, Name: "Zaphod", PhotoID: 7}
	trillian := provisioning.Contact{ID: 43, Name: "Trillian", PhotoID: 7} // the same photo
	arthur := provisioning.Contact{ID: 44, Name: "Arthur"}
	known, outdated := w.avatars(zaphod, trillian, arthur)
	assert.Empty(t, known)
	assert.Equal(t, []provisioning.Contact{zaphod, trillian}, outdated)

	var wg sync.WaitGroup
	for range 10 {
		for _, c := range []provisioning.Contact{zaphod, trillian} {
			wg.Go(func() { assert.NoError(t, w.rooms.UpdateGhost(ctx, c, photoOf(7, &calls))) })
		}
	}
	wg.Wait()
	require.NoError(t, w.rooms.UpdateGhost(ctx, arthur, nil))
	assert.EqualValues(t, 1, calls.Load(), "downloads")
	assert.Equal(t, 1, w.hs.Uploads())
	assert.Equal(t, 3, w.hs.Calls("register"))
	assert.Equal(t, 5, w.hs.Calls("PUT profile"), "three names, two avatars")
	known, outdated = w.avatars(zaphod, trillian, arthur)
	assert.Empty(t, outdated)
	require.Len(t, known, 2)
	assert.Equal(t, known[42], known[43])
	w.shows(42, "Zaphod", known[42])
	w.shows(44, "Arthur", "")
}

// A ghost is changed when what it shows has changed, by other processes too.
func TestGhostsAreUpdated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ctx := t.Context()
	var calls atomic.Int64
	zaphod := provisioning.Contact{ID: 42, Name: "Zaphod", PhotoID: 7}
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, photoOf(7, &calls)))
	known, _ := w.avatars(zaphod)
	before := w.hs.Calls("PUT profile")
	other, err := portal.NewRooms(ctx, portal.RoomsConfig{AppService: w.as, DB: w.db})
	require.NoError(t, err)
	for _, rooms := range []*portal.Rooms{w.rooms, other} {
		require.NoError(t, rooms.UpdateGhost(ctx, zaphod, photoOf(7, &calls)))
		require.NoError(t, rooms.UpdateGhost(ctx, zaphod, nil))
	}
	assert.Equal(t, before, w.hs.Calls("PUT profile"))
	zaphod.Name, zaphod.PhotoID = "President", 9
	old, outdated := w.avatars(zaphod)
	assert.Equal(t, known[42], old[42], "the old one, until the new one is there")
	assert.Equal(t, []provisioning.Contact{zaphod}, outdated)
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, nil))
	w.shows(42, "President", known[42])
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, photoOf(9, &calls)))
	known, _ = w.avatars(zaphod)
	assert.NotEqual(t, old[42], known[42])
	w.shows(42, "President", known[42])

	// Without a photo, the avatar stays: another account may see one.
	zaphod.PhotoID = 0
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, nil))
	w.shows(42, "President", known[42])
	none, outdated := w.avatars(zaphod)
	assert.Empty(t, none)
	assert.Empty(t, outdated)
	// A photo that is none takes it away.
	require.NoError(t, w.rooms.UpdateGhost(ctx, zaphod, photoOf(0, &calls)))
	w.shows(42, "President", "")
	assert.EqualValues(t, 2, calls.Load())
}

func TestUpdateGhostFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ctx := t.Context()
	var calls atomic.Int64
	c := provisioning.Contact{ID: 42, Name: "Zaphod", PhotoID: 7}
	for _, operation := range []string{"register", "PUT profile", "upload"} {
		w.hs.Fail(operation, 1, 503, "M_UNKNOWN")
		w.checkFault(w.rooms.UpdateGhost(ctx, c, photoOf(7, &calls)), operation)
	}
	_, outdated := w.avatars(c)
	assert.Equal(t, []provisioning.Contact{c}, outdated)
	for _, err := range []error{provisioning.ErrPhotoGone, provisioning.ErrTelegramUnavailable, errors.New("gone")} {
		require.ErrorIs(t, w.rooms.UpdateGhost(ctx, c, failing(err)), err)
	}
	w.shows(42, "Zaphod", "")
	require.NoError(t, w.rooms.UpdateGhost(ctx, c, photoOf(7, &calls)))
	known, _ := w.avatars(c)
	w.shows(42, "Zaphod", known[42])

	// Somebody has registered it before.
	require.NoError(t, w.as.Intent(w.rooms.GhostID(43)).EnsureRegistered(ctx))
	require.NoError(t, w.rooms.UpdateGhost(ctx, provisioning.Contact{ID: 43, Name: "Trillian"}, nil))
	w.shows(43, "Trillian", "")

	exec(t, w.db, `DROP TABLE tgprovision_ghost`)
	_, _, err := w.rooms.Avatars(ctx, []provisioning.Contact{c})
	require.ErrorContains(t, err, "look up ghosts")
	require.ErrorContains(t, w.rooms.UpdateGhost(ctx, c, nil), "look up ghosts")
	_, err = w.rooms.CreateDirect(ctx, w.alice.UserID, c)
	require.ErrorContains(t, err, "look up ghosts")
	require.ErrorContains(t, w.rooms.SetUpPortal(ctx, provisioning.PortalSetup{
		Portal: provisioning.Portal{RoomID: w.mightyWithoutGhost(), ChatID: 42, Receiver: 7},
	}), "look up ghosts")
}

// Whoever waits for somebody else's upload stops waiting with their context, and the
// next takes over from one that fails.
func TestWaitingForTheUploadOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	c, other := provisioning.Contact{ID: 42, Name: "Zaphod", PhotoID: 7}, provisioning.Contact{ID: 43, Name: "Trillian", PhotoID: 7}
	downloading, fail := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- w.rooms.UpdateGhost(t.Context(), c, func(context.Context) (provisioning.Photo, error) {
			close(downloading)
			<-fail
			return provisioning.Photo{}, context.Canceled // of another context than the call's
		})
	}()
	<-downloading
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	done := make(chan error)
	for _, contact := range []provisioning.Contact{c, other} {
		go func() { done <- w.rooms.UpdateGhost(ctx, contact, photoOf(7, &calls)) }()
	}
	go func() { done <- w.rooms.UpdateGhost(t.Context(), other, photoOf(7, &calls)) }()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.ErrorIs(t, <-done, context.Canceled)
	assert.Zero(t, calls.Load())
	close(fail)
	require.ErrorIs(t, <-first, context.Canceled)
	require.NoError(t, <-done)
	assert.EqualValues(t, 1, calls.Load())
	known, _ := w.avatars(other)
	w.shows(43, "Trillian", known[43])
}

func TestDisplayNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: w.as, DB: w.db, DisplayName: "{name} (Telegram)"})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, rooms.UpdateGhost(t.Context(), provisioning.Contact{ID: 42, Name: "{name}\x00 & \xff"}, nil))
	}
	w.shows(42, "{name} & \ufffd (Telegram)", "")
	assert.Equal(t, 1, w.hs.Calls("PUT profile"))
}

// A list of contacts is of any length.
func TestAvatarsOfManyContacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var calls atomic.Int64
	var many []provisioning.Contact
	for i := range provisioning.TelegramID(12_000) {
		many = append(many, provisioning.Contact{ID: 1000 + i, Name: "N", PhotoID: 1})
	}
	require.NoError(t, w.rooms.UpdateGhost(t.Context(), many[11_999], photoOf(1, &calls)))
	known, outdated := w.avatars(many...)
	assert.Len(t, known, 1)
	assert.Equal(t, many[:11_999], outdated)
	known, outdated = w.avatars()
	assert.Empty(t, known)
	assert.Empty(t, outdated)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := w.rooms.Avatars(ctx, many)
	require.ErrorIs(t, err, context.Canceled)
}

// A bridge can say itself which Matrix users are ghosts, those of channels among them.
func TestBridgeSaysWhoIsAGhost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ghostID := func(telegramID provisioning.TelegramID) id.UserID {
		return id.UserID(fmt.Sprintf("@telegram_%d:example.com", telegramID))
	}
	const firstChannel = 1000 // from here on, ghosts are channels'
	parse := func(userID id.UserID) (telegramID provisioning.TelegramID, ghost bool) {
		if _, err := fmt.Sscanf(string(userID), "@telegram_%d:", &telegramID); err != nil {
			return 0, false
		}
		if telegramID >= firstChannel {
			telegramID = 0
		}
		return telegramID, true
	}
	cfg := portal.RoomsConfig{AppService: w.as, DB: w.db, GhostID: ghostID, ParseGhost: parse}
	rooms, err := portal.NewRooms(t.Context(), cfg)
	require.NoError(t, err)
	assert.Equal(t, id.UserID("@telegram_42:example.com"), rooms.GhostID(42))
	for userID, want := range map[id.UserID]struct {
		telegramID provisioning.TelegramID
		ghost      bool
	}{
		"@telegram_42:example.com": {42, true}, "@telegram_1007:example.com": {0, true}, w.alice.UserID: {0, false}, botID: {0, false},
	} {
		telegramID, ghost := rooms.ParseGhost(userID)
		assert.Equal(t, want.telegramID, telegramID, userID)
		assert.Equal(t, want.ghost, ghost, userID)
		assert.Equal(t, want.ghost || userID == botID, rooms.IsBridgeUser(userID), userID)
	}
	// A channel's ghost in a room is neither a Telegram user nor a Matrix user there.
	roomID := w.withBot(mautrix.ReqCreateRoom{Name: "Room"})
	w.addGhosts(roomID, 42, 1)
	w.addGhosts(roomID, 1007, 1)
	room, err := rooms.Room(t.Context(), roomID, provisioning.RoomQuery{Content: true})
	require.NoError(t, err)
	assert.Equal(t, []provisioning.TelegramID{42}, room.Ghosts)
	assert.Equal(t, []id.UserID{w.alice.UserID}, room.Users)

	for _, c := range []struct {
		want   string
		change func(*portal.RoomsConfig)
	}{
		{"set both of GhostID and ParseGhost", func(c *portal.RoomsConfig) { c.GhostID = nil }},
		{"set both of GhostID and ParseGhost", func(c *portal.RoomsConfig) { c.ParseGhost = nil }},
		{"set either GhostTemplate, or", func(c *portal.RoomsConfig) { c.GhostTemplate = "telegram_{id}" }},
	} {
		bad := cfg
		c.change(&bad)
		_, err := portal.NewRooms(t.Context(), bad)
		require.ErrorContains(t, err, c.want)
	}
}

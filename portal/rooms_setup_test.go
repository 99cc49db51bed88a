package portal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
)

// photoOf returns a photo, and counts how often.
func photoOf(photoID int64, calls *atomic.Int64) provisioning.PhotoFunc {
	return func(context.Context) (provisioning.Photo, error) {
		calls.Add(1)
		return provisioning.Photo{ID: photoID, Data: []byte("photo"), Type: "image/jpeg"}, nil
	}
}

// failing is a photo that can't be had.
func failing(err error) provisioning.PhotoFunc {
	return func(context.Context) (provisioning.Photo, error) { return provisioning.Photo{}, err }
}

// news is a channel, as a portal in a room.
func news(roomID id.RoomID, photo provisioning.PhotoFunc) provisioning.PortalSetup {
	return provisioning.PortalSetup{UserID: "@alice:example.com", Photo: photo, Portal: provisioning.Portal{
		RoomID: roomID, ChatID: provisioning.ChannelChatID(9), Title: "News", About: "All of it", Username: "news",
	}}
}

const newsKey = "fi.mau.telegram://telegram/-1000000000009"

// newsInfo is the bridge info of news.
func newsInfo(avatar string) string {
	if avatar != "" {
		avatar = fmt.Sprintf(`,"avatar_url":%q`, avatar)
	}
	return `{"bridgebot":"@telegrambot:example.com","creator":"@alice:example.com",` +
		`"protocol":{"id":"telegram","displayname":"Telegram","external_url":"https://telegram.org/"},` +
		`"channel":{"id":"-1000000000009","displayname":"News","external_url":"https://t.me/news"` + avatar + `}}`
}

// avatar returns a room's avatar.
func (w *world) avatar(roomID id.RoomID) string {
	var content event.RoomAvatarEventContent
	_ = json.Unmarshal([]byte(w.state(roomID, "m.room.avatar", "")), &content)
	return string(content.URL)
}

// mightyWithoutGhost makes a room that the bot has the power to change, without a ghost.
func (w *world) mightyWithoutGhost() id.RoomID {
	w.t.Helper()
	roomID := w.room(mautrix.ReqCreateRoom{Preset: "public_chat"})
	w.join(roomID, botID)
	w.empower(roomID, botID, 50)
	return roomID
}

// mighty makes a room that the bot has the power to change.
func (w *world) mighty(request mautrix.ReqCreateRoom) id.RoomID {
	roomID := w.withBot(request)
	w.empower(roomID, botID, 50)
	return roomID
}

func TestSetUpPortal(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"10", "12"} {
		w := newWorld(t, version)
		var calls atomic.Int64
		roomID := w.mighty(mautrix.ReqCreateRoom{})
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
		avatar := w.avatar(roomID)
		media, ok := w.hs.Media(id.ContentURIString(avatar))
		assert.True(t, ok)
		assert.Equal(t, matrixtest.Media{Data: []byte("photo"), Type: "image/jpeg"}, media)
		assert.JSONEq(t, newsInfo(avatar), w.state(roomID, "m.bridge", newsKey))
		assert.JSONEq(t, newsInfo(avatar), w.state(roomID, "uk.half-shot.bridge", newsKey))
		assert.JSONEq(t, `{"name":"News"}`, w.state(roomID, "m.room.name", ""))
		assert.JSONEq(t, `{"topic":"All of it"}`, w.state(roomID, "m.room.topic", ""))

		// Again changes nothing, and asks for no photo.
		before := w.hs.Calls("PUT state")
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, nil)))
		assert.Equal(t, before, w.hs.Calls("PUT state"))
		assert.EqualValues(t, 1, calls.Load())

		// Only what has changed is sent.
		renamed := news(roomID, nil)
		renamed.Portal.Title = "Olds"
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), renamed))
		assert.Equal(t, before+2, w.hs.Calls("PUT state"))
		assert.JSONEq(t, `{"name":"News"}`, w.state(roomID, "m.room.name", ""))
	}
}

// What the room has stays.
func TestSetUpPortalKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var calls atomic.Int64
	roomID := w.mighty(mautrix.ReqCreateRoom{Name: "Mine", Topic: "Ours"})
	require.NoError(t, w.hs.SetState(roomID, "m.room.avatar", "", `{"url":"mxc://example.com/mine"}`))
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
	assert.JSONEq(t, newsInfo(""), w.state(roomID, "m.bridge", newsKey), "the avatar is not the chat's")
	assert.JSONEq(t, `{"name":"Mine"}`, w.state(roomID, "m.room.name", ""))
	assert.JSONEq(t, `{"topic":"Ours"}`, w.state(roomID, "m.room.topic", ""))
	assert.JSONEq(t, `{"url":"mxc://example.com/mine"}`, w.state(roomID, "m.room.avatar", ""))
	assert.Zero(t, calls.Load())

	// What was removed, or makes no sense, is not there.
	for _, eventType := range []string{"m.room.name", "m.room.topic", "m.room.avatar"} {
		require.NoError(t, w.hs.SetState(roomID, eventType, "", `{"name":"","topic":7}`))
	}
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
	assert.JSONEq(t, `{"name":"News"}`, w.state(roomID, "m.room.name", ""))
	assert.JSONEq(t, `{"topic":"All of it"}`, w.state(roomID, "m.room.topic", ""))
	assert.NotEmpty(t, w.avatar(roomID))
}

// A bot without power sets nothing, and that is no error; one with some power sets what
// it may.
func TestSetUpPortalWithoutPower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var calls atomic.Int64
	roomID := w.withBot(mautrix.ReqCreateRoom{})
	before := w.hs.Calls("PUT state")
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
	assert.Equal(t, before, w.hs.Calls("PUT state"), "nothing is tried that is refused")
	assert.Zero(t, calls.Load())

	require.NoError(t, w.hs.SetState(roomID, "m.room.power_levels", "", `{"users":{"@alice:example.com":100},"events":{"m.bridge":0,"m.room.topic":0}}`))
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
	assert.JSONEq(t, newsInfo(""), w.state(roomID, "m.bridge", newsKey))
	assert.JSONEq(t, `{"topic":"All of it"}`, w.state(roomID, "m.room.topic", ""))
	assert.Empty(t, w.state(roomID, "m.room.name", "")+w.state(roomID, "uk.half-shot.bridge", newsKey)+w.avatar(roomID))
	assert.Zero(t, calls.Load())

	// The homeserver refuses what it should allow.
	second := w.mighty(mautrix.ReqCreateRoom{})
	w.hs.Fail("PUT state", 100, 403, "M_FORBIDDEN")
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(second, photoOf(7, &calls))))
	w.hs.Fail("PUT state", 0, 0, "")
	assert.Empty(t, w.state(second, "m.bridge", newsKey))
}

// A photo is uploaded once, whatever the number of rooms, also at once.
func TestSetUpPortalsWithOnePhoto(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var calls atomic.Int64
	var rooms []id.RoomID
	for range 5 {
		rooms = append(rooms, w.mighty(mautrix.ReqCreateRoom{}))
	}
	var wg sync.WaitGroup
	for _, roomID := range rooms {
		wg.Go(func() { assert.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls)))) })
	}
	wg.Wait()
	assert.Equal(t, 1, w.hs.Uploads())
	for _, roomID := range rooms {
		assert.Equal(t, w.avatar(rooms[0]), w.avatar(roomID))
	}
	// Nor for a ghost.
	require.NoError(t, w.rooms.UpdateGhost(t.Context(), provisioning.Contact{ID: 1, Name: "A", PhotoID: 7}, photoOf(7, &calls)))
	assert.Equal(t, 1, w.hs.Uploads())
}

// A photo that can't be had is left out; a homeserver that can't take it now is an error,
// and the next time sets what is missing.
func TestSetUpPortalWithoutPhoto(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var calls atomic.Int64
	roomID := w.mighty(mautrix.ReqCreateRoom{})
	for _, err := range []error{provisioning.ErrPhotoGone, provisioning.ErrTelegramUnavailable, errors.New("disk on fire"), context.DeadlineExceeded} {
		require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, failing(err))))
	}
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, func(context.Context) (provisioning.Photo, error) {
		return provisioning.Photo{ID: 7}, nil // without data
	})))
	w.hs.Fail("upload", 1, 413, "M_TOO_LARGE")
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls))))
	assert.Empty(t, w.avatar(roomID))
	assert.JSONEq(t, newsInfo(""), w.state(roomID, "m.bridge", newsKey))

	second := w.mighty(mautrix.ReqCreateRoom{})
	w.hs.Fail("upload", 1, 503, "M_UNKNOWN")
	w.checkFault(w.rooms.SetUpPortal(t.Context(), news(second, photoOf(8, &calls))), "upload")
	assert.JSONEq(t, newsInfo(""), w.state(second, "m.bridge", newsKey), "the rest is done")
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), news(second, photoOf(8, &calls))))
	assert.NotEmpty(t, w.avatar(second))
	assert.JSONEq(t, newsInfo(w.avatar(second)), w.state(second, "m.bridge", newsKey))

	third := w.mighty(mautrix.ReqCreateRoom{})
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, w.rooms.SetUpPortal(ctx, news(third, func(ctx context.Context) (provisioning.Photo, error) {
		cancel()
		return provisioning.Photo{}, ctx.Err()
	})), context.Canceled)
	exec(t, w.db, `DROP TABLE tgprovision_photo`)
	require.ErrorContains(t, w.rooms.SetUpPortal(t.Context(), news(third, photoOf(9, &calls))), "look up a photo")
}

// Every step may fail: the next time does the rest.
func TestSetUpPortalIsRepeatedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	roomID := w.mighty(mautrix.ReqCreateRoom{})
	var calls atomic.Int64
	for step := 1; ; step++ {
		n := 0
		w.intercept(func(*http.Request) {
			if n++; n == step {
				w.hs.Fail("", 1, 503, "M_UNKNOWN")
			}
		})
		err := w.rooms.SetUpPortal(t.Context(), news(roomID, photoOf(7, &calls)))
		w.intercept(nil)
		if n < step {
			require.NoError(t, err)
			break
		}
		w.checkFault(err, fmt.Sprint(step))
	}
	assert.JSONEq(t, newsInfo(w.avatar(roomID)), w.state(roomID, "m.bridge", newsKey))
	assert.JSONEq(t, newsInfo(w.avatar(roomID)), w.state(roomID, "uk.half-shot.bridge", newsKey))
	assert.JSONEq(t, `{"name":"News"}`, w.state(roomID, "m.room.name", ""))
	assert.Equal(t, 1, w.hs.Uploads())
}

// A direct chat has no name of its own, and shows the person's avatar.
func TestSetUpDirectPortal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var calls atomic.Int64
	roomID := w.mighty(mautrix.ReqCreateRoom{})
	p := provisioning.Portal{RoomID: roomID, ChatID: 42, Receiver: 7, Title: "Zaphod", About: "Hi"}
	require.NoError(t, w.rooms.UpdateGhost(t.Context(), provisioning.Contact{ID: 42, Name: "Zaphod", PhotoID: 5}, photoOf(5, &calls)))
	require.NoError(t, w.rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p, Photo: photoOf(6, &calls)}))
	assert.Empty(t, w.state(roomID, "m.room.name", "")+w.state(roomID, "m.room.topic", "")+w.avatar(roomID))
	_, avatar, _ := w.hs.Profile(ghostID)
	assert.JSONEq(t, fmt.Sprintf(`{"bridgebot":"@telegrambot:example.com",
		"protocol":{"id":"telegram","displayname":"Telegram","external_url":"https://telegram.org/"},
		"channel":{"id":"42","displayname":"Zaphod","avatar_url":%q}}`, avatar), w.state(roomID, "m.bridge", "fi.mau.telegram://telegram/7/42"))
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "10")
	roomID := w.mighty(mautrix.ReqCreateRoom{Preset: "private_chat", Topic: "Ours"})
	var photos atomic.Int64
	require.NoError(t, w.rooms.Describe(t.Context(), news(roomID, photoOf(1, &photos))))
	assert.JSONEq(t, `{"name":"News"}`, w.state(roomID, "m.room.name", ""))
	assert.Contains(t, w.state(roomID, "m.room.topic", ""), "Ours", "a topic that the room has stays")
	assert.NotEmpty(t, w.avatar(roomID))
	assert.Empty(t, w.state(roomID, "m.bridge", newsKey), "the bridge sends its own bridge info")

	_, err := w.client(botID).LeaveRoom(t.Context(), roomID)
	require.NoError(t, err)
	assert.ErrorIs(t, w.rooms.Describe(t.Context(), news(roomID, nil)), provisioning.ErrBridgeBotNotInRoom)
}

// A bridge that sends its own bridge info has that removed with the portal.
func TestBridgeInfoKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "10")
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{
		AppService: w.as, DB: w.db, BridgeInfoKey: func(provisioning.Portal) string { return "its own" },
	})
	require.NoError(t, err)
	for _, everybody := range []bool{false, true} {
		roomID := w.mighty(mautrix.ReqCreateRoom{Preset: "private_chat"})
		setup := news(roomID, nil)
		require.NoError(t, rooms.SetUpPortal(t.Context(), setup))
		assert.JSONEq(t, newsInfo(""), w.state(roomID, "m.bridge", "its own"))
		require.NoError(t, rooms.CleanUp(t.Context(), setup.Portal, everybody))
		assert.JSONEq(t, `{}`, w.state(roomID, "m.bridge", "its own"))
	}
}

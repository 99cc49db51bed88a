package provisioning_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// grown is the supergroup that the family becomes.
var grown = provisioning.ChatInfo{
	ID: provisioning.ChannelChatID(2002), Title: "Big family", About: "All of us", Username: "family", Megagroup: true, MigratedFrom: family.ID,
}

const (
	byFamily = "/portal/-1001"
	byGrown  = "/portal/-1000000002002"
	byRoom   = "/portal/!room:example.com"
)

// grow makes the family a supergroup.
func (b *bridge) grow() {
	b.telegram.AddGroup(provisioningtest.TelegramGroup{ChatInfo: grown, Members: []provisioning.TelegramID{aliceAccount.ID, botAccount.ID}})
}

// told collects the events that the host is told of.
type told struct {
	mu     sync.Mutex
	events []provisioning.Event
}

func (e *told) hook(_ *bridge, cfg *provisioning.Config) {
	cfg.Events = func(_ context.Context, event provisioning.Event) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		event.ID = ""
		e.events = append(e.events, event)
		return nil
	}
}

// want expects exactly one event of a type.
func (e *told) want(t *testing.T, want provisioning.Event) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	var got []provisioning.Event
	for _, event := range e.events {
		if event.Type == want.Type {
			got = append(got, event)
		}
	}
	if !slices.Equal(got, []provisioning.Event{want}) {
		t.Errorf("the host was told %+v, want %+v", got, want)
	}
}

// wantChat expects the portal of a path to be the room's, and of a chat.
func (b *bridge) wantChat(t *testing.T, path string, chatID provisioning.ChatID) {
	t.Helper()
	a := b.call(t, http.MethodGet, path, "")
	a.want(t, 200, "")
	if want := fmt.Sprintf(`{"mxid":%q,"chat_id":%d,`, room, chatID); !strings.HasPrefix(a.body, want) {
		t.Errorf("GET %s: %s, want %s…", path, a.body, want)
	}
}

// A portal of a basic group that has become a supergroup is found by the ID of either, whichever
// comes first, and shows the supergroup.
func TestMigratedGroupIsFound(t *testing.T) {
	for _, first := range []string{byFamily, byGrown, byRoom, byGrown + asAlice, byFamily + asAlice} {
		var events told
		b := newBridge(t, withRelay, events.hook)
		b.rooms.Add("!third:example.com", provisioningtest.MemRoom{})
		b.logIn(t, alice, aliceAccount)
		b.post(t, "/portal/!room:example.com/connect/-1001"+asAlice, 202)
		b.post(t, "/portal/!other:example.com/connect/-1000000000009", 202)
		was := b.portal(t, room)
		b.wantChat(t, byFamily, family.ID)
		if _, err := b.portals.PortalByChat(t.Context(), grown.ID, 0); err == nil {
			t.Fatal("the supergroup is bridged before it is there")
		}
		b.grow()
		for _, path := range []string{first, byFamily, byGrown, byRoom} {
			b.wantChat(t, path, grown.ID)
		}
		b.post(t, "/portal/!third:example.com/connect/-1001", 409)
		b.post(t, "/portal/!third:example.com/connect/-1000000002002", 409)
		for _, path := range []string{"/portal/!room:example.com/connect/-1001", "/portal/!room:example.com/connect/-1000000002002"} {
			b.call(t, http.MethodPost, path, "").want(t, 200, "bridge_exists")
		}
		is := b.portal(t, room)
		b.close(t)
		b.wantNoTasks(t)
		events.want(t, provisioning.Event{Type: provisioning.EventPortalMoved, Portal: is, Former: was})
		if r := b.room(room); r.Portal != is || len(r.Earlier) != 0 || len(r.Ghosts) == 0 {
			t.Errorf("%s: the room is %+v", first, r)
		}
	}
}

// The portal of a group that has become a supergroup moves when somebody connects that.
func TestConnectMigratedGroup(t *testing.T) {
	for _, c := range []struct {
		path    string
		status  int
		errcode string
	}{
		{"/portal/!other:example.com/connect/-1001", 409, "chat_already_bridged"},
		{"/portal/!other:example.com/connect/-1000000002002", 409, "chat_already_bridged"},
		{"/portal/!room:example.com/connect/-1000000002002", 200, "bridge_exists"},
		{"/portal/!room:example.com/connect/-1001", 200, "bridge_exists"},
		{"/portal/!room:example.com/connect/-1000000000009", 409, "room_already_bridged"},
		{"/portal/!other:example.com/connect/-1000000002002?force=unbridge", 202, ""},
	} {
		b := newBridge(t, withRelay)
		bridged(room, family)(t, b)
		b.grow()
		b.call(t, http.MethodPost, c.path, "").want(t, c.status, c.errcode)
		b.close(t)
		b.wantNoTasks(t)
		if c.status == 202 {
			wantPortal(otherRoom, grown.ID)(t, b)
		}
	}
}

// A supergroup that is connected is found by the basic group that it was.
func TestConnectedSupergroupIsFoundByItsGroup(t *testing.T) {
	b := newBridge(t, withRelay)
	b.grow()
	b.post(t, "/portal/!room:example.com/connect/-1001", 202)
	for _, path := range []string{byFamily, byGrown, byRoom} {
		b.wantChat(t, path, grown.ID)
	}
	if n := b.telegram.Calls("Migrations"); n != 0 {
		t.Errorf("%d calls of Migrations for what is recorded", n)
	}
	// One that was connected when nobody knew that.
	b = newBridge(t, withRelay)
	b.grow()
	unknown := grown
	unknown.MigratedFrom = 0
	bridged(room, unknown)(t, b)
	b.wantChat(t, byFamily, grown.ID)
	b.call(t, http.MethodPost, "/portal/!room:example.com/connect/-1001", "").want(t, 200, "bridge_exists")
	b.call(t, http.MethodPost, "/portal/!other:example.com/connect/-1001", "").want(t, 409, "chat_already_bridged")
}

// Where Telegram does not answer, a portal is what is recorded.
func TestMigrationIsNotWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		bridged(room, family)(t, b)
		b.grow()
		b.telegram.On("Migrations", sleep(time.Hour))
		b.telegram.On("GetChat", sleep(time.Hour))
		start := time.Now()
		b.wantChat(t, byFamily, family.ID)
		b.wantChat(t, byRoom, family.ID)
		b.call(t, http.MethodGet, byGrown, "").want(t, 404, "portal_not_found")
		if took := time.Since(start); took > 3*2*time.Second {
			t.Errorf("the answers took %s", took)
		}
		b.telegram.Fail("Migrations", &provisioning.FloodWaitError{Wait: time.Hour})
		b.wantChat(t, byFamily, family.ID)
	})
}

// A supergroup asks nobody, and neither does a group without anybody to ask.
func TestOnlyBasicGroupsAreLookedAt(t *testing.T) {
	b := newBridge(t, withRelay)
	bridged(room, news)(t, b)
	b.call(t, http.MethodGet, byRoom, "").want(t, 200, "")
	b.call(t, http.MethodGet, byGrown, "").want(t, 404, "portal_not_found")
	if n := b.telegram.Calls("Migrations"); n != 0 {
		t.Errorf("%d calls of Migrations", n)
	}
	b = newBridge(t, inRooms)
	bridged(room, family)(t, b)
	b.grow()
	b.wantChat(t, byFamily, family.ID)
}

// Both were bridged when nobody knew that they are one chat: they stay.
func TestBothSidesOfAMigrationAreBridged(t *testing.T) {
	b := newBridge(t, withRelay)
	b.rooms.Add("!third:example.com", provisioningtest.MemRoom{})
	bridged(room, family)(t, b)
	unknown := grown
	unknown.MigratedFrom = 0
	bridged(otherRoom, unknown)(t, b)
	b.grow()
	b.wantChat(t, byFamily, family.ID)
	b.call(t, http.MethodPost, "/portal/!third:example.com/connect/-1000000002002"+asAdmin, "").want(t, 409, "chat_already_bridged")
}

// portal returns what is recorded of a room's portal.
func (b *bridge) portal(t testing.TB, roomID id.RoomID) provisioning.Portal {
	t.Helper()
	p, err := b.portals.PortalByRoom(t.Context(), roomID)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// upgrade makes otherRoom the room that room was upgraded to.
func upgrade(b *bridge) {
	was, is := b.room(room), b.room(otherRoom)
	was.Replacement, is.Predecessor = otherRoom, room
	b.rooms.Add(room, was)
	b.rooms.Add(otherRoom, is)
}

// The portal of a room that was upgraded moves to its replacement, which somebody who may
// bridge that connects to the chat.
func TestConnectUpgradedRoom(t *testing.T) {
	for name, c := range map[string]struct {
		change func(was, is *provisioningtest.MemRoom)
		query  string
		status int
	}{
		"":                        {status: 202},
		"as alice":                {query: asAlice, status: 202},
		"without her rights":      {query: "?user_id=@bob:example.com", status: 403},
		"no predecessor":          {change: func(_, is *provisioningtest.MemRoom) { is.Predecessor = "" }, status: 409},
		"another predecessor":     {change: func(_, is *provisioningtest.MemRoom) { is.Predecessor = closed }, status: 409},
		"no tombstone":            {change: func(was, _ *provisioningtest.MemRoom) { was.Replacement = "" }, status: 409},
		"another tombstone":       {change: func(was, _ *provisioningtest.MemRoom) { was.Replacement = closed }, status: 409},
		"an old room without bot": {change: func(was, _ *provisioningtest.MemRoom) { was.NoBot = true }, status: 409},
	} {
		var events told
		b := newBridge(t, withRelay, events.hook)
		b.logIn(t, alice, aliceAccount)
		bridged(room, news)(t, b)
		upgrade(b)
		if c.change != nil {
			was, is := b.room(room), b.room(otherRoom)
			c.change(&was, &is)
			b.rooms.Add(room, was)
			b.rooms.Add(otherRoom, is)
		}
		former := b.portal(t, room)
		a := b.call(t, http.MethodPost, "/portal/!other:example.com/connect/-1000000000009"+c.query, "")
		if a.status != c.status {
			t.Errorf("%q: %d %s, want %d", name, a.status, a.body, c.status)
		}
		b.close(t)
		b.wantNoTasks(t)
		if c.status != 202 {
			wantPortal(room, news.ID)(t, b)
			continue
		}
		wantPortal(otherRoom, news.ID)(t, b)
		event := provisioning.Event{Type: provisioning.EventPortalMoved, TelegramID: botAccount.ID, Portal: b.portal(t, otherRoom), Former: former}
		if c.query == asAlice {
			event.UserID, event.TelegramID = alice, aliceAccount.ID
		}
		events.want(t, event)
		was, is := b.room(room), b.room(otherRoom)
		if was.Portal.ChatID != 0 || len(was.Ghosts) != 0 || len(was.Users) == 0 || was.NoBot {
			t.Errorf("the old room is %+v", was)
		}
		if is.Portal.ChatID != news.ID {
			t.Errorf("the new room is %+v", is)
		}
	}
}

// Of two rooms, only the one that the portal's was upgraded to gets it.
func TestRaceForAnUpgradedRoom(t *testing.T) {
	b := newBridge(t, withRelay)
	bridged(room, news)(t, b)
	upgrade(b)
	var group sync.WaitGroup
	answers := make([]answer, 10)
	for i := range answers {
		group.Go(func() {
			answers[i] = b.call(t, http.MethodPost, "/portal/!other:example.com/connect/-1000000000009", "")
		})
	}
	group.Wait()
	count := map[int]int{}
	for _, a := range answers {
		count[a.status]++
	}
	if count[202] != 1 || count[200] != len(answers)-1 {
		t.Errorf("the answers are %v", count)
	}
	wantPortal(otherRoom, news.ID)(t, b)
}

// What a portal of a basic group has promised is done for the supergroup.
func TestMigratedBeforeTheSetUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		b.rooms.Fail("SetUpPortal", provisioning.ErrHomeserver)
		b.post(t, "/portal/!room:example.com/connect/-1001", 202)
		synctest.Wait()
		b.grow()
		b.wantChat(t, byGrown, grown.ID)
		b.rooms.Fail("SetUpPortal", nil)
		advance(time.Minute)
		b.wantNoTasks(t)
		if r := b.room(room); r.Portal.ChatID != grown.ID || len(r.Earlier) != 0 || len(r.Ghosts) == 0 {
			t.Errorf("the room is %+v", r)
		}
	})
}

// A host tells of what it hears of.
func TestHostTellsOfAMove(t *testing.T) {
	var events told
	b := newBridge(t, withRelay, events.hook)
	bridged(room, family)(t, b)
	was := b.portal(t, room)
	for range 2 {
		if err := b.provisioner.ChatMigrated(t.Context(), family.ID, grown.ID); err != nil {
			t.Fatal(err)
		}
	}
	b.wantChat(t, byFamily, grown.ID)
	moved := func() string {
		did, err := b.provisioner.RoomUpgraded(t.Context(), room, otherRoom)
		return fmt.Sprint(did, err)
	}
	if got := moved(); got != "false <nil>" {
		t.Errorf("a room that was not upgraded: %s", got)
	}
	is := b.portal(t, room)
	upgrade(b)
	bridged(otherRoom, news)(t, b)
	if got := moved(); got != "false move a portal: "+provisioning.ErrRoomBridged.Error() {
		t.Errorf("a bridged room: %s", got)
	}
	b.post(t, "/portal/!other:example.com/disconnect", 202)
	if got := moved() + moved(); got != "true <nil>false <nil>" {
		t.Errorf("an upgraded room: %s", got)
	}
	wantPortal(otherRoom, grown.ID)(t, b)
	b.close(t)
	events.mu.Lock()
	defer events.mu.Unlock()
	var got []provisioning.Event
	for _, event := range events.events {
		if event.Type == provisioning.EventPortalMoved {
			got = append(got, event)
		}
	}
	after := is
	after.RoomID = otherRoom
	// The first is told only where it is the portal still.
	want := provisioning.Event{Type: provisioning.EventPortalMoved, Portal: after, Former: is}
	first := provisioning.Event{Type: provisioning.EventPortalMoved, Portal: is, Former: was}
	if !slices.Contains(got, want) || slices.ContainsFunc(got, func(e provisioning.Event) bool { return e != want && e != first }) {
		t.Errorf("the host was told %+v", got)
	}
	var none id.RoomID
	withoutAny := newBridge(t, withoutRooms)
	if _, err := withoutAny.provisioner.RoomUpgraded(t.Context(), none, none); err == nil {
		t.Error("a bridge without rooms follows one")
	}
}

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
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// One of many racing requests wins, for one chat as for one room.
func TestRacingConnects(t *testing.T) {
	const racers = 50
	for name, path := range map[string]func(int) string{
		"one chat": func(i int) string { return fmt.Sprintf("/portal/!r%d/connect/-1000000000009", i) },
		"one room": func(i int) string {
			return fmt.Sprintf("/portal/!room:example.com/connect/-%d", 100+i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, withRelay)
			for i := range racers {
				b.rooms.Add(id.RoomID(fmt.Sprintf("!r%d", i)), provisioningtest.MemRoom{})
				b.telegram.AddGroup(provisioningtest.TelegramGroup{
					ChatInfo: provisioning.ChatInfo{ID: provisioning.BasicGroupChatID(100 + int64(i))}, Members: []provisioning.TelegramID{botAccount.ID},
				})
			}
			statuses := make([]int, racers)
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() { statuses[i] = b.call(t, http.MethodPost, path(i), "").status })
			}
			wg.Wait()
			slices.Sort(statuses)
			if statuses[0] != 202 || statuses[1] != 409 || statuses[racers-1] != 409 {
				t.Errorf("the answers are %v, want one 202 and 409 else", statuses)
			}
		})
	}
}

// Racing requests for one room make one chat on Telegram.
func TestRacingCreates(t *testing.T) {
	const racers = 20
	b := newBridge(t, inRooms)
	b.logIn(t, alice, aliceAccount)
	statuses := make([]int, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			statuses[i] = b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).status
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	if statuses[0] != 201 || statuses[1] != 409 || statuses[racers-1] != 409 || b.telegram.Calls("CreateChat") != 1 {
		t.Errorf("the answers are %v after %d chats were created", statuses, b.telegram.Calls("CreateChat"))
	}
}

// The answer to create_portal waits for the invitations, but not for ever.
func TestCreateWithSlowInvitations(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.telegram.On("InviteToChat", sleep(time.Minute))
		start := time.Now()
		b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).wantBody(t, 201, `{"chat_id":-1000000000001}`)
		if took := time.Since(start); took != provisioning.DefaultTimeout {
			t.Errorf("the answer came after %s", took)
		}
		advance(time.Minute)
		if g, _ := b.telegram.Group(provisioning.ChannelChatID(1)); len(g.Members) != 2 {
			t.Errorf("the members are %v", g.Members)
		}
		b.wantNoTasks(t)
	})
}

// Who can't be invited any more is no reason to try for ever.
func TestCreatorLogsOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.telegram.Fail("InviteToChat", provisioning.ErrTelegramUnavailable)
		b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).want(t, 201, "")
		if len(b.portals.Tasks()) == 0 {
			t.Error("the invitations are not to be tried again")
		}
		b.telegram.Fail("InviteToChat", nil)
		b.telegram.EndSession(alice)
		advance(time.Minute)
		b.wantNoTasks(t)
	})
}

// A portal that can't be recorded leaves no chat, and a word in the log where even
// that fails.
func TestCreatedChatCantBeDeleted(t *testing.T) {
	b := newBridge(t, inRooms)
	b.logIn(t, alice, aliceAccount)
	b.portals.Fail("Connect", errors.New("disk full"))
	b.telegram.Fail("DeleteChat", provisioning.ErrTelegramUnavailable)
	b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).want(t, 500, "unhandled_error")
	if !strings.Contains(b.log.String(), `"chat_id":-1000000000001`) {
		t.Errorf("the log does not name the chat:\n%s", b.log)
	}
}

func TestCreateWithoutBody(t *testing.T) {
	b := newBridge(t, inRooms)
	b.logIn(t, alice, aliceAccount)
	b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, "").want(t, 400, "json_invalid")
}

// Two processes start the same direct chat.
func TestRacingDirectChats(t *testing.T) {
	const racers = 20
	b := newBridge(t, inRooms)
	b.logIn(t, alice, aliceAccount)
	second := restarted(t, b)
	var mu sync.Mutex
	rooms, created := map[string]int{}, 0
	var wg sync.WaitGroup
	for i := range racers {
		at := []*bridge{b, second}[i%2]
		wg.Go(func() {
			a := at.call(t, http.MethodPost, user(alice, "/pm/1002"), "")
			mu.Lock()
			defer mu.Unlock()
			rooms[a.field("room_id")]++
			if a.status == 201 {
				created++
			}
		})
	}
	wg.Wait()
	if len(rooms) != 1 || rooms[""] != 0 || created != 1 {
		t.Errorf("the rooms are %v, %d were created", rooms, created)
	}
}

// A bridge's room that is no portal here, such as that of a forum's topic, is not free.
func TestConnectToRoomOfTheBridge(t *testing.T) {
	b := newBridge(t, withRelay)
	b.portals.On("Connect", func(context.Context) error { return provisioning.ErrRoomBridged })
	b.rooms.Add("!topic:example.com", provisioningtest.MemRoom{})
	b.call(t, http.MethodPost, "/portal/!topic:example.com/connect/-1000000000009", "").want(t, 409, "room_already_bridged")
}

// A room is disconnected while somebody who wants to connect it to another chat is told that
// it is bridged: it is free, then.
func TestConnectWhileTheRoomIsDisconnected(t *testing.T) {
	b := newBridge(t, withRelay)
	bridged(room, family)(t, b)
	lookups := 0
	b.portals.On("PortalByRoom", func(ctx context.Context) error {
		if lookups++; lookups != 2 {
			return nil
		}
		return b.portals.Disconnect(ctx, provisioning.Portal{RoomID: room, ChatID: family.ID})
	})
	b.post(t, connectPath, 202)
	b.portals.On("PortalByRoom", nil)
	wantPortal(room, news.ID)(t, b)
}

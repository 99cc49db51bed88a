package provisioning_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// forget calls ForgetUser, which has to succeed.
func (b *bridge) forget(t testing.TB, userID id.UserID) provisioning.Forgotten {
	t.Helper()
	done, err := b.provisioner.ForgetUser(t.Context(), userID)
	if err != nil {
		t.Fatalf("ForgetUser(%s): %v", userID, err)
	}
	return done
}

// wantForgotten checks what was forgotten, of portals their rooms alone.
func wantForgotten(t testing.TB, got, want provisioning.Forgotten, rooms ...id.RoomID) {
	t.Helper()
	var ended []id.RoomID
	for _, portal := range got.Portals {
		ended = append(ended, portal.RoomID)
	}
	slices.Sort(ended)
	if !slices.Equal(ended, rooms) {
		t.Errorf("the portals of %q have ended, want %q", ended, rooms)
	}
	got.Portals = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("forgotten is %+v, want %+v", got, want)
	}
}

// startDM starts a direct chat of a user and returns its room.
func (b *bridge) startDM(t testing.TB, userID id.UserID, identifier string) id.RoomID {
	t.Helper()
	a := b.call(t, http.MethodPost, user(userID, "/pm/"+identifier), "")
	if a.status != 200 && a.status != 201 {
		t.Fatalf("start_dm: %d %s", a.status, a.body)
	}
	return id.RoomID(a.field("room_id"))
}

// wantNothingOf checks that nothing is recorded of a user, nor in a task that names text.
func (b *bridge) wantNothingOf(t testing.TB, userID id.UserID) {
	t.Helper()
	if u, err := b.users.User(t.Context(), userID); err != nil || u.TelegramID != 0 {
		t.Errorf("%s is linked: %+v, %v", userID, u, err)
	}
	if account := b.telegram.LoggedIn(userID); account != 0 {
		t.Errorf("%s has a session of %d", userID, account)
	}
	if portals, err := b.portals.UserPortals(t.Context(), userID); err != nil || len(portals) != 0 {
		t.Errorf("%s has portals: %+v, %v", userID, portals, err)
	}
	for _, task := range b.portals.Tasks() {
		if strings.Contains(task.Data, string(userID)) {
			t.Errorf("a task names %s: %s", userID, task.Data)
		}
	}
}

// The direct chats end, with everybody in their rooms; the group's portal stays.
func TestForgetUser(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, withRelay, withEvents(l))
		b.logIn(t, alice, aliceAccount)
		builder, helper := b.startDM(t, alice, "1002"), b.startDM(t, alice, "2001")
		b.post(t, connectPath+asAlice, 202)
		synctest.Wait()
		l.take()
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
			LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Groups: 1, Ghosts: 2,
		}, builder, helper)
		l.want(t, "logout @alice:example.com 1001  0",
			"portal_disconnected @alice:example.com 0 "+string(builder)+" 1002",
			"portal_disconnected @alice:example.com 0 "+string(helper)+" 2001")
		b.wantNothingOf(t, alice)
		b.wantNoTasks(t)
		for _, roomID := range []id.RoomID{builder, helper} {
			if r := b.room(roomID); !r.NoBot || len(r.Users)+len(r.Invited)+len(r.Ghosts) != 0 {
				t.Errorf("somebody is left in a direct room: %+v", r)
			}
		}
		if p, err := b.portals.PortalByRoom(t.Context(), room); err != nil || p.ChatID != news.ID {
			t.Errorf("the group's portal: %+v, %v", p, err)
		}
		if portals, err := b.portals.AccountPortals(t.Context(), 1001); err != nil || len(portals) != 0 {
			t.Errorf("the account takes part in %+v, %v", portals, err)
		}
		if b.rooms.Ghost(1002).Name != "" {
			t.Error("the ghost's name is kept")
		}
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{})
	})
}

func TestForgetHalfDoneLogin(t *testing.T) {
	b := newBridge(t)
	b.login(t, alice, requestAlice)
	wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{LoginCancelled: true})
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`).want(t, 403, "phone_code_expired")
	b.wantNothingOf(t, alice)
}

// A login that Telegram accepted while the half-done one was being cancelled is ended too.
func TestForgetWhileLoggingIn(t *testing.T) {
	b := newBridge(t)
	b.login(t, alice, requestAlice)
	b.telegram.On("CancelLogin", func(context.Context) error {
		b.telegram.On("CancelLogin", nil)
		b.logIn(t, alice, aliceAccount)
		return nil
	})
	wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{LoggedOut: true, Accounts: []provisioning.TelegramID{1001}})
	b.wantNothingOf(t, alice)
}

// Whoever logs in faster than they are logged out is not forgotten, and ForgetUser returns.
func TestForgetSomebodyWhoLogsInAgain(t *testing.T) {
	b := newBridge(t)
	b.telegram.On("CancelLogin", func(context.Context) error {
		b.logIn(t, alice, aliceAccount)
		return nil
	})
	if _, err := b.provisioner.ForgetUser(t.Context(), alice); err == nil {
		t.Error("no error")
	}
}

// The direct chats of somebody who has logged out are theirs still.
func TestForgetAfterLogout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		b.logIn(t, alice, aliceAccount)
		direct := b.startDM(t, alice, "1002")
		b.post(t, connectPath+asAlice, 202)
		b.post(t, user(alice, "/logout"), 200)
		synctest.Wait()
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{Groups: 1, Ghosts: 1}, direct)
		b.wantNothingOf(t, alice)
	})
}

// Portals of before it was recorded who has asked are those of the account that the user is
// logged in with, until somebody asks again.
func TestForgetOlderPortals(t *testing.T) {
	direct := provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 1001}
	for _, loggedIn := range []bool{true, false} {
		for _, again := range []bool{true, false} {
			b := newBridge(t, withRelay)
			b.connect(t, direct, 1001)
			b.logIn(t, alice, aliceAccount)
			if again {
				b.startDM(t, alice, "1002")
			}
			if !loggedIn {
				b.post(t, user(alice, "/logout"), 200)
			}
			done := b.forget(t, alice)
			if found := len(done.Portals) == 1; found != (loggedIn || again) {
				t.Errorf("logged in %t, asked again %t: the portals that have ended are %+v", loggedIn, again, done.Portals)
			}
			b.close(t)
		}
	}
}

// The direct chats of an account end when another user logs in with it: the room is left by
// everybody, and the next one is the other user's. What else the account has is that user's.
func TestForgetAfterTheAccountHasMoved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		b.logIn(t, alice, aliceAccount)
		direct := b.startDM(t, alice, "1002")
		b.post(t, connectPath+asAlice, 202)
		synctest.Wait()
		b.login(t, bob, requestAlice, [2]string{"send_code", `{"code":"01234"}`})
		synctest.Wait()
		if p, err := b.portals.PortalByRoom(t.Context(), direct); !errors.Is(err, provisioning.ErrPortalNotFound) {
			t.Errorf("the direct portal is still there: %+v, %v", p, err)
		}
		if r := b.room(direct); !r.NoBot || len(r.Users)+len(r.Invited)+len(r.Ghosts) != 0 {
			t.Errorf("somebody is left in the direct room: %+v", r)
		}
		fresh := b.startDM(t, bob, "1002")
		if fresh == direct {
			t.Error("the next user has got the room of the one before")
		}
		synctest.Wait()
		for _, want := range []provisioning.Forgotten{
			{Moved: 1},
			{},
		} {
			wantForgotten(t, b.forget(t, alice), want)
			b.wantNothingOf(t, alice)
			b.expectUser(t, bob, 1001, false, 1001)
			if p, err := b.portals.PortalByRoom(t.Context(), fresh); err != nil || p.ChatID != 1002 {
				t.Errorf("the direct portal: %+v, %v", p, err)
			}
			if b.rooms.Ghost(1002).Name == "" {
				t.Error("the ghost is forgotten, whom bob needs")
			}
		}
		b.post(t, user(bob, "/logout"), 200)
		wantForgotten(t, b.forget(t, bob), provisioning.Forgotten{Groups: 1, Ghosts: 1}, fresh)
		synctest.Wait()
		b.wantNoTasks(t)
	})
}

// What was the user's ends also where they log in again meanwhile.
func TestForgetAndLoginAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		direct := b.startDM(t, alice, "1002")
		synctest.Wait() // the room is set up behind the answer
		b.post(t, user(alice, "/logout"), 200)
		b.portals.On("UserPortals", func(context.Context) error {
			b.logIn(t, alice, aliceAccount)
			return nil
		})
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{Ghosts: 1}, direct)
		b.expectUser(t, alice, 1001, false, 1001)
		b.close(t)
	})
}

// Without an AccountFinder, what somebody has left behind who has logged out may be
// another's by now, and stays.
func TestForgetWithoutAccountFinder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms, func(b *bridge, cfg *provisioning.Config) {
			cfg.Users = struct{ provisioning.UserStore }{b.users}
		})
		b.logIn(t, alice, aliceAccount)
		direct := b.startDM(t, alice, "1002")
		synctest.Wait() // the room is set up behind the answer
		b.post(t, user(alice, "/logout"), 200)
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{Ghosts: 1, Missing: []string{"AccountFinder"}})
		b.logIn(t, alice, aliceAccount)
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
			LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Missing: []string{"AccountFinder"},
		}, direct)
		b.close(t)
	})
}

// Avatars of contacts stay as long as somebody who has listed them is there.
func TestForgetContactsWithAvatars(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		account := aliceAccount
		account.ID, account.Phone = 5005, ""
		account.Contacts = []provisioning.Contact{{ID: 100, Name: "C", PhotoID: 1}}
		b.telegram.Add(account)
		b.logIn(t, alice, account)
		b.call(t, http.MethodGet, user(alice, "/contacts"), "").want(t, 200, "")
		synctest.Wait()
		wantForgotten(t, b.forget(t, bob), provisioning.Forgotten{})
		if b.rooms.Ghost(100).Name == "" {
			t.Error("the ghost of alice's contact is forgotten")
		}
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
			LoggedOut: true, Accounts: []provisioning.TelegramID{5005}, Ghosts: 1,
		})
	})
}

// Somebody else's contact stays, with their room.
func TestForgetSharedContact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		b.logIn(t, bob, guardedAccount)
		theirs, shared := b.startDM(t, alice, "1002"), b.startDM(t, alice, "@helper_bot")
		others := b.startDM(t, bob, "@helper_bot")
		synctest.Wait() // the room is set up behind the answer
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
			LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Ghosts: 1,
		}, slices.Sorted(slices.Values([]id.RoomID{theirs, shared}))...)
		if b.rooms.Ghost(1002).Name != "" || b.rooms.Ghost(2001).Name == "" {
			t.Error("the wrong ghost is forgotten")
		}
		b.close(t)
		if r := b.room(others); r.NoBot || len(r.Ghosts) != 1 || !slices.Contains(r.Invited, bob) {
			t.Errorf("bob's room is %+v", r)
		}
		b.expectUser(t, bob, 1002, false, 1002)
	})
}

// validUsers is a factory that is asked for the clients of Matrix users alone.
type validUsers struct {
	provisioning.TelegramClientFactory
	t *testing.T
}

func (f validUsers) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	if userID == "" {
		f.t.Error("the client of nobody is asked for")
	}
	return f.TelegramClientFactory.Client(ctx, userID)
}

// While the homeserver and the host are away, what is of no use any more is dropped, what
// others need goes on without the user, and what was promised is done later.
func TestForgetTasks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		l.fail(errors.New("away"))
		b := newBridge(t, withRelay, withEvents(l), func(_ *bridge, cfg *provisioning.Config) {
			cfg.Telegram = validUsers{cfg.Telegram, t}
		})
		b.login(t, alice, requestAlice, [2]string{"send_code", `{"code":"01234"}`})
		b.rooms.Fail("SetUpPortal", provisioning.ErrHomeserver)
		b.rooms.Fail("CleanUp", provisioning.ErrHomeserver)
		direct := b.startDM(t, alice, "1002")
		b.post(t, connectPath+asAlice, 202)
		synctest.Wait()
		// The events login and portal_created, and two set-ups.
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
			LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Groups: 1, Ghosts: 1, Tasks: 4,
		}, direct)
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{})
		synctest.Wait()
		l.take()
		l.fail(nil)
		b.rooms.Fail("SetUpPortal", nil)
		b.rooms.Fail("CleanUp", nil)
		advance(provisioning.DefaultTaskLifetime / 2)
		l.want(t, "logout @alice:example.com 1001  0", "portal_connected @alice:example.com 1001 !room:example.com -1000000000009",
			"portal_disconnected @alice:example.com 0 "+string(direct)+" 1002")
		b.wantNoTasks(t)
		b.wantNothingOf(t, alice)
		if r := b.room(room); r.Portal.ChatID != news.ID {
			t.Errorf("the group's room is %+v", r)
		}
		if r := b.room(direct); !r.NoBot {
			t.Errorf("the direct room is %+v", r)
		}
	})
}

// Invitations to a chat that was created, and that Telegram does not take, end.
func TestForgetInvitations(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withRelay)
		b.logIn(t, alice, aliceAccount)
		b.telegram.Fail("InviteToChat", provisioning.ErrTelegramUnavailable)
		b.call(t, http.MethodPost, "/portal/!room:example.com/create"+asAlice, `{"type":"supergroup"}`).want(t, 201, "")
		synctest.Wait()
		wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
			LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Groups: 1, Tasks: 1,
		})
		b.wantNoTasks(t)
	})
}

// A task of a later version is left to a process of that version.
func TestForgetLeavesLaterTasks(t *testing.T) {
	b := newBridge(t)
	tasks := []provisioning.NewTask{
		{ID: "a", Kind: "set_up", Data: `{"v":99,"user_id":"@alice:example.com"}`, Delay: provisioning.MaxTaskDelay},
		{ID: "b", Kind: "later", Data: `{"v":99,"user_id":"@alice:example.com"}`, Delay: provisioning.MaxTaskDelay},
	}
	if err := b.portals.AddTasks(t.Context(), tasks...); err != nil {
		t.Fatal(err)
	}
	wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{})
	if n := len(b.portals.Tasks()); n != 2 {
		t.Errorf("%d tasks are left, want 2", n)
	}
}

// Whatever fails, or dies, in the middle: another call does the rest.
func TestForgetAgainAfterAFailure(t *testing.T) {
	for _, c := range []struct {
		part    func(*bridge) *provisioningtest.Script
		methods []string
	}{
		{func(b *bridge) *provisioningtest.Script { return &b.users.Script }, []string{"User", "UnlinkAccount", "AccountUser"}},
		{func(b *bridge) *provisioningtest.Script { return &b.telegram.Script }, []string{"Logout", "LoginProgress", "CancelLogin"}},
		{func(b *bridge) *provisioningtest.Script { return &b.rooms.Script }, []string{"ForgetGhosts"}},
		{func(b *bridge) *provisioningtest.Script { return &b.portals.Script }, []string{
			"AccountPortals", "Disconnect", "RemoveAccount", "UserPortals", "AddTasks", "ListTasks", "FinishTask",
		}},
	} {
		for _, method := range c.methods {
			t.Run(method, func(t *testing.T) { forgetAgain(t, c.part, method) })
		}
	}
}

func forgetAgain(t *testing.T, part func(*bridge) *provisioningtest.Script, method string) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		l.fail(errors.New("away"))
		b := newBridge(t, withRelay, withEvents(l))
		b.logIn(t, alice, botAccount)
		// An older account of hers.
		b.connect(t, provisioning.Portal{RoomID: "!first:example.com", ChatID: 1002, Receiver: 1001}, 1001)
		first := provisioning.UserPortal{Portal: provisioning.Portal{RoomID: "!first:example.com", ChatID: 1002, Receiver: 1001}, Account: 1001}
		if err := b.portals.SetPortalUser(t.Context(), first, alice); err != nil {
			t.Fatal(err)
		}
		// A portal of before it was recorded who has asked.
		b.connect(t, provisioning.Portal{RoomID: "!second:example.com", ChatID: 1002, Receiver: 2001}, 2001)
		b.post(t, connectPath+asAlice, 202)
		err := b.portals.AddTasks(t.Context(), provisioning.NewTask{
			ID: "useless", Kind: "invite", Data: `{"v":1,"user_id":"@alice:example.com"}`, Delay: provisioning.MaxTaskDelay,
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		part(b).Fail(method, errors.New("trouble"))
		_, err = b.provisioner.ForgetUser(t.Context(), alice)
		if err == nil || !strings.Contains(err.Error(), "trouble") {
			t.Errorf("ForgetUser while %s fails: %v", method, err)
		}
		part(b).Fail(method, nil)
		b.forget(t, alice)
		l.fail(nil)
		advance(provisioning.DefaultTaskLifetime / 2)
		b.wantNothingOf(t, alice)
		b.wantNoTasks(t)
		for _, account := range []provisioning.TelegramID{1001, 2001} {
			if portals, err := b.portals.AccountPortals(t.Context(), account); err != nil || len(portals) != 0 {
				t.Errorf("%d takes part in %+v, %v", account, portals, err)
			}
		}
		if got := l.take(); !slices.Contains(got, "logout @alice:example.com 2001  0") {
			t.Errorf("the events are %q", got)
		}
	})
}

// A host without the optional interfaces is told what was not looked for.
func TestForgetOnAPlainHost(t *testing.T) {
	b := newBridge(t, inRooms, func(b *bridge, cfg *provisioning.Config) {
		cfg.Users = struct{ provisioning.UserStore }{b.users}
		cfg.Portals = struct{ provisioning.PortalStore }{b.portals}
		cfg.Rooms = struct {
			provisioning.Rooms
			provisioning.DirectRooms
		}{b.rooms, b.rooms}
		minimalClients(b, cfg)
	})
	b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 1001}, 1001)
	b.logIn(t, alice, aliceAccount)
	wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
		LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Missing: []string{"AccountFinder", "GhostUsers", "PortalUsers"},
	}, otherRoom)
	b.close(t)
	b = newBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Rooms, cfg.Tasks = nil, nil })
	b.connect(t, provisioning.Portal{RoomID: otherRoom, ChatID: 1002, Receiver: 1001}, 1001)
	b.logIn(t, alice, aliceAccount)
	wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{
		LoggedOut: true, Accounts: []provisioning.TelegramID{1001}, Missing: []string{"GhostUsers", "Rooms"},
	})
	if _, err := b.portals.PortalByRoom(t.Context(), otherRoom); err != nil {
		t.Errorf("the portal that nobody could clean up after: %v", err)
	}
}

// The QR code that a user has not scanned is worth nothing any more.
func TestForgetWhileAQRCodeIsShown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		c := s.openQR(t, alice)
		code := c.code()
		wantForgotten(t, s.forget(t, alice), provisioning.Forgotten{})
		c.ends(`{"success":false,"error":"timeout"}`)
		if s.telegram.ScanQR(code, aliceAccount.ID) == nil {
			t.Error("the QR code can be scanned")
		}
	})
}

// What goes on in the background for a user ends before their ghosts are forgotten.
func TestForgetWhileWorkGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		account := aliceAccount
		account.ID, account.Phone = 5005, ""
		account.Contacts = []provisioning.Contact{{ID: 100, Name: "C", PhotoID: 1}}
		b.telegram.Add(account)
		b.logIn(t, alice, account)
		avatars := b.rooms.Hold("UpdateGhost")
		b.call(t, http.MethodGet, user(alice, "/contacts"), "").want(t, 200, "")
		<-avatars.Entered()
		b.forget(t, alice)
		if <-avatars.Cancelled() == nil {
			t.Error("avatars are fetched for a user who is forgotten")
		}
	})
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inRooms)
		b.logIn(t, alice, aliceAccount)
		setUp := b.rooms.Hold("SetUpPortal")
		go b.call(t, http.MethodPost, user(alice, "/pm/1002"), "")
		<-setUp.Entered()
		go func() {
			synctest.Wait() // until it is waited for
			setUp.Release()
		}()
		if done := b.forget(t, alice); len(done.Portals) != 1 || done.Ghosts != 1 {
			t.Errorf("forgotten is %+v", done)
		}
		synctest.Wait()
		b.wantNothingOf(t, alice)
		if b.rooms.Ghost(1002).Name != "" {
			t.Error("the ghost was named after it was forgotten")
		}
	})
}

func TestForgetNobody(t *testing.T) {
	b := newBridge(t, unstarted)
	for _, userID := range []id.UserID{"", "alice", "@alice"} {
		if _, err := b.provisioner.ForgetUser(t.Context(), userID); err == nil {
			t.Errorf("ForgetUser(%q): no error", userID)
		}
	}
	b.logIn(t, alice, aliceAccount) // before Start
	wantForgotten(t, b.forget(t, alice), provisioning.Forgotten{LoggedOut: true, Accounts: []provisioning.TelegramID{1001}})
	b.close(t)
	if _, err := b.provisioner.ForgetUser(t.Context(), alice); err == nil {
		t.Error("ForgetUser after Close: no error")
	}
}

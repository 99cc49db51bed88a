package provisioning_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// These hosts are like a bridge on mautrix-go's bridgev2: its sessions are the links, and
// it makes the rooms of direct chats itself.

// sessionUsers is a UserReader that is no UserStore: the session is the link.
type sessionUsers struct{ b *bridge }

func (u sessionUsers) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	user, err := u.b.users.User(ctx, userID)
	user.TelegramID = u.b.telegram.LoggedIn(userID)
	return user, err
}

// withSessionUsers takes the user store away.
func withSessionUsers(b *bridge, cfg *provisioning.Config) { cfg.Users = sessionUsers{b} }

// A host whose sessions are the links has every operation about users, and its events.
func TestUserReader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &eventLog{}
		b := newBridge(t, inRooms, withSessionUsers, withEvents(l))
		b.call(t, http.MethodGet, user(alice, "/login"), "").want(t, 200, "")
		b.login(t, alice, requestGuarded, codeGuarded, [2]string{"send_password", `{"password":" open sesame "}`})
		l.want(t, "login @alice:example.com 1002  0")
		me := b.call(t, http.MethodGet, user(alice, ""), "")
		me.wantBody(t, 200, `{"mxid":"@alice:example.com","permissions":"full","telegram":{"id":1002,"username":"","first_name":"Bob","last_name":"","phone":"15550101","is_bot":false}}`)
		again := b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`)
		again.want(t, 409, "already_logged_in")
		b.call(t, http.MethodGet, user(alice, "/chats"), "").want(t, 200, "")
		b.post(t, user(alice, "/logout"), 200)
		l.want(t, "logout @alice:example.com 1002  0")
		b.post(t, user(alice, "/logout"), 403)
		b.call(t, http.MethodGet, user(alice, "/chats"), "").want(t, 403, "not_logged_in")
		// A session that ended elsewhere, and one that the bridge made itself.
		b.telegram.LogIn(alice, aliceAccount.ID)
		b.call(t, http.MethodGet, user(alice, "/contacts"), "").want(t, 200, "")
		b.telegram.EndSession(alice)
		b.call(t, http.MethodGet, user(alice, "/contacts"), "").want(t, 403, "not_logged_in")
		l.want(t)
		if b.users.Calls("LinkAccount")+b.users.Calls("ClaimAccount")+b.users.Calls("UnlinkAccount") != 0 {
			t.Error("something was recorded in a user store")
		}
		b.wantNoTasks(t)
	})
}

// directPortals is a portal store whose bridge makes direct rooms itself.
type directPortals struct {
	*provisioningtest.MemPortalStore
	mu   sync.Mutex
	last provisioning.Contact
	by   id.UserID
	err  error
}

func (s *directPortals) StartDirect(ctx context.Context, userID id.UserID, account provisioning.Account, contact provisioning.Contact) (provisioning.Portal, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last, s.by = contact, userID; s.err != nil {
		return provisioning.Portal{}, false, s.err
	}
	portal, err := s.PortalByChat(ctx, provisioning.UserChatID(contact.ID), account.ID)
	if !errors.Is(err, provisioning.ErrPortalNotFound) {
		return portal, false, err
	}
	portal = provisioning.Portal{
		RoomID: "!made-by-the-bridge:example.com", ChatID: provisioning.UserChatID(contact.ID), Receiver: account.ID, Title: contact.Name,
	}
	return portal, true, s.Connect(ctx, provisioning.NewPortal{Portal: portal})
}

// A host that makes direct rooms itself is asked for them, and the core makes none.
func TestDirectPortals(t *testing.T) {
	var store *directPortals
	b := newBridge(t, inRooms, func(b *bridge, cfg *provisioning.Config) {
		store = &directPortals{MemPortalStore: b.portals}
		cfg.Portals = store
	})
	b.logIn(t, alice, aliceAccount)
	const started = `{"room_id":"!made-by-the-bridge:example.com","just_created":`
	const rest = `,"id":1002,"contact_info":{"id":1002,"name":"Bob Builder","username":"bob_tg","phone":"+15550101","is_bot":false,"avatar_url":""}}`
	b.call(t, http.MethodPost, user(alice, "/pm/1002"), "").wantBody(t, 201, started+"true"+rest)
	b.call(t, http.MethodPost, user(alice, "/pm/1002"), "").wantBody(t, 200, started+"false"+rest)
	b.call(t, http.MethodGet, user(alice, "/resolve_identifier/1002"), "").wantBody(t, 200, started+"false"+rest)
	if store.by != alice || store.last.ID != 1002 || b.rooms.Calls("CreateDirect") != 0 {
		t.Errorf("asked for %+v by %s, the core has made %d rooms", store.last, store.by, b.rooms.Calls("CreateDirect"))
	}
	for want, err := range map[string]error{
		"M_NOT_FOUND": provisioning.ErrTelegramUserNotFound, "not_logged_in": provisioning.ErrNotLoggedIn, "unknown_error": provisioning.ErrHomeserver,
	} {
		store.err = err
		if a := b.call(t, http.MethodPost, user(alice, "/pm/1002"), ""); a.field("errcode") != want {
			t.Errorf("%v is answered with %d %s", err, a.status, a.body)
		}
	}
}

// A bridge without Rooms can start direct chats too, where its store does.
func TestDirectPortalsWithoutRooms(t *testing.T) {
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
		cfg.Portals, cfg.Rooms = &directPortals{MemPortalStore: b.portals}, nil
	})
	b.logIn(t, alice, aliceAccount)
	b.post(t, user(alice, "/pm/1002"), 201)
}

// connects remembers what a portal store is told.
type connects struct {
	*provisioningtest.MemPortalStore
	mu       sync.Mutex
	told     []provisioning.NewPortal
	accounts []provisioning.TelegramID // of PortalByChat
}

func (s *connects) Connect(ctx context.Context, n provisioning.NewPortal) error {
	s.mu.Lock()
	s.told = append(s.told, n)
	s.mu.Unlock()
	return s.MemPortalStore.Connect(ctx, n)
}

func (s *connects) PortalByChat(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, error) {
	s.mu.Lock()
	s.accounts = append(s.accounts, account)
	s.mu.Unlock()
	return s.MemPortalStore.PortalByChat(ctx, chatID, account)
}

// The store is told who asked for a portal, whether the relay bot acts, whether the chat is
// new, and whose portal of a chat is meant.
func TestPortalStoreIsToldWhoAsks(t *testing.T) {
	var store *connects
	b := newBridge(t, withRelay, func(b *bridge, cfg *provisioning.Config) {
		store = &connects{MemPortalStore: b.portals}
		cfg.Portals = store
	})
	b.logIn(t, alice, aliceAccount)
	check := func(accounts []provisioning.TelegramID, want provisioning.NewPortal) {
		t.Helper()
		store.mu.Lock()
		defer store.mu.Unlock()
		if len(store.told) == 1 {
			got := store.told[0]
			if got.UserID != want.UserID || got.Relay != want.Relay || got.Created != want.Created || !slices.Equal(got.Accounts, want.Accounts) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		} else if len(store.told) != 0 || want.Accounts != nil {
			t.Errorf("%d portals were recorded", len(store.told))
		}
		for _, account := range store.accounts {
			if !slices.Contains(accounts, account) {
				t.Errorf("asked as the accounts %v, want %v", store.accounts, accounts)
			}
		}
		store.told, store.accounts = nil, nil
	}
	nobody, hers := []provisioning.TelegramID{0}, []provisioning.TelegramID{aliceAccount.ID}
	b.post(t, connectPath, 202)
	check(nobody, provisioning.NewPortal{Relay: true, Accounts: []provisioning.TelegramID{botAccount.ID}})
	b.call(t, http.MethodGet, "/portal/-1000000000009", "").want(t, 200, "")
	check(nobody, provisioning.NewPortal{})
	b.call(t, http.MethodGet, "/portal/-1000000000009"+asAlice, "").want(t, 200, "")
	check(hers, provisioning.NewPortal{})
	b.post(t, disconnectPath, 202)
	b.post(t, connectPath+asAlice, 202)
	check(hers, provisioning.NewPortal{UserID: alice, Accounts: hers})
	b.call(t, http.MethodPost, "/portal/!other:example.com/create"+asAlice, `{"type":"supergroup"}`).want(t, 201, "")
	check(hers, provisioning.NewPortal{UserID: alice, Created: true, Accounts: hers})
	b.post(t, user(alice, "/pm/1002"), 201)
	check(hers, provisioning.NewPortal{UserID: alice, Accounts: hers})
}

// Of three connects of one room and chat at once, one succeeds, and the others hear that it
// is done, at whichever step they are overtaken.
func TestRacingConnectsOfTheSame(t *testing.T) {
	for _, held := range []string{"CheckBot", "GetChat", "PortalByChat", "Connect"} {
		inBubble(t, func(t *testing.T) {
			b := newBridge(t, withRelay)
			gates := map[string]*provisioningtest.Gate{
				"CheckBot": b.rooms.Hold("CheckBot"), "GetChat": b.telegram.Hold("GetChat"),
				"PortalByChat": b.portals.Hold("PortalByChat"), "Connect": b.portals.Hold("Connect"),
			}
			for method, gate := range gates {
				if method != held {
					gate.Release()
				}
			}
			var racing sync.WaitGroup
			answers := make([]answer, 3)
			for i := range answers {
				racing.Go(func() { answers[i] = b.call(t, http.MethodPost, connectPath, "") })
			}
			synctest.Wait()
			gates[held].Release()
			racing.Wait()
			counts := map[int]int{}
			for _, a := range answers {
				counts[a.status]++
				if a.status == 200 {
					a.want(t, 200, "bridge_exists")
				}
			}
			if counts[202] != 1 || counts[200] != 2 {
				t.Errorf("held at %s, the answers are %v", held, counts)
			}
		})
	}
}

package provisioningtest

import (
	"context"
	"errors"
	"html"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// altered is a store some of whose methods are broken. Those that are nil are not.
type altered struct {
	*MemPortalStore
	portalByRoom   func(context.Context, id.RoomID) (provisioning.Portal, error)
	portalByChat   func(context.Context, provisioning.ChatID, provisioning.TelegramID) (provisioning.Portal, error)
	accountPortals func(context.Context, provisioning.TelegramID) ([]provisioning.Portal, error)
	connect        func(context.Context, provisioning.NewPortal) error
	disconnect     func(context.Context, provisioning.Portal, ...provisioning.Task) error
	tasks          alteredTasks
}

func (s *altered) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	if s.portalByRoom == nil {
		return s.MemPortalStore.PortalByRoom(ctx, roomID)
	}
	return s.portalByRoom(ctx, roomID)
}

func (s *altered) PortalByChat(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
	if s.portalByChat == nil {
		return s.MemPortalStore.PortalByChat(ctx, chatID, receiver)
	}
	return s.portalByChat(ctx, chatID, provisioning.TelegramID(receiver))
}

func (s *altered) AccountPortals(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
	if s.accountPortals == nil {
		return s.MemPortalStore.AccountPortals(ctx, telegramID)
	}
	return s.accountPortals(ctx, provisioning.TelegramID(telegramID))
}

func (s *altered) Connect(ctx context.Context, n provisioning.NewPortal) error {
	if s.connect == nil {
		return s.MemPortalStore.Connect(ctx, n)
	}
	return s.connect(ctx, n)
}

func (s *altered) Disconnect(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
	if s.disconnect == nil {
		return s.MemPortalStore.Disconnect(ctx, p, tasks...)
	}
	return s.disconnect(ctx, p, tasks...)
}

// storeMutant is a store that is broken in one way, and the check that has to
// notice. alter gets a handle, on a backend that others share.
type storeMutant struct {
	name  string
	check string
	alter func(s *altered)
}

// testMutants runs the mutants of a suite, and has every check of it fail on some.
func testMutants[S any](t *testing.T, checks []storeCheck[S], mutants []storeMutant) {
	left := map[string]bool{}
	for _, check := range checks {
		if left[check.name] || check.explanation == "" {
			t.Errorf("check %q: its name is used twice, or it has no explanation", check.name)
		}
		left[check.name] = true
		for _, failure := range runStoreCheck(t, check, func(*altered) {}) {
			t.Errorf("the check %q fails on a sound store: %s", check.name, failure)
		}
	}
	for _, m := range mutants {
		delete(left, m.check)
		t.Run(m.name+"/"+m.check, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c storeCheck[S]) bool { return c.name == m.check })
			if i < 0 {
				t.Fatalf("there is no check %q", m.check)
			}
			failures := runStoreCheck(t, checks[i], m.alter)
			if len(failures) == 0 {
				t.Fatalf("the check %q passes on a store that is broken in this way", m.check)
			}
			if !strings.Contains(failures[0], "The interface promises: ") {
				t.Errorf("the failure does not say what the interface promises: %s", failures[0])
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("no mutant fails the checks %q", slices.Sorted(maps.Keys(left)))
	}
}

func runStoreCheck[S any](t *testing.T, check storeCheck[S], alter func(*altered)) []string {
	t.Helper()
	shared := NewMemPortalStore()
	return record(t, func(t T) {
		check.run(explained{t, check.explanation}, func() S {
			s := &altered{MemPortalStore: shared}
			alter(s)
			return any(s).(S)
		})
	})
}

func TestPortalStoreMutants(t *testing.T) { testMutants(t, portalStoreChecks, portalMutants) }

// letOthersIn is where a broken store lets others in, in the middle of a call: it
// returns when all others have come as far, or can't go on, or are done. In the
// bubble of a check's own, nothing else makes time go by.
func letOthersIn() { <-time.After(time.Nanosecond) }

// withConnect alters what Connect is given.
func withConnect(change func(n *provisioning.NewPortal)) func(*altered) {
	return func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			change(&n)
			return s.MemPortalStore.Connect(ctx, n)
		}
	}
}

// withRooms rewrites room IDs.
func withRooms(rewrite func(string) string) func(*altered) {
	return func(s *altered) {
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByRoom(ctx, id.RoomID(rewrite(string(roomID))))
		}
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.RoomID, n.Replaces = id.RoomID(rewrite(string(n.RoomID))), id.RoomID(rewrite(string(n.Replaces)))
			return s.MemPortalStore.Connect(ctx, n)
		}
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			p.RoomID = id.RoomID(rewrite(string(p.RoomID)))
			return s.MemPortalStore.Disconnect(ctx, p, tasks...)
		}
	}
}

// withText rewrites the texts of portals.
func withText(rewrite func(string) string) func(*altered) {
	return withConnect(func(n *provisioning.NewPortal) {
		n.Title, n.About = rewrite(n.Title), rewrite(n.About)
	})
}

// withChats rewrites chat IDs.
func withChats(rewrite func(provisioning.ChatID) provisioning.ChatID) func(*altered) {
	return func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByChat(ctx, rewrite(chatID), receiver)
		}
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.ChatID = rewrite(n.ChatID)
			return s.MemPortalStore.Connect(ctx, n)
		}
	}
}

// withAccounts rewrites account IDs.
func withAccounts(rewrite func(provisioning.TelegramID) provisioning.TelegramID) func(*altered) {
	return withConnect(func(n *provisioning.NewPortal) {
		n.Accounts = slices.Clone(n.Accounts)
		for i := range n.Accounts {
			n.Accounts[i] = provisioning.TelegramID(rewrite(provisioning.TelegramID(n.Accounts[i])))
		}
	})
}

// put records a portal whatever there is.
func (s *altered) put(n provisioning.NewPortal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.portals[n.RoomID] = n.Portal
	s.accounts[n.RoomID] = participants(n)
}

// drop removes a room's portal whatever it is.
func (s *altered) drop(roomID id.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.portals, roomID)
	delete(s.accounts, roomID)
}

// decide says what Connect would return.
func (s *altered) decide(ctx context.Context, n provisioning.NewPortal) error {
	if _, err := s.PortalByRoom(ctx, n.RoomID); err == nil {
		return provisioning.ErrRoomBridged
	}
	old, err := s.PortalByChat(ctx, n.ChatID, n.Receiver)
	switch {
	case err == nil && old.RoomID != n.Replaces:
		return provisioning.ErrChatBridged
	case err != nil && n.Replaces != "":
		return provisioning.ErrPortalNotFound
	}
	return nil
}

// connectsInTwoSteps looks, lets others in, and writes.
func connectsInTwoSteps(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		if err := s.decide(ctx, n); err != nil {
			return err
		}
		letOthersIn()
		s.drop(n.Replaces)
		s.put(n)
		return nil
	}
	s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
		letOthersIn() // or it could be over before any Connect begins
		return s.MemPortalStore.Disconnect(ctx, p, tasks...)
	}
}

// disconnectsInTwoSteps looks, lets others in, and writes.
func disconnectsInTwoSteps(s *altered) {
	s.disconnect = func(ctx context.Context, p provisioning.Portal, _ ...provisioning.Task) error {
		if current, err := s.PortalByRoom(ctx, p.RoomID); err != nil || current.ChatID != p.ChatID || current.Receiver != p.Receiver {
			return provisioning.ErrPortalNotFound
		}
		letOthersIn()
		s.drop(p.RoomID)
		return nil
	}
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		letOthersIn()
		return s.MemPortalStore.Connect(ctx, n)
	}
}

// dropsFirst removes what a portal replaces, lets others in, and decides then.
func dropsFirst(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		s.drop(n.Replaces)
		letOthersIn()
		n.Replaces = ""
		return s.MemPortalStore.Connect(ctx, n)
	}
}

// busy is a store that can't do two things at a time, and says so.
func busy(s *altered) {
	var inside atomic.Bool
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		if !inside.CompareAndSwap(false, true) {
			return errors.New("deadlock detected")
		}
		defer inside.Store(false)
		letOthersIn()
		return s.MemPortalStore.Connect(ctx, n)
	}
}

var portalMutants = []storeMutant{
	{"no portal and no error", "nothing is bridged", func(s *altered) {
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			p, err := s.MemPortalStore.PortalByRoom(ctx, roomID)
			if errors.Is(err, provisioning.ErrPortalNotFound) {
				err = nil
			}
			return p, err
		}
	}},
	{"no chat and no error", "nothing is bridged", func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
			p, _ := s.MemPortalStore.PortalByChat(ctx, chatID, receiver)
			return p, ctx.Err()
		}
	}},
	{"no portals are an error", "nothing is bridged", func(s *altered) {
		s.accountPortals = func(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
			portals, err := s.MemPortalStore.AccountPortals(ctx, telegramID)
			if err == nil && len(portals) == 0 {
				err = provisioning.ErrPortalNotFound
			}
			return portals, err
		}
	}},
	{"Connect does nothing", "connect", func(s *altered) {
		s.connect = func(context.Context, provisioning.NewPortal) error { return nil }
	}},
	{"no description", "connect", withConnect(func(n *provisioning.NewPortal) { n.About = "" })},
	{"no username", "connect", withConnect(func(n *provisioning.NewPortal) { n.Username = "" })},
	{"no supergroups", "connect", withConnect(func(n *provisioning.NewPortal) { n.Megagroup = false })},
	{"one account only", "accounts", withConnect(func(n *provisioning.NewPortal) { n.Accounts = n.Accounts[:min(1, len(n.Accounts))] })},
	{"a row for each mention", "accounts", func(s *altered) {
		s.accountPortals = func(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
			found, err := s.MemPortalStore.AccountPortals(ctx, telegramID)
			var portals []provisioning.Portal
			for _, p := range found {
				for _, account := range s.accounts[p.RoomID] {
					if account == telegramID {
						portals = append(portals, p)
					}
				}
			}
			return portals, err
		}
	}},
	{"everybody takes part", "accounts", func(s *altered) {
		s.accountPortals = func(context.Context, provisioning.TelegramID) ([]provisioning.Portal, error) {
			return slices.Collect(maps.Values(s.portals)), nil
		}
	}},
	{"the receiver has to be listed", "direct chats", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			if err == nil {
				s.accounts[n.RoomID] = n.Accounts
			}
			return err
		}
	}},
	{"chats without receivers", "direct chats", func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, _ provisioning.TelegramID) (provisioning.Portal, error) {
			for _, p := range s.portals {
				if p.ChatID == chatID {
					return p, nil
				}
			}
			return provisioning.Portal{}, provisioning.ErrPortalNotFound
		}
	}},
	{"a user has one direct chat", "direct chats", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			for _, p := range s.portals {
				if p.ChatID == n.ChatID && p.RoomID != n.RoomID {
					return provisioning.ErrChatBridged
				}
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"connecting again is no error", "room is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, err := s.PortalByRoom(ctx, n.RoomID); err == nil && p.ChatID == n.ChatID && p.Receiver == n.Receiver {
				return nil
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"the chat is looked at first", "room is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, err := s.PortalByChat(ctx, n.ChatID, n.Receiver); err == nil && p.RoomID != n.RoomID && p.RoomID != n.Replaces {
				return provisioning.ErrChatBridged
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"the room's portal is overwritten", "room is bridged", func(s *altered) {
		s.connect = func(_ context.Context, n provisioning.NewPortal) error {
			s.put(n)
			return nil
		}
	}},
	{"a refused Connect adds its accounts", "room is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			if err != nil && n.Replaces == "" {
				s.accounts[n.RoomID] = append(s.accounts[n.RoomID], n.Accounts...)
			}
			return err
		}
	}},
	{"a chat in two rooms", "chat is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, err := s.PortalByRoom(ctx, n.RoomID); err == nil {
				return provisioning.ErrRoomBridged
			}
			s.put(n)
			return nil
		}
	}},
	{"Replaces is whatever room", "chat is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, err := s.PortalByChat(ctx, n.ChatID, n.Receiver); err == nil && n.Replaces != "" {
				n.Replaces = p.RoomID
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"a refused Connect removes the old portal", "chat is bridged", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			s.drop(n.Replaces)
			return err
		}
	}},
	{"the old room stays", "replace", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			old, wasBridged := s.portals[n.Replaces]
			err := s.MemPortalStore.Connect(ctx, n)
			if err == nil && wasBridged {
				s.put(provisioning.NewPortal{Portal: old})
			}
			return err
		}
	}},
	{"the old accounts stay", "replace", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.Accounts = slices.Concat(n.Accounts, s.accounts[n.Replaces])
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"the old accounts wait in the room", "replace", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.Accounts = slices.Concat(n.Accounts, s.accounts[n.RoomID])
			old := s.accounts[n.Replaces]
			err := s.MemPortalStore.Connect(ctx, n)
			if err == nil && n.Replaces != "" {
				s.accounts[n.Replaces] = old
			}
			return err
		}
	}},
	{"Replaces may be nothing", "replace nothing", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, err := s.PortalByChat(ctx, n.ChatID, n.Receiver); err != nil {
				n.Replaces = ""
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"Replaces is a room of any chat", "replace nothing", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, ok := s.portals[n.Replaces]; ok {
				s.drop(n.Replaces)
				n.Replaces = ""
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"Replaces is a room of any receiver", "replace a direct chat", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if p, ok := s.portals[n.Replaces]; ok && p.ChatID == n.ChatID {
				s.drop(n.Replaces)
				n.Replaces = ""
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"Disconnect does nothing", "disconnect", func(s *altered) {
		s.disconnect = func(context.Context, provisioning.Portal, ...provisioning.Task) error { return nil }
	}},
	{"Disconnect takes the chat from everybody", "disconnect", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			err := s.MemPortalStore.Disconnect(ctx, p, tasks...)
			for roomID, other := range maps.Clone(s.portals) {
				if err == nil && other.ChatID == p.ChatID {
					s.drop(roomID)
				}
			}
			return err
		}
	}},
	{"Disconnect of nothing is no error", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			_ = s.MemPortalStore.Disconnect(ctx, p, tasks...)
			return ctx.Err()
		}
	}},
	{"Disconnect by room", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			current, err := s.PortalByRoom(ctx, p.RoomID)
			return errors.Join(err, s.MemPortalStore.Disconnect(ctx, current, tasks...))
		}
	}},
	{"Disconnect by chat", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			current, err := s.PortalByChat(ctx, p.ChatID, p.Receiver)
			return errors.Join(err, s.MemPortalStore.Disconnect(ctx, current, tasks...))
		}
	}},
	{"Disconnect without the receiver", "disconnect what is not bridged", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			p.Receiver = s.portals[p.RoomID].Receiver
			return s.MemPortalStore.Disconnect(ctx, p, tasks...)
		}
	}},
	{"Disconnect compares everything", "disconnect looks at IDs", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			if s.portals[p.RoomID] != p {
				return provisioning.ErrPortalNotFound
			}
			return s.MemPortalStore.Disconnect(ctx, p, tasks...)
		}
	}},
	{"rooms are used once", "connect again", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if _, known := s.accounts[n.RoomID]; known {
				return provisioning.ErrRoomBridged
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			err := s.MemPortalStore.Disconnect(ctx, p, tasks...)
			s.accounts[p.RoomID] = nil
			return err
		}
	}},
	{"accounts outlive their portal", "connect again", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			n.Accounts = slices.Concat(n.Accounts, s.accounts[n.RoomID])
			return s.MemPortalStore.Connect(ctx, n)
		}
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			accounts := s.accounts[p.RoomID]
			err := s.MemPortalStore.Disconnect(ctx, p, tasks...)
			s.accounts[p.RoomID] = accounts
			return err
		}
	}},
	{"PortalByRoom without the context", "context", func(s *altered) {
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByRoom(context.WithoutCancel(ctx), roomID)
		}
	}},
	{"PortalByChat without the context", "context", func(s *altered) {
		s.portalByChat = func(ctx context.Context, chatID provisioning.ChatID, receiver provisioning.TelegramID) (provisioning.Portal, error) {
			return s.MemPortalStore.PortalByChat(context.WithoutCancel(ctx), chatID, receiver)
		}
	}},
	{"AccountPortals without the context", "context", func(s *altered) {
		s.accountPortals = func(ctx context.Context, telegramID provisioning.TelegramID) ([]provisioning.Portal, error) {
			return s.MemPortalStore.AccountPortals(context.WithoutCancel(ctx), telegramID)
		}
	}},
	{"Connect without the context", "context", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			return s.MemPortalStore.Connect(context.WithoutCancel(ctx), n)
		}
	}},
	{"Connect notices the context too late", "context", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(context.WithoutCancel(ctx), n)
			return errors.Join(err, ctx.Err())
		}
	}},
	{"Disconnect without the context", "context", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.Task) error {
			return s.MemPortalStore.Disconnect(context.WithoutCancel(ctx), p, tasks...)
		}
	}},
	{"chats of 32 bits", "chat IDs", withChats(func(chatID provisioning.ChatID) provisioning.ChatID {
		return provisioning.ChatID(int32(chatID))
	})},
	{"channels without their offset", "chat IDs", withChats(func(chatID provisioning.ChatID) provisioning.ChatID {
		if kind, id, _ := chatID.Split(); kind == provisioning.PeerChannel {
			return provisioning.BasicGroupChatID(id)
		}
		return chatID
	})},
	{"accounts of 32 bits", "account IDs", withAccounts(func(telegramID provisioning.TelegramID) provisioning.TelegramID {
		return provisioning.TelegramID(int32(telegramID))
	})},
	{"accounts as floats", "account IDs", withAccounts(func(telegramID provisioning.TelegramID) provisioning.TelegramID {
		return provisioning.TelegramID(float64(telegramID))
	})},
	{"case folded", "room IDs", withRooms(strings.ToLower)},
	{"blanks trimmed", "room IDs", withRooms(strings.TrimSpace)},
	{"no port", "room IDs", withRooms(func(v string) string { return strings.TrimSuffix(v, ":8448") })},
	{"cut at a slash", "room IDs", withRooms(func(v string) string { return strings.SplitN(v, "/", 2)[0] })},
	{"cut at 128 bytes", "room IDs", withRooms(func(v string) string { return v[:min(len(v), 128)] })},
	{"a room needs a server", "room IDs", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if !strings.Contains(string(n.RoomID), ":") {
				return errors.New("invalid room ID")
			}
			return s.MemPortalStore.Connect(ctx, n)
		}
	}},
	{"texts trimmed", "texts", withText(strings.TrimSpace)},
	{"texts escaped", "texts", withText(html.EscapeString)},
	{"texts of 255 bytes", "texts", withText(func(v string) string { return v[:min(len(v), 255)] })},
	{"each process caches", "two handles", func(s *altered) {
		cache := map[id.RoomID]provisioning.Portal{}
		s.portalByRoom = func(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
			if p, ok := cache[roomID]; ok {
				return p, nil
			}
			p, err := s.MemPortalStore.PortalByRoom(ctx, roomID)
			if err == nil {
				cache[roomID] = p
			}
			return p, err
		}
	}},
	{"each process is alone", "two handles", func(s *altered) { s.MemPortalStore = NewMemPortalStore() }},
	{"Connect looks, then writes", "race for one chat", connectsInTwoSteps},
	{"Connect looks, then writes", "race for one room", connectsInTwoSteps},
	{"Connect looks, then writes", "race of replacements", connectsInTwoSteps},
	{"Connect looks, then writes", "race to and fro", connectsInTwoSteps},
	{"Connect looks, then writes", "race of a replacement and a disconnect", connectsInTwoSteps},
	{"one thing at a time", "race of portal strangers", busy},
	{"one thing at a time", "race to and fro", busy},
	{"Disconnect looks, then writes", "race of disconnects", disconnectsInTwoSteps},
	{"Disconnect looks, then writes", "race of a replacement and a disconnect", disconnectsInTwoSteps},
	{"Connect removes, then decides", "race of a swap", dropsFirst},
	{"Connect removes, then decides", "room is bridged", dropsFirst},
	{"replaced in two transactions", "reads during replacements", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if err := s.decide(ctx, n); err != nil {
				return err
			}
			s.drop(n.Replaces)
			letOthersIn() // the readers end at the first read that finds nothing
			s.put(n)
			return nil
		}
	}},
}

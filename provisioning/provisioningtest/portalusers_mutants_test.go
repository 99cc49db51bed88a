package provisioningtest

import (
	"context"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemPortalUsers(t *testing.T) {
	TestPortalUsers(t, func(*testing.T) func(*testing.T) PortalUsersStore {
		s := NewMemPortalStore()
		return func(*testing.T) PortalUsersStore { return s }
	})
}

func TestPortalUsersMutants(t *testing.T) { testMutants(t, portalUsersChecks, portalUsersMutants) }

// alteredUsers are the broken methods of a PortalUsers. Those that are nil are not.
type alteredUsers struct {
	list   func(context.Context, id.UserID) ([]provisioning.UserPortal, error)
	user   func(context.Context, provisioning.UserPortal) (id.UserID, error)
	set    func(context.Context, provisioning.UserPortal, id.UserID) error
	remove func(context.Context, provisioning.UserPortal) error
}

func (s *altered) UserPortals(ctx context.Context, userID id.UserID) ([]provisioning.UserPortal, error) {
	if s.asked.list == nil {
		return s.MemPortalStore.UserPortals(ctx, userID)
	}
	return s.asked.list(ctx, userID)
}

func (s *altered) PortalUser(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
	if s.asked.user == nil {
		return s.MemPortalStore.PortalUser(ctx, portal)
	}
	return s.asked.user(ctx, portal)
}

func (s *altered) SetPortalUser(ctx context.Context, portal provisioning.UserPortal, userID id.UserID) error {
	if s.asked.set == nil {
		return s.MemPortalStore.SetPortalUser(ctx, portal, userID)
	}
	return s.asked.set(ctx, portal, userID)
}

func (s *altered) RemoveAccount(ctx context.Context, portal provisioning.UserPortal) error {
	if s.asked.remove == nil {
		return s.MemPortalStore.RemoveAccount(ctx, portal)
	}
	return s.asked.remove(ctx, portal)
}

var portalUsersMutants = []storeMutant{
	{"Move forgets who has asked", "users of a moved portal", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			err := s.MemPortalStore.Move(ctx, from, to)
			delete(s.users, to.RoomID)
			return err
		}
	}},
	{"whoever moves a portal has asked for it", "users of a moved portal", func(s *altered) {
		s.move = func(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
			err := s.MemPortalStore.Move(ctx, from, to)
			for _, account := range to.Accounts {
				if err == nil {
					err = s.MemPortalStore.SetPortalUser(ctx, of(to, account), to.UserID)
				}
			}
			return err
		}
	}},
	{"nobody is recorded", "who has asked", withConnect(func(n *provisioning.NewPortal) { n.UserID = "" })},
	{"every account is the user's", "who has asked", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			err := s.MemPortalStore.Connect(ctx, n)
			for _, account := range n.Accounts {
				if err == nil && n.UserID != "" {
					err = s.MemPortalStore.SetPortalUser(ctx, of(n, account), n.UserID)
				}
			}
			return err
		}
	}},
	{"everybody's", "who has asked", func(s *altered) {
		s.asked.list = func(ctx context.Context, _ id.UserID) ([]provisioning.UserPortal, error) {
			a, errA := s.MemPortalStore.UserPortals(ctx, userA)
			b, _ := s.MemPortalStore.UserPortals(ctx, userB)
			return slices.Concat(a, b), errA
		}
	}},
	{"the relay bot is the user", "nobody has asked", withConnect(func(n *provisioning.NewPortal) { n.Relay = false })},
	{"the user of any account", "whose a portal is", func(s *altered) {
		s.asked.user = func(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.takesPart(portal) {
				for _, userID := range s.users[portal.RoomID] {
					return userID, ctx.Err()
				}
			}
			return "", ctx.Err()
		}
	}},
	{"the user of any chat", "whose a portal is", func(s *altered) {
		s.asked.user = func(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.users[portal.RoomID][portal.Account], ctx.Err()
		}
	}},
	{"nobody's portal is an error", "whose a portal is", func(s *altered) {
		s.asked.user = func(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
			userID, err := s.MemPortalStore.PortalUser(ctx, portal)
			if err == nil && userID == "" {
				err = provisioning.ErrPortalNotFound
			}
			return userID, err
		}
	}},
	{"the first user stays", "another user", func(s *altered) {
		s.asked.set = func(ctx context.Context, portal provisioning.UserPortal, userID id.UserID) error {
			s.mu.Lock()
			taken := s.users[portal.RoomID][portal.Account] != ""
			s.mu.Unlock()
			if taken {
				return ctx.Err()
			}
			return s.MemPortalStore.SetPortalUser(ctx, portal, userID)
		}
	}},
	{"users by room", "a user of nothing", func(s *altered) {
		s.asked.set = func(ctx context.Context, portal provisioning.UserPortal, userID id.UserID) error {
			if current, err := s.PortalByRoom(ctx, portal.RoomID); err == nil {
				portal.Portal = current
			}
			return s.MemPortalStore.SetPortalUser(ctx, portal, userID)
		}
	}},
	{"a user of nothing is an error", "a user of nothing", func(s *altered) {
		s.asked.set = func(ctx context.Context, portal provisioning.UserPortal, userID id.UserID) error {
			if _, err := s.PortalByRoom(ctx, portal.RoomID); err != nil {
				return err
			}
			return s.MemPortalStore.SetPortalUser(ctx, portal, userID)
		}
	}},
	{"the user takes part", "a user of nothing", func(s *altered) {
		s.asked.set = func(ctx context.Context, portal provisioning.UserPortal, userID id.UserID) error {
			s.mu.Lock()
			if s.portals[portal.RoomID] == portal.Portal && !s.takesPart(portal) {
				s.accounts[portal.RoomID] = append(s.accounts[portal.RoomID], portal.Account)
			}
			s.mu.Unlock()
			return s.MemPortalStore.SetPortalUser(ctx, portal, userID)
		}
	}},
	{"the account stays", "remove", func(s *altered) {
		s.asked.remove = func(ctx context.Context, portal provisioning.UserPortal) error {
			return s.MemPortalStore.SetPortalUser(ctx, portal, "")
		}
	}},
	{"the portal goes", "remove", func(s *altered) {
		s.asked.remove = func(ctx context.Context, portal provisioning.UserPortal) error {
			_ = s.MemPortalStore.Disconnect(ctx, portal.Portal)
			return ctx.Err()
		}
	}},
	{"removed from every portal", "remove", func(s *altered) {
		s.asked.remove = func(ctx context.Context, portal provisioning.UserPortal) error {
			portals, err := s.AccountPortals(ctx, portal.Account)
			for _, p := range portals {
				_ = s.MemPortalStore.RemoveAccount(ctx, provisioning.UserPortal{Portal: p, Account: portal.Account})
			}
			return err
		}
	}},
	{"removed by room", "remove nothing", func(s *altered) {
		s.asked.remove = func(ctx context.Context, portal provisioning.UserPortal) error {
			if current, err := s.PortalByRoom(ctx, portal.RoomID); err == nil {
				portal.Portal = current
			}
			return s.MemPortalStore.RemoveAccount(ctx, portal)
		}
	}},
	{"users outlive portals", "portals that are gone", func(s *altered) {
		s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
			users := s.users[p.RoomID]
			err := s.MemPortalStore.Disconnect(ctx, p, tasks...)
			s.users[p.RoomID] = users
			return err
		}
	}},
	{"each process remembers", "two handles", func(s *altered) {
		remembered := map[id.UserID][]provisioning.UserPortal{}
		s.asked.list = func(ctx context.Context, userID id.UserID) ([]provisioning.UserPortal, error) {
			if portals, ok := remembered[userID]; ok {
				return portals, nil
			}
			portals, err := s.MemPortalStore.UserPortals(ctx, userID)
			remembered[userID] = portals
			return portals, err
		}
	}},
	{"each process remembers the user", "two handles", func(s *altered) {
		remembered := map[provisioning.UserPortal]id.UserID{}
		s.asked.user = func(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
			if userID, ok := remembered[portal]; ok {
				return userID, nil
			}
			userID, err := s.MemPortalStore.PortalUser(ctx, portal)
			remembered[portal] = userID
			return userID, err
		}
	}},
	{"whose without a context", "context", func(s *altered) {
		s.asked.user = func(ctx context.Context, portal provisioning.UserPortal) (id.UserID, error) {
			return s.MemPortalStore.PortalUser(context.WithoutCancel(ctx), portal)
		}
	}},
	{"no context", "context", func(s *altered) {
		s.asked.remove = func(ctx context.Context, portal provisioning.UserPortal) error {
			return s.MemPortalStore.RemoveAccount(context.WithoutCancel(ctx), portal)
		}
	}},
}

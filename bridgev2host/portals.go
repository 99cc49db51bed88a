package bridgev2host

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/rs/zerolog"
	"github.com/tgprovision/tgprovision/internal/keyed"
	"github.com/tgprovision/tgprovision/provisioning"
)

// portalStore is the bridge's portals. It reads them from the database, since bridgev2
// changes those that it has in memory without a lock.
type portalStore struct {
	h        *Host
	remember portalMemory

	changing keyed.Mutex[struct{}]   // held by Connect and Disconnect: one of them at a time
	starting keyed.Mutex[directChat] // held by StartDirect
}

var (
	_ provisioning.PortalStore   = (*portalStore)(nil)
	_ provisioning.PortalLister  = (*portalStore)(nil)
	_ provisioning.DirectPortals = (*portalStore)(nil)
)

func newPortalStore(h *Host) *portalStore { return &portalStore{h: h} }

// PortalByRoom implements [provisioning.PortalStore].
func (s *portalStore) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	if portal, ok := s.remember.byRoom(ctx, s.h.br, roomID); ok {
		return portal, nil
	}
	if err := s.settle(ctx); err != nil {
		return provisioning.Portal{}, err
	}
	key, err := s.keyOfRoom(ctx, roomID)
	if err != nil {
		return provisioning.Portal{}, err
	}
	portal, err := s.byKey(ctx, key)
	if err == nil && portal.RoomID != roomID { // since the first query
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	return portal, err
}

// keyOfRoom returns the key of the portal of a room: a query that is cheap where there is
// none. Errors: provisioning.ErrPortalNotFound.
func (s *portalStore) keyOfRoom(ctx context.Context, roomID id.RoomID) (key networkid.PortalKey, err error) {
	defer provisioning.WaitsForDatabase(ctx)()
	err = s.h.br.DB.QueryRow(ctx, `SELECT id, receiver FROM portal WHERE bridge_id=$1 AND mxid=$2`, s.h.br.ID, roomID).Scan(&key.ID, &key.Receiver)
	if errors.Is(err, sql.ErrNoRows) {
		return key, provisioning.ErrPortalNotFound
	}
	if err != nil {
		return key, fault(ctx, "look for the portal of a room", err)
	}
	return key, nil
}

// byKey returns the portal of a key. Errors: provisioning.ErrPortalNotFound.
func (s *portalStore) byKey(ctx context.Context, key networkid.PortalKey) (provisioning.Portal, error) {
	defer provisioning.WaitsForDatabase(ctx)()
	row, err := s.h.br.DB.Portal.GetByKey(ctx, key)
	if err != nil {
		return provisioning.Portal{}, fault(ctx, "read a portal", err)
	}
	return s.describe(ctx, row)
}

// PortalByChat implements [provisioning.PortalStore].
func (s *portalStore) PortalByChat(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, error) {
	if err := s.settle(ctx); err != nil {
		return provisioning.Portal{}, err
	}
	key, err := s.key(ctx, chatID, account)
	if err != nil {
		return provisioning.Portal{}, err
	}
	if portal, ok := s.remember.byKey(ctx, s.h.br, key); ok {
		return portal, nil
	}
	return s.byKey(ctx, key)
}

// key returns the key of an account's portal of a chat. Where each login has its own and no
// account asks, it is that of any. Errors: provisioning.ErrPortalNotFound.
func (s *portalStore) key(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (networkid.PortalKey, error) {
	portalID, perLogin := s.portalID(chatID)
	key := networkid.PortalKey{ID: portalID}
	kind, _, _ := chatID.Split()
	switch {
	case !perLogin:
	case account != 0:
		key.Receiver = s.h.network.LoginID(account)
	case kind == provisioning.PeerUser: // a direct chat is its account's own
		return key, provisioning.ErrPortalNotFound
	default:
		err := s.h.br.DB.QueryRow(ctx, `
			SELECT receiver FROM portal WHERE bridge_id=$1 AND id=$2 AND mxid IS NOT NULL ORDER BY receiver LIMIT 1`,
			s.h.br.ID, portalID).Scan(&key.Receiver)
		if errors.Is(err, sql.ErrNoRows) {
			return key, provisioning.ErrPortalNotFound
		}
		if err != nil {
			return key, fault(ctx, "look for a portal of a chat", err)
		}
	}
	return key, nil
}

// portalID returns the network's ID of a chat, and whether each login has its own portal of
// it.
func (s *portalStore) portalID(chatID provisioning.ChatID) (portalID networkid.PortalID, perLogin bool) {
	portalID, perLogin = s.h.network.PortalID(chatID)
	return portalID, perLogin || s.h.br.Config.SplitPortals
}

// describe returns the portal of a row, which may be nil. Errors:
// provisioning.ErrPortalNotFound.
func (s *portalStore) describe(ctx context.Context, row *database.Portal) (provisioning.Portal, error) {
	if row == nil || row.MXID == "" {
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	chatID, ok := s.h.network.ChatID(row.ID)
	if !ok {
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	portal := provisioning.Portal{RoomID: row.MXID, ChatID: chatID, Title: row.Name, About: row.Topic}
	if kind, _, _ := chatID.Split(); kind == provisioning.PeerUser {
		portal.Receiver = s.h.network.TelegramID(row.Receiver)
	}
	if err := s.h.network.Describe(ctx, row, &portal); err != nil {
		return provisioning.Portal{}, fmt.Errorf("describe a portal: %w", err)
	}
	s.remember.put(ctx, s.h.br, row.PortalKey, portal)
	return portal, nil
}

// AccountPortals implements [provisioning.PortalStore].
func (s *portalStore) AccountPortals(ctx context.Context, account provisioning.TelegramID) ([]provisioning.Portal, error) {
	takesPart, err := s.takesPart(ctx, account)
	if err != nil {
		return nil, err
	}
	return s.list(ctx, takesPart, "", math.MaxInt)
}

// ListPortals implements [provisioning.PortalLister]. It reads all portals, whatever the query.
func (s *portalStore) ListPortals(ctx context.Context, query provisioning.PortalQuery) ([]provisioning.Portal, error) {
	listed := func(*database.Portal) bool { return true }
	if query.Account != 0 {
		var err error
		if listed, err = s.takesPart(ctx, query.Account); err != nil {
			return nil, err
		}
	}
	return s.list(ctx, listed, query.After, query.Limit)
}

// PortalsOfChats implements [provisioning.PortalLister]. It reads all portals.
func (s *portalStore) PortalsOfChats(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
	asked := make(map[networkid.PortalKey]bool, len(chats))
	for _, chatID := range chats {
		key, err := s.key(ctx, chatID, account)
		if err != nil {
			return nil, err
		}
		asked[key] = true
	}
	return s.list(ctx, func(row *database.Portal) bool { return asked[row.PortalKey] }, "", math.MaxInt)
}

// list returns the first portals whose room IDs come after one, as many as the limit, in the
// order of these.
func (s *portalStore) list(ctx context.Context, listed func(*database.Portal) bool, after id.RoomID, limit int) ([]provisioning.Portal, error) {
	rows, err := s.h.br.DB.Portal.GetAllWithMXID(ctx)
	if err != nil {
		return nil, fault(ctx, "list the portals", err)
	}
	slices.SortFunc(rows, func(a, b *database.Portal) int { return cmp.Compare(a.MXID, b.MXID) })
	var list []provisioning.Portal
	for _, row := range rows {
		if row.MXID <= after || !listed(row) {
			continue
		}
		if len(list) == limit {
			break
		}
		portal, err := s.describe(ctx, row)
		if err == nil {
			list = append(list, portal)
		} else if !errors.Is(err, provisioning.ErrPortalNotFound) {
			return nil, err
		}
	}
	return list, nil
}

// takesPart returns what says whether an account takes part in a portal.
func (s *portalStore) takesPart(ctx context.Context, account provisioning.TelegramID) (func(*database.Portal) bool, error) {
	login, err := s.h.br.GetExistingUserLoginByID(ctx, s.h.network.LoginID(account))
	if err != nil {
		return nil, fault(ctx, "load a login", err)
	}
	if login == nil {
		return func(*database.Portal) bool { return false }, nil
	}
	marks, err := s.h.br.DB.UserPortal.GetAllForLogin(ctx, login.UserLogin)
	if err != nil {
		return nil, fault(ctx, "list the portals of a login", err)
	}
	own := make(map[networkid.PortalKey]bool, len(marks))
	for _, mark := range marks {
		own[mark.Portal] = true
	}
	return func(row *database.Portal) bool { return own[row.PortalKey] || row.Receiver == login.ID }, nil
}

// mark records that accounts take part in a portal, those that have a login. bridgev2
// records the others by itself when it gets an event for them, and invites their users.
func (s *portalStore) mark(ctx context.Context, p *bridgev2.Portal, accounts []provisioning.TelegramID) {
	for _, account := range accounts {
		login, err := s.h.br.GetExistingUserLoginByID(ctx, s.h.network.LoginID(account))
		if err == nil && login != nil {
			_, err = s.h.br.DB.UserPortal.GetOrCreate(ctx, login.UserLogin, p.PortalKey)
		}
		if err != nil {
			zerolog.Ctx(ctx).Err(err).Msg("Could not record that an account takes part in a portal")
		}
	}
}

package bridgev2host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/rs/zerolog"
	"github.com/tgprovision/tgprovision/internal/keyed"
	"github.com/tgprovision/tgprovision/internal/schema"
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

// manyPortals is how many portals are read one by one at most: for more, all of the bridge are
// read at once.
const manyPortals = 500

// AccountPortals implements [provisioning.PortalStore].
func (s *portalStore) AccountPortals(ctx context.Context, account provisioning.TelegramID) ([]provisioning.Portal, error) {
	return s.ListPortals(ctx, provisioning.PortalQuery{Account: account, Limit: math.MaxInt32})
}

// ListPortals implements [provisioning.PortalLister], in the order of the room IDs as the
// database compares texts.
func (s *portalStore) ListPortals(ctx context.Context, query provisioning.PortalQuery) (list []provisioning.Portal, err error) {
	const after = `SELECT id, receiver, mxid FROM portal WHERE bridge_id=$1 AND mxid>$2`
	const takesPart = ` AND (receiver=$4 OR EXISTS(
		SELECT 1 FROM user_portal WHERE user_portal.bridge_id=$1 AND user_mxid=$5 AND login_id=$4
			AND portal_id=portal.id AND portal_receiver=portal.receiver))`
	const first = ` ORDER BY mxid LIMIT $3`
	which, args := after+first, []any{s.h.br.ID, query.After, query.Limit}
	if query.Account != 0 {
		login, err := s.h.br.GetExistingUserLoginByID(ctx, s.h.network.LoginID(query.Account))
		if err != nil {
			return nil, fault(ctx, "load a login", err)
		}
		if login == nil {
			return nil, nil
		}
		which, args = after+takesPart+first, append(args, login.ID, login.UserMXID)
	}
	for {
		rows, err := s.rooms(ctx, which, args...)
		if err != nil {
			return nil, fault(ctx, "list portals", err)
		}
		keys := make([]networkid.PortalKey, len(rows))
		for i, row := range rows {
			keys[i] = row.key
		}
		portals, err := s.byKeys(ctx, keys)
		if err != nil {
			return nil, err
		}
		list = append(list, portals...)
		// What can't be described is left out: others take its place on the page.
		if len(list) >= query.Limit || len(rows) < query.Limit {
			return list[:min(len(list), query.Limit)], nil
		}
		args[1] = rows[len(rows)-1].roomID
	}
}

// bridgedRoom is a portal's room, with the key of the portal.
type bridgedRoom struct {
	key    networkid.PortalKey
	roomID id.RoomID
}

// rooms reads the rows of a query for the ID, the receiver and the room of portals.
func (s *portalStore) rooms(ctx context.Context, query string, args ...any) ([]bridgedRoom, error) {
	rows, err := schema.DB{Database: s.h.br.DB.Database}.Query(ctx, query, args...)
	return dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (room bridgedRoom, err error) {
		err = row.Scan(&room.key.ID, &room.key.Receiver, &room.roomID)
		return room, err
	}, err).AsList()
}

// PortalsOfChats implements [provisioning.PortalLister].
func (s *portalStore) PortalsOfChats(ctx context.Context, account provisioning.TelegramID, chats []provisioning.ChatID) ([]provisioning.Portal, error) {
	asked := make(map[networkid.PortalKey]bool, len(chats))
	ids := make([]networkid.PortalID, len(chats))
	for i, chatID := range chats {
		key, err := s.key(ctx, chatID, account)
		if err != nil {
			return nil, err
		}
		asked[key], ids[i] = true, key.ID
	}
	db := schema.DB{Database: s.h.br.DB.Database}
	rows, err := s.rooms(ctx, `SELECT id, receiver, mxid FROM portal WHERE bridge_id=$1 AND mxid IS NOT NULL AND id IN (`+db.Texts("$2")+`)`,
		s.h.br.ID, schema.Array(ids))
	if err != nil {
		return nil, fault(ctx, "look for the portals of chats", err)
	}
	var keys []networkid.PortalKey
	for _, row := range rows {
		if asked[row.key] {
			keys = append(keys, row.key)
		}
	}
	return s.byKeys(ctx, keys)
}

// byKeys returns the portals of some keys, in their order, without those that are gone or can't
// be described.
func (s *portalStore) byKeys(ctx context.Context, keys []networkid.PortalKey) (list []provisioning.Portal, err error) {
	read := s.byKey
	if len(keys) > manyPortals {
		if read, err = s.readAll(ctx); err != nil {
			return nil, err
		}
	}
	for _, key := range keys {
		portal, ok := s.remember.byKey(ctx, s.h.br, key)
		if !ok {
			portal, err = read(ctx, key)
			if errors.Is(err, provisioning.ErrPortalNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		list = append(list, portal)
	}
	return list, nil
}

// readAll reads all portals at once, and returns what byKey does with them.
func (s *portalStore) readAll(ctx context.Context) (byKey func(context.Context, networkid.PortalKey) (provisioning.Portal, error), err error) {
	defer provisioning.WaitsForDatabase(ctx)()
	rows, err := s.h.br.DB.Portal.GetAllWithMXID(ctx)
	if err != nil {
		return nil, fault(ctx, "read all portals", err)
	}
	all := make(map[networkid.PortalKey]*database.Portal, len(rows))
	for _, row := range rows {
		all[row.PortalKey] = row
	}
	return func(ctx context.Context, key networkid.PortalKey) (provisioning.Portal, error) {
		return s.describe(ctx, all[key])
	}, nil
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

package portal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/dbcache"
	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Store is a [provisioning.PortalStore] on SQL, SQLite or PostgreSQL, with the
// [TaskStore] beside it. It is safe for concurrent use by several goroutines; several
// stores, in one process or in many, can share a database. There is nothing to
// close but the database.
//
// When the context of a call carries a transaction of the host's database (dbutil's
// DoTxn), the call is part of that. From the first [Store.Connect] or [Store.Disconnect]
// in it on, a failed one too, every other change of portals, and of the links of an
// auth.Store on the same database, waits in all processes until the transaction ends. So
// two such transactions never wait for each other, whatever they change in whichever
// order. Rows of its own, and tasks, that several of them change, a host should change
// before these calls in all of them, or after them in all. The errors that the interface
// names leave such a transaction as it was; after any other error it has to be rolled
// back. On PostgreSQL it should be at the level read committed, the default.
//
// For the API's GET operations, the store remembers up to 20,000 of the portals that it
// has read, and rooms and chats that have none, and all portals once more where there are
// no more than 2,000, until somebody changes one; every other read asks the database.
// Connect and Disconnect, when they succeed, return when no store on the database, in
// whichever process, goes on with what was before; that takes 20 ms. GET operations see a
// change by a transaction of the host's, or by other means than a Store, 20 ms after its
// commit at the latest.
type Store struct {
	*TaskStore

	db schema.DB

	portals *dbcache.Cache[place, *provisioning.Portal]

	// few has all portals, by their chats, or nil where there are more than fewLimit.
	few      *dbcache.Cache[struct{}, map[place]provisioning.Portal]
	fewLimit int
}

// place is where a portal is looked for: a room or, where that is empty, a chat.
type place struct {
	room     id.RoomID
	chat     provisioning.ChatID
	receiver provisioning.TelegramID
}

// placeOf is where the portal of a chat is looked for, for an account.
func placeOf(chatID provisioning.ChatID, account provisioning.TelegramID) place {
	at := place{chat: chatID}
	if kind, _, _ := chatID.Split(); kind == provisioning.PeerUser {
		at.receiver = account // a group is the same for all accounts
	}
	return at
}

var (
	_ provisioning.PortalStore  = (*Store)(nil)
	_ provisioning.PortalLister = (*Store)(nil)
	_ provisioning.TaskStore    = (*Store)(nil)
	_ provisioning.Checker      = (*Store)(nil)
)

// StoreConfig is what a [Store] is made of.
type StoreConfig struct {
	// DB keeps the portals and the tasks, in tables that begin with tgprovision_. It may be
	// shared with anything, and stays the host's to close. Required.
	DB *dbutil.Database
}

// NewStore opens the store, and makes or upgrades its tables, in one transaction.
// The version table's name begins with tgprovision_ too.
//
// SQLite needs foreign keys to be on, a busy timeout where more than one
// connection writes, and should lock at the start of a transaction. With
// modernc.org/sqlite:
//
//	file:/path/bridge.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate
//
// Errors: a database that is unreachable, has foreign keys off, or whose tables
// were made by a newer version of this package
// ([dbutil.ErrUnsupportedDatabaseVersion]).
func NewStore(ctx context.Context, cfg StoreConfig) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("StoreConfig.DB is nil: set the bridge's database")
	}
	if err := schema.Connect(ctx, cfg.DB); err != nil {
		return nil, fmt.Errorf("connect to the database of the portal store: %w", err)
	}
	if err := checkForeignKeys(ctx, cfg.DB); err != nil {
		return nil, err
	}
	tables, err := openTables(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	return &Store{
		TaskStore: newTaskStore(tables), db: tables,
		portals: dbcache.New[place, *provisioning.Portal](tables, "tgprovision_portal"),
		few:     dbcache.New[struct{}, map[place]provisioning.Portal](tables, "tgprovision_portal"), fewLimit: fewPortals,
	}, nil
}

// checkForeignKeys refuses SQLite connections that ignore foreign keys, as they do
// unless told otherwise.
func checkForeignKeys(ctx context.Context, db *dbutil.Database) error {
	if db.Dialect != dbutil.SQLite {
		return nil
	}
	var on bool
	if err := db.QueryRow(ctx, `PRAGMA foreign_keys`).Scan(&on); err != nil {
		return fmt.Errorf("ask SQLite for its settings: %w", err)
	}
	if !on {
		return errors.New("the portal store needs SQLite's foreign keys: open the database with _pragma=foreign_keys(1), or what the driver calls it")
	}
	return nil
}

// portalColumns are what scanPortal reads, before what comes after them.
const portalColumns = `p.room_id, p.chat_id, p.receiver, p.title, p.about, p.username, p.megagroup, p.migrated_from`

func scanPortal(row dbutil.Scannable, more ...any) (p provisioning.Portal, err error) {
	err = row.Scan(append([]any{&p.RoomID, &p.ChatID, &p.Receiver, &p.Title, &p.About, &p.Username, &p.Megagroup, &p.MigratedFrom}, more...)...)
	return p, err
}

// PortalByRoom implements [provisioning.PortalStore]. It is at most two reads.
func (s *Store) PortalByRoom(ctx context.Context, roomID id.RoomID) (provisioning.Portal, error) {
	return s.portal(ctx, place{room: roomID})
}

// PortalByChat implements [provisioning.PortalStore]. It is at most two reads.
func (s *Store) PortalByChat(ctx context.Context, chatID provisioning.ChatID, account provisioning.TelegramID) (provisioning.Portal, error) {
	return s.portal(ctx, placeOf(chatID, account))
}

// portal returns the portal at a place, remembered or read.
func (s *Store) portal(ctx context.Context, at place) (provisioning.Portal, error) {
	found, err := s.portals.Get(ctx, at, func(ctx context.Context) (*provisioning.Portal, error) {
		const query = `SELECT ` + portalColumns + ` FROM tgprovision_portal p WHERE `
		condition, args := `p.room_id=$1`, []any{at.room}
		if at.room == "" {
			condition, args = `(p.chat_id=$1 OR p.migrated_from=$1 AND p.migrated_from<>0) AND p.receiver=$2
				ORDER BY p.migrated_from=$1 LIMIT 1`, []any{int64(at.chat), at.receiver}
		}
		p, err := scanPortal(s.db.QueryRow(ctx, query+condition, args...))
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		return &p, err
	})
	switch {
	case err != nil:
		return provisioning.Portal{}, fmt.Errorf("read a portal: %w", err)
	case found == nil:
		return provisioning.Portal{}, provisioning.ErrPortalNotFound
	}
	return *found, nil
}

// Connect implements [provisioning.PortalStore]. It is one transaction, in turn with
// all others that change portals, in all processes; that a room has one portal and
// a chat one room are constraints of the database besides.
//
// The texts of a chat lose what SQL can't hold: null characters, and bytes that are
// not UTF-8.
func (s *Store) Connect(ctx context.Context, n provisioning.NewPortal) error {
	err := validate(n)
	if err == nil {
		err = s.inTurn(ctx, func(ctx context.Context) error { return s.connect(ctx, n) })
	}
	if err != nil {
		return fmt.Errorf("record a portal: %w", err)
	}
	s.portals.Changed(ctx)
	return nil
}

func validate(n provisioning.NewPortal) error {
	if n.RoomID == "" || n.ChatID == 0 || n.Receiver < 0 {
		return fmt.Errorf("room %q, chat %d, receiver %d is not a portal", n.RoomID, n.ChatID, n.Receiver)
	}
	for _, telegramID := range n.Accounts {
		if telegramID <= 0 {
			return fmt.Errorf("%d is not the ID of a Telegram user", telegramID)
		}
	}
	return nil
}

// connect is Connect inside its transaction.
func (s *Store) connect(ctx context.Context, n provisioning.NewPortal) error {
	current, err := s.conflict(ctx, n, n.Replaces)
	switch {
	case err != nil:
		return err
	case current == n.RoomID: // which it is to replace
		return provisioning.ErrRoomBridged
	case n.Replaces != "" && current == "":
		return provisioning.ErrPortalNotFound
	case n.Replaces != "":
		if err := s.remove(ctx, n.Replaces); err != nil {
			return err
		}
	}
	return s.insert(ctx, n, participantsOf(n))
}

// participant is an account that takes part in a portal, with who has asked for the portal
// with it, "" for nobody.
type participant struct {
	account provisioning.TelegramID
	userID  id.UserID
}

// participantsOf returns the accounts that take part in a new portal. The first of them is
// the one that was asked with.
func participantsOf(n provisioning.NewPortal) (list []participant) {
	if n.Receiver != 0 {
		list = append(list, participant{account: n.Receiver})
	}
	for _, telegramID := range n.Accounts {
		list = append(list, participant{account: telegramID})
	}
	if len(list) > 0 && !n.Relay {
		list[0].userID = n.UserID
	}
	return list
}

// insert inserts a portal, with those of the accounts that come first, and its tasks.
func (s *Store) insert(ctx context.Context, n provisioning.NewPortal, accounts []participant) error {
	const (
		portal = `
			INSERT INTO tgprovision_portal (room_id, chat_id, receiver, title, about, username, megagroup, migrated_from)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
		takesPart = `
			INSERT INTO tgprovision_portal_account (room_id, telegram_id, user_id) VALUES ($1, $2, $3)
			ON CONFLICT DO NOTHING`
	)
	_, err := s.db.Exec(ctx, portal, n.RoomID, int64(n.ChatID), n.Receiver, text(n.Title), text(n.About), text(n.Username), n.Megagroup, int64(n.MigratedFrom))
	if err != nil {
		return err
	}
	for _, p := range accounts {
		if _, err = s.db.Exec(ctx, takesPart, n.RoomID, p.account, p.userID); err != nil {
			return err
		}
	}
	return s.insertTasks(ctx, n.Tasks)
}

// remove removes the portal of a room, with the accounts that take part in it.
func (s *Store) remove(ctx context.Context, roomID id.RoomID) error {
	_, err := s.db.Exec(ctx, `DELETE FROM tgprovision_portal WHERE room_id=$1`, roomID)
	return err
}

// conflict says why a portal can't be recorded in place of that of another room, nil if it
// can. It returns the room of the chat's present portal, "" where there is none.
func (s *Store) conflict(ctx context.Context, n provisioning.NewPortal, inPlaceOf id.RoomID) (current id.RoomID, err error) {
	const query = `
		SELECT room_id FROM tgprovision_portal WHERE room_id=$1
			OR receiver=$3 AND (chat_id IN ($2, $4) OR migrated_from<>0 AND migrated_from IN ($2, $4))`
	rows, err := s.db.Query(ctx, query, n.RoomID, int64(n.ChatID), n.Receiver, int64(n.MigratedFrom))
	var bridged, taken bool
	err = dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.RoomID], err).Iter(func(found id.RoomID) (bool, error) {
		switch found {
		case inPlaceOf:
			current = found
		case n.RoomID:
			bridged = true
		default:
			taken = true
		}
		return true, nil
	})
	switch {
	case err != nil:
		return "", err
	case bridged:
		return "", provisioning.ErrRoomBridged
	case taken:
		return "", provisioning.ErrChatBridged
	}
	return current, nil
}

// Disconnect implements [provisioning.PortalStore]. It is one transaction, in turn
// with those of Connect.
func (s *Store) Disconnect(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
	err := s.inTurn(ctx, func(ctx context.Context) error {
		const query = `DELETE FROM tgprovision_portal WHERE room_id=$1 AND chat_id=$2 AND receiver=$3`
		result, err := s.db.Exec(ctx, query, p.RoomID, int64(p.ChatID), p.Receiver)
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil {
			return err
		} else if rows == 0 {
			return provisioning.ErrPortalNotFound
		}
		return s.insertTasks(ctx, tasks)
	})
	if err != nil {
		return fmt.Errorf("remove a portal: %w", err)
	}
	s.portals.Changed(ctx)
	return nil
}

// inTurn runs a transaction that changes portals: one at a time, in all processes,
// with readers beside it.
func (s *Store) inTurn(ctx context.Context, fn func(context.Context) error) error {
	// It changes nothing, but gets the turn: SQLite's one writer, or the lock of the
	// trigger on PostgreSQL. What comes after it sees all that was committed before.
	const turn = `UPDATE tgprovision_portal SET title=title WHERE room_id=''`
	return s.db.DoTxn(ctx, func(ctx context.Context) error {
		if _, err := s.db.Exec(ctx, turn); err != nil {
			return err
		}
		return fn(ctx)
	})
}

// Check implements [provisioning.Checker]. It takes its turn as a change does, and changes
// nothing: a database that somebody has locked for as long as the context lasts can't be
// used, though it can be read.
func (s *Store) Check(ctx context.Context) error {
	return s.inTurn(ctx, func(context.Context) error { return nil })
}

// text returns what PostgreSQL can hold of a text from elsewhere.
func text(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

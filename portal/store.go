package portal

import (
	"context"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// What [Store.Insert] returns for a portal that can't be.
var (
	// ErrRoomBridged: the room is bridged already, to this chat or to another.
	ErrRoomBridged = errors.New("the room is bridged to a chat already")
	// ErrChatBridged: the chat is bridged already, to another room.
	ErrChatBridged = errors.New("the chat is bridged to another room already")
)

// Store is a [provisioning.PortalStore] on SQL: SQLite or PostgreSQL. It is safe
// for concurrent use by several goroutines; several stores, in one process or in
// many, can share a database. There is nothing to close but the database.
type Store struct {
	db *dbutil.Database
}

var _ provisioning.PortalStore = (*Store)(nil)

// NewStore opens the store, and makes or upgrades its tables, in one transaction.
// Their names begin with tgprovision_, the version table's too, so that they can
// share a database with anything. The database stays the caller's to close.
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
func NewStore(ctx context.Context, db *dbutil.Database) (*Store, error) {
	if db == nil {
		return nil, errors.New("the portal store needs a database")
	}
	if err := schema.Connect(ctx, db); err != nil {
		return nil, fmt.Errorf("connect to the database of the portal store: %w", err)
	}
	if err := checkForeignKeys(ctx, db); err != nil {
		return nil, err
	}
	tables, err := openTables(ctx, db)
	if err != nil {
		return nil, err
	}
	return &Store{tables}, nil
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

// AccountPortals implements [provisioning.PortalStore]. It is one read, in the
// order of the room IDs.
func (s *Store) AccountPortals(ctx context.Context, telegramID int64) ([]provisioning.Portal, error) {
	const query = `
		SELECT p.room_id, p.chat_id, p.receiver, p.title
		FROM tgprovision_portal p JOIN tgprovision_portal_account a ON a.room_id=p.room_id
		WHERE a.telegram_id=$1 ORDER BY p.room_id`
	rows, err := s.db.Query(ctx, query, telegramID)
	portals, err := dbutil.NewRowIterWithError(rows, scanPortal, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list an account's portals: %w", err)
	}
	return portals, nil
}

func scanPortal(row dbutil.Scannable) (p provisioning.Portal, err error) {
	err = row.Scan(&p.RoomID, &p.ChatID, &p.Receiver, &p.Title)
	return p, err
}

// Insert records a new portal and the Telegram accounts that take part in it; the
// receiver of a direct chat always does. It is one transaction, and the database's
// constraints decide: of several racing calls for one room or one chat, also in
// several processes, exactly one succeeds. The others change nothing and return
// [ErrRoomBridged] or [ErrChatBridged], the former where both would be true.
//
// When the context carries a transaction of the host's database (dbutil's DoTxn),
// the call is part of that.
func (s *Store) Insert(ctx context.Context, p provisioning.Portal, accounts ...int64) error {
	if err := validate(p, accounts); err != nil {
		return fmt.Errorf("record a portal: %w", err)
	}
	if p.Receiver != 0 {
		accounts = append([]int64{p.Receiver}, accounts...)
	}
	err := s.db.DoTxn(ctx, schema.ReadCommitted(s.db), func(ctx context.Context) error {
		return s.insert(ctx, p, accounts)
	})
	if err != nil {
		return fmt.Errorf("record a portal: %w", err)
	}
	return nil
}

func validate(p provisioning.Portal, accounts []int64) error {
	if p.RoomID == "" || p.ChatID == 0 || p.Receiver < 0 {
		return fmt.Errorf("room %q, chat %d, receiver %d is not a portal", p.RoomID, p.ChatID, p.Receiver)
	}
	for _, telegramID := range accounts {
		if telegramID <= 0 {
			return fmt.Errorf("%d is not the ID of a Telegram user", telegramID)
		}
	}
	return nil
}

// insert is Insert inside its transaction.
func (s *Store) insert(ctx context.Context, p provisioning.Portal, accounts []int64) error {
	const query = `
		INSERT INTO tgprovision_portal_account (room_id, telegram_id) VALUES ($1, $2)
		ON CONFLICT DO NOTHING`
	for {
		inserted, err := s.insertPortal(ctx, p)
		if err != nil {
			return err
		}
		if inserted {
			break
		}
		// Nothing is in the way any more when somebody has deleted it since.
		if err = s.conflict(ctx, p); err != nil {
			return err
		}
	}
	for _, telegramID := range accounts {
		if _, err := s.db.Exec(ctx, query, p.RoomID, telegramID); err != nil {
			return err
		}
	}
	return nil
}

// insertPortal returns false when a constraint refuses the portal. It comes first
// in its transaction: on SQLite, one that starts by reading can't always go on to
// write.
func (s *Store) insertPortal(ctx context.Context, p provisioning.Portal) (inserted bool, err error) {
	const query = `
		INSERT INTO tgprovision_portal (room_id, chat_id, receiver, title) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`
	result, err := s.db.Exec(ctx, query, p.RoomID, int64(p.ChatID), p.Receiver, p.Title)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows == 1, err
}

// conflict says which constraint refuses a portal, nil if none does.
func (s *Store) conflict(ctx context.Context, p provisioning.Portal) error {
	const query = `
		SELECT EXISTS(SELECT 1 FROM tgprovision_portal WHERE room_id=$1),
			EXISTS(SELECT 1 FROM tgprovision_portal WHERE chat_id=$2 AND receiver=$3)`
	var room, chat bool
	err := s.db.QueryRow(ctx, query, p.RoomID, int64(p.ChatID), p.Receiver).Scan(&room, &chat)
	switch {
	case err != nil:
		return err
	case room:
		return ErrRoomBridged
	case chat:
		return ErrChatBridged
	}
	return nil
}

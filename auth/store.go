package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/dbcache"
	"github.com/tgprovision/tgprovision/internal/limitstore"
	"github.com/tgprovision/tgprovision/internal/linkstore"
	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// StoreConfig is what a [Store] is made of.
type StoreConfig struct {
	// DB keeps the links between users and accounts, what is limited over time, and login links, in tables that
	// begin with tgprovision_. It may be shared with anything, and stays the host's to close.
	// Required.
	DB *dbutil.Database
	// Permissions are the levels of the Matrix users. The store keeps a copy. With none,
	// nobody may do anything.
	Permissions Permissions
	// IsBridgeUser says whether a Matrix ID belongs to the bridge itself, its bot or
	// one of its ghosts: these have [provisioning.PermissionNone], whatever
	// Permissions says. It is called concurrently. Defaults to nil: no ID does.
	IsBridgeUser func(id.UserID) bool
}

// Store is a [provisioning.UserStore], a [provisioning.LimitStore] and a
// [provisioning.LoginLinkStore] on SQL: SQLite or PostgreSQL. It is safe for
// concurrent use by several goroutines; several stores, in one process or in
// many, can share a database. There is nothing to close but the database.
//
// When the context of a call carries a transaction of the host's database (dbutil's
// DoTxn), the call is part of that. From the first [Store.LinkAccount],
// [Store.ClaimAccount] or [Store.UnlinkAccount] in it on, even one that changes nothing,
// every other change of links, and of the portals of a portal.Store on the same database,
// waits in all processes until the transaction ends. So two such transactions never wait
// for each other, whatever they change in whichever order. Rows of its own that several
// of them change, a host should change before these calls in all of them, or after them
// in all. The errors that the interface names leave such a transaction as it was; after
// any other error it has to be rolled back. On PostgreSQL it should be at the level read
// committed, the default.
//
// For the API's GET operations, the store remembers up to 20,000 of the links that it has
// read, and users that have none, until somebody changes one; every other read asks the
// database. A method that has changed a link returns when no store on the database, in
// whichever process, goes on with what was before; that takes 20 ms. One that found
// nothing to change returns at once. GET operations see a change by a transaction of the
// host's, or by other means than a Store, 20 ms after its commit at the latest.
type Store struct {
	db          schema.DB
	permissions Permissions
	bridgeUser  func(id.UserID) bool // nil where no ID is the bridge's own

	links  *dbcache.Cache[id.UserID, link]
	limits *limitstore.Store
	logins *linkstore.Store
}

// link is what the database knows of a user.
type link struct {
	telegramID provisioning.TelegramID
	displaced  bool
}

var (
	_ provisioning.UserStore      = (*Store)(nil)
	_ provisioning.AccountFinder  = (*Store)(nil)
	_ provisioning.LimitStore     = (*Store)(nil)
	_ provisioning.LoginLinkStore = (*Store)(nil)
	_ provisioning.Checker        = (*Store)(nil)
)

// NewStore opens the store, and makes or upgrades its tables, in one transaction each for users,
// limits and login links. The version tables' names begin with tgprovision_ too.
//
// SQLite needs a busy timeout where more than one connection writes, and should
// lock at the start of a transaction. With modernc.org/sqlite:
//
//	file:/path/bridge.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate
//
// Errors: Permissions that are invalid; a database that is unreachable, or whose
// tables were made by a newer version of this package
// ([dbutil.ErrUnsupportedDatabaseVersion]).
func NewStore(ctx context.Context, cfg StoreConfig) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("StoreConfig.DB is nil: set the bridge's database")
	}
	if err := cfg.Permissions.Validate(); err != nil {
		return nil, err
	}
	tables, err := openTables(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	limits, err := limitstore.Open(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	logins, err := linkstore.Open(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	return &Store{
		db: tables, permissions: maps.Clone(cfg.Permissions), bridgeUser: cfg.IsBridgeUser,
		links: dbcache.New[id.UserID, link](tables, "tgprovision_user"), limits: limits, logins: logins,
	}, nil
}

// User implements [provisioning.UserStore]. It is at most two reads, which write nothing.
// It answers for every ID, so it never returns [provisioning.ErrMatrixUserRefused].
func (s *Store) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	known, err := s.links.Get(ctx, userID, func(ctx context.Context) (l link, err error) {
		const query = `SELECT telegram_id, displaced FROM tgprovision_user WHERE user_id=$1`
		err = s.db.QueryRow(ctx, query, userID).Scan(&l.telegramID, &l.displaced)
		if errors.Is(err, sql.ErrNoRows) {
			return link{}, nil
		}
		return l, err
	})
	if err != nil {
		return provisioning.User{}, fmt.Errorf("read a user: %w", err)
	}
	return provisioning.User{Permission: s.level(userID), TelegramID: known.telegramID, Displaced: known.displaced}, nil
}

func (s *Store) level(userID id.UserID) provisioning.Permission {
	if s.bridgeUser != nil && s.bridgeUser(userID) {
		return provisioning.PermissionNone
	}
	return s.permissions.Level(userID)
}

// LinkAccount implements [provisioning.UserStore]. It is one transaction: that the
// account leaves its other user, that it becomes this one's, and the answer, happen
// together or not at all. Calls follow one another, in all processes; that an
// account is linked to one user only is a constraint of the database besides.
func (s *Store) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	var displaced []id.UserID
	err := s.write(ctx, telegramID, func(ctx context.Context) (changed int64, err error) {
		displaced, changed, err = s.link(ctx, userID, telegramID)
		return changed, err
	})
	if err != nil {
		return nil, fmt.Errorf("link an account: %w", err)
	}
	return displaced, nil
}

// link is LinkAccount inside its transaction. It also returns how many rows it changed.
func (s *Store) link(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, int64, error) {
	const (
		displace = `UPDATE tgprovision_user SET displaced=true WHERE telegram_id=$1 AND user_id<>$2 AND NOT displaced`
		list     = `SELECT user_id FROM tgprovision_user WHERE telegram_id=$1 AND displaced ORDER BY user_id`
	)
	left, err := s.exec(ctx, displace, telegramID, userID)
	if err != nil {
		return nil, 0, err
	}
	linked, err := s.exec(ctx, linkQuery, userID, telegramID)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.db.Query(ctx, list, telegramID)
	displaced, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.UserID], err).AsList()
	return displaced, left + linked, err
}

// ClaimAccount implements [provisioning.UserStore]. It is one transaction, in turn
// with those of LinkAccount.
func (s *Store) ClaimAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	err := s.write(ctx, telegramID, func(ctx context.Context) (int64, error) {
		const taken = `SELECT EXISTS(SELECT 1 FROM tgprovision_user WHERE telegram_id=$1 AND user_id<>$2 AND NOT displaced)`
		var another bool
		if err := s.db.QueryRow(ctx, taken, telegramID, userID).Scan(&another); err != nil {
			return 0, err
		}
		if another {
			return 0, provisioning.ErrAccountLinked
		}
		return s.exec(ctx, linkQuery, userID, telegramID)
	})
	if err != nil {
		return fmt.Errorf("claim an account: %w", err)
	}
	return nil
}

// write is inTurn for linking an account.
func (s *Store) write(ctx context.Context, telegramID provisioning.TelegramID, fn func(context.Context) (int64, error)) error {
	if telegramID <= 0 {
		return fmt.Errorf("%d is not the ID of a Telegram user", telegramID)
	}
	return s.inTurn(ctx, fn)
}

// inTurn runs a transaction that changes as many rows as fn returns: one at a time, in
// all processes, with readers beside it.
func (s *Store) inTurn(ctx context.Context, fn func(context.Context) (int64, error)) error {
	// It changes nothing, but gets the turn: SQLite's one writer, or the lock of the
	// trigger on PostgreSQL. What comes after it sees all that was committed before.
	const turn = `UPDATE tgprovision_user SET displaced=displaced WHERE user_id=''`
	var changed int64
	err := s.db.DoTxn(ctx, func(ctx context.Context) (err error) {
		if _, err = s.db.Exec(ctx, turn); err == nil {
			changed, err = fn(ctx)
		}
		return err
	})
	if err == nil && changed > 0 {
		s.links.Changed(ctx)
	}
	return err
}

// Check implements [provisioning.Checker]. It takes its turn as a change does, and changes
// nothing: a database that somebody has locked for as long as the context lasts can't be
// used, though it can be read.
func (s *Store) Check(ctx context.Context) error {
	return s.inTurn(ctx, func(context.Context) (int64, error) { return 0, nil })
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.db.Exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// linkQuery links a user to an account, in place of the one before. It changes no row
// where the user is linked to it already.
const linkQuery = `
	INSERT INTO tgprovision_user AS u (user_id, telegram_id, displaced) VALUES ($1, $2, false)
	ON CONFLICT (user_id) DO UPDATE SET telegram_id=excluded.telegram_id, displaced=false
	WHERE u.telegram_id<>excluded.telegram_id OR u.displaced`

// UnlinkAccount implements [provisioning.UserStore]. It is one transaction, in turn with
// those of LinkAccount.
func (s *Store) UnlinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	const query = `DELETE FROM tgprovision_user WHERE user_id=$1 AND telegram_id=$2`
	err := s.inTurn(ctx, func(ctx context.Context) (int64, error) { return s.exec(ctx, query, userID, telegramID) })
	if err != nil {
		return fmt.Errorf("unlink an account: %w", err)
	}
	return nil
}

// CountEvent implements [provisioning.LimitStore]. It is one transaction, in turn with others of
// its kind, which first forgets all events that count for no limit any more. The clock is that of
// the PostgreSQL server, or of the machine that has the SQLite file.
func (s *Store) CountEvent(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
	return s.limits.CountEvent(ctx, key, limits)
}

// PutLoginLink implements [provisioning.LoginLinkStore]. It is one transaction, in turn with others
// of its kind, which first deletes all links and sessions that are no longer valid. The clock is
// that of CountEvent, as it is in the methods below.
func (s *Store) PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
	return s.logins.PutLoginLink(ctx, userID, link, lifetime)
}

// OpenLoginLink implements [provisioning.LoginLinkStore]. It is one statement.
func (s *Store) OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
	return s.logins.OpenLoginLink(ctx, link, session, lifetime)
}

// LoginLinkUser implements [provisioning.LoginLinkStore]. It is one read.
func (s *Store) LoginLinkUser(ctx context.Context, hash string) (id.UserID, error) {
	return s.logins.LoginLinkUser(ctx, hash)
}

// RemoveLoginLink implements [provisioning.LoginLinkStore].
func (s *Store) RemoveLoginLink(ctx context.Context, userID id.UserID) error {
	return s.logins.RemoveLoginLink(ctx, userID)
}

// AccountUser implements [provisioning.AccountFinder]. It is one read.
func (s *Store) AccountUser(ctx context.Context, telegramID provisioning.TelegramID) (userID id.UserID, err error) {
	err = s.db.QueryRow(ctx, `SELECT user_id FROM tgprovision_user WHERE telegram_id=$1 AND NOT displaced`, telegramID).Scan(&userID)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for the user of an account: %w", err)
	}
	return userID, nil
}

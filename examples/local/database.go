package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// isPostgres says whether a database is named by a PostgreSQL URL.
func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// scheme is how a URL begins that is neither PostgreSQL's nor a drive of Windows, and setting
// is one of PostgreSQL's settings in its other form, host=… password=….
var (
	scheme  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:|://`)
	setting = regexp.MustCompile(`^\s*[a-z_]+\s*=`)
)

// checkDatabase says what to write for a database that is neither a PostgreSQL URL nor a
// file. What was written may hold a password: it is in no error, nor is what pgx says of it.
func checkDatabase(database string) error {
	if isPostgres(database) {
		_, err := pgx.ParseConfig(database)
		// Of a password with a / or # in it, the rest would pass for the database's name, which errors hold.
		_, address, _ := strings.Cut(database, "://")
		if end := strings.IndexAny(address, "/?#"); err != nil || (end >= 0 && strings.Contains(address[end:], "@")) {
			return errors.New("-db: the PostgreSQL URL can't be read: write postgres://user:password@host:5432/database, with %40 for @, %2F for /, %3F for ? and %23 for #")
		}
		return nil
	}
	info, err := os.Stat(database)
	if scheme.MatchString(database) || setting.MatchString(database) || strings.TrimSpace(database) == "" ||
		strings.HasPrefix(database, ":") || os.IsPathSeparator(database[len(database)-1]) || (err == nil && !info.Mode().IsRegular()) {
		return errors.New("-db is neither a file nor a PostgreSQL URL: write a path such as .tgprovision/local.db for SQLite, or postgres://user:password@host:5432/database")
	}
	return nil
}

// openDatabase opens a PostgreSQL URL, or a SQLite file, whose folder it makes.
func openDatabase(database string) (*dbutil.Database, error) {
	if isPostgres(database) {
		raw, err := sql.Open("pgx", database)
		if err != nil {
			return nil, errors.New("-db: the PostgreSQL URL can't be read") // the error may hold the password
		}
		limitConnections(raw)
		return dbutil.NewWithDB(raw, "postgres")
	}
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	// The file holds session keys: nobody else may read it.
	file, err := os.OpenFile(database, os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	path, err := filepath.Abs(database)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	// Several connections may write: wait for each other, and lock from the start.
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	uri := url.URL{Scheme: "file", Path: path, RawQuery: options}
	raw, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	limitConnections(raw)
	return dbutil.NewWithDB(raw, "sqlite3")
}

// limitConnections bounds a pool, which by itself opens a connection for whoever finds
// none, more than PostgreSQL has, and closes all but two as soon as nobody uses them.
func limitConnections(pool *sql.DB) {
	const most = 16
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
}

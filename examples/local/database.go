package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// isPostgres says whether a database is named by a PostgreSQL URL.
func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// openDatabase opens a PostgreSQL URL, or a SQLite file, whose folder it makes.
func openDatabase(database string) (*dbutil.Database, error) {
	if isPostgres(database) {
		raw, err := sql.Open("pgx", database)
		if err != nil {
			return nil, errors.New("the database URL can't be read") // the error would hold the password
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

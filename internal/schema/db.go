package schema

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/provisioning"
)

// DB is a database as the stores use it: its methods return the errors that [Fault] makes,
// and say [provisioning.WaitsForDatabase].
type DB struct{ *dbutil.Database }

// Exec is the method of [dbutil.Database].
func (db DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	defer provisioning.WaitsForDatabase(ctx)()
	result, err := db.Database.Exec(ctx, query, args...)
	return result, Fault(ctx, err)
}

// Query is the method of [dbutil.Database].
func (db DB) Query(ctx context.Context, query string, args ...any) (dbutil.Rows, error) {
	defer provisioning.WaitsForDatabase(ctx)()
	found, err := db.Database.Query(ctx, query, args...)
	return rows{found, ctx}, Fault(ctx, err)
}

// QueryRow is the method of [dbutil.Database]. The query has run, and waits for Scan.
func (db DB) QueryRow(ctx context.Context, query string, args ...any) dbutil.Scannable {
	defer provisioning.WaitsForDatabase(ctx)()
	return row{db.Database.QueryRow(ctx, query, args...), ctx}
}

// DoTxn runs a transaction, on PostgreSQL at the level read committed: each statement has to
// see what was committed before it, whatever the server's default. It returns the errors of
// fn as they are.
func (db DB) DoTxn(ctx context.Context, fn func(context.Context) error) error {
	defer provisioning.WaitsForDatabase(ctx)()
	var own error
	err := db.Database.DoTxn(ctx, readCommitted(db.Database), func(ctx context.Context) error {
		own = fn(ctx)
		return own
	})
	if own != nil {
		return own
	}
	return Fault(ctx, err)
}

// Array returns values as a JSON array: one parameter of a query. Thousands of parameters would
// take longer to parse and to bind than to look for.
func Array[T any](values []T) string {
	encoded, err := json.Marshal(append([]T{}, values...)) // nil would be null
	if err != nil {
		panic("schema: values can't be encoded: " + err.Error())
	}
	return string(encoded)
}

// Numbers returns a query for the numbers of an [Array] that is a parameter, such as $1.
func (db DB) Numbers(parameter string) string {
	if db.Dialect == dbutil.Postgres {
		return `SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(` + parameter + ` AS JSON))`
	}
	return `SELECT value FROM json_each(` + parameter + `)`
}

// Texts returns a query for the texts of an [Array] that is a parameter.
func (db DB) Texts(parameter string) string {
	if db.Dialect == dbutil.Postgres {
		return `SELECT value FROM json_array_elements_text(CAST(` + parameter + ` AS JSON))`
	}
	return `SELECT value FROM json_each(` + parameter + `)`
}

// Pairs returns a query for the pairs of numbers of an [Array] of [2]int64 that is a parameter. The
// columns are first and second.
func (db DB) Pairs(parameter string) string {
	if db.Dialect == dbutil.Postgres {
		return `SELECT CAST(value->>0 AS BIGINT) AS first, CAST(value->>1 AS BIGINT) AS second
			FROM json_array_elements(CAST(` + parameter + ` AS JSON))`
	}
	return `SELECT value->>0 AS first, value->>1 AS second FROM json_each(` + parameter + `)`
}

// Clock returns the expression for the time in milliseconds since 1970: by the clock of the
// PostgreSQL server, or of the machine that has the SQLite file.
func (db DB) Clock() string {
	if db.Dialect == dbutil.Postgres {
		return `(extract(epoch FROM clock_timestamp())*1000)::BIGINT`
	}
	return `CAST((julianday('now')-2440587.5)*86400000 AS INTEGER)`
}

// rows are the rows of a query.
type rows struct {
	dbutil.Rows
	ctx context.Context
}

// Scan implements [dbutil.Rows].
func (r rows) Scan(to ...any) error { return Fault(r.ctx, r.Rows.Scan(to...)) }

// Err implements [dbutil.Rows].
func (r rows) Err() error { return Fault(r.ctx, r.Rows.Err()) }

// row is the one row of a query.
type row struct {
	of  dbutil.Scannable
	ctx context.Context
}

// Scan implements [dbutil.Scannable].
func (r row) Scan(to ...any) error { return Fault(r.ctx, r.of.Scan(to...)) }

// Fault makes a [provisioning.ErrDatabase] of what a database returned: that it can't be
// reached, is locked, has no connection left, did not answer before the deadline of the
// context, or can't run a query. It is no fault of the database's that there is no row, that
// a constraint refuses a change, or that the caller has cancelled the context.
func Fault(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows), errors.Is(err, provisioning.ErrDatabase), isConstraint(err):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return fmt.Errorf("%w: %w", provisioning.ErrDatabase, err)
}

// isConstraint says whether a constraint refuses a change: SQLSTATE class 23 on PostgreSQL,
// and by its text on SQLite, where every driver has an error type of its own.
func isConstraint(err error) bool {
	if coded, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return strings.HasPrefix(coded.SQLState(), "23")
	}
	return strings.Contains(err.Error(), "constraint failed")
}

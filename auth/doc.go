// Package auth is the bundled [provisioning.UserStore] and [provisioning.TokenChecker]:
// permission levels as mautrix bridges configure them, an SQL table that says which
// Telegram account each Matrix user is linked to, and callers with Matrix tokens.
//
// [Permissions] are levels by Matrix ID, server name or "*". [Store] keeps the
// links in SQLite or PostgreSQL; it can share a database with the host's own
// tables, and several processes can share the database. It counts there what is limited over
// time, too. [Tokens] has the homeserver tell whose a
// token is.
package auth

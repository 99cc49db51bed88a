// Package auth is the bundled [provisioning.UserStore]: permission levels as
// mautrix bridges configure them, and an SQL table that says which Telegram
// account each Matrix user is linked to.
//
// [Permissions] are levels by Matrix ID, server name or "*". [Store] keeps the
// links in SQLite or PostgreSQL; it can share a database with the host's own
// tables, and several processes can share the database.
package auth

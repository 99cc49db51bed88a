// Package portal is the bundled [provisioning.PortalStore], on SQL: which Matrix
// rooms are bridged to which Telegram chats, and which Telegram accounts take part
// in them.
//
// [Store] keeps them in SQLite or PostgreSQL; it can share a database with the
// host's own tables, and several processes can share the database. A bridge that
// makes portals by itself records them with [Store.Connect].
package portal

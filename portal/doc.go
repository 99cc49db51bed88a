// Package portal is the bundled Matrix side of the provisioning API, as
// [provisioning.PortalStore] and [provisioning.Rooms].
//
// [Store] knows, on SQL, which Matrix rooms are bridged to which Telegram chats and
// which Telegram accounts take part in them, and keeps the work that is promised and
// not done yet. A bridge that makes portals by itself records them with
// [Store.Connect].
//
// [Rooms] acts on rooms as an appservice: bridge info, names and avatars, direct rooms,
// ghosts, and cleaning up.
//
// Both keep what they know in SQLite or PostgreSQL; they can share a database with each
// other and with the host's own tables, and several processes can share the database.
package portal

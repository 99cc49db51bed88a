// Package provisioning serves the /v1 provisioning HTTP API of a
// Matrix-Telegram bridge: logging Matrix users in to Telegram, saying who is
// logged in, listing chats and contacts, starting direct chats, and looking up,
// connecting, creating and disconnecting portals.
//
// A [Provisioner] mounts the whole API onto a gorilla/mux router that the host,
// a bridge, supplies. What it knows of the world it knows through four
// interfaces which the host implements or takes from the bundled defaults:
//
//   - [UserStore]: permission levels and which Matrix user is logged in with
//     which Telegram account (bundled: package auth);
//   - [TelegramClientFactory]: one [TelegramClient] for each Matrix user
//     (bundled: package telegram, on gotd/td);
//   - [PortalStore]: the rooms bridged to Telegram chats (bundled: package
//     portal);
//   - [Rooms]: Matrix rooms and ghosts (bundled: package portal). Without it,
//     portals can be read and not changed.
//
// What only some hosts can do stands in optional interfaces, such as [PhoneLogin]
// of clients, [TaskStore] of portal stores and [DirectRooms] of rooms: without one,
// the operations that it unlocks answer 501 not_implemented.
//
// What an answer promises beyond itself is recorded in the same transaction as what
// it says, and done at least once, after a crash too. [Config.Events] tells the host
// what has changed.
//
// The package imports neither a Telegram library nor an SQL driver. Package
// provisioningtest has in-memory implementations of the interfaces.
//
// [Provisioner] is safe for concurrent use.
package provisioning

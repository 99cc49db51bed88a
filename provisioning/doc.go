// Package provisioning serves the /v1 provisioning HTTP API of a
// Matrix-Telegram bridge: logging Matrix users in to Telegram, saying who is
// logged in, and listing chats and contacts.
//
// A [Provisioner] mounts the whole API onto a gorilla/mux router that the host,
// a bridge, supplies. What it knows of the world it knows through three
// interfaces which the host implements or takes from the bundled defaults:
//
//   - [UserStore]: permission levels and which Matrix user is logged in with
//     which Telegram account (bundled: package auth);
//   - [TelegramClientFactory]: one [TelegramClient] for each Matrix user
//     (bundled: package telegram, on gotd/td);
//   - [PortalStore]: the rooms bridged to Telegram chats (bundled: package
//     portal).
//
// What only some hosts can do stands in optional interfaces ([PhoneLogin],
// [BotLogin], [ChatLister], [ContactLister]): a client that lacks one answers
// the operations it unlocks with 501 not_implemented.
//
// The package imports neither a Telegram library nor an SQL driver. Package
// provisioningtest has in-memory implementations of the interfaces.
//
// [Provisioner] is safe for concurrent use.
package provisioning

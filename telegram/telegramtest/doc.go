// Package telegramtest is a Telegram datacenter for tests and demonstrations: a
// server in this process that speaks MTProto over TCP, with accounts, chats and
// contacts that the test makes up. Any MTProto client can use it that can be told
// an address and a public key.
//
// A test starts it with [NewServer], a program with [Start]; the example shows how
// to point gotd's client at it. Any other client is given [Server.Addr], [Server.DC]
// and [Server.PublicKeyPEM].
//
// What it does:
//
//   - The key exchange, encryption, containers and service messages of MTProto 2.0,
//     over the abridged, intermediate, padded and full transports, obfuscated or not.
//   - Logging in by code, by code and two-factor password, by QR code, and as a bot; with
//     the errors that Telegram answers, see https://core.telegram.org/api/auth and
//     https://core.telegram.org/api/qr-login. [Server.AcceptLoginToken] is the scan.
//   - Profiles with photos, dialogs and contacts, up to tens of thousands.
//   - Groups and channels that are the same for all their members: looking at them,
//     making and deleting them, adding members and administrators. [Server.Chat] shows
//     a test what has become of one.
//   - Text messages, of which everybody in a chat gets an update who is connected.
//     [Server.SendMessage] sends one as an app does, and [Server.WaitMessages] waits for
//     those of clients.
//   - Faults when asked for: [Server.Fail], [Server.Hold], [Server.Latency],
//     [Server.DropConnections], [Server.Refuse], [Server.Blackhole],
//     [Server.Revoke], [Server.ForgetKeys].
//
// Whoever is added to a group gets no update about it. A method that the server does
// not know gets the error 400 INPUT_METHOD_INVALID. It checks
// neither salts nor the age of messages, does not know temporary auth keys (PFS),
// and has no flood limits of its own.
//
// It stands on gotd/td's building blocks and not on its package tgtest, whose server
// has a data race between connections, lets an idle connection hold up the next, can't
// keep auth keys over a restart, and brings testify into the programs that use it.
//
// Client and server have to be built with the same version of gotd/td, or at least
// the same TL layer.
package telegramtest

// Package telegramtest is a Telegram datacenter for tests and demonstrations, in
// the process that uses it. It speaks real MTProto over TCP: key exchange, encrypted
// sessions, and the TL methods for logging in, listing chats and listing contacts,
// with two-factor passwords checked by true SRP.
//
// A test scripts its accounts ([Server.AddAccount]), what goes wrong
// ([Server.Fail], [Server.Hold], [Server.Refuse], [Server.Revoke], …), and looks at
// what arrived ([Server.Calls], [Server.Sessions]). Every method of a [Server] is
// safe for concurrent use.
//
// It stands on gotd/td's public building blocks and not on its package tgtest, whose
// server keeps auth keys where they can't survive a restart, reads the first bytes
// of a connection before it accepts the next, and has a data race between sessions.
//
// Clients have to be built from the same TL layer, which is that of gotd/td in this
// module.
package telegramtest

// Package telegramtest is a Telegram datacenter, or several, for tests and demonstrations:
// a server in this process that speaks MTProto over TCP, with accounts, chats and
// contacts that the test makes up. Any MTProto client can use it that can be told
// an address and a public key.
//
// A test starts it with [NewServer], a program with [Start]; the example shows how
// to point gotd's client at it. Any other client is given [Server.Addr], [Server.DC]
// and [Server.PublicKeyPEM].
//
// # What it imitates
//
//   - The key exchange, encryption, containers and service messages of MTProto 2.0,
//     over the abridged, intermediate, padded and full transports, obfuscated or not.
//   - What a server refuses: messages whose ID is too old, too new, no client's or a
//     container's that came before; messages with a stale salt; calls before initConnection;
//     auth keys that it does not know; and the login of an auth key that is used over two
//     connections in turns (AUTH_KEY_DUPLICATED). A message that comes again over its
//     connection is not done again.
//   - Several datacenters, see [Config]. Each has its auth keys and accounts, and whoever asks
//     at the wrong one is told the right one, by PHONE_MIGRATE, USER_MIGRATE or FILE_MIGRATE.
//     A login can be taken to another one, for downloads.
//   - Logging in by code, by code and two-factor password, by QR code, and as a bot; with
//     the errors that Telegram answers, see https://core.telegram.org/api/auth and
//     https://core.telegram.org/api/qr-login. [Server.AcceptLoginToken] is the scan. Codes come
//     in every way of [CodeDelivery], or not at all: where an e-mail address has to be set up
//     first, or a payment made.
//   - Profiles with photos, dialogs and contacts, up to tens of thousands.
//   - Groups and channels that are the same for all their members: looking at them,
//     making and deleting them, adding members and administrators, and making a supergroup of
//     a basic group, see [Server.MigrateChat]. [Server.Chat] shows a test what has become of one.
//   - Text messages, of which everybody in a chat gets an update who is connected, and which
//     move the chat to the top of the dialogs, also while a client pages through these.
//     [Server.SendMessage] sends one as an app does, and [Server.WaitMessages] waits for
//     those of clients.
//
// Faults come when asked for:
//
//   - of a method: [Server.Fail] with any error, [Server.Hold], [Server.Latency];
//   - of a message: [Server.RejectCalls], [Server.ExpireSalts], [Server.SetClock];
//   - of the transport: [Server.FailTransport], [Server.DropConnections], [Server.Refuse],
//     [Server.Blackhole];
//   - of a login: [Server.Revoke], [Server.ForgetKeys], [Server.ExpireCode],
//     [Server.ExpireToken], [Server.ExpireLoginTokens].
//
// # What it does not imitate
//
//   - A method that it does not know gets the error 400 INPUT_METHOD_INVALID. Many errors of
//     those that it does know come by Fail only, among them NETWORK_MIGRATE and all that say
//     that an account is frozen or restricted.
//   - It has no flood limits and no limits of other kinds: nothing is counted, neither codes
//     nor wrong passwords, members, channels or connections.
//   - Login addresses can't be set up, and codes can't be paid for. Nobody can sign up.
//   - An auth key has one salt, which is good until ExpireSalts. Sequence numbers are not
//     checked. Temporary auth keys (PFS), CDN datacenters and HTTP are unknown.
//   - A session is one connection's: what was sent over another is neither answered nor
//     refused there. No answer is sent twice, and none is kept that could not be sent.
//   - After the transport error 404 the connection stays open, where a real server may hang
//     up; after others it is closed.
//   - An auth key to which a login was taken is a login of its own: it stays when the one that
//     it came from ends, and [Server.Sessions] counts it.
//   - The ports of [Config.OtherDCs] and [Config.MediaDC] are others after a restart.
//   - There is no history: updates.getDifference is always empty, and updates go to those who
//     are connected. Whoever is added to a group gets no update about it. A dialog's last
//     message says "Hello!" whatever was said.
//   - There are no bans, invite links, topics and secret chats, and no media but the photos of
//     profiles and chats.
//
// It stands on gotd/td's building blocks and not on its package tgtest, whose server
// has a data race between connections, lets an idle connection hold up the next, can't
// keep auth keys over a restart, and brings testify into the programs that use it.
//
// Client and server have to be built with the same version of gotd/td, or at least
// the same TL layer.
package telegramtest

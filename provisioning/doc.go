// Package provisioning serves the /v1 provisioning HTTP API of a
// Matrix-Telegram bridge: logging Matrix users in to Telegram, saying who is
// logged in, listing chats and contacts, starting direct chats, and looking up,
// connecting, creating and disconnecting portals.
//
// A [Provisioner] is made with [New] and begins to work with [Provisioner.Start]. The
// whole API is mounted onto a gorilla/mux router with [Provisioner.Mount], or onto any
// other server with [Provisioner.Handler]. What it knows of the world it knows through
// interfaces which the host, a bridge, implements or takes from the bundled defaults:
//
//   - [UserStore]: permission levels and which Matrix user is logged in with
//     which Telegram account (bundled: package auth). A bridge whose Telegram sessions
//     say that by themselves implements its part [UserReader];
//   - [TelegramClientFactory]: one [TelegramClient] for each Matrix user
//     (bundled: package telegram, on gotd/td);
//   - [PortalStore]: the rooms bridged to Telegram chats (bundled: package
//     portal);
//   - [Rooms]: Matrix rooms and ghosts (bundled: package portal). Without it,
//     portals can be read and not changed;
//   - [TaskStore]: the background work that is promised (bundled: package portal).
//
// What only some hosts can do stands in optional interfaces, such as [PhoneLogin]
// of clients, [DirectPortals] of portal stores and [DirectRooms] of rooms. Without one,
// the operations that it unlocks answer 501 not_implemented.
//
// The package imports neither a Telegram library nor an SQL driver. Package
// provisioningtest has in-memory implementations of the interfaces, and conformance suites
// for those of a host.
//
// # Callers
//
// A caller with a shared secret acts for everybody, within the [Scope] of the secret: the one
// of [Config.Secret] may do everything. Where it names nobody in user_id, no rights are
// checked; where it names a user, that user's are. Nobody is named by leaving user_id out, and
// only so: an empty one is 400 mxid_empty, and two different ones are 400 mxid_invalid. A
// [Secret] can demand that somebody is named. [Provisioner.SetSecrets] replaces the secrets
// while requests come.
//
// With [Config.Tokens], Matrix users call for themselves. To name another user is 403
// mxid_mismatch, but for those of the level admin. Where nobody is named it is the caller,
// whose rights are checked. get_bridge takes any level above none, and reading a portal
// takes the level user. Tokens is not asked about a shared secret.
//
// Below the level admin, they get no further with a token than without. A portal is there for
// those who have joined its room, which [Rooms] says, and for the user whose direct chat it
// is; for others it is 404 portal_not_found, the same as none. The relay bot does not act for
// them: who is not logged in gets 403 not_logged_in. An OpenID token, which clients hand to
// widgets, never has the rights of the level admin.
//
// With [Config.LoginPage], create_login_link makes a link with which a Matrix user logs in on a
// web page. It can be opened once, within 15 minutes, for a session of as long that may do get_me
// and the steps of a login for this user, and nothing else: that is 403 insufficient_scope. A
// newer link ends the user's older one, and its session: they are 401 login_link_invalid.
// [Config.LoginLinks] keeps them.
//
// A level that is taken away counts at once. A login that ends after it is not recorded, and
// its session is ended. Sessions of users below the level full are kept: get_me shows them to
// their owner, to admins and to the secret, all of whom may log them out, and nothing else
// acts with them.
//
// Web pages of the origins in [Config.CORS] call as any other client does. Preflight
// requests of these origins are answered without authentication, for every path alike.
//
// # Bounds
//
// [Config.MaxRequests] requests may be under way at once in the process, the writing of
// their answers included. A quarter of them is for callers with the shared secret alone. A
// quarter, but at least one, may be WebSockets of login_qr, which last for minutes. Besides
// these, as many requests may wait for Tokens. Without such a bound, a homeserver or a database
// that has become slow would have requests pile up until the memory is full.
//
// [Config.MaxRequestsPerUser] of them may be one Matrix user's; one more gets 429
// too_many_requests. They are the user's who calls with a token or a login link, else those of
// the user in the path or, where it is used, in user_id. A request by the shared secret that
// names no user is nobody's.
//
// Nobody takes all places. A Matrix user, or an address from which Matrix users call, gets one
// more while it has fewer than are free: one alone has half of all, two have a third each, and
// there is one for whoever has none. A request that gets no place waits for two seconds at
// most, with no more than a quarter of MaxRequests others, in a queue that is shared in the same
// way. Then it gets 503 overloaded. A user who is named by the shared secret and has more than
// are free gets 429 at once.
//
// An address that has sent [Config.FailureLimit] wrong secrets gets 429 too_many_requests
// for the next one, and so does every address when all together have sent a hundred times as
// many. The right secret always passes, whatever its address has sent before. A token
// that Tokens says is invalid counts as a wrong secret does, and so does one that is no login
// link. One that was right when it was checked last always passes too; one that is new is not
// checked for an address over its limit. A missing or malformed Authorization header does not
// count. A host behind a proxy, where all callers have one address, sets [Config.ClientAddress].
//
// Login codes are limited over time: [Config.CodesPerPhone] for a phone number, 429
// phone_number_flood, and [Config.CodesPerUser] for a Matrix user who calls with a token or a
// login link, 429 too_many_requests, as [Config.BotTokensPerUser] are for bot tokens. A client
// counts a code when it is about to request it from Telegram, see [CountCode]. [Config.Limits] keeps the
// counts. Wrong codes and passwords are limited by the client, which gives the login up; see
// [ErrLoginGivenUp].
//
// [Config.Timeout] bounds what a request waits for. One that changes something and goes on for
// a quarter of a second longer is answered then with 500 unknown_error, such as one that
// records what Telegram has accepted, or waits for a database whose driver does not look at
// the context. It stays under way until it ends. The timeout also ends reading a body and
// writing an answer. It can't do the latter where the host's middleware hides the http.ResponseWriter
// in one that has no Unwrap: there the http.Server needs a ReadTimeout and a WriteTimeout.
//
// # Background work
//
// What an answer promises beyond itself is recorded as a task, in the same transaction as
// what the answer says, and done at least once, after a crash too: setting a portal's room
// up, cleaning it up, inviting people to a new chat, telling [Config.Events] of an event.
// Each kind is done by workers of its own, so that a kind that hangs does not hold up the
// others. A task that fails is tried again after two seconds, and then after pauses that
// double up to ten minutes. One that has failed for [Config.TaskLifetime] is given up, with
// an [EventTaskGivenUp], a line in the log at the level error, and an [ObservedTask].
// [Provisioner.Tasks] lists what is to be done, and [Provisioner.DropTask] drops it.
//
// Events come at least once each, after the change has been recorded, and in no order: what
// is true now, the stores know. An event whose call returned an error, or whose process
// died, comes again under the same ID. A change that has been undone in the meantime is
// left out.
package provisioning

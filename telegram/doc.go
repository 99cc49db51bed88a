// Package telegram is the bundled [provisioning.TelegramClientFactory], on
// gotd/td: one MTProto client a Matrix user, started when first needed and kept
// alive across requests.
//
// A [Factory] keeps sessions and half-done logins in an SQL database (SQLite or
// PostgreSQL), so that the process may be stopped or killed at any moment: who was
// logged in still is, and a login goes on with its next step.
//
// Beside them it keeps the access hashes that an account needs to name users and
// channels, so that these are looked for in its chats and contacts only once.
//
// A bridge that embeds the package needs no second connection to Telegram. Through
// [Config.Running] it gets the live gotd client of every account, and through
// [Config.Updates] it handles the account's updates on that connection.
//
// A bridge that keeps its own client logs people in here, and takes the finished session
// with [Client.HandOver].
//
// The calls on an account that is logged in are made by package calls, which needs nothing
// of this package: a bridge with clients of its own makes them with those. What Telegram's
// errors are in package provisioning stands in package rpcerror, which needs no gotd at all.
// The names of errors stand there and in the two files errors.go, and nowhere else.
//
// # A bridge with another gotd
//
// The types of two copies of gotd are not the same: a bridge whose module has a copy of its
// own can use rpcerror as it is, and of the rest what it copies onto its own gotd. For
// package calls that is
//
//	go run github.com/tgprovision/tgprovision/telegram/gotdcopy \
//		-gotd go.mau.fi/mautrix-telegram/pkg/gotd -to ./pkg/tgcalls
//
// and with -part sessions for this package. The command compiles the copy before it writes
// it, and says what that gotd lacks. Another way to have the logins is to let this package
// make them with its own gotd, beside the other one, and to take each session with
// HandOver, whose types are nobody's.
//
// # The states of a session
//
// A session is a row of the database, for one auth key, with the step of the login:
//
//	trying ─RequestCode─► code ─SubmitCode─► password ─SubmitPassword─► active
//	   │                   └────────────────SubmitCode─────────────────► │
//	   ├──────────────────────────────────LoginQR─────────► password     │
//	   └──────────────────────────────────LoginQR, LoginBot────────────► │
//
// A row at trying is nobody's yet, and belongs to its process. From code on it is its user's,
// who has one at most: the next one takes its place. HandOver leads from active to handover,
// where no client is started, and once the host has taken the session, to no row.
//
// Every session that is not handed over ends at ending: by Logout, CancelLogin,
// Config.LoginTimeout, another login in its place, a QR code that nobody has scanned, a
// process that died while it was trying. A row at ending is nobody's any more. It stays until
// Telegram has confirmed the end of the session, or does not know it. A half-done login
// that Telegram may still accept, because an answer or a scanned code is under way, is ended
// once more a minute later. A session that Telegram has ended leads to no row at once.
//
// The client of a session comes and goes apart from that. It writes only to the row that it
// was made from. It starts when it is first needed; it stops when it is idle, at Close, by
// itself where Telegram wants no more of it, and some seconds after its row has come to
// ending, whoever has done that.
//
// # Who has what
//
//	Factory       all the rest: a slot for each user whose session has a client.
//	sessionStore  the rows, sealed by a keyring, and access hashes. The step of a session is
//	              there only.
//	slot          the client of a user's row. Whoever changes the step or the client locks it;
//	              calls on a session that is logged in do so only to start the client.
//	conn          one gotd client, its connections, and what is remembered of its account. It
//	              is started once: after its end there is another one.
//	storage       the session of a conn as gotd reads and writes it.
//	active        a conn for one call on a session that is logged in, and the record of the row:
//	              the session that package calls makes the call with.
//	login         a locked slot and the record of the row, for one step of a login.
//	qrLogin       a conn that is in no slot until a code was scanned.
//	Client        nothing: it names the sessions of one user of a Factory.
//
// Two goroutines of the Factory look every few seconds: runMaintenance stops idle clients and
// those whose rows were ended elsewhere, and forgets old lists; runEnds ends sessions at
// Telegram.
//
// # The order of locks
//
// slot.lock, then Factory.mu or storage.mu, and none of these two with the other. All other
// mutexes are the last. Whoever has Factory.mu or a slot only tries to lock a slot (takeIdle).
// While a slot is locked there may be a wait for Telegram and the database, with storage.mu
// for the database, and with Factory.mu for nothing.
//
// # What gotd does
//
// Some code is there only because of what gotd v0.162.0 does. A test shows each of these
// things without that code, and fails with the version of gotd that does it no more:
//
//	closingConn            TestGotdExchangesKeysAfterItsEnd
//	clientResolver.dial    TestGotdDialsAfterItsEnd
//	sessionConn.Recv       TestGotdReplacesUnknownKeys
//	package authkey, turns TestGotdTestsPrimesAnew
//	keyMaker               TestGotdTestsPrimesAnew, TestGotdRunsBeforeTheSessionIsStored
//	publicKeys             TestGotdHasTheSamePublicKeys
//	exchangeConn           TestGotdTellsNobodyOfKeyExchanges
//	telegramClock          TestGotdNeedsTheRightTime
//	conn.up                TestGotdRunsBeforeItSaysThatItIsConnected
//	conn.reason            TestGotdHidesWhyItHasStopped
//	calls: ErrInterrupted   TestGotdCancelsCallsOfABrokenConnection
//	otherDatacenters       TestGotdForgetsDatacenters
//	calls: ReturnInTime     TestGotdCallsOutliveTheirContexts
//	calls: RetryUnsent      TestGotdFailsCallsItCouldNotSend
//	calls: RepeatTransient  TestGotdHidesIgnoredMessages
//	calls: SendOnce         TestGotdSendsACallTwice
//	floodWait              TestGotdReturnsFloodWaits
//	login.signIn           TestGotdKnowsNoCodesByEmail
//	qrLogin                TestGotdQRLosesUpdates, TestGotdQRTakesNoFreshToken,
//	                       TestGotdQRTakesNoMigrationWhenItRenews, TestGotdQRAsksWithoutPause
//	calls: dialogPages     TestGotdDialogIteratorNeedsPeers, TestGotdDialogIteratorNeedsMessages
package telegram

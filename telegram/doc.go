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
// A session is a row of the database with gotd's session in it and the step of the login:
//
//	no row ─► "" ─RequestCode─► code ─SubmitCode─► password ─SubmitPassword─► active
//	          │                   └────────────────SubmitCode─────────────────► │
//	          └────────────────────────────────────LoginBot───────────────────► │
//
// From every step but active, RequestCode leads to code, LoginBot to active, and LoginQR
// to password or active; CancelLogin and Config.LoginTimeout lead to no row, and so may an
// error of Telegram's. From active, Logout leads to no row, and so does Telegram when it
// ends the session. HandOver leads from active to handover, where no client is started but
// to log out, and once the host has taken the session, from there to no row; so does Logout.
//
// The client of a session comes and goes apart from that. It starts when it is first
// needed, whatever the step but handover; it stops when it is idle, with the row, at Close,
// and by itself where Telegram wants no more of it.
//
// # Who has what
//
//	Factory       all the rest: a slot for each session that has a client, and the janitor.
//	sessionStore  the rows, and access hashes. The step of a session is there only.
//	slot          one session's conn. Whoever changes the step or the conn locks it; calls on
//	              a session that is logged in do so only to start the client.
//	conn          one gotd client, its connections, and what is remembered of its account. It
//	              is started once: after its end there is another one.
//	active        a conn for one call on a session that is logged in, and the record of the row:
//	              the session that package calls makes the call with.
//	login         a locked slot and the record of the row, for one step of a login.
//	qrLogin       a conn without a slot, whose session is in memory until a code was scanned.
//	Client        nothing: it names a session of a Factory.
//	janitor       a goroutine that deletes old logins, forgets old lists and stops idle clients.
//	              It locks no slot for old logins that have no client.
//
// # The order of locks
//
// slot.lock, then Factory.mu or storage.mu, and none of these two with the other;
// exchangeConn.mu, then exchanges.mu. All other mutexes are the last. Whoever has Factory.mu
// or a slot only tries to lock a slot (takeIdle). While a slot is locked there may be a wait
// for Telegram and the database, with storage.mu for the database, and with Factory.mu for
// nothing.
//
// # What gotd does
//
// Some code is there only because of what gotd v0.162.0 does. A test shows each of these
// things without that code, and fails with the version of gotd that does it no more:
//
//	closingConn            TestGotdExchangesKeysAfterItsEnd
//	closingResolver.dial   TestGotdDialsAfterItsEnd
//	exchanges              TestGotdTestsPrimesAnew
//	exchangeConn           TestGotdTellsNobodyOfKeyExchanges
//	conn.waitStored        TestGotdRunsBeforeTheSessionIsStored
//	conn.up                TestGotdRunsBeforeItSaysThatItIsConnected
//	conn.reason            TestGotdHidesWhyItHasStopped
//	errInterrupted         TestGotdCancelsCallsOfABrokenConnection
//	otherDatacenters       TestGotdForgetsDatacenters
//	returnInTime           TestGotdCallsOutliveTheirContexts
//	retryUnsent            TestGotdFailsCallsItCouldNotSend
//	sendOnce               TestGotdSendsACallTwice
//	floodWait              TestGotdReturnsFloodWaits
//	login.signIn           TestGotdKnowsNoCodesByEmail
//	qrLogin                TestGotdQRLosesUpdates, TestGotdQRTakesNoFreshToken,
//	                       TestGotdQRTakesNoMigrationWhenItRenews, TestGotdQRAsksWithoutPause
//	calls: dialogPages     TestGotdDialogIteratorNeedsPeers, TestGotdDialogIteratorNeedsMessages
package telegram

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
// Telegram's error names stand in this package's errors.go and in package rpcerror, which
// says what they are in package provisioning, and nowhere else in the project.
package telegram

// Package matrixtest is a Matrix homeserver in memory, for tests and demonstrations.
// Clients and appservices of any kind use it over HTTP: rooms and their membership,
// state and power levels, profiles, media, and transactions to appservices. Everything
// that it answers is meant to be what Dendrite answers, status and errcode included;
// there is no federation, no encryption, and no history. Beyond Dendrite it knows the
// appservice ping, and says that it supports a version of the specification that has it:
// bridges on mautrix-go's bridgev2 want a newer one than Dendrite's.
//
// A test looks at rooms with [Server.Members] and [Server.State], makes rooms that no
// client could make with [Server.SetState] and [Server.AddMembers], and disturbs clients
// with [Server.Fail] and [Server.Hold]. The operations that these and [Server.Calls] name
// are: versions, register, capabilities, whoami, createRoom, join, invite, leave, kick,
// ban, unban, forget, joined_rooms, joined_members, members, state, GET state, PUT state,
// send, GET alias, GET profile, PUT profile, upload, download, sync, account_data,
// openid, userinfo, ping, media config.
package matrixtest

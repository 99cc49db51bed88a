package integration

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/internal/relay"
)

// run is what is measured: it returns how long it took.
type run func() time.Duration

// roundTrips is an operation, and how many round trips to Telegram and to the homeserver its
// promise needs, one after the other. Connecting to Telegram takes one, making an auth key
// three, and the first call of a connection one; connecting to the homeserver is not counted.
type roundTrips struct {
	name                                   string
	telegram, homeserver                   float64
	relayBot, photosElsewhere, oldAccounts bool
	prepare                                func(*farBridge) run
}

// asking returns how long a request takes after what has been done before it.
func asking(status int, method, path, body string, before ...func(*farBridge)) func(*farBridge) run {
	return func(far *farBridge) run {
		for _, do := range before {
			do(far)
		}
		return func() time.Duration { return far.want(status, method, path, body) }
	}
}

func getting(path string, before ...func(*farBridge)) func(*farBridge) run {
	return asking(200, http.MethodGet, path, "", before...)
}

// After what an operation is measured.
var (
	farLogIn   = (*farBridge).logIn
	farRestart = (*farBridge).restart
	farSeen    = func(path string) func(*farBridge) {
		return func(far *farBridge) { far.want(200, http.MethodGet, path, "") }
	}
	farRelayBot = func(far *farBridge) {
		// Nobody waits for the relay bot to log in.
		for {
			far.want(200, http.MethodGet, "/bridge", "")
			if far.telegram.Sessions(farRelay.ID) > 0 {
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	farBeaCode = func(far *farBridge) {
		far.want(200, http.MethodPost, farUser+"/login/request_code", `{"phone":"+`+farBea.Phone+`"}`)
	}
	farCode = func(far *farBridge) {
		far.want(200, http.MethodPost, farUser+"/login/request_code", `{"phone":"+`+farAda.Phone+`"}`)
	}
)

// connecting connects a room to a chat that Ada has been in before.
func connecting(chat, query string, before ...func(*farBridge)) func(*farBridge) run {
	return func(far *farBridge) run {
		roomID := far.room()
		for _, do := range before {
			do(far)
		}
		far.warm()
		status := 202
		if chat == farNoChat {
			status = 403
		}
		return func() time.Duration {
			return far.want(status, http.MethodPost, "/portal/"+string(roomID)+"/connect/"+chat+query, "")
		}
	}
}

// farNoChat is a chat that Ada is not in.
const farNoChat = "-1000000099999"

// onPortal makes a request about a portal that has so many members besides.
func onPortal(method, path string, ghosts, members int) func(*farBridge) run {
	return func(far *farBridge) run {
		far.logIn()
		roomID := far.portal()
		far.rest()
		far.addGhosts(roomID, ghosts)
		require.NoError(far, far.homeserver.AddMembers(roomID, members))
		status := 200
		if method == http.MethodPost {
			status = 202
		}
		return func() time.Duration {
			return far.want(status, method, "/portal/"+string(roomID)+path, "")
		}
	}
}

func creating(kind string, ghosts int, before ...func(*farBridge)) func(*farBridge) run {
	return func(far *farBridge) run {
		far.logIn()
		for _, do := range before {
			do(far)
		}
		roomID := far.room()
		far.addGhosts(roomID, ghosts)
		far.warm()
		return func() time.Duration {
			return far.want(201, http.MethodPost, "/portal/"+string(roomID)+"/create?"+farAsAda, `{"type":"`+kind+`"}`)
		}
	}
}

// farCreated has a group that was created before.
func farCreated(far *farBridge) {
	far.want(201, http.MethodPost, "/portal/"+string(far.room())+"/create?"+farAsAda, `{"type":"supergroup"}`)
}

// startingDM starts a direct chat with Ada's first contact.
func startingDM(status int, before ...func(*farBridge)) func(*farBridge) run {
	return asking(status, http.MethodPost, fmt.Sprintf("%s/pm/@far_user_%d", farUser, farContacts), "", append([]func(*farBridge){farLogIn, func(far *farBridge) {
		_, err := far.homeserver.AddUser("ada")
		require.NoError(far, err)
		far.warm()
	}}, before...)...)
}

func farDM(far *farBridge) {
	far.want(201, http.MethodPost, fmt.Sprintf("%s/pm/@far_user_%d", farUser, farContacts), "")
}

// scanning waits from the scan of a QR code until the login is done.
func scanning(account int64) func(*farBridge) run {
	return func(far *farBridge) run {
		conn, code := far.qr()
		return func() time.Duration {
			begun := time.Now()
			require.NoError(far, far.telegram.AcceptLoginToken(code, account))
			_, message, err := conn.Read(far.Context())
			took := time.Since(begun)
			require.NoError(far, err)
			require.JSONEq(far, `{"success":true}`, string(message))
			_ = conn.CloseNow()
			return took
		}
	}
}

// informing waits from a request until the room has the bridge info.
func informing(far *farBridge) run {
	far.logIn()
	roomID := far.room()
	far.warm()
	return func() time.Duration {
		begun := time.Now()
		far.want(202, http.MethodPost, "/portal/"+string(roomID)+"/connect/"+farChat(0)+"?"+farAsAda, "")
		answered := time.Since(begun)
		const key = "fi.mau.telegram://telegram/-1000000010000"
		for {
			if _, ok := far.homeserver.State(roomID, "uk.half-shot.bridge", key); ok {
				return time.Since(begun) - answered
			}
			<-time.After(time.Millisecond)
		}
	}
}

var promises = []roundTrips{
	{name: "get_bridge", relayBot: true, prepare: getting("/bridge", farRelayBot)},
	{name: "get_bridge/restarted", relayBot: true, prepare: getting("/bridge", farRelayBot, farRestart)},
	{name: "get_bridge/old", relayBot: true, oldAccounts: true, prepare: getting("/bridge", farRelayBot)},
	{name: "get_me", prepare: getting(farUser, farLogIn)},
	{name: "get_me/logged_out", prepare: getting(farUser)},
	{name: "get_me/restarted", telegram: 2, prepare: getting(farUser, farLogIn, farRestart)},
	{name: "get_me/old", telegram: 1, oldAccounts: true, prepare: getting(farUser, farLogIn)},
	{name: "get_chats", telegram: 10, prepare: getting(farUser+"/chats", farLogIn)},
	{name: "get_chats/again", prepare: getting(farUser+"/chats", farLogIn, farSeen(farUser+"/chats"))},
	{name: "get_chats/restarted", telegram: 12, prepare: getting(farUser+"/chats", farLogIn, farRestart)},
	{name: "get_contacts", telegram: 1, prepare: getting(farUser+"/contacts", farLogIn)},
	{name: "get_contacts/again", prepare: getting(farUser+"/contacts", farLogIn, farSeen(farUser+"/contacts"))},
	{name: "get_contacts/restarted", telegram: 3, prepare: getting(farUser+"/contacts", farLogIn, farRestart)},

	{name: "request_code", telegram: 6, prepare: asking(200, http.MethodPost, farUser+"/login/request_code", `{"phone":"+`+farAda.Phone+`"}`)},
	{name: "request_code/other_datacenter", telegram: 12, prepare: asking(200, http.MethodPost, farUser+"/login/request_code", `{"phone":"+`+farClara.Phone+`"}`)},
	{name: "send_code", telegram: 1, prepare: asking(200, http.MethodPost, farUser+"/login/send_code", `{"code":"12345"}`, farCode)},
	{name: "send_code/restarted", telegram: 3, prepare: asking(200, http.MethodPost, farUser+"/login/send_code", `{"code":"12345"}`, farCode, farRestart)},
	{name: "send_code/password", telegram: 2, prepare: asking(202, http.MethodPost, farUser+"/login/send_code", `{"code":"12345"}`, farBeaCode)},
	{name: "send_password", telegram: 1, prepare: asking(200, http.MethodPost, farUser+"/login/send_password", `{"password":"correct horse"}`, farBeaCode, func(far *farBridge) {
		far.want(202, http.MethodPost, farUser+"/login/send_code", `{"code":"12345"}`)
	})},
	{name: "bot_token", telegram: 6, prepare: asking(200, http.MethodPost, farUser+"/login/bot_token", `{"token":"`+farBot.Token+`"}`)},
	{name: "login_qr/shown", telegram: 6, prepare: func(far *farBridge) run {
		return func() time.Duration {
			begun := time.Now()
			conn, _ := far.qr()
			took := time.Since(begun)
			_ = conn.CloseNow()
			return took
		}
	}},
	{name: "login_qr/scanned", telegram: 1.5, prepare: scanning(farAda.ID)}, // half a round trip to hear of it
	{name: "login_qr/scanned/other_datacenter", telegram: 7.5, prepare: scanning(farClara.ID)},
	{name: "logout", telegram: 1, prepare: asking(200, http.MethodPost, farUser+"/logout", "", farLogIn)},
	{name: "logout/restarted", telegram: 3, prepare: asking(200, http.MethodPost, farUser+"/logout", "", farLogIn, farRestart)},

	{name: "connect", telegram: 1, homeserver: 1, relayBot: true, prepare: connecting(farChat(0), "?"+farAsAda, farLogIn, farRelayBot, (*farBridge).once)},
	{name: "connect/restarted", telegram: 3, homeserver: 1, relayBot: true, prepare: connecting(farChat(0), "?"+farAsAda, farLogIn, farRelayBot, (*farBridge).once, farRestart)},
	{name: "connect/nobody", telegram: 1, homeserver: 1, relayBot: true, prepare: connecting(farChat(0), "", farRelayBot)},
	{name: "connect/force", telegram: 1, homeserver: 1, relayBot: true, prepare: connecting(farChat(0), "?force=unbridge&"+farAsAda, farLogIn, farRelayBot, (*farBridge).once, func(far *farBridge) {
		require.NoError(far, far.homeserver.AddMembers(far.portal(), 20))
	})},
	{name: "connect/listed/page_1", telegram: 1, homeserver: 1, prepare: connecting(farChat(1), "?"+farAsAda, farLogIn, farSeen(farUser+"/chats"))},
	{name: "connect/listed/page_10", telegram: 1, homeserver: 1, prepare: connecting(farChat(990), "?"+farAsAda, farLogIn, farSeen(farUser+"/chats"))},
	{name: "connect/not_in_chat", telegram: 1, homeserver: 1, prepare: connecting(farNoChat, "?"+farAsAda, farLogIn, farSeen(farUser+"/chats"))},
	{name: "connect/bridge_info", homeserver: 2, prepare: informing},
	{name: "connect/bridge_info/photo_elsewhere", homeserver: 2, photosElsewhere: true, prepare: informing},

	{name: "create/supergroup", telegram: 1, homeserver: 1, prepare: creating("supergroup", 0)},
	{name: "create/supergroup/20_ghosts", telegram: 2, homeserver: 1, prepare: creating("supergroup", 20)},
	{name: "create/supergroup/relay_bot", telegram: 3, homeserver: 1, relayBot: true, prepare: creating("supergroup", 0, farRelayBot)},
	{name: "create/supergroup/relay_bot/again", telegram: 2, homeserver: 1, relayBot: true, prepare: creating("supergroup", 0, farRelayBot, farCreated)},
	{name: "create/group/relay_bot", telegram: 3, homeserver: 1, relayBot: true, prepare: creating("chat", 0, farRelayBot)},
	{name: "create/group/relay_bot/again", telegram: 2, homeserver: 1, relayBot: true, prepare: creating("chat", 0, farRelayBot, farCreated)},

	{name: "start_dm", telegram: 1, homeserver: 4, prepare: startingDM(201)},
	{name: "start_dm/photo_elsewhere", telegram: 1, homeserver: 4, photosElsewhere: true, prepare: startingDM(201)},
	{name: "start_dm/ghost_known", telegram: 1, homeserver: 3, prepare: startingDM(201, farSeen(farUser+"/contacts"))},
	{name: "start_dm/again", telegram: 1, homeserver: 1, prepare: startingDM(200, farDM)},
	{name: "resolve/username", telegram: 1, prepare: getting(farUser+"/resolve_identifier/@far_user_101", farLogIn)},
	{name: "resolve/listed_id", telegram: 1, prepare: getting(farUser+"/resolve_identifier/101", farLogIn, farSeen(farUser+"/contacts"))},
	{name: "resolve/unknown_id", telegram: 1, prepare: asking(404, http.MethodGet, farUser+"/resolve_identifier/424242", "", farLogIn, farSeen(farUser+"/contacts"), farSeen(farUser+"/chats"))},

	{name: "get_portal", prepare: onPortal(http.MethodGet, "", 0, 0)},
	{name: "get_portal/user", homeserver: 1, prepare: onPortal(http.MethodGet, "?"+farAsAda, 0, 0)},
	{name: "disconnect", homeserver: 1, prepare: onPortal(http.MethodPost, "/disconnect?"+farAsAda, 20, 0)},
	{name: "disconnect/sync", homeserver: 4, prepare: onPortal(http.MethodPost, "/disconnect?sync=1&"+farAsAda, 0, 200)},
	{name: "disconnect/sync/100_ghosts", homeserver: 16, prepare: onPortal(http.MethodPost, "/disconnect?sync=1&"+farAsAda, 100, 0)},
	{name: "disconnect/sync/delete/200_members", homeserver: 28, prepare: onPortal(http.MethodPost, "/disconnect?sync=1&delete=1&"+farAsAda, 0, 200)},
}

// BenchmarkRoundTrips measures how many round trips to Telegram and to the homeserver each
// operation waits for, one after the other.
func BenchmarkRoundTrips(b *testing.B) {
	for _, o := range promises {
		b.Run(o.name, func(b *testing.B) {
			relay.Compare(b, o.telegram, o.homeserver, func(toTelegram, toMatrix time.Duration) time.Duration {
				far := newFarBridge(b, o)
				defer far.host.stop()
				do := o.prepare(far)
				far.rest()
				far.toTelegram.SetRoundTrip(toTelegram)
				far.toMatrix.SetRoundTrip(toMatrix)
				took := do()
				far.toTelegram.SetRoundTrip(0)
				far.toMatrix.SetRoundTrip(0)
				return took
			})
		})
	}
}

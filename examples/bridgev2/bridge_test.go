//go:build cgo

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

const ada, grace, charles = 9001, 9002, 9004 // accounts

// phone and code log in as Ada.
const phone, code = "+9996610001", "12345"

func TestLoginBridgesTheFirstChatsAndMessagesGoBothWays(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	step := w.logIn(you.UserID, "phone", phone, code)
	require.Equal(t, "9001", step["complete"].(map[string]any)["user_login_id"])
	group, dm := you.roomNamed("Analytical Engine"), you.roomNamed("Charles Babbage")
	you.roomNamed("Card readers")
	portal, err := w.bridge.Bridge.GetPortalByMXID(w.ctx, group)
	require.NoError(t, err)
	require.Equal(t, &connector.PortalMetadata{Megagroup: true}, portal.Metadata)

	require.NoError(t, w.telegram.SendMessage(telegramtest.Message{From: grace, Kind: telegramtest.KindSupergroup, Chat: 2003, Text: "from Telegram"}))
	require.NoError(t, w.telegram.SendMessage(telegramtest.Message{From: charles, Kind: telegramtest.KindUser, Chat: ada, Text: "privately"}))
	got := you.message("from Telegram")
	require.Equal(t, group, got.RoomID)
	require.Equal(t, id.UserID("@telegram_9002:localhost"), got.Sender)
	require.Equal(t, dm, you.message("privately").RoomID)

	require.NoError(t, w.telegram.SendMessage(telegramtest.Message{From: ada, Kind: telegramtest.KindUser, Chat: charles, Text: "from the phone"}))
	got = you.message("from the phone")
	require.Equal(t, dm, got.RoomID)
	require.Equal(t, id.UserID("@telegram_9001:localhost"), got.Sender)

	_, err = you.SendText(w.ctx, group, "from Matrix")
	require.NoError(t, err)
	said, err := w.telegram.WaitMessages(w.ctx, 4)
	require.NoError(t, err)
	require.Equal(t, telegramtest.Message{From: ada, Kind: telegramtest.KindSupergroup, Chat: 2003, Text: "from Matrix"}, said[3])
	_, err = you.SendText(w.ctx, dm, "privately back")
	require.NoError(t, err)
	said, err = w.telegram.WaitMessages(w.ctx, 5)
	require.NoError(t, err)
	require.Equal(t, telegramtest.Message{From: ada, Kind: telegramtest.KindUser, Chat: charles, Text: "privately back"}, said[4])
}

func TestMessageInAnUnknownChatMakesItsPortal(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	you.roomNamed("Charles Babbage")
	require.NoError(t, w.telegram.SetChat(telegramtest.Chat{
		Kind: telegramtest.KindBasicGroup, ID: 2100, Title: "Newcomers", Members: []int64{ada, grace},
	}))
	require.NoError(t, w.telegram.SendMessage(telegramtest.Message{From: grace, Kind: telegramtest.KindBasicGroup, Chat: 2100, Text: "welcome"}))
	require.Equal(t, you.roomNamed("Newcomers"), you.message("welcome").RoomID)
}

func TestLoginWithPasswordAfterMistakes(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	_, step := w.v3("POST", "login/start/phone", you.UserID, nil)
	for _, try := range []struct{ input, next string }{
		{"+9996610002", "code"}, {"99999", "code"}, {"02468", "password"}, {"wrong", "password"}, {"correct horse", "complete"},
	} {
		status, next := w.submit(you.UserID, step, try.input)
		require.Equal(t, 200, status, "%v", next)
		require.Equal(t, try.next, next["step_id"])
		step = next
	}
	_, whoami := w.v3("GET", "whoami", you.UserID, nil)
	login := whoami["logins"].([]any)[0].(map[string]any)
	require.Equal(t, "9002", login["id"])
	require.Equal(t, map[string]any{"username": "grace", "name": "Grace Hopper", "phone": "+9996610002"}, login["profile"])
}

func TestLoginRefusesWhatTelegramRefuses(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	for flow, input := range map[string]string{"phone": "not a number", "bot": "9003:AAwrong"} {
		_, step := w.v3("POST", "login/start/"+flow, you.UserID, nil)
		status, answer := w.submit(you.UserID, step, input)
		require.Equal(t, 400, status, "%v", answer)
		require.True(t, strings.HasPrefix(answer["errcode"].(string), "TGPROVISION."), "%v", answer)
	}
}

func TestBotLogin(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	step := w.logIn(you.UserID, "bot", "9003:AAF-token-of-the-local-bot")
	require.Equal(t, "9003", step["complete"].(map[string]any)["user_login_id"])
}

func TestQRLogin(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	status, step := w.v3("POST", "login/start/qr", you.UserID, nil)
	require.Equal(t, 200, status, "%v", step)
	shown := step["display_and_wait"].(map[string]any)
	require.Equal(t, "qr", shown["type"])
	require.NoError(t, w.telegram.AcceptLoginToken(shown["data"].(string), ada))
	status, step = w.v3("POST", "login/step/"+step["login_id"].(string)+"/qr/display_and_wait", you.UserID, nil)
	require.Equal(t, 200, status, "%v", step)
	require.Equal(t, "complete", step["type"])
}

func TestLogoutEndsTheSessionAtTelegram(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	require.Equal(t, 1, w.telegram.Sessions(ada))
	status, _ := w.v3("POST", "logout/9001", you.UserID, nil)
	require.Equal(t, 200, status)
	require.Zero(t, w.telegram.Sessions(ada))
	_, whoami := w.v3("GET", "whoami", you.UserID, nil)
	require.Empty(t, whoami["logins"])
}

func TestRestartGoesOn(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	group := you.roomNamed("Analytical Engine")
	w.stop()
	w.start()
	_, err := you.SendText(w.ctx, group, "after the restart")
	require.NoError(t, err)
	_, err = w.telegram.WaitMessages(w.ctx, 1)
	require.NoError(t, err)
	require.NoError(t, w.telegram.SendMessage(telegramtest.Message{From: grace, Kind: telegramtest.KindSupergroup, Chat: 2003, Text: "welcome back"}))
	require.Equal(t, group, you.message("welcome back").RoomID)
	require.Equal(t, 1, w.telegram.Sessions(ada))
}

func TestSessionThatTelegramEndsIsNoticed(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	you.roomNamed("Charles Babbage")
	require.NoError(t, w.telegram.Revoke(ada, "SESSION_REVOKED"))
	w.telegram.DropConnections()
	you.noticeOf("BAD_CREDENTIALS")
	w.logIn(you.UserID, "phone", phone, code)
	require.Equal(t, 1, w.telegram.Sessions(ada))
}

func TestSessionThatHasEndedIsNoticedByAMessage(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	group := you.roomNamed("Analytical Engine")
	require.NoError(t, w.telegram.Revoke(ada, "AUTH_KEY_UNREGISTERED"))
	_, err := you.SendText(w.ctx, group, "too late")
	require.NoError(t, err)
	you.noticeOf("BAD_CREDENTIALS")
	said, err := w.telegram.WaitMessages(w.ctx, 0)
	require.NoError(t, err)
	require.Empty(t, said)
}

func TestLostConnectionComesBack(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	group := you.roomNamed("Analytical Engine")
	w.telegram.DropConnections()
	_, err := you.SendText(w.ctx, group, "over the next connection")
	require.NoError(t, err)
	_, err = w.telegram.WaitMessages(w.ctx, 1)
	require.NoError(t, err)
}

func TestAccountThatMovesToAnotherUserIsLoggedOutFirst(t *testing.T) {
	w := newWorld(t)
	you, other := w.person("you"), w.person("other")
	w.logIn(you.UserID, "phone", phone, code)
	w.logIn(other.UserID, "phone", phone, code)
	require.Equal(t, 1, w.telegram.Sessions(ada))
	_, whoami := w.v3("GET", "whoami", you.UserID, nil)
	require.Empty(t, whoami["logins"])
	other.roomNamed("Charles Babbage")
}

func TestStartChat(t *testing.T) {
	w := newWorld(t)
	you := w.person("you")
	w.logIn(you.UserID, "phone", phone, code)
	for _, identifier := range []string{"grace", "+9996610002", "9002"} {
		status, answer := w.v3("POST", "create_dm/"+identifier, you.UserID, nil)
		require.Contains(t, []int{200, 201}, status, "%v", answer)
		require.Equal(t, "9002", answer["id"])
		require.NotEmpty(t, answer["dm_room_mxid"])
	}
	status, answer := w.v3("GET", "resolve_identifier/nobody", you.UserID, nil)
	require.Equal(t, 404, status, "%v", answer)
	_, answer = w.v3("GET", "contacts", you.UserID, nil)
	require.Len(t, answer["contacts"], 2)
}

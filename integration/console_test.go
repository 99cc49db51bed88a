package integration

import (
	"bytes"
	"context"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// dora has a two-factor password.
var dora = telegramtest.Account{
	ID: 2004, Phone: "9996620004", Code: "54321", Password: "correct horse", PasswordHint: "and then?", FirstName: "Dora", Username: "dora",
	ResendAfter: time.Second,
}

// newConsole starts a bridge, and a browser to look at its console with.
func newConsole(t *testing.T, more ...string) (s *stage, browser context.Context, address string) {
	t.Helper()
	s = newStage(t, homeservers["dendrite"], databases["sqlite"](t), more...)
	require.NoError(t, s.telegram.AddAccount(dora))
	return s, newBrowser(t), strings.TrimSuffix(s.example.url, mountPath) + "/console/"
}

// onScreens runs a test on a phone and on a desktop.
func onScreens(t *testing.T, test func(*testing.T, screen)) {
	t.Parallel()
	for name, size := range screens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, size)
		})
	}
}

// enter is an administrator who acts for a user.
func (b *tab) enter(address string, user *mautrix.Client) {
	b.t.Helper()
	b.open(address)
	b.fill("textbox", "Shared secret of the bridge", secret)
	b.fill("textbox", "Matrix user to act for", string(user.UserID))
	b.press("button", "Continue")
}

// Somebody logs in by phone, with a wrong code and a wrong password first.
func TestConsoleLogin(t *testing.T) {
	onScreens(t, func(t *testing.T, size screen) {
		s, browser, address := newConsole(t)
		alice := s.hs.user(t, "alice")
		b := newTab(t, browser, size)
		b.open(address)
		b.find("heading", "For administrators")
		b.inspect("enter")
		b.fill("textbox", "Shared secret of the bridge", "not-the-secret")
		b.fill("textbox", "Matrix user to act for", string(alice.UserID))
		b.press("button", "Continue")
		b.see("The shared secret is missing or wrong.")
		b.inspect("wrong-secret")
		b.fill("textbox", "Shared secret of the bridge", secret)
		b.fill("textbox", "Matrix user to act for", "@low:"+dendriteDomain)
		b.press("button", "Continue")
		b.see("This Matrix user may not log in to Telegram through the bridge.")
		b.fill("textbox", "Matrix user to act for", string(alice.UserID))
		b.press("button", "Continue")

		b.find("heading", "Log in to Telegram")
		b.inspect("login")
		b.fill("textbox", "Phone number", "555")
		b.press("button", "Send the code")
		b.see("That is not a phone number.")
		b.fill("textbox", "Phone number", "+"+dora.Phone)
		b.press("button", "Send the code")
		b.see("Telegram has sent a code to your Telegram apps.")
		b.inspect("code")
		b.press("button", "Send it by text message")
		b.see("Telegram has sent a code by SMS.")
		b.find("button", "Send it by a call that says it")
		b.fill("textbox", "Code", "11111")
		b.press("button", "Log in")
		b.see("That is not the right code.")
		b.fill("textbox", "Code", dora.Code)
		b.press("button", "Log in")
		b.see("Hint: and then?")
		b.inspect("password")
		b.fill("textbox", "Two-factor password", "battery staple")
		b.press("button", "Log in")
		b.see("That is not the right password.")
		b.fill("textbox", "Two-factor password", dora.Password)
		b.press("button", "Log in")
		b.see("@alice:" + dendriteDomain + " is Dora (@dora) on Telegram")
		b.find("heading", "Chats")
		b.see("There is nothing here yet.")

		b.press("button", "Log out")
		b.find("dialog", "Log out of Telegram?")
		b.inspect("log-out")
		b.press("button", "Cancel")
		b.gone("dialog", "Log out of Telegram?")
		assert.NotNil(t, s.get(200, "", "/user/"+string(alice.UserID))["telegram"])
		b.press("button", "Log out")
		b.find("dialog", "Log out of Telegram?")
		b.press("button", "Log out") // the other one can't be used while there is a dialog
		b.see("You are logged out.")
		b.find("heading", "Log in to Telegram")
		assert.Nil(t, s.get(200, "", "/user/"+string(alice.UserID))["telegram"])

		// A login that is half done goes on where it is.
		b.fill("textbox", "Phone number", "+"+dora.Phone)
		b.press("button", "Send the code")
		b.find("textbox", "Code")
		b.enter(address, alice)
		b.find("textbox", "Code")
		b.press("button", "Start again")
		b.find("textbox", "Phone number")
		assert.Equal(t, "request", s.get(200, "", "/user/"+string(alice.UserID)+"/login")["state"])

		// As a bot.
		b.press("radio", "As a bot")
		b.inspect("bot")
		b.fill("textbox", "Token of the bot", "2009:wrong")
		b.press("button", "Log in")
		b.see("Telegram knows no bot with this token.")
		b.fill("textbox", "Token of the bot", relayBot.Token)
		b.press("button", "Log in")
		b.see("is Relay (@relay_bot) on Telegram")
	})
}

// Somebody scans the QR code with the app of an account that has a two-factor password.
func TestConsoleQR(t *testing.T) {
	onScreens(t, func(t *testing.T, size screen) {
		s, browser, address := newConsole(t)
		alice := s.hs.user(t, "alice")
		b := newTab(t, browser, size)
		b.enter(address, alice)
		b.press("radio", "With a QR code, from Telegram on a phone")
		b.inspect("qr-choice")
		b.press("button", "Show the QR code")
		b.find("image", "QR code to scan with Telegram on a phone")
		b.inspect("qr")
		b.press("button", "Cancel")
		b.press("button", "Show the QR code")
		require.NoError(t, s.telegram.AcceptLoginToken(b.scan(), dora.ID))
		b.see("Hint: and then?")
		b.fill("textbox", "Two-factor password", dora.Password)
		b.press("button", "Log in")
		b.see("is Dora (@dora) on Telegram")
		s.post(200, "", "/user/"+string(alice.UserID)+"/logout")

		// They were logged in somewhere else in the meantime.
		b.enter(address, alice)
		b.press("radio", "With a QR code, from Telegram on a phone")
		s.login(alice, ada)
		b.press("button", "Show the QR code")
		b.see("is Ada (@ada) on Telegram")

		// Why a socket was not opened is told.
		other := newTab(t, browser, size)
		other.enter(address, s.hs.user(t, "bob"))
		other.press("radio", "With a QR code, from Telegram on a phone")
		s.kill(t)
		other.press("button", "Show the QR code")
		other.see("The bridge can't be reached.")
	})
}

// scan reads the QR code that is shown.
func (b *tab) scan() string {
	b.t.Helper()
	const label = "QR code to scan with Telegram on a phone"
	b.do(chromedp.ScrollIntoView(label, b.named("image", label)...))
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	drawn, err := png.Decode(bytes.NewReader(shot))
	require.NoError(b.t, err)
	bitmap, err := gozxing.NewBinaryBitmapFromImage(drawn)
	require.NoError(b.t, err)
	read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	require.NoError(b.t, err)
	return read.GetText()
}

// Chats are looked for, connected after a look at what is in the way, and disconnected.
func TestConsolePortals(t *testing.T) {
	onScreens(t, func(t *testing.T, size screen) {
		s, browser, address := newConsole(t)
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		created, err := alice.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{Name: "The lounge"})
		require.NoError(t, err)
		room := string(created.RoomID)
		b := newTab(t, browser, size)
		b.enter(address, alice)
		b.find("button", "Connect: Lounge")
		b.find("button", "Connect: Family")
		b.inspect("chats")
		b.search("Search by title or @username", "loun")
		b.gone("button", "Connect: Family")
		b.press("button", "Connect: Lounge")
		b.find("dialog", "Connect Lounge")
		b.fill("textbox", "Matrix room", "not a room")
		b.press("button", "Look what would happen")
		b.see("That is not a valid Matrix room ID.")
		b.fill("textbox", "Matrix room", room)
		b.press("button", "Look what would happen")
		b.see("This is in the way:")
		b.see("Please invite it first. The bridge bot is " + string(s.bot()))
		b.inspect("connect-blocked")
		_, err = alice.InviteUser(t.Context(), created.RoomID, &mautrix.ReqInviteUser{UserID: s.bot()})
		require.NoError(t, err)
		s.until("the bridge bot joins", func() bool { return s.membership(alice, created.RoomID, s.bot()) == event.MembershipJoin })
		b.press("button", "Look what would happen")
		b.see("Nothing is in the way.")
		b.inspect("connect")
		b.press("button", "Connect")
		b.see("Lounge is connected to the room " + room + ".")
		b.see("bridged to " + room)
		b.gone("button", "Connect: Lounge")
		assert.EqualValues(t, -1000000000011, s.get(200, "", "/portal/"+room)["chat_id"])

		b.press("button", "Portals")
		b.find("button", "Disconnect: Lounge")
		b.inspect("portals")
		b.press("checkbox", "All portals of the bridge")
		b.find("button", "Disconnect: Lounge")
		b.press("button", "Disconnect: Lounge")
		b.find("dialog", "Disconnect Lounge?")
		b.inspect("disconnect")
		b.press("button", "Disconnect")
		b.see("Lounge is not bridged any more.")
		b.gone("button", "Disconnect: Lounge")
		s.get(404, "portal_not_found", "/portal/"+room)

		b.press("button", "New chat")
		b.inspect("create")
		b.fill("textbox", "Matrix room", room)
		b.fill("textbox", "Title", "Made here")
		b.press("button", "Create")
		b.see("and " + room + " is bridged to it.")
		assert.Equal(t, "Made here", s.get(200, "", "/portal/"+room)["title"])
	})
}

// A chat that was connected in the meantime is moved only when somebody says so.
func TestConsoleMovesPortal(t *testing.T) {
	t.Parallel()
	s, browser, address := newConsole(t)
	alice := s.hs.user(t, "alice")
	s.login(alice, ada)
	old, room := s.room(alice, mautrix.ReqCreateRoom{}), s.room(alice, mautrix.ReqCreateRoom{})
	b := newTab(t, browser, screens["phone"])
	b.enter(address, alice)
	b.press("button", "Connect: Lounge")
	s.post(202, "", "/portal/"+string(old)+"/connect/-1000000000011?user_id="+string(alice.UserID))
	b.fill("textbox", "Matrix room", string(room))
	b.press("button", "Look what would happen")
	b.see("The Telegram chat is bridged to another Matrix room already.")
	b.inspect("force")
	b.press("radio", "Move it: people from Telegram leave the other room")
	b.press("button", "Look what would happen")
	b.see("The portal in " + string(old) + " ends.")
	b.press("button", "Connect")
	b.see("Lounge is connected to the room " + string(room) + ".")
	s.get(404, "portal_not_found", "/portal/"+string(old))
	s.get(200, "", "/portal/"+string(room))
}

// Contacts are looked for, and get a direct chat.
func TestConsoleContacts(t *testing.T) {
	onScreens(t, func(t *testing.T, size screen) {
		s, browser, address := newConsole(t)
		alice := s.hs.user(t, "alice")
		s.login(alice, ada)
		b := newTab(t, browser, size)
		b.enter(address, alice)
		b.press("button", "Contacts")
		b.find("button", "Start chat: Cleo")
		b.inspect("contacts")
		b.search("Search the contacts", "@BERT")
		b.gone("button", "Start chat: Cleo")
		b.press("button", "Start chat: Bert")
		b.see("There is a room for the chat with Bert now")
		b.press("button", "Start chat: Bert")
		b.see("There is a room for the chat with Bert already")
		b.fill("textbox", "Start a chat with somebody else", "@nobody_at_all")
		b.press("button", "Start the chat")
		b.see("Nobody on Telegram was found")
		b.inspect("nobody")
	})
}

// Everything can be done with a keyboard alone.
func TestConsoleByKeyboard(t *testing.T) {
	t.Parallel()
	s, browser, address := newConsole(t)
	alice := s.hs.user(t, "alice")
	b := newTab(t, browser, screens["desktop"])
	b.open(address)
	b.find("heading", "For administrators")
	b.keys(kb.Tab, secret, kb.Tab, string(alice.UserID), kb.Enter)
	b.find("textbox", "Phone number")
	b.keys(kb.Tab, kb.Tab, "+"+ada.Phone, kb.Enter) // over the methods
	b.find("textbox", "Code")                       // has the focus
	b.keys(ada.Code, kb.Enter)
	b.find("button", "Connect: Lounge")
	b.keys(kb.Tab, "loun", kb.Enter) // the title has the focus
	b.settled()
	b.gone("button", "Connect: Family")
	b.keys(kb.Tab, kb.Enter)
	b.find("dialog", "Connect Lounge")
	b.keys(kb.Escape)
	b.gone("dialog", "Connect Lounge")
	assert.Equal(t, "Connect: Lounge", script[string](b, "document.activeElement.ariaLabel"))
}

// keys types, at what has the focus.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
)

// An administrator makes a login link, with which somebody logs in, once.
func TestConsoleLink(t *testing.T) {
	onScreens(t, func(t *testing.T, size screen) {
		s, browser, address := newConsole(t)
		alice := s.hs.user(t, "alice")
		b := newTab(t, browser, size)
		b.enter(address, alice)
		b.press("button", "Make a login link")
		b.find("textbox", "Give it to nobody else")
		b.inspect("made-link")
		link := b.value("Give it to nobody else")
		require.True(t, strings.HasPrefix(link, address+"#login_link="), link)

		// A preview of the link spends nothing.
		previewed, err := http.Get(link)
		require.NoError(t, err)
		require.NoError(t, previewed.Body.Close())

		person := newTab(t, browser, size)
		person.open(link)
		person.find("heading", "Log in to Telegram")
		assert.NotContains(t, script[string](person, "location.href"), "login_link")
		person.inspect("link")
		person.press("button", "Continue")
		person.fill("textbox", "Phone number", "+"+ada.Phone)
		person.press("button", "Send the code")
		person.fill("textbox", "Code", ada.Code)
		person.press("button", "Log in")
		person.see("is Ada (@ada) on Telegram")
		person.find("heading", "You are logged in")
		person.inspect("done")
		assert.False(t, script[bool](person, `document.querySelector("#places").checkVisibility()`))

		again := newTab(t, browser, size)
		again.open(link)
		again.press("button", "Continue")
		again.see("This login link was used already")
		again.inspect("used")
	})
}

// A bridge on bridgev2 has the page too.
func TestConsoleOnBridgev2(t *testing.T) {
	t.Parallel()
	s := newBridgev2Stage(t, homeservers["dendrite"], databases["sqlite"](t), bridgeSettings{})
	alice := s.hs.user(t, "alice")
	browser := newBrowser(t)
	b := newTab(t, browser, screens["phone"])
	b.enter(s.front.URL+"/console/", alice)
	b.press("button", "Make a login link")
	link := b.value("Give it to nobody else")
	b.open(link)
	b.press("button", "Continue")
	b.press("radio", "With a QR code, from Telegram on a phone")
	b.press("button", "Show the QR code")
	require.NoError(t, s.telegram.AcceptLoginToken(b.scan(), ada.ID))
	b.see("is Ada (@ada) on Telegram")
	b.enter(s.front.URL+"/console/", alice)
	b.find("button", "Connect: Lounge")
	b.press("button", "Portals")
	b.see("There is nothing here yet.")
}

// A Matrix client shows the console in a frame, and tells it by an OpenID token who somebody is.
func TestConsoleWidget(t *testing.T) {
	onScreens(t, func(t *testing.T, size screen) {
		matrixClient := httptest.NewUnstartedServer(nil)
		origin := "http://" + matrixClient.Listener.Addr().String()
		s, browser, address := newConsole(t, "-matrix-auth", "-widget-clients", origin)
		alice := s.hs.user(t, "alice")
		room := s.room(alice, mautrix.ReqCreateRoom{})
		widget := fmt.Sprintf("%s?widgetId=w1&user_id=%s&room_id=%s&parentUrl=%s", address,
			url.QueryEscape(string(alice.UserID)), url.QueryEscape(string(room)), url.QueryEscape(origin+"/"))
		stranger := httptest.NewServer(showWidget(t, alice, address, widget, ""))
		t.Cleanup(stranger.Close)
		matrixClient.Config.Handler = showWidget(t, alice, address, widget, stranger.URL+"/stranger")
		matrixClient.Start()
		t.Cleanup(matrixClient.Close)

		b := newTab(t, browser, size)
		b.allow(address, stranger.URL)
		b.open(origin)
		b.frame = "Widget"
		b.press("button", "Continue")
		b.frame = ""
		b.press("button", "Refuse")
		b.frame = "Widget"
		b.find("button", "Continue")
		b.see("Your Matrix client did not tell the bridge who you are.")
		b.press("button", "Continue")
		b.frame = "Stranger"
		b.press("button", "Intrude")
		b.find("heading", "Intruded")
		b.frame = ""
		b.press("button", "Allow")
		b.frame = "Widget"
		b.press("radio", "With a QR code, from Telegram on a phone")
		b.press("button", "Show the QR code")
		require.NoError(t, s.telegram.AcceptLoginToken(b.scan(), ada.ID))
		b.press("button", "Connect: Lounge")
		b.press("button", "Look what would happen") // in the room of the widget
		b.shoot("widget")
		b.press("button", "Connect")
		b.see("Lounge is connected to the room " + string(room) + ".")
		assert.EqualValues(t, -1000000000011, s.get(200, "", "/portal/"+string(room))["chat_id"])
		// Another page, of which the bridge was not told, can't have it in a frame.
		framed := newTab(t, browser, size)
		framed.allow(address)
		framed.refused = make(chan string, 10)
		framed.open(stranger.URL)
		assert.Contains(t, <-framed.refused, "frame-ancestors "+origin)
	})
}

// showWidget is a Matrix client that shows a widget, and asks whether to tell it who the user is:
// https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/1960-integrations-openid.md.
// Beside it it shows another page.
func showWidget(t *testing.T, user *mautrix.Client, address, widget, beside string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		token, err := user.RequestOpenIDToken(r.Context())
		if assert.NoError(t, err) {
			fmt.Fprint(w, token.AccessToken)
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, matrixClientPage, widget, beside, widgetOrigin(address))
	})
	mux.HandleFunc("GET /stranger", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, strangerPage)
	})
	return mux
}

func widgetOrigin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Scheme + "://" + u.Host
}

// matrixClientPage asks for the capabilities as clients do, and answers to get_openid with "request"
// until somebody has pressed a button.
const matrixClientPage = `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Client</title>
<p><button id="allow">Allow</button> <button id="refuse">Refuse</button></p>
<iframe title="Widget" src="%s" style="width: 100%%; height: 80vh; border: 0"></iframe>
<iframe title="Stranger" src="%s" style="width: 100%%; height: 8rem"></iframe>
<script>
const frame = document.querySelector("iframe[title=Widget]");
const origin = %q;
let asked = null;
const answer = (request, response) => frame.contentWindow.postMessage({ ...request, response }, origin);
const tell = (action, data) => frame.contentWindow.postMessage({ api: "toWidget", widgetId: "w1", requestId: "c" + Math.random(), action, data }, origin);
window.addEventListener("message", ({ data, source, origin: from }) => {
  if (source !== frame.contentWindow || from !== origin || data.api !== "fromWidget") return;
  if (data.action === "content_loaded") { answer(data, {}); tell("capabilities", {}); }
  if (data.action === "get_openid") { asked = data.requestId; answer(data, { state: "request" }); }
});
document.querySelector("#refuse").onclick = () => tell("openid_credentials", { state: "blocked", original_request_id: asked });
document.querySelector("#allow").onclick = async () => {
  const token = await (await fetch("token", { method: "POST" })).text();
  tell("openid_credentials", { state: "allowed", original_request_id: asked, access_token: token, token_type: "Bearer", expires_in: 3600 });
};
</script>
</html>`

// strangerPage tells the widget, in the name of the client, that somebody else is here.
const strangerPage = `<!doctype html>
<html lang="en">
<link rel="icon" href="data:,">
<title>Stranger</title>
<button>Intrude</button>
<h2></h2>
<script>
document.querySelector("button").onclick = () => {
  for (let n = 1; n < 20; n++) {
    const request = "tgprovision-" + n;
    const token = { state: "allowed", access_token: "not-a-token", token_type: "Bearer", expires_in: 3600 };
    parent.frames[0].postMessage({ api: "fromWidget", widgetId: "w1", requestId: request, action: "get_openid", data: {}, response: token }, "*");
    parent.frames[0].postMessage({ api: "toWidget", widgetId: "w1", requestId: "x", action: "openid_credentials", data: { ...token, original_request_id: request } }, "*");
  }
  document.querySelector("h2").textContent = "Intruded";
};
</script>
</html>`

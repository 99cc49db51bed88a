package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

const secret = "correct-horse-battery-staple"

// bridge is a bridge in memory, which is not started yet, with its Telegram.
func bridge(t *testing.T) (*provisioning.Provisioner, *provisioningtest.Telegram) {
	t.Helper()
	users := provisioningtest.NewMemUserStore(func(id.UserID) provisioning.Permission { return provisioning.PermissionFull })
	telegram := provisioningtest.NewTelegram(provisioningtest.TelegramAccount{
		Account: provisioning.Account{ID: 1001, Username: "alice_tg", Phone: "15550100"}, Code: "01234", Password: "open sesame",
		PasswordHint: "as in the tale",
		Chats:        []provisioning.Chat{{ID: -1001, Title: "Family"}},
	}, provisioningtest.TelegramAccount{
		Account: provisioning.Account{ID: 1002, Username: "bob_tg", Phone: "15550101"}, Code: "43210",
		Next: new(provisioning.DeliverySMS),
	}, provisioningtest.TelegramAccount{
		Account: provisioning.Account{ID: 1003, Username: "helper_bot"}, Token: "1003:token",
	})
	portals := provisioningtest.NewMemPortalStore()
	for _, portal := range []provisioning.Portal{{RoomID: "!room:example.com", ChatID: -1001}, {RoomID: "!a/b?c#d:example.com", ChatID: -1002}} {
		if err := portals.Connect(t.Context(), provisioning.NewPortal{Portal: portal}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := provisioning.New(provisioning.Config{Secret: secret, Users: users, Portals: portals, Tasks: portals, Telegram: telegram})
	if err != nil {
		t.Fatal(err)
	}
	return p, telegram
}

// serve starts a bridge and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	p, _ := bridge(t)
	return serveBridge(t, p)
}

func serveBridge(t *testing.T, p *provisioning.Provisioner) string {
	t.Helper()
	if err := p.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	p.Mount(router.PathPrefix("/_matrix/provision").Subrouter())
	server := httptest.NewServer(router)
	t.Cleanup(func() {
		server.Close()
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server.URL + "/_matrix/provision"
}

func newClient(t *testing.T, server, secret string) *client.ClientWithResponses {
	t.Helper()
	api, err := client.New(server, secret)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// logIn goes through a whole login.
func logIn(t *testing.T, api *client.ClientWithResponses, userID string) {
	t.Helper()
	ctx := t.Context()
	sent, err := client.Do(api.PostLoginPhoneWithResponse(ctx, userID, client.PhoneNumber{Phone: "+15550100"}))
	if err != nil || sent.JSON200.State != "code" || *sent.JSON200.CodeLength != 5 {
		t.Fatalf("request_code: %+v, %v", sent, err)
	}
	_, err = client.Do(api.PostLoginCodeWithResponse(ctx, userID, client.PhoneCode{Code: "1"}))
	if fault, ok := errors.AsType[*client.Error](err); !ok || fault.Errcode != "phone_code_invalid" || *fault.State != client.LoginStateCode {
		t.Fatalf("a wrong code: %v", err)
	}
	accepted, err := client.Do(api.PostLoginCodeWithResponse(ctx, userID, client.PhoneCode{Code: "01234"}))
	if err != nil || accepted.JSON202.State != "password" {
		t.Fatalf("send_code: %+v, %v", accepted, err)
	}
	done, err := client.Do(api.PostLoginPasswordWithResponse(ctx, userID, client.Password{Password: "open sesame"}))
	if err != nil || done.JSON200.Username != "alice_tg" {
		t.Fatalf("send_password: %+v, %v", done, err)
	}
}

func TestLogin(t *testing.T) {
	api := newClient(t, serve(t), secret)
	ctx := t.Context()
	const alice = "@alice/slash:example.com"
	_, err := client.Do(api.GetChatsWithResponse(ctx, alice, nil))
	fault, ok := errors.AsType[*client.Error](err)
	if !ok || fault.Errcode != "not_logged_in" || fault.Error() != "not_logged_in: "+fault.Message || fault.Message == "" {
		t.Fatalf("get_chats: %v", err)
	}
	logIn(t, api, alice)
	me, err := client.Do(api.GetMeWithResponse(ctx, alice))
	if err != nil || me.JSON200.Mxid != alice || me.JSON200.Telegram.Id != 1001 {
		t.Fatalf("get_me: %+v, %v", me, err)
	}
	if _, err := client.Do(api.LogoutWithResponse(ctx, alice)); err != nil {
		t.Fatal(err)
	}
	if me, err = client.Do(api.GetMeWithResponse(ctx, alice)); err != nil || me.JSON200.Telegram != nil {
		t.Fatalf("get_me: %+v, %v", me, err)
	}
}

// Portals are found by whatever a room's ID holds, and by chat.
func TestPortals(t *testing.T) {
	api := newClient(t, serve(t), secret)
	for _, roomID := range []string{"!room:example.com", "!a/b?c#d:example.com"} {
		byRoom, err := client.Do(api.GetPortalWithResponse(t.Context(), roomID, nil))
		if err != nil {
			t.Fatal(err)
		}
		user := "@alice:example.com"
		byChat, err := client.Do(api.GetPortalByTgidWithResponse(t.Context(), byRoom.JSON200.ChatId, &client.GetPortalByTgidParams{UserId: &user}))
		if err != nil || *byChat.JSON200 != *byRoom.JSON200 || byChat.JSON200.Mxid != roomID {
			t.Errorf("%s: by chat %+v, %v", roomID, byChat.JSON200, err)
		}
	}
}

func TestErrors(t *testing.T) {
	server := serve(t)
	_, err := client.Do(newClient(t, server, "wrong").GetBridgeWithResponse(t.Context()))
	if fault, ok := errors.AsType[*client.Error](err); !ok || fault.Errcode != "shared_secret_invalid" || fault.State != nil {
		t.Errorf("with a wrong secret: %v", err)
	}
	_, err = client.Do(newClient(t, "http://127.0.0.1:0", secret).GetBridgeWithResponse(t.Context()))
	if err == nil {
		t.Error("no error without a server")
	}
	for _, proxy := range proxies {
		_, err = client.Do(newClient(t, proxy.serve(t), secret).GetBridgeWithResponse(t.Context()))
		if err == nil || err.Error() != proxy.want {
			t.Errorf("behind a proxy that sends %d, %s: %v", proxy.status, proxy.contentType, err)
		}
	}
}

// proxy gives an answer of its own instead of the API's.
type proxy struct {
	status            int
	contentType, body string
	want              string // the error
}

var proxies = []proxy{
	{502, "text/html", "<h1>Bad Gateway</h1>", "HTTP 502, not by the provisioning API"},
	{502, "application/json", "{}", "HTTP 502, not by the provisioning API"},
	{200, "text/html", "<h1>Please sign in</h1>", "HTTP 200, not by the provisioning API"},
}

// serve starts the proxy and returns its address.
func (p proxy) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", p.contentType)
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(p.body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// API clients want the address with /v1, this one without.
func TestAddressWithVersion(t *testing.T) {
	for _, tail := range []string{"/v1", "/v1/"} {
		_, err := client.New("https://admin:hunter2@bridge.example.com/_matrix/provision"+tail, secret)
		if err == nil || !strings.Contains(err.Error(), "leave it out") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", tail, err)
		}
	}
}

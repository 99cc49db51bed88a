package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// canary is what no answer may hold.
const canary = "CANARY-7f3a"

// everyBody is a body that every operation reads something from.
const everyBody = `{"phone":"+15550100","code":"01234","password":" open sesame ","token":"2001:AAE-token-of-the-bot","type":"supergroup"}`

// Host methods fail with an internal text: it reaches the log, never an answer.
func TestNoErrorTextInAnswers(t *testing.T) {
	t.Parallel()
	faults := map[string]func(context.Context) error{
		"plain":    func(context.Context) error { return errors.New(canary) },
		"telegram": func(context.Context) error { return &provisioning.TelegramError{Code: 400, Type: canary} },
		"panic":    func(context.Context) error { panic(canary) },
	}
	for name, err := range hostErrors {
		faults[name] = func(context.Context) error { return fmt.Errorf("%s: %w", canary, err) }
	}
	prepare := []func(*bridge){
		func(*bridge) {},
		func(b *bridge) { b.logIn(t, alice, aliceAccount) },
		func(b *bridge) { b.logIn(t, alice, botAccount) },
		func(b *bridge) { b.login(t, alice, requestAlice) },
		func(b *bridge) { b.login(t, alice, requestGuarded, codeGuarded) },
		func(b *bridge) { b.logIn(t, alice, aliceAccount); b.logIn(t, bob, aliceAccount) },
		func(b *bridge) { b.logIn(t, bob, aliceAccount); b.telegram.LogIn(alice, aliceAccount.ID) },
		func(b *bridge) { bridged(room, family)(t, b) },
		func(b *bridge) { bridged(otherRoom, news)(t, b) },
	}
	reached := map[string]bool{}
	requests := [][2]string{{"/user/@alice:example.com/pm/1002", http.MethodPost}} // whom she knows
	for path, verb := range everyPath() {
		requests = append(requests, [2]string{path, verb})
		if strings.HasPrefix(path, "/portal/") {
			requests = append(requests, [2]string{path + asAlice + "&force=unbridge", verb})
		}
	}
	for _, request := range requests {
		path, verb := request[0], request[1]
		done := map[string]bool{}
		for _, prepare := range prepare {
			methods := methodsCalled(t, verb, path, prepare)
			if done[fmt.Sprint(methods)] {
				continue
			}
			done[fmt.Sprint(methods)] = true
			for _, method := range methods {
				reached[method] = true
				t.Run(verb+path+" "+method, func(t *testing.T) {
					for name, fault := range faults {
						b := newBridge(t, withRelay)
						prepare(b)
						b.on(method, fault)
						a := b.callAny(t, verb, path, everyBody)
						if strings.Contains(a.body, canary) || strings.Contains(fmt.Sprint(a.header), canary) {
							t.Errorf("%s of %s: %s %s answers %v %s", name, method, verb, path, a.header, a.body)
						}
					}
				})
			}
		}
	}
	for _, method := range hostMethods {
		if !reached[method] {
			t.Errorf("no request has called %s", method)
		}
	}
}

// hostMethods are all methods of a host's that the core calls.
var hostMethods = []string{
	"User", "LinkAccount", "ClaimAccount", "UnlinkAccount", "Client", "Account", "Logout", "RequestCode", "SubmitCode",
	"SubmitPassword", "LoginBot", "LoginQR", "LoginProgress", "ResendCode", "CancelLogin", "Chats", "Contacts", "StickerSets", "AccountPortals", "PortalByRoom", "PortalByChat", "Connect", "Disconnect",
	"CheckBot", "HasPower", "Room", "CreateDirect", "Avatars", "GetChat", "CreateChat", "ResolveUser",
}

// callAny sends a request of any operation; a QR code is scanned at once.
func (b *bridge) callAny(t *testing.T, verb, path, body string) answer {
	t.Helper()
	if strings.HasSuffix(path, "/login/qr") {
		return b.scan(t, newRequest(verb, path, body), scannedBy(aliceAccount))
	}
	return b.call(t, verb, path, body)
}

// on has all parts of the host call a hook in a method of that name.
func (b *bridge) on(method string, hook func(context.Context) error) {
	b.users.On(method, hook)
	b.portals.On(method, hook)
	b.telegram.On(method, hook)
	b.rooms.On(method, hook)
}

// methodsCalled returns the methods that a request calls when nothing fails.
func methodsCalled(t *testing.T, verb, path string, prepare func(*bridge)) []string {
	t.Helper()
	b := newBridge(t, withRelay)
	prepare(b)
	var mu sync.Mutex
	called := map[string]bool{}
	for _, method := range hostMethods {
		b.on(method, func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			called[method] = true
			return nil
		})
	}
	b.callAny(t, verb, path, everyBody)
	mu.Lock()
	defer mu.Unlock()
	return slices.Sorted(maps.Keys(called))
}

// What API clients send stays out of the log, whatever happens.
func TestNoSecretInTheLog(t *testing.T) {
	t.Parallel()
	// Long enough not to turn up in a duration or an address of a stack.
	const phone, code, password, token = "4915550199", "864209753186", "hunter2 hunter2", "777:AAE-secret-token"
	secrets := []string{secret, phone, code, password, "hunter2", token, "AAE-secret"}
	bodies := []string{
		fmt.Sprintf(`{"phone":"+%s","code":"%s","password":"%s","token":"%s"}`, phone, code, password, token),
		fmt.Sprintf(`{"phone":%s,"code":%s,"password":["%s"],"token":["%s"]}`, phone, code, password, token),
		fmt.Sprintf(`{"phone":%s.5,"code":%s.5,"password":{"%s":1},"token":{"%s":1}}`, phone, code, password, token),
		fmt.Sprintf(`{"phone":"+%s","code":"%s","password":"%s","token":"%s"`, phone, code, password, token), // cut off
		fmt.Sprintf(`phone=%s&code=%s&password=%s&token=%s`, phone, code, password, token),
	}
	account := provisioningAccount{
		Account: provisioning.Account{ID: 4001, Username: "secretive", Phone: phone}, Code: code, Password: password, Token: token,
	}
	faults := map[string]func(context.Context) error{
		"":      nil,
		"error": func(context.Context) error { return errors.New("broken") },
		"panic": func(context.Context) error { panic("broken") },
		"flood": func(context.Context) error { return &provisioning.FloodWaitError{Wait: 1} },
	}
	log := &strings.Builder{}
	for _, fault := range faults {
		for _, method := range []string{"User", "LinkAccount", "Account", "RequestCode", "SubmitCode", "SubmitPassword", "LoginBot", "Logout"} {
			for _, body := range bodies {
				b := newBridge(t)
				b.telegram.Add(account)
				b.users.On(method, fault)
				b.telegram.On(method, fault)
				for _, operation := range []string{"/login/request_code", "/login/send_code", "/login/send_password", "", "/login/bot_token", "/logout", "/login/bot_token", ""} {
					verb := http.MethodPost
					if operation == "" {
						verb = http.MethodGet
					}
					b.call(t, verb, user(alice, operation), body)
					b.call(t, verb, user(bob, operation)+"?code="+code+"&phone="+phone, body)
				}
				b.call(t, http.MethodGet, "/user/+"+phone, "")
				b.call(t, http.MethodPost, "/user/"+phone+"/login/"+code, body)
				r := newRequest(http.MethodGet, "/bridge", "")
				r.Header.Set("Authorization", "bearer "+secret)
				b.send(t, r)
				log.WriteString(b.log.String())
			}
		}
	}
	for _, s := range secrets {
		if i := strings.Index(log.String(), s); i >= 0 {
			t.Errorf("the log holds %q: …%s", s, log.String()[max(0, i-200):min(log.Len(), i+100)])
		}
	}
}

// A host that logs a code with any verb gets no code.
func TestLoginCodeHidesItself(t *testing.T) {
	for _, code := range []provisioning.LoginCode{provisioning.TextLoginCode("86420"), provisioning.IntegerLoginCode("86420")} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if s := fmt.Sprintf(verb, code) + fmt.Sprintf(verb, &code) + fmt.Sprintf(verb, []any{code}); strings.Contains(s, "86420") || strings.Contains(s, "3836343230") {
				t.Errorf("%s prints %s", verb, s)
			}
		}
	}
}

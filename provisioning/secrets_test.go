package provisioning_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// secretOf is the secret of withSecrets with a scope, which has the scope's name.
func secretOf(scope provisioning.Scope) string { return "the-secret-that-is-for-" + scope.String() }

var scopes = []provisioning.Scope{provisioning.ScopeRead, provisioning.ScopeBridge, provisioning.ScopeAll}

// named is a secret of a name.
func named(name, value string) provisioning.Secret {
	return provisioning.Secret{Name: name, Value: value, Scope: provisioning.ScopeAll}
}

// withSecrets gives the bridge a secret of each scope, and one that has a user be named.
func withSecrets(_ *bridge, cfg *provisioning.Config) {
	for _, scope := range scopes {
		cfg.Secrets = append(cfg.Secrets, provisioning.Secret{Name: scope.String(), Value: secretOf(scope), Scope: scope})
	}
	cfg.Secrets = append(cfg.Secrets, provisioning.Secret{Name: "panel", Value: panelSecret, Scope: provisioning.ScopeAll, RequireUser: true})
}

const panelSecret = "the-secret-of-the-panel"

// A secret without the scope is refused, before anything is looked up or done.
func TestScopes(t *testing.T) {
	for _, op := range operations() {
		b := newBridge(t, withRelay, withSecrets)
		lookedUp := func() int { return b.users.Calls("User") + b.telegram.Calls("Client") + b.rooms.Calls("HasPower") }
		for _, scope := range scopes {
			before := lookedUp()
			a := b.callAs(t, secretOf(scope), op.method, op.pathFor("")+"?user_id=@alice:example.com", op.validBody())
			refused := a.status == 403 && a.field("errcode") == "insufficient_scope"
			if op.op == "open_login_link" { // by no secret
				a.want(t, 401, "login_link_invalid")
				continue
			}
			if op.method != http.MethodGet && scope == provisioning.ScopeRead && !refused {
				t.Errorf("%s with a secret for reading: %d %s", op.op, a.status, a.body)
			}
			if scope == provisioning.ScopeAll && refused {
				t.Errorf("%s with a secret for everything: %d %s", op.op, a.status, a.body)
			}
			if refused && lookedUp() != before {
				t.Errorf("%s with a secret for %s: something was looked up", op.op, scope)
			}
		}
	}
	b := newBridge(t, withSecrets)
	for _, scope := range scopes {
		b.callAs(t, secretOf(scope), http.MethodGet, "/nothing", "").want(t, 404, "unhandled_http_404")
		b.callAs(t, secretOf(scope), http.MethodPut, "/bridge", "").want(t, 405, "unhandled_http_405")
	}
}

// A secret of which it is demanded names a user wherever one can be named. That is how a panel
// behind which somebody's session stands is kept from acting for nobody, who may do everything.
func TestRequireUser(t *testing.T) {
	for _, op := range operations() {
		b := newBridge(t, withRelay, withSecrets)
		bridged(otherRoom, news)(t, b)
		a := b.callAs(t, panelSecret, op.method, op.pathFor(""), op.validBody())
		if can := strings.HasPrefix(op.path, "/portal"); (a.field("errcode") == "mxid_empty") != can {
			t.Errorf("%s without user_id: %d %s", op.op, a.status, a.body)
		}
		a = b.callAs(t, panelSecret, op.method, op.pathFor("")+asAlice, op.validBody())
		if a.field("errcode") == "mxid_empty" {
			t.Errorf("%s with user_id: %d %s", op.op, a.status, a.body)
		}
	}
	b := newBridge(t, withRelay, withSecrets)
	for query, errcode := range map[string]string{
		"": "mxid_empty", "?user_id=": "mxid_empty", "?user_id=&user_id=@none:example.com": "mxid_invalid",
		"?user_id=@admin:example.com&user_id=@none:example.com": "mxid_invalid",
	} {
		b.callAs(t, panelSecret, http.MethodPost, connectPath+query, "").want(t, 400, errcode)
	}
}

// Secrets are replaced while requests come: at each moment one of both lists counts.
func TestSetSecrets(t *testing.T) {
	b := newBridge(t, limit(-1))
	status := func(value string) int { return b.callAs(t, value, http.MethodGet, "/bridge", "").status }
	first, second, third := "the-first-of-the-secrets", "the-second-of-the-secrets", "the-third-of-the-secrets"
	want := func(values ...string) {
		t.Helper()
		for _, value := range []string{secret, first, second, third} {
			if got := status(value) == 200; got != strings.Contains(strings.Join(values, " "), value) {
				t.Errorf("%s: authorised: %t", value, got)
			}
		}
	}
	want(secret)
	for _, secrets := range [][]provisioning.Secret{{named("a", first), named("b", second)}, {named("b", second), named("c", third)}, {named("c", third)}} {
		if err := b.provisioner.SetSecrets(secrets); err != nil {
			t.Fatal(err)
		}
	}
	want(third)
	sound := named("b", second)
	for _, bad := range [][]provisioning.Secret{
		nil,
		{},
		{sound, named("b", first)},
		{sound, named("c", second)},
		{sound, named("", first)},
		{sound, named("a b", first)},
		{sound, named(strings.Repeat("n", 65), first)},
		{sound, named("c", "")},
		{sound, named("c", "short")},
		{sound, named("c", first+"\n")},
		{sound, {Name: "c", Value: first}},
		{sound, {Name: "c", Value: first, Scope: 4}},
		{sound, {Name: "c", Value: first, Scope: -1}},
	} {
		err := b.provisioner.SetSecrets(bad)
		if err == nil {
			t.Errorf("%v is taken", bad)
			continue
		}
		if strings.Contains(err.Error(), first) || strings.Contains(err.Error(), second) || strings.Contains(err.Error(), "short") {
			t.Errorf("the error holds a secret: %v", err)
		}
		want(third)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				if i%2 == 0 {
					if err := b.provisioner.SetSecrets([]provisioning.Secret{named("c", third), named(fmt.Sprint("n", i), first+fmt.Sprint(i))}); err != nil {
						t.Error(err)
					}
				} else if got := status(third); got != 200 {
					t.Errorf("the secret that both lists have: %d", got)
				}
			}
		})
	}
	all.Wait()
}

func TestSecretsOfAConfig(t *testing.T) {
	for name, change := range map[string]func(*provisioning.Config){
		"one":             func(c *provisioning.Config) { c.Secret, c.Secrets = "", []provisioning.Secret{named("a", secret)} },
		"besides":         func(c *provisioning.Config) { c.Secrets = []provisioning.Secret{named("a", secret+"2")} },
		"signs in a name": func(c *provisioning.Config) { c.Secrets = []provisioning.Secret{named("a-B_1.x", secret+"2")} },
	} {
		cfg := soundConfig()
		change(&cfg)
		if _, err := provisioning.New(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, secrets := range map[string][]provisioning.Secret{
		"the same value":   {named("a", secret)},
		"the default name": {named(provisioning.DefaultSecretName, secret+"2")},
		"too short":        {named("a", "short")},
	} {
		cfg := soundConfig()
		cfg.Secrets = secrets
		if _, err := provisioning.New(cfg); err == nil || !strings.HasPrefix(err.Error(), "Config.Secrets ") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The name of a secret is in log lines and metrics, and its value never.
func TestNameOfTheSecret(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	b := newBridge(t, withSecrets, func(_ *bridge, cfg *provisioning.Config) {
		cfg.Observer.Request = func(r provisioning.ObservedRequest) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r.Secret)
		}
	})
	for _, value := range []string{secret, secretOf(provisioning.ScopeRead), panelSecret, wrongSecret} {
		b.callAs(t, value, http.MethodPost, user(alice, "/logout"), "")
	}
	want := []any{"default", "read", "panel", nil}
	for i, line := range b.log.lines(t) {
		if line["secret_name"] != want[i] {
			t.Errorf("line %d has the name %v, want %v", i, line["secret_name"], want[i])
		}
	}
	if got := fmt.Sprint(seen); got != "[default read panel ]" {
		t.Errorf("the observer was told %s", got)
	}
	if log := b.log.String(); strings.Contains(log, secretOf(provisioning.ScopeRead)) || strings.Contains(log, panelSecret) {
		t.Errorf("the log holds a secret: %s", log)
	}
}

// A page sends any of the secrets with its WebSocket.
func TestSecretsOnAWebSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, withSecrets)
		for value, status := range map[string]int{secretOf(provisioning.ScopeAll): 426, panelSecret: 426, secretOf(provisioning.ScopeBridge): 403, wrongSecret: 401} {
			r := newRequest(http.MethodGet, user(alice, "/login/qr"), "")
			r.Header.Del("Authorization")
			r.Header.Set("Sec-WebSocket-Protocol", "net.maunium.telegram.login, net.maunium.telegram.auth-"+value)
			if a := b.send(t, r); a.status != status {
				t.Errorf("%s: %d %s, want %d", value, a.status, a.body, status)
			}
		}
	})
}

func TestScopeNames(t *testing.T) {
	for name, scope := range map[string]provisioning.Scope{"read": provisioning.ScopeRead, "bridge": provisioning.ScopeBridge, "all": provisioning.ScopeAll} {
		if got, err := provisioning.ParseScope(name); err != nil || got != scope || scope.String() != name {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Read", "everything", "Scope(0)"} {
		if got, err := provisioning.ParseScope(name); err == nil {
			t.Errorf("%q is read as %v", name, got)
		}
	}
	if got := provisioning.Scope(0).String(); got != "Scope(0)" {
		t.Errorf("got %s", got)
	}
}

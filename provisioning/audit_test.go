package provisioning_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// auditLog keeps the entries of the audit trail.
type auditLog struct {
	mu      sync.Mutex
	entries []provisioning.AuditEntry
}

func (l *auditLog) add(e provisioning.AuditEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// take returns the entries since the last call, each on a line without its time and ID.
func (l *auditLog) take() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		lines = append(lines, fmt.Sprintf("%s%s%s %s for %q in %q %d: %d %s", e.Auth, e.SecretName, e.CallerID, e.Operation, e.UserID, e.RoomID, e.ChatID, e.Status, e.Outcome))
	}
	l.entries = nil
	return lines
}

func withAudit(l *auditLog) func(*bridge, *provisioning.Config) {
	return func(_ *bridge, cfg *provisioning.Config) { cfg.Audit = l.add }
}

// Every change has an entry with what was done, by whom, for whom and where.
func TestAudit(t *testing.T) {
	var log auditLog
	b := newRightsBridge(t, withAudit(&log))
	b.call(t, http.MethodPost, user(alice, "/logout"), "")
	log.take()
	for _, c := range []struct{ credential, method, path, body, want string }{
		{secret, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`, `secretdefault post_login_phone for "@alice:example.com" in "" 0: 200 ok`},
		{secret, http.MethodPost, user(alice, "/login/send_code"), `{"code":"99999"}`, `secretdefault post_login_code for "@alice:example.com" in "" 0: 401 phone_code_invalid`},
		{tokenOf(alice), http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`, `matrix@alice:example.com post_login_code for "@alice:example.com" in "" 0: 200 ok`},
		{openIDOf(alice), http.MethodPost, user(alice, "/pm/bob_tg"), "", `openid@alice:example.com start_dm for "@alice:example.com" in "DIRECT" 1002: 201 ok`},
		{secretOf(provisioning.ScopeBridge), http.MethodPost, "/portal/!mine:example.com/disconnect", "", `secretbridge disconnect_portal for "" in "!mine:example.com" -1000000000009: 202 ok`},
		{tokenOf(alice), http.MethodPost, "/portal/!mine:example.com/connect/-1000000000009", "", `matrix@alice:example.com connect_portal for "@alice:example.com" in "!mine:example.com" -1000000000009: 202 ok`},
		{tokenOf(plain), http.MethodPost, "/portal/!free:example.com/connect/-1001", "", `matrix@user:example.com connect_portal for "@user:example.com" in "!free:example.com" -1001: 403 not_logged_in`},
		{secret, http.MethodPost, "/portal/!free:example.com/create?user_id=@alice:example.com", `{"type":"supergroup"}`, `secretdefault create_portal for "@alice:example.com" in "!free:example.com" CREATED: 201 ok`},
		{secret, http.MethodPost, "/portal/!mine:example.com/connect/-1000000000009", "", `secretdefault connect_portal for "" in "!mine:example.com" -1000000000009: 200 bridge_exists`},
		{tokenOf(admin), http.MethodPost, user(alice, "/logout"), "", `matrix@admin:example.com logout for "@alice:example.com" in "" 0: 200 ok`},

		// What was refused.
		{secretOf(provisioning.ScopeRead), http.MethodPost, user(alice, "/logout"), "", `secretread logout for "@alice:example.com" in "" 0: 403 insufficient_scope`},
		{secretOf(provisioning.ScopeRead), http.MethodPost, "/portal/!mine:example.com/disconnect?user_id=@bob:example.com", "", `secretread disconnect_portal for "@bob:example.com" in "!mine:example.com" 0: 403 insufficient_scope`},
		{tokenOf(plain), http.MethodPost, user(alice, "/logout"), "", `matrix@user:example.com logout for "@alice:example.com" in "" 0: 403 mxid_mismatch`},
		{wrongSecret, http.MethodPost, user(alice, "/logout"), "", ` logout for "@alice:example.com" in "" 0: 401 shared_secret_invalid`},
		{wrongSecret, http.MethodGet, user(alice, ""), "", ` get_me for "@alice:example.com" in "" 0: 401 shared_secret_invalid`},
		{wrongSecret, http.MethodGet, "/nothing", "", ` unknown_route for "" in "" 0: 401 shared_secret_invalid`},
		{"", http.MethodPost, "/portal/!mine:example.com/disconnect", "", ` disconnect_portal for "" in "!mine:example.com" 0: 401 shared_secret_invalid`},
		{secret, http.MethodGet, user(alice, "/login/qr"), "", `secretdefault login_qr for "@alice:example.com" in "" 0: 426 upgrade_required`},

		// What changes nothing.
		{"", http.MethodGet, user(alice, ""), "", ""},
		{secret, http.MethodGet, user(alice, ""), "", ""},
		{secret, http.MethodGet, user(alice, "/login"), "", ""},
		{secret, http.MethodGet, "/portal/!mine:example.com", "", ""},
		{tokenOf(plain), http.MethodGet, user(alice, ""), "", ""},
		{secret, http.MethodPut, user(alice, ""), "", ""},
	} {
		b.log.reset()
		a := b.callAs(t, c.credential, c.method, c.path, c.body)
		got := strings.Join(log.take(), "\n")
		want := strings.ReplaceAll(c.want, "DIRECT", a.field("room_id"))
		if chat := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(a.body), `{"chat_id":`), "}"); strings.Contains(want, "CREATED") {
			want = strings.ReplaceAll(want, "CREATED", chat)
		}
		if got != want {
			t.Errorf("%s %s\n got %s\nwant %s", c.method, c.path, got, want)
		}
		if line := b.log.lines(t)[len(b.log.lines(t))-1]; (line["audit"] == true) != (want != "") {
			t.Errorf("%s %s: the access line is %v", c.method, c.path, line)
		}
	}
}

// An entry is found again in the log, and holds none of what is secret.
func TestAuditEntry(t *testing.T) {
	var log auditLog
	b, checks := newTokenBridge(t, withAudit(&log), limit(-1))
	const canary = "+15550100"
	for _, token := range []string{secret, tokenOf(alice), openIDOf(alice), "canary-of-a-token"} {
		for path, method := range everyPath() {
			for _, path := range []string{path, path + "?user_id=" + canary, strings.Replace(path, "bob_tg", canary, 1), strings.Replace(path, string(alice), canary, 1), strings.Replace(path, string(room), canary, 1)} {
				b.callAs(t, token, method, path, `{"phone":"`+canary+`","code":"987654321098","password":"open sesame","token":"2001:canary","type":"chat"}`)
			}
		}
	}
	checks.on(nil)
	text, err := json.Marshal(log.entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"15550100", secret, tokenPrefix, "canary", "987654321098", "sesame", "openid:"} {
		if strings.Contains(string(text), word) {
			t.Errorf("the audit trail holds %s", word)
		}
	}
	lines := map[any]map[string]any{}
	for _, line := range b.log.lines(t) {
		if line["message"] == "Provisioning request" {
			lines[line["request_id"]] = line
		}
	}
	for _, e := range log.entries {
		line := lines[e.RequestID]
		op := line["op"]
		if line["attempted"] != nil {
			op = line["attempted"]
		}
		if line["audit"] != true || op != e.Operation || fmt.Sprint(line["user_id"]) != or(string(e.UserID), "<nil>") || line["status"] != float64(e.Status) || e.Time.IsZero() {
			t.Errorf("the entry is %+v, the line %v", e, line)
		}
	}
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// A function that panics stops nothing, and is heard of.
func TestAuditPanics(t *testing.T) {
	b := newBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Audit = func(provisioning.AuditEntry) { panic("boom") } })
	b.call(t, http.MethodPost, user(alice, "/logout"), "").want(t, 403, "not_logged_in")
	if n := strings.Count(b.log.String(), "Config.Audit panicked"); n != 1 {
		t.Errorf("%d lines say so: %s", n, b.log)
	}
}

// Refused guesses are no attempts: they can't fill the audit trail.
func TestAuditOfTooManyGuesses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log auditLog
		b := newBridge(t, withAudit(&log), limit(3))
		for range 50 {
			b.callAs(t, wrongSecret, http.MethodPost, user(alice, "/logout"), "")
		}
		if n := len(log.take()); n != 3 {
			t.Errorf("%d entries, want 3", n)
		}
	})
}

// What goes on after its deadline has a second entry with what came of it.
func TestAuditOfALateEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log auditLog
		b := newBridge(t, withAudit(&log), func(_ *bridge, cfg *provisioning.Config) { cfg.Timeout = time.Second })
		b.logIn(t, alice, aliceAccount)
		gate := b.users.Hold("UnlinkAccount")
		b.call(t, http.MethodPost, user(alice, "/logout"), "").want(t, 500, "unknown_error")
		gate.Release()
		b.close(t)
		want := "secretdefault logout for \"@alice:example.com\" in \"\" 0: 500 unknown_error\nsecretdefault logout for \"@alice:example.com\" in \"\" 0: 200 ok"
		if got := strings.Join(log.take(), "\n"); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

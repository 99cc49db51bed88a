package provisioning_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/tgprovision/tgprovision/provisioning"
)

var update = flag.Bool("update", false, "rewrite testdata/wire")

// wireCase is one request and the whole answer to it.
type wireCase struct {
	name string
	// change and prepare set the bridge up.
	change  func(*bridge, *provisioning.Config)
	prepare func(*testing.T, *bridge)
	// user is the {user_id} as it stands in the path, alice's if empty; noUser is
	// an empty one.
	user string
	// path is the whole path, in place of the operation's own, where it is set; a
	// query alone is added to that.
	path string
	body string

	// credential is what is sent in place of the shared secret, nil for that.
	credential func(*testing.T, *bridge) string

	// scan is for login_qr what is done with a QR code that is shown, nil for a client
	// that sends no handshake of a WebSocket. The answer is what was said at last.
	scan func(b *bridge, code string)

	// after looks at the bridge once it has answered.
	after func(*testing.T, *bridge)

	status int
	// success is the exact body of a success.
	success string
	// errcode and state are those of an error. The rest of its body is compared
	// with testdata/wire.
	errcode string
	state   string
	// fields are those of an error beside errcode, error and state.
	fields map[string]any
}

const noUser = "-"

// operation is an operation of the API with the cases of its contract.
type operation struct {
	op, method, path string
	// documented are the errors, as "status errcode", that the OpenAPI document
	// and the contract name for it: each has to have a case. Those that every
	// operation has are in common.
	documented []string
	cases      []wireCase
}

// What every operation may answer.
var common = []string{"401 shared_secret_invalid", "500 unknown_error", "503 overloaded", "503 not_ready"}

// What every operation about a user may answer as well.
var aboutUser = []string{"400 mxid_empty", "400 mxid_invalid", "403 mxid_not_whitelisted", "500 unhandled_error"}

// What every login step may answer as well.
var loginStep = []string{"403 telegram_restricted", "409 already_logged_in", "501 not_implemented"}

// What every login step that reads a body may answer as well.
var loginBody = []string{"400 json_invalid", "413 body_too_large"}

func operations() []operation {
	return slices.Concat(bridgeOperations(), userOperations(), portalOperations(), phoneOperations(), codeOperations(), passwordOperations(), otherLoginOperations(), controlOperations(), qrOperations(), linkOperations())
}

func TestContract(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.op, func(t *testing.T) {
			wire := &strings.Builder{}
			for _, c := range slices.Concat(op.cases, sharedCases(op)) {
				t.Run(c.name, func(t *testing.T) {
					inBubble(t, func(t *testing.T) { // some answers hold times
						a := runCase(t, op, c)
						fmt.Fprintf(wire, "%s\n\t%d %s", c.name, a.status, a.body)
					})
				})
			}
			golden(t, op.op, wire.String())
		})
	}
}

func runCase(t *testing.T, op operation, c wireCase) answer {
	t.Helper()
	b := newBridge(t, func(b *bridge, cfg *provisioning.Config) {
		if c.change != nil {
			c.change(b, cfg)
		}
	})
	if c.prepare != nil {
		c.prepare(t, b)
	}
	r := newRequest(op.method, op.pathOf(c), c.body)
	cryptotest.SetGlobalRandom(t, 1) // for the tokens of login links
	if c.credential != nil {
		r.Header.Set("Authorization", "Bearer "+c.credential(t, b))
	}
	var a answer
	if op.op == "login_qr" {
		a = b.scan(t, r, c.scan)
	} else {
		a = b.send(t, r)
	}
	if c.after != nil {
		c.after(t, b)
	}
	if c.errcode == "" {
		a.wantBody(t, c.status, c.success)
		return a
	}
	a.want(t, c.status, c.errcode)
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("an error has to be an object, got %s", a.body)
	}
	sentence, _ := got["error"].(string)
	want := map[string]any{"errcode": c.errcode, "error": sentence}
	if c.state != "" {
		want["state"] = c.state
	}
	if c.errcode == "bot_not_in_room" {
		want["bot_mxid"] = string(b.rooms.BotID())
	}
	maps.Copy(want, c.fields)
	if !maps.Equal(got, want) || !strings.HasSuffix(sentence, ".") {
		t.Errorf("got %v, want %v with a sentence", got, want)
	}
	if retryAfter, ok := c.fields["retry_after"]; ok {
		if got := a.header.Get("Retry-After"); got != fmt.Sprint(retryAfter) {
			t.Errorf("Retry-After %q, want %v", got, retryAfter)
		}
	}
	return a
}

// pathOf returns the path of a case.
func (op operation) pathOf(c wireCase) string {
	if c.path == "" || c.path[0] == '?' {
		return op.pathFor(c.user) + c.path
	}
	return c.path
}

func (op operation) pathFor(user string) string {
	switch user {
	case "":
		user = string(alice)
	case noUser:
		user = ""
	}
	return strings.NewReplacer("{user_id}", user, "{room_id}", string(room), "{chat_id}", "-1000000000009", "{identifier}", "bob_tg").Replace(op.path)
}

// golden compares with a file of testdata/wire, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "wire", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	wantCases := goldenCases(string(want))
	for name, answer := range goldenCases(got) {
		if answer != wantCases[name] {
			t.Errorf("%s: case %q\n got %s\nwant %s", path, name, answer, wantCases[name])
		}
	}
}

// goldenCases reads a golden file: a line with the name, a line with the answer.
func goldenCases(file string) map[string]string {
	cases := map[string]string{}
	name := ""
	for line := range strings.Lines(file) {
		if answer, ok := strings.CutPrefix(line, "\t"); ok {
			cases[name] = answer
		} else {
			name = strings.TrimSpace(line)
		}
	}
	return cases
}

// Every error that the contract names for an operation has a case, and so has
// every name.
func TestContractIsComplete(t *testing.T) {
	for _, op := range operations() {
		covered, names := map[string]bool{}, map[string]bool{}
		for _, c := range slices.Concat(op.cases, sharedCases(op)) {
			if names[c.name] {
				t.Errorf("%s: two cases are named %q", op.op, c.name)
			}
			names[c.name] = true
			covered[fmt.Sprintf("%d %s", c.status, c.errcode)] = true
		}
		wire, err := os.ReadFile(filepath.Join("testdata", "wire", op.op+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		for name := range goldenCases(string(wire)) {
			if !names[name] {
				t.Errorf("testdata/wire/%s.golden has a case %q that is no more: run with -update", op.op, name)
			}
		}
		for _, documented := range op.all() {
			if documented != "401 shared_secret_invalid" && !covered[documented] { // see TestUnauthorized
				t.Errorf("%s: no case for %s", op.op, documented)
			}
		}
		if !covered["200 "] && !covered["201 "] && !covered["202 "] && !covered["101 "] {
			t.Errorf("%s: no case of success", op.op)
		}
	}
}

// all returns everything that is documented for an operation.
func (op operation) all() []string {
	all := slices.Concat(common, op.documented)
	if !op.withoutTelegram() {
		all = append(all, "429 flood_wait")
	}
	if _, names := op.naming(alice); names {
		all = append(all, "429 too_many_requests")
	}
	if strings.Contains(op.path, "{user_id}") {
		all = append(all, aboutUser...)
	}
	if op.isLogin() {
		all = append(all, loginStep...)
	}
	if op.isLogin() && op.validBody() != "" {
		all = append(all, loginBody...)
	}
	return all
}

// withoutTelegram says whether the operation asks Telegram nothing.
func (op operation) withoutTelegram() bool {
	return op.op == "list_portals" || op.op == "get_portal" || op.op == "get_portal_by_tgid" || op.op == "disconnect_portal" || op.op == "open_login_link"
}

// isLogin says whether the operation is a login step: one that can log somebody in.
func (op operation) isLogin() bool { return strings.HasPrefix(op.op, "post_") || op.op == "login_qr" }

// ownState is the login step of an operation.
func (op operation) ownState() string {
	return map[string]string{
		"post_bot_token": "token", "post_login_phone": "request", "post_login_code": "code", "post_login_password": "password",
		"resend_login_code": "code", "login_qr": "request", "cancel_login": "request", "create_login_link": "request",
	}[op.op]
}

// validBody is a body that the operation accepts.
func (op operation) validBody() string {
	return map[string]string{
		"post_bot_token": `{"token":"x"}`, "post_login_phone": `{"phone":"+15550100"}`,
		"post_login_code": `{"code":"01234"}`, "post_login_password": `{"password":"x"}`,
		"create_portal": `{"type":"supergroup","title":"New"}`,
	}[op.op]
}

// A body of exactly 64 KiB is read.
func TestBodyAtTheLimit(t *testing.T) {
	b := newBridge(t)
	for _, step := range []struct{ path, errcode string }{
		{"request_code", "phone_number_invalid"},
		{"send_code", "body_value_missing"},
		{"send_password", "password_empty"},
		{"bot_token", "body_value_missing"},
	} {
		b.call(t, http.MethodPost, user(alice, "/login/"+step.path), bodyOf(64<<10)).want(t, 400, step.errcode)
	}
	b.call(t, http.MethodPost, user(alice, "/login/request_code"), strings.Repeat(" ", 64<<10)).want(t, 400, "json_invalid")
}

package provisioning_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/contracttest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// contract is the OpenAPI document, against which every answer is checked.
var contract = func() *contracttest.Contract {
	c, err := contracttest.New()
	if err != nil {
		panic(err)
	}
	return c
}()

// suite is the whole run of the tests.
type suite struct{ *testing.M }

// Run runs the tests. When it was all of them, everything that is in the document must
// have been seen.
func (s suite) Run() int {
	code := s.M.Run()
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		if flag.Lookup("test."+name).Value.String() != "" {
			return code
		}
	}
	fmt.Println(contract.Summary())
	rows, examples := contract.Missing()
	for _, row := range rows {
		fmt.Println("the document has an answer that no test got:", row)
		code = max(code, 1)
	}
	for _, example := range examples {
		fmt.Println("the document has an example that no test got:", example)
		code = max(code, 1)
	}
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// secret is the shared secret of the bridges under test.
const secret = "correct-horse-battery-staple"

// loginPage is where login links lead.
const loginPage = "https://bridge.example.com/login/"

// prefix is where the API is mounted.
const prefix = "/_matrix/provision"

// The users of the tests: their localparts are their permission levels, but for
// those of PermissionFull.
const (
	alice    id.UserID = "@alice:example.com"
	bob      id.UserID = "@bob:example.com"
	admin    id.UserID = "@admin:example.com"
	plain    id.UserID = "@user:example.com"
	relayed  id.UserID = "@relaybot:example.com"
	stranger id.UserID = "@none:example.com"
	relayBot id.UserID = "@telegrambot:example.com"
)

func permissionOf(userID id.UserID) provisioning.Permission {
	if level, err := provisioning.ParsePermission(userID.Localpart()); err == nil {
		return level
	}
	return provisioning.PermissionFull
}

// The accounts that exist on the Telegram of the tests.
var (
	aliceAccount = provisioningtest.TelegramAccount{
		Account: provisioning.Account{
			ID: 1001, Username: "alice_tg", FirstName: "Alice", LastName: "Liddell", Phone: "15550100",
		},
		Code: "01234", Delivery: provisioning.DeliveryApp, Next: new(provisioning.DeliverySMS),
		Chats: []provisioning.Chat{
			{ID: provisioning.ChannelChatID(7), Title: "News <é 中 😀> \"q\"", Username: "News_Here", Megagroup: true},
			{ID: provisioning.BasicGroupChatID(1001), Title: "Family"},
			{ID: provisioning.UserChatID(1002), Title: "", Username: "bob_tg"},
		},
		Contacts: []provisioning.Contact{
			{ID: 1002, Name: "Bob Builder", Username: "bob_tg", Phone: "15550101"},
			{ID: 2001, Name: "Helper", IsBot: true},
		},
		StickerSets: []string{"HotCherry", "AnimatedEmojies"},
	}
	// guardedAccount has a two-factor password, with spaces that count.
	guardedAccount = provisioningtest.TelegramAccount{
		Account: provisioning.Account{ID: 1002, FirstName: "Bob", Phone: "15550101"},
		Code:    "54321", Delivery: provisioning.DeliveryEmail, Destination: "b***@example.com",
		Password: " open sesame ", PasswordHint: "as Ali Baba",
	}
	botAccount = provisioningtest.TelegramAccount{
		Account: provisioning.Account{ID: 2001, Username: "helper_bot", FirstName: "Helper", IsBot: true},
		Token:   "2001:AAE-token-of-the-bot",
	}
	// hiddenAccount has nothing but an ID, as high as they go.
	hiddenAccount = provisioningtest.TelegramAccount{Account: provisioning.Account{ID: 1<<63 - 1}}
)

// bridge is a host under test: a Provisioner on in-memory parts, below a prefix
// of an outer router.
type bridge struct {
	users       *provisioningtest.MemUserStore
	portals     *provisioningtest.MemPortalStore
	rooms       *provisioningtest.MemRooms
	telegram    *provisioningtest.Telegram
	links       *provisioning.LoginLinkMemory
	provisioner *provisioning.Provisioner
	handler     http.Handler
	log         *logBuffer

	unstarted bool
}

// newBridge makes a bridge; change is applied to its configuration.
func newBridge(t testing.TB, change ...func(*bridge, *provisioning.Config)) *bridge {
	t.Helper()
	b := &bridge{
		users:    provisioningtest.NewMemUserStore(permissionOf),
		portals:  provisioningtest.NewMemPortalStore(),
		rooms:    provisioningtest.NewMemRooms(),
		telegram: provisioningtest.NewTelegram(aliceAccount, guardedAccount, botAccount, hiddenAccount),
		links:    &provisioning.LoginLinkMemory{},
		log:      &logBuffer{},
	}
	cfg := provisioning.Config{
		Secret: secret, Users: b.users, Portals: b.portals, Tasks: b.portals, Telegram: b.telegram, Rooms: b.rooms,
		LoginPage: loginPage, LoginLinks: b.links,
		Log: zerolog.New(b.log).Level(zerolog.TraceLevel),
	}
	for _, f := range change {
		f(b, &cfg)
	}
	var err error
	if b.provisioner, err = provisioning.New(cfg); err != nil {
		t.Fatalf("New: %v", err)
	}
	if !b.unstarted {
		if err = b.provisioner.Start(context.Background()); err != nil {
			t.Fatalf("Start: %v", err)
		}
	}
	t.Cleanup(func() { b.close(t) })
	outer := mux.NewRouter().SkipClean(true).UseEncodedPath()
	b.provisioner.Mount(outer.PathPrefix(prefix).Subrouter())
	b.handler = outer
	return b
}

// close ends the bridge, after the background work that could be done.
func (b *bridge) close(t testing.TB) {
	t.Helper()
	const patience = time.Minute // far more than it takes on a busy machine
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.provisioner.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// connect records a portal in which some accounts take part.
func (b *bridge) connect(t testing.TB, portal provisioning.Portal, accounts ...provisioning.TelegramID) {
	t.Helper()
	if err := b.portals.Connect(t.Context(), provisioning.NewPortal{Portal: portal, Accounts: accounts}); err != nil {
		t.Fatalf("Connect: %v", err)
	}
}

// minimalClients makes the clients have no optional interface.
func minimalClients(b *bridge, cfg *provisioning.Config) { cfg.Telegram = b.telegram.Minimal() }

// withRelayBot gives the bridge a relay bot, logged in as the account.
func withRelayBot(account provisioningtest.TelegramAccount) func(*bridge, *provisioning.Config) {
	return func(b *bridge, cfg *provisioning.Config) {
		b.telegram.LogIn(relayBot, account.ID)
		cfg.RelayBot, _ = b.telegram.Client(context.Background(), relayBot)
	}
}

// logIn makes a user be logged in with the account and linked to it.
func (b *bridge) logIn(t testing.TB, userID id.UserID, account provisioningtest.TelegramAccount) {
	t.Helper()
	b.telegram.LogIn(userID, account.ID)
	if _, err := b.users.LinkAccount(t.Context(), userID, account.ID); err != nil {
		t.Fatalf("LinkAccount: %v", err)
	}
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// newRequest makes an authorised request. The path is below /v1 and stands in
// the request line as it is.
func newRequest(method, path, body string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, prefix+"/v1"+path, reader)
	r.Header.Set("Authorization", "Bearer "+secret)
	return r
}

// call sends an authorised request.
func (b *bridge) call(t testing.TB, method, path, body string) answer {
	t.Helper()
	return b.send(t, newRequest(method, path, body))
}

// send sends a request. Whatever it is, the answer has to be JSON.
func (b *bridge) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	return send(t, b.handler, r)
}

func send(t testing.TB, h http.Handler, r *http.Request) answer {
	t.Helper()
	rec := httptest.NewRecorder()
	exchange := contracttest.Exchange{Request: r.Clone(context.Background())}
	var body bytes.Buffer
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = io.NopCloser(io.TeeReader(r.Body, &body))
	}
	h.ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Result().Header, rec.Body.String()}
	exchange.Body, exchange.Status, exchange.Header, exchange.Answer = body.Bytes(), a.status, a.header, rec.Body.Bytes()
	if err := contract.Check(exchange); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	if got := a.header.Values("Content-Type"); len(got) != 1 || got[0] != "application/json" {
		t.Errorf("%s %s: Content-Type %q, want application/json", r.Method, r.URL, got)
	}
	if !json.Valid([]byte(a.body)) {
		t.Errorf("%s %s: the body is not JSON: %q", r.Method, r.URL, a.body)
	}
	return a
}

// field returns a string of the JSON object in the body, "" if there is none.
func (a answer) field(name string) string {
	var o map[string]any
	_ = json.Unmarshal([]byte(a.body), &o)
	s, _ := o[name].(string)
	return s
}

// want checks the status and the errcode of an answer, "" for success.
func (a answer) want(t testing.TB, status int, errcode string) {
	t.Helper()
	if a.status != status || a.field("errcode") != errcode {
		t.Errorf("got %d %s, want %d %q", a.status, a.body, status, errcode)
	}
}

// wantBody checks the whole answer.
func (a answer) wantBody(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || strings.TrimSuffix(a.body, "\n") != body {
		t.Errorf("got  %d %swant %d %s", a.status, a.body, status, body)
	}
}

// user is the path of an operation about a user, "" for get_me.
func user(userID id.UserID, operation string) string {
	return "/user/" + string(userID) + operation
}

// login does the login steps in turn; each has to succeed.
func (b *bridge) login(t testing.TB, userID id.UserID, steps ...[2]string) {
	t.Helper()
	for _, step := range steps {
		if a := b.call(t, http.MethodPost, user(userID, "/login/"+step[0]), step[1]); a.status >= 300 {
			t.Fatalf("login/%s %s: %d %s", step[0], step[1], a.status, a.body)
		}
	}
}

// logBuffer keeps log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// lines returns the log, decoded.
func (l *logBuffer) lines(t testing.TB) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("the log line %q is not JSON: %v", line, err)
		}
		lines = append(lines, fields)
	}
	return lines
}

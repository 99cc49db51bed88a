package telegram_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/gotd/td/telegram/dcs"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite"

	"github.com/tgprovision/tgprovision/internal/suiteserver"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-secret-for-the-tests"

const (
	you  id.UserID = "@you:example.com"
	them id.UserID = "@them:example.com"
)

// The accounts of the tests.
var (
	ada = telegramtest.Account{
		ID: 1001, Phone: "9996610001", FirstName: "Ada", LastName: "Lovelace", Username: "ada", Code: "01234",
	}
	grace = telegramtest.Account{
		ID: 1002, Phone: "9996610002", FirstName: "Grace", Code: "54321", Password: " open sesame ", PasswordHint: "forty",
	}
	helper = telegramtest.Account{ID: 2001, FirstName: "Helper", Username: "helper_bot", Bot: true, Token: "2001:AAE-token"}
)

// bridge is a host whose Telegram side is real: the API over HTTP in front, MTProto
// over TCP behind. Everything in the middle can be thrown away and made anew, as
// when a process is killed.
type bridge struct {
	t        *testing.T
	telegram *telegramtest.Server
	users    *provisioningtest.MemUserStore
	portals  *provisioningtest.MemPortalStore
	rooms    provisioning.Rooms // nil for none
	database string
	config   func(*telegram.Config)
	timeout  time.Duration
	log      *lockedBuffer
	ends     chan string // what came of tries to end sessions
	// relay, if set, returns the client of the relay bot.
	relay func(*telegram.Factory) provisioning.TelegramClient
	// exchanges has logins make their auth keys, in place of ones that
	// the server has made.
	exchanges bool

	db      *dbutil.Database
	factory *telegram.Factory
	core    *provisioning.Provisioner
	server  *httptest.Server
}

type option func(*bridge)

func withConfig(f func(*telegram.Config)) option { return func(b *bridge) { b.config = f } }
func withExchanges(b *bridge)                    { b.exchanges = true }
func withTimeout(d time.Duration) option         { return func(b *bridge) { b.timeout = d } }

// remembering has lists and accounts remembered for longer than any test takes.
func remembering(c *telegram.Config) { c.ListAge, c.AccountAge = time.Hour, time.Hour }

// countDials returns a configuration whose connections to Telegram are counted.
func countDials() (config func(*telegram.Config), dialled *atomic.Int64) {
	dialled = &atomic.Int64{}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	return func(c *telegram.Config) { c.Resolver = dcs.Plain(dcs.PlainOptions{Dial: dial}) }, dialled
}

func newBridge(t *testing.T, options ...option) *bridge {
	t.Helper()
	t.Parallel()
	b := &bridge{
		t:        t,
		telegram: telegramtest.NewServer(t, telegramtest.Config{}),
		users:    provisioningtest.NewMemUserStore(nil),
		portals:  provisioningtest.NewMemPortalStore(),
		database: filepath.Join(t.TempDir(), "bridge.db"),
		config:   func(*telegram.Config) {},
		log:      &lockedBuffer{},
		ends:     make(chan string, 1000),
	}
	for _, o := range options {
		o(b)
	}
	for _, account := range []telegramtest.Account{ada, grace, helper} {
		require.NoError(t, b.telegram.AddAccount(account))
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func openDatabase(t *testing.T, path string) *dbutil.Database {
	t.Helper()
	const options = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	// Folders of tests may have a # in their names, which has to be escaped.
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: options}).String())
	require.NoError(t, err)
	db, err := dbutil.NewWithDB(raw, "sqlite3")
	require.NoError(t, err)
	return db
}

func (b *bridge) start() {
	b.t.Helper()
	b.db = openDatabase(b.t, b.database)
	log := zerolog.New(b.log).Level(zerolog.TraceLevel)
	cfg := telegram.Config{
		DB: b.db, APIID: 1, APIHash: "hash", Log: log,
		ListAge: -1, AccountAge: -1, // most tests change what is on Telegram, and want to see it
		Datacenter: &telegram.Datacenter{ID: b.telegram.DC(), Addr: b.telegram.Addr(), Key: b.telegram.PublicKey().RSA},
		Observer: telegram.Observer{Call: func(method, _ string, _ time.Duration) {
			assert.NotEqual(b.t, "other", method, "this package has called a method that is not on its list")
		}, SessionEnd: func(outcome string) { b.ends <- outcome }},
	}
	b.config(&cfg)
	var err error
	b.factory, err = telegram.NewFactory(b.t.Context(), cfg)
	require.NoError(b.t, err)
	if !b.exchanges {
		sessions := suiteserver.On(b.t, b.telegram)
		b.factory.Premade(func() []byte { return sessions.NewSession(0) })
	}
	settings := provisioning.Config{
		Secret: secret, Users: b.users, Portals: b.portals, Tasks: b.portals, Rooms: b.rooms, Telegram: b.factory, Timeout: b.timeout, Log: log,
	}
	if b.relay != nil {
		settings.RelayBot = b.relay(b.factory)
	}
	// The tests log in again and again.
	settings.CodesPerPhone = provisioning.Allowance{PerHour: -1, PerDay: -1}
	b.core, err = provisioning.New(settings)
	require.NoError(b.t, err)
	require.NoError(b.t, b.core.Start(context.WithoutCancel(b.t.Context())))
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	b.core.Mount(r)
	b.server = httptest.NewServer(r)
}

func (b *bridge) stop() {
	b.t.Helper()
	b.server.Close()
	http.DefaultClient.CloseIdleConnections()
	ctx := context.WithoutCancel(b.t.Context())
	assert.NoError(b.t, b.core.Close(ctx))
	assert.NoError(b.t, b.factory.Close(ctx))
	assert.NoError(b.t, b.db.Close())
}

// another makes another process on the database.
func (b *bridge) another() *bridge {
	b.t.Helper()
	other := &bridge{
		t: b.t, telegram: b.telegram, users: b.users, portals: b.portals, database: b.database, config: b.config, timeout: b.timeout, exchanges: b.exchanges,
		log: &lockedBuffer{}, ends: make(chan string, 1000),
	}
	other.start()
	b.t.Cleanup(other.stop)
	return other
}

// restart makes everything anew but the database and Telegram.
func (b *bridge) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any // nil for an array
	err    error          // there was none
}

func (b *bridge) send(ctx context.Context, method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, b.server.URL+"/v1"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	if !bytes.HasPrefix(a.raw, []byte("[")) {
		err = json.Unmarshal(a.raw, &a.body)
	}
	return a, err
}

// waitEnd waits until a try to end a session had an outcome.
func (b *bridge) waitEnd(outcome string) {
	b.t.Helper()
	for b.t.Context().Err() == nil {
		select {
		case got := <-b.ends:
			if got == outcome {
				return
			}
		case <-b.t.Context().Done():
		}
	}
	require.Fail(b.t, "no session has ended like that", outcome)
}

// background sends a request and gives its answer, once.
func (b *bridge) background(ctx context.Context, method, path, body string) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		a, err := b.send(ctx, method, path, body)
		a.err = err
		answers <- a
	}()
	return answers
}

func (b *bridge) call(method, path, body string) answer {
	b.t.Helper()
	a, err := b.send(b.t.Context(), method, path, body)
	require.NoError(b.t, err)
	assert.Equal(b.t, "application/json", a.header.Get("Content-Type"))
	return a
}

func (b *bridge) get(userID id.UserID, what string) answer {
	b.t.Helper()
	return b.call(http.MethodGet, "/user/"+string(userID)+what, "")
}

func (b *bridge) post(userID id.UserID, what, body string) answer {
	b.t.Helper()
	return b.call(http.MethodPost, "/user/"+string(userID)+what, body)
}

func (b *bridge) requestCode(userID id.UserID, account telegramtest.Account) answer {
	b.t.Helper()
	return b.post(userID, "/login/request_code", `{"phone":"+`+account.Phone+`"}`)
}

// logIn logs a user in, by whatever way the account has.
func (b *bridge) logIn(userID id.UserID, account telegramtest.Account) {
	b.t.Helper()
	if account.Bot {
		b.post(userID, "/login/bot_token", `{"token":"`+account.Token+`"}`).is(b.t, 200, "")
		return
	}
	b.requestCode(userID, account).is(b.t, 200, "")
	a := b.post(userID, "/login/send_code", `{"code":"`+account.Code+`"}`)
	if account.Password != "" {
		a.is(b.t, 202, "")
		a = b.post(userID, "/login/send_password", `{"password":"`+account.Password+`"}`)
	}
	a.is(b.t, 200, "")
}

// is asserts the status and the errcode, "" for a success.
func (a answer) is(t *testing.T, status int, errcode string) answer {
	t.Helper()
	require.NoError(t, a.err)
	got, _ := a.body["errcode"].(string)
	require.Equal(t, []any{status, errcode}, []any{a.status, got}, "%s", a.raw)
	return a
}

// state asserts the login step in the body.
func (a answer) state(t *testing.T, want string) answer {
	t.Helper()
	require.Equal(t, want, a.body["state"], "%s", a.raw)
	return a
}

// telegramOf returns the Telegram account in an answer of get_me, nil for null.
func (a answer) telegramOf(t *testing.T) any {
	t.Helper()
	a.is(t, 200, "")
	account, ok := a.body["telegram"]
	require.True(t, ok, "%s", a.raw)
	return account
}

// wantRefusal asserts that an error is a refusal of Telegram's, with a meaning.
func wantRefusal(t *testing.T, err, meaning error, code int, name string) {
	t.Helper()
	require.ErrorIs(t, err, meaning)
	said, ok := errors.AsType[*provisioning.TelegramError](err)
	require.True(t, ok)
	assert.Equal(t, &provisioning.TelegramError{Code: code, Type: name}, said)
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// ids are Telegram user IDs as package provisioning has them.
func ids(of ...int64) []provisioning.TelegramID {
	var ids []provisioning.TelegramID
	for _, id := range of {
		ids = append(ids, provisioning.TelegramID(id))
	}
	return ids
}

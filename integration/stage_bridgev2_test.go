package integration

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/appservice"
)

// bridgeProgram is examples/bridgev2, built by TestMain.
var bridgeProgram string

// bridgeConfig is the bridge's configuration: what is not in it is as in mxmain's example.
var bridgeConfig = template.Must(template.New("config.yaml").Parse(`network:
    api_id: 1
    api_hash: hash
    datacenter:
        id: {{.Telegram.DC}}
        addr: "{{.Telegram.Addr}}"
        key_file: {{.Key}}
    create_limit: {{.CreateLimit}}
    codes_per_hour: -1
bridge:
    split_portals: {{.SplitPortals}}
    permissions:
        "*": user
        "@admin:{{.Domain}}": admin
        "@low:{{.Domain}}": relay
    relay:
        enabled: true
        default_relays: ["{{.Relay}}"]
database:
    type: {{.DatabaseType}}
    uri: "{{.DatabaseURI}}"
homeserver:
    address: {{.Homeserver}}
    domain: {{.Domain}}
appservice:
    address: {{.Address}}
    public_address: {{.Address}}
    hostname: {{.Socket}}
    as_token: "{{.ASToken}}"
    hs_token: "{{.HSToken}}"
    username_template: "telegram_{{"{{.}}"}}"
    bot:
        username: telegrambot
provisioning:
    shared_secret: {{.Secret}}
logging:
    min_level: trace
    writers:
        - type: stderr
          format: json
`))

// bridgeSettings are what tests set of the bridge's configuration.
type bridgeSettings struct {
	createLimit  int
	splitPortals bool
}

// newBridgev2Stage starts everything, with a bridge on mautrix-go's bridgev2. A user of the
// name relay is logged in as the relay bot.
func newBridgev2Stage(t *testing.T, newHomeserver newHomeserver, database string, settings bridgeSettings) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "b2") // a socket's path may be 107 bytes long
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "socket")
	dialer := &net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	s := &stage{
		t: t, database: database, bridgev2: true, telegram: newTelegram(t), front: newFront(t, transport),
		tables: tables{portals: "portal WHERE mxid IS NOT NULL", rooms: "SELECT mxid, name FROM portal WHERE mxid IS NOT NULL"},
	}
	s.front.current.Store(&url.URL{Scheme: "http", Host: "bridge"})

	config, registration := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "registration.yaml")
	key := writeKey(t, s.telegram)
	databaseType, databaseURI := "sqlite3-fk-wal", (&url.URL{Scheme: "file", Path: database, RawQuery: "_txlock=immediate"}).String()
	if isPostgres(database) {
		databaseType, databaseURI = "postgres", database
	}
	write := func(homeserver string) {
		file, err := os.Create(config)
		require.NoError(t, err)
		require.NoError(t, bridgeConfig.Execute(file, map[string]any{
			"Telegram": s.telegram, "Key": key, "CreateLimit": settings.createLimit,
			"SplitPortals": settings.splitPortals, "Domain": dendriteDomain, "Relay": relayBot.ID,
			"DatabaseType": databaseType, "DatabaseURI": databaseURI, "Homeserver": homeserver,
			"Address": s.front.URL, "Socket": socket, "Secret": secret,
			"ASToken": s.registration.AppToken, "HSToken": s.registration.ServerToken,
		}))
		require.NoError(t, file.Close())
	}
	s.registration = appservice.CreateRegistration()
	write("http://127.0.0.1:1")
	out, err := exec.Command(bridgeProgram, "-c", config, "-r", registration, "-g").CombinedOutput()
	require.NoError(t, err, "%s", out)
	s.registration, err = appservice.LoadRegistration(registration)
	require.NoError(t, err)
	s.hs = newHomeserver(t, s.registration)
	write(s.hs.address())

	s.launch = func() *example { return s.startBridge(config) }
	s.restart()
	relay := s.hs.user(t, "relay") // bridgev2 invites them to rooms
	s.want(200, "", http.MethodPost, "/user/"+string(relay.UserID)+"/login/bot_token", `{"token":"`+relayBot.Token+`"}`)
	return s
}

// startBridge starts the bridge's process and returns when the API answers. Dendrite says
// that it supports version 1.2 of the specification.
func (s *stage) startBridge(config string) *example {
	s.t.Helper()
	e := &example{
		cmd: exec.Command(bridgeProgram, "-c", config, "-n", "--ignore-unsupported-server"), url: s.front.URL + mountPath,
		ended: make(chan struct{}), stderr: &lockedBuffer{},
	}
	e.cmd.Dir, e.cmd.Stdout, e.cmd.Stderr = s.t.TempDir(), e.stderr, e.stderr
	require.NoError(s.t, e.cmd.Start())
	go func() {
		defer close(e.ended)
		_ = e.cmd.Wait()
	}()
	s.t.Cleanup(func() { e.kill(s.t) })
	require.Eventually(s.t, func() bool { return isClosed(e.ended) || s.ready(e) }, time.Minute, 20*time.Millisecond, "%s", e.stderr)
	require.False(s.t, isClosed(e.ended), "the bridge has ended: %s", e.stderr)
	return e
}

// ready says whether the API answers.
func (s *stage) ready(e *example) bool {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, e.url+"/v1/bridge", nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

//go:build cgo

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"text/template"
	"time"

	"maunium.net/go/mautrix/appservice"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// local is what the bridge needs beside itself, in the process: a homeserver, a Telegram
// server, and a folder with a configuration and a database. It forgets everything when it
// is closed.
type local struct {
	homeserver *matrixtest.Server
	telegram   *telegramtest.Server
	dir        string
	secret     string // the shared secret of the bridge's APIs
	logLevel   string
	logFile    string // "" logs to stderr

	homeserverURL, telegramAddr string // where the bridge finds them

	listener     net.Listener
	server       *http.Server
	handler      atomic.Pointer[http.ServeMux] // the bridge's; nil while none runs
	registration *appservice.Registration      // from the first start of the bridge on
}

// localAccounts are the accounts of the Telegram server.
var localAccounts = []telegramtest.Account{
	{
		ID: 9001, Phone: "9996610001", Code: "12345", FirstName: "Ada", LastName: "Lovelace", Username: "ada",
		Contacts: []int64{9002, 9004},
		Dialogs: []telegramtest.Dialog{
			{Kind: telegramtest.KindSupergroup, ID: 2003, Title: "Analytical Engine"},
			{Kind: telegramtest.KindBasicGroup, ID: 2005, Title: "Card readers"},
			{Kind: telegramtest.KindUser, ID: 9004},
		},
	},
	{
		ID: 9002, Phone: "9996610002", Code: "02468", Password: "correct horse", PasswordHint: "and then?",
		FirstName: "Grace", LastName: "Hopper", Username: "grace", Contacts: []int64{9001},
		Dialogs: []telegramtest.Dialog{
			{Kind: telegramtest.KindSupergroup, ID: 2003, Title: "Analytical Engine"},
			{Kind: telegramtest.KindUser, ID: 9001},
		},
	},
	{ID: 9003, Bot: true, Token: "9003:AAF-token-of-the-local-bot", FirstName: "Local Bot", Username: "local_demo_bot"},
	{ID: 9004, Phone: "9996610004", FirstName: "Charles", LastName: "Babbage"},
}

// startLocal starts everything but the bridge, whose log begins at a level of zerolog's.
func startLocal(logLevel string, accounts []telegramtest.Account) (l *local, err error) {
	l = &local{secret: rand.Text(), logLevel: logLevel}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.dir, err = os.MkdirTemp("", "bridgev2-"); err != nil {
		return nil, err
	}
	if l.telegram, err = telegramtest.Start(telegramtest.Config{Accounts: accounts}); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(l.dir, "telegram.pem"), l.telegram.PublicKeyPEM(), 0o600); err != nil {
		return nil, err
	}
	if l.homeserver, err = matrixtest.Start(matrixtest.Config{}); err != nil {
		return nil, err
	}
	l.homeserverURL, l.telegramAddr = l.homeserver.URL(), l.telegram.Addr()
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = l.server.Serve(l.listener) }()
	return l, nil
}

// ServeHTTP serves what the bridge serves, or 503 while none runs.
func (l *local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := l.handler.Load(); handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	http.Error(w, "the bridge does not run", http.StatusServiceUnavailable)
}

// address is where the bridge is reached.
func (l *local) address() string { return "http://" + l.listener.Addr().String() }

// configuration is the bridge's: what is not in it is as in mxmain's example.
var configuration = template.Must(template.New("config.yaml").Parse(`network:
    api_id: 1
    api_hash: local
    datacenter:
        id: {{.Telegram.DC}}
        addr: "{{.TelegramAddr}}"
        key_file: {{.Dir}}/telegram.pem
    create_limit: 15
bridge:
    permissions:
        "{{.Homeserver.ServerName}}": admin
database:
    type: sqlite3-fk-wal
    uri: file:{{.Dir}}/bridge.db?_txlock=immediate
    max_open_conns: 5
    max_idle_conns: 5
homeserver:
    address: {{.HomeserverURL}}
    domain: {{.Homeserver.ServerName}}
appservice:
    address: {{.Address}}
provisioning:
    shared_secret: {{.Secret}}
logging:
    min_level: {{.LogLevel}}
    writers:
        - type: {{if .LogFile}}file{{else}}stderr{{end}}
          format: json
          filename: "{{.LogFile}}"
`))

// writeConfig writes the bridge's configuration and returns its path.
func (l *local) writeConfig() (path string, err error) {
	path = filepath.Join(l.dir, "config.yaml")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // it holds the secret
	if err != nil {
		return "", err
	}
	err = configuration.Execute(file, map[string]any{
		"Telegram": l.telegram, "TelegramAddr": l.telegramAddr, "Homeserver": l.homeserver, "HomeserverURL": l.homeserverURL, "Dir": l.dir, "Address": l.address(), "Secret": l.secret, "LogLevel": l.logLevel, "LogFile": l.logFile,
	})
	return path, errors.Join(err, file.Close())
}

// startBridge starts a bridge on the homeserver, or starts it again on its database.
func (l *local) startBridge() (*bridge, error) {
	b, err := l.newBridge()
	if err != nil {
		return nil, err
	}
	b.Start()
	return b, nil
}

// newBridge makes a bridge that is ready to be started.
func (l *local) newBridge() (*bridge, error) {
	path, err := l.writeConfig()
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	b := newBridge()
	b.ConfigPath = path
	b.LoadConfig()
	if l.registration == nil {
		l.registration = b.Config.GenerateRegistration()
		if err := l.homeserver.AddAppservice(l.registration); err != nil {
			return nil, err
		}
	}
	b.Config.AppService.ASToken, b.Config.AppService.HSToken = l.registration.AppToken, l.registration.ServerToken
	b.Config.AppService.NoServer = true // l.server is
	b.Init()
	l.handler.Store(b.Matrix.AS.Router)
	return b, nil
}

// stopBridge stops a bridge. Its database stays.
func (l *local) stopBridge(b *bridge) {
	l.handler.Store(nil)
	b.stop()
}

// close ends everything that has started.
func (l *local) close() {
	if l.server != nil {
		_ = l.server.Close()
	}
	if l.homeserver != nil {
		_ = l.homeserver.Close()
	}
	if l.telegram != nil {
		_ = l.telegram.Close()
	}
	_ = os.RemoveAll(l.dir)
}

var welcome = template.Must(template.New("welcome").Parse(`The bridge is at {{.Address}}
Secret: {{.Secret}}

The homeserver is at {{.Homeserver.URL}}, and your access token there {{.Token}}
The Telegram server is at {{.Telegram.Addr}} and knows:
{{- range .Accounts}}
{{- if .Token}}
  {{.FirstName}}: a bot, token {{.Token}}
{{- else if .Code}}
  {{.FirstName}} {{.LastName}}: phone +{{.Phone}}, code {{.Code}}{{if .Password}}, two-factor password "{{.Password}}"{{end}}
{{- end}}
{{- end}}

Log Ada in, look at what she has, and log her out, by pasting:

  curl -s -H 'Authorization: Bearer {{.Secret}}' -d '{"phone": "+{{.Ada.Phone}}"}' '{{.V1}}/user/{{.User}}/login/request_code'
  curl -s -H 'Authorization: Bearer {{.Secret}}' -d '{"code": "{{.Ada.Code}}"}' '{{.V1}}/user/{{.User}}/login/send_code'
  curl -s -H 'Authorization: Bearer {{.Secret}}' '{{.V1}}/user/{{.User}}/chats'
  curl -s -H 'Authorization: Bearer {{.Secret}}' '{{.Address}}/_matrix/provision/v3/whoami?user_id={{.User}}'
  curl -s -H 'Authorization: Bearer {{.Secret}}' -X POST '{{.V1}}/user/{{.User}}/logout'

Ctrl-C stops it.
`))

// printWelcome prints what there is, and makes somebody on the homeserver to be.
func (l *local) printWelcome(out io.Writer) {
	you, err := l.homeserver.AddUser("you")
	if err != nil {
		fmt.Fprintln(out, err)
		return
	}
	_ = welcome.Execute(out, map[string]any{
		"Address": l.address(), "Secret": l.secret, "Homeserver": l.homeserver, "Telegram": l.telegram,
		"V1": l.address() + "/_matrix/provision/v1", "Accounts": localAccounts, "Ada": localAccounts[0], "User": you.UserID, "Token": you.AccessToken,
	})
}

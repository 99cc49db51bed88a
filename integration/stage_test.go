package integration

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning/client"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The Telegram of the stories: ada knows everybody, the bot is in the lounge.
var (
	adasLounge = telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 11, Title: "Lounge"}
	adasFamily = telegramtest.Dialog{Kind: telegramtest.KindBasicGroup, ID: 12, Title: "Family"}
	ada        = telegramtest.Account{
		ID: 2001, Phone: "9996620001", Code: "12345", FirstName: "Ada", Username: "ada",
		Contacts: []int64{2002, 2003}, Dialogs: []telegramtest.Dialog{adasLounge, adasFamily},
	}
	bert = telegramtest.Account{
		ID: 2002, Phone: "9996620002", Code: "12345", FirstName: "Bert", Username: "bert_tg",
		Photo: telegramtest.Photo{ID: 7002, Data: []byte("\xff\xd8\xff\xe0 Bert's photo")},
	}
	cleo     = telegramtest.Account{ID: 2003, Phone: "9996620003", Code: "12345", FirstName: "Cleo"}
	relayBot = telegramtest.Account{
		ID: 2009, Bot: true, Token: "2009:AAE-token-of-the-relay-bot", FirstName: "Relay", Username: "relay_bot",
		Dialogs: []telegramtest.Dialog{adasLounge},
	}
)

// homeserver is one that a story runs on.
type homeserver interface {
	// address is where clients find it.
	address() string
	// user registers an ordinary user.
	user(t *testing.T, localpart string) *mautrix.Client
}

func (d *dendrite) address() string { return d.url }
func (d *dendrite) user(t *testing.T, localpart string) *mautrix.Client {
	return d.newUser(t, localpart)
}

// memory is the in-memory homeserver.
type memory struct{ *matrixtest.Server }

func (m memory) address() string { return m.URL() }

func (m memory) user(t *testing.T, localpart string) *mautrix.Client {
	t.Helper()
	client, err := m.AddUser(localpart)
	require.NoError(t, err)
	return client
}

// homeservers are the homeservers that every story runs on.
var homeservers = map[string]func(*testing.T, *appservice.Registration) homeserver{
	"dendrite": func(t *testing.T, r *appservice.Registration) homeserver { return startDendrite(t, r) },
	"matrixtest": func(t *testing.T, r *appservice.Registration) homeserver {
		server, err := matrixtest.Start(matrixtest.Config{ServerName: dendriteDomain, Registrations: []*appservice.Registration{r}})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, server.Close()) })
		return memory{server}
	},
}

// stage is a bridge between a homeserver and a Telegram, all of them running.
type stage struct {
	*example
	t            *testing.T
	hs           homeserver
	telegram     *telegramtest.Server
	registration *appservice.Registration
	database     string
	flags        []string        // of examples/local
	launch       func() *example // starts the bridge's process
	front        *front          // where the homeserver finds the bridge
	tables       tables
	bridgev2     bool // the bridge is examples/bridgev2
}

// tables are where the tests look into a bridge's database.
type tables struct{ portals, rooms string }

// front is one address for the processes of a bridge, which listen elsewhere after each
// restart.
type front struct {
	*httptest.Server
	current atomic.Pointer[url.URL]
}

func newFront(t *testing.T, transport http.RoundTripper) *front {
	t.Helper()
	f := &front{}
	f.Server = httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(f.current.Load()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(f.Close)
	f.current.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}) // nobody yet
	return f
}

// newTelegram starts the Telegram of the stories.
func newTelegram(t *testing.T) *telegramtest.Server {
	t.Helper()
	server := telegramtest.NewServer(t, telegramtest.Config{})
	for _, account := range []telegramtest.Account{ada, bert, cleo, relayBot} {
		require.NoError(t, server.AddAccount(account))
	}
	require.NoError(t, server.SetPhoto(telegramtest.KindSupergroup, adasLounge.ID, telegramtest.Photo{ID: 7011, Data: []byte("\xff\xd8\xff\xe0 a lounge")}))
	return server
}

type newHomeserver = func(*testing.T, *appservice.Registration) homeserver

// newStage starts everything, with the bundled parts of examples/local.
func newStage(t *testing.T, newHomeserver newHomeserver, database string, more ...string) *stage {
	t.Helper()
	s := &stage{
		t: t, database: database, telegram: newTelegram(t), front: newFront(t, nil),
		tables: tables{portals: "tgprovision_portal", rooms: "SELECT room_id, title FROM tgprovision_portal"},
	}
	file := filepath.Join(t.TempDir(), "registration.yaml")
	runExample(t, "-generate-registration", file)
	var err error
	s.registration, err = appservice.LoadRegistration(file)
	require.NoError(t, err)
	s.registration.URL = s.front.URL
	require.NoError(t, s.registration.Save(file))
	s.hs = newHomeserver(t, s.registration)

	flags := append([]string{
		"-telegram-dc", s.telegram.Addr(), "-telegram-key", writeKey(t, s.telegram), "-relay-bot-token", relayBot.Token,
		"-homeserver", s.hs.address(), "-registration", file, "-db", database,
		"-permissions", "*=full,@admin:" + dendriteDomain + "=admin,@low:" + dendriteDomain + "=relaybot",
	}, more...)
	s.flags = flags
	s.launch = func() *example { return startExample(t, flags...) }
	s.restart()
	return s
}

// restart starts the bridge, after the process before, if there is one, has been
// killed.
func (s *stage) restart() {
	s.t.Helper()
	if s.example != nil {
		s.kill(s.t)
	}
	s.example = s.launch()
	if s.bridgev2 {
		return
	}
	u, err := url.Parse(s.example.url)
	require.NoError(s.t, err)
	s.front.current.Store(&url.URL{Scheme: u.Scheme, Host: u.Host})
}

// want sends a request of the API and checks the status and errcode.
func (s *stage) want(status int, errcode, method, path, body string) map[string]any {
	s.t.Helper()
	got, answer := s.call(s.t, method, "/v1"+path, body)
	code, _ := answer["errcode"].(string)
	require.Equal(s.t, []any{status, errcode}, []any{got, code}, "%s %s: %v", method, path, answer)
	return answer
}

func (s *stage) get(status int, errcode, path string) map[string]any {
	s.t.Helper()
	return s.want(status, errcode, http.MethodGet, path, "")
}

func (s *stage) post(status int, errcode, path string) map[string]any {
	s.t.Helper()
	return s.want(status, errcode, http.MethodPost, path, "")
}

// login logs a Matrix user in to a Telegram account.
func (s *stage) login(user *mautrix.Client, account telegramtest.Account) {
	s.t.Helper()
	api, userID := s.api(s.t), string(user.UserID)
	_, err := client.Do(api.PostLoginPhoneWithResponse(s.t.Context(), userID, client.PhoneNumber{Phone: "+" + account.Phone}))
	require.NoError(s.t, err)
	in, err := client.Do(api.PostLoginCodeWithResponse(s.t.Context(), userID, client.PhoneCode{Code: account.Code}))
	require.NoError(s.t, err)
	require.Equal(s.t, client.LoggedIn{State: "logged-in", Username: account.Username, Phone: account.Phone}, *in.JSON200)
}

func (s *stage) bot() id.UserID {
	if s.bridgev2 {
		return id.NewUserID("telegrambot", dendriteDomain)
	}
	return id.NewUserID(s.registration.SenderLocalpart, dendriteDomain)
}

func (s *stage) ghost(account telegramtest.Account) id.UserID {
	return id.NewUserID(fmt.Sprintf("telegram_%d", account.ID), dendriteDomain)
}

// as returns a client that acts as one of the bridge's users.
func (s *stage) as(userID id.UserID) *mautrix.Client {
	s.t.Helper()
	client, err := mautrix.NewClient(s.hs.address(), userID, s.registration.AppToken)
	require.NoError(s.t, err)
	client.SetAppServiceUserID = true
	return client
}

// until calls done until it returns true.
func (s *stage) until(what string, done func() bool) {
	s.t.Helper()
	require.Eventually(s.t, done, 30*time.Second, 20*time.Millisecond, "%s; the bridge's log: %s", what, s.example.stderr)
}

// room makes a room of a Matrix user's, to which the bridge bot is invited, with as much
// power as its creator where nothing else is said, and waits until it has come.
func (s *stage) room(user *mautrix.Client, request mautrix.ReqCreateRoom) id.RoomID {
	s.t.Helper()
	request.Invite = append(request.Invite, s.bot())
	if request.PowerLevelOverride == nil {
		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: map[id.UserID]int{s.bot(): 100}}
	}
	created, err := user.CreateRoom(s.t.Context(), &request)
	require.NoError(s.t, err)
	s.until("the bridge bot joins", func() bool { return s.membership(user, created.RoomID, s.bot()) == event.MembershipJoin })
	return created.RoomID
}

// bring brings a ghost into a room.
func (s *stage) bring(user *mautrix.Client, roomID id.RoomID, account telegramtest.Account) {
	s.t.Helper()
	ghost := s.as(s.ghost(account))
	_, _, err := ghost.Register(s.t.Context(), &mautrix.ReqRegister[any]{Username: ghost.UserID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true})
	if err != nil {
		require.ErrorIs(s.t, err, mautrix.MUserInUse)
	}
	_, err = user.InviteUser(s.t.Context(), roomID, &mautrix.ReqInviteUser{UserID: ghost.UserID})
	require.NoError(s.t, err)
	_, err = ghost.JoinRoomByID(s.t.Context(), roomID)
	require.NoError(s.t, err)
}

// membership returns what a user is in a room, as another one sees it.
func (s *stage) membership(as *mautrix.Client, roomID id.RoomID, userID id.UserID) event.Membership {
	s.t.Helper()
	var content event.MemberEventContent
	err := as.StateEvent(s.t.Context(), roomID, event.StateMember, string(userID), &content)
	if errors.Is(err, mautrix.MNotFound) {
		return ""
	}
	require.NoError(s.t, err)
	return content.Membership
}

// bridgeInfo returns what a room says it is bridged to, "" for nothing.
func (s *stage) bridgeInfo(user *mautrix.Client, roomID id.RoomID) (channels string) {
	s.t.Helper()
	state, err := user.State(s.t.Context(), roomID)
	require.NoError(s.t, err)
	for _, eventType := range []event.Type{event.StateBridge, event.StateHalfShotBridge} {
		for _, e := range state[eventType] {
			if name := e.Content.AsBridge().Channel.DisplayName; name != "" {
				channels += "[" + name + "]"
			}
		}
	}
	return channels
}

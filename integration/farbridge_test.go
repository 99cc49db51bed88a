package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gotd/td/telegram/dcs"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/relay"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// The people and the bots of BenchmarkRoundTrips. Ada has a thousand chats and a hundred
// contacts, Clara is at home in another datacenter.
var (
	farAda   = farAccount(1, 2)
	farBea   = telegramtest.Account{ID: 2, Phone: "9996610002", FirstName: "Bea", Password: "correct horse"}
	farClara = farAccount(3, 4)
	farBot   = telegramtest.Account{ID: 901, Bot: true, Token: "901:AAE-token-of-a-bot", FirstName: "Bot", Username: "some_bot"}
	farRelay = telegramtest.Account{
		ID: 900, Bot: true, Token: "900:AAE-token-of-the-relay-bot", FirstName: "Relay", Username: "far_relay_bot",
		Dialogs: []telegramtest.Dialog{farGroup(0)},
	}
)

const (
	farAsAda    = "user_id=@ada:" + dendriteDomain
	farUser     = "/user/@ada:" + dendriteDomain
	farContacts = 100 // of Ada; the first one's ID is that too
)

func farAccount(accountID int64, dc int) telegramtest.Account {
	return telegramtest.Account{
		ID: accountID, DC: dc, Phone: fmt.Sprint(9996610000 + accountID), FirstName: fmt.Sprint("Somebody ", accountID), Username: fmt.Sprintf("far_user_%d", accountID),
	}
}

func farGroup(number int) telegramtest.Dialog {
	return telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: int64(10000 + number), Title: fmt.Sprint("Group ", number)}
}

func farChat(number int) string { return fmt.Sprintf("-10000000%d", 10000+number) }

// farBridge is a bridge in this process, and Telegram and the homeserver behind relays.
type farBridge struct {
	testing.TB
	*wire
	*host
	telegram   *telegramtest.Server
	homeserver *matrixtest.Server
	as         *appservice.AppService
	toTelegram *relay.Relay
	toMatrix   *relay.Relay
	config     hostConfig
}

func newFarBridge(t testing.TB, o roundTrips) *farBridge {
	far := &farBridge{TB: t, toTelegram: relay.New(), toMatrix: relay.New()}
	t.Cleanup(far.toTelegram.Close)
	t.Cleanup(far.toMatrix.Close)
	photo := telegramtest.Photo{ID: 5, Data: []byte("\xff\xd8\xff\xe0 photo")}
	ada := farAda
	accounts := []telegramtest.Account{farBea, farClara, farBot, farRelay}
	for i := range int64(farContacts) {
		contact := farAccount(farContacts+i, 2)
		if i == 0 {
			contact.Photo = photo
		}
		accounts, ada.Contacts = append(accounts, contact), append(ada.Contacts, contact.ID)
	}
	for i := range 1000 {
		ada.Dialogs = append(ada.Dialogs, farGroup(i))
	}
	config := telegramtest.Config{OtherDCs: []int{4}, Accounts: append(accounts, ada)}
	if o.photosElsewhere {
		config.MediaDC = 4
	}
	far.telegram = telegramtest.NewServer(t, config)
	require.NoError(t, far.telegram.SetPhoto(telegramtest.KindSupergroup, farGroup(0).ID, photo))

	registration := appservice.CreateRegistration()
	registration.ID, registration.SenderLocalpart = "telegram", "telegrambot"
	registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:.+`, Exclusive: true}}
	var err error
	far.homeserver, err = matrixtest.Start(matrixtest.Config{ServerName: dendriteDomain, Registrations: []*appservice.Registration{registration}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, far.homeserver.Close()) })
	address, err := far.toMatrix.To(strings.TrimPrefix(far.homeserver.URL(), "http://"))
	require.NoError(t, err)
	far.as, err = appservice.CreateFull(appservice.CreateOpts{Registration: registration, HomeserverDomain: dendriteDomain, HomeserverURL: "http://" + address})
	require.NoError(t, err)
	key, err := telegram.ParseKey(far.telegram.PublicKeyPEM())
	require.NoError(t, err)
	far.config = hostConfig{
		database:   databases["sqlite"](t),
		datacenter: &telegram.Datacenter{ID: far.telegram.DC(), Addr: far.telegram.Addr(), Key: key},
		appservice: far.as,
		tune: func(c *telegram.Config) {
			c.Resolver = dcs.Plain(dcs.PlainOptions{Dial: far.toTelegram.Dial})
			if o.oldAccounts {
				c.AccountAge = 1
			}
		},
	}
	if o.relayBot {
		far.config.relayToken = farRelay.Token
	}
	far.start()
	return far
}

func (far *farBridge) start() {
	far.host = startHost(far, far.config)
	far.wire = dialWire(far, far.host.url)
}

func (far *farBridge) restart() {
	far.rest()
	far.host.stop()
	far.start()
}

// want makes a request and returns how long it took.
func (far *farBridge) want(status int, method, path, body string) time.Duration {
	far.Helper()
	begun := time.Now()
	got, err := far.send(method, path, body)
	took := time.Since(begun)
	require.NoError(far, err)
	require.Equal(far, status, got, "%s %s", method, path)
	return took
}

// logIn logs Ada in.
func (far *farBridge) logIn() {
	far.want(200, http.MethodPost, farUser+"/login/request_code", `{"phone":"+`+farAda.Phone+`"}`)
	far.want(200, http.MethodPost, farUser+"/login/send_code", `{"code":"12345"}`)
}

// rest waits until nothing goes on.
func (far *farBridge) rest() {
	for !far.toTelegram.Silent(150*time.Millisecond) || !far.toMatrix.Silent(150*time.Millisecond) {
		<-time.After(10 * time.Millisecond)
	}
}

// client returns a client of the bridge bot or of a ghost.
func (far *farBridge) client(userID id.UserID) *mautrix.Client {
	client, err := mautrix.NewClient(far.homeserver.URL(), userID, far.as.Registration.AppToken)
	require.NoError(far, err)
	client.SetAppServiceUserID = true
	return client
}

// warm has the bridge connect to the homeserver: as often as it takes to look at a room.
func (far *farBridge) warm() {
	far.want(403, http.MethodPost, "/portal/!nowhere:"+dendriteDomain+"/connect/"+farChat(0)+"?"+farAsAda, "")
}

// room makes a room of Ada's, in which the bridge bot has all power.
func (far *farBridge) room() id.RoomID {
	ada, err := far.homeserver.AddUser("ada")
	require.NoError(far, err)
	bot := far.as.BotMXID()
	made, err := ada.CreateRoom(far.Context(), &mautrix.ReqCreateRoom{
		Name: "A room", Topic: "A topic", Invite: []id.UserID{bot},
		PowerLevelOverride: &event.PowerLevelsEventContent{Users: map[id.UserID]int{bot: 100, ada.UserID: 100}},
	})
	require.NoError(far, err)
	_, err = far.client(bot).JoinRoomByID(far.Context(), made.RoomID)
	require.NoError(far, err)
	return made.RoomID
}

// addGhosts brings ghosts of Ada's contacts into a room of hers.
func (far *farBridge) addGhosts(roomID id.RoomID, count int) {
	ada, err := far.homeserver.AddUser("ada")
	require.NoError(far, err)
	for i := range count {
		ghost := far.client(id.NewUserID(fmt.Sprint("telegram_", farContacts+i), dendriteDomain))
		_, _, err := ghost.Register(far.Context(), &mautrix.ReqRegister[any]{Username: ghost.UserID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true})
		require.NoError(far, err)
		_, err = ada.InviteUser(far.Context(), roomID, &mautrix.ReqInviteUser{UserID: ghost.UserID})
		require.NoError(far, err)
		_, err = ghost.JoinRoomByID(far.Context(), roomID)
		require.NoError(far, err)
	}
}

// portal makes a portal of Ada's first group.
func (far *farBridge) portal() id.RoomID {
	roomID := far.room()
	far.want(202, http.MethodPost, "/portal/"+string(roomID)+"/connect/"+farChat(0)+"?"+farAsAda, "")
	return roomID
}

// qr shows a QR code, and returns what is in it.
func (far *farBridge) qr() (*websocket.Conn, string) {
	conn, _, err := websocket.Dial(far.Context(), "ws"+strings.TrimPrefix(far.host.url, "http")+"/v1"+farUser+"/login/qr", &websocket.DialOptions{
		Subprotocols: []string{"net.maunium.telegram.login", "net.maunium.telegram.auth-" + secret},
	})
	require.NoError(far, err)
	_, message, err := conn.Read(far.Context())
	require.NoError(far, err)
	var shown struct{ Code string }
	require.NoError(far, json.Unmarshal(message, &shown))
	require.NotEmpty(far, shown.Code)
	return conn, shown.Code
}

// once connects a room to Ada's first group and disconnects it.
func (far *farBridge) once() {
	far.want(202, http.MethodPost, "/portal/"+string(far.portal())+"/disconnect?sync=1", "")
}

//go:build cgo

package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/relay"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// farBridge is a bridge with Telegram and the homeserver behind relays, and Ada logged in.
type farBridge struct {
	testing.TB
	*local
	bridge               *bridge
	ada                  *mautrix.Client
	toTelegram, toMatrix *relay.Relay
}

// farGroups are the groups that Ada has on Telegram.
const farGroups = 2

func newFarBridge(t testing.TB) *farBridge {
	accounts := []telegramtest.Account{localAccounts[0], localAccounts[1], localAccounts[3]}
	accounts[0].Dialogs = nil
	for i := range int64(farGroups) {
		accounts[0].Dialogs = append(accounts[0].Dialogs, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 3000 + i, Title: fmt.Sprint("Group ", i)})
	}
	l, err := startLocal("error", accounts)
	require.NoError(t, err)
	t.Cleanup(l.close)
	far := &farBridge{TB: t, local: l, toTelegram: relay.New(), toMatrix: relay.New()}
	t.Cleanup(far.toTelegram.Close)
	t.Cleanup(far.toMatrix.Close)
	l.telegramAddr, err = far.toTelegram.To(l.telegramAddr)
	require.NoError(t, err)
	address, err := far.toMatrix.To(strings.TrimPrefix(l.homeserverURL, "http://"))
	require.NoError(t, err)
	l.homeserverURL = "http://" + address
	far.ada, err = l.homeserver.AddUser("ada")
	require.NoError(t, err)
	far.bridge, err = l.newBridge()
	require.NoError(t, err)
	far.bridge.connector.Config.CreateLimit = 0 // what is no portal stays none
	far.bridge.Start()
	far.want(200, http.MethodPost, far.user("/login/request_code"), `{"phone":"+9996610001"}`)
	far.want(200, http.MethodPost, far.user("/login/send_code"), `{"code":"12345"}`)
	far.want(200, http.MethodGet, far.user("/chats"), "")
	return far
}

// stop stops the bridge.
func (far *farBridge) stop() { far.stopBridge(far.bridge) }

func (far *farBridge) user(path string) string { return "/user/" + string(far.ada.UserID) + path }

// want makes a request and returns how long it took.
func (far *farBridge) want(status int, method, path, body string) time.Duration {
	far.Helper()
	request, err := http.NewRequestWithContext(far.Context(), method, far.address()+"/_matrix/provision/v1"+path, strings.NewReader(body))
	require.NoError(far, err)
	request.Header.Set("Authorization", "Bearer "+far.secret)
	begun := time.Now()
	response, err := http.DefaultClient.Do(request)
	took := time.Since(begun)
	require.NoError(far, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(far, err)
	require.Equal(far, status, response.StatusCode, "%s %s: %s", method, path, answer)
	return took
}

// rest waits until nothing goes on.
func (far *farBridge) rest() {
	const quiet = 200 * time.Millisecond
	for !far.toTelegram.Silent(quiet) || !far.toMatrix.Silent(quiet) {
		<-time.After(10 * time.Millisecond)
	}
}

// room makes a room of Ada's, in which the bridge bot has all power.
func (far *farBridge) room() id.RoomID {
	bot := far.bridge.Bridge.Bot.GetMXID()
	made, err := far.ada.CreateRoom(far.Context(), &mautrix.ReqCreateRoom{
		Name: "A room", Topic: "A topic", Invite: []id.UserID{bot},
		PowerLevelOverride: &event.PowerLevelsEventContent{Users: map[id.UserID]int{bot: 100, far.ada.UserID: 100}},
	})
	require.NoError(far, err)
	require.NoError(far, far.bridge.Bridge.Bot.EnsureJoined(far.Context(), made.RoomID))
	return made.RoomID
}

// connect connects a room of Ada's to one of her groups.
func (far *farBridge) connect(roomID id.RoomID, group int, more string) time.Duration {
	return far.want(202, http.MethodPost, fmt.Sprintf("/portal/%s/connect/-100000000%d?user_id=%s%s", roomID, 3000+group, far.ada.UserID, more), "")
}

// portal makes a portal of one of Ada's groups.
func (far *farBridge) portal(group int) (about string) {
	roomID := far.room()
	far.connect(roomID, group, "")
	return "/portal/" + string(roomID)
}

// promises are operations, and how many round trips to Telegram and to the homeserver the
// promise of each needs. Ada is an admin, whose power in a room nobody asks for.
var promises = []struct {
	name                 string
	telegram, homeserver float64
	prepare              func(far *farBridge) (run func() time.Duration)
}{
	{"connect", 1, 1, func(far *farBridge) func() time.Duration {
		far.portal(1) // and with it connections to the homeserver
		roomID := far.room()
		return func() time.Duration { return far.connect(roomID, 0, "") }
	}},
	{"connect/force", 1, 1, func(far *farBridge) func() time.Duration {
		far.portal(0)
		roomID := far.room()
		return func() time.Duration { return far.connect(roomID, 0, "&force=unbridge") }
	}},
	{"create", 1, 1, func(far *farBridge) func() time.Duration {
		far.portal(0)
		roomID := far.room()
		return func() time.Duration {
			return far.want(201, http.MethodPost, "/portal/"+string(roomID)+"/create?user_id="+string(far.ada.UserID), `{"type":"supergroup"}`)
		}
	}},
	{"get_portal/user", 0, 0, func(far *farBridge) func() time.Duration {
		path := far.portal(0) + "?user_id=" + string(far.ada.UserID)
		return func() time.Duration { return far.want(200, http.MethodGet, path, "") }
	}},
	{"disconnect", 0, 0, func(far *farBridge) func() time.Duration {
		path := far.portal(0) + "/disconnect?user_id=" + string(far.ada.UserID)
		return func() time.Duration { return far.want(202, http.MethodPost, path, "") }
	}},
}

// BenchmarkRoundTrips measures how many round trips to Telegram and to the homeserver the
// operations wait for in which this library, and not bridgev2, decides what is asked.
func BenchmarkRoundTrips(b *testing.B) {
	for _, o := range promises {
		b.Run(o.name, func(b *testing.B) {
			relay.Compare(b, o.telegram, o.homeserver, func(toTelegram, toMatrix time.Duration) time.Duration {
				far := newFarBridge(b)
				defer far.stop()
				run := o.prepare(far)
				far.rest()
				far.toTelegram.SetRoundTrip(toTelegram)
				far.toMatrix.SetRoundTrip(toMatrix)
				took := run()
				far.toTelegram.SetRoundTrip(0)
				far.toMatrix.SetRoundTrip(0)
				return took
			})
		})
	}
}

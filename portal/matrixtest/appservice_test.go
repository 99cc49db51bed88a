package matrixtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An appservice is told of what happens in the rooms that a user of it has joined, and to
// its users.
func TestEventsForAnAppservice(t *testing.T) {
	const bot id.UserID = "@bot:example.com"
	told := make(chan string, 100)
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var transaction struct {
			Events []struct {
				Type    string `json:"type"`
				Content struct {
					Body       string `json:"body"`
					Membership string `json:"membership"`
				} `json:"content"`
			} `json:"events"`
		}
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&transaction))
		for _, e := range transaction.Events {
			told <- e.Content.Body + e.Content.Membership
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer bridge.Close()
	registration := appservice.CreateRegistration()
	registration.ID, registration.URL, registration.SenderLocalpart = "bridge", bridge.URL, "bot"
	hs, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com", Registrations: []*appservice.Registration{registration}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, hs.Close()) }()
	alice, err := hs.AddUser("alice")
	require.NoError(t, err)
	botClient, err := mautrix.NewClient(hs.URL(), bot, registration.AppToken)
	require.NoError(t, err)

	room, err := alice.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{Preset: "public_chat"})
	require.NoError(t, err)
	say := func(text string) {
		_, err := alice.SendText(t.Context(), room.RoomID, text)
		require.NoError(t, err)
	}
	join := func() {
		_, err := botClient.JoinRoomByID(t.Context(), room.RoomID)
		require.NoError(t, err)
	}
	say("before")
	_, err = alice.InviteUser(t.Context(), room.RoomID, &mautrix.ReqInviteUser{UserID: bot})
	require.NoError(t, err)
	say("invited")
	join()
	say("joined")
	_, err = botClient.LeaveRoom(t.Context(), room.RoomID)
	require.NoError(t, err)
	say("left")
	join()
	require.NoError(t, hs.SetState(room.RoomID, event.StateMember.Type, string(bot), ""))
	assert.NotContains(t, hs.Members(room.RoomID), bot)
	say("removed")
	join()
	for _, want := range []string{"invite", "join", "joined", "leave", "join", "join"} {
		assert.Equal(t, want, <-told)
	}
}

// An appservice that is added later finds out whether the server reaches it.
func TestPing(t *testing.T) {
	hs, err := matrixtest.Start(matrixtest.Config{ServerName: "example.com"})
	require.NoError(t, err)
	defer func() { assert.NoError(t, hs.Close()) }()
	status := http.StatusOK
	pinged := make(chan string, 2)
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			TransactionID string `json:"transaction_id"`
		}
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		pinged <- r.URL.Path + " " + r.Header.Get("Authorization") + " " + body.TransactionID
		w.WriteHeader(status)
	}))
	defer bridge.Close()
	registration := appservice.CreateRegistration()
	registration.ID, registration.URL, registration.SenderLocalpart = "bridge", bridge.URL, "bot"
	require.NoError(t, hs.AddAppservice(registration))
	client, err := mautrix.NewClient(hs.URL(), "@bot:example.com", registration.AppToken)
	require.NoError(t, err)
	client.DefaultHTTPRetries = 0

	_, err = client.AppservicePing(t.Context(), "bridge", "txn")
	require.NoError(t, err)
	assert.Equal(t, "/_matrix/app/v1/ping Bearer "+registration.ServerToken+" txn", <-pinged)
	_, err = client.AppservicePing(t.Context(), "another", "txn")
	require.ErrorIs(t, err, mautrix.MForbidden)
	status = http.StatusTeapot
	_, err = client.AppservicePing(t.Context(), "bridge", "txn")
	require.ErrorContains(t, err, "M_BAD_STATUS")

	config, err := client.GetMediaConfig(t.Context())
	require.NoError(t, err)
	assert.NotZero(t, config.UploadSize)
	registration.Namespaces.UserIDs = appservice.NamespaceList{{Regex: "("}}
	require.Error(t, hs.AddAppservice(registration))
}

package matrixtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
)

// Who joins a room sees what was said there since the invitation, also when they have
// synced in between. A change of the own profile is no second joining.
func TestSyncAfterJoining(t *testing.T) {
	hs, err := matrixtest.Start(matrixtest.Config{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, hs.Close()) }()
	alice, err := hs.AddUser("alice")
	require.NoError(t, err)
	bob, err := hs.AddUser("bob")
	require.NoError(t, err)
	room, err := alice.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{Preset: "private_chat", Invite: []id.UserID{bob.UserID}})
	require.NoError(t, err)
	say := func(text string) {
		_, err := alice.SendText(t.Context(), room.RoomID, text)
		require.NoError(t, err)
	}
	since := ""
	sync := func() (said []string) {
		answer, err := bob.SyncRequest(t.Context(), 0, since, "", false, "")
		require.NoError(t, err)
		since = answer.NextBatch
		joined := answer.Rooms.Join[room.RoomID]
		if joined == nil {
			return nil
		}
		for _, e := range joined.Timeline.Events {
			if e.Type == event.EventMessage {
				said = append(said, e.Content.Raw["body"].(string))
			}
		}
		return said
	}
	say("before the join")
	assert.Empty(t, sync())
	_, err = bob.JoinRoomByID(t.Context(), room.RoomID)
	require.NoError(t, err)
	assert.Equal(t, []string{"before the join"}, sync())
	require.NoError(t, bob.SetDisplayName(t.Context(), "Robert"))
	say("after it")
	assert.Equal(t, []string{"after it"}, sync())
}

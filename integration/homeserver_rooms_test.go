package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// A direct room: the ghost creates it and invites the bot, gives the bot power, and
// invites the user so that clients show the room among people.
func TestHomeserverDirectRooms(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		ghost, bot := b.ghost(t, 1), b.bot
		for version, user := range map[id.RoomVersion]*mautrix.Client{
			"": d.user(t, "user"), "10": d.user(t, "user10"), "11": d.user(t, "user11"), "12": d.user(t, "user12"),
		} {
			t.Run("version "+string(version), func(t *testing.T) {
				roomID := room(t, ghost, mautrix.ReqCreateRoom{
					IsDirect: true, Preset: "private_chat", Invite: []id.UserID{bot.UserID}, RoomVersion: version,
				})
				assert.Equal(t, "200", raise(t, ghost, roomID, bot.UserID, 100), "though the bot is only invited")
				join(t, roomID, bot)
				assert.Equal(t, "200", putState(t, bot, roomID, "m.room.topic", "", map[string]any{"topic": "x"}))

				direct := map[string]any{"membership": "invite", "is_direct": true}
				key := string(user.UserID)
				assert.Equal(t, "200", putState(t, ghost, roomID, "m.room.member", key, direct))
				assert.Equal(t, "200", putState(t, ghost, roomID, "m.room.member", key, direct), "again")
				state := awaitInvite(t, user, roomID)
				require.Contains(t, state, "m.room.member "+key)
				assert.Equal(t, true, state["m.room.member "+key].Content.Raw["is_direct"])
				assert.Len(t, state, 1, "no more of the room comes with an invite of this kind")

				join(t, roomID, user)
				assert.Equal(t, "403 M_FORBIDDEN", putState(t, ghost, roomID, "m.room.member", key, direct), "joined")
				_, err := ghost.InviteUser(t.Context(), roomID, &mautrix.ReqInviteUser{UserID: user.UserID})
				assert.Equal(t, "403 M_FORBIDDEN", outcome(t, err), "joined")
			})
		}
	})
}

// What createRoom itself invites sees is_direct as well, and more of the room; what
// POST …/invite invites doesn't see is_direct.
func TestHomeserverOtherWaysToInvite(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		ghost, alice, carol := b.ghost(t, 1), d.user(t, "alice"), d.user(t, "carol")
		roomID := room(t, ghost, mautrix.ReqCreateRoom{IsDirect: true, Preset: "private_chat", Invite: []id.UserID{alice.UserID}})
		state := awaitInvite(t, alice, roomID)
		assert.Equal(t, true, state["m.room.member "+string(alice.UserID)].Content.Raw["is_direct"])
		assert.Contains(t, state, "m.room.create ")
		assert.Contains(t, state, "m.room.member "+string(ghost.UserID))

		_, err := ghost.InviteUser(t.Context(), roomID, &mautrix.ReqInviteUser{UserID: carol.UserID})
		require.NoError(t, err)
		state = awaitInvite(t, carol, roomID)
		assert.NotContains(t, state["m.room.member "+string(carol.UserID)].Content.Raw, "is_direct")
		assert.Contains(t, state, "m.room.create ")
	})
}

func createdBy(t *testing.T, client *mautrix.Client, roomID id.RoomID) *event.Event {
	t.Helper()
	create, err := client.FullStateEvent(t.Context(), roomID, event.StateCreate, "")
	require.NoError(t, err)
	return create
}

func levels(t *testing.T, client *mautrix.Client, roomID id.RoomID) any {
	t.Helper()
	said, content := get(t, client, roomID, "state", "m.room.power_levels", "")
	require.Equal(t, "200", said)
	return content["users"]
}

// Up to version 11 the creator's power stands in the power levels.
func TestHomeserverCreatorsBefore12(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, _ homeserver, b *bridge) {
		ghost, bot := b.ghost(t, 1), b.bot
		request := mautrix.ReqCreateRoom{Preset: "private_chat", Invite: []id.UserID{bot.UserID}}
		roomID := room(t, ghost, request)
		create := createdBy(t, ghost, roomID)
		assert.Equal(t, "10", create.Content.Raw["room_version"], "the default version")
		assert.Equal(t, string(ghost.UserID), create.Content.Raw["creator"])
		assert.Regexp(t, `^!\w+:dendrite\.test$`, roomID)
		assert.Equal(t, map[string]any{string(ghost.UserID): 100.0}, levels(t, ghost, roomID))

		both := map[string]any{string(ghost.UserID): 100.0, string(bot.UserID): 100.0}
		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: map[id.UserID]int{bot.UserID: 100}}
		assert.Equal(t, both, levels(t, ghost, room(t, ghost, request)), "the creator's own level stays")
		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: map[id.UserID]int{ghost.UserID: 50}}
		_, err := ghost.CreateRoom(t.Context(), &request)
		assert.Equal(t, "403 M_FORBIDDEN", outcome(t, err), "too weak to finish the room")
		request.PowerLevelOverride = nil
		request.Preset = "trusted_private_chat"
		assert.Equal(t, both, levels(t, ghost, room(t, ghost, request)))
	})
}

// In version 12 creators have all power and must not stand in the power levels; a
// trusted_private_chat makes creators of those it invites.
func TestHomeserverCreatorsIn12(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, _ homeserver, b *bridge) {
		ghost, bot := b.ghost(t, 1), b.bot
		request := mautrix.ReqCreateRoom{Preset: "private_chat", Invite: []id.UserID{bot.UserID}, RoomVersion: "12"}
		roomID := room(t, ghost, request)
		create := createdBy(t, ghost, roomID)
		assert.Equal(t, map[string]any{"room_version": "12"}, create.Content.Raw)
		assert.Equal(t, ghost.UserID, create.Sender)
		assert.Regexp(t, `^![\w-]{43}$`, roomID)
		assert.Equal(t, string(create.ID)[1:], string(roomID)[1:])
		assert.Equal(t, map[string]any{}, levels(t, ghost, roomID))
		assert.Equal(t, "400 M_FORBIDDEN", raise(t, ghost, roomID, ghost.UserID, 100))

		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: map[id.UserID]int{bot.UserID: 100}}
		assert.Equal(t, map[string]any{string(bot.UserID): 100.0}, levels(t, ghost, room(t, ghost, request)))
		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: map[id.UserID]int{bot.UserID: 100, ghost.UserID: 100}}
		_, err := ghost.CreateRoom(t.Context(), &request)
		assert.Equal(t, "400 M_FORBIDDEN", outcome(t, err))

		request.PowerLevelOverride = nil
		trusted, added := request, request
		trusted.Preset = "trusted_private_chat"
		added.CreationContent = map[string]any{"additional_creators": []id.UserID{bot.UserID}}
		for _, request := range []mautrix.ReqCreateRoom{trusted, added} {
			roomID := room(t, ghost, request)
			join(t, roomID, bot)
			assert.Equal(t, []any{string(bot.UserID)}, createdBy(t, ghost, roomID).Content.Raw["additional_creators"])
			assert.Equal(t, map[string]any{}, levels(t, ghost, roomID))
			assert.Equal(t, "400 M_FORBIDDEN", raise(t, ghost, roomID, bot.UserID, 100))
			assert.Equal(t, "200", putState(t, bot, roomID, "m.room.topic", "", map[string]any{"topic": "x"}))
			assert.Equal(t, "403 M_FORBIDDEN", kick(t, bot, roomID, ghost.UserID), "creators can't kick each other")
		}
	})
}

// Rooms before version 10 may hold levels that aren't numbers; later ones may not. Empty
// content, which leaves nobody any power before version 12, is possible everywhere.
func TestHomeserverOddPowerLevels(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, _ *bridge) {
		alice := d.user(t, "alice")
		put := func(version id.RoomVersion, content map[string]any) (id.RoomID, string) {
			roomID := room(t, alice, mautrix.ReqCreateRoom{RoomVersion: version})
			return roomID, putState(t, alice, roomID, "m.room.power_levels", "", content)
		}
		quoted := map[string]any{"users": map[string]any{string(alice.UserID): "100"}}
		roomID, said := put("9", quoted)
		assert.Equal(t, "200", said)
		assert.Equal(t, quoted["users"], levels(t, alice, roomID), "as it was written")
		assert.Equal(t, "200", putState(t, alice, roomID, "m.room.topic", "", map[string]any{"topic": "x"}))
		for _, version := range []id.RoomVersion{"10", "11"} {
			_, said = put(version, quoted)
			assert.Equal(t, "403 M_FORBIDDEN", said)
			_, said = put(version, map[string]any{"users": "nonsense"})
			assert.Equal(t, "403 M_FORBIDDEN", said)
			roomID, said = put(version, map[string]any{})
			assert.Equal(t, "200", said)
			assert.Nil(t, levels(t, alice, roomID))
			assert.Equal(t, "403 M_FORBIDDEN", putState(t, alice, roomID, "m.room.topic", "", map[string]any{"topic": "x"}))
		}
		_, said = put("12", quoted)
		assert.Equal(t, "403 M_FORBIDDEN", said)
		roomID, said = put("12", map[string]any{})
		assert.Equal(t, "200", said)
		assert.Equal(t, "200", putState(t, alice, roomID, "m.room.topic", "", map[string]any{"topic": "x"}))
	})
}

// Bridge info is removed by setting it to empty content; its state key may hold a URL.
func TestHomeserverBridgeInfo(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice := d.user(t, "alice")
		roomID := room(t, alice, mautrix.ReqCreateRoom{Preset: "public_chat"})
		join(t, roomID, b.bot)
		const key = "fi.mau.telegram://telegram/123"
		info := map[string]any{"bridgebot": string(b.bot.UserID)}
		assert.Equal(t, "403 M_FORBIDDEN", putState(t, b.bot, roomID, "m.bridge", key, info), "the bot has no power")
		require.Equal(t, "200", raise(t, alice, roomID, b.bot.UserID, 50))
		for _, eventType := range []string{"m.bridge", "uk.half-shot.bridge"} {
			for _, content := range []map[string]any{info, {}} {
				assert.Equal(t, "200", putState(t, b.bot, roomID, eventType, key, content))
				said, read := get(t, b.bot, roomID, "state", eventType, key)
				assert.Equal(t, "200", said)
				assert.Equal(t, content, read)
			}
		}
	})
}

// A room with more state than the bridge has in memory at once is emptied, over HTTP as
// homeservers answer.
func TestHomeserverLargeState(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		db := openDatabase(t, databases["sqlite"](t))
		t.Cleanup(func() { assert.NoError(t, db.Close()) })
		rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: b.AppService, DB: db})
		require.NoError(t, err)
		alice, bob, carol := d.user(t, "alice"), d.user(t, "bob"), d.user(t, "carol")
		roomID := room(t, alice, mautrix.ReqCreateRoom{Preset: "public_chat", Invite: []id.UserID{carol.UserID}})
		join(t, roomID, b.bot)
		join(t, roomID, bob)
		require.Equal(t, "200", raise(t, alice, roomID, b.bot.UserID, 50))
		p := provisioning.Portal{RoomID: roomID, ChatID: -1, Title: "T"}
		require.NoError(t, rooms.SetUpPortal(t.Context(), provisioning.PortalSetup{Portal: p}))
		for i := range 60 {
			require.Equal(t, "200", putState(t, alice, roomID, "com.example.huge", fmt.Sprint(i), map[string]any{"text": strings.Repeat("é<\n", 10_000)}))
		}
		require.NoError(t, rooms.CleanUp(t.Context(), p, true))
		members, err := alice.Members(t.Context(), roomID)
		require.NoError(t, err)
		for _, e := range members.Chunk {
			want := event.MembershipLeave
			if e.GetStateKey() == string(alice.UserID) {
				want = event.MembershipJoin
			}
			assert.Equal(t, want, e.Content.AsMember().Membership, e.GetStateKey())
		}
		_, info := get(t, alice, roomID, "state", "m.bridge", "fi.mau.telegram://telegram/-1")
		assert.Equal(t, map[string]any{}, info)
	})
}

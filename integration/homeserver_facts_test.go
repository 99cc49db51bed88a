package integration

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The tests of this file and of dendrite_rooms_test.go pin what package portal relies on
// in Dendrite, and what it must not rely on. When a newer Dendrite answers otherwise, they
// say what to look at.

// Only the membership "join" in the bot's own member event says that it's in the room:
// a room that isn't there and one it never joined look the same, and a bot that is
// invited, has left or was kicked may still read.
func TestHomeserverReadingStateAsBot(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice, bot := d.user(t, "alice"), b.bot
		invited := mautrix.ReqCreateRoom{Invite: []id.UserID{bot.UserID}}
		joined := func() id.RoomID {
			roomID := room(t, alice, invited)
			join(t, roomID, bot)
			return roomID
		}
		ban := func(roomID id.RoomID) id.RoomID {
			_, err := alice.BanUser(t.Context(), roomID, &mautrix.ReqBanUser{UserID: bot.UserID})
			require.NoError(t, err)
			return roomID
		}
		left, rejected, kicked := joined(), room(t, alice, invited), joined()
		require.Equal(t, "200", leave(t, bot, left))
		require.Equal(t, "200", leave(t, bot, rejected))
		require.Equal(t, "200", kick(t, alice, kicked, bot.UserID))

		const forbidden, notFound = "403 M_FORBIDDEN", "404 M_NOT_FOUND"
		for name, c := range map[string]struct {
			room       id.RoomID
			member     string // of the bot's member event
			membership any
			create     string // of m.room.create, and of m.room.power_levels
			missing    string // of a state event that isn't there
			full       string // of the whole state
			members    string // of joined_members
		}{
			"unknown":             {"!unknown:dendrite.test", forbidden, nil, forbidden, forbidden, forbidden, forbidden},
			"unknown, version 12": {"!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", forbidden, nil, forbidden, forbidden, forbidden, forbidden},
			"another server's":    {"!unknown:elsewhere.test", forbidden, nil, forbidden, forbidden, forbidden, forbidden},
			"not a room ID":       {"nonsense", forbidden, nil, forbidden, forbidden, forbidden, "400 M_INVALID_PARAM"},
			"never joined":        {room(t, alice, mautrix.ReqCreateRoom{}), forbidden, nil, forbidden, forbidden, forbidden, forbidden},
			"never joined, public": {
				room(t, alice, mautrix.ReqCreateRoom{Preset: "public_chat"}),
				forbidden, nil, forbidden, forbidden, forbidden, forbidden,
			},
			"never joined, world readable": {
				room(t, alice, mautrix.ReqCreateRoom{InitialState: []*event.Event{{
					Type:    event.StateHistoryVisibility,
					Content: event.Content{Raw: map[string]any{"history_visibility": "world_readable"}},
				}}}),
				notFound, nil, forbidden, notFound, "200", forbidden,
			},
			"joined": {joined(), "200", "join", "200", notFound, "200", "200"},
			// For what isn't there, Dendrite answers these three with another event's content.
			"invited":              {room(t, alice, invited), "200", "invite", "200", "200", "200", forbidden},
			"left":                 {left, "200", "leave", "200", "200", "200", forbidden},
			"rejected":             {rejected, "200", "leave", "200", "200", "200", forbidden},
			"kicked":               {kicked, "200", "leave", "200", "200", "200", forbidden},
			"banned":               {ban(joined()), forbidden, nil, forbidden, forbidden, "200", forbidden},
			"banned, never joined": {ban(room(t, alice, mautrix.ReqCreateRoom{})), forbidden, nil, forbidden, forbidden, "200", forbidden},
		} {
			t.Run(name, func(t *testing.T) {
				said, content := get(t, bot, c.room, "state", "m.room.member", bot.UserID)
				assert.Equal(t, c.member, said)
				assert.Equal(t, c.membership, content["membership"])
				for _, eventType := range []string{"m.room.create", "m.room.power_levels"} {
					said, _ = get(t, bot, c.room, "state", eventType, "")
					assert.Equal(t, c.create, said, eventType)
				}
				said, _ = get(t, bot, c.room, "state", "m.room.member", "@nobody:dendrite.test")
				assert.Equal(t, c.missing, said)
				said, _ = get(t, bot, c.room, "state")
				assert.Equal(t, c.full, said)
				said, _ = get(t, bot, c.room, "joined_members")
				assert.Equal(t, c.members, said)
			})
		}
	})
}

// A second kick or leave is refused with M_UNKNOWN, so that M_FORBIDDEN means too little
// power (or that the bot itself isn't there).
func TestHomeserverKickingAndLeaving(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice, carol, bot := d.user(t, "alice"), d.user(t, "carol"), b.bot
		ghost, guest, other := b.ghost(t, 1), b.ghost(t, 2), b.ghost(t, 3)
		for _, version := range []id.RoomVersion{"10", "12"} {
			t.Run("version "+string(version), func(t *testing.T) {
				newRoom := func() id.RoomID {
					roomID := room(t, alice, mautrix.ReqCreateRoom{Preset: "public_chat", RoomVersion: version})
					join(t, roomID, bot, carol, ghost, guest)
					return roomID
				}
				first := newRoom()
				assert.Equal(t, "403 M_FORBIDDEN", kick(t, bot, first, carol.UserID), "the bot has no power")
				require.Equal(t, "200", raise(t, alice, first, bot.UserID, 100))
				assert.Equal(t, "200", kick(t, bot, first, carol.UserID))
				assert.Equal(t, "403 M_UNKNOWN", kick(t, bot, first, carol.UserID), "already gone")
				assert.Equal(t, "403 M_UNKNOWN", kick(t, bot, first, other.UserID), "never there")
				assert.Equal(t, "403 M_FORBIDDEN", kick(t, bot, first, alice.UserID), "alice has the same power, or more")
				assert.Equal(t, "403 M_FORBIDDEN", putState(t, bot, first, "m.room.member", string(alice.UserID), map[string]any{"membership": "leave"}))
				assert.Equal(t, "200", kick(t, bot, first, ghost.UserID))
				_, err := alice.InviteUser(t.Context(), first, &mautrix.ReqInviteUser{UserID: other.UserID})
				require.NoError(t, err)
				assert.Equal(t, "200", kick(t, bot, first, other.UserID), "invited")
				_, err = alice.BanUser(t.Context(), first, &mautrix.ReqBanUser{UserID: carol.UserID})
				require.NoError(t, err)
				assert.Equal(t, "403 M_UNKNOWN", kick(t, bot, first, carol.UserID), "banned")

				assert.Equal(t, "200", leave(t, guest, first))
				assert.Equal(t, "400 M_UNKNOWN", leave(t, guest, first), "already gone")
				assert.Equal(t, "400 M_UNKNOWN", leave(t, other, room(t, alice, mautrix.ReqCreateRoom{})), "never there")
				assert.Equal(t, "400 M_UNKNOWN", leave(t, guest, "!unknown:dendrite.test"))
				assert.Equal(t, "400 M_UNKNOWN", leave(t, carol, first), "banned")
				assert.Equal(t, "200", leave(t, alice, first))
				assert.Equal(t, "200", leave(t, bot, first), "the last member")
				said, content := get(t, bot, first, "state", "m.room.member", bot.UserID)
				assert.Equal(t, "200", said)
				assert.Equal(t, "leave", content["membership"])
				assert.Equal(t, "403 M_FORBIDDEN", kick(t, bot, first, alice.UserID), "the bot isn't there")
				assert.Equal(t, "403 M_FORBIDDEN", putState(t, bot, first, "m.room.topic", "", map[string]any{"topic": "x"}))

				second := newRoom()
				require.Equal(t, "200", raise(t, alice, second, carol.UserID, 50))
				require.Equal(t, "200", raise(t, alice, second, bot.UserID, 50))
				assert.Equal(t, "403 M_FORBIDDEN", kick(t, bot, second, carol.UserID), "the same power")
				assert.Equal(t, "200", kick(t, bot, second, guest.UserID))
				assert.Equal(t, "200", kick(t, bot, second, bot.UserID), "kicking oneself is leaving")
			})
		}
	})
}

// What was written is read at once, by these; …/members comes from Dendrite's sync API,
// which follows a little later.
func TestHomeserverReadsWhatWasWritten(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice, ghost := d.user(t, "alice"), b.ghost(t, 1)
		for range 10 {
			roomID := room(t, alice, mautrix.ReqCreateRoom{Preset: "public_chat"})
			join(t, roomID, b.bot, ghost)
			joined, err := b.bot.JoinedMembers(t.Context(), roomID)
			require.NoError(t, err)
			assert.Len(t, joined.Joined, 3)
			rooms, err := ghost.JoinedRooms(t.Context())
			require.NoError(t, err)
			assert.Contains(t, rooms.JoinedRooms, roomID)
			require.Equal(t, "200", leave(t, ghost, roomID))
			state, err := b.bot.State(t.Context(), roomID)
			require.NoError(t, err)
			assert.Equal(t, event.MembershipLeave, state[event.StateMember][string(ghost.UserID)].Content.AsMember().Membership)
		}
	})
}

func TestHomeserverJoining(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice := d.user(t, "alice")
		_, err := b.bot.JoinRoomByID(t.Context(), room(t, alice, mautrix.ReqCreateRoom{}))
		assert.Equal(t, "403 M_FORBIDDEN", outcome(t, err), "not invited")
		_, err = b.bot.JoinRoomByID(t.Context(), "!unknown:dendrite.test")
		assert.Equal(t, "500", outcome(t, err))
	})
}

// A ghost is registered before anything else; its first display name is its localpart.
func TestHomeserverIdentities(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice := d.user(t, "alice")
		public := room(t, alice, mautrix.ReqCreateRoom{Preset: "public_chat"})
		ghost := b.Intent(b.ghostID(1))
		_, err := ghost.Client.JoinRoomByID(t.Context(), public)
		assert.Equal(t, "403 M_FORBIDDEN", outcome(t, err), "not registered")
		assert.NoError(t, ghost.Register(t.Context()))
		assert.Equal(t, "400 M_USER_IN_USE", outcome(t, ghost.Register(t.Context())))
		assert.Equal(t, "400 M_USER_IN_USE", outcome(t, b.BotIntent().Register(t.Context())))
		assert.Equal(t, "400 M_EXCLUSIVE", outcome(t, b.Intent("@other:dendrite.test").Register(t.Context())), "not in the namespace")
		_, err = b.Client(alice.UserID).Whoami(t.Context())
		assert.Equal(t, "403 M_FORBIDDEN", outcome(t, err), "not the appservice's user")

		join(t, public, ghost.Client)
		name, err := ghost.GetOwnDisplayName(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "telegram_1", name.DisplayName)
		require.NoError(t, ghost.SetDisplayName(t.Context(), "Gus"))
		picture := []byte("\x89PNG\r\n\x1a\n")
		uploaded, err := ghost.UploadBytes(t.Context(), picture, "image/png")
		require.NoError(t, err)
		again, err := ghost.UploadBytes(t.Context(), picture, "image/png")
		require.NoError(t, err)
		assert.NotEqual(t, uploaded.ContentURI, again.ContentURI)
		require.NoError(t, ghost.SetAvatarURL(t.Context(), uploaded.ContentURI))
		profile, err := alice.GetProfile(t.Context(), ghost.UserID)
		require.NoError(t, err)
		assert.Equal(t, "Gus", profile.DisplayName)
		assert.Equal(t, uploaded.ContentURI, profile.AvatarURL)
		_, content := get(t, alice, public, "state", "m.room.member", ghost.UserID)
		assert.Equal(t, "Gus", content["displayname"], "the rooms follow")
		assert.Equal(t, uploaded.ContentURI.String(), content["avatar_url"])
		_, err = alice.GetProfile(t.Context(), "@nobody:dendrite.test")
		assert.Equal(t, "404 M_NOT_FOUND", outcome(t, err))
		downloaded, err := alice.DownloadBytes(t.Context(), uploaded.ContentURI)
		require.NoError(t, err)
		assert.Equal(t, picture, downloaded)
	})
}

// Neither of these is there: hosts must not need them.
func TestDendriteHasNeitherPingNorAsyncUpload(t *testing.T) {
	_, b := startBridge(t)
	_, err := b.bot.AppservicePing(t.Context(), b.Registration.ID, "transaction")
	assert.Equal(t, "404 M_UNRECOGNIZED", outcome(t, err))
	_, err = b.bot.CreateMXC(t.Context())
	assert.Equal(t, "404 M_UNRECOGNIZED", outcome(t, err))
}

func TestHomeserverSendsTransactions(t *testing.T) {
	eachHomeserver(t, func(t *testing.T, d homeserver, b *bridge) {
		alice := d.user(t, "alice")
		roomID := room(t, alice, mautrix.ReqCreateRoom{Invite: []id.UserID{b.bot.UserID}})
		invite := b.await(t, func(evt *event.Event) bool { return evt.RoomID == roomID && evt.GetStateKey() == string(b.bot.UserID) })
		assert.Equal(t, event.MembershipInvite, invite.Content.AsMember().Membership)
		assert.Equal(t, alice.UserID, invite.Sender)
		join(t, roomID, b.bot)
		sent, err := alice.SendText(t.Context(), roomID, "hello")
		require.NoError(t, err)
		b.await(t, func(evt *event.Event) bool { return evt.ID == sent.EventID })
	})
}

func TestDendriteRestarts(t *testing.T) {
	d, b := startBridge(t)
	alice := d.newUser(t, "alice")
	roomID := room(t, alice, mautrix.ReqCreateRoom{Name: "kept", Invite: []id.UserID{b.bot.UserID}})
	b.await(t, func(evt *event.Event) bool { return evt.RoomID == roomID })
	for _, end := range []func(){func() { d.stop(t) }, d.kill} {
		end()
		_, err := http.Get(d.url)
		require.Error(t, err)
		d.start(t)
		said, content := get(t, alice, roomID, "state", "m.room.name", "")
		assert.Equal(t, "200", said)
		assert.Equal(t, "kept", content["name"])
		other := room(t, alice, mautrix.ReqCreateRoom{Invite: []id.UserID{b.bot.UserID}})
		b.await(t, func(evt *event.Event) bool { return evt.RoomID == other })
		awaitInvite(t, b.bot, other)
	}
}

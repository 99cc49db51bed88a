package portal_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Rows that an older version has made, or makes meanwhile, have no user until one is set.
func TestPortalsOfOlderVersionsHaveNoUser(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := newStore(t, db)
	exec(t, db, `INSERT INTO tgprovision_portal (room_id, chat_id, receiver) VALUES ('!direct', 7, 1)`)
	exec(t, db, `INSERT INTO tgprovision_portal_account (room_id, telegram_id) VALUES ('!direct', 1)`)
	p := provisioning.UserPortal{Portal: provisioning.Portal{RoomID: "!direct", ChatID: 7, Receiver: 1}, Account: 1}
	none, err := s.UserPortals(t.Context(), "@alice:example.com")
	require.NoError(t, err)
	assert.Empty(t, none)
	require.NoError(t, s.SetPortalUser(t.Context(), p, "@alice:example.com"))
	hers, err := s.UserPortals(t.Context(), "@alice:example.com")
	require.NoError(t, err)
	assert.Equal(t, []provisioning.UserPortal{p}, hers)
}

// A ghost of which nobody has recorded who needs it stays while a direct chat with it has a
// portal. Of the photos those stay that another ghost or, without a ghost, a room shows.
func TestForgetGhostsAndPhotos(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	as := newAppService(t, registration(), "http://127.0.0.1:1") // which is asked nothing
	rooms, err := portal.NewRooms(t.Context(), portal.RoomsConfig{AppService: as, DB: db})
	require.NoError(t, err)
	s := newStore(t, db)
	require.NoError(t, s.Connect(t.Context(), provisioning.NewPortal{Portal: provisioning.Portal{RoomID: "!old", ChatID: 1, Receiver: 9}}))
	const alice, bob id.UserID = "@alice:example.com", "@bob:example.com"
	exec(t, db, `INSERT INTO tgprovision_ghost VALUES
		(1, 'With a portal', 11, 'mxc://1'), (2, 'Unrecorded', 12, 'mxc://2'), (3, 'Hers', 13, 'mxc://3'),
		(4, 'Of both', 14, 'mxc://4'), (5, 'Hers, with the photo of both', 14, 'mxc://4'), (6, 'Hers, without a photo', 0, '')`)
	exec(t, db, `INSERT INTO tgprovision_photo VALUES (11, 'mxc://1'), (12, 'mxc://2'), (13, 'mxc://3'), (14, 'mxc://4'), (77, 'mxc://room')`)
	require.NoError(t, rooms.NeedGhosts(t.Context(), alice, 3, 4, 5, 6))
	require.NoError(t, rooms.NeedGhosts(t.Context(), bob, 4))
	n, err := rooms.ForgetGhosts(t.Context(), alice)
	require.NoError(t, err)
	assert.Equal(t, 4, n)
	list := func(query string) (all []int64) {
		found, err := db.Query(t.Context(), query)
		require.NoError(t, err)
		defer found.Close()
		for found.Next() {
			var n int64
			require.NoError(t, found.Scan(&n))
			all = append(all, n)
		}
		require.NoError(t, found.Err())
		return all
	}
	assert.Equal(t, []int64{1, 4}, list(`SELECT telegram_id FROM tgprovision_ghost ORDER BY telegram_id`))
	assert.Equal(t, []int64{11, 14, 77}, list(`SELECT photo_id FROM tgprovision_photo ORDER BY photo_id`))
	assert.Equal(t, 1, rows(t, db, "tgprovision_ghost_user"))
}

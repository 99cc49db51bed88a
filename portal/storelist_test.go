package portal_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/provisioning"
)

// portalReads counts the queries for portals on a database.
type portalReads struct {
	dbutil.DatabaseLogger
	n atomic.Int64
}

func countPortalReads(db *dbutil.Database) *portalReads {
	c := &portalReads{DatabaseLogger: dbutil.NoopLogger}
	db.Log = c
	return c
}

// QueryTiming implements dbutil.DatabaseLogger.
func (c *portalReads) QueryTiming(_ context.Context, method, query string, _ []any, _ int, _ time.Duration, _ error) {
	if method != "EndRows" && strings.Contains(query, "tgprovision_portal ") {
		c.n.Add(1)
	}
}

// ofChats returns the portals of chats for the account 7, in the order of their rooms.
func ofChats(t *testing.T, s provisioning.PortalLister, ctx context.Context, chats ...provisioning.ChatID) []provisioning.Portal {
	t.Helper()
	portals, err := s.PortalsOfChats(ctx, 7, chats)
	require.NoError(t, err)
	return slices.SortedFunc(slices.Values(portals), func(a, b provisioning.Portal) int { return cmp.Compare(a.RoomID, b.RoomID) })
}

// However many chats there are, their portals are few reads, and none where all portals are
// remembered; a portal that was just connected, by another process, is among them.
func TestPortalsOfChatsAreFewReads(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	reads := countPortalReads(db)
	s, other := newStore(t, db), newStore(t, db)
	s.SetFewPortals(1)
	chats := make([]provisioning.ChatID, 10_000)
	for i := range chats {
		chats[i] = provisioning.ChannelChatID(int64(i) + 1)
	}
	a, b := provisioning.Portal{RoomID: "!a", ChatID: chats[0]}, provisioning.Portal{RoomID: "!b", ChatID: chats[9999]}
	ctx := provisioning.WithCachedReads(t.Context(), true)
	for _, step := range []struct {
		name      string
		change    func()
		want      []provisioning.Portal
		reads     int64
		readAgain int64
	}{
		{"no portals", func() {}, nil, 2, 0},
		{"few portals", func() { connect(t, other, a) }, []provisioning.Portal{a}, 2, 0},
		{"many portals", func() { connect(t, other, b) }, []provisioning.Portal{a, b}, 2, 1},
		{"few portals again", func() { require.NoError(t, other.Disconnect(t.Context(), a)) }, []provisioning.Portal{b}, 2, 0},
	} {
		step.change()
		before := reads.n.Load()
		assert.Equal(t, step.want, ofChats(t, s, ctx, chats...), step.name)
		assert.Equal(t, step.reads, reads.n.Load()-before, step.name)
		before = reads.n.Load()
		assert.Equal(t, step.want, ofChats(t, s, ctx, chats...), step.name)
		assert.Equal(t, step.readAgain, reads.n.Load()-before, "%s, again", step.name)
	}
}

// Whether portals are few or many, those of chats are what PortalByChat says of each.
func TestPortalsOfChatsAreThoseByChat(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDatabase(t))
	user, group, supergroup := provisioning.UserChatID(9), provisioning.BasicGroupChatID(1), provisioning.ChannelChatID(1)
	own := provisioning.Portal{RoomID: "!a", ChatID: user, Receiver: 7}
	migrated := provisioning.Portal{RoomID: "!b", ChatID: supergroup, MigratedFrom: group, Megagroup: true}
	connect(t, s, own)
	connect(t, s, migrated)
	connect(t, s, provisioning.Portal{RoomID: "!c", ChatID: user, Receiver: 8})
	for _, few := range []int{100, -1} {
		s.SetFewPortals(few)
		assert.Equal(t, []provisioning.Portal{own, migrated}, ofChats(t, s, t.Context(), group, user, supergroup, -5), "few: %d", few)
		for chatID, want := range map[provisioning.ChatID]provisioning.Portal{user: own, group: migrated, supergroup: migrated} {
			assert.Equal(t, []provisioning.Portal{want}, ofChats(t, s, t.Context(), chatID), "few: %d", few)
			found, err := s.PortalByChat(t.Context(), chatID, 7)
			require.NoError(t, err)
			assert.Equal(t, want, found)
		}
	}
}

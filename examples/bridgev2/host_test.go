//go:build cgo

package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// withLogins is a store of the bridge's portals. The accounts that take part in a portal
// have a login: in a bridge, nobody else can.
type withLogins struct {
	provisioningtest.TaskPortalStore
	t *testing.T
	b *bridge
}

func (w withLogins) Connect(ctx context.Context, n provisioning.NewPortal) error {
	w.loginAll(ctx, append(n.Accounts, n.Receiver))
	return w.TaskPortalStore.Connect(ctx, n)
}

func (w withLogins) Move(ctx context.Context, from provisioning.Portal, to provisioning.NewPortal) error {
	w.loginAll(ctx, to.Accounts)
	return w.TaskPortalStore.Move(ctx, from, to)
}

func (w withLogins) loginAll(ctx context.Context, accounts []provisioning.TelegramID) {
	for _, account := range accounts {
		if account != 0 && ctx.Err() == nil {
			w.login(account)
		}
	}
}

func (w withLogins) login(account provisioning.TelegramID) {
	loginID := connector.LoginID(account)
	if w.b.Bridge.GetCachedUserLoginByID(loginID) != nil {
		return
	}
	ctx := context.WithoutCancel(w.t.Context())
	user, err := w.b.Bridge.GetUserByMXID(ctx, id.NewUserID(string(loginID), "example.com"))
	if assert.NoError(w.t, err) {
		_, err = user.NewLogin(ctx, &database.UserLogin{ID: loginID, Metadata: &connector.LoginMetadata{}}, nil)
		assert.NoError(w.t, err)
	}
}

// portalStore returns the bridge's portals, with the tasks.
func portalStore(t *testing.T, b *bridge) withLogins {
	cfg := b.api.Config()
	return withLogins{struct {
		provisioning.PortalStore
		provisioning.TaskStore
	}{cfg.Portals, cfg.Tasks}, t, b}
}

func TestPortalStore(t *testing.T) {
	provisioningtest.TestPortalStore(t, func(t *testing.T) func(*testing.T) provisioning.PortalStore {
		b := newWorld(t).bridge
		return func(t *testing.T) provisioning.PortalStore { return portalStore(t, b) }
	})
}

// listing is a withLogins of a store that lists its portals.
type listing struct {
	withLogins
	provisioning.PortalLister
}

func TestPortalLister(t *testing.T) {
	provisioningtest.TestPortalLister(t, func(t *testing.T) func(*testing.T) provisioningtest.PortalListerStore {
		b := newWorld(t).bridge
		return func(t *testing.T) provisioningtest.PortalListerStore {
			return listing{portalStore(t, b), b.api.Config().Portals.(provisioning.PortalLister)}
		}
	})
}

// Many portals are listed as few are: in pages that miss none, without those that are no chats,
// and for an account those that are its own.
func TestManyPortals(t *testing.T) {
	b := newWorld(t).bridge
	ctx := t.Context()
	store := portalStore(t, b)
	lister := b.api.Config().Portals.(provisioning.PortalLister)
	store.login(ada)
	const groups = 600 // of which every second is ada's
	var all, own []provisioning.ChatID
	for i := range groups {
		chatID, key := provisioning.ChannelChatID(int64(i+1)), networkid.PortalKey{ID: connector.PortalID(provisioning.ChannelChatID(int64(i + 1)))}
		all = append(all, chatID)
		require.NoError(t, b.Bridge.DB.Portal.Insert(ctx, &database.Portal{PortalKey: key, MXID: id.RoomID(fmt.Sprintf("!%d:example.com", i)), Name: "Group"}))
		if i%2 == 0 {
			own = append(own, chatID)
			login := b.Bridge.GetCachedUserLoginByID(connector.LoginID(ada))
			_, err := b.Bridge.DB.UserPortal.GetOrCreate(ctx, login.UserLogin, key)
			require.NoError(t, err)
		}
		topic := networkid.PortalKey{ID: key.ID + ":topic"}
		require.NoError(t, b.Bridge.DB.Portal.Insert(ctx, &database.Portal{PortalKey: topic, MXID: id.RoomID(fmt.Sprintf("!%d.topic:example.com", i))}))
	}
	chatsOf := func(portals []provisioning.Portal, err error) []provisioning.ChatID {
		t.Helper()
		require.NoError(t, err)
		var chats []provisioning.ChatID
		for _, portal := range portals {
			assert.Equal(t, "Group", portal.Title)
			chats = append(chats, portal.ChatID)
		}
		return chats
	}
	for _, limit := range []int{7, groups, 10 * groups} {
		for account, want := range map[provisioning.TelegramID][]provisioning.ChatID{0: all, ada: own, charles: nil} {
			var listed []provisioning.ChatID
			for query := (provisioning.PortalQuery{Account: account, Limit: limit}); ; {
				portals, err := lister.ListPortals(ctx, query)
				listed = append(listed, chatsOf(portals, err)...)
				assert.LessOrEqual(t, len(portals), limit)
				if len(portals) < limit {
					break
				}
				query.After = portals[len(portals)-1].RoomID
			}
			assert.ElementsMatch(t, want, listed, "of %d, by %d", account, limit)
		}
	}
	assert.ElementsMatch(t, own, chatsOf(store.AccountPortals(ctx, ada)))
	others := []provisioning.ChatID{provisioning.ChannelChatID(groups + 1), provisioning.UserChatID(ada)}
	for _, some := range [][]provisioning.ChatID{nil, all[:3], all} {
		assert.ElementsMatch(t, some, chatsOf(lister.PortalsOfChats(ctx, ada, slices.Concat(others, some))))
	}
}

func TestTaskPortalStore(t *testing.T) {
	provisioningtest.TestTaskPortalStore(t, func(t *testing.T) func(*testing.T) provisioningtest.TaskPortalStore {
		b := newWorld(t).bridge
		return func(t *testing.T) provisioningtest.TaskPortalStore { return portalStore(t, b) }
	})
}

// The bridge may hear of a chat, and make a room for it, before the API has recorded the room
// that the chat was created for: then the bridge's gives way.
func TestRoomThatTheBridgeMadeFirstGivesWay(t *testing.T) {
	w := newWorld(t)
	p := w.person("you")
	w.logIn(p.UserID, "phone", "+9996610001", "12345")
	made := p.roomNamed("Analytical Engine")
	created, err := p.CreateRoom(w.ctx, &mautrix.ReqCreateRoom{Preset: "private_chat"})
	require.NoError(t, err)
	portals := w.bridge.api.Config().Portals
	n := provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: created.RoomID, ChatID: provisioning.ChannelChatID(2003), Title: "Analytical Engine", Megagroup: true,
	}, Accounts: []provisioning.TelegramID{9001}}
	require.ErrorIs(t, portals.Connect(w.ctx, n), provisioning.ErrChatBridged)
	n.Created = true
	require.NoError(t, portals.Connect(w.ctx, n))
	found, err := portals.PortalByChat(w.ctx, n.ChatID, 0)
	require.NoError(t, err)
	assert.Equal(t, n.Portal, found)
	_, err = portals.PortalByRoom(w.ctx, made)
	require.ErrorIs(t, err, provisioning.ErrPortalNotFound)
	p.until("the old room says where the chat is now", func() bool {
		return slices.ContainsFunc(p.seen, func(e *event.Event) bool {
			return e.RoomID == made && e.Type == event.StateTombstone && e.Content.AsTombstone().ReplacementRoom == created.RoomID
		})
	})
}

// bridgev2 drops the event of a set-up without a word where the room was disconnected while
// Telegram was asked about the chat.
func TestSetUpOfAPortalThatIsDisconnectedMeanwhile(t *testing.T) {
	w := newWorldWith(t, localAccounts, func(b *bridge) { b.connector.Config.CreateLimit = 0 })
	p := w.person("you")
	w.logIn(p.UserID, "phone", phone, code)
	created, err := p.CreateRoom(w.ctx, &mautrix.ReqCreateRoom{Preset: "public_chat"})
	require.NoError(t, err)
	require.NoError(t, w.bridge.Bridge.Bot.EnsureJoined(w.ctx, created.RoomID))
	cfg := w.bridge.api.Config()
	_, err = w.client(p).(provisioning.ChatLister).Chats(w.ctx, provisioning.ChatQuery{}) // the account meets the chat
	require.NoError(t, err)
	_, err = w.client(p).(provisioning.ChatGetter).GetChat(w.ctx, provisioning.ChannelChatID(2003))
	require.NoError(t, err)
	portal := provisioning.Portal{RoomID: created.RoomID, ChatID: provisioning.ChannelChatID(2003), Title: "Analytical Engine", Megagroup: true}
	require.NoError(t, cfg.Portals.Connect(w.ctx, provisioning.NewPortal{Portal: portal, Accounts: []provisioning.TelegramID{ada}}))
	held := w.telegram.Hold("channels.getFullChannel")
	done := make(chan error, 1)
	go func() {
		done <- cfg.Rooms.SetUpPortal(w.ctx, provisioning.PortalSetup{Portal: portal, UserID: p.UserID})
	}()
	<-held.Arrived()
	require.NoError(t, cfg.Portals.Disconnect(w.ctx, portal))
	held.Release()
	require.NoError(t, <-done)
}

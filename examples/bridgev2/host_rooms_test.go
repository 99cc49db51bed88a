//go:build cgo

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/internal/roomstest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestRooms(t *testing.T) { provisioningtest.TestRooms(t, roomsBackend) }

// roomsBackend is a bridge whose rooms the suite makes. Its users have double puppets: in
// rooms of theirs, the bridge has no ghosts of them.
func roomsBackend(t *testing.T) provisioningtest.RoomsBackend {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	network := &suiteNetwork{Network: &provisioningtest.Network{Next: transport}, marked: make(chan struct{}, 1)}
	accounts := []telegramtest.Account{
		{ID: 7, Phone: "9996610007", FirstName: "Seven"},
		{ID: participant, Phone: "9996610008", FirstName: "Eight", Contacts: []int64{7}},
	}
	w := newWorldWith(t, accounts, func(b *bridge) {
		b.Matrix.AS.HTTPClient.Transport = network
		b.connector.Config.CreateLimit = 0
		b.Config.Bridge.PersonalFilteringSpaces, b.Config.Bridge.PrivateChatPortalMeta = false, false
	})
	w.handler.Store(nil) // the bot would follow the invitations of the suite
	rooms := &recordedRooms{Rooms: w.bridge.api.Config().Rooms.(roomstest.Rooms), w: w, network: network, tokens: map[id.UserID]string{}}
	homeserver := &roomstest.Homeserver{AppService: w.bridge.Matrix.AS, AddUser: rooms.addUser, Force: w.homeserver.SetState}
	return homeserver.Backend(rooms, network.Network)
}

// participant is the account that takes part in all portals.
const participant = 8

// recordedRooms are the bridge's rooms, with what the API does before it calls them: the
// portals are recorded that are set up, and those are not any more that are cleaned up.
type recordedRooms struct {
	roomstest.Rooms
	w       *world
	network *suiteNetwork

	mu     sync.Mutex
	tokens map[id.UserID]string
	owner  id.UserID // who is logged in to the participant's account
}

func (r *recordedRooms) addUser(localpart string) (*mautrix.Client, error) {
	client, err := r.w.homeserver.AddUser(localpart)
	if err == nil {
		r.tokens[client.UserID] = client.AccessToken
	}
	return client, err
}

// SetUpPortal implements provisioning.Rooms.
func (r *recordedRooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	if ctx.Err() == nil {
		r.record(setup)
	}
	return r.Rooms.SetUpPortal(ctx, setup)
}

// CleanUp implements provisioning.Rooms.
func (r *recordedRooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	if ctx.Err() == nil {
		r.forget(portal)
	}
	return r.Rooms.CleanUp(ctx, portal, everybody)
}

// record makes a room a portal, if the bot is in it.
func (r *recordedRooms) record(setup provisioning.PortalSetup) {
	defer r.network.undisturbed(&r.mu)()
	w, p, portals := r.w, setup.Portal, r.w.bridge.api.Config().Portals
	if r.CheckBot(w.ctx, p.RoomID) != nil {
		return
	}
	if r.owner == "" {
		r.logIn(setup.UserID)
	}
	before, err := portals.PortalByRoom(w.ctx, p.RoomID)
	if err == nil && before.ChatID == p.ChatID {
		return
	}
	if err == nil {
		require.NoError(w.t, portals.Disconnect(w.ctx, before))
	}
	if before, err = portals.PortalByChat(w.ctx, p.ChatID, participant); err == nil {
		require.NoError(w.t, portals.Disconnect(w.ctx, before))
	}
	r.put(p)
	require.NoError(w.t, w.bridge.Matrix.AS.StateStore.SetMembership(w.ctx, p.RoomID, r.owner, event.MembershipJoin)) // as an event would tell
	require.NoError(w.t, portals.Connect(w.ctx, provisioning.NewPortal{Portal: p, Accounts: []provisioning.TelegramID{participant}}))
	<-r.network.marked
}

// forget makes a room no portal of a chat any more.
func (r *recordedRooms) forget(p provisioning.Portal) {
	defer r.network.undisturbed(&r.mu)()
	portals := r.w.bridge.api.Config().Portals
	if is, err := portals.PortalByRoom(r.w.ctx, p.RoomID); err == nil && is.ChatID == p.ChatID {
		require.NoError(r.w.t, portals.Disconnect(r.w.ctx, is))
	}
}

// logIn logs a user in to the participant's account.
func (r *recordedRooms) logIn(userID id.UserID) {
	w := r.w
	w.adopt(userID, provisioning.Account{ID: participant})
	user, err := w.bridge.Bridge.GetExistingUserByMXID(w.ctx, userID)
	require.NoError(w.t, err)
	require.NoError(w.t, user.LoginDoublePuppet(w.ctx, r.tokens[userID]))
	r.owner = userID
}

// put makes the chat of a portal be on Telegram, and has the participant see it.
func (r *recordedRooms) put(p provisioning.Portal) {
	chat := telegramtest.Chat{Title: p.Title, About: p.About, Owner: participant, Members: []int64{participant}}
	room, err := r.Room(r.w.ctx, p.RoomID, provisioning.RoomQuery{Content: true})
	require.NoError(r.w.t, err)
	switch kind, chatID, _ := p.ChatID.Split(); kind {
	case provisioning.PeerUser:
	case provisioning.PeerChat:
		chat.Kind, chat.ID = telegramtest.KindBasicGroup, chatID
		for _, ghost := range room.Ghosts { // who are not members, the bridge has leave
			member := telegramtest.Account{ID: int64(ghost), Phone: fmt.Sprint(9996620000 + ghost)}
			require.NoError(r.w.t, r.w.telegram.AddAccount(member))
			chat.Members = append(chat.Members, member.ID)
		}
		require.NoError(r.w.t, r.w.telegram.SetChat(chat))
	case provisioning.PeerChannel:
		chat.Kind, chat.ID = telegramtest.KindChannel, chatID
		require.NoError(r.w.t, r.w.telegram.SetChat(chat))
	}
	login := r.w.bridge.Bridge.GetCachedUserLoginByID(connector.LoginID(participant))
	_, err = r.w.bridge.connector.Network().Telegram(login).(provisioning.ChatLister).Chats(r.w.ctx, provisioning.ChatQuery{})
	require.NoError(r.w.t, err)
}

// suiteNetwork is a network that the suite disturbs, but not while a portal is recorded.
type suiteNetwork struct {
	*provisioningtest.Network
	quiet  atomic.Bool
	marked chan struct{} // has a value when bridgev2 has marked the bot of a new portal
}

// undisturbed locks, and keeps the suite from disturbing until it is undone.
func (n *suiteNetwork) undisturbed(mu *sync.Mutex) (undo func()) {
	mu.Lock()
	n.quiet.Store(true)
	return func() {
		n.quiet.Store(false)
		mu.Unlock()
	}
}

// RoundTrip implements http.RoundTripper.
func (n *suiteNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	if !n.quiet.Load() {
		return n.Network.RoundTrip(r)
	}
	response, err := n.Next.RoundTrip(r)
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/state/io.element.functional_members") {
		n.marked <- struct{}{}
	}
	return response, err
}

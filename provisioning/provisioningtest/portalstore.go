package provisioningtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestPortalStore runs every check of the interface provisioning.PortalStore as a
// subtest, each on an empty backend of its own. backend starts one; the function
// that it returns opens a handle on it and is called several times in a check:
// two handles are two processes that share the backend, and with a store on a
// database they should have a connection pool each.
//
// The store has to take rooms whose ID begins with "!check", and chats and accounts
// of any valid ID. What Connect and Disconnect record besides portals is checked by
// [TestTaskStore].
func TestPortalStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) provisioning.PortalStore)) {
	for _, check := range portalStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() provisioning.PortalStore { return open(t) })
		})
	}
}

// storeCheck is one promise of an interface.
type storeCheck[S any] struct {
	name string
	// explanation is the sentence of the interface's comment.
	explanation string
	run         func(t T, open func() S)
}

var portalStoreChecks = []storeCheck[provisioning.PortalStore]{
	{"nothing is bridged", "PortalByRoom and PortalByChat return ErrPortalNotFound for what is not bridged; no portals is an empty list and no error.", checkNothingBridged},
	{"connect", "Connect records a new portal, after whose end every method sees it.", checkConnect},
	{"accounts", "Connect records the accounts that take part; AccountPortals returns the portals that an account takes part in.", checkAccounts},
	{"direct chats", "A chat of one receiver is a chat of its own; its receiver always takes part, listed or not.", checkDirectChats},
	{"room is bridged", "Connect returns ErrRoomBridged, before any other error, when the room has a portal, and changes nothing.", checkRoomBridged},
	{"chat is bridged", "Connect returns ErrChatBridged when the chat has a portal in another room than Replaces, and changes nothing.", checkChatBridged},
	{"replace", "Where Replaces is set, the chat's portal in that room is removed in the same transaction.", checkReplace},
	{"replace nothing", "Connect returns ErrPortalNotFound when Replaces is set and the chat has no portal, and changes nothing.", checkReplaceNothing},
	{"replace a direct chat", "Connect replaces the portal of the chat, of one receiver, and no other.", checkReplaceDirect},
	{"disconnect", "Disconnect removes a portal, after whose end no method knows it.", checkDisconnect},
	{"disconnect what is not bridged", "When the room is not bridged to that chat any more, Disconnect changes nothing and returns ErrPortalNotFound.", checkDisconnectOther},
	{"disconnect looks at IDs", "Disconnect doesn't look at the portal's other fields.", checkDisconnectByIDs},
	{"connect again", "After Disconnect no method knows the portal: its room and its chat are free.", checkConnectAgain},
	{"context", "Methods honour the context, and an error means that nothing has changed.", checkPortalContext},
	{"chat IDs", "Every number that ChatID can be is a chat of its own.", checkChatIDs},
	{"account IDs", "Telegram user IDs are positive int64s, all of them.", checkPortalAccountIDs},
	{"room IDs", "Every valid room ID is a room of its own, byte for byte.", checkRoomIDs},
	{"texts", "A portal is returned as Connect was given it.", checkTexts},
	{"two handles", "Methods are called concurrently by several processes, which see each other's writes.", checkPortalHandles},
	{"race for one chat", "Of several racing Connects of one chat exactly one succeeds, and the others return ErrChatBridged.", checkRaceOneChat},
	{"race for one room", "Of several racing Connects to one room exactly one succeeds, and the others return ErrRoomBridged.", checkRaceOneRoom},
	{"race of portal strangers", "Methods are called concurrently; portals of different rooms and chats are no concern of each other.", checkRacePortalStrangers},
	{"race of disconnects", "Of several racing Disconnects exactly one succeeds, and the others return ErrPortalNotFound.", checkRaceDisconnects},
	{"race of replacements", "Of several racing Connects that replace one portal exactly one succeeds, and the others return ErrChatBridged.", checkRaceReplacements},
	{"race of a replacement and a disconnect", "Connect and Disconnect are one transaction each: of two that remove one portal exactly one succeeds.", checkRaceReplaceDisconnect},
	{"race to and fro", "Connect decides in one transaction, whatever others replace meanwhile.", checkRaceToAndFro},
	{"race of a swap", "Connect returns ErrRoomBridged when the room has a portal, also where that is being moved.", checkRacePortalSwap},
	{"reads during replacements", "The chat's old portal is removed in the same transaction that records the new one: there is no moment without either, or with both.", checkReadsDuringReplacements},
}

// The rooms of the checks.
const (
	roomA id.RoomID = "!check-a:example.com"
	roomB id.RoomID = "!check-b:example.com"
	roomC id.RoomID = "!check-c:example.com"
)

// group returns a portal of a basic group in a room, with accounts.
func group(roomID id.RoomID, groupID int64, accounts ...provisioning.TelegramID) provisioning.NewPortal {
	return provisioning.NewPortal{
		Portal:   provisioning.Portal{RoomID: roomID, ChatID: provisioning.BasicGroupChatID(groupID), Title: "Group"},
		Accounts: accounts,
	}
}

// direct returns a portal of the direct chat of an account with a user.
func direct(roomID id.RoomID, userID, receiver provisioning.TelegramID, accounts ...provisioning.TelegramID) provisioning.NewPortal {
	return provisioning.NewPortal{
		Portal:   provisioning.Portal{RoomID: roomID, ChatID: provisioning.UserChatID(userID), Receiver: receiver, Title: "Direct"},
		Accounts: accounts,
	}
}

// replacing returns the portal as one that replaces the chat's in another room.
func replacing(roomID id.RoomID, n provisioning.NewPortal) provisioning.NewPortal {
	n.Replaces = roomID
	return n
}

// connect calls Connect, which has to succeed.
func connect(t T, s provisioning.PortalStore, portals ...provisioning.NewPortal) {
	t.Helper()
	for _, n := range portals {
		if err := s.Connect(t.Context(), n); err != nil {
			t.Fatalf("Connect(%s): %v", describe(n), err)
		}
	}
}

// refuse calls Connect, which has to return the error.
func refuse(t T, s provisioning.PortalStore, n provisioning.NewPortal, want error) {
	t.Helper()
	if err := s.Connect(t.Context(), n); !errors.Is(err, want) {
		t.Errorf("Connect(%s): %v; want the error %q", describe(n), err, want)
	}
}

func disconnect(t T, s provisioning.PortalStore, p provisioning.Portal) {
	t.Helper()
	if err := s.Disconnect(t.Context(), p); err != nil {
		t.Fatalf("Disconnect(%+v): %v", p, err)
	}
}

// expectPortals reads all about these portals and their accounts, with every
// method, and all about those that are gone or never came.
func expectPortals(t T, s provisioning.PortalStore, want []provisioning.NewPortal, gone ...provisioning.NewPortal) {
	t.Helper()
	byAccount := map[provisioning.TelegramID][]provisioning.Portal{}
	for _, n := range append(slices.Clone(gone), want...) {
		for _, telegramID := range participants(n) {
			byAccount[telegramID] = nil
		}
	}
	for _, n := range want {
		expectPortal(t, s, n.Portal)
		for _, telegramID := range participants(n) {
			byAccount[telegramID] = append(byAccount[telegramID], n.Portal)
		}
	}
	for _, n := range gone {
		expectRoomFree(t, s, n.RoomID, want)
		expectChatFree(t, s, n.ChatID, n.Receiver, want)
	}
	for telegramID, portals := range byAccount {
		expectAccount(t, s, telegramID, portals...)
	}
}

// participants returns the accounts that take part, each once.
func participants(n provisioning.NewPortal) []provisioning.TelegramID {
	accounts := slices.Clone(n.Accounts)
	if n.Receiver != 0 {
		accounts = append(accounts, n.Receiver)
	}
	slices.Sort(accounts)
	return slices.Compact(accounts)
}

func expectPortal(t T, s provisioning.PortalStore, want provisioning.Portal) {
	t.Helper()
	if got, err := s.PortalByRoom(t.Context(), want.RoomID); err != nil {
		t.Errorf("PortalByRoom(%q): %v", want.RoomID, err)
	} else if got != want {
		t.Errorf("PortalByRoom(%q) returned %+v, want %+v", want.RoomID, got, want)
	}
	if got, err := s.PortalByChat(t.Context(), want.ChatID, want.Receiver); err != nil {
		t.Errorf("PortalByChat(%d, %d): %v", want.ChatID, want.Receiver, err)
	} else if got != want {
		t.Errorf("PortalByChat(%d, %d) returned %+v, want %+v", want.ChatID, want.Receiver, got, want)
	}
}

// expectRoomFree does nothing for a room of the portals.
func expectRoomFree(t T, s provisioning.PortalStore, roomID id.RoomID, portals []provisioning.NewPortal) {
	t.Helper()
	if slices.ContainsFunc(portals, func(n provisioning.NewPortal) bool { return n.RoomID == roomID }) {
		return
	}
	if got, err := s.PortalByRoom(t.Context(), roomID); !errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("PortalByRoom(%q) returned %+v, %v; want ErrPortalNotFound", roomID, got, err)
	}
}

// expectChatFree does nothing for a chat of the portals.
func expectChatFree(t T, s provisioning.PortalStore, chatID provisioning.ChatID, receiver provisioning.TelegramID, portals []provisioning.NewPortal) {
	t.Helper()
	if slices.ContainsFunc(portals, func(n provisioning.NewPortal) bool { return n.ChatID == chatID && n.Receiver == receiver }) {
		return
	}
	if got, err := s.PortalByChat(t.Context(), chatID, receiver); !errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("PortalByChat(%d, %d) returned %+v, %v; want ErrPortalNotFound", chatID, receiver, got, err)
	}
}

// expectAccount calls AccountPortals, which has to return exactly these.
func expectAccount(t T, s provisioning.PortalStore, telegramID provisioning.TelegramID, want ...provisioning.Portal) {
	t.Helper()
	got, err := s.AccountPortals(t.Context(), telegramID)
	if err != nil {
		t.Errorf("AccountPortals(%d): %v", telegramID, err)
		return
	}
	byRoom := func(a, b provisioning.Portal) int { return cmp.Compare(a.RoomID, b.RoomID) }
	got, want = slices.SortedFunc(slices.Values(got), byRoom), slices.SortedFunc(slices.Values(want), byRoom)
	if !slices.Equal(got, want) {
		t.Errorf("AccountPortals(%d) returned %+v, want %+v", telegramID, got, want)
	}
}

func checkNothingBridged(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7), group(roomB, 2), direct(roomC, 3, 8)
	expectPortals(t, s, nil, a, b, c)
	connect(t, s, b)
	expectPortals(t, s, []provisioning.NewPortal{b}, a, c)
}

func checkConnect(t T, open func() provisioning.PortalStore) {
	s := open()
	a := provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: roomA, ChatID: provisioning.ChannelChatID(1), Title: "Cats", About: "All about cats", Username: "cats", Megagroup: true,
	}}
	b := provisioning.NewPortal{Portal: provisioning.Portal{RoomID: roomB, ChatID: provisioning.ChannelChatID(2), Username: "News"}}
	c := provisioning.NewPortal{Portal: provisioning.Portal{RoomID: roomC, ChatID: provisioning.BasicGroupChatID(2), About: "The title is empty"}}
	connect(t, s, a)
	expectPortals(t, s, []provisioning.NewPortal{a}, b, c)
	connect(t, s, b, c)
	expectPortals(t, s, []provisioning.NewPortal{a, b, c})
}

func checkAccounts(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7, 8, 7), group(roomB, 2), group(roomC, 3, 8, 9, 8, 8)
	connect(t, s, a, b, c)
	expectPortals(t, s, []provisioning.NewPortal{a, b, c})
	expectAccount(t, s, 7, a.Portal)
	expectAccount(t, s, 8, a.Portal, c.Portal)
	expectAccount(t, s, 9, c.Portal)
	expectAccount(t, s, 10)
	expectAccount(t, s, 1) // the number of a chat
}

func checkDirectChats(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := direct(roomA, 5, 7), direct(roomB, 5, 8, 8), direct(roomC, 6, 7, 9)
	connect(t, s, a, b, c)
	expectPortals(t, s, []provisioning.NewPortal{a, b, c}, group("!check-group:example.com", 5), direct("!check-other:example.com", 5, 9))
	expectChatFree(t, s, a.ChatID, 0, nil)
	expectAccount(t, s, 7, a.Portal, c.Portal)
	expectAccount(t, s, 9, c.Portal)
	expectAccount(t, s, 5)
	refuse(t, s, direct("!check-other:example.com", 5, 7), provisioning.ErrChatBridged)
}

func checkRoomBridged(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), direct(roomB, 5, 8)
	connect(t, s, a, b)
	other := group(roomA, 2, 9)
	for _, n := range []provisioning.NewPortal{
		a,
		replacing(roomA, a),
		other,
		replacing(roomA, other),
		replacing(roomC, other),                  // of which the chat has no portal
		direct(roomA, 5, 8, 9),                   // the chat is bridged too
		replacing(roomB, direct(roomA, 5, 8, 9)), // and would be free
		replacing(roomC, direct(roomA, 5, 8, 9)),
	} {
		refuse(t, s, n, provisioning.ErrRoomBridged)
		expectPortals(t, s, []provisioning.NewPortal{a, b}, n)
	}
}

func checkChatBridged(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7), direct(roomB, 5, 8), group("!check-d:example.com", 2)
	connect(t, s, a, b, c)
	for _, n := range []provisioning.NewPortal{
		group(roomC, 1, 9),
		direct(roomC, 5, 8, 9),
		replacing(roomB, group(roomC, 1, 9)), // a portal of another chat
		replacing(roomA, direct(roomC, 5, 8, 9)),
		replacing(roomC, group(roomC, 1, 9)),
		replacing("!check-nowhere:example.com", group(roomC, 1, 9)),
	} {
		refuse(t, s, n, provisioning.ErrChatBridged)
		expectPortals(t, s, []provisioning.NewPortal{a, b, c}, n)
	}
}

func checkReplace(t T, open func() provisioning.PortalStore) {
	s := open()
	old, other, moved := group(roomA, 1, 7, 8), group(roomB, 2, 7), replacing(roomA, group(roomC, 1, 8, 9))
	moved.Title, moved.Megagroup = "Renamed", true
	connect(t, s, old, other, moved)
	expectPortals(t, s, []provisioning.NewPortal{other, moved}, old)
	next := group(roomA, 3)
	connect(t, s, next) // the room is free
	expectPortals(t, s, []provisioning.NewPortal{other, moved, next}, group(roomA, 3, 7, 8))
	refuse(t, s, replacing(roomA, group("!check-d:example.com", 1)), provisioning.ErrChatBridged)
}

func checkReplaceNothing(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	for _, n := range []provisioning.NewPortal{
		replacing(roomA, group(roomB, 2, 8)), // a portal of another chat
		replacing(roomC, group(roomB, 2, 8)),
		replacing(roomB, group(roomB, 2, 8)),
		replacing(roomA, direct(roomB, 1, 8)),
	} {
		refuse(t, s, n, provisioning.ErrPortalNotFound)
		expectPortals(t, s, []provisioning.NewPortal{a}, n)
	}
}

func checkReplaceDirect(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := direct(roomA, 5, 7), direct(roomB, 5, 8)
	connect(t, s, a, b)
	moved := replacing(roomB, direct(roomC, 5, 8))
	refuse(t, s, replacing(roomA, direct(roomC, 5, 8)), provisioning.ErrChatBridged)
	refuse(t, s, replacing(roomB, direct(roomC, 5, 9)), provisioning.ErrPortalNotFound)
	connect(t, s, moved)
	expectPortals(t, s, []provisioning.NewPortal{a, moved}, b)
}

func checkDisconnect(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7, 8), direct(roomB, 5, 7), direct(roomC, 5, 8)
	connect(t, s, a, b, c)
	disconnect(t, s, a.Portal)
	expectPortals(t, s, []provisioning.NewPortal{b, c}, a)
	disconnect(t, s, b.Portal)
	expectPortals(t, s, []provisioning.NewPortal{c}, a, b)
}

func checkDisconnectOther(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := direct(roomA, 5, 7), group(roomB, 2, 7)
	connect(t, s, a, b)
	for _, n := range []provisioning.NewPortal{
		direct(roomC, 5, 7),
		direct(roomB, 5, 7),
		direct(roomA, 6, 7),
		direct(roomA, 5, 8),
		direct(roomA, 5, 0),
		group(roomA, 5),
		group(roomA, 2),
		group(roomC, 9),
	} {
		if err := s.Disconnect(t.Context(), n.Portal); !errors.Is(err, provisioning.ErrPortalNotFound) {
			t.Errorf("Disconnect(%+v): %v; want ErrPortalNotFound", n.Portal, err)
		}
		expectPortals(t, s, []provisioning.NewPortal{a, b})
	}
	disconnect(t, s, a.Portal)
	if err := s.Disconnect(t.Context(), a.Portal); !errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("Disconnect a second time: %v; want ErrPortalNotFound", err)
	}
	expectPortals(t, s, []provisioning.NewPortal{b}, a)
}

func checkDisconnectByIDs(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), direct(roomB, 5, 7)
	connect(t, s, a, b)
	disconnect(t, s, provisioning.Portal{RoomID: a.RoomID, ChatID: a.ChatID})
	renamed := b.Portal
	renamed.Title, renamed.About, renamed.Username, renamed.Megagroup = "Renamed", "Since", "new", true
	disconnect(t, s, renamed)
	expectPortals(t, s, nil, a, b)
}

func checkConnectAgain(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7, 8)
	connect(t, s, a)
	disconnect(t, s, a.Portal)
	next := []provisioning.NewPortal{group(roomA, 2), group(roomB, 1, 9)}
	connect(t, s, next...)
	expectPortals(t, s, next, a)
	disconnect(t, s, next[0].Portal)
	disconnect(t, s, next[1].Portal)
	connect(t, s, a)
	expectPortals(t, s, []provisioning.NewPortal{a}, next...)
}

func checkPortalContext(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PortalByRoom(ctx, a.RoomID); err == nil || errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("PortalByRoom with a cancelled context: %v", err)
	}
	if _, err := s.PortalByChat(ctx, a.ChatID, 0); err == nil || errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("PortalByChat with a cancelled context: %v", err)
	}
	if _, err := s.AccountPortals(ctx, 7); err == nil {
		t.Errorf("AccountPortals with a cancelled context: no error")
	}
	moved := replacing(roomA, group(roomB, 1, 8))
	for _, n := range []provisioning.NewPortal{moved, group(roomC, 2, 8)} {
		if err := s.Connect(ctx, n); err == nil {
			t.Errorf("Connect with a cancelled context: no error")
		}
	}
	if err := s.Disconnect(ctx, a.Portal); err == nil || errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("Disconnect with a cancelled context: %v", err)
	}
	expectPortals(t, s, []provisioning.NewPortal{a}, moved, group(roomC, 2, 8))
}

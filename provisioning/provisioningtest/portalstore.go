package provisioningtest

import (
	"cmp"
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
// [TestTaskPortalStore].
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

var portalStoreChecks = slices.Concat(portalChecks, moveChecks)

var portalChecks = []storeCheck[provisioning.PortalStore]{
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

// group returns a portal of a supergroup in a room, with accounts. In some bridges each account
// has a portal of its own of a basic group.
func group(roomID id.RoomID, groupID int64, accounts ...provisioning.TelegramID) provisioning.NewPortal {
	return provisioning.NewPortal{
		Portal:   provisioning.Portal{RoomID: roomID, ChatID: provisioning.ChannelChatID(groupID), Title: "Group", Megagroup: true},
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

// formerly returns portals without their accounts, for expectPortals: whoever took part in a
// chat's former portal may take part in its next one.
func formerly(portals ...provisioning.NewPortal) []provisioning.NewPortal {
	portals = slices.Clone(portals)
	for i := range portals {
		portals[i].Accounts = nil
	}
	return portals
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
	} else if !recorded(got, want) {
		t.Errorf("PortalByRoom(%q) returned %+v, want %+v", want.RoomID, got, want)
	}
	if got, err := s.PortalByChat(t.Context(), want.ChatID, want.Receiver); err != nil {
		t.Errorf("PortalByChat(%d, %d): %v", want.ChatID, want.Receiver, err)
	} else if !recorded(got, want) {
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
	if !slices.EqualFunc(got, want, recorded) {
		t.Errorf("AccountPortals(%d) returned %+v, want %+v", telegramID, got, want)
	}
}

package provisioningtest

import (
	"fmt"
	"math"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// describe names a new portal in a failure.
func describe(n provisioning.NewPortal) string {
	text := fmt.Sprintf("room %q, chat %d", n.RoomID, n.ChatID)
	if n.Receiver != 0 {
		text += fmt.Sprintf(", receiver %d", n.Receiver)
	}
	if n.Replaces != "" {
		text += fmt.Sprintf(", replaces %q", n.Replaces)
	}
	return text
}

// checkRoom is one of the rooms of a race.
func checkRoom(i int) id.RoomID { return id.RoomID(fmt.Sprintf("!check-%02d:example.com", i)) }

func checkChatIDs(t T, open func() provisioning.PortalStore) {
	s := open()
	var portals []provisioning.NewPortal
	for i, chatID := range []provisioning.ChatID{
		1, 2, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 + 1, 1<<40 - 1, // users
		-1, -2, math.MinInt32, math.MinInt32 - 1, -999_999_999_999, // basic groups
		provisioning.ChannelChatID(1), provisioning.ChannelChatID(2), provisioning.ChannelChatID(997_852_516_352),
		provisioning.ChannelChatID(1_002_147_483_649), provisioning.ChannelChatID(3_000_000_000_000), // monoforums
	} {
		n := provisioning.NewPortal{Portal: provisioning.Portal{RoomID: checkRoom(i), ChatID: chatID}}
		if chatID > 0 {
			n.Receiver = provisioning.TelegramID(chatID) // not the same number for all
		}
		portals = append(portals, n)
	}
	expectPortals(t, s, nil, portals...)
	connect(t, s, portals...)
	expectPortals(t, s, portals)
	for i, n := range portals {
		disconnect(t, s, n.Portal)
		expectPortals(t, s, portals[i+1:], n)
	}
}

func checkPortalAccountIDs(t T, open func() provisioning.PortalStore) {
	s := open()
	var portals []provisioning.NewPortal
	for i, telegramID := range []provisioning.TelegramID{
		1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 + 2, 1<<53 + 1, 1<<53 + 2, math.MaxInt64 - 1, math.MaxInt64,
	} {
		portals = append(portals, group(checkRoom(2*i), int64(i+1), telegramID), direct(checkRoom(2*i+1), 5, telegramID))
	}
	connect(t, s, portals...)
	expectPortals(t, s, portals)
	for i, n := range portals {
		disconnect(t, s, n.Portal)
		expectPortals(t, s, portals[i+1:], n)
	}
}

func checkRoomIDs(t T, open func() provisioning.PortalStore) {
	s := open()
	const server = ":example.com"
	long := "!check-" + strings.Repeat("x", 255-len("!check-"+server)-1)
	var portals []provisioning.NewPortal
	for i, roomID := range []id.RoomID{
		"!check:example.com",
		"!Check:example.com", // another room
		"!check:example.com:8448",
		"!check:example.org",
		"!check-LdtlV3uKnLRmHIvZPCLs7aDhTD5JJHCEh_a1aTJuaLc", // room version 12
		"!check-ldtlV3uKnLRmHIvZPCLs7aDhTD5JJHCEh_a1aTJuaLc",
		"!check/slash:example.com",
		"!check%2Fslash:example.com",
		"!check_:example.com", // wildcards of SQL
		"!checkx:example.com",
		"!check%:example.com",
		"!check'\"\\;--:example.com",
		"!check blank:example.com",
		"!check blank:example.com ",
		"!check\u00e9:example.com", // a letter in two normal forms
		"!checke\u0301:example.com",
		"!check\u4e2d\U0001F600:example.com",
		"!check:[2001:db8::1]:8448",
		id.RoomID(long + "1" + server), // 255 bytes
		id.RoomID(long + "2" + server),
	} {
		portals = append(portals, group(roomID, int64(i+1), 7))
	}
	expectPortals(t, s, nil, portals...)
	for i, n := range portals {
		connect(t, s, n)
		expectPortals(t, s, portals[:i+1], portals[i+1:]...)
	}
	for i, n := range portals {
		moved := replacing(n.RoomID, group(roomA, int64(i+1), 7))
		connect(t, s, moved)
		expectPortals(t, s, append(portals[i+1:len(portals):len(portals)], moved), n)
		disconnect(t, s, moved.Portal)
	}
}

func checkTexts(t T, open func() provisioning.PortalStore) {
	s := open()
	var portals []provisioning.NewPortal
	for i, text := range []string{
		"", " ", " blank\t\r\n", "'; DROP TABLE portals; --", `"\'%_?$1`, "<b>&amp;</b>", "\u00e9e\u0301", "\u4e2d\u6587 \u202e\u200b",
		"\U0001F468\u200D\U0001F469\u200D\U0001F467", "NULL", "null", strings.Repeat("\u0416", 255),
	} {
		n := group(checkRoom(i), int64(i+1), 7)
		n.Title, n.About, n.Username = text, text+text, text
		portals = append(portals, n)
	}
	connect(t, s, portals...)
	expectPortals(t, s, portals)
}

func checkPortalHandles(t T, open func() provisioning.PortalStore) {
	one, two := open(), open()
	a, b := group(roomA, 1, 7), direct(roomB, 5, 6, 8)
	expectPortals(t, two, nil, a, b)
	connect(t, one, a)
	expectPortals(t, two, []provisioning.NewPortal{a}, b)
	refuse(t, two, group(roomC, 1), provisioning.ErrChatBridged)
	refuse(t, two, group(roomA, 2), provisioning.ErrRoomBridged)
	connect(t, two, b)
	expectPortals(t, one, []provisioning.NewPortal{a, b})
	moved := replacing(roomA, group(roomC, 1, 8))
	connect(t, two, moved)
	expectPortals(t, one, []provisioning.NewPortal{moved, b}, formerly(a)...)
	disconnect(t, one, b.Portal)
	expectPortals(t, two, []provisioning.NewPortal{moved}, formerly(a, b)...)
	expectPortals(t, open(), []provisioning.NewPortal{moved}, formerly(a, b)...) // opened later
}

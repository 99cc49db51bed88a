package provisioningtest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// checkRacers is how many calls race for one room or chat.
const checkRacers = 50

// raceAll runs the calls at once and returns their errors when all have returned.
func raceAll(calls []func() error) []error {
	start := make(chan struct{})
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() {
			<-start
			errs[i] = call()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// raceOne runs the calls at once, of which exactly one has to succeed, and the
// others have to return one of the errors. It returns the one that has succeeded.
func raceOne(t T, calls []func() error, lost ...error) (won int) {
	t.Helper()
	won = -1
	for i, err := range raceAll(calls) {
		switch {
		case err == nil && won >= 0:
			t.Fatalf("two of %d racing calls have succeeded, number %d and number %d", len(calls), won, i)
		case err == nil:
			won = i
		case !isOneOf(err, lost):
			t.Errorf("one of %d racing calls returned %v; want one of the errors %q", len(calls), err, lost)
		}
	}
	if won < 0 {
		t.Fatalf("none of %d racing calls has succeeded", len(calls))
	}
	return won
}

func isOneOf(err error, targets []error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// connecting is a call of Connect for a race.
func connecting(t T, s provisioning.PortalStore, n provisioning.NewPortal) func() error {
	return func() error { return s.Connect(t.Context(), n) }
}

// disconnecting is a call of Disconnect for a race.
func disconnecting(t T, s provisioning.PortalStore, p provisioning.Portal) func() error {
	return func() error { return s.Disconnect(t.Context(), p) }
}

// raceConnects races for what only one of the portals can have, and checks what is
// left.
func raceConnects(t T, handles [2]provisioning.PortalStore, portals []provisioning.NewPortal, lost error) (winner provisioning.NewPortal) {
	t.Helper()
	var calls []func() error
	for i, n := range portals {
		calls = append(calls, connecting(t, handles[i%2], n))
	}
	winner = portals[raceOne(t, calls, lost)]
	for _, s := range handles {
		expectPortals(t, s, []provisioning.NewPortal{winner}, portals...)
	}
	return winner
}

func checkRaceOneChat(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	var groups, directs []provisioning.NewPortal
	for i := range checkRacers {
		groups = append(groups, group(checkRoom(i), 1, provisioning.TelegramID(i+1)))
		directs = append(directs, direct(checkRoom(i), 5, 7, provisioning.TelegramID(i+100)))
	}
	winner := raceConnects(t, handles, groups, provisioning.ErrChatBridged)
	disconnect(t, handles[0], winner.Portal)
	raceConnects(t, handles, directs, provisioning.ErrChatBridged)
}

func checkRaceOneRoom(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	var portals []provisioning.NewPortal
	for i := range checkRacers {
		portals = append(portals, group(roomA, int64(i+1), provisioning.TelegramID(i+1)))
	}
	raceConnects(t, handles, portals, provisioning.ErrRoomBridged)
}

func checkRacePortalStrangers(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	var portals []provisioning.NewPortal
	var connects, moves, disconnects []func() error
	for i := range checkRacers {
		n := group(checkRoom(i), int64(i+1), 7, provisioning.TelegramID(i+8))
		if i%2 == 1 {
			n = direct(checkRoom(i), 5, provisioning.TelegramID(i+8), 7)
		}
		moved := replacing(n.RoomID, n)
		moved.RoomID = checkRoom(checkRacers + i)
		portals = append(portals, moved)
		connects = append(connects, connecting(t, handles[i%2], n))
		moves = append(moves, connecting(t, handles[(i+1)%2], moved))
		disconnects = append(disconnects, disconnecting(t, handles[i/2%2], moved.Portal))
	}
	race(t, connects)
	race(t, moves)
	expectPortals(t, handles[0], portals)
	race(t, disconnects)
	expectPortals(t, handles[1], nil, portals...)
}

func checkRaceDisconnects(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	other := group(roomB, 2, 7)
	connect(t, handles[0], other)
	for range 5 {
		n := group(roomA, 1, 7, 8)
		connect(t, handles[0], n)
		var calls []func() error
		for i := range checkRacers {
			calls = append(calls, disconnecting(t, handles[i%2], n.Portal))
		}
		raceOne(t, calls, provisioning.ErrPortalNotFound)
		expectPortals(t, handles[1], []provisioning.NewPortal{other}, n)
	}
}

func checkRaceReplacements(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	old := group(roomA, 1, 7)
	connect(t, handles[0], old)
	portals := []provisioning.NewPortal{}
	for i := range checkRacers {
		portals = append(portals, replacing(roomA, group(checkRoom(i), 1, provisioning.TelegramID(i+8))))
	}
	winner := raceConnects(t, handles, portals, provisioning.ErrChatBridged)
	expectPortals(t, handles[0], []provisioning.NewPortal{winner}, formerly(old)...)
}

func checkRaceReplaceDisconnect(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	for round := range 6 {
		old := group(roomA, 1, 7)
		connect(t, handles[0], old)
		var portals []provisioning.NewPortal
		var calls []func() error
		for i := range checkRacers {
			n := old // removed by every other call, replaced by the rest
			if (i+round)%2 == 0 {
				n = replacing(roomA, group(checkRoom(i), 1, provisioning.TelegramID(i+8)))
				calls = append(calls, connecting(t, handles[i/2%2], n))
			} else {
				calls = append(calls, disconnecting(t, handles[i/2%2], old.Portal))
			}
			portals = append(portals, n)
		}
		won := raceOne(t, calls, provisioning.ErrPortalNotFound, provisioning.ErrChatBridged)
		if (won+round)%2 == 1 {
			expectPortals(t, handles[0], nil, portals...)
			continue
		}
		expectPortals(t, handles[1], portals[won:won+1], formerly(portals...)...)
		disconnect(t, handles[0], portals[won].Portal)
	}
}

func checkRaceToAndFro(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	one, two := group(roomA, 1, 7), group(roomC, 2, 7)
	connect(t, handles[0], one, two)
	rooms := []id.RoomID{roomA, roomB, roomC, "!check-d:example.com"}
	var moves []provisioning.NewPortal
	for i := range 60 {
		from, to := i%4, (i+1+i/4%3)%4
		moves = append(moves, replacing(rooms[from], group(rooms[to], int64(i/12%2+1), 7)))
	}
	stays := raceMoves(t, handles, moves)
	var left []provisioning.NewPortal
	for _, n := range []provisioning.NewPortal{one, two} {
		stays[n.ChatID][n.RoomID]++
		p, err := handles[0].PortalByChat(t.Context(), n.ChatID, 0)
		if err != nil {
			t.Fatalf("PortalByChat after the race: %v", err)
		}
		stays[n.ChatID][p.RoomID]--
		for roomID, n := range stays[n.ChatID] {
			if n != 0 {
				t.Errorf("the Connects that have succeeded can't have followed one another: see room %q", roomID)
			}
		}
		n.RoomID = p.RoomID
		left = append(left, n)
	}
	expectPortals(t, handles[1], left)
	for _, roomID := range rooms {
		expectRoomFree(t, handles[1], roomID, left)
	}
}

// raceMoves runs Connects that replace a room by another, and returns how often each
// chat has come to each room, less how often it has left.
func raceMoves(t T, handles [2]provisioning.PortalStore, moves []provisioning.NewPortal) map[provisioning.ChatID]map[id.RoomID]int {
	t.Helper()
	var calls []func() error
	stays := map[provisioning.ChatID]map[id.RoomID]int{}
	for i, n := range moves {
		calls = append(calls, connecting(t, handles[i/2%2], n))
		stays[n.ChatID] = map[id.RoomID]int{}
	}
	for i, err := range raceAll(calls) {
		switch n := moves[i]; {
		case err == nil:
			stays[n.ChatID][n.RoomID]++
			stays[n.ChatID][n.Replaces]--
		case !isOneOf(err, []error{provisioning.ErrRoomBridged, provisioning.ErrChatBridged}):
			t.Errorf("one of %d racing Connects returned %v; want ErrRoomBridged or ErrChatBridged", len(calls), err)
		}
	}
	return stays
}

func checkRacePortalSwap(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	portals := []provisioning.NewPortal{group(roomA, 1, 7), group(roomB, 2, 8)}
	connect(t, handles[0], portals...)
	var calls []func() error
	for i := range checkRacers / 2 {
		calls = append(calls,
			connecting(t, handles[i%2], replacing(roomA, group(roomB, 1, 9))),
			connecting(t, handles[(i+1)%2], replacing(roomB, group(roomA, 2, 9))))
	}
	for _, err := range raceAll(calls) {
		if !errors.Is(err, provisioning.ErrRoomBridged) {
			t.Errorf("one of %d racing Connects returned %v; want ErrRoomBridged", len(calls), err)
		}
	}
	expectPortals(t, handles[1], portals, group(roomA, 1, 9))
}

func checkReadsDuringReplacements(t T, open func() provisioning.PortalStore) {
	handles := [2]provisioning.PortalStore{open(), open()}
	connect(t, handles[0], group(checkRoom(0), 1, 7))
	var done atomic.Bool
	move := func() error {
		defer done.Store(true)
		for i := range 30 {
			err := handles[0].Connect(t.Context(), replacing(checkRoom(i), group(checkRoom(i+1), 1, 7)))
			if err != nil {
				return err
			}
		}
		return nil
	}
	read := func() error {
		for !done.Load() {
			if _, err := handles[1].PortalByChat(t.Context(), provisioning.ChannelChatID(1), 0); err != nil {
				return err
			}
			portals, err := handles[1].AccountPortals(t.Context(), 7)
			if err == nil && len(portals) != 1 {
				err = errors.New("the account takes part in no portal, or in more than one")
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	race(t, []func() error{move, read, read})
}

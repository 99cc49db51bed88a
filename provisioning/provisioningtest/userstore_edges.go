package provisioningtest

import (
	"fmt"
	"math"
	"strings"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// checkUsers is how many users race.
const checkUsers = 50

func checkAccountIDs(t T, open func() provisioning.UserStore) {
	s := open()
	edges := []provisioning.TelegramID{1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 + 1, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
	userOf := func(i int) id.UserID { return id.UserID(fmt.Sprintf("@check-%d:example.com", i)) }
	for i, telegramID := range edges {
		link(t, s, userOf(i), telegramID)
	}
	for i, telegramID := range edges {
		expect(t, s, userOf(i), state{telegramID: telegramID})
		link(t, s, userA, telegramID, userOf(i))
	}
	for i, telegramID := range edges {
		unlink(t, s, userOf(i), telegramID)
		expect(t, s, userOf(i), state{})
	}
}

func checkUserIDs(t T, open func() provisioning.UserStore) {
	s := open()
	const server = ":example.com"
	long := "@check-" + strings.Repeat("x", id.UserIDMaxLength-len("@check-"+server)-1)
	userIDs := []id.UserID{
		"@check:example.com",
		"@Check:example.com", // another user
		"@check:example.com:8448",
		"@check:example.org",
		"@check/slash:example.com",
		"@check%2Fslash:example.com",
		"@check/a/../b:example.com",
		"@check_:example.com", // wildcards of SQL
		"@checkx:example.com",
		"@check%:example.com",
		"@check'\"\\;--:example.com",
		"@check blank:example.com",
		"@check\u00e9:example.com", // a letter in two normal forms
		"@checke\u0301:example.com",
		"@check\u4e2d\U0001F600:example.com",
		"@check:[2001:db8::1]:8448",
		id.UserID(long + "1" + server), // 255 bytes
		id.UserID(long + "2" + server),
	}
	for i, userID := range userIDs {
		expect(t, s, userID, state{})
		link(t, s, userID, provisioning.TelegramID(i+1))
	}
	for i, userID := range userIDs {
		expect(t, s, userID, state{telegramID: provisioning.TelegramID(i + 1)})
		link(t, s, userA, provisioning.TelegramID(i+1), userID)
		unlink(t, s, userID, provisioning.TelegramID(i+1))
		expect(t, s, userID, state{})
	}
}

func checkTwoHandles(t T, open func() provisioning.UserStore) {
	one, two := open(), open()
	expect(t, two, userA, state{})
	link(t, one, userA, 1)
	expect(t, two, userA, state{telegramID: 1})
	link(t, two, userB, 1, userA)
	expect(t, one, userA, state{telegramID: 1, displaced: true})
	expect(t, one, userB, state{telegramID: 1})
	unlink(t, one, userA, 1)
	expect(t, two, userA, state{})
	link(t, two, userC, 1, userB)
	unlink(t, two, userB, 1)
	link(t, one, userC, 1)
}

// race runs the calls at once and returns when all have returned.
func race(t T, calls []func() error) {
	t.Helper()
	start := make(chan struct{})
	errs := make(chan error, len(calls))
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(func() {
			<-start
			errs <- call()
		})
	}
	close(start)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatalf("one of %d racing calls: %v", len(calls), err)
		}
	}
}

// linking is a call of LinkAccount for race.
func linking(t T, s provisioning.UserStore, userID id.UserID, telegramID provisioning.TelegramID) func() error {
	return func() error {
		_, err := s.LinkAccount(t.Context(), userID, telegramID)
		return err
	}
}

func checkUser(i int) id.UserID { return id.UserID(fmt.Sprintf("@check-%02d:example.com", i)) }

func checkRaceOneAccount(t T, open func() provisioning.UserStore) {
	handles := [2]provisioning.UserStore{open(), open()}
	var calls []func() error
	var all []id.UserID
	for i := range checkUsers {
		all = append(all, checkUser(i))
		calls = append(calls, linking(t, handles[i%2], checkUser(i), 1))
	}
	race(t, calls)
	owners := 0
	for _, userID := range all {
		switch got := read(t, handles[0], userID); got {
		case state{telegramID: 1}:
			owners++
		case state{telegramID: 1, displaced: true}:
		default:
			t.Errorf("User(%s) after the race: %s; want account 1", userID, got)
		}
	}
	if owners != 1 {
		t.Errorf("%d users are linked and not displaced after the race, want exactly 1", owners)
	}
	link(t, handles[1], userA, 1, all...)
}

func checkRaceOneUser(t T, open func() provisioning.UserStore) {
	handles := [2]provisioning.UserStore{open(), open()}
	var calls []func() error
	for i := range checkUsers {
		calls = append(calls, linking(t, handles[i%2], userA, provisioning.TelegramID(i+1)))
	}
	race(t, calls)
	got := read(t, handles[0], userA)
	if got.telegramID < 1 || got.telegramID > checkUsers || got.displaced {
		t.Fatalf("User(%s) after the race: %s; want one of the accounts, not displaced", userA, got)
	}
	for i := range provisioning.TelegramID(checkUsers) {
		if i+1 == got.telegramID {
			link(t, handles[1], userB, i+1, userA)
		} else {
			link(t, handles[1], userB, i+1)
		}
	}
}

func checkRaceSwap(t T, open func() provisioning.UserStore) {
	handles := [2]provisioning.UserStore{open(), open()}
	var calls []func() error
	for range checkUsers / 2 {
		calls = append(calls,
			linking(t, handles[0], userA, 1), linking(t, handles[1], userB, 2),
			linking(t, handles[0], userA, 2), linking(t, handles[1], userB, 1))
	}
	race(t, calls)
	a, b := read(t, handles[1], userA), read(t, handles[0], userB)
	if a.telegramID == 0 || b.telegramID == 0 {
		t.Errorf("after the race %s has %s, %s has %s; want both linked", userA, a, userB, b)
	}
	if a.telegramID == b.telegramID && a.displaced == b.displaced {
		t.Errorf("after the race %s and %s both have %s; want exactly one displaced", userA, userB, a)
	}
	if a.telegramID != b.telegramID && (a.displaced && b.displaced) {
		t.Errorf("after the race %s has %s, %s has %s; nobody has displaced them", userA, a, userB, b)
	}
}

func checkRaceStrangers(t T, open func() provisioning.UserStore) {
	handles := [2]provisioning.UserStore{open(), open()}
	var calls []func() error
	for i := range checkUsers {
		calls = append(calls, linking(t, handles[i%2], checkUser(i), provisioning.TelegramID(i+1)))
	}
	race(t, calls)
	calls = nil
	for i := range checkUsers {
		expect(t, handles[0], checkUser(i), state{telegramID: provisioning.TelegramID(i + 1)})
		calls = append(calls, func() error {
			return handles[(i+1)%2].UnlinkAccount(t.Context(), checkUser(i), provisioning.TelegramID(i+1))
		})
	}
	race(t, calls)
	for i := range checkUsers {
		expect(t, handles[1], checkUser(i), state{})
	}
}

package provisioningtest

import (
	"errors"
	"fmt"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// claim calls ClaimAccount, which has to succeed.
func claim(t T, s provisioning.UserStore, userID id.UserID, telegramID provisioning.TelegramID) {
	t.Helper()
	if err := s.ClaimAccount(t.Context(), userID, telegramID); err != nil {
		t.Fatalf("ClaimAccount(%s, %d): %v", userID, telegramID, err)
	}
}

func checkClaim(t T, open func() provisioning.UserStore) {
	s := open()
	claim(t, s, userA, 1)
	claim(t, s, userA, 1)
	expect(t, s, userA, state{telegramID: 1})
	claim(t, s, userA, 2)
	expect(t, s, userA, state{telegramID: 2})
	claim(t, s, userB, 1)
	expect(t, s, userB, state{telegramID: 1})
}

func checkClaimAnothers(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 2)
	for _, userID := range []id.UserID{userB, userC} {
		if err := s.ClaimAccount(t.Context(), userID, 1); !errors.Is(err, provisioning.ErrAccountLinked) {
			t.Errorf("ClaimAccount(%s, 1): %v", userID, err)
		}
	}
	expect(t, s, userA, state{telegramID: 1})
	expect(t, s, userB, state{telegramID: 2})
	expect(t, s, userC, state{})
}

func checkClaimDisplaced(t T, open func() provisioning.UserStore) {
	s := open()
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	unlink(t, s, userB, 1)
	claim(t, s, userC, 1)
	expect(t, s, userA, state{telegramID: 1, displaced: true})
	expect(t, s, userC, state{telegramID: 1})
}

func checkRaceClaims(t T, open func() provisioning.UserStore) {
	stores := [2]provisioning.UserStore{open(), open()}
	const users, rounds = 10, 10
	for round := range provisioning.TelegramID(rounds) {
		errs := make([]error, users)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range users {
			wg.Go(func() {
				<-start
				errs[i] = stores[i%2].ClaimAccount(t.Context(), claimant(i), round+1)
			})
		}
		close(start)
		wg.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				expect(t, stores[0], claimant(i), state{telegramID: provisioning.TelegramID(round + 1)})
			case !errors.Is(err, provisioning.ErrAccountLinked):
				t.Errorf("ClaimAccount(%s, %d): %v", claimant(i), round+1, err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d claims of account %d succeeded", won, users, round+1)
		}
	}
}

func checkRaceClaimsAndLinks(t T, open func() provisioning.UserStore) {
	stores := [2]provisioning.UserStore{open(), open()}
	const users, rounds = 12, 10
	for round := range provisioning.TelegramID(rounds) {
		var calls []func() error
		for i := range users {
			s := stores[i%2]
			if i%4 < 2 {
				calls = append(calls, linking(t, s, claimant(i), round+1))
				continue
			}
			calls = append(calls, func() error {
				err := s.ClaimAccount(t.Context(), claimant(i), round+1)
				if errors.Is(err, provisioning.ErrAccountLinked) {
					return nil
				}
				return err
			})
		}
		race(t, calls)
		owners := 0
		for i := range users {
			if read(t, stores[0], claimant(i)) == (state{telegramID: provisioning.TelegramID(round + 1)}) {
				owners++
			}
		}
		if owners != 1 {
			t.Fatalf("%d users are linked to account %d after the race, want exactly 1", owners, round+1)
		}
	}
}

func claimant(i int) id.UserID { return id.UserID(fmt.Sprintf("@check-%d:example.com", i)) }

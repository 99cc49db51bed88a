package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// mutant is a store that is broken in one way, and the check that has to notice.
// make gets what the handles of one backend share.
type mutant struct {
	name  string
	check string
	make  func(shared *MemUserStore) provisioning.UserStore
}

var mutants = []mutant{
	{"User makes a row", "unknown user", func(s *MemUserStore) provisioning.UserStore { return makesRows{s} }},
	{"LinkAccount does nothing", "link", func(s *MemUserStore) provisioning.UserStore { return linksNothing{s} }},
	{"a user displaces itself", "link again", func(s *MemUserStore) provisioning.UserStore { return displacesSelf{s} }},
	{"the first link stays", "relink", func(s *MemUserStore) provisioning.UserStore { return keepsFirst{s} }},
	{"nobody is displaced", "move", func(s *MemUserStore) provisioning.UserStore { return displacesNobody{s} }},
	{"displaced users are unlinked at once", "move", func(s *MemUserStore) provisioning.UserStore { return dropsDisplaced{s} }},
	{"displaced users are told once", "displaced of earlier calls", func(s *MemUserStore) provisioning.UserStore { return tellsOnce{s} }},
	{"displaced for ever", "displaced links again", func(s *MemUserStore) provisioning.UserStore { return displacedForEver{s} }},
	{"claim does nothing", "claim", func(s *MemUserStore) provisioning.UserStore { return claimsNothing{s} }},
	{"claim moves the account", "claim of another's", func(s *MemUserStore) provisioning.UserStore { return claimsByForce{s} }},
	{"claim stops at displaced users", "claim of a displaced user's", func(s *MemUserStore) provisioning.UserStore { return claimsFreshOnly{s} }},
	{"claim looks, then links", "race of claims", func(s *MemUserStore) provisioning.UserStore { return claimsInTwoSteps{s} }},
	{"claim looks, then links, beside links", "race of claims and links", func(s *MemUserStore) provisioning.UserStore { return claimsInTwoSteps{s} }},
	{"claim without the context", "context", func(s *MemUserStore) provisioning.UserStore { return claimsAnyway{s} }},
	{"unlink does nothing", "unlink", func(s *MemUserStore) provisioning.UserStore { return unlinksNothing{s} }},
	{"unlink misses displaced users", "unlink displaced", func(s *MemUserStore) provisioning.UserStore { return unlinksOwnersOnly{s} }},
	{"unlink by account", "unlink owner", func(s *MemUserStore) provisioning.UserStore { return unlinksByAccount{s} }},
	{"unlink without comparing", "unlink different account", func(s *MemUserStore) provisioning.UserStore { return unlinksBlindly{s} }},
	{"unlink of nobody is an error", "unlink nobody", func(s *MemUserStore) provisioning.UserStore { return unlinkNeedsRow{s} }},
	{"linking promotes", "permission", func(s *MemUserStore) provisioning.UserStore { return promotes{s} }},
	{"no context", "context", func(s *MemUserStore) provisioning.UserStore { return ignoresContext{s} }},
	{"accounts of 32 bits", "account IDs", func(s *MemUserStore) provisioning.UserStore { return narrow{s} }},
	{"accounts as floats", "account IDs", func(s *MemUserStore) provisioning.UserStore { return floating{s} }},
	{"case folded", "user IDs", func(s *MemUserStore) provisioning.UserStore { return rewritesIDs{s, strings.ToLower} }},
	{"cut at 128 bytes", "user IDs", func(s *MemUserStore) provisioning.UserStore {
		return rewritesIDs{s, func(v string) string { return v[:min(len(v), 128)] }}
	}},
	{"cut at a slash", "user IDs", func(s *MemUserStore) provisioning.UserStore {
		return rewritesIDs{s, func(v string) string { return strings.SplitN(v, "/", 2)[0] }}
	}},
	{"no port", "user IDs", func(s *MemUserStore) provisioning.UserStore {
		return rewritesIDs{s, func(v string) string { return strings.TrimSuffix(v, ":8448") }}
	}},
	{"each process caches", "two handles", func(s *MemUserStore) provisioning.UserStore {
		return &caches{MemUserStore: s, users: map[id.UserID]provisioning.User{}}
	}},
	{"get, then put", "race for one account", func(s *MemUserStore) provisioning.UserStore { return getThenPut{s} }},
}

func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			failures := runCheck(t, m.check, m.make)
			if len(failures) == 0 {
				t.Fatalf("the check %q passes on a store that is broken in this way", m.check)
			}
			if !strings.Contains(failures[0], "The interface promises: ") {
				t.Errorf("the failure does not say what the interface promises: %s", failures[0])
			}
		})
	}
}

func TestSoundStoreHasNoFailures(t *testing.T) {
	for _, check := range userStoreChecks {
		sound := func(s *MemUserStore) provisioning.UserStore { return s }
		for _, failure := range runCheck(t, check.name, sound) {
			t.Errorf("%s: %s", check.name, failure)
		}
	}
}

// Every sentence of the table is about the interface, and every check can fail.
func TestChecksAreExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, check := range userStoreChecks {
		if seen[check.name] || check.explanation == "" {
			t.Errorf("check %q: its name is used twice, or it has no explanation", check.name)
		}
		seen[check.name] = true
	}
}

// runCheck runs a check on a store and returns its failures.
func runCheck(t *testing.T, name string, make func(*MemUserStore) provisioning.UserStore) []string {
	t.Helper()
	i := slices.IndexFunc(userStoreChecks, func(c userStoreCheck) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("there is no check %q", name)
	}
	shared := NewMemUserStore(nil)
	check := userStoreChecks[i]
	return record(t, func(t T) {
		check.run(explained{t, check.explanation}, func() provisioning.UserStore { return make(shared) })
	})
}

// record runs a check in a bubble of its own (see letOthersIn) and returns its
// failures.
func record(t *testing.T, run func(T)) (failures []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		recorder := &recorder{ctx: t.Context()}
		var wg sync.WaitGroup
		wg.Go(func() { run(recorder) }) // Fatalf ends the goroutine
		wg.Wait()
		failures = recorder.failures
		<-time.After(2 * hang) // of the bubble: whatever hangs ends before it does
	})
	return failures
}

// hang is how long a call of a broken implementation hangs.
const hang = time.Hour

// recorder is a T that keeps failures.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// The broken stores.

type makesRows struct{ *MemUserStore }

func (s makesRows) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	u, err := s.MemUserStore.User(ctx, userID)
	if err == nil && u.TelegramID == 0 {
		_, err = s.MemUserStore.LinkAccount(ctx, userID, 99)
	}
	return u, err
}

type linksNothing struct{ *MemUserStore }

func (linksNothing) LinkAccount(context.Context, id.UserID, provisioning.TelegramID) ([]id.UserID, error) {
	return nil, nil
}

type displacesSelf struct{ *MemUserStore }

func (s displacesSelf) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	before, err := s.User(ctx, userID)
	if err != nil {
		return nil, err
	}
	displaced, err := s.MemUserStore.LinkAccount(ctx, userID, telegramID)
	if before.TelegramID == telegramID {
		displaced = append(displaced, userID)
	}
	return displaced, err
}

type keepsFirst struct{ *MemUserStore }

func (s keepsFirst) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	if u, err := s.User(ctx, userID); err != nil || (u.TelegramID != 0 && u.TelegramID != telegramID) {
		return nil, err
	}
	return s.MemUserStore.LinkAccount(ctx, userID, telegramID)
}

type displacesNobody struct{ *MemUserStore }

func (s displacesNobody) LinkAccount(_ context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[userID] = memLink{telegramID: telegramID}
	return nil, nil
}

type dropsDisplaced struct{ *MemUserStore }

func (s dropsDisplaced) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	displaced, err := s.MemUserStore.LinkAccount(ctx, userID, telegramID)
	for _, other := range displaced {
		err = errors.Join(err, s.UnlinkAccount(ctx, other, telegramID))
	}
	return displaced, err
}

type tellsOnce struct{ *MemUserStore }

func (s tellsOnce) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	s.mu.Lock()
	earlier := map[id.UserID]bool{}
	for other, l := range s.links {
		earlier[other] = l.displaced
	}
	s.mu.Unlock()
	displaced, err := s.MemUserStore.LinkAccount(ctx, userID, telegramID)
	return slices.DeleteFunc(displaced, func(other id.UserID) bool { return earlier[other] }), err
}

type displacedForEver struct{ *MemUserStore }

func (s displacedForEver) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	before, err := s.User(ctx, userID)
	if err != nil {
		return nil, err
	}
	displaced, err := s.MemUserStore.LinkAccount(ctx, userID, telegramID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[userID] = memLink{telegramID, before.Displaced}
	return displaced, err
}

type unlinksNothing struct{ *MemUserStore }

func (unlinksNothing) UnlinkAccount(context.Context, id.UserID, provisioning.TelegramID) error {
	return nil
}

type unlinksOwnersOnly struct{ *MemUserStore }

func (s unlinksOwnersOnly) UnlinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	if u, err := s.User(ctx, userID); err != nil || u.Displaced {
		return err
	}
	return s.MemUserStore.UnlinkAccount(ctx, userID, telegramID)
}

type unlinksByAccount struct{ *MemUserStore }

func (s unlinksByAccount) UnlinkAccount(_ context.Context, _ id.UserID, telegramID provisioning.TelegramID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for userID, l := range s.links {
		if l.telegramID == telegramID {
			delete(s.links, userID)
		}
	}
	return nil
}

type unlinksBlindly struct{ *MemUserStore }

func (s unlinksBlindly) UnlinkAccount(_ context.Context, userID id.UserID, _ provisioning.TelegramID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, userID)
	return nil
}

type unlinkNeedsRow struct{ *MemUserStore }

func (s unlinkNeedsRow) UnlinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	if u, err := s.User(ctx, userID); err != nil || u.TelegramID == 0 {
		return errors.Join(err, errors.New("no rows"))
	}
	return s.MemUserStore.UnlinkAccount(ctx, userID, telegramID)
}

type promotes struct{ *MemUserStore }

func (s promotes) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	u, err := s.MemUserStore.User(ctx, userID)
	if u.TelegramID != 0 {
		u.Permission = provisioning.PermissionAdmin
	}
	return u, err
}

type ignoresContext struct{ *MemUserStore }

func (s ignoresContext) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	return s.MemUserStore.User(context.WithoutCancel(ctx), userID)
}

type narrow struct{ *MemUserStore }

func (s narrow) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	return s.MemUserStore.LinkAccount(ctx, userID, provisioning.TelegramID(int32(telegramID)))
}

type floating struct{ *MemUserStore }

func (s floating) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	return s.MemUserStore.LinkAccount(ctx, userID, provisioning.TelegramID(float64(telegramID)))
}

type rewritesIDs struct {
	*MemUserStore
	rewrite func(string) string
}

func (s rewritesIDs) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	return s.MemUserStore.User(ctx, id.UserID(s.rewrite(string(userID))))
}

func (s rewritesIDs) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	return s.MemUserStore.LinkAccount(ctx, id.UserID(s.rewrite(string(userID))), telegramID)
}

type caches struct {
	*MemUserStore
	users map[id.UserID]provisioning.User
}

func (s *caches) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	if u, ok := s.users[userID]; ok {
		return u, nil
	}
	u, err := s.MemUserStore.User(ctx, userID)
	s.users[userID] = u
	return u, err
}

func (s *caches) LinkAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	clear(s.users)
	return s.MemUserStore.LinkAccount(ctx, userID, telegramID)
}

// getThenPut reads who has the account, lets others go on, and then writes.
type getThenPut struct{ *MemUserStore }

func (s getThenPut) LinkAccount(_ context.Context, userID id.UserID, telegramID provisioning.TelegramID) ([]id.UserID, error) {
	var displaced []id.UserID
	s.mu.Lock()
	for other, l := range s.links {
		if other != userID && l.telegramID == telegramID {
			displaced = append(displaced, other)
		}
	}
	s.mu.Unlock()
	letOthersIn()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[userID] = memLink{telegramID: telegramID}
	for _, other := range displaced {
		s.links[other] = memLink{telegramID, true}
	}
	return displaced, nil
}

type claimsNothing struct{ *MemUserStore }

func (claimsNothing) ClaimAccount(context.Context, id.UserID, provisioning.TelegramID) error {
	return nil
}

type claimsByForce struct{ *MemUserStore }

func (s claimsByForce) ClaimAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	_, err := s.LinkAccount(ctx, userID, telegramID)
	return err
}

type claimsFreshOnly struct{ *MemUserStore }

func (s claimsFreshOnly) ClaimAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	s.mu.Lock()
	for other, l := range s.links {
		if other != userID && l.telegramID == telegramID {
			s.mu.Unlock()
			return provisioning.ErrAccountLinked
		}
	}
	s.mu.Unlock()
	return s.MemUserStore.ClaimAccount(ctx, userID, telegramID)
}

type claimsInTwoSteps struct{ *MemUserStore }

func (s claimsInTwoSteps) ClaimAccount(_ context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	s.mu.Lock()
	for other, l := range s.links {
		if other != userID && l.telegramID == telegramID && !l.displaced {
			s.mu.Unlock()
			return provisioning.ErrAccountLinked
		}
	}
	s.mu.Unlock()
	letOthersIn()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[userID] = memLink{telegramID: telegramID}
	return nil
}

type claimsAnyway struct{ *MemUserStore }

func (s claimsAnyway) ClaimAccount(ctx context.Context, userID id.UserID, telegramID provisioning.TelegramID) error {
	return s.MemUserStore.ClaimAccount(context.WithoutCancel(ctx), userID, telegramID)
}

package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestLoginLinkStore runs every check of the interface provisioning.LoginLinkStore as a subtest, on
// backends as those of [TestUserStore]. That what is no longer valid is deleted is not checked.
func TestLoginLinkStore(t *testing.T, backend func(t *testing.T) (open func(t *testing.T) provisioning.LoginLinkStore)) {
	for _, check := range loginLinkStoreChecks {
		t.Run(check.name, func(t *testing.T) {
			open := backend(t)
			check.run(explained{t, check.explanation}, func() provisioning.LoginLinkStore { return open(t) })
		})
	}
}

var loginLinkStoreChecks = []storeCheck[provisioning.LoginLinkStore]{
	{"link", "LoginLinkUser returns whose link is kept, ErrLoginLinkInvalid for others, and changes nothing.", checkLoginLink},
	{"opening", "OpenLoginLink keeps a session in place of the link, and returns whose they are.", checkLoginLinkOpening},
	{"refused opening", "OpenLoginLink of what is not kept returns ErrLoginLinkInvalid, and changes nothing.", checkLoginLinkRefused},
	{"one of each user", "PutLoginLink keeps a link in place of the user's link or session, and nobody else's.", checkOneLoginLink},
	{"end of a lifetime", "A link and a session are valid for their lifetimes.", checkLoginLinkLifetime},
	{"removal", "RemoveLoginLink removes a user's link or session, and nobody else's. It is no error when there is none.", checkLoginLinkRemoval},
	{"two handles", "Methods are called by several processes, which share what they keep.", checkLoginLinkHandles},
	{"race to open", "OpenLoginLink is atomic: a link opens one session.", checkLoginLinkRace},
	{"race to put", "Of each user one link or one session is kept.", checkLoginLinkPuts},
	{"context", "Methods honour the context.", checkLoginLinkContext},
}

// The users of the links.
const (
	linkAlice id.UserID = "@alice:example.com"
	linkBob   id.UserID = "@bob:example.com"
)

func putLoginLink(t T, s provisioning.LoginLinkStore, userID id.UserID, link string, lifetime time.Duration) {
	t.Helper()
	if err := s.PutLoginLink(t.Context(), userID, link, lifetime); err != nil {
		t.Fatalf("PutLoginLink of %s: %v", userID, err)
	}
}

// openLoginLink expects a link to open a session.
func openLoginLink(t T, s provisioning.LoginLinkStore, link, session string, lifetime time.Duration, want id.UserID) {
	t.Helper()
	if userID, err := s.OpenLoginLink(t.Context(), link, session, lifetime); err != nil || userID != want {
		t.Fatalf("OpenLoginLink of %q returned %q, %v; want %q", link, userID, err, want)
	}
}

// wantNoOpening expects a link to open no session.
func wantNoOpening(t T, s provisioning.LoginLinkStore, link, session string) {
	t.Helper()
	if userID, err := s.OpenLoginLink(t.Context(), link, session, time.Hour); !errors.Is(err, provisioning.ErrLoginLinkInvalid) {
		t.Fatalf("OpenLoginLink of %q returned %q, %v; want ErrLoginLinkInvalid", link, userID, err)
	}
	wantLoginLinks(t, s, "", session)
}

// wantLoginLinks expects each of some links and sessions to be that of a user, "" for nobody's.
func wantLoginLinks(t T, s provisioning.LoginLinkStore, want id.UserID, hashes ...string) {
	t.Helper()
	for _, hash := range hashes {
		userID, err := s.LoginLinkUser(t.Context(), hash)
		invalid := errors.Is(err, provisioning.ErrLoginLinkInvalid)
		if want == "" && !invalid || want != "" && (err != nil || userID != want) {
			t.Fatalf("LoginLinkUser of %q returned %q, %v; want %q", hash, userID, err, want)
		}
	}
}

func checkLoginLink(t T, open func() provisioning.LoginLinkStore) {
	s := open()
	wantLoginLinks(t, s, "", "link", "")
	putLoginLink(t, s, linkAlice, "link", time.Hour)
	putLoginLink(t, s, linkBob, "Link", time.Hour)
	for range 2 {
		wantLoginLinks(t, s, linkAlice, "link")
		wantLoginLinks(t, s, linkBob, "Link")
		wantLoginLinks(t, s, "", "LINK", "lin", "link ", "lin_", "%", "")
	}
}

func checkLoginLinkOpening(t T, open func() provisioning.LoginLinkStore) {
	s := open()
	putLoginLink(t, s, linkAlice, "link", time.Hour)
	putLoginLink(t, s, linkBob, "other", time.Hour)
	openLoginLink(t, s, "link", "session", time.Hour, linkAlice)
	wantLoginLinks(t, s, "", "link")
	wantLoginLinks(t, s, linkAlice, "session")
	wantLoginLinks(t, s, linkBob, "other")
	openLoginLink(t, s, "other", "session of the other", time.Hour, linkBob)
	wantLoginLinks(t, s, linkAlice, "session")
	wantLoginLinks(t, s, linkBob, "session of the other")
}

func checkLoginLinkRefused(t T, open func() provisioning.LoginLinkStore) {
	s := open()
	wantNoOpening(t, s, "link", "session")
	putLoginLink(t, s, linkAlice, "link", time.Hour)
	for _, unknown := range []string{"LINK", "lin", "lin_", "%", "", string(linkAlice)} {
		wantNoOpening(t, s, unknown, "session")
	}
	wantLoginLinks(t, s, linkAlice, "link")
	openLoginLink(t, s, "link", "session", time.Hour, linkAlice)
	wantNoOpening(t, s, "link", "second session")
	wantLoginLinks(t, s, linkAlice, "session")
}

func checkOneLoginLink(t T, open func() provisioning.LoginLinkStore) {
	s := open()
	putLoginLink(t, s, linkBob, "of the other", time.Hour)
	putLoginLink(t, s, linkAlice, "first", time.Hour)
	putLoginLink(t, s, linkAlice, "second", time.Hour)
	wantLoginLinks(t, s, "", "first")
	wantNoOpening(t, s, "first", "session of the first")
	openLoginLink(t, s, "second", "session", time.Hour, linkAlice)
	putLoginLink(t, s, linkAlice, "third", time.Hour)
	wantLoginLinks(t, s, "", "second", "session")
	wantLoginLinks(t, s, linkAlice, "third")
	wantLoginLinks(t, s, linkBob, "of the other")
}

func checkLoginLinkLifetime(t T, open func() provisioning.LoginLinkStore) {
	const short, over = time.Millisecond, 10 * time.Millisecond
	s := open()
	putLoginLink(t, s, linkAlice, "short link", short)
	putLoginLink(t, s, linkBob, "link", time.Hour)
	openLoginLink(t, s, "link", "short session", short, linkBob)
	<-time.After(over)
	wantLoginLinks(t, s, "", "short link", "short session")
	wantNoOpening(t, s, "short link", "session")
	wantNoOpening(t, s, "short session", "session")
	putLoginLink(t, s, linkAlice, "long link", time.Hour)
	openLoginLink(t, s, "long link", "long session", time.Hour, linkAlice)
	putLoginLink(t, s, linkBob, "next link", short)
	<-time.After(over)
	wantLoginLinks(t, s, linkAlice, "long session")
	wantLoginLinks(t, s, "", "next link")
}

func checkLoginLinkRemoval(t T, open func() provisioning.LoginLinkStore) {
	s := open()
	remove := func() {
		t.Helper()
		if err := s.RemoveLoginLink(t.Context(), linkAlice); err != nil {
			t.Fatalf("RemoveLoginLink: %v", err)
		}
	}
	remove()
	putLoginLink(t, s, linkBob, "of the other", time.Hour)
	putLoginLink(t, s, linkAlice, "link", time.Hour)
	remove()
	wantLoginLinks(t, s, "", "link")
	wantNoOpening(t, s, "link", "session")
	putLoginLink(t, s, linkAlice, "link", time.Hour)
	openLoginLink(t, s, "link", "session", time.Hour, linkAlice)
	remove()
	remove()
	wantLoginLinks(t, s, "", "link", "session")
	wantLoginLinks(t, s, linkBob, "of the other")
}

func checkLoginLinkHandles(t T, open func() provisioning.LoginLinkStore) {
	first, second := open(), open()
	putLoginLink(t, first, linkAlice, "link", time.Hour)
	wantLoginLinks(t, second, linkAlice, "link")
	openLoginLink(t, second, "link", "session", time.Hour, linkAlice)
	wantNoOpening(t, first, "link", "second session")
	wantLoginLinks(t, first, linkAlice, "session")
	if err := first.RemoveLoginLink(t.Context(), linkAlice); err != nil {
		t.Fatalf("RemoveLoginLink: %v", err)
	}
	wantLoginLinks(t, second, "", "session")
}

func checkLoginLinkRace(t T, open func() provisioning.LoginLinkStore) {
	const openings = 20
	stores := []provisioning.LoginLinkStore{open(), open()}
	putLoginLink(t, stores[0], linkAlice, "link", time.Hour)
	var errs [openings]error
	var all sync.WaitGroup
	for i := range openings {
		all.Go(func() {
			_, errs[i] = stores[i%2].OpenLoginLink(t.Context(), "link", fmt.Sprint("session ", i), time.Hour)
		})
	}
	all.Wait()
	opened := 0
	for i, err := range errs {
		switch {
		case err == nil:
			opened++
			wantLoginLinks(t, stores[0], linkAlice, fmt.Sprint("session ", i))
		case !errors.Is(err, provisioning.ErrLoginLinkInvalid):
			t.Fatalf("OpenLoginLink: %v", err)
		}
	}
	if opened != 1 {
		t.Errorf("of %d openings at once %d succeeded, want 1", openings, opened)
	}
}

func checkLoginLinkPuts(t T, open func() provisioning.LoginLinkStore) {
	const links = 20
	stores := []provisioning.LoginLinkStore{open(), open()}
	var errs [links]error
	var all sync.WaitGroup
	for i := range links {
		all.Go(func() {
			errs[i] = stores[i%2].PutLoginLink(t.Context(), linkAlice, fmt.Sprint("link ", i), time.Hour)
		})
	}
	all.Wait()
	kept := 0
	for i, err := range errs {
		if err != nil {
			t.Fatalf("PutLoginLink: %v", err)
		}
		if _, err := stores[0].LoginLinkUser(t.Context(), fmt.Sprint("link ", i)); err == nil {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("of %d links at once %d are valid, want 1", links, kept)
	}
}

func checkLoginLinkContext(t T, open func() provisioning.LoginLinkStore) {
	s := open()
	putLoginLink(t, s, linkAlice, "link", time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, openErr := s.OpenLoginLink(ctx, "link", "session", time.Hour)
	_, userErr := s.LoginLinkUser(ctx, "link")
	for name, err := range map[string]error{
		"PutLoginLink": s.PutLoginLink(ctx, linkAlice, "second link", time.Hour), "OpenLoginLink": openErr,
		"LoginLinkUser": userErr, "RemoveLoginLink": s.RemoveLoginLink(ctx, linkAlice),
	} {
		if err == nil || errors.Is(err, provisioning.ErrLoginLinkInvalid) {
			t.Errorf("%s with a cancelled context returned %v, want its error", name, err)
		}
	}
	wantLoginLinks(t, s, linkAlice, "link")
}

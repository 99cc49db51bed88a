package provisioningtest

import (
	"errors"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemUserStore(t *testing.T) {
	TestUserStore(t, memBackend)
}

func memBackend(*testing.T) func(*testing.T) provisioning.UserStore {
	s := NewMemUserStore(nil)
	return func(*testing.T) provisioning.UserStore { return s }
}

func TestMemUserStoreRows(t *testing.T) {
	s := NewMemUserStore(func(userID id.UserID) provisioning.Permission {
		if userID == userA {
			return provisioning.PermissionAdmin
		}
		return provisioning.PermissionNone
	})
	for userID, want := range map[id.UserID]provisioning.Permission{
		userA: provisioning.PermissionAdmin, userB: provisioning.PermissionNone,
	} {
		got, err := s.User(t.Context(), userID)
		if err != nil || got != (provisioning.User{Permission: want}) {
			t.Errorf("User(%s) = %+v, %v; want the permission %s alone", userID, got, err, want)
		}
	}
	if s.Len() != 0 {
		t.Errorf("%d rows after reading, want 0", s.Len())
	}
	link(t, s, userA, 1)
	link(t, s, userB, 1, userA)
	if s.Len() != 2 {
		t.Errorf("%d rows, want the owner's and the displaced user's", s.Len())
	}
	unlink(t, s, userA, 1)
	unlink(t, s, userB, 1)
	if s.Len() != 0 {
		t.Errorf("%d rows after unlinking, want 0", s.Len())
	}
}

func TestScript(t *testing.T) {
	s := NewMemUserStore(nil)
	broken := errors.New("broken")
	s.Fail("User", broken)
	if _, err := s.User(t.Context(), userA); !errors.Is(err, broken) {
		t.Errorf("User after Fail: %v", err)
	}
	link(t, s, userA, 1)
	s.Fail("User", nil)
	expect(t, s, userA, state{telegramID: 1})
	s.Fail("", broken)
	if err := s.UnlinkAccount(t.Context(), userA, 1); !errors.Is(err, broken) {
		t.Errorf("UnlinkAccount after Fail of everything: %v", err)
	}
	s.Fail("", nil)
	expect(t, s, userA, state{telegramID: 1})
	if got := s.Calls("User"); got != 3 {
		t.Errorf("%d calls of User were counted, want 3", got)
	}

	gate := s.Hold("UnlinkAccount")
	done := make(chan error, 1)
	go func() { done <- s.UnlinkAccount(t.Context(), userA, 1) }()
	<-gate.Entered()
	expect(t, s, userA, state{telegramID: 1})
	gate.Release()
	gate.Release()
	if err := <-done; err != nil {
		t.Errorf("UnlinkAccount after the release: %v", err)
	}
	expect(t, s, userA, state{})
}

package provisioningtest

import (
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestMemPortalStore(t *testing.T) {
	TestPortalStore(t, func(*testing.T) func(*testing.T) provisioning.PortalStore {
		s := NewMemPortalStore()
		return func(*testing.T) provisioning.PortalStore { return s }
	})
}

func TestMemPortalStoreTasks(t *testing.T) {
	TestTaskStore(t, func(*testing.T) func(*testing.T) TaskPortalStore {
		s := NewMemPortalStore()
		return func(*testing.T) TaskPortalStore { return s }
	})
}

func TestMemPortalStoreListsTasks(t *testing.T) {
	s := NewMemPortalStore()
	late, early := task("late", 2), task("early", 1)
	early.Due = early.Due.Add(time.Microsecond)
	addTasks(t, s, late, early)
	early = task("early", 1)
	if got := s.Tasks(); len(got) != 2 || got[0] != early || got[1] != late {
		t.Errorf("Tasks returned %+v, want %+v and %+v", got, early, late)
	}
	take(t, s, seconds(10), seconds(20), 0)
	take(t, s, seconds(10), seconds(20), -1)
}

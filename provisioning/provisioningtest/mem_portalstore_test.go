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
	t.Run("alone", func(t *testing.T) {
		TestTaskStore(t, func(*testing.T) func(*testing.T) provisioning.TaskStore {
			s := NewMemPortalStore()
			return func(*testing.T) provisioning.TaskStore { return s }
		})
	})
	t.Run("with portals", func(t *testing.T) {
		TestTaskPortalStore(t, func(*testing.T) func(*testing.T) TaskPortalStore {
			s := NewMemPortalStore()
			return func(*testing.T) TaskPortalStore { return s }
		})
	})
}

func TestMemPortalStoreListsTasks(t *testing.T) {
	s := NewMemPortalStore()
	late, early := task("a", later), task("b", hours(-1))
	early.Delay += time.Microsecond
	addTasks(t, s, late, early)
	got := s.Tasks()
	if len(got) != 2 || got[0].ID != "b" || got[1].ID != "a" {
		t.Errorf("Tasks returned %+v, want %+v and %+v", got, early, late)
	}
	if s.Calls("ListTasks") != 0 {
		t.Error("Tasks is a call of ListTasks")
	}
	take(t, s, later, -1)
}

package portal_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestPendingTasks(t *testing.T) {
	t.Parallel()
	s := newStore(t, newDatabase(t))
	pending := func(want int) {
		t.Helper()
		n, err := s.PendingTasks(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	pending(0)
	now := time.Now()
	require.NoError(t, s.AddTasks(t.Context(), provisioning.Task{ID: "1", Kind: "event", Due: now}, provisioning.Task{ID: "2", Kind: "event", Due: now.Add(time.Hour)}))
	pending(2)
	taken, err := s.TakeTasks(t.Context(), now.Add(time.Second), now.Add(time.Minute), 9)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	pending(2)
	require.NoError(t, s.FinishTask(t.Context(), "1"))
	pending(1)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.PendingTasks(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

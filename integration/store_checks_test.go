package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// On PostgreSQL, too, a change that waits for another process's until its deadline, and a
// check, say that it is the database; a constraint does not.
func TestChecksOfPostgres(t *testing.T) {
	url := postgres.newDatabase(t)
	one, other := openStores(t, url), openStores(t, url)
	checks := map[string]func(context.Context) error{"users": other.users.Check, "portals": other.portals.Check}
	for name, check := range checks {
		require.NoError(t, check(t.Context()), name)
	}
	require.NoError(t, one.DoTxn(t.Context(), nil, func(ctx context.Context) error {
		require.NoError(t, link("@alice:example.com", 1)(ctx, one))
		for name, check := range checks {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := check(ctx)
			cancel()
			require.ErrorIs(t, err, provisioning.ErrDatabase, name)
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
		}
		_, err := other.users.User(t.Context(), "@alice:example.com")
		return err
	}))
	task := provisioning.NewTask{ID: "1", Kind: "kind"}
	require.NoError(t, other.portals.AddTasks(t.Context(), task))
	err := other.portals.AddTasks(t.Context(), task)
	require.Error(t, err)
	assert.NotErrorIs(t, err, provisioning.ErrDatabase, "the ID is taken")
	for name, check := range checks {
		require.NoError(t, check(t.Context()), name)
	}
	require.NoError(t, other.Close())
	for name, check := range checks {
		require.ErrorIs(t, check(t.Context()), provisioning.ErrDatabase, name)
	}
}

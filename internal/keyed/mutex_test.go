package keyed_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/internal/keyed"
)

// One goroutine at a time has a key; the race detector sees it where two do.
func TestMutexExcludes(t *testing.T) {
	const racers, turns = 20, 100
	var m keyed.Mutex[string]
	counts := map[string]*int{"a": new(int), "b": new(int)}
	var wg sync.WaitGroup
	for range racers {
		for key, count := range counts {
			wg.Go(func() {
				for range turns {
					unlock, err := m.Lock(t.Context(), key)
					if !assert.NoError(t, err) {
						return
					}
					*count++
					unlock()
				}
			})
		}
	}
	wg.Wait()
	assert.Equal(t, []int{racers * turns, racers * turns}, []int{*counts["a"], *counts["b"]})
}

// Whoever stops waiting leaves the key to the others, and other keys are free.
func TestMutexHonoursContext(t *testing.T) {
	var m keyed.Mutex[int]
	unlock, err := m.Lock(t.Context(), 1)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Lock(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	other, err := m.Lock(t.Context(), 2)
	require.NoError(t, err)
	other()
	unlock()
	unlock, err = m.Lock(t.Context(), 1)
	require.NoError(t, err)
	unlock()
}

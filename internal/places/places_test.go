package places_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/internal/places"
)

type claim = places.Claim[string]

// of is a claim for parties.
func of(parties ...string) (c claim) {
	for i, key := range parties {
		c.Parties[i].Key = key
	}
	return c
}

// entered is a call of Enter.
func entered(ctx context.Context, p *places.Places[string], c claim) <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.Enter(ctx, c) }()
	return done
}

// enter takes places until there is none, and returns how many.
func enter(t *testing.T, p *places.Places[string], c claim) int {
	t.Helper()
	for n := 0; ; n++ {
		err := p.Enter(t.Context(), c)
		if errors.Is(err, places.ErrFull) || errors.Is(err, places.ErrMost) {
			return n
		}
		require.NoError(t, err)
	}
}

func counts(p *places.Places[string]) [3]int {
	taken, waiting, parties := p.Counts()
	return [3]int{taken, waiting, parties}
}

// However many parties take as many as they can, each leaves one for whoever has none.
func TestSharesOfParties(t *testing.T) {
	for attackers, want := range map[int][]int{1: {50}, 2: {50, 25}, 3: {50, 25, 13}} {
		p := places.New[string](100, 0, 0)
		for n := range attackers {
			assert.Equal(t, want[n], enter(t, p, of(fmt.Sprint(n))), "party %d of %d", n, attackers)
		}
		require.NoError(t, p.Enter(t.Context(), of("honest")))
	}
	p := places.New[string](100, 0, 0)
	assert.Equal(t, 100, enter(t, p, of()), "nobody's places are bounded by nothing else")
	for n := range 60 {
		p.Leave(of())
		require.NoError(t, p.Enter(t.Context(), of(fmt.Sprint(n), "address")), "the last place is for whoever has none")
		p.Leave(of(fmt.Sprint(n), "address"))
		require.NoError(t, p.Enter(t.Context(), of()))
	}
	assert.Equal(t, [3]int{100, 0, 0}, counts(p))
}

// Both parties of a claim have a share.
func TestBothParties(t *testing.T) {
	p := places.New[string](100, 0, 0)
	for n := range 100 {
		_ = enter(t, p, of(fmt.Sprint("user-", n), "here"))
	}
	taken, _, _ := p.Counts()
	assert.Equal(t, 50, taken)
	require.NoError(t, p.Enter(t.Context(), of("user-1", "there")))
}

func TestReserved(t *testing.T) {
	p := places.New[string](100, 25, 0)
	ordinary := claim{Ordinary: true}
	assert.Equal(t, 75, enter(t, p, ordinary))
	assert.Equal(t, 25, enter(t, p, claim{}))
	for range 60 {
		p.Leave(ordinary)
	}
	assert.Equal(t, 60, enter(t, p, claim{}), "reserved is a part for some, and the rest is for all")
}

func TestMostOfAParty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := places.New[string](4, 0, 4)
		c := claim{Parties: [2]places.Party[string]{{Key: "a", Most: 3}}}
		waiting := [2]<-chan error{entered(t.Context(), p, c), entered(t.Context(), p, c)}
		synctest.Wait()
		third := entered(t.Context(), p, c) // has to wait: there are two free, and it has two
		synctest.Wait()
		assert.Equal(t, [3]int{2, 1, 1}, counts(p))
		require.ErrorIs(t, p.Enter(t.Context(), c), places.ErrMost, "who waits counts")
		require.ErrorIs(t, p.Count(c.Parties[0]), places.ErrMost)
		p.Leave(c)
		for _, done := range []<-chan error{waiting[0], waiting[1], third} {
			require.NoError(t, <-done)
		}
	})
}

// A place can count for a party that is known later.
func TestCount(t *testing.T) {
	p := places.New[string](5, 0, 0)
	for range 5 {
		require.NoError(t, p.Enter(t.Context(), claim{}))
	}
	a := places.Party[string]{Key: "a"}
	require.NoError(t, p.Count(a))
	require.ErrorIs(t, p.Count(a), places.ErrMost, "it has one, and none is free")
	p.Leave(claim{})
	require.NoError(t, p.Count(a))
	for range 2 {
		p.Leave(of("a"))
	}
	assert.Equal(t, [3]int{2, 0, 0}, counts(p))
}

// Who waits is let in in order, but not before those who have fewer places.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := places.New[string](2, 0, 4)
		require.NoError(t, p.Enter(t.Context(), of("a")))
		require.NoError(t, p.Enter(t.Context(), of("b")))
		second := entered(t.Context(), p, of("a"))
		synctest.Wait()
		first := entered(t.Context(), p, of("c"))
		synctest.Wait()
		p.Leave(of("b"))
		require.NoError(t, <-first)
		assert.Equal(t, [3]int{2, 1, 2}, counts(p))
		p.Leave(of("c"))
		synctest.Wait()
		assert.Empty(t, second, "a has one, and one is free")
		p.Leave(of("a"))
		require.NoError(t, <-second)
		assert.Equal(t, [3]int{1, 0, 1}, counts(p))
	})
}

// The queue is short, in length and time, and shared as the places are.
func TestQueueIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := places.New[string](1, 0, 4)
		require.NoError(t, p.Enter(t.Context(), of("a")))
		start := time.Now()
		waiting := [2]<-chan error{entered(t.Context(), p, of("a")), entered(t.Context(), p, of("a"))}
		synctest.Wait()
		require.ErrorIs(t, p.Enter(t.Context(), of("a")), places.ErrFull)
		assert.Zero(t, time.Since(start))
		other := entered(t.Context(), p, of("b"))
		synctest.Wait()
		assert.Equal(t, [3]int{1, 3, 1}, counts(p))
		for _, done := range []<-chan error{waiting[0], waiting[1], other} {
			require.ErrorIs(t, <-done, places.ErrFull)
		}
		assert.Equal(t, 2*time.Second, time.Since(start))
		ctx, cancel := context.WithCancel(t.Context())
		gone := entered(ctx, p, of("b"))
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		assert.Equal(t, [3]int{1, 0, 1}, counts(p))
	})
}

package provisioningtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestLimitMemoryConforms(t *testing.T) {
	TestLimitStore(t, func(*testing.T) func(*testing.T) provisioning.LimitStore {
		s := &provisioning.LimitMemory{}
		return func(*testing.T) provisioning.LimitStore { return s }
	})
}

// alteredLimits is a LimitStore that is broken in some way.
type alteredLimits func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error)

func (a alteredLimits) CountEvent(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
	return a(ctx, key, limits)
}

var limitStoreMutants = map[string]struct {
	check string
	alter func(s *provisioning.LimitMemory) alteredLimits
}{
	"one too many": {"limit", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			limits = slices.Clone(limits)
			for i := range limits {
				limits[i].Most++
			}
			return s.CountEvent(ctx, key, limits)
		}
	}},
	"no wait": {"limit", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			wait, err := s.CountEvent(ctx, key, limits)
			return min(wait, time.Second), err
		}
	}},
	"the first limit": {"several limits", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			return s.CountEvent(ctx, key, limits[:1])
		}
	}},
	"the shortest wait": {"several limits", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			wait, err := s.CountEvent(ctx, key, limits)
			return min(wait, limits[len(limits)-1].Period), err
		}
	}},
	"periods without end": {"end of the period", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			limits = slices.Clone(limits)
			for i := range limits {
				limits[i].Period = max(limits[i].Period, time.Hour)
			}
			wait, err := s.CountEvent(ctx, key, limits)
			return min(wait, time.Millisecond), err
		}
	}},
	"forgets with the shortest period": {"end of the period", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			if len(limits) > 1 {
				limits = limits[:1]
			}
			return s.CountEvent(ctx, key, limits)
		}
	}},
	"refused events count": {"refused events", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			wait, err := s.CountEvent(ctx, key, limits)
			if wait > 0 {
				_, _ = s.CountEvent(ctx, key, []provisioning.Limit{{Most: 1000, Period: time.Hour}})
			}
			return wait, err
		}
	}},
	"one key": {"keys", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, _ string, limits []provisioning.Limit) (time.Duration, error) {
			return s.CountEvent(ctx, "", limits)
		}
	}},
	"each process counts for itself": {"two handles", func(*provisioning.LimitMemory) alteredLimits {
		return (&provisioning.LimitMemory{}).CountEvent
	}},
	"looks, then counts": {"race", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			var copied provisioning.LimitMemory
			for range limits[0].Most - 1 {
				_, _ = copied.CountEvent(ctx, key, limits)
			}
			return copied.CountEvent(ctx, key, limits)
		}
	}},
	"no context": {"context", func(s *provisioning.LimitMemory) alteredLimits {
		return func(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
			return s.CountEvent(context.WithoutCancel(ctx), key, limits)
		}
	}},
}

func TestLimitStoreMutants(t *testing.T) {
	for name, m := range limitStoreMutants {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(limitStoreChecks, func(c storeCheck[provisioning.LimitStore]) bool { return c.name == m.check })
			shared := &provisioning.LimitMemory{}
			failures := record(t, func(t T) {
				limitStoreChecks[i].run(t, func() provisioning.LimitStore { return m.alter(shared) })
			})
			if len(failures) == 0 {
				t.Errorf("the check %q passes on a store that is broken in this way", m.check)
			}
		})
	}
}

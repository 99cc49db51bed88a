package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestLoginLinkMemoryConforms(t *testing.T) {
	TestLoginLinkStore(t, func(*testing.T) func(*testing.T) provisioning.LoginLinkStore {
		s := &provisioning.LoginLinkMemory{}
		return func(*testing.T) provisioning.LoginLinkStore { return s }
	})
}

// alteredLinks is a LoginLinkStore that is broken where a function is set.
type alteredLinks struct {
	*provisioning.LoginLinkMemory
	put    func(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error
	open   func(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error)
	user   func(ctx context.Context, hash string) (id.UserID, error)
	remove func(ctx context.Context, userID id.UserID) error
}

func (a alteredLinks) PutLoginLink(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
	if a.put != nil {
		return a.put(ctx, userID, link, lifetime)
	}
	return a.LoginLinkMemory.PutLoginLink(ctx, userID, link, lifetime)
}

func (a alteredLinks) OpenLoginLink(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
	if a.open != nil {
		return a.open(ctx, link, session, lifetime)
	}
	return a.LoginLinkMemory.OpenLoginLink(ctx, link, session, lifetime)
}

func (a alteredLinks) LoginLinkUser(ctx context.Context, hash string) (id.UserID, error) {
	if a.user != nil {
		return a.user(ctx, hash)
	}
	return a.LoginLinkMemory.LoginLinkUser(ctx, hash)
}

func (a alteredLinks) RemoveLoginLink(ctx context.Context, userID id.UserID) error {
	if a.remove != nil {
		return a.remove(ctx, userID)
	}
	return a.LoginLinkMemory.RemoveLoginLink(ctx, userID)
}

var loginLinkStoreMutants = map[string]struct {
	check string
	alter func(s *provisioning.LoginLinkMemory) alteredLinks
}{
	"hashes in any case": {"link", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{user: func(ctx context.Context, hash string) (id.UserID, error) {
			return s.LoginLinkUser(ctx, strings.ToLower(hash))
		}}
	}},
	"unknown links are nobody's": {"link", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{user: func(ctx context.Context, hash string) (id.UserID, error) {
			userID, _ := s.LoginLinkUser(ctx, hash)
			return userID, nil
		}}
	}},
	"a look spends": {"link", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{user: func(ctx context.Context, hash string) (id.UserID, error) {
			userID, err := s.LoginLinkUser(ctx, hash)
			_ = s.RemoveLoginLink(ctx, userID)
			return userID, err
		}}
	}},
	"the session is not kept": {"opening", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
			userID, err := s.OpenLoginLink(ctx, link, session, lifetime)
			_ = s.RemoveLoginLink(ctx, userID)
			return userID, err
		}}
	}},
	"the link is not spent": {"opening", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, _ string, _ time.Duration) (id.UserID, error) {
			return s.LoginLinkUser(ctx, link)
		}}
	}},
	"opens whatever it is given": {"refused opening", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
			userID, err := s.OpenLoginLink(ctx, link, session, lifetime)
			if err != nil {
				return linkAlice, s.PutLoginLink(ctx, linkAlice, session, lifetime)
			}
			return userID, nil
		}}
	}},
	"a wrong link ends all": {"refused opening", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
			userID, err := s.OpenLoginLink(ctx, link, session, lifetime)
			if err != nil {
				_ = s.RemoveLoginLink(ctx, linkAlice)
			}
			return userID, err
		}}
	}},
	"one link in all": {"one of each user", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{put: func(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
			_ = s.RemoveLoginLink(ctx, linkBob)
			return s.PutLoginLink(ctx, userID, link, lifetime)
		}}
	}},
	"older links stay": {"one of each user", func(s *provisioning.LoginLinkMemory) alteredLinks {
		var older provisioning.LoginLinkMemory
		return alteredLinks{
			put: func(ctx context.Context, userID id.UserID, link string, lifetime time.Duration) error {
				_ = older.PutLoginLink(ctx, id.UserID(link), link, lifetime)
				return s.PutLoginLink(ctx, userID, link, lifetime)
			},
			user: func(ctx context.Context, hash string) (id.UserID, error) {
				if userID, err := older.LoginLinkUser(ctx, hash); err == nil {
					return userID, nil
				}
				return s.LoginLinkUser(ctx, hash)
			},
		}
	}},
	"links without end": {"end of a lifetime", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{put: func(ctx context.Context, userID id.UserID, link string, _ time.Duration) error {
			return s.PutLoginLink(ctx, userID, link, time.Hour)
		}}
	}},
	"sessions without end": {"end of a lifetime", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, session string, _ time.Duration) (id.UserID, error) {
			return s.OpenLoginLink(ctx, link, session, time.Hour)
		}}
	}},
	"sessions that end at once": {"end of a lifetime", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, session string, _ time.Duration) (id.UserID, error) {
			return s.OpenLoginLink(ctx, link, session, time.Millisecond)
		}}
	}},
	"nothing is removed": {"removal", func(*provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{remove: func(context.Context, id.UserID) error { return nil }}
	}},
	"everything is removed": {"removal", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{remove: func(ctx context.Context, userID id.UserID) error {
			_ = s.RemoveLoginLink(ctx, linkBob)
			return s.RemoveLoginLink(ctx, userID)
		}}
	}},
	"none is an error": {"removal", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{remove: func(ctx context.Context, userID id.UserID) error {
			_ = s.RemoveLoginLink(ctx, userID)
			return provisioning.ErrLoginLinkInvalid
		}}
	}},
	"each process for itself": {"two handles", func(*provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{LoginLinkMemory: &provisioning.LoginLinkMemory{}}
	}},
	"looks, then opens": {"race to open", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, _, session string, lifetime time.Duration) (id.UserID, error) {
			return linkAlice, s.PutLoginLink(ctx, linkAlice, session, lifetime)
		}}
	}},
	"puts beside": {"race to put", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{put: func(ctx context.Context, _ id.UserID, link string, lifetime time.Duration) error {
			return s.PutLoginLink(ctx, id.UserID(link), link, lifetime)
		}}
	}},
	"no context": {"context", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{user: func(ctx context.Context, hash string) (id.UserID, error) {
			return s.LoginLinkUser(context.WithoutCancel(ctx), hash)
		}}
	}},
	"a cancelled context is an invalid link": {"context", func(s *provisioning.LoginLinkMemory) alteredLinks {
		return alteredLinks{open: func(ctx context.Context, link, session string, lifetime time.Duration) (id.UserID, error) {
			userID, err := s.OpenLoginLink(ctx, link, session, lifetime)
			if err != nil {
				return "", provisioning.ErrLoginLinkInvalid
			}
			return userID, nil
		}}
	}},
}

func TestLoginLinkStoreMutants(t *testing.T) {
	for name, m := range loginLinkStoreMutants {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(loginLinkStoreChecks, func(c storeCheck[provisioning.LoginLinkStore]) bool { return c.name == m.check })
			shared := &provisioning.LoginLinkMemory{}
			failures := record(t, func(t T) {
				loginLinkStoreChecks[i].run(t, func() provisioning.LoginLinkStore {
					altered := m.alter(shared)
					if altered.LoginLinkMemory == nil {
						altered.LoginLinkMemory = shared
					}
					return altered
				})
			})
			if len(failures) == 0 {
				t.Errorf("the check %q passes on a store that is broken in this way", m.check)
			}
		})
	}
}

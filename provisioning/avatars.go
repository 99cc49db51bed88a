package provisioning

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

const (
	// avatarWorkers is how many users' avatars are fetched at a time, one after the
	// other for each user.
	avatarWorkers = 3
	// maxAvatarQueue is how many users' avatars wait to be fetched. Past it, a request
	// fetches none; a later one will.
	maxAvatarQueue = 100
)

// avatarFetcher gives ghosts their avatars in the background. Nothing is promised:
// what is not fetched when the process ends, the next list of contacts asks for.
type avatarFetcher struct {
	ghosts GhostAvatars // nil where contacts have no avatars
	needs  GhostUsers   // nil where it is not recorded who needs them
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	active requestGroup

	mu    sync.Mutex
	users map[id.UserID]*fetching // whose avatars are being fetched, or wait to be
}

// fetching is the work on one user's avatars.
type fetching struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func newAvatarFetcher(cfg Config) *avatarFetcher {
	f := &avatarFetcher{slots: make(chan struct{}, avatarWorkers), users: map[id.UserID]*fetching{}}
	f.ghosts, _ = cfg.Rooms.(GhostAvatars)
	f.needs, _ = cfg.Rooms.(GhostUsers)
	return f
}

// start has the avatars be fetched until ctx ends, or close. It comes before the first request.
func (f *avatarFetcher) start(ctx context.Context) { f.ctx, f.cancel = context.WithCancel(ctx) }

// of returns the avatars of some contacts of a user that were fetched before, by ID, and
// has the others fetched.
func (f *avatarFetcher) of(ctx context.Context, p *person, contacts []Contact) map[TelegramID]id.ContentURIString {
	if f.ghosts == nil {
		return nil
	}
	avatars, outdated, err := f.ghosts.Avatars(ctx, contacts)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Contacts are listed without avatars")
	}
	if photos, can := p.client.(PhotoGetter); can {
		f.fetch(p.userID, photos, outdated)
	}
	return avatars
}

// fetch updates the ghosts of some contacts of a user.
func (f *avatarFetcher) fetch(userID id.UserID, photos PhotoGetter, contacts []Contact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(contacts) == 0 || f.users[userID] != nil || len(f.users) >= maxAvatarQueue || f.active.enter() != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.ctx)
	work := &fetching{cancel, make(chan struct{})}
	f.users[userID] = work
	go func() {
		defer f.active.leave()
		defer func() {
			cancel()
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.users, userID)
			close(work.ended)
		}()
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
			f.update(ctx, userID, photos, contacts)
		case <-ctx.Done():
		}
	}()
}

// update updates the ghosts of some contacts of a user, one after the other.
func (f *avatarFetcher) update(ctx context.Context, userID id.UserID, photos PhotoGetter, contacts []Contact) {
	log := zerolog.Ctx(ctx)
	if err := recovering(func() error { return needGhosts(ctx, f.needs, userID, contacts...) }); err != nil {
		log.Warn().Err(err).Stringer("user_id", userID).Msg("Ghosts get no avatars")
		return
	}
	for _, contact := range contacts {
		err := recovering(func() error {
			return f.ghosts.UpdateGhost(ctx, contact, photoOf(photos, UserChatID(contact.ID), contact.PhotoID))
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Warn().Err(err).Stringer("user_id", userID).Int64("telegram_id", int64(contact.ID)).Msg("Could not give a ghost its avatar")
		}
		if stopsFetching(err) {
			return
		}
	}
}

// needGhosts records that a user needs the ghosts of some contacts, where that is recorded.
func needGhosts(ctx context.Context, needs GhostUsers, userID id.UserID, contacts ...Contact) error {
	if needs == nil {
		return nil
	}
	telegramIDs := make([]TelegramID, len(contacts))
	for i, contact := range contacts {
		telegramIDs[i] = contact.ID
	}
	if err := needs.NeedGhosts(ctx, userID, telegramIDs...); err != nil {
		return fmt.Errorf("record who needs ghosts: %w", err)
	}
	return nil
}

// stop has no avatars be fetched for a user any more. Errors: the context's.
func (f *avatarFetcher) stop(ctx context.Context, userID id.UserID) error {
	f.mu.Lock()
	work := f.users[userID]
	f.mu.Unlock()
	if work == nil {
		return nil
	}
	work.cancel()
	select {
	case <-work.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopsFetching says whether an error will be that of the next contact too.
func stopsFetching(err error) bool {
	return errors.Is(err, ErrNotLoggedIn) || errors.Is(err, errFloodWait) ||
		errors.Is(err, ErrTelegramUnavailable) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrHomeserver)
}

// close stops what is being fetched.
func (f *avatarFetcher) close() {
	if f.cancel != nil {
		f.cancel()
	}
}

// wait waits until nothing is being fetched. Errors: the context's.
func (f *avatarFetcher) wait(ctx context.Context) error { return f.active.close(ctx) }

// photoOf returns what downloads a photo, nil where there is none or nothing to
// download it with.
func photoOf(photos PhotoGetter, chatID ChatID, photoID int64) PhotoFunc {
	if photos == nil || photoID == 0 {
		return nil
	}
	return func(ctx context.Context) (Photo, error) { return photos.GetPhoto(ctx, chatID, photoID) }
}

package provisioning

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/keyed"
)

// accounts says who is logged in, and, in actors.go, who acts on Telegram.
//
// It keeps two records in step: the client's session, which says whether a user is logged
// in, and the user store's link, which says whose an account is. A crash may come between
// them; every request about a user mends what it finds. A bridge whose Users is only a
// UserReader has one record, and nothing to mend.
type accounts struct {
	users    UserReader
	links    UserStore // nil where Users is only a UserReader
	telegram TelegramClientFactory
	relayBot TelegramClient // nil where there is none
	events   *events
	// endDirect ends the portals of a user's direct chats with an account, endDirectOfOthers
	// those of everybody else.
	endDirect, endDirectOfOthers func(context.Context, id.UserID, TelegramID) error
	// moves has each account change hands one step after the other: a login looks for its
	// session, is recorded, and ends the sessions of others.
	moves keyed.Mutex[TelegramID]
}

func newAccounts(cfg Config, events *events) *accounts {
	links, _ := cfg.Users.(UserStore)
	return &accounts{users: cfg.Users, links: links, telegram: cfg.Telegram, relayBot: cfg.RelayBot, events: events}
}

// client returns the Telegram client of a user.
func (a *accounts) client(ctx context.Context, userID id.UserID) (TelegramClient, error) {
	client, err := a.telegram.Client(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("get the user's Telegram client: %w", err)
	}
	if missing(client) {
		return nil, errNoClient
	}
	return client, nil
}

// loggedIn returns the account that a user is logged in with. Errors: ErrNotLoggedIn, and
// errUnrecorded with the account.
func (a *accounts) loggedIn(ctx context.Context, p *person) (account Account, err error) {
	if a.links == nil {
		account, err := p.client.Account(ctx)
		if err != nil {
			return Account{}, fmt.Errorf("get the account: %w", err)
		}
		return account, nil
	}
	if p.user.Displaced {
		if p.user, err = a.endDisplaced(ctx, p.userID, p.user.TelegramID); err != nil {
			return Account{}, err
		}
	}
	account, err = p.client.Account(ctx)
	if differs := account.ID != p.user.TelegramID; differs && (err == nil || errors.Is(err, ErrNotLoggedIn)) && CachedReads(ctx) {
		// Either may be what was remembered from before the other changed.
		ctx = WithRecordedAccount(WithCachedReads(ctx, false), false)
		if p.user, err = a.users.User(ctx, p.userID); err != nil {
			return Account{}, fmt.Errorf("look up the user again: %w", err)
		}
		return a.loggedIn(ctx, p)
	}
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		if unlinkErr := a.unlink(ctx, p); unlinkErr != nil {
			return Account{}, unlinkErr
		}
		return Account{}, err
	case err != nil:
		return Account{}, fmt.Errorf("get the account: %w", err)
	case account.ID != p.user.TelegramID:
		// The process died after Telegram accepted a login and before it was linked.
		return account, a.claim(ctx, p, account)
	}
	return account, nil
}

// errUnrecorded: the user has a session of an account that is linked to another
// user. It is either a login that another request is just about to link, or one
// that was never linked because the process died, and whose account somebody else
// has logged in with since. As long as nobody tells which, it counts as logged out.
var errUnrecorded = fmt.Errorf("%w: there is a session, of an account that is linked to another user", ErrNotLoggedIn)

// checkLoggedOut returns nil for a user who is logged out, and an alreadyLoggedInError for
// one who is logged in. An unrecorded session is ended where a new login begins. To a step
// that goes on with a login it is the login that the step asks for: Telegram has accepted
// it, and it is linked now. Errors: errNotWhitelisted.
func (a *accounts) checkLoggedOut(ctx context.Context, p *person, begins bool) error {
	account, err := a.loggedIn(ctx, p)
	switch unrecorded := errors.Is(err, errUnrecorded); {
	case errors.Is(err, errLevelLost):
		return errNotWhitelisted
	case unrecorded && begins:
		var recorded bool
		if recorded, err = a.endUnrecorded(ctx, p, account); err == nil && !recorded {
			return nil
		}
	case unrecorded:
		err = a.link(ctx, p, account)
	case errors.Is(err, ErrNotLoggedIn):
		return nil
	}
	if err != nil {
		return err
	}
	return &alreadyLoggedInError{account}
}

// logOut logs a user out, and says whether the end of the session at Telegram is still to
// come. Errors: ErrNotLoggedIn.
func (a *accounts) logOut(ctx context.Context, p *person) (pending bool, err error) {
	if p.user.Displaced && a.links != nil {
		if p.user, err = a.endDisplaced(ctx, p.userID, p.user.TelegramID); err != nil {
			return false, err
		}
		if p.user.TelegramID == 0 {
			return false, ErrNotLoggedIn
		}
	}
	pending, err = p.client.Logout(ctx)
	if err != nil && !errors.Is(err, ErrNotLoggedIn) {
		return false, fmt.Errorf("log out: %w", err)
	}
	if unlinkErr := a.unlink(ctx, p); unlinkErr != nil {
		return false, unlinkErr
	}
	return pending, err
}

// endSession ends the session of a client, if there is one.
func endSession(ctx context.Context, client TelegramClient) error {
	if _, err := client.Logout(ctx); err != nil && !errors.Is(err, ErrNotLoggedIn) {
		return fmt.Errorf("end the session: %w", err)
	}
	return nil
}

// claim links an account that the user turns out to be logged in with, unless another user
// is linked to it: it takes no account from anybody, and ends no session but that of a user
// without the level for a login. Errors: errUnrecorded, errLevelLost.
func (a *accounts) claim(ctx context.Context, p *person, account Account) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	switch _, may, err := a.mayLogIn(ctx, p.userID); {
	case err != nil:
		return err
	case !may:
		recorded, err := a.endUnrecorded(ctx, p, account)
		if err != nil || recorded {
			return err
		}
		return errLevelLost
	}
	recorded, err := a.events.announce(ctx, EventLogin, p.userID, account.ID)
	if err != nil {
		return err
	}
	defer recorded()
	err = a.links.ClaimAccount(ctx, p.userID, account.ID)
	switch {
	case err == nil:
		p.user.TelegramID = account.ID
		a.endEarlier(ctx, p.userID, account.ID)
		return nil
	case !errors.Is(err, ErrAccountLinked):
		return fmt.Errorf("claim the account: %w", err)
	}
	zerolog.Ctx(ctx).Info().Msg("A session was never linked, and its account is another user's now")
	if err := a.unlink(ctx, p); err != nil {
		return err
	}
	return errUnrecorded
}

// errLevelLost: the user has lost the level for a login before theirs was recorded, and so
// the session was ended.
var errLevelLost = fmt.Errorf("%w: the level for a login was taken away", ErrNotLoggedIn)

// mayLogIn looks a user up now, and says whether they have the level for a login.
func (a *accounts) mayLogIn(ctx context.Context, userID id.UserID) (user User, may bool, err error) {
	if user, err = a.lookUp(ctx, userID); err != nil {
		return User{}, false, err
	}
	if may = mayUseTelegram(user); !may {
		zerolog.Ctx(ctx).Info().Msg("A user has lost the level for a login before it was recorded")
	}
	return user, may, nil
}

// lookUp returns what is known of a user now. One whom the store refuses has no level.
func (a *accounts) lookUp(ctx context.Context, userID id.UserID) (User, error) {
	user, err := a.users.User(WithCachedReads(ctx, false), userID)
	switch {
	case errors.Is(err, ErrMatrixUserRefused):
		return User{}, nil
	case err != nil:
		return User{}, fmt.Errorf("look up the user again: %w", err)
	}
	return user, nil
}

// link records that a user is logged in with an account, and logs out whoever was logged
// in with it before. A login whose session was ended meanwhile, by somebody else's with the
// account for example, takes the account from nobody. Errors: errNotWhitelisted for a user
// who has lost the level for a login meanwhile, and whose session was therefore ended.
func (a *accounts) link(ctx context.Context, p *person, account Account) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	unlock, err := a.moves.Lock(ctx, account.ID)
	if err != nil {
		return fmt.Errorf("wait for another login with the account: %w", err)
	}
	defer unlock()
	if err := a.admit(ctx, p); err != nil {
		return err
	}
	if a.links != nil {
		// The client knows without asking Telegram: it was this process that ended the session.
		current, err := p.client.Account(WithCachedReads(ctx, true))
		if errors.Is(err, ErrNotLoggedIn) || err == nil && current.ID != account.ID {
			zerolog.Ctx(ctx).Info().Msg("The session of a login was ended before it was recorded")
			return nil
		}
	}
	recorded, err := a.events.announce(ctx, EventLogin, p.userID, account.ID)
	if err != nil {
		return err
	}
	defer recorded()
	p.user.TelegramID = account.ID
	if a.links == nil {
		return nil
	}
	displaced, err := a.links.LinkAccount(ctx, p.userID, account.ID)
	if err != nil {
		return fmt.Errorf("link the account: %w", err)
	}
	for _, userID := range displaced {
		// The login itself has succeeded. A session that can't be ended now is
		// ended at its user's next request.
		if _, err := a.endDisplacedInTurn(ctx, userID, account.ID); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Stringer("displaced_user_id", userID).
				Msg("Could not end the session of a user whose account has moved")
		}
	}
	a.endEarlier(ctx, p.userID, account.ID)
	return nil
}

// endEarlier ends the direct chats that others have left behind who have logged out of an
// account, when a user has logged in with it: what is sent to the account is not for them. One
// that can't be ended now is ended when the user asks for it.
func (a *accounts) endEarlier(ctx context.Context, userID id.UserID, telegramID TelegramID) {
	if err := a.endDirectOfOthers(ctx, userID, telegramID); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Could not end the direct chats of those who had an account before")
	}
}

// admit returns nil for a login that may be recorded, and ends that of a user who has lost
// the level meanwhile. The caller has the turn of the account. Errors: errNotWhitelisted.
func (a *accounts) admit(ctx context.Context, p *person) error {
	user, may, err := a.mayLogIn(ctx, p.userID)
	switch {
	case err != nil && a.links != nil:
		return err // the user's next request finds the session unrecorded, and looks the level up
	case err != nil:
		return errors.Join(err, endSession(ctx, p.client)) // the session would be the record
	}
	p.user = user
	if may {
		return nil
	}
	if err := a.discard(ctx, p); err != nil {
		return err
	}
	return errNotWhitelisted
}

// discard ends a session that is not to be recorded.
func (a *accounts) discard(ctx context.Context, p *person) error {
	err := endSession(ctx, p.client)
	if err != nil || a.links == nil {
		return err
	}
	return a.unlink(ctx, p) // from what the user was logged in with before
}

// endUnrecorded ends a session that is not recorded, of an account that is linked to another
// user or of a user without the level for a login, and says whether it has been recorded
// meanwhile and goes on.
func (a *accounts) endUnrecorded(ctx context.Context, p *person, account Account) (recorded bool, err error) {
	unlock, err := a.moves.Lock(ctx, account.ID)
	if err != nil {
		return false, fmt.Errorf("wait for a login with the account: %w", err)
	}
	defer unlock()
	if p.user, err = a.lookUp(ctx, p.userID); err != nil {
		return false, err
	}
	if p.user.TelegramID == account.ID && !p.user.Displaced {
		return true, nil
	}
	return false, a.discard(ctx, p)
}

// endDisplaced logs a displaced user out and removes the link, unless that has been done
// meanwhile. It returns what is then known of the user.
func (a *accounts) endDisplaced(ctx context.Context, userID id.UserID, telegramID TelegramID) (User, error) {
	unlock, err := a.moves.Lock(ctx, telegramID)
	if err != nil {
		return User{}, fmt.Errorf("wait for a login with the account: %w", err)
	}
	defer unlock()
	return a.endDisplacedInTurn(ctx, userID, telegramID)
}

// endDisplacedInTurn is endDisplaced for whoever has the turn of the account.
func (a *accounts) endDisplacedInTurn(ctx context.Context, userID id.UserID, telegramID TelegramID) (User, error) {
	user, err := a.users.User(WithCachedReads(ctx, false), userID)
	switch {
	case errors.Is(err, ErrMatrixUserRefused): // and can't have logged in again
	case err != nil:
		return User{}, fmt.Errorf("look up a displaced user: %w", err)
	case user.TelegramID != telegramID || !user.Displaced:
		return user, nil
	}
	client, err := a.client(ctx, userID)
	if err != nil {
		return User{}, fmt.Errorf("end the session of a displaced user: %w", err)
	}
	if err := endSession(ctx, client); err != nil {
		return User{}, fmt.Errorf("log a displaced user out: %w", err)
	}
	if err := a.endDirect(ctx, userID, telegramID); err != nil {
		return User{}, fmt.Errorf("end the direct chats of a displaced user: %w", err)
	}
	user.TelegramID, user.Displaced = 0, false
	return user, a.removeLink(ctx, userID, telegramID)
}

// unlink removes the link of a user who is not logged in, if there is one.
func (a *accounts) unlink(ctx context.Context, p *person) error {
	if p.user.TelegramID == 0 {
		return nil
	}
	if err := a.removeLink(ctx, p.userID, p.user.TelegramID); err != nil {
		return err
	}
	p.user.TelegramID = 0
	return nil
}

// removeLink unlinks a user and tells the host of the logout.
func (a *accounts) removeLink(ctx context.Context, userID id.UserID, telegramID TelegramID) error {
	ctx, cancel := recording(ctx)
	defer cancel()
	recorded, err := a.events.announce(ctx, EventLogout, userID, telegramID)
	if err != nil {
		return err
	}
	defer recorded()
	if a.links == nil {
		return nil
	}
	if err := a.links.UnlinkAccount(ctx, userID, telegramID); err != nil {
		return fmt.Errorf("unlink the account: %w", err)
	}
	return nil
}

package provisioning

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// Forgotten says what [Provisioner.ForgetUser] has removed.
type Forgotten struct {
	// LoggedOut says that the user had a Telegram session, which was ended. Pending says
	// that Telegram has not confirmed that yet, and is asked until it does.
	LoggedOut bool
	Pending   bool
	// LoginCancelled says that the user had a half-done login, which was ended.
	LoginCancelled bool
	// Accounts are the Telegram accounts that the user was linked to.
	Accounts []TelegramID
	// Portals are those of the user's direct chats, which have ended. Everybody leaves
	// their rooms, in the background.
	Portals []Portal
	// Groups counts the portals, of groups and channels, that the user's account was recorded
	// to take part in. They stay.
	Groups int
	// Moved counts the portals of groups and channels that were recorded as the user's, with
	// an account that another Matrix user is logged in with by now. They stay, as that user's.
	Moved int
	// Ghosts counts the Telegram users whose name and avatar were kept for nobody else.
	Ghosts int
	// Tasks counts the background work that was recorded for the user, and is not done any
	// more. What others need of it is recorded anew, without the user.
	Tasks int
	// Missing names the optional interfaces that this host lacks, in alphabetical order.
	// What would have been found by them has not been looked for.
	Missing []string
}

// ForgetUser removes all that is kept of a Matrix user, and says what that was: it logs them
// out, ends a half-done login and a login link, ends the portals of their direct chats, and
// removes what names them, or somebody whom only they know, elsewhere. It is for hosts, and asks for no
// permission. It may be called before [Provisioner.Start].
//
// A direct chat is the user's who has asked for it last, with whichever account: also that
// of somebody who has logged out since. The user is found by what [PortalUsers] has recorded: of what was recorded
// without, only the portals of the account that they are logged in with are known to be
// theirs. The portals of groups and channels stay, since they belong to their rooms, and so
// does what others have of the user's account, as a contact of theirs.
//
// What the forgetting itself promises stays recorded until it is done: the clean-up of
// rooms, with the titles of their chats, and the [Config.Events] that tell the host of the
// logout and of the portals. These name the user; so do older events that the host has not
// taken yet, and sessions that Telegram has not confirmed the end of (Pending). Nothing does
// after that.
//
// After an error, or a crash, a part of it is done, and another call does the rest, whose
// Forgotten has that alone. What a request of the user's that is under way meanwhile
// records, or a later one, is not removed: a host takes their permission away before. It
// may be called concurrently. Errors: no Matrix user ID; those of the [Config]'s parts;
// ErrMatrixUserRefused; the Provisioner is closed.
func (p *Provisioner) ForgetUser(ctx context.Context, userID id.UserID) (Forgotten, error) {
	if _, err := checkUserID(string(userID)); err != nil {
		return Forgotten{}, err
	}
	if err := p.forgetting.enter(); err != nil {
		return Forgotten{}, err
	}
	defer p.forgetting.leave()
	f := &forgetter{services: &p.services, person: person{userID: userID}}
	for _, step := range []func(context.Context) error{
		f.findMissing, f.removeLink, f.stopWork, f.endLogins, f.removePortals, f.removeGhosts, f.removeTasks,
	} {
		if err := step(ctx); err != nil {
			return f.done, fmt.Errorf("forget a user: %w", err)
		}
	}
	return f.done, nil
}

// forgetter forgets one user.
type forgetter struct {
	*services
	person

	done   Forgotten
	finder AccountFinder // nil where the host has none
	users  PortalUsers   // nil where the host has none
}

// findMissing looks for the optional interfaces.
func (f *forgetter) findMissing(context.Context) error {
	var can bool
	missing := func(name string) {
		if !can {
			f.done.Missing = append(f.done.Missing, name)
		}
	}
	f.finder, can = f.accounts.users.(AccountFinder)
	missing("AccountFinder")
	can = f.portals.needs != nil
	missing("GhostUsers")
	f.users, can = f.portals.store.(PortalUsers)
	missing("PortalUsers")
	can = f.portals.rooms != nil
	missing("Rooms")
	return nil
}

// removeLink removes the user's login link or its session, which could log them in meanwhile.
func (f *forgetter) removeLink(ctx context.Context) error {
	if err := f.links.store.RemoveLoginLink(ctx, f.userID); err != nil {
		return fmt.Errorf("remove a login link: %w", err)
	}
	return nil
}

// stopWork stops what goes on for the user without a request that waits for it.
func (f *forgetter) stopWork(ctx context.Context) error {
	if err := f.qr.stop(ctx, f.userID); err != nil {
		return err
	}
	return f.avatars.stop(ctx, f.userID)
}

// maxLogins is how often a user is logged out, who may be logged in more than once, or log
// in again meanwhile.
const maxLogins = 20

var errLogsInAgain = errors.New("the user logs in again and again")

// endLogins logs the user out, until there is nothing left to log out. The portals of their
// account go before: afterwards, those that nobody is recorded for could not be found.
func (f *forgetter) endLogins(ctx context.Context) (err error) {
	if f.client, err = f.accounts.client(ctx, f.userID); err != nil {
		return err
	}
	for range maxLogins {
		if f.user, err = f.accounts.users.User(ctx, f.userID); err != nil {
			return fmt.Errorf("look up the user: %w", err)
		}
		linked := f.user.TelegramID != 0
		if linked && !f.user.Displaced {
			if err = f.removePortalsOf(ctx, f.user.TelegramID); err != nil {
				return err
			}
		}
		loggedOut, err := f.logOut(ctx)
		if err != nil {
			return err
		}
		cancelled, err := f.cancelLogin(ctx)
		switch {
		case errors.Is(err, ErrAlreadyLoggedIn): // since the logout
			continue
		case err != nil:
			return err
		}
		f.done.LoginCancelled = f.done.LoginCancelled || cancelled
		if !linked && !loggedOut {
			return nil
		}
	}
	return errLogsInAgain
}

// logOut ends the user's session and removes the link, and says whether there was a session.
func (f *forgetter) logOut(ctx context.Context) (bool, error) {
	telegramID, displaced := f.user.TelegramID, f.user.Displaced
	pending, err := f.accounts.logOut(ctx, &f.person)
	if err != nil && !errors.Is(err, ErrNotLoggedIn) {
		return false, err
	}
	if telegramID != 0 {
		f.done.Accounts = append(f.done.Accounts, telegramID)
	}
	loggedOut := err == nil || displaced
	f.done.LoggedOut, f.done.Pending = f.done.LoggedOut || loggedOut, f.done.Pending || pending
	return loggedOut, nil
}

// cancelLogin ends a half-done login, and says whether there was one. Errors:
// ErrAlreadyLoggedIn.
func (f *forgetter) cancelLogin(ctx context.Context) (bool, error) {
	control, can := f.client.(LoginControl)
	if !can {
		return false, nil
	}
	progress, err := control.LoginProgress(ctx)
	if err != nil {
		return false, fmt.Errorf("look for a half-done login: %w", err)
	}
	if err = control.CancelLogin(ctx); err != nil {
		return false, fmt.Errorf("cancel a half-done login: %w", err)
	}
	return progress.Step != LoginNone, nil
}

// removePortalsOf removes an account of the user's from all portals.
func (f *forgetter) removePortalsOf(ctx context.Context, account TelegramID) error {
	portals, err := f.portals.store.AccountPortals(ctx, account)
	if err != nil {
		return fmt.Errorf("list the portals of an account: %w", err)
	}
	for _, portal := range portals {
		if err := f.removePortal(ctx, UserPortal{portal, account}); err != nil {
			return err
		}
	}
	return nil
}

// removePortals removes what is recorded as the user's, of whichever account. Without an
// AccountFinder nobody could tell whose a group is now.
func (f *forgetter) removePortals(ctx context.Context) error {
	if f.users == nil || f.finder == nil {
		return nil
	}
	portals, err := f.users.UserPortals(ctx, f.userID)
	if err != nil {
		return fmt.Errorf("list the portals of a user: %w", err)
	}
	for _, portal := range portals {
		owner, err := f.finder.AccountUser(ctx, portal.Account)
		switch {
		case err != nil:
			return fmt.Errorf("look for the user of an account: %w", err)
		case owner != "" && owner != f.userID && portal.Receiver == 0:
			err = f.movePortal(ctx, portal, owner)
		default:
			err = f.removePortal(ctx, portal)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// movePortal records the portal of a group or channel as another user's.
func (f *forgetter) movePortal(ctx context.Context, portal UserPortal, owner id.UserID) error {
	if err := setUser(ctx, f.users, portal, owner); err != nil {
		return err
	}
	f.done.Moved++
	return nil
}

// removePortal ends the portal of a direct chat, and removes the account from another one,
// where the host can.
func (f *forgetter) removePortal(ctx context.Context, portal UserPortal) error {
	switch direct := portal.Receiver == portal.Account; {
	case direct && f.portals.rooms != nil:
		return f.endPortal(ctx, portal.Portal)
	case direct || f.users == nil:
		return nil
	}
	if err := f.users.RemoveAccount(ctx, portal); err != nil {
		return fmt.Errorf("remove an account from a portal: %w", err)
	}
	f.done.Groups++
	return nil
}

// endPortal ends a portal, after work on its room that has begun: that could keep what is
// removed afterwards.
func (f *forgetter) endPortal(ctx context.Context, portal Portal) error {
	return f.portals.inTurn(ctx, portal.RoomID, func() error {
		_, err := f.portals.end(ctx, portal, f.userID, true, false)
		switch {
		case errors.Is(err, ErrPortalNotFound): // somebody was faster
			return nil
		case err != nil:
			return err
		}
		f.done.Portals = append(f.done.Portals, portal)
		return nil
	})
}

// removeGhosts removes what is kept of people whom only the user knows.
func (f *forgetter) removeGhosts(ctx context.Context) (err error) {
	if f.portals.needs == nil {
		return nil
	}
	if f.done.Ghosts, err = f.portals.needs.ForgetGhosts(ctx, f.userID); err != nil {
		return fmt.Errorf("forget the user's ghosts: %w", err)
	}
	return nil
}

// removeTasks drops the user's tasks that are of no use any more.
func (f *forgetter) removeTasks(ctx context.Context) error {
	store := f.portals.outbox.store
	if store == nil {
		return nil
	}
	const page = 100
	for after := ""; ; {
		tasks, err := store.ListTasks(ctx, after, page)
		if err != nil {
			return fmt.Errorf("list the tasks: %w", err)
		}
		for _, t := range tasks {
			if _, userID := subjectOf(t); userID != f.userID {
				continue
			}
			if err := f.removeTask(ctx, t); err != nil {
				return err
			}
		}
		if len(tasks) < page {
			return nil
		}
		after = tasks[len(tasks)-1].ID
	}
}

// removeTask drops a task of the user's, unless somebody still needs what it does. A task of
// a later version is left to a process of that version.
func (f *forgetter) removeTask(ctx context.Context, t Task) error {
	need := false
	var err error
	switch t.Kind {
	case taskEvent:
		err = withRecord(ctx, t, func(ctx context.Context, record eventRecord) (err error) {
			need, err = f.portals.events.holds(ctx, record.event(t))
			return err
		})
	case taskSetUp:
		err = withRecord(ctx, t, f.setUpForOthers)
	case taskInvite, taskUndoCreate: // by the user's session, which is gone
	default:
		need = true
	}
	if need || errors.Is(err, errLaterRecord) {
		return nil
	}
	if err == nil {
		err = f.portals.outbox.store.FinishTask(ctx, t.ID)
	}
	if err != nil {
		return fmt.Errorf("drop a task: %w", err)
	}
	f.done.Tasks++
	return nil
}

// setUpForOthers has the room of a group be set up without the user, in place of a task
// that names them.
func (f *forgetter) setUpForOthers(ctx context.Context, record setUpRecord) error {
	if record.Contact != nil {
		return nil
	}
	is, err := isPortal(ctx, f.portals.store, Portal(record.Portal))
	if err != nil || !is {
		return err
	}
	record.UserID = ""
	if err := f.portals.outbox.store.AddTasks(ctx, newTask(taskSetUp, &record)); err != nil {
		return fmt.Errorf("record a task without the user: %w", err)
	}
	return nil
}

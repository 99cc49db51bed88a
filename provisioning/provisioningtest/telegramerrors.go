package provisioningtest

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// clientCall is a method of an ability, as it is called by somebody for whom it does its
// work.
type clientCall[B TelegramBackend] struct {
	name string
	// prepare brings a user to where the call does its work; nil is nothing to prepare.
	prepare func(t T, b B, c provisioning.TelegramClient, userID id.UserID)
	do      func(ctx context.Context, b B, c provisioning.TelegramClient) error
	// outcome is the error of the call that has done its work, nil for none.
	outcome error
}

// clientCalls are the methods of an ability, on a Telegram that arrange has arranged.
type clientCalls[B TelegramBackend] struct {
	arrange func(b B)
	calls   []clientCall[B]
}

// preparedCall is a call that is about to be made.
type preparedCall struct {
	name    string
	client  provisioning.TelegramClient
	fresh   bool // nothing was prepared, and so nothing can be lost
	outcome error
	do      func(context.Context) error
}

// prepared returns the calls, prepared for the users that a function returns for their
// numbers. A user is prepared once.
func (s clientCalls[B]) prepared(t T, b B, user func(int) id.UserID) (ready []preparedCall) {
	t.Helper()
	f := b.Open()
	s.arrange(b)
	done := map[id.UserID]bool{}
	for i, call := range s.calls {
		userID := user(i)
		ready = append(ready, call.ready(t, b, f, userID, !done[userID]))
		done[userID] = true
	}
	return ready
}

func (call clientCall[B]) ready(t T, b B, f provisioning.TelegramClientFactory, userID id.UserID, prepare bool) preparedCall {
	t.Helper()
	c := clientOf[provisioning.TelegramClient](t, f, userID)
	if call.prepare != nil && prepare {
		call.prepare(t, b, c, userID)
	}
	return preparedCall{call.name, c, call.prepare == nil, call.outcome, func(ctx context.Context) error { return call.do(ctx, b, c) }}
}

// logInFirst is the preparation of calls that need a login.
func logInFirst[B TelegramBackend](_ T, b B, _ provisioning.TelegramClient, userID id.UserID) {
	b.LogIn(userID, plainAccount.ID)
}

// again makes a call that has to do its work now.
func (p preparedCall) again(t T, when string) {
	t.Helper()
	if err := bounded(t, p.name, callDeadline, p.do); !errors.Is(err, p.outcome) {
		t.Errorf("%s %s: got the error %s, want %s", p.name, when, errorText(err), errorText(p.outcome))
	}
}

// usageChecks are what all methods promise that need a login.
func usageChecks[B TelegramBackend](s clientCalls[B]) []suiteCheck[B] {
	return append([]suiteCheck[B]{
		{"not logged in", "All methods may return ErrNotLoggedIn.", func(t T, b B) {
			f := b.Open()
			s.arrange(b)
			c := clientOf[provisioning.TelegramClient](t, f, userA)
			for _, call := range s.calls {
				wantError(t, call.name+" for somebody who never logged in", call.do(t.Context(), b, c), provisioning.ErrNotLoggedIn)
			}
		}},
		{"ended session", "ErrNotLoggedIn is returned also when the session has just turned out to have been ended from the outside: the client has then forgotten it.", func(t T, b B) {
			f := b.Open()
			s.arrange(b)
			for i, call := range s.calls {
				p := call.ready(t, b, f, claimant(i), true)
				b.Revoke(plainAccount.ID)
				wantError(t, p.name+" after the session was ended", bounded(t, p.name, callDeadline, p.do), provisioning.ErrNotLoggedIn)
				b.SetAway(true)
				wantError(t, "Account when Telegram can't be reached, after "+p.name+" has noticed that the session was ended",
					bounded(t, "Account", callDeadline, accountOf(p.client)), provisioning.ErrNotLoggedIn)
				b.SetAway(false)
			}
		}},
	}, errorChecksOf(s, func(int) id.UserID { return userA })...) // an account may have one user only
}

func accountOf(c provisioning.TelegramClient) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.Account(ctx)
		return err
	}
}

// errorChecks are what all methods promise that ask Telegram, each for a user of its own.
func errorChecks[B TelegramBackend](s clientCalls[B]) []suiteCheck[B] {
	return errorChecksOf(s, claimant)
}

// wantRefusal checks that all calls return a TelegramError for a refusal of Telegram's, with its
// meaning, where it has one.
func (s clientCalls[B]) wantRefusal(t T, b B, user func(int) id.UserID, code int, name string, meaning error) {
	t.Helper()
	ready := s.prepared(t, b, user)
	b.SetError(code, name)
	for _, call := range ready {
		err := bounded(t, call.name, callDeadline, call.do)
		refusal, ok := errors.AsType[*provisioning.TelegramError](err)
		if !ok || refusal.Code != code || refusal.Type != name {
			t.Errorf("%s, which Telegram answers with %d %s: got the error %s, want a TelegramError that says so", call.name, code, name, errorText(err))
		}
		if meaning != nil {
			wantError(t, call.name+", which Telegram answers with "+name, err, meaning)
		}
	}
}

// errorChecksOf are errorChecks for the users that a function returns for the numbers of
// the calls.
func errorChecksOf[B TelegramBackend](s clientCalls[B], user func(int) id.UserID) []suiteCheck[B] {
	return []suiteCheck[B]{
		{"flood wait", "All methods may return a FloodWaitError, whose Wait is the length of the pause from now.", func(t T, b B) {
			ready := s.prepared(t, b, user)
			b.SetError(420, "FLOOD_WAIT_3600")
			for _, call := range ready {
				err := bounded(t, call.name, callDeadline, call.do)
				flood, ok := errors.AsType[*provisioning.FloodWaitError](err)
				if !ok || flood.Wait <= time.Hour-time.Minute || flood.Wait > time.Hour {
					t.Errorf("%s, which Telegram answers with FLOOD_WAIT_3600: got the error %s, want a FloodWaitError of an hour", call.name, errorText(err))
				}
			}
			b.SetError(0, "")
			for _, call := range ready {
				if !call.fresh {
					call.again(t, "after the flood wait")
				}
			}
		}},
		{"refusal", "All methods may return a TelegramError for any other refusal of Telegram's.", func(t T, b B) {
			s.wantRefusal(t, b, user, 400, "REFUSED_FOR_A_TEST", nil)
		}},
		{"restricted account", "All methods may return ErrTelegramRestricted, which wraps a TelegramError.", func(t T, b B) {
			s.wantRefusal(t, b, user, 420, "FROZEN_METHOD_INVALID", provisioning.ErrTelegramRestricted)
		}},
		{"refused bridge", "All methods may return ErrBridgeRefused, which wraps a TelegramError.", func(t T, b B) {
			s.wantRefusal(t, b, user, 400, "API_ID_INVALID", provisioning.ErrBridgeRefused)
		}},
		{"Telegram away", "Methods return ErrTelegramUnavailable or the context's error when Telegram can't be reached, and honour the deadline.", func(t T, b B) {
			ready := s.prepared(t, b, user)
			b.SetAway(true)
			for _, call := range ready {
				err := bounded(t, call.name, awayDeadline, call.do)
				if !isOneOf(err, []error{provisioning.ErrTelegramUnavailable, context.DeadlineExceeded}) {
					t.Errorf("%s when Telegram can't be reached: got the error %s, want %v or the context's", call.name, errorText(err), provisioning.ErrTelegramUnavailable)
				}
			}
			b.SetAway(false)
			for _, call := range ready {
				call.again(t, "when Telegram can be reached again")
			}
		}},
		{"context", "Methods honour the context.", func(t T, b B) {
			ready := s.prepared(t, b, user)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for _, call := range ready {
				if err := call.do(ctx); err == nil || call.outcome != nil && errors.Is(err, call.outcome) {
					t.Errorf("%s with a cancelled context: got the error %s, want the context's", call.name, errorText(err))
				}
			}
			for _, call := range ready {
				call.again(t, "after a call with a cancelled context")
			}
		}},
	}
}

// alreadyCheck is what all methods promise that log in: they return ErrAlreadyLoggedIn to
// somebody who is logged in.
func alreadyCheck[B TelegramBackend](s clientCalls[B]) suiteCheck[B] {
	return suiteCheck[B]{"already logged in", "ErrAlreadyLoggedIn: a login was tried for a user who is logged in.", func(t T, b B) {
		f := b.Open()
		s.arrange(b)
		b.LogIn(userA, plainAccount.ID)
		c := clientOf[provisioning.TelegramClient](t, f, userA)
		for _, call := range s.calls {
			wantError(t, call.name+" for somebody who is logged in", bounded(t, call.name, callDeadline, func(ctx context.Context) error {
				return call.do(ctx, b, c)
			}), provisioning.ErrAlreadyLoggedIn)
		}
		wantAccount(t, c, plainAccount)
		wantSessions(t, b, plainAccount.ID, 1)
	}}
}

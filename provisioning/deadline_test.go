package provisioning_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// deaf is a hook that takes its time, whatever its context says.
func deaf(d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		advance(d)
		return nil
	}
}

// deafDatabase is deaf for a store whose driver does not look at the context.
func deafDatabase(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		defer provisioning.WaitsForDatabase(ctx)()
		return deaf(d)(ctx)
	}
}

// latest is when an answer has come whose operation does not end by itself.
const latest = 2*time.Second + provisioning.Overdue

func inTwoSeconds(_ *bridge, cfg *provisioning.Config) { cfg.Timeout = 2 * time.Second }

// wantSentence checks that an answer is for a fault with what has to stand in its sentence.
func (a answer) wantSentence(t *testing.T, text string) {
	t.Helper()
	a.want(t, 500, "unknown_error")
	if !strings.Contains(a.field("error"), text) {
		t.Errorf("the sentence is %q, want %q in it", a.field("error"), text)
	}
}

// What Telegram has accepted is recorded beyond the deadline, though the answer is there.
func TestRecordingGoesOnAfterTheDeadline(t *testing.T) {
	for name, hook := range map[string]func(time.Duration) func(context.Context) error{"the context is honoured": sleep, "it is not": deafDatabase} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newBridge(t, inTwoSeconds)
				b.login(t, alice, requestAlice)
				b.users.On("LinkAccount", hook(4*time.Second))
				start := time.Now()
				a := b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`)
				if took := time.Since(start); took != latest {
					t.Errorf("the answer came after %s, want %s", took, latest)
				}
				a.want(t, 500, "unknown_error")
				if under := b.provisioner.UnderWay(); under != [4]int{1, 0, 0, 1} {
					t.Errorf("%v are under way while the login is being recorded", under)
				}
				b.close(t)
				if took := time.Since(start); took != 4*time.Second {
					t.Errorf("Close has returned %s after the request, want 4s", took)
				}
				if u, err := b.users.User(t.Context(), alice); err != nil || u.TelegramID != aliceAccount.ID {
					t.Errorf("the user is %+v, %v; want the login recorded", u, err)
				}
				if under := b.provisioner.UnderWay(); under != [4]int{} {
					t.Errorf("%v are under way at the end", under)
				}
				if !strings.Contains(b.log.String(), "An operation has ended after its request was answered at the deadline") {
					t.Errorf("the log says nothing of what came of it:\n%s", b.log)
				}
			})
		})
	}
}

// Whatever a store waits for, the answer blames neither Telegram nor the homeserver.
func TestDeadlineOfADatabase(t *testing.T) {
	away := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", provisioning.ErrDatabase, ctx.Err())
	}
	for _, c := range []struct {
		name     string
		hook     func(context.Context) error
		sentence string
		took     time.Duration
	}{
		{"fails at once", func(context.Context) error { return provisioning.ErrDatabase }, "database can't be used", 0},
		{"ends with the context", away, "database can't be used", 2 * time.Second},
		{"does not see the context", deafDatabase(time.Minute), "database can't be used", latest},
		{"says nothing", deaf(time.Minute), "no answer in time", latest},
	} {
		for _, request := range [][2]string{
			{"/logout", "UnlinkAccount"}, {"/login/send_code", "LinkAccount"}, {"/login/request_code", "RequestCode"},
		} {
			t.Run(c.name+request[0], func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					b := newBridge(t, inTwoSeconds)
					switch request[1] {
					case "UnlinkAccount":
						b.logIn(t, alice, aliceAccount)
					case "LinkAccount":
						b.login(t, alice, requestAlice)
					}
					if request[1] != "RequestCode" && c.name == "ends with the context" {
						return // it is recorded beyond the deadline
					}
					b.on(request[1], c.hook)
					start := time.Now()
					a := b.call(t, http.MethodPost, user(alice, request[0]), `{"phone":"+15550100","code":"01234"}`)
					a.wantSentence(t, c.sentence)
					if took := time.Since(start); took != c.took {
						t.Errorf("the answer came after %s, want %s", took, c.took)
					}
				})
			})
		}
	}
}

// A read that finds something to record waits for it until its deadline. The next one finds it
// again.
func TestReadsRecordUntilTheirDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inTwoSeconds)
		b.telegram.LogIn(alice, aliceAccount.ID) // which is not recorded
		b.users.On("ClaimAccount", func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", provisioning.ErrDatabase, ctx.Err())
		})
		start := time.Now()
		b.call(t, http.MethodGet, user(alice, ""), "").wantSentence(t, "database can't be used")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the answer came after %s, want 2s", took)
		}
		b.users.On("ClaimAccount", nil)
		b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
		if u, err := b.users.User(t.Context(), alice); err != nil || u.TelegramID != aliceAccount.ID {
			t.Errorf("the user is %+v, %v; want the login recorded", u, err)
		}
	})
}

// A panic of an operation that was answered already ends nothing.
func TestPanicAfterTheDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, inTwoSeconds)
		b.telegram.On("RequestCode", func(context.Context) error {
			advance(3 * time.Second)
			panic("late")
		})
		b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550100"}`).want(t, 500, "unknown_error")
		b.close(t)
		if !strings.Contains(b.log.String(), "panic: late") {
			t.Errorf("the log has no panic:\n%s", b.log)
		}
	})
}

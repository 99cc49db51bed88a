package provisioning_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"
)

// atOnce sends the requests at once and returns the answers in their order.
func (b *bridge) atOnce(t *testing.T, requests ...*http.Request) []answer {
	t.Helper()
	answers := make([]answer, len(requests))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() {
			<-start
			answers[i] = b.send(t, r)
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// results returns "status errcode" of each answer, sorted.
func results(answers []answer) []string {
	var r []string
	for _, a := range answers {
		r = append(r, fmt.Sprintf("%d %s", a.status, a.field("errcode")))
	}
	slices.Sort(r)
	return r
}

func post(userID id.UserID, step [2]string) *http.Request {
	return newRequest(http.MethodPost, user(userID, "/login/"+step[0]), step[1])
}

func TestTwoRequestsForACode(t *testing.T) {
	b := newBridge(t)
	got := results(b.atOnce(t, post(alice, requestAlice), post(alice, requestAlice)))
	if !slices.Equal(got, []string{"200 ", "200 "}) {
		t.Errorf("two requests for a code at once: %q", got)
	}
	b.login(t, alice, [2]string{"send_code", `{"code":"01234"}`})
}

// Two requests have passed the check that the user is logged out, before either
// logs in: one does, the other is told so.
func TestTwoLoginsAtOnce(t *testing.T) {
	cases := map[string]struct {
		method string
		before [][2]string
		step   [2]string
		other  string
	}{
		"code":     {"SubmitCode", [][2]string{requestAlice}, [2]string{"send_code", `{"code":"01234"}`}, "409 already_logged_in"},
		"password": {"SubmitPassword", [][2]string{requestGuarded, codeGuarded}, [2]string{"send_password", `{"password":" open sesame "}`}, "409 already_logged_in"},
		"bot":      {"LoginBot", nil, [2]string{"bot_token", `{"token":"` + botAccount.Token + `"}`}, "409 already_logged_in"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.login(t, alice, c.before...)
			gate := b.telegram.Hold(c.method)
			go func() {
				<-gate.Entered()
				<-gate.Entered()
				gate.Release()
			}()
			answers := b.atOnce(t, post(alice, c.step), post(alice, c.step))
			if got := results(answers); !slices.Equal(got, []string{"200 ", c.other}) {
				t.Errorf("two logins at once: %q", got)
			}
			for _, a := range answers {
				if a.field("state") != "logged-in" {
					t.Errorf("the state is not logged-in in %s", a.body)
				}
			}
			b.expectUser(t, alice, b.telegram.LoggedIn(alice), false, b.telegram.LoggedIn(alice))
		})
	}
}

// Many users log in with one account at once: in the end it is one's.
func TestManyUsersOneAccount(t *testing.T) {
	b := newBridge(t, manyCodes)
	var requests []*http.Request
	var userIDs []id.UserID
	for i := range 20 {
		userID := id.UserID(fmt.Sprintf("@racer-%d:example.com", i))
		userIDs = append(userIDs, userID)
		b.login(t, userID, requestAlice)
		requests = append(requests, post(userID, [2]string{"send_code", `{"code":"01234"}`}))
	}
	for _, a := range b.atOnce(t, requests...) {
		a.want(t, 200, "")
	}
	owners := 0
	for _, userID := range userIDs {
		a := b.call(t, http.MethodGet, user(userID, ""), "")
		a.want(t, 200, "")
		if b.telegram.LoggedIn(userID) != 0 {
			owners++
			b.expectUser(t, userID, aliceAccount.ID, false, aliceAccount.ID)
		}
	}
	if owners != 1 || b.users.Len() != 1 {
		t.Errorf("%d users are logged in with the account and there are %d rows, want one of each", owners, b.users.Len())
	}
}

// Everything at once for one user: whatever comes out, the two records agree.
func TestEverythingAtOnce(t *testing.T) {
	b := newBridge(t)
	for range 20 {
		var requests []*http.Request
		for path, method := range everyPath() {
			requests = append(requests, newRequest(method, path, `{"phone":"+15550100","code":"01234","password":"x","token":"`+botAccount.Token+`"}`))
		}
		for _, a := range b.atOnce(t, requests...) {
			if a.status >= 500 {
				t.Errorf("got %d %s", a.status, a.body)
			}
		}
		b.call(t, http.MethodGet, user(alice, ""), "").want(t, 200, "")
		session := b.telegram.LoggedIn(alice)
		b.expectUser(t, alice, session, false, session)
	}
}

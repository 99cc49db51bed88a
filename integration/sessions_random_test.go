package integration

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// CONTRIBUTING.md has the command for the full number.
var operations = flag.Int("operations", 50, "how many random operations on sessions there are on each database")

// Random operations of some people in one or two processes, which are killed meanwhile, with
// Telegram going away now and then: in the end, the sessions that are alive at Telegram are
// those of the rows that are logged in, and no secret was ever in clear in the database.
func TestSessionsAreThoseOfTheRows(t *testing.T) {
	for name, processes := range map[string]int{"sqlite": 1, "postgres": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRandomRun(t, databases[name](t), processes)
			for r.done < *operations {
				r.round()
				if r.rounds%4 == 0 {
					r.wantNoSecrets()
				}
			}
			took := r.quiet()
			r.wantNoSecrets()
			before := r.wantExact()
			for i := range r.processes {
				r.kill(i)
			}
			r.startAll()
			assert.Equal(t, before, r.wantExact(), "a restart has changed something")
			r.report(took)
		})
	}
}

// people is how many Matrix users and Telegram accounts there are. Any user may log in to any
// account.
const people = 6

// randomRun is a bridge of some processes, and what is done to it.
type randomRun struct {
	t        *testing.T
	telegram *telegramtest.Server
	database string
	raw      *sql.DB
	flags    []string
	random   *rand.Rand
	accounts []telegramtest.Account
	done     int // operations
	rounds   int
	kills    int

	mu        sync.Mutex
	processes []*example // nil for one that is down
	answers   map[string]int
	logs      strings.Builder // of processes that were killed
}

func newRandomRun(t *testing.T, database string, processes int) *randomRun {
	t.Helper()
	r := &randomRun{
		t: t, telegram: telegramtest.NewServer(t, telegramtest.Config{}), database: database, random: newRandom(t),
		processes: make([]*example, processes), answers: map[string]int{},
	}
	for i := range int64(people) {
		r.accounts = append(r.accounts, randomAccount(8_100+i))
	}
	for _, a := range r.accounts {
		require.NoError(t, r.telegram.AddAccount(a))
	}
	r.flags = []string{"-db", database, "-telegram-dc", r.telegram.Addr(), "-telegram-key", writeKey(t, r.telegram)}
	r.startAll()
	r.raw = openRaw(t, database)
	return r
}

// randomAccount returns an account whose names and secrets are nobody else's. Two of six are
// bots, and two have a password.
func randomAccount(id int64) telegramtest.Account {
	text := strings.ToLower(secretText())
	a := telegramtest.Account{ID: id, FirstName: "First" + text, Username: "user" + text}
	if id%3 == 0 {
		a.Bot, a.Token = true, fmt.Sprintf("%d:%s", id, secretText())
		return a
	}
	a.Phone = fmt.Sprintf("99966%09d", rand.IntN(1e9))
	a.Contacts = []int64{8_100, 8_101}
	if id%3 == 1 {
		a.Password, a.PasswordHint = secretText(), "hint "+secretText()
	}
	return a
}

// user returns a Matrix user by number.
func (r *randomRun) user(number int) string { return fmt.Sprintf("@user%d:example.com", number) }

// startAll starts the processes that are down.
func (r *randomRun) startAll() {
	r.t.Helper()
	for i, e := range r.processes {
		if e == nil {
			e = startExample(r.t, r.flags...)
			r.mu.Lock()
			r.processes[i] = e
			r.mu.Unlock()
		}
	}
}

// kill kills a process, unless it is down.
func (r *randomRun) kill(i int) {
	r.mu.Lock()
	e := r.processes[i]
	r.processes[i] = nil
	r.mu.Unlock()
	if e != nil {
		e.kill(r.t)
		r.mu.Lock()
		r.logs.WriteString(e.stderr.String())
		r.mu.Unlock()
	}
}

// logOf returns the lines of the processes' logs that have a text in them.
func (r *randomRun) logOf(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	logs := r.logs.String()
	for _, e := range r.processes {
		if e != nil {
			logs += e.stderr.String()
		}
	}
	var found strings.Builder
	for line := range strings.Lines(logs) {
		if strings.Contains(line, text) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// home returns the process that a user is routed to: their own, or another one while that is
// down; -1 for none.
func (r *randomRun) home(user int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.processes {
		if p := (user + i) % len(r.processes); r.processes[p] != nil {
			return p
		}
	}
	return -1
}

// url returns where the API is for a user, "" for nowhere.
func (r *randomRun) url(user int) string {
	p := r.home(user)
	r.mu.Lock()
	defer r.mu.Unlock()
	if p < 0 || r.processes[p] == nil {
		return ""
	}
	return r.processes[p].url
}

// round has some users do something at once, and something go wrong meanwhile.
func (r *randomRun) round() {
	r.rounds++
	if len(r.processes) == 1 || r.random.IntN(2) == 0 {
		r.startAll()
	}
	users := r.random.Perm(people)[:1+r.random.IntN(4)]
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	var work sync.WaitGroup
	var methods []string
	for _, user := range users {
		o := randomOperations[r.random.IntN(len(randomOperations))]
		methods = append(methods, o.methods...)
		one := &operator{randomRun: r, ctx: ctx, user: user, random: rand.New(rand.NewPCG(r.random.Uint64(), 0))}
		work.Go(func() { o.run(one) })
		r.done++
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		work.Wait()
	}()
	fault := randomFaults[r.random.IntN(len(randomFaults))]
	fault(r, faultRound{finished: finished, method: methods[r.random.IntN(len(methods))], process: r.home(users[0])})
	<-finished
}

// faultRound is what a fault needs to know of a round.
type faultRound struct {
	finished <-chan struct{}
	method   string // that a user calls, or may call
	process  int    // of one of the users
}

// arrival holds the calls of the method, and waits until there is one, or the round is over.
func (r *randomRun) arrival(f faultRound) (release func()) {
	held := r.telegram.Hold(f.method)
	select {
	case <-held.Arrived():
	case <-f.finished:
	}
	return held.Release
}

// pause waits for a time, or until the round is over.
func (r *randomRun) pause(f faultRound) {
	timer := time.NewTimer(time.Duration(r.random.IntN(2000)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.finished:
	}
}

// randomFaults are what may go wrong in a round. Some stand here more than once.
var randomFaults = []func(*randomRun, faultRound){
	nothing, nothing, killed, killed, killedAfter, killedAfter, dropped, dropped, refused, blackholed, logOutFails, logOutIsHeld,
}

func nothing(*randomRun, faultRound) {}

// killed kills a process before Telegram does what it was asked for.
func killed(r *randomRun, f faultRound) {
	release := r.arrival(f)
	r.killIn(f)
	release()
}

// killedAfter kills a process when Telegram is about to do it, or has done it.
func killedAfter(r *randomRun, f faultRound) {
	r.arrival(f)()
	r.killIn(f)
}

// killIn kills the process of a round, if another one can take its users, or none is needed.
func (r *randomRun) killIn(f faultRound) {
	select {
	case <-f.finished: // in the middle of a request, or not at all
		return
	default:
	}
	if f.process >= 0 && (len(r.processes) == 1 || !slices.Contains(r.processes, nil)) {
		r.kills++
		r.kill(f.process)
	}
}

func dropped(r *randomRun, f faultRound) {
	release := r.arrival(f)
	r.telegram.DropConnections()
	release()
}

func refused(r *randomRun, f faultRound) {
	r.telegram.Refuse(true)
	r.pause(f)
	r.telegram.Refuse(false)
}

func blackholed(r *randomRun, f faultRound) {
	r.telegram.Blackhole(true)
	r.pause(f)
	r.telegram.Blackhole(false)
}

func logOutFails(r *randomRun, _ faultRound) {
	r.telegram.Fail("auth.logOut", 1+r.random.IntN(8), 500, "INTERNAL")
}

// logOutIsHeld has the connections break while Telegram is asked to end a session.
func logOutIsHeld(r *randomRun, f faultRound) {
	held := r.telegram.Hold("auth.logOut")
	<-f.finished
	r.telegram.DropConnections()
	held.Release()
}

// quiet has everything be reachable, and waits until all that was promised is done. It returns
// how long that took.
func (r *randomRun) quiet() time.Duration {
	r.telegram.Fail("auth.logOut", 0, 0, "")
	r.startAll()
	begun := time.Now()
	r.settle()
	for user := range people {
		r.me(user) // whose account has moved is logged out at the latest now
	}
	r.settle()
	return time.Since(begun)
}

// expire has the time be over of all half-done logins.
func (r *randomRun) expire() {
	_, err := r.raw.ExecContext(r.t.Context(), `UPDATE tgprovision_session SET due_at=0 WHERE step IN ('code', 'password') AND due_at>0`)
	assert.NoError(r.t, err)
}

// settle waits until all sessions are logged in or ended. Half-done logins expire, also those
// that come to be meanwhile: a code was scanned, and its page closed.
func (r *randomRun) settle() {
	r.t.Helper()
	settled := func() bool {
		r.expire()
		return count(r.t, r.raw, `SELECT COUNT(*) FROM tgprovision_session WHERE step<>'active'`) == 0
	}
	if !assert.Eventually(r.t, settled, 5*time.Minute, 100*time.Millisecond, "sessions stay that were to be ended") {
		for _, row := range rowsOf(r.t, r.raw, `SELECT user_id, step, attempts, due_at, ending_at, final_at FROM tgprovision_session WHERE step<>'active'`) {
			r.t.Log(row)
		}
		for _, e := range r.processes {
			r.t.Log(e.stderr)
		}
		r.t.FailNow()
	}
}

// me returns the account that a user is logged in with, 0 for none.
func (r *randomRun) me(user int) int64 {
	r.t.Helper()
	status, answer := r.processes[r.home(user)].call(r.t, "GET", "/v1/user/"+r.user(user), "")
	require.Equal(r.t, 200, status, "%v", answer)
	if who, ok := answer["telegram"].(map[string]any); ok {
		return int64(who["id"].(float64))
	}
	return 0
}

// wantExact checks that the sessions at Telegram are those of the rows, and that whoever is
// said to be logged in is. It returns how the auth keys of each account begin.
func (r *randomRun) wantExact() map[int64][]string {
	r.t.Helper()
	rows, users := r.rows(), map[string]int64{}
	for _, row := range rows {
		users[row.user] = row.account
	}
	want, got := map[int64][]string{}, map[int64][]string{}
	for _, row := range rows {
		want[row.account] = append(want[row.account], row.authKey)
	}
	for _, a := range r.accounts {
		for _, key := range r.telegram.AccountKeys(a.ID) {
			got[a.ID] = append(got[a.ID], fmt.Sprintf("%x", key[:8]))
		}
	}
	for id := range want {
		slices.Sort(want[id])
		slices.Sort(got[id])
	}
	require.Equal(r.t, want, got, "the rows are %v", users)
	for user := range people {
		account := r.me(user)
		require.Equal(r.t, users[r.user(user)], account, "user %d; the rows are %v", user, users)
		// A login asks Telegram, and not what is remembered.
		status, answer := r.processes[r.home(user)].call(r.t, "POST", "/v1/user/"+r.user(user)+"/login/bot_token", `{"token":"1:wrong"}`)
		require.Equal(r.t, account != 0, status == 409, "%d %v", status, answer)
	}
	return got
}

// report logs what has happened.
func (r *randomRun) report(took time.Duration) {
	var lines []string
	for _, answer := range slices.Sorted(maps.Keys(r.answers)) {
		lines = append(lines, fmt.Sprintf("%s: %d", answer, r.answers[answer]))
	}
	r.t.Logf("%d operations in %d rounds, %d kills; %d auth keys, %d sessions left; quiet after %s; the answers were:\n%s",
		r.done, r.rounds, r.kills, len(r.telegram.AuthKeys()), len(r.rows()), took.Round(time.Second), strings.Join(lines, "\n"))
}

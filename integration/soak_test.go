package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// soakTime is how long TestSoak runs: go test -run TestSoak -soak 30m -timeout 0 -v.
var soakTime = flag.Duration("soak", 0, "how long TestSoak runs, with a sample each minute; 0 is a few rounds")

// What a bridge may have more of at the end than at the beginning: a tenth, and what
// comes and goes.
const (
	soakGrowth     = 0.1
	soakBytes      = 2 << 20
	soakGoroutines = 12 // a connection to Telegram, which somebody who hung up may leave for a while
)

// sample is what there was at a moment in which the bridge had nothing to do.
type sample struct {
	at                       time.Duration
	rounds                   int
	heapInUse, heapAllocated uint64
	goroutines               int
}

// soaker is somebody who does everything that the API has, over and over.
type soaker struct {
	*soak
	user   *mautrix.Client
	number int
	rooms  []id.RoomID
	stays  bool // logged in between the rounds
	random *rand.Rand
}

// soak is a bridge in this process, with what calls it.
type soak struct {
	t       *testing.T
	url     string
	outside *outside
	http    *http.Client
}

// TestSoak runs a bridge for a time with everything that happens to bridges, and checks
// that it needs no more memory and goroutines at the end than at the beginning.
func TestSoak(t *testing.T) {
	soakers := 4
	if *soakTime == 0 {
		soakers = 2 // most of the time goes to key exchanges
	}
	s := newSoak(t, soakers)
	var all []*soaker
	for n := range soakers {
		all = append(all, s.newSoaker(n))
	}
	begun := time.Now()
	var samples []sample
	rounds := 0
	for {
		last := time.Now()
		for again := true; again; again = *soakTime > 0 && time.Since(last) < time.Minute && time.Since(begun) < *soakTime {
			rounds++
			var work sync.WaitGroup
			for _, one := range all {
				work.Go(one.round)
			}
			work.Wait()
			s.outside.dropConnections(t)
			require.False(t, t.Failed())
		}
		now := s.sample(rounds)
		now.at = time.Since(begun)
		samples = append(samples, now)
		if *soakTime == 0 && len(samples) == 3 || *soakTime > 0 && now.at >= *soakTime {
			break
		}
	}
	t.Logf("the samples:\n%s", table(samples))
	warm := samples[max(1, len(samples)/10):]
	third := max(1, len(warm)/3)
	first, final := warm[:third], warm[len(warm)-third:]
	flat := func(what string, of func(sample) uint64, more uint64) {
		middle := func(part []sample) uint64 {
			var values []uint64
			for _, one := range part {
				values = append(values, of(one))
			}
			return median(values)
		}
		from, to := middle(first), middle(final)
		assert.LessOrEqual(t, to, from+uint64(soakGrowth*float64(from))+more, "%s has grown from %d to %d", what, from, to)
	}
	flat("the heap", func(one sample) uint64 { return one.heapInUse }, soakBytes)
	flat("the number of goroutines", func(one sample) uint64 { return uint64(one.goroutines) }, soakGoroutines)
}

// table is the samples as people read them.
func table(samples []sample) string {
	var lines strings.Builder
	lines.WriteString("| time | rounds | heap in use | allocated | goroutines |\n|---|---|---|---|---|\n")
	for _, one := range samples {
		fmt.Fprintf(&lines, "| %s | %d | %.2f MB | %.2f MB | %d |\n", one.at.Round(time.Second), one.rounds,
			float64(one.heapInUse)/1e6, float64(one.heapAllocated)/1e6, one.goroutines)
	}
	return lines.String()
}

// newSoak starts everything. Telegram and the homeserver are in another process, so that
// only the bridge, and what calls it, is in the samples.
func newSoak(t *testing.T, users int) *soak {
	t.Helper()
	listener := httptest.NewUnstartedServer(nil)
	file := filepath.Join(t.TempDir(), "registration.yaml")
	runExample(t, "-generate-registration", file)
	registration, err := appservice.LoadRegistration(file)
	require.NoError(t, err)
	registration.URL = "http://" + listener.Listener.Addr().String()
	require.NoError(t, registration.Save(file))
	o := startOutside(t, outsideConfig{Busy: users, Dialogs: 1000, Registration: file, Users: users})
	as, err := appservice.CreateFull(appservice.CreateOpts{Registration: registration, HomeserverDomain: dendriteDomain, HomeserverURL: o.Homeserver})
	require.NoError(t, err)
	h := startHost(t, hostConfig{
		database: databases["sqlite"](t), datacenter: o.datacenter(t), appservice: as, listener: listener,
	})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &soak{t: t, url: h.url, outside: o, http: client}
}

// newSoaker makes a user with rooms that the bridge bot is in. Every other one is logged
// in between the rounds.
func (s *soak) newSoaker(number int) *soaker {
	one := &soaker{soak: s, user: s.outside.user(s.t, number), number: number, stays: number%2 == 1, random: rand.New(rand.NewPCG(1, uint64(number)))}
	bot := id.NewUserID("telegrambot", dendriteDomain)
	for range 3 {
		created, err := one.user.CreateRoom(s.t.Context(), &mautrix.ReqCreateRoom{Preset: "private_chat", Invite: []id.UserID{bot}})
		require.NoError(s.t, err)
		one.rooms = append(one.rooms, created.RoomID)
		require.Eventually(s.t, func() bool {
			var member event.MemberEventContent
			err := one.user.StateEvent(s.t.Context(), created.RoomID, event.StateMember, string(bot), &member)
			return err == nil && member.Membership == event.MembershipJoin
		}, time.Minute, 10*time.Millisecond)
	}
	return one
}

// sample waits until the bridge has nothing to do, and looks at it.
func (s *soak) sample(rounds int) sample {
	s.http.CloseIdleConnections()
	waitForRest()
	m := heapInUse()
	return sample{rounds: rounds, heapInUse: m.HeapInuse, heapAllocated: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// waitForRest waits until a bridge in this process has nothing to do. What the last
// requests began goes on for a while, and broken connections are made again: it is over
// when the number of goroutines stays the same.
func waitForRest() {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	const same, most = 30, 600
	before, since := 0, 0
	for range most {
		<-ticker.C
		since++
		if now := runtime.NumGoroutine(); now != before {
			before, since = now, 0
		}
		if since == same {
			break
		}
	}
}

// round does everything once.
func (s *soaker) round() {
	if s.stays {
		s.leave()
		s.enter()
	} else {
		s.enter()
		s.leave()
	}
}

// enter logs in and uses the account.
func (s *soaker) enter() {
	account := accountOf(s.number)
	s.want(200, http.MethodPost, "/login/request_code", `{"phone":"+`+account.Phone+`"}`)
	s.want(401, http.MethodPost, "/login/send_code", `{"code":"99999"}`)
	s.want(200, http.MethodPost, "/login/send_code", `{"code":"12345"}`)
	for i, roomID := range s.rooms {
		portal := "/portal/" + string(roomID)
		who := "?user_id=" + string(s.user.UserID)
		s.send(200, http.MethodGet, "/user/"+string(s.user.UserID), "")
		s.want(200, http.MethodGet, "/chats", "")
		s.want(200, http.MethodGet, "/contacts", "")
		s.send(202, http.MethodPost, fmt.Sprintf("%s/connect/%d%s", portal, -1_000_000_000_000-account.ID*10-int64(i), who), "")
		s.send(200, http.MethodGet, portal+who, "")
		s.hangUp(http.MethodGet, "/chats")
		s.send(202, http.MethodPost, portal+"/disconnect"+who+"&sync=true", "")
		s.send(404, http.MethodGet, portal, "")
	}
}

// leave logs out, and does what somebody can do who is logged out.
func (s *soaker) leave() {
	s.send(0, http.MethodPost, "/user/"+string(s.user.UserID)+"/logout", "") // 403 in the first round
	s.want(403, http.MethodGet, "/chats", "")
	s.wrongSecret()
	s.openQR()
	s.hangUp(http.MethodPost, "/login/request_code")
	s.want(200, http.MethodDelete, "/login", "")
}

// want sends a request about the user.
func (s *soaker) want(status int, method, path, body string) {
	s.send(status, method, "/user/"+string(s.user.UserID)+path, body)
}

// send sends a request and checks the status of its answer; 0 is any.
func (s *soaker) send(status int, method, path, body string) {
	got, answer, err := s.request(s.t.Context(), secret, method, path, body)
	if assert.NoError(s.t, err) && status != 0 {
		assert.Equal(s.t, status, got, "%s %s: %s", method, path, answer)
	}
}

// hangUp sends a request about the user and does not wait for the answer.
func (s *soaker) hangUp(method, path string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(s.random.IntN(int(5*time.Millisecond))))
	defer cancel()
	_, _, err := s.request(ctx, secret, method, "/user/"+string(s.user.UserID)+path, `{"phone":"+`+accountOf(s.number).Phone+`"}`)
	if err != nil {
		assert.ErrorIs(s.t, err, context.DeadlineExceeded)
	}
}

// wrongSecret sends a wrong secret. Sooner or later that is too many.
func (s *soaker) wrongSecret() {
	status, _, err := s.request(s.t.Context(), "not-the-secret-at-all", http.MethodGet, "/bridge", "")
	assert.NoError(s.t, err)
	assert.Contains(s.t, []int{http.StatusUnauthorized, http.StatusTooManyRequests}, status)
}

func (s *soaker) request(ctx context.Context, secret, method, path, body string) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+"/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	response, err := s.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	raw, err := io.ReadAll(response.Body)
	return response.StatusCode, string(raw), err
}

// openQR begins a login by QR code, and closes the page once the code is there.
func (s *soaker) openQR() {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	address := "ws" + strings.TrimPrefix(s.url, "http") + "/v1/user/" + string(s.user.UserID) + "/login/qr"
	socket, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: s.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + secret}}, Subprotocols: []string{"net.maunium.telegram.login"},
	})
	if !assert.NoError(s.t, err) {
		return
	}
	_, message, err := socket.Read(ctx)
	assert.NoError(s.t, err)
	assert.Contains(s.t, string(message), "tg://login")
	_ = socket.CloseNow()
}

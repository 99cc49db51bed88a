package integration

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/gotd/td/session"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram"
)

// BenchmarkClientMemory compares the memory of a host with many users who are connected
// with that of as many clients of gotd alone. Both start with the same sessions, in
// turns, and have asked who they are.
//
// Memory is what is allocated on the heap after a garbage collection, and the stacks of
// goroutines, without what the process takes that has started no client yet: it keeps
// something of each goroutine that it ever had, and what the clients have left behind
// would make those that come after them look smaller. How much the heap takes beyond that
// depends on how much garbage there was before, and was the same for both.
func BenchmarkClientMemory(b *testing.B) {
	const (
		users  = 1000
		rounds = 3
	)
	outside := startOutside(b, outsideConfig{Accounts: users, LoggedIn: true})
	datacenter := outside.datacenter(b)
	sessions := make([][]byte, users)
	for n := range sessions {
		sessions[n] = sessionOf(b, datacenter, n)
	}
	idle := takeUsage()
	eachDatabase(b, func(b *testing.B, kind string) {
		database := databases[kind](b)
		fill(b, database, amounts{})
		putSessions(b, database, sessions)
		var ratios, hostKB, rawKB, hostGoroutines, rawGoroutines []float64
		for b.Loop() {
			for range rounds {
				raw := idle.more(func() (stop func()) { return startRaws(b, datacenter, sessions) })
				host := idle.more(func() (stop func()) { return startUsers(b, database, datacenter, users) })
				ratios = append(ratios, raw.ratio(host))
				hostKB, rawKB = append(hostKB, host.bytes/users/1000), append(rawKB, raw.bytes/users/1000)
				hostGoroutines, rawGoroutines = append(hostGoroutines, host.goroutines/users), append(rawGoroutines, raw.goroutines/users)
			}
		}
		b.ReportMetric(median(ratios), "x-of-gotd")
		b.ReportMetric(median(rawKB), "gotd-KB")
		b.ReportMetric(median(hostKB), "user-KB")
		b.ReportMetric(median(rawGoroutines), "gotd-goroutines")
		b.ReportMetric(median(hostGoroutines), "user-goroutines")
	})
}

// together runs a function for each number, a few at once.
func together(n int, run func(int)) {
	numbers := make(chan int)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for i := range numbers {
				run(i)
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	work.Wait()
}

// sessionOf returns the session of an account that is logged in from the beginning.
func sessionOf(b *testing.B, dc *telegram.Datacenter, account int) []byte {
	b.Helper()
	key := authKeyOf(account).WithID()
	memory := &session.StorageMemory{}
	storage := session.Loader{Storage: memory}
	require.NoError(b, storage.Save(b.Context(), &session.Data{DC: dc.ID, Addr: dc.Addr, AuthKey: key.Value[:], AuthKeyID: key.ID[:]}))
	data, err := memory.LoadSession(b.Context())
	require.NoError(b, err)
	return data
}

// putSessions stores the sessions of users who are logged in.
func putSessions(b *testing.B, database string, sessions [][]byte) {
	b.Helper()
	db := openDatabase(b, database)
	defer func() { require.NoError(b, db.Close()) }()
	tx, err := db.RawDB.BeginTx(b.Context(), nil)
	require.NoError(b, err)
	for n, data := range sessions {
		account := accountOf(n)
		details := fmt.Sprintf(`{"version":1,"account":{"id":%d,"username":"%s"}}`, account.ID, account.Username)
		_, err := tx.ExecContext(b.Context(), `INSERT INTO tgprovision_session (id, user_id, step, session, details, account_id, due_at)
			VALUES ($1, $2, 'active', $3, $4, $5, 0)`,
			fmt.Sprint("row", n), userOf(n)[len("/user/"):], append([]byte{0}, data...), append([]byte{0}, details...), account.ID)
		require.NoError(b, err)
		_, err = tx.ExecContext(b.Context(), `INSERT INTO tgprovision_user (user_id, telegram_id, displaced) VALUES ($1, $2, false)`,
			userOf(n)[len("/user/"):], account.ID)
		require.NoError(b, err)
	}
	require.NoError(b, tx.Commit())
	makeSessions(b, db)
}

// startRaws starts clients with sessions, and has each ask who it is.
func startRaws(b *testing.B, dc *telegram.Datacenter, sessions [][]byte) (stop func()) {
	b.Helper()
	clients := make([]*rawClient, len(sessions))
	together(len(sessions), func(n int) {
		memory := &session.StorageMemory{}
		if err := memory.StoreSession(b.Context(), sessions[n]); err != nil {
			b.Error(err)
		}
		clients[n] = startRaw(b, dc, memory)
		clients[n].wait(b)
		if _, err := clients[n].Self(b.Context()); err != nil {
			b.Error(err)
		}
	})
	require.False(b, b.Failed())
	return func() { together(len(clients), func(n int) { clients[n].stop() }) }
}

// startUsers starts a host, and has each user asked for, who is connected with that.
func startUsers(b *testing.B, database string, dc *telegram.Datacenter, users int) (stop func()) {
	b.Helper()
	h := startHost(b, hostConfig{database: database, datacenter: dc})
	api := dialWire(b, h.url)
	for n := range users {
		api.ask(b, http.MethodGet, userOf(n), "")
	}
	require.NoError(b, api.Close())
	return h.stop
}

// usage is what something takes of the process.
type usage struct{ bytes, goroutines float64 }

// ratio returns the memory of another one against this one's.
func (u usage) ratio(other usage) float64 { return other.bytes / u.bytes }

// takeUsage returns what the process takes when it has come to rest.
func takeUsage() usage {
	waitForRest()
	m := heapInUse()
	return usage{float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())}
}

// more returns how much more the process takes with something that is started, and stopped
// afterwards.
func (u usage) more(start func() (stop func())) usage {
	stop := start()
	with := takeUsage()
	stop()
	return usage{with.bytes - u.bytes, with.goroutines - u.goroutines}
}

package telegram_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gotd/td/telegram/dcs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram"
)

// lockDatabase has another process write to the database until unlock is called.
func (b *bridge) lockDatabase() (unlock func()) {
	b.t.Helper()
	other := openDatabase(b.t, b.database)
	tx, err := other.RawDB.BeginTx(context.WithoutCancel(b.t.Context()), nil)
	require.NoError(b.t, err)
	return func() {
		assert.NoError(b.t, tx.Rollback())
		assert.NoError(b.t, other.Close())
	}
}

// exhaustPool takes the only connection to the database until back is called.
func (b *bridge) exhaustPool() (back func()) {
	b.t.Helper()
	b.db.RawDB.SetMaxOpenConns(1)
	conn, err := b.db.RawDB.Conn(b.t.Context())
	require.NoError(b.t, err)
	return func() { assert.NoError(b.t, conn.Close()) }
}

// databaseFault asserts that an answer blames the database.
func (a answer) databaseFault(t *testing.T) {
	t.Helper()
	a.is(t, 500, "unknown_error")
	assert.Contains(t, a.body["error"], "The bridge's database can't be used")
}

// A database that is away is the answer of whatever needs it, at the deadline at the latest.
func TestDatabaseAway(t *testing.T) {
	for name, fault := range map[string]func(b *bridge) (back func()){
		"locked": (*bridge).lockDatabase,
		"closed": func(b *bridge) func() {
			require.NoError(b.t, b.db.Close())
			return func() {}
		},
		"exhausted": (*bridge).exhaustPool,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			b.logIn(you, ada)
			b.requestCode(them, grace).is(t, 200, "")
			b.timeout = 2 * time.Second
			b.restart()
			back := fault(b)
			defer back()
			b.post(you, "/logout", "").databaseFault(t)
			b.post(them, "/login/send_code", `{"code":"`+grace.Code+`"}`).databaseFault(t)
			const another = "@else:example.com"
			b.requestCode(another, ada).databaseFault(t)
			b.post(another, "/login/bot_token", `{"token":"`+helper.Token+`"}`).databaseFault(t)
			b.call(http.MethodGet, "/bridge", "").is(t, 200, "") // which needs no database
		})
	}
}

// A login that Telegram has accepted is recorded, though the database was locked until the
// deadline of its request.
func TestLoginIsRecordedAfterTheDeadline(t *testing.T) {
	b := newBridge(t)
	b.requestCode(you, ada).is(t, 200, "")
	client, err := b.factory.Client(t.Context(), you)
	require.NoError(t, err)
	const deadline = 3 * time.Second // by when Telegram has accepted it
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	unlock := b.lockDatabase()
	recorded := make(chan error, 1)
	go func() {
		_, err := client.(provisioning.PhoneLogin).SubmitCode(ctx, provisioning.TextLoginCode(ada.Code))
		recorded <- err
	}()
	<-ctx.Done()
	assert.Empty(t, recorded)
	unlock()
	require.NoError(t, <-recorded)
	assert.NotNil(t, b.get(you, "").telegramOf(t))
}

func TestChecker(t *testing.T) {
	t.Run("Telegram", func(t *testing.T) {
		provisioningtest.TestChecker(t, func(t *testing.T) provisioningtest.CheckerBackend {
			var away atomic.Bool
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
				if away.Load() {
					return nil, syscall.ECONNREFUSED
				}
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			}
			b := newBridge(t, withConfig(func(c *telegram.Config) { c.Resolver = dcs.Plain(dcs.PlainOptions{Dial: dial}) }))
			return provisioningtest.CheckerBackend{
				Checker: b.factory, Fault: provisioning.ErrTelegramUnavailable,
				Away: func() { away.Store(true) },
				Back: func() { away.Store(false) },
			}
		})
	})
	t.Run("database", func(t *testing.T) {
		provisioningtest.TestChecker(t, func(t *testing.T) provisioningtest.CheckerBackend {
			b := newBridge(t)
			return provisioningtest.CheckerBackend{
				Checker: b.factory, Fault: provisioning.ErrDatabase,
				Away: func() { require.NoError(t, b.db.Close()) },
			}
		})
	})
}

// A check starts no client and makes no auth key, and believes a connection that there is.
func TestCheckStartsNothing(t *testing.T) {
	config, dialled := countDials()
	b := newBridge(t, withConfig(config), withExchanges)
	require.NoError(t, b.factory.Check(t.Context()))
	assert.EqualValues(t, 1, dialled.Load())
	assert.Zero(t, b.factory.Stats())
	assert.Empty(t, b.telegram.AuthKeys())

	b.logIn(you, helper)
	before := dialled.Load()
	require.NoError(t, b.factory.Check(t.Context()))
	assert.Equal(t, before, dialled.Load())
}

// A database that somebody has locked for longer than the check lasts can't be used.
func TestCheckOfALockedDatabase(t *testing.T) {
	b := newBridge(t)
	unlock := b.lockDatabase()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, b.factory.Check(ctx), provisioning.ErrDatabase)
	unlock()
	require.NoError(t, b.factory.Check(t.Context()))
}

package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// BenchmarkSessionKeys compares what sessions cost that are encrypted with what they cost in
// clear, in turns: a client's start with a stored session, up to the first answer of
// Telegram's, and the look at who is logged in that get_me takes after that.
func BenchmarkSessionKeys(b *testing.B) {
	eachDatabase(b, func(b *testing.B, kind string) {
		const turns = 200
		ctx := b.Context()
		outside := startOutside(b, outsideConfig{Accounts: 2})
		plain := newSessionHost(b, databases[kind](b), outside.datacenter(b))
		encrypted := newSessionHost(b, databases[kind](b), outside.datacenter(b), telegram.NewSessionKey())
		var starts, looks [2][]time.Duration
		for b.Loop() {
			for turn := range turns {
				for i := range 2 {
					which := (turn + i) % 2
					h := []*sessionHost{plain, encrypted}[which]
					h.open(b)
					starts[which] = append(starts[which], h.account(ctx, b))
					looks[which] = append(looks[which], h.account(ctx, b))
					h.close(ctx, b)
				}
			}
		}
		b.ReportMetric(float64(median(starts[1]))/float64(median(starts[0])), "start-of-clear")
		b.ReportMetric(float64(median(looks[1]))/float64(median(looks[0])), "get_me-of-clear")
		b.ReportMetric(0, "ns/op")
	})
}

// sessionHost is a Factory whose only user is logged in.
type sessionHost struct {
	cfg     telegram.Config
	factory *telegram.Factory
}

func newSessionHost(b *testing.B, database string, dc *telegram.Datacenter, keys ...telegram.SessionKey) *sessionHost {
	b.Helper()
	db := openDatabase(b, database)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	h := &sessionHost{cfg: telegram.Config{DB: db, APIID: 1, APIHash: "hash", Datacenter: dc, SessionKeys: keys, AccountAge: -1}}
	h.open(b)
	login := h.client(b).(provisioning.PhoneLogin)
	_, err := login.RequestCode(b.Context(), accountOf(0).Phone)
	require.NoError(b, err)
	_, err = login.SubmitCode(b.Context(), provisioning.TextLoginCode("12345"))
	require.NoError(b, err)
	h.close(b.Context(), b)
	return h
}

func (h *sessionHost) open(b *testing.B) {
	b.Helper()
	var err error
	h.factory, err = telegram.NewFactory(b.Context(), h.cfg)
	require.NoError(b, err)
}

func (h *sessionHost) close(ctx context.Context, b *testing.B) {
	b.Helper()
	require.NoError(b, h.factory.Close(ctx))
}

func (h *sessionHost) client(b *testing.B) provisioning.TelegramClient {
	b.Helper()
	client, err := h.factory.Client(b.Context(), id.UserID("@alice:example.com"))
	require.NoError(b, err)
	return client
}

// account asks who is logged in, and returns how long that took.
func (h *sessionHost) account(ctx context.Context, b *testing.B) time.Duration {
	b.Helper()
	client, began := h.client(b), time.Now()
	_, err := client.Account(ctx)
	took := time.Since(began)
	require.NoError(b, err)
	return took
}

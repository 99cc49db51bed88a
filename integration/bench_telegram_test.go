package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gotd/td/session"
	gotd "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// rawClient is a client of gotd alone, as somebody would write it who needs nothing
// else: the reference for what the library does with the same.
type rawClient struct {
	*gotd.Client
	cancel context.CancelFunc
	ready  chan struct{}
	done   chan struct{}
}

// startRaw starts a client with a session that is kept in memory. It does not wait for
// the connection.
//
// The options are those that telegram.Config makes for a bridge that takes no updates:
// gotd then asks Telegram for none, also because there is no handler.
func startRaw(t testing.TB, dc *telegram.Datacenter, memory *session.StorageMemory) *rawClient {
	t.Helper()
	host, port, err := net.SplitHostPort(dc.Addr)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	c := &rawClient{
		Client: gotd.NewClient(1, "hash", gotd.Options{
			DC:             dc.ID,
			DCList:         dcs.List{Options: []tg.DCOption{{ID: dc.ID, IPAddress: host, Port: number, Static: true}}},
			PublicKeys:     []gotd.PublicKey{{RSA: dc.Key}},
			SessionStorage: memory,
		}),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		defer close(c.done)
		_ = c.Run(ctx, func(ctx context.Context) error {
			close(c.ready)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	return c
}

// wait waits until the client is connected.
func (c *rawClient) wait(t testing.TB) {
	t.Helper()
	select {
	case <-c.ready:
	case <-c.done:
		require.Fail(t, "a client could not connect")
	}
}

func (c *rawClient) stop() {
	c.cancel()
	<-c.done
}

// sendCode asks for a login code.
func (c *rawClient) sendCode(t testing.TB, phone string) *tg.AuthSentCode {
	t.Helper()
	answer, err := c.Auth().SendCode(t.Context(), "+"+phone, auth.SendCodeOptions{})
	require.NoError(t, err)
	sent, ok := answer.(*tg.AuthSentCode)
	require.True(t, ok, "%T", answer)
	return sent
}

// logIn logs in to an account.
func (c *rawClient) logIn(t testing.TB, account int) {
	t.Helper()
	phone := accountOf(account).Phone
	_, err := c.Auth().SignIn(t.Context(), phone, telegramtest.DefaultCode, c.sendCode(t, phone).PhoneCodeHash)
	require.NoError(t, err)
}

// dialogs pages through all dialogs, in the shortest way that gets all of those that
// Telegram's test server has: the last dialog of a page has a message, and a group or
// channel that the page describes.
func (c *rawClient) dialogs(t testing.TB) (count int) {
	t.Helper()
	request := &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}, Limit: 100}
	for {
		answer, err := c.API().MessagesGetDialogs(t.Context(), request)
		require.NoError(t, err)
		page, ok := answer.AsModified()
		require.True(t, ok, "%T", answer)
		count += len(page.GetDialogs())
		slice, more := page.(*tg.MessagesDialogsSlice)
		if !more || len(slice.Dialogs) == 0 {
			return count
		}
		last := slice.Messages[len(slice.Messages)-1].(*tg.Message)
		request.OffsetDate, request.OffsetID = last.Date, last.ID
		switch chat := slice.Chats[len(slice.Chats)-1].(type) {
		case *tg.Chat:
			request.OffsetPeer = chat.AsInputPeer()
		case *tg.Channel:
			request.OffsetPeer = chat.AsInputPeer()
		}
	}
}

// userOf is the Matrix user who logs in to an account.
func userOf(account int) string { return fmt.Sprintf("/user/@somebody%d:example.com", account) }

// ask sends a request that has to succeed, and returns how long the answer took.
func (w *wire) ask(t testing.TB, method, path, body string) time.Duration {
	t.Helper()
	begun := time.Now()
	status, err := w.send(method, path, body)
	took := time.Since(begun)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s %s", method, path)
	return took
}

// logIn logs a user in to an account.
func (w *wire) logIn(t testing.TB, account int) {
	t.Helper()
	w.ask(t, http.MethodPost, userOf(account)+"/login/request_code", `{"phone":"+`+accountOf(account).Phone+`"}`)
	w.ask(t, http.MethodPost, userOf(account)+"/login/send_code", `{"code":"`+telegramtest.DefaultCode+`"}`)
}

// BenchmarkLists compares the first list of many chats with what gotd alone takes for the
// same dialogs, and the next lists of chats and of contacts with the first ones. All
// clients are connected. Each first list is of an account that the host has not listed
// since its start, so that none can come from memory. The bridge has portals, of other chats.
func BenchmarkLists(b *testing.B) {
	const (
		accounts = 21
		starts   = 3 // of the host, which then has no list: a login takes longer than all lists
		again    = 3 // lists after the first one
		dialogs  = 10_000
		contacts = 5000
	)
	eachDatabase(b, func(b *testing.B, kind string) {
		var first turns
		var chatsAgain, contactsAgain, contactsFirst []time.Duration
		var chatsRatios, contactsRatios []float64
		var mostCalls int64
		for b.Loop() {
			outside := startOutside(b, outsideConfig{Busy: accounts, Dialogs: dialogs, Contacts: contacts})
			datacenter := outside.datacenter(b)
			var calls atomic.Int64
			database := databases[kind](b)
			fill(b, database, amounts{portals: fewRows.portals})
			start := func() (*host, *wire) {
				h := startHost(b, hostConfig{
					database: database, datacenter: datacenter,
					tune: func(cfg *telegram.Config) { cfg.Observer.Call = func(string, string, time.Duration) { calls.Add(1) } },
				})
				return h, dialWire(b, h.url)
			}
			h, api := start()
			var raw []*rawClient
			for account := range accounts {
				api.logIn(b, account)
				raw = append(raw, startRaw(b, datacenter, &session.StorageMemory{}))
				raw[account].wait(b)
				raw[account].logIn(b, account)
			}
			for range starts {
				h.stop()
				h, api = start()
				for account := range accounts {
					api.ask(b, http.MethodGet, userOf(account), "") // and so they are connected
				}
				// lists asks for a list a few times and returns how long it took at first.
				lists := func(path string, took *[]time.Duration, ratios *[]float64) time.Duration {
					cold := api.ask(b, http.MethodGet, path, "")
					for range again {
						before := calls.Load()
						warm := api.ask(b, http.MethodGet, path, "")
						mostCalls = max(mostCalls, calls.Load()-before)
						*took, *ratios = append(*took, warm), append(*ratios, warm.Seconds()/cold.Seconds())
					}
					return cold
				}
				first.take(accounts, func(account int) time.Duration {
					begun := time.Now()
					count := raw[account].dialogs(b)
					took := time.Since(begun)
					require.Equal(b, dialogs, count)
					return took
				}, func(account int) time.Duration { return lists(userOf(account)+"/chats", &chatsAgain, &chatsRatios) })
				for account := range accounts {
					contactsFirst = append(contactsFirst, lists(userOf(account)+"/contacts", &contactsAgain, &contactsRatios))
				}
			}
			h.stop()
			for _, client := range raw {
				client.stop()
			}
		}
		milliseconds := func(took []time.Duration) float64 { return median(took).Seconds() * 1000 }
		b.ReportMetric(median(first.ratios), "x-of-gotd")
		b.ReportMetric(median(chatsRatios), "chats-of-cold")
		b.ReportMetric(median(contactsRatios), "contacts-of-cold")
		b.ReportMetric(float64(mostCalls), "calls")
		b.ReportMetric(milliseconds(first.reference), "gotd-ms")
		b.ReportMetric(milliseconds(first.measured), "chats-cold-ms")
		b.ReportMetric(milliseconds(chatsAgain), "chats-warm-ms")
		b.ReportMetric(milliseconds(contactsFirst), "contacts-cold-ms")
		b.ReportMetric(milliseconds(contactsAgain), "contacts-warm-ms")
	})
}

// BenchmarkRequestCode compares a request for a login code, of somebody who has no
// connection to Telegram, with what gotd takes to connect, exchange keys and ask.
func BenchmarkRequestCode(b *testing.B) {
	eachDatabase(b, func(b *testing.B, kind string) {
		const (
			rounds = 15
			batch  = 4 // one after the other
		)
		outside := startOutside(b, outsideConfig{Accounts: 2 * batch, FullProof: true})
		datacenter := outside.datacenter(b)
		h := startHost(b, hostConfig{database: databases[kind](b), datacenter: datacenter})
		api := dialWire(b, h.url)
		asked := func(int) (took time.Duration) {
			for account := range batch {
				took += api.ask(b, http.MethodPost, userOf(account)+"/login/request_code", `{"phone":"+`+accountOf(account).Phone+`"}`)
				api.ask(b, http.MethodDelete, userOf(account)+"/login", "") // and with it the connection
			}
			return took
		}
		raw := func(int) (took time.Duration) {
			for account := range batch {
				begun := time.Now()
				client := startRaw(b, datacenter, &session.StorageMemory{})
				client.wait(b)
				client.sendCode(b, accountOf(batch+account).Phone)
				took += time.Since(begun)
				client.stop()
			}
			return took
		}
		asked(0) // so that everything is there that is made once
		raw(0)
		var t turns
		for b.Loop() {
			t.take(rounds, raw, asked)
		}
		b.ReportMetric(median(t.ratios), "x-of-gotd")
		b.ReportMetric(median(t.reference).Seconds()*1000/batch, "gotd-ms")
		b.ReportMetric(median(t.measured).Seconds()*1000/batch, "request-ms")
		h.stop()
	})
}

package telegramtest_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gotd/td/session"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// eventually repeats a call until gotd has connected anew.
func (c *client) eventually(do func() error) {
	c.t.Helper()
	for {
		err := do()
		if err == nil {
			return
		}
		require.NoError(c.t, c.t.Context().Err())
		select {
		case <-c.stopped:
			require.NoError(c.t, c.err)
			return
		default:
		}
	}
}

func (c *client) self() error {
	_, err := c.Self(c.t.Context())
	return err
}

func TestFail(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	s.Fail("users.getUsers", 2, 420, "FLOOD_WAIT_5")
	s.Fail("users.getUsers", 1, 500, "INTERNAL")
	for range 2 {
		rpcError(t, c.self(), 420, "FLOOD_WAIT_5")
	}
	rpcError(t, c.self(), 500, "INTERNAL")
	c.is(ada)
	for message, code := range map[string]int{
		"Timeout": -503, "RPC_CALL_FAIL": 500, "SESSION_REVOKED": 401, "CHAT_WRITE_FORBIDDEN": 403, "UPDATE_APP_TO_LOGIN": 406, "MSG_WAIT_FAILED": -500,
	} {
		s.Fail("users.getUsers", 1, code, message)
		rpcError(t, c.self(), code, message)
	}
	s.Fail("users.getUsers", 1, 303, "USER_MIGRATE_2") // gotd follows to where it is
	c.is(ada)
	s.Fail(telegramtest.AnyMethod, 1, 400, "ANY")
	s.Fail("users.getUsers", 1, 400, "THIS")
	rpcError(t, c.self(), 400, "THIS")
	rpcError(t, c.self(), 400, "ANY")
	s.Fail("users.getUsers", 5, 400, "THIS")
	s.Fail("users.getUsers", 0, 0, "")
	c.is(ada)

	s.ResetCalls()
	c.is(ada)
	s.Fail("messages.createChat", 1, 400, "USERS_TOO_FEW") // methods that it does not know too
	_, err := c.API().MessagesCreateChat(t.Context(), &tg.MessagesCreateChatRequest{Title: "No"})
	rpcError(t, err, 400, "USERS_TOO_FEW")
	assert.Equal(t, []int{1, 1, 2, 0}, []int{
		s.Calls("users.getUsers"), s.Calls("messages.createChat"), s.Calls(telegramtest.AnyMethod), s.Calls("auth.signIn"),
	})
}

func TestHold(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	held := s.Hold("users.getUsers")
	results := make(chan error)
	for range 2 {
		go func() { results <- c.self() }()
		<-held.Arrived()
	}
	_, err := c.API().HelpGetNearestDC(t.Context()) // others go on, on the same connection
	require.NoError(t, err)
	require.NoError(t, c.Ping(t.Context()))
	assert.Empty(t, results)
	s.Fail("users.getUsers", 1, 400, "LATE")
	held.Release()
	held.Release()
	failed := 0
	for range 2 {
		if err := <-results; err != nil {
			rpcError(t, err, 400, "LATE")
			failed++
		}
	}
	assert.Equal(t, 1, failed)
	c.is(ada)

	// A client that gives up does not stop the call.
	held = s.Hold("auth.logOut")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := c.API().AuthLogOut(ctx)
		results <- err
	}()
	<-held.Arrived()
	cancel()
	require.ErrorIs(t, <-results, context.Canceled)
	assert.Equal(t, 1, s.Sessions(ada.ID))
	held.Release()
	c.eventually(func() error {
		if s.Sessions(ada.ID) != 0 {
			return assert.AnError
		}
		return nil
	})
}

func TestClosingReleasesWhatIsHeld(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	held := s.Hold(telegramtest.AnyMethod)
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.Error(t, c.self())
	}()
	<-held.Arrived()
	require.NoError(t, s.Close())
	c.stop()
	<-done
}

func TestLatency(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	const latency = 20 * time.Millisecond
	s.Latency("users.getUsers", latency)
	begin := time.Now()
	c.is(ada)
	assert.GreaterOrEqual(t, time.Since(begin), latency)
	s.Latency("users.getUsers", time.Hour)
	s.Latency("users.getUsers", 0)
	c.is(ada)
}

func TestDropConnections(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	c := start(t, s).logIn(ada)
	for range 3 {
		s.DropConnections()
		c.eventually(c.self)
	}
	assert.Len(t, s.AuthKeys(), 1)
}

func TestRefuseAndBlackhole(t *testing.T) {
	for name, fault := range map[string]func(*telegramtest.Server, bool){
		"refuse":    (*telegramtest.Server).Refuse,
		"blackhole": (*telegramtest.Server).Blackhole,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, telegramtest.Config{})
			c := start(t, s).logIn(ada)
			fault(s, true)
			s.ResetCalls()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			done := make(chan error)
			go func() {
				_, err := c.API().ContactsGetContacts(ctx, 0) // which gotd does not call by itself
				done <- err
			}()
			<-ctx.Done()
			assert.Zero(t, s.Calls("contacts.getContacts"))
			if name == "refuse" {
				require.Error(t, <-done)
				conn, err := net.Dial("tcp", s.Addr())
				if err == nil {
					_, err = conn.Read(make([]byte, 1))
					assert.NoError(t, conn.Close())
				}
				require.Error(t, err)
			}
			fault(s, false)
			if name == "blackhole" {
				require.Error(t, <-done)
			}
			c.eventually(c.self)
			assert.Equal(t, 1, s.Sessions(ada.ID))
		})
	}
}

func TestRevoke(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	for _, reason := range []string{"SESSION_REVOKED", "USER_DEACTIVATED", "AUTH_KEY_UNREGISTERED"} {
		storage := &session.StorageMemory{}
		c := start(t, s, withSession(storage)).logIn(ada)
		other := start(t, s).logIn(helper)
		require.NoError(t, s.Revoke(ada.ID, reason))
		rpcError(t, c.self(), 401, reason)
		assert.Zero(t, s.Sessions(ada.ID))
		other.is(helper)
		c.stop()
		// Over a new connection.
		c = start(t, s, withSession(storage))
		if reason == "AUTH_KEY_UNREGISTERED" {
			c.logIn(ada).is(ada)
			continue
		}
		<-c.stopped
		rpcError(t, c.err, 401, reason)
	}
}

func TestForgetKeys(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	storage := &session.StorageMemory{}
	c := start(t, s, withSession(storage)).logIn(ada)
	other := start(t, s).logIn(helper)
	require.NoError(t, s.ForgetKeys(ada.ID))
	assert.Len(t, s.AuthKeys(), 1)
	other.is(helper)
	c.stop()
	// gotd makes a new key, with which nobody is logged in.
	c = start(t, s, withSession(storage))
	rpcError(t, c.self(), 401, "AUTH_KEY_UNREGISTERED")
	c.logIn(ada).is(ada)
	assert.Len(t, s.AuthKeys(), 2)
}

func TestSendUpdates(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	first, second, other := start(t, s).logIn(ada), start(t, s).logIn(ada), start(t, s).logIn(helper)
	start(t, s) // nobody
	update := &tg.UpdateShort{Update: &tg.UpdateConfig{}, Date: 5}
	require.NoError(t, s.SendUpdates(ada.ID, update))
	require.NoError(t, s.SendUpdates(helper.ID, &tg.UpdatesTooLong{}))
	assert.Equal(t, update, <-first.updates)
	assert.Equal(t, update, <-second.updates)
	assert.Equal(t, &tg.UpdatesTooLong{}, <-other.updates)
	assert.Empty(t, first.updates)
	require.NoError(t, s.SendUpdates(grace.ID, update), "nobody is logged in")
}

func TestStrangersDoNotDisturb(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	var strangers sync.WaitGroup
	for _, bytes := range [][]byte{
		nil,
		{0xef},
		{0xee, 0xee},
		[]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		{0xef, 1, 1, 2, 3, 4},
		{0xef, 2, 1, 2, 3, 4, 5, 6, 7, 8},
		{0xef, 0x7f, 0xff, 0xff, 0xff},
		{0xee, 0xee, 0xee, 0xee, 0xff, 0xff, 0xff, 0xff},
		{0xee, 0xee, 0xee, 0xee, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{12, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		make([]byte, 100),
	} {
		conn, err := net.Dial("tcp", s.Addr())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write(bytes)
		require.NoError(t, err)
	}
	for range 50 {
		noise := make([]byte, 3000)
		_, _ = rand.Read(noise)
		conn, err := net.Dial("tcp", s.Addr())
		require.NoError(t, err)
		strangers.Go(func() {
			_, _ = conn.Write(noise)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		})
	}
	start(t, s).logIn(ada).is(ada)
	require.NoError(t, s.Close())
	strangers.Wait()
}

func TestManyClientsAtOnce(t *testing.T) {
	const clients = 12
	s := newServer(t, telegramtest.Config{})
	list, _ := manyDialogs(250)
	for i := range int64(clients) {
		a := telegramtest.Account{ID: 3000 + i, FirstName: "Many", Phone: "99966300" + string(rune('0'+i/10)) + string(rune('0'+i%10))}
		a.Dialogs, a.Contacts = list, []int64{ada.ID}
		require.NoError(t, s.AddAccount(a))
	}
	var wg sync.WaitGroup
	for i := range int64(clients) {
		a := telegramtest.Account{ID: 3000 + i, FirstName: "Many", Phone: "99966300" + string(rune('0'+i/10)) + string(rune('0'+i%10))}
		wg.Go(func() {
			c := start(t, s).logIn(a)
			c.is(a)
			var calls sync.WaitGroup
			for range 5 {
				calls.Go(func() {
					_, err := c.API().MessagesGetDialogs(t.Context(), &tg.MessagesGetDialogsRequest{OffsetPeer: &tg.InputPeerEmpty{}})
					assert.NoError(t, err)
					_, err = c.API().ContactsGetContacts(t.Context(), 0)
					assert.NoError(t, err)
				})
			}
			calls.Wait()
			assert.NoError(t, s.SendUpdates(a.ID, &tg.UpdatesTooLong{}))
			<-c.updates
		})
	}
	wg.Wait()
	assert.Len(t, s.AuthKeys(), clients)
	assert.Equal(t, clients, s.Connections())
}

var _ telegramtest.T = (*testing.T)(nil)

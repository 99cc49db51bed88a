package telegramtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gotd/td/session"
	"github.com/gotd/td/tgerr"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestProbe(t *testing.T) {
	s := newServer(t, telegramtest.Options{})
	c := start(t, s).logIn(ada)
	errs := map[string]int{}
	for range 300 {
		s.DropConnections()
		errs[fmt.Sprintf("%v", c.self())]++
		c.eventually(c.self)
	}
	for e, n := range errs {
		t.Log(n, e)
	}
	// drop in the middle
	errs = map[string]int{}
	for range 20 {
		held := s.Hold("users.getUsers")
		done := make(chan error)
		go func() { done <- c.self() }()
		<-held.Arrived()
		s.DropConnections()
		held.Release()
		begin := time.Now()
		e := <-done
		errs[fmt.Sprintf("%v %v", e, time.Since(begin).Round(time.Second))]++
		c.eventually(c.self)
	}
	for e, n := range errs {
		t.Log("middle", n, e)
	}
	s.ForgetKeys(ada.ID)
	begin := time.Now()
	err := c.self()
	_, rpc := tgerr.As(err)
	t.Log("forget live:", err, rpc, time.Since(begin))
	begin = time.Now()
	err = c.self()
	t.Log("forget live 2:", err, time.Since(begin), s.Sessions(ada.ID), len(s.AuthKeys()))
	storage := &session.StorageMemory{}
	c2 := start(t, s, withSession(storage))
	c2.logIn(ada)
	before, _ := storage.LoadSession(t.Context())
	s.ForgetKeys(ada.ID)
	c2.stop()
	c3 := start(t, s, withSession(storage))
	after, _ := storage.LoadSession(t.Context())
	t.Log("session replaced in storage:", string(before) != string(after), c3.self())
	s.Revoke(ada.ID, "AUTH_KEY_UNREGISTERED")
	// connect errors
	c4 := start(t, s).logIn(ada)
	s.Revoke(ada.ID, "SESSION_REVOKED")
	t.Log("live revoked:", c4.self())
	s.DropConnections()
	t.Log("after drop:", c4.self())
	begin = time.Now()
	<-c4.stopped
	t.Log("run:", c4.err, time.Since(begin))
	t.Log("after run:", c4.self())
}

package telegram

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestListMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newListMemory(time.Minute)
		m.max = 100
		c, stopped := &conn{done: make(chan struct{})}, &conn{done: make(chan struct{})}
		close(stopped.done)
		put := func(c *conn, kind listKind, n int) { m.put(listKey{c, kind}, make([]int, n), n, time.Now()) }
		has := func(c *conn, kind listKind) bool { return m.get(listKey{c, kind}) != nil }

		put(c, "a", 40)
		put(c, "b", 40) // with their own weight they fill it
		assert.True(t, has(c, "a"))
		put(c, "c", 0)
		assert.False(t, has(c, "a"), "the oldest had to go")
		assert.True(t, has(c, "b"))
		put(c, "b", 80)
		assert.True(t, has(c, "b"), "it is counted once")
		assert.True(t, has(c, "c"))
		put(c, "c", 91)
		assert.False(t, has(c, "c"), "the one before is out of date, and this one is too much")
		assert.True(t, has(c, "b"))
		assert.False(t, has(stopped, "b"), "somebody else's")

		<-time.After(time.Minute - 1)
		assert.True(t, has(c, "b"))
		put(stopped, "a", 0)
		<-time.After(1)
		assert.False(t, has(c, "b"))
		m.expire()
		assert.Empty(t, m.lists)
		assert.Zero(t, m.order.Len())
		assert.Zero(t, m.entries)

		put(c, "a", 1)
		m.expire()
		assert.True(t, has(c, "a"))
		m.forget(listKey{c, "a"})
		assert.False(t, has(c, "a"))
		assert.Zero(t, m.entries)

		m.age = -1
		put(c, "a", 1)
		assert.Empty(t, m.lists)
	})
}

func TestLoggedOutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &loggedOutMemory{age: time.Minute}
		before := a.loginsSoFar()
		a.put("a", time.Now(), before)
		assert.True(t, a.has("a"))
		assert.False(t, a.has("b"))
		<-time.After(time.Minute)
		assert.False(t, a.has("a"), "it is too old")

		a.put("a", time.Now(), before)
		a.loggedIn("a")
		assert.False(t, a.has("a"))
		a.put("a", time.Now(), before)
		assert.False(t, a.has("a"), "it was read before the login")
		a.put("a", time.Now(), a.loginsSoFar())
		assert.True(t, a.has("a"))

		for i := range 3 * maxLoggedOut {
			a.put(sessionKey(strconv.Itoa(i)), time.Now(), a.loginsSoFar())
		}
		assert.LessOrEqual(t, len(a.fresh)+len(a.old), 2*maxLoggedOut)
		assert.True(t, a.has(sessionKey(strconv.Itoa(3*maxLoggedOut-1))))
		assert.False(t, a.has("a"))
	})
}

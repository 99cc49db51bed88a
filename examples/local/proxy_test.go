package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// socksProxy is a SOCKS5 proxy for one user.
type socksProxy struct {
	address, user, password string
	refuses                 atomic.Bool
	passed                  atomic.Int64 // connections
}

func startSocksProxy(t *testing.T, user, password string) *socksProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &socksProxy{address: listener.Addr().String(), user: user, password: password}
	var work sync.WaitGroup
	t.Cleanup(work.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				_ = p.serve(conn)
			})
		}
	})
	return p
}

// serve serves a connection: https://www.rfc-editor.org/rfc/rfc1928 and rfc1929.
func (p *socksProxy) serve(conn net.Conn) error {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	write := func(b ...byte) { _, _ = conn.Write(b) }
	read(int(read(2)[1])) // the methods that the client offers
	write(5, 2)           // a name and a password
	user := string(read(int(read(2)[1])))
	password := string(read(int(read(1)[0])))
	if user != p.user || password != p.password {
		write(1, 1)
		return nil
	}
	write(1, 0)
	request := read(10) // to an IPv4 address
	if p.refuses.Load() {
		write(5, 5, 0, 1, 0, 0, 0, 0, 0, 0)
		return nil
	}
	port := strconv.Itoa(int(binary.BigEndian.Uint16(request[8:])))
	target, err := net.Dial("tcp", net.JoinHostPort(net.IP(request[4:8]).String(), port))
	if err != nil {
		return err
	}
	defer target.Close()
	p.passed.Add(1)
	write(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	go func() {
		defer conn.Close()
		_, _ = io.Copy(conn, target)
	}()
	_, err = io.Copy(target, conn)
	return err
}

// Telegram is reached over the proxy. While it can't be, the log says so before the request
// that waits for it has ended.
func TestSocksProxy(t *testing.T) {
	t.Chdir(t.TempDir())
	p := startSocksProxy(t, "me", "hunter2")
	p.refuses.Store(true)
	i := start(t, "-proxy", "socks5://me:hunter2@"+p.address, "-log-level", "debug")
	got := i.health()
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.JSONEq(t, `{"unready":["telegram"]}`, got.body)
	answered := make(chan string)
	go func() { answered <- i.curl(i.curls[0]) }()
	i.log.waitFor("Telegram can't be reached")
	assert.NotContains(t, i.log.String(), `"op":"post_login_phone"`)
	p.refuses.Store(false)
	assert.Contains(t, <-answered, `"state":"code"`)
	assert.Contains(t, i.log.String(), "Telegram can be reached again")
	assert.Equal(t, http.StatusOK, i.health().status)
	assert.Positive(t, p.passed.Load())
	i.stop()
	assert.NotContains(t, i.log.String(), "hunter2")
}

// An MTProxy gets the first bytes, in which only it finds Telegram's datacenter.
func TestMTProxy(t *testing.T) {
	t.Chdir(t.TempDir())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	const secret = "dd000102030405060708090a0b0c0d0e0f"
	i := start(t, "-proxy", "mtproxy://"+secret+"@"+listener.Addr().String())
	answered := make(chan answer)
	go func() { answered <- i.health() }()
	conn, err := listener.Accept()
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 64))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	second, err := listener.Accept() // of the other health page
	require.NoError(t, err)
	require.NoError(t, second.Close())
	assert.Equal(t, http.StatusOK, (<-answered).status)
	i.stop()
	assert.NotContains(t, i.log.String(), secret)
}

func TestProxyURLs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"socks5://127.0.0.1:1080", "socks5://proxy:1080/", "socks5://me:hunter2@[::1]:1080",
		"mtproxy://000102030405060708090a0b0c0d0e0f@proxy:443", "mtproxy://7gABAgMEBQYHCAkKCwwNDg93d3cuZXhhbXBsZS5jb20@proxy:443",
	} {
		resolver, err := proxyResolver(good)
		require.NoError(t, err, good)
		assert.NotNil(t, resolver, good)
	}
	for _, bad := range []string{
		"hunter2", "socks5://hunter2", "socks5://me:hunter2@proxy", "http://me:hunter2@proxy:3128", "socks5://me:hunter2/@proxy:1080", "socks5://me:%hunter2@proxy:1",
		"mtproxy://proxy:443", "mtproxy://hunter2@proxy:443", "mtproxy://000102@proxy:443", "mtproxy://11000102030405060708090a0b0c0d0e0f@proxy:443",
	} {
		_, err := proxyResolver(bad)
		require.ErrorContains(t, err, "-proxy: use ", bad)
		assert.NotContains(t, err.Error(), "hunter2", bad)
		assert.NotContains(t, err.Error(), "0102", bad)
	}
}

// Of the header only what the proxy has added counts.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	address := clientAddress("X-Forwarded-For")
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, "192.0.2.1"},
		{[]string{""}, "192.0.2.1"},
		{[]string{"10.0.0.1"}, "10.0.0.1"},
		{[]string{"evil, 10.0.0.1"}, "10.0.0.1"},
		{[]string{"evil", "evil,10.0.0.1 "}, "10.0.0.1"},
		{[]string{"2001:db8::1"}, "2001:db8::1"},
	} {
		r := &http.Request{RemoteAddr: "192.0.2.1:1234", Header: http.Header{"X-Forwarded-For": c.values}}
		assert.Equal(t, c.want, address(r), "%q", c.values)
	}
}

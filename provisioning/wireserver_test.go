package provisioning_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/internal/contracttest"
	"github.com/tgprovision/tgprovision/provisioning"
)

// wireServer is a bridge on a net/http server whose connections are in memory, so
// that a bubble has its clock and sees to it that nothing is left behind.
type wireServer struct {
	*bridge
	server   *http.Server
	accepted chan net.Conn
	closed   chan struct{}
	stop     sync.Once
}

// newWireServer makes a server; setUp is applied to it before it serves.
func newWireServer(t *testing.T, setUp func(*wireServer), change ...func(*bridge, *provisioning.Config)) *wireServer {
	t.Helper()
	s := &wireServer{bridge: newBridge(t, change...), accepted: make(chan net.Conn), closed: make(chan struct{})}
	errs := &logBuffer{}
	s.server = &http.Server{Handler: s.handler, ErrorLog: log.New(errs, "", 0)}
	if setUp != nil {
		setUp(s)
	}
	var conns sync.WaitGroup
	s.server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			conns.Done()
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s) }()
	t.Cleanup(func() {
		s.server.Close()
		<-served
		conns.Wait()
		if strings.Contains(errs.String(), "panic") {
			t.Errorf("the server's log has a panic: %s", errs)
		}
		for _, line := range s.log.lines(t) {
			if line["level"] == "error" {
				t.Errorf("the log has an error: %v", line)
			}
		}
	})
	return s
}

// Accept, Close and Addr make it a net.Listener.
func (s *wireServer) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *wireServer) Close() error {
	s.stop.Do(func() { close(s.closed) })
	return nil
}

func (s *wireServer) Addr() net.Addr { return &net.UnixAddr{Name: "@", Net: "unix"} }

func (s *wireServer) dial() net.Conn {
	client, server := net.Pipe()
	s.accepted <- server
	_ = client.SetReadDeadline(time.Now().Add(time.Hour)) // lest a test hang
	return client
}

// request is an authorised request as it stands on the wire: its request line, and
// then more headers and the body.
func request(line string, more ...string) string {
	return anonymous(line, append([]string{"Authorization: Bearer " + secret}, more...)...)
}

func anonymous(line string, more ...string) string {
	if !strings.Contains(line, " HTTP/") {
		line += " HTTP/1.1"
	}
	head := line + "\r\nHost: example.com\r\n" + strings.Join(more, "\r\n")
	if strings.Contains(head, "\r\n\r\n") { // more has a body
		return head
	}
	return head + "\r\n\r\n"
}

// v1 is a request line below the mount.
func v1(method, path string) string { return method + " " + prefix + "/v1" + path }

// withBody are the headers of a body, and it.
func withBody(body string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// exchange sends a request on a connection of its own, which the answer may overtake,
// and returns the final answer.
func (s *wireServer) exchange(t *testing.T, text string) answer {
	t.Helper()
	conn := s.dial()
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, text) }()
	return receive(t, bufio.NewReader(conn), text)
}

// receive reads an answer. One of ours has to be JSON, with an errcode if it is an
// error, and no fault of ours.
func receive(t *testing.T, r *bufio.Reader, text string) answer {
	t.Helper()
	method, _, _ := strings.Cut(text, " ")
	shown := text[:min(len(text), 200)]
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	for err == nil && response.StatusCode == http.StatusContinue {
		response, err = http.ReadResponse(r, &http.Request{Method: method})
	}
	if err != nil {
		t.Fatalf("%q: no answer: %v", shown, err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		t.Fatalf("%q: %v", shown, err)
	}
	a := answer{response.StatusCode, response.Header, string(body)}
	switch {
	case !a.ours():
	case a.status >= 500 && a.status != http.StatusServiceUnavailable || a.header.Get("Content-Type") != "application/json":
		t.Errorf("%q: %d %v %s", shown, a.status, a.header, body)
	case method == http.MethodHead && len(body) > 0:
		t.Errorf("%q: the answer has a body: %s", shown, body)
	case method != http.MethodHead && (!json.Valid(body) || (a.status >= 400) != (a.field("errcode") != "")):
		t.Errorf("%q: %d %s", shown, a.status, body)
	case method != http.MethodHead:
		sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Errorf("%q is no request, and has got an answer: %v", shown, err)
			break
		}
		exchange := contracttest.Exchange{Request: sent, Status: a.status, Header: a.header, Answer: body}
		exchange.Body, _ = io.ReadAll(sent.Body) // as far as it was sent
		if err := contract.Check(exchange); err != nil {
			t.Errorf("%q: %v", shown, err)
		}
	}
	return a
}

// ours says whether an answer is the API's, not net/http's or the host's.
func (a answer) ours() bool { return a.header.Get("X-Request-Id") != "" }

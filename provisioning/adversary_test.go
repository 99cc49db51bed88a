package provisioning_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// Whatever the target, the header or the framing of a request, the answer is JSON.
// Those that never reach the API are net/http's or the host's, and have no errcode.
func TestStrangeRequests(t *testing.T) {
	const notOurs = "-"
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	const phone = `{"phone":"+15550100"}`
	login := v1("POST", user(alice, "/login/request_code"))
	cases := []struct {
		text    string
		status  int
		errcode string
	}{
		{request(v1("GET", "/bridge")), 200, ""},

		{request(v1("GET", "/../v1/bridge")), 404, "unhandled_http_404"},
		{request(v1("GET", "/user/../bridge")), 404, "unhandled_http_404"},
		{request(v1("GET", "/user/%2e%2e/bridge")), 404, "unhandled_http_404"},
		{request(v1("GET", "/user/%2e%2e%2fbridge")), 400, "mxid_invalid"},
		{request(v1("GET", "/user/..")), 400, "mxid_invalid"},
		{request(v1("GET", "//bridge")), 404, "unhandled_http_404"},
		{request(v1("GET", "/bridge%00")), 404, "unhandled_http_404"},
		{request(v1("GET", "/bridge;x=1")), 404, "unhandled_http_404"},
		{request(v1("GET", "/bridge?;")), 200, ""},
		{request(v1("GET", "/bridge?%zz&%00=%ff")), 200, ""},
		{request(v1("GET", "/user/@a%00:example.com")), 400, "mxid_invalid"},
		{request(v1("GET", "/user/@a%zz:example.com")), 400, notOurs},
		{request(v1("GET", "/user/@a\x00:example.com")), 400, notOurs},
		{request(v1("GET", "/user/@a\xff:example.com")), 400, "mxid_invalid"},
		{request(v1("GET", "/user/@a%ff:example.com")), 400, "mxid_invalid"},
		{request(v1("GET", "/portal/!a\xff%ff:example.com")), 400, "mxid_invalid"},
		{request(v1("GET", "/portal/%2e%2e")), 400, "mxid_invalid"},
		{request(v1("GET", "/portal/-1%00")), 400, "tgid_invalid"},
		{request(v1("GET", "/portal/-"+strings.Repeat("9", 100_000))), 400, "tgid_invalid"},
		{request(v1("GET", "/user/@"+strings.Repeat("a/", 100_000))), 404, "unhandled_http_404"},
		{request(v1("GET", "/user/"+strings.Repeat("%2F", 100_000))), 400, "mxid_invalid"},
		{request(v1("GET", "/portal/!room:example.com?user_id=@a\xff:example.com")), 400, "mxid_invalid"},

		{request("GET http://elsewhere.example" + prefix + "/v1/bridge"), 200, ""},
		{request("GET http://elsewhere.example"), 404, notOurs},
		{request("GET *"), 404, notOurs},
		{request("OPTIONS *"), 200, notOurs},
		{request("OPTIONS " + prefix + "/v1/bridge"), 405, "unhandled_http_405"},
		{request("CONNECT example.com:443"), 404, notOurs},
		{request(v1("CONNECT", "/bridge")), 405, "unhandled_http_405"},
		{request(v1("TRACE", "/bridge")), 405, "unhandled_http_405"},
		{request(v1("HEAD", "/bridge")), 405, ""},
		{anonymous(v1("HEAD", "/bridge")), 401, ""},
		{request(v1("PROPFIND", "/bridge")), 405, "unhandled_http_405"},
		{request(v1("G-T!", "/bridge")), 405, "unhandled_http_405"},
		{request(v1("G@T", "/bridge")), 400, notOurs},
		{request(v1("GET", "/bridge HTTP/1.0")), 200, ""},
		{request(v1("GET", "/bridge HTTP/3.0")), 505, notOurs},

		{anonymous(v1("GET", "/bridge"), "Authorization: Bearer "+secret, "Authorization: Bearer "+secret), 401, "shared_secret_invalid"},
		{anonymous(v1("GET", "/bridge"), "Authorization: Bearer "+secret, "authorization: Bearer wrong"), 401, "shared_secret_invalid"},
		{anonymous(v1("GET", "/bridge"), "Authorization: Bearer \xff"), 401, "shared_secret_invalid"},
		{anonymous(v1("GET", "/bridge"), "Authorization: Bearer x\x00"), 400, notOurs},
		{anonymous(v1("GET", "/bridge"), "Authorization:\tBearer "+secret+" \t"), 200, ""}, // blanks around a value are none of it
		{anonymous(v1("GET", "/bridge"), "Authorization:", " Bearer "+secret), 200, ""},    // nor is a line break
		{request(v1("GET", "/bridge"), "X-Request-Id: \xff\xfe"), 200, ""},

		{request(login, chunked+"15\r\n"+phone+"\r\n0\r\n\r\n"), 200, ""},
		{request(login, chunked+"1;x=y\r\n{\r\n14\r\n"+phone[1:]+"\r\n0\r\nTrailer: x\r\n\r\n"), 200, ""},
		{request(login, chunked+"15\r\n"+phone+"\r\nno chunk\r\n\r\n"), 400, "json_invalid"},
		{request(login, chunked+"ffffffffffffffffff\r\n"), 400, "json_invalid"},
		{request(login, chunked+"-1\r\n"), 400, "json_invalid"},
		{request(login, "Content-Length: 5\r\n"+chunked+"15\r\n"+phone+"\r\n0\r\n\r\n"), 200, ""}, // and the connection is closed
		{request(login, "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501, notOurs},
		{request(login, "Transfer-Encoding: chunked\r\n"+chunked+"0\r\n\r\n"), 501, notOurs},
		{request(login, "Content-Length: 5\r\n"+withBody(phone)), 400, notOurs},
		{request(login, "Content-Length: -1\r\n\r\n"), 400, notOurs},
		{request(login+" HTTP/1.0", withBody(phone)), 200, ""},
		{request(login+" HTTP/1.0", chunked+"15\r\n"+phone+"\r\n0\r\n\r\n"), 400, "json_invalid"},
		{request(login, "Expect: 100-continue\r\n"+withBody(phone)), 200, ""},
		{request(login, "Expect: a miracle\r\n"+withBody(phone)), 417, notOurs},
		{request(login, withBody("{\"phone\":\"\xff\"}")), 400, "json_invalid"},
		{request(login, withBody(`{"phone":"\ud800"}`)), 400, "phone_number_invalid"},
		{request(login, withBody(bodyOf(64<<10+1))), 413, "body_too_large"},
		{request(login, withBody(strings.Repeat("[", 64<<10))), 400, "json_invalid"},
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			a := newWireServer(t, nil).exchange(t, c.text)
			errcode := a.field("errcode")
			if !a.ours() {
				errcode = notOurs
			}
			if a.status != c.status || errcode != c.errcode {
				t.Errorf("%q: got %d %s %s, want %d %q", c.text[:min(len(c.text), 300)], a.status, errcode, a.body, c.status, c.errcode)
			}
		})
	}
}

// A header may have a megabyte, what net/http lets through.
func TestHugeHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		huge := strings.Repeat("x", http.DefaultMaxHeaderBytes-1000)
		s.exchange(t, request(v1("GET", "/bridge"), "X-Filler: "+huge)).want(t, 200, "")
		s.exchange(t, request(v1("GET", "/bridge"), "X-Filler: "+strings.Repeat("x\r\nX-Filler: ", 50_000))).want(t, 200, "")
		s.exchange(t, request(v1("GET", "/bridge"), "X-Request-Id: "+huge)).want(t, 200, "")
		s.exchange(t, request(v1("GET", "/bridge?"+huge))).want(t, 200, "")
		s.exchange(t, request(v1("GET", "/user/@"+huge+":example.com"))).want(t, 400, "mxid_invalid")
		s.exchange(t, anonymous(v1("GET", "/bridge"), "Authorization: Bearer "+huge)).want(t, 401, "shared_secret_invalid")
		if a := s.exchange(t, request(v1("GET", "/bridge"), "X-Filler: "+huge+huge)); a.status != 431 || a.ours() {
			t.Errorf("two megabytes of header: %d %s, want net/http's 431", a.status, a.body)
		}
		if n := len(s.log.String()); n > 10_000 {
			t.Errorf("the log has %d bytes", n)
		}
	})
}

// Ten thousand requests are in the server at once, and each gets its own answer.
func TestTenThousandRequests(t *testing.T) {
	t.Parallel()
	const count = 10_000
	synctest.Test(t, func(t *testing.T) {
		var arrived sync.WaitGroup
		arrived.Add(count)
		s := newWireServer(t, func(s *wireServer) {
			s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrived.Done()
				arrived.Wait()
				s.handler.ServeHTTP(w, r)
			})
		}, limit(-1), maxRequests(count, 0))
		var wg sync.WaitGroup
		for i := range count {
			wg.Go(func() {
				userID := fmt.Sprintf("@user-%d:example.com", i)
				switch i % 4 {
				case 0:
					a := s.exchange(t, request(v1("GET", "/user/"+userID)))
					if a.status != 200 || a.field("mxid") != userID {
						t.Errorf("%s: got %d %s", userID, a.status, a.body)
					}
				case 1:
					s.exchange(t, request(v1("POST", "/user/"+userID+"/login/request_code"), withBody(`{"phone":"+15550100"}`))).want(t, 200, "")
				case 2:
					s.exchange(t, anonymous(v1("GET", "/user/"+userID), "Authorization: Bearer "+wrongSecret)).want(t, 401, "shared_secret_invalid")
				case 3:
					s.exchange(t, request(v1("POST", "/user/"+userID+"/logout"))).want(t, 403, "not_logged_in")
				}
			})
		}
		wg.Wait()
		if n := len(s.log.lines(t)); n != count {
			t.Errorf("%d access lines, want %d", n, count)
		}
	})
}

// A client may hang up after any byte of its request, and before the answer.
func TestHangUpAnywhere(t *testing.T) {
	for _, text := range []string{
		request(v1("GET", user(alice, "/chats"))),
		request(v1("POST", user(alice, "/login/request_code")), withBody(`{"phone":"+15550100"}`)),
		request(v1("POST", user(alice, "/login/request_code")), "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"p\r\n4\r\n"),
		request(v1("POST", user(alice, "/login/request_code")), "Expect: 100-continue\r\n"+withBody(`{"phone":"+15550100"}`)),
		request(v1("POST", "/portal/!room:example.com/disconnect?sync=1")),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newWireServer(t, nil)
			start := time.Now()
			for n := range len(text) + 1 {
				conn := s.dial()
				_, _ = io.WriteString(conn, text[:n])
				conn.Close()
				synctest.Wait()
			}
			s.exchange(t, request(v1("GET", "/bridge"))).want(t, 200, "")
			if took := time.Since(start); took != 0 {
				t.Errorf("%q: something has waited for %s", text, took)
			}
		})
	}
}

// Of a query parameter that comes twice, the first counts; of a name in a body, the
// last.
func TestDuplicates(t *testing.T) {
	const asAlice, asBob = "user_id=@alice:example.com", "user_id=@bob:example.com" // bob has no power
	connect, disconnect := "/portal/!room:example.com/connect/-1000000000009?", "/portal/!room:example.com/disconnect?"
	for _, c := range []struct {
		path    string
		status  int
		errcode string
	}{
		{connect + asAlice + "&" + asBob, 202, ""},
		{connect + asBob + "&" + asAlice, 403, "not_enough_permissions"},
		{connect + "user%5Fid=@bob:example.com&" + asAlice, 403, "not_enough_permissions"},
		{connect + "&&x&" + asBob + "&user_id", 403, "not_enough_permissions"},
		{connect + "force=delete&force=nonsense", 202, ""},
		{connect + "force=nonsense&force=delete", 400, "body_value_invalid"},
		{disconnect + "delete=1&delete=nonsense", 404, "portal_not_found"},
		{disconnect + "delete=nonsense&delete=1", 400, "body_value_invalid"},
		{disconnect + "sync=0&sync=nonsense", 404, "portal_not_found"},
		{disconnect + "sync=nonsense&sync=0", 400, "body_value_invalid"},

		// What can't be decoded is not as if it were absent.
		{connect + "user_id=@%zz:example.com", 400, "mxid_invalid"},
		{connect + "user_id=@stranger;x:example.com", 403, "not_enough_permissions"},
		{connect + "x;" + asAlice, 202, ""}, // no separator: it is a parameter of another name
		{connect + "force=%zz", 400, "body_value_invalid"},
		{disconnect + "delete=%zz", 400, "body_value_invalid"},
		{disconnect + "sync=1;", 400, "body_value_invalid"},
	} {
		newBridge(t, withRelay).call(t, http.MethodPost, c.path, "").want(t, c.status, c.errcode)
		if t.Failed() {
			t.Fatal(c.path)
		}
	}
	b := newBridge(t)
	b.call(t, http.MethodPost, user(alice, "/login/request_code"), `{"phone":"+15550101","phone":"+15550100"}`).want(t, 200, "")
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":1,"Code":"54321","code":"01234"}`).want(t, 200, "")
}

// Pipelined requests are answered in their order.
func TestPipelinedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWireServer(t, nil)
		conn := s.dial()
		defer conn.Close()
		one, two := request(v1("POST", user(alice, "/logout")), withBody("{}")), request(v1("GET", "/bridge"))
		go func() { _, _ = io.Copy(conn, bytes.NewReader([]byte(one+two+one))) }()
		r := bufio.NewReader(conn)
		receive(t, r, one).want(t, 403, "not_logged_in")
		receive(t, r, two).want(t, 200, "")
		receive(t, r, one).want(t, 403, "not_logged_in")
	})
}

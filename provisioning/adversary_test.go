package provisioning_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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
		}, limit(-1), maxRequests(count, 0), manyCodes)
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

// Of a query parameter that comes twice, the first counts, but for the user; of a name in a
// body, the last.
func TestDuplicates(t *testing.T) {
	const asAlice, asBob = "user_id=@alice:example.com", "user_id=@bob:example.com" // bob has no power
	connect, disconnect := "/portal/!room:example.com/connect/-1000000000009?", "/portal/!room:example.com/disconnect?"
	for _, c := range []struct {
		path    string
		status  int
		errcode string
	}{
		{connect + asAlice + "&" + asBob, 400, "mxid_invalid"},
		{connect + asBob + "&" + asAlice, 400, "mxid_invalid"},
		{connect + "user%5Fid=@bob:example.com&" + asAlice, 400, "mxid_invalid"},
		{connect + asAlice + "&user_id=%40alice%3Aexample.com", 202, ""},
		{connect + "&&x&" + asBob + "&user_id", 400, "mxid_invalid"},
		{connect + "user_id&" + asBob, 400, "mxid_invalid"},
		{connect + "user_id", 400, "mxid_empty"},
		{connect + "user_id=%zz&" + asAlice, 400, "mxid_invalid"},
		{connect + asAlice + "&user_id=%zz", 400, "mxid_invalid"},
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

package provisioning_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// BenchmarkRequests compares requests over loopback with those to a handler that checks the
// secret and writes the same bytes, in turns: with stores in memory, and with the access
// log in a file.
func BenchmarkRequests(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	portals := provisioningtest.NewMemPortalStore()
	err = portals.Connect(b.Context(), provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: "!room:example.com", ChatID: provisioning.ChannelChatID(7), Title: "News", Username: "news",
	}})
	if err != nil {
		b.Fatal(err)
	}
	p, err := provisioning.New(provisioning.Config{
		Secret: secret, Users: provisioningtest.NewMemUserStore(nil), Telegram: provisioningtest.NewTelegram(),
		Portals: portals, Log: zerolog.New(file).With().Timestamp().Logger(),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := p.Close(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	router := mux.NewRouter()
	p.Mount(router)
	for _, request := range []struct{ name, path, template string }{
		{"get_bridge", "/v1/bridge", "/v1/bridge"},
		{"get_portal/hit", "/v1/portal/!room:example.com", "/v1/portal/{room_id}"},
		{"get_portal/miss", "/v1/portal/!other:example.com", "/v1/portal/{room_id}"},
		{"get_me", "/v1/user/@alice:example.com", "/v1/user/{user_id}"},
	} {
		bare := mux.NewRouter()
		bare.Handle(request.template, sameBytes(b, router, request.path)).Methods(http.MethodGet)
		for _, conns := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/conns=%d", request.name, conns), func(b *testing.B) {
				compare(b, router, bare, request.path, conns)
			})
		}
	}
}

// sameBytes returns a handler that checks the secret and writes what another one has
// answered.
func sameBytes(b *testing.B, other http.Handler, path string) http.Handler {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	other.ServeHTTP(w, r)
	if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
		b.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	want := sha256.Sum256([]byte(secret))
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		given := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		for name, values := range w.Header() {
			out.Header().Set(name, values[0])
		}
		out.WriteHeader(w.Code)
		_, _ = out.Write(w.Body.Bytes())
	})
}

// compare sends batches of requests to two handlers in turns. It reports the median of
// the ratios, and the allocations of a request beyond those of the other.
func compare(b *testing.B, ours, bare http.Handler, path string, conns int) {
	const batch = 2048 // requests
	sides := [2]*load{newLoad(b, ours, path, conns), newLoad(b, bare, path, conns)}
	for _, side := range sides {
		side.run(b, batch)
	}
	var ratios []float64
	var allocs [2]uint64
	requests := 0
	for b.Loop() {
		var took [2]time.Duration
		for i, side := range sides {
			var n uint64
			took[i], n = side.run(b, batch)
			allocs[i] += n
		}
		ratios = append(ratios, float64(took[1])/float64(took[0]))
		requests += batch
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-bare")
	b.ReportMetric((float64(allocs[0])-float64(allocs[1]))/float64(requests), "allocs-above")
	b.ReportMetric(0, "ns/op") // of a pair of batches: it says nothing
}

// load is a server with connections that are kept alive. They are written to and read from
// without net/http, whose client costs more than the server.
type load struct {
	request []byte
	conns   []net.Conn
	readers []*bufio.Reader
}

func newLoad(b *testing.B, handler http.Handler, path string, conns int) *load {
	server := httptest.NewServer(handler)
	l := &load{request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer %s\r\n\r\n", path, secret)}
	for range conns {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		l.conns = append(l.conns, conn)
		l.readers = append(l.readers, bufio.NewReader(conn))
	}
	b.Cleanup(func() {
		for _, conn := range l.conns {
			_ = conn.Close()
		}
		server.Close()
	})
	return l
}

// run sends requests over all connections, and returns the time and the allocations.
func (l *load) run(b *testing.B, requests int) (took time.Duration, allocs uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	errs := make([]error, len(l.conns))
	var wg sync.WaitGroup
	for i := range l.conns {
		wg.Go(func() {
			for range requests / len(l.conns) {
				if errs[i] = l.send(i); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	if err := cmp.Or(errs...); err != nil {
		b.Fatal(err)
	}
	return took, after.Mallocs - before.Mallocs
}

// send sends one request and reads its answer.
func (l *load) send(i int) error {
	if _, err := l.conns[i].Write(l.request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := l.readers[i].ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) && !bytes.HasPrefix(line, []byte("HTTP/1.1 404")) {
			return fmt.Errorf("answer %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length = 0
			for _, digit := range value {
				length = length*10 + int(digit-'0')
			}
		}
		if len(line) == 0 {
			break
		}
	}
	if length < 0 {
		return fmt.Errorf("an answer without a length")
	}
	_, err := io.CopyN(io.Discard, l.readers[i], int64(length))
	return err
}

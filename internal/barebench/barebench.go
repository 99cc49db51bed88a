// Package barebench compares requests to a handler with those to a bare one, which checks
// the secret and writes the same bytes.
package barebench

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
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
)

// Request is a GET request.
type Request struct {
	// Name is that of the benchmark.
	Name string
	// Path is what is asked for, and Template the part of it below the router's own
	// path, as gorilla/mux has it.
	Path, Template string
	// Secret authorises it.
	Secret string
}

// Run compares a request over loopback on 1 and on 64 connections, in turns. It reports
// requests a second as a part of those of the bare handler, and the allocations of one
// above those of the other. route returns a router as the handler's, and the place in it
// that the API has there: routers cost what their host has set.
func Run(b *testing.B, handler http.Handler, route func() (root, place *mux.Router), request Request) {
	b.Helper()
	bare, place := route()
	place.Handle(request.Template, sameBytes(b, handler, request)).Methods(http.MethodGet)
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("%s/conns=%d", request.Name, conns), func(b *testing.B) {
			ratio, allocs := compare(b, newLoad(b, handler, request, conns), newLoad(b, bare, request, conns))
			b.ReportMetric(ratio, "of-bare")
			b.ReportMetric(allocs, "allocs-above")
		})
	}
}

// Beside compares requests to a handler with other ones to the same handler, as Run does. It
// reports requests a second as a part of those of the others.
func Beside(b *testing.B, handler http.Handler, request, other Request) {
	b.Helper()
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("%s/conns=%d", request.Name, conns), func(b *testing.B) {
			ratio, _ := compare(b, newLoad(b, handler, request, conns), newLoad(b, handler, other, conns))
			b.ReportMetric(ratio, "of-"+other.Name)
		})
	}
}

// sameBytes returns a handler that checks the secret and writes what another one has
// answered.
func sameBytes(b *testing.B, other http.Handler, request Request) http.Handler {
	r := httptest.NewRequest(http.MethodGet, request.Path, nil)
	r.Header.Set("Authorization", "Bearer "+request.Secret)
	w := httptest.NewRecorder()
	other.ServeHTTP(w, r)
	if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
		b.Fatalf("%s: %d %s", request.Path, w.Code, w.Body)
	}
	want := sha256.Sum256([]byte(request.Secret))
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

// compare sends batches of two requests in turns. It returns the median of the ratios, and
// the allocations of a request beyond those of the other.
func compare(b *testing.B, ours, other *load) (ratio, allocsAbove float64) {
	const (
		// Short turns, and many: neighbours on the machine come and go, and single turns differ
		// by a fifth. In the same time and process, the median of turns of 2048 requests goes
		// up and down by twice as much.
		batch  = 512 // requests
		rounds = 300 // at least
	)
	sides := [2]*load{ours, other}
	for _, side := range sides {
		side.run(b, batch)
	}
	var ratios []float64
	var allocs [2]uint64
	requests := 0
	for b.Loop() {
		for round := range rounds {
			var took [2]time.Duration
			for turn := range sides {
				i := (round + turn) % len(sides)
				var n uint64
				took[i], n = sides[i].run(b, batch)
				allocs[i] += n
			}
			ratios = append(ratios, float64(took[1])/float64(took[0]))
			requests += batch
		}
	}
	slices.Sort(ratios)
	b.ReportMetric(0, "ns/op") // of a pair of batches: it says nothing
	return ratios[len(ratios)/2], (float64(allocs[0]) - float64(allocs[1])) / float64(requests)
}

// load is a server with connections that are kept alive. They are written to and read from
// without net/http, whose client costs more than the server.
type load struct {
	request []byte
	conns   []net.Conn
	readers []*bufio.Reader
}

func newLoad(b *testing.B, handler http.Handler, request Request, conns int) *load {
	server := httptest.NewServer(handler)
	l := &load{request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer %s\r\n\r\n", request.Path, request.Secret)}
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

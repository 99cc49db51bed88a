package provisioningtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// StatusError is an answer of a homeserver's that is an error. The hooks that the suites
// give to Disturb return it for a request that is to be answered so.
type StatusError struct {
	// Status is the HTTP status.
	Status int
	// Errcode is the Matrix error code.
	Errcode string
}

// Error implements error.
func (e StatusError) Error() string { return fmt.Sprintf("HTTP %d %s", e.Status, e.Errcode) }

// Network is an http.RoundTripper between an implementation under test and its
// homeserver: the Disturb of a [RoomsBackend] or a [TokensBackend] is its method. The
// zero value sends requests with http.DefaultTransport. It is safe for concurrent use.
type Network struct {
	// Next sends the requests. Nil is http.DefaultTransport.
	Next http.RoundTripper

	mu     sync.Mutex
	before func(context.Context) error
}

// Disturb runs a hook before every later request, with the request's context; nil ends
// it. Where the hook returns an error the request is not sent: a [StatusError] is the
// answer, and any other error looks like a homeserver that can't be reached.
func (n *Network) Disturb(before func(context.Context) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = before
}

// RoundTrip implements http.RoundTripper.
func (n *Network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	before, next := n.before, n.Next
	n.mu.Unlock()
	if next == nil {
		next = http.DefaultTransport
	}
	if before == nil {
		return next.RoundTrip(r)
	}
	err := before(r.Context())
	if err == nil {
		return next.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	var answer StatusError
	switch {
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	case !errors.As(err, &answer):
		return nil, errors.New("the homeserver can't be reached: " + err.Error()) // with nothing to unwrap
	}
	body, err := json.Marshal(map[string]string{"errcode": answer.Errcode, "error": "a fault on demand"})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: answer.Status, Status: fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(body))), ContentLength: int64(len(body)),
	}, nil
}

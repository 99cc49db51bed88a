package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/internal/contracttest"
	"github.com/tgprovision/tgprovision/provisioning/client"
)

const secret = "integration-secret-0123456789"

// example is the example program, running as a process of its own.
type example struct {
	cmd    *exec.Cmd
	url    string
	ended  chan struct{}
	stderr *lockedBuffer
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/_matrix/provision`)

// startExample starts the example and returns when it answers.
func startExample(t testing.TB, args ...string) *example {
	t.Helper()
	args = append([]string{"-listen", "127.0.0.1:0", "-secret", secret, "-log-level", "trace", "-log-format", "json", "-codes-per-hour", "-1"}, args...)
	e := &example{cmd: newExample(args), ended: make(chan struct{}), stderr: &lockedBuffer{}}
	e.cmd.Dir = t.TempDir()
	e.cmd.Stderr = e.stderr
	stdout, err := e.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, e.cmd.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if e.url = listening.FindString(lines.Text()); e.url != "" {
			break
		}
	}
	go func() {
		defer close(e.ended)
		_, _ = io.Copy(io.Discard, stdout)
		_ = e.cmd.Wait()
	}()
	t.Cleanup(func() { e.kill(t) })
	require.NotEmpty(t, e.url, "the example printed no address: %s", e.stderr)
	return e
}

// newExample returns the command of an example with the session key of the tests.
func newExample(args []string) *exec.Cmd {
	return exec.Command(program, append([]string{"-session-key-file", sessionKeyFile}, args...)...)
}

// runExample runs the example to its end, which has to be a good one, and returns what it
// has printed.
func runExample(t testing.TB, args ...string) string {
	t.Helper()
	cmd := newExample(args)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// kill ends the process as a crash does.
func (e *example) kill(t testing.TB) {
	t.Helper()
	_ = e.cmd.Process.Kill()
	<-e.ended
}

// call sends a request of the API and returns its status and body.
func (e *example) call(t testing.TB, method, path, body string) (int, map[string]any) {
	t.Helper()
	status, raw := e.raw(t, method, path, body)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(raw, &answer), "%s", raw)
	return status, answer
}

func (e *example) raw(t testing.TB, method, path, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, e.url+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := (&http.Client{Transport: checked{t}}).Do(req)
	require.NoError(t, err, "%s", e.stderr)
	defer resp.Body.Close()
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, raw
}

// api returns a typed client of the API.
func (e *example) api(t testing.TB) *client.ClientWithResponses {
	t.Helper()
	api, err := client.New(e.url, secret, client.WithHTTPClient(&http.Client{Transport: checked{t}}))
	require.NoError(t, err)
	return api
}

// contract is the OpenAPI document of the API.
var contract = sync.OnceValues(contracttest.New)

// checked sends requests of the API, and checks them and the answers against the
// document.
type checked struct{ t testing.TB }

// RoundTrip implements http.RoundTripper.
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	exchange := contracttest.Exchange{Request: r}
	var err error
	if r.Body != nil {
		if exchange.Body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(exchange.Body))
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if exchange.Answer, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(exchange.Answer))
	exchange.Status, exchange.Header = response.StatusCode, response.Header
	document, err := contract()
	if assert.NoError(c.t, err) {
		assert.NoError(c.t, document.Check(exchange), "%s %s", r.Method, r.URL)
	}
	return response, nil
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

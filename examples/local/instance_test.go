package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// instance is the program, running in this process.
type instance struct {
	t           *testing.T
	api, secret string   // what the line to export them has set
	curls       []string // the other lines to paste
	printed     string   // all lines
	log         *lockedBuffer
	stop        func()
}

var pasteLine = regexp.MustCompile(`^  ((?:export|curl) .*)$`)

// start runs the program until stop is called or the test ends.
func start(t *testing.T, args ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stdout, writer := io.Pipe()
	i := &instance{t: t, log: newLockedBuffer()}
	code := make(chan int, 1)
	args = append([]string{"-listen", "127.0.0.1:0", "-log-level", "trace", "-log-format", "json"}, args...)
	go func() {
		code <- run(ctx, args, func(string) string { return "" }, writer, i.log)
		_ = writer.Close()
	}()
	i.stop = sync.OnceFunc(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		assert.Equal(t, exitOK, <-code, "%s", i.log)
	})
	t.Cleanup(i.stop)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		i.printed += lines.Text() + "\n"
		found := pasteLine.FindStringSubmatch(lines.Text())
		switch {
		case found == nil:
		case strings.HasPrefix(found[1], "export"):
			set := i.shell(found[1] + `; printf '%s\0' "$API" "$SECRET"`)
			i.api, i.secret = set[0], set[1]
		default:
			assert.NotContains(t, found[1], "!", "an interactive shell takes it for its history")
			i.curls = append(i.curls, found[1])
		}
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			return i
		}
	}
	cancel()
	require.Fail(t, "the program ended", "exit code %d: %s", <-code, i.log)
	return nil
}

// shell has a shell run a script that prints words with a NUL after each.
func (i *instance) shell(script string) []string {
	i.t.Helper()
	shell := exec.CommandContext(i.t.Context(), "sh", "-c", script)
	shell.Env = append(os.Environ(), "API="+i.api, "SECRET="+i.secret)
	words, err := shell.Output()
	require.NoError(i.t, err)
	return strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00")
}

// curl does what a curl command line does that is pasted into a shell with the exports.
func (i *instance) curl(line string) string {
	i.t.Helper()
	words := i.shell(`curl() { printf '%s\0' curl "$@"; }; ` + line)
	require.Equal(i.t, "curl", words[0])
	method, url, body := http.MethodGet, "", ""
	header := http.Header{}
	for n := 1; n < len(words); n++ {
		switch words[n] {
		case "-s":
		case "-H":
			n++
			name, value, _ := strings.Cut(words[n], ": ")
			header.Set(name, value)
		case "-d":
			n++
			method, body = http.MethodPost, words[n]
			header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl does
		case "-X":
			n++
			method = words[n]
		default:
			url = words[n]
		}
	}
	req, err := http.NewRequestWithContext(i.t.Context(), method, url, strings.NewReader(body))
	require.NoError(i.t, err)
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	require.NoError(i.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(i.t, err)
	return strings.TrimSpace(string(answer))
}

// answer is what the bridge says to a request that has no secret.
type answer struct {
	status int
	header http.Header
	body   string
}

func (i *instance) request(verb, path string) answer {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), verb, strings.TrimSuffix(i.api, "/_matrix/provision")+path, nil)
	require.NoError(i.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(i.t, err)
	return answer{response.StatusCode, response.Header, string(raw)}
}

// awayTelegram returns flags for a datacenter that nobody can connect to.
func awayTelegram(t *testing.T) []string {
	t.Helper()
	server, err := telegramtest.Start(telegramtest.Config{})
	require.NoError(t, err)
	key := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(key, server.PublicKeyPEM(), 0o600))
	require.NoError(t, server.Close())
	return []string{"-telegram-dc", server.Addr(), "-telegram-key", key}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written sync.Cond
}

func newLockedBuffer() *lockedBuffer {
	b := &lockedBuffer{}
	b.written.L = &b.mu
	return b
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.written.Broadcast()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor waits until a text is in the log.
func (b *lockedBuffer) waitFor(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !strings.Contains(b.buf.String(), text) {
		b.written.Wait()
	}
}

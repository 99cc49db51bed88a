package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stop says what it waits for, and a second Ctrl-C ends the program at once.
func TestSecondInterrupt(t *testing.T) {
	program := exec.CommandContext(t.Context(), os.Args[0], "-listen", "127.0.0.1:0", "-secret", "the-secret-of-this-test", "-log-format", "json")
	program.Dir, program.Env = t.TempDir(), append(os.Environ(), runMain+"=1")
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	stderr, err := program.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	lines := bufio.NewScanner(stdout)
	address := ""
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
		if found := regexp.MustCompile(`http://([^/]+)/`).FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
	}
	require.NotEmpty(t, address)

	// A request is under way: its body is waited for.
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /_matrix/provision/v1/user/@you:localhost/login/request_code HTTP/1.1\r\nHost: %s\r\n"+
		"Authorization: Bearer the-secret-of-this-test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", address)
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, answer, "100 Continue")

	require.NoError(t, program.Process.Signal(os.Interrupt))
	log := bufio.NewScanner(stderr)
	said := false
	for !said && log.Scan() {
		said = strings.Contains(log.Text(), `"requests":1`) && strings.Contains(log.Text(), "waiting for the requests")
	}
	require.True(t, said)
	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.Error(t, program.Wait())
	status := program.ProcessState.Sys().(syscall.WaitStatus)
	assert.True(t, status.Signaled())
	assert.Equal(t, syscall.SIGINT, status.Signal())
}

// A stop says what else it waits for.
func TestStop(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t)
	i.logInDemo()
	i.stop()
	for _, line := range []string{`"requests":0`, "waiting for background work", `"connected":1,"connecting":0`, "waiting for Telegram clients"} {
		assert.Contains(t, i.log.String(), line)
	}
}

// Telegram that can't be reached is in the log while a request waits for it.
func TestTelegramAway(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t, append(awayTelegram(t), "-log-level", "info")...)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.api+"/v1/user/@you:localhost/login/request_code", strings.NewReader(`{"phone":"+9996610001"}`))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+i.secret)
	ended := make(chan error)
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	i.log.waitFor("Telegram can't be reached")
	hangUp()
	require.ErrorIs(t, <-ended, context.Canceled)
}

package main

import (
	"bufio"
	"fmt"
	"net"
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

	holdRequest(t, address, "the-secret-of-this-test")
	require.NoError(t, program.Process.Signal(os.Interrupt))
	log := bufio.NewScanner(stderr)
	// The homeserver may have one under way as well.
	waits := regexp.MustCompile(`"requests":[1-9].*waiting for the requests`)
	said := false
	for !said && log.Scan() {
		said = waits.MatchString(log.Text())
	}
	require.True(t, said)
	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.Error(t, program.Wait())
	status := program.ProcessState.Sys().(syscall.WaitStatus)
	assert.True(t, status.Signaled())
	assert.Equal(t, syscall.SIGINT, status.Signal())
}

// holdRequest has a request of @you's be under way until the test ends: its body is waited for.
func holdRequest(t *testing.T, address, secret string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /_matrix/provision/v1/user/@you:localhost/login/request_code HTTP/1.1\r\nHost: %s\r\n"+
		"Authorization: Bearer %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", address, secret)
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, answer, "100 Continue")
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

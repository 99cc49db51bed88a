//go:build cgo

package main

import (
	"bufio"
	"cmp"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// beProgram is set in the environment of a test binary that is to be the program itself.
const beProgram = "BRIDGEV2_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		os.Args = os.Args[:1]
		main()
		return
	}
	os.Exit(m.Run())
}

func TestProgramStartsWithEverythingAndStops(t *testing.T) {
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), beProgram+"=1")
	var stderr strings.Builder
	program.Stderr = &stderr
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() { _ = program.Process.Kill() })
	var welcome strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		welcome.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			break
		}
	}
	require.Contains(t, welcome.String(), "phone +9996610001, code 12345")

	pasted := regexp.MustCompile(`curl -s -H 'Authorization: (.+?)' (?:-d '(.+?)' |-X (POST) )?'(.+?)'`).FindAllStringSubmatch(welcome.String(), -1)
	require.Len(t, pasted, 5, "%s%s", welcome.String(), &stderr)
	for _, command := range pasted {
		method := cmp.Or(command[3], http.MethodGet)
		if command[2] != "" {
			method = http.MethodPost // as curl does with -d
		}
		request, err := http.NewRequestWithContext(t.Context(), method, command[4], strings.NewReader(command[2]))
		require.NoError(t, err)
		request.Header.Set("Authorization", command[1])
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", command[0], answer)
	}

	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.NoError(t, program.Wait(), "%s", &stderr)
}

func TestProgramWithoutCCompilerSaysSo(t *testing.T) {
	build := exec.Command("go", "run", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "needs a C compiler")
}

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tgprovision/tgprovision/telegram"
)

// program is the example, built by TestMain.
var program string

// All hosts of the tests encrypt sessions with the same key: those in the test process, and
// those that read it from the file.
var (
	sessionKey     = telegram.NewSessionKey()
	sessionKeyFile string
)

func TestMain(m *testing.M) {
	if os.Getenv(outsideVariable) != "" {
		if err := runOutside(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			os.Exit(1)
		}
		return
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "integration")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program, bridgeProgram = filepath.Join(dir, "local"), filepath.Join(dir, "bridgev2")
	sessionKeyFile = filepath.Join(dir, "session.key")
	if err := os.WriteFile(sessionKeyFile, []byte(sessionKey.Text()), 0o600); err != nil {
		return 1, err
	}
	for folder, args := range map[string][]string{
		"../examples/local":    {"-o", program},
		"../examples/bridgev2": {"-o", bridgeProgram, "-tags", "goolm"},
	} {
		build := exec.Command("go", append(append([]string{"build"}, args...), ".")...)
		build.Dir = folder
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build the example: %w: %s", err, out)
		}
	}
	if postgres, err = startPostgres(); err != nil {
		return 1, err
	}
	code = m.Run()
	return code, postgres.stop()
}

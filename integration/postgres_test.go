package integration

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// cluster is a PostgreSQL server of the tests' own, on a socket in a temporary
// folder.
type cluster struct {
	bin, dir string
	account  *syscall.Credential // nil when the tests run as an ordinary user
	created  atomic.Int64
}

// postgres is started by TestMain.
var postgres *cluster

func startPostgres() (*cluster, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("PostgreSQL's server programs are not in /usr/lib/postgresql: install the package postgresql")
	}
	c := &cluster{bin: found[len(found)-1]}
	if c.dir, err = os.MkdirTemp("", "pg"); err != nil { // a socket's path may be 107 bytes long
		return nil, err
	}
	if os.Getuid() == 0 { // the server refuses to run as root
		if err := c.dropRoot(); err != nil {
			return nil, err
		}
	}
	if err := c.run("initdb", "-D", c.data(), "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off -c max_connections=200", c.dir)
	return c, c.run("pg_ctl", "-D", c.data(), "-w", "-l", filepath.Join(c.dir, "log"), "-o", options, "start")
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) dropRoot() error {
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return err
	}
	c.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(c.dir, uid, gid)
}

func (c *cluster) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account}
	// Not through a pipe: the server started by pg_ctl would keep it open.
	out, err := os.CreateTemp("", "pgout")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(said)))
	}
	return nil
}

func (c *cluster) stop() error {
	err := c.run("pg_ctl", "-D", c.data(), "-w", "-m", "immediate", "stop")
	return firstError(err, os.RemoveAll(c.dir))
}

// inEnglish are options of newDatabase: texts are in the order of a language, as in most
// databases, and not in that of their bytes.
var inEnglish = []string{"--template=template0", "--locale-provider=icu", "--icu-locale=en"}

// newDatabase makes an empty database, with options of createdb, and returns its URL.
func (c *cluster) newDatabase(t testing.TB, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", c.created.Add(1))
	require.NoError(t, c.run("createdb", append(options, "-h", c.dir, "-U", "tests", name)...))
	return fmt.Sprintf("postgres://tests@/%s?host=%s", name, c.dir)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

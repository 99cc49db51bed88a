package integration

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
)

// dendriteDomain is the server name of every Dendrite of the tests.
const dendriteDomain = "dendrite.test"

const registrationSecret = "dendrite-registration-secret"

// dendrite is a Matrix homeserver running as a process of its own: SQLite databases, its
// embedded NATS and its media in a temporary folder. It has its federation API, which
// tells whose OpenID tokens are, and meets the name of no other server.
// It listens on a Unix socket, so that no other process can take its port; url is a
// listener of the test process which hands connections on to that socket, and so stays
// the same over a restart.
type dendrite struct {
	url      string // for clients, http://127.0.0.1:port
	domain   string
	programs string
	dir      string
	cmd      *exec.Cmd
	ended    chan struct{}
	log      *lockedBuffer
}

// dendritePrograms builds Dendrite once, into the folder that TestMain removes, and
// returns the folder. Without cgo, since that needs no C compiler.
var dendritePrograms = sync.OnceValues(func() (string, error) {
	dir := filepath.Dir(program)
	const cmd = "github.com/element-hq/dendrite/cmd/"
	build := exec.Command("go", "build", "-o", dir+"/", cmd+"dendrite", cmd+"generate-keys")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Dendrite: %w: %s", err, out)
	}
	return dir, nil
})

// startDendrite starts an empty homeserver which knows the appservices, and returns
// when it answers. A registration's URL is called from the start on: listen before.
func startDendrite(t *testing.T, registrations ...*appservice.Registration) *dendrite {
	t.Helper()
	programs, err := dendritePrograms()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "hs") // a socket's path may be 107 bytes long
	require.NoError(t, err)
	d := &dendrite{domain: dendriteDomain, programs: programs, dir: dir, log: &lockedBuffer{}}
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			t.Logf("Dendrite's log:\n%s", d.log)
		}
		require.NoError(t, os.RemoveAll(dir))
	})
	d.configure(t, registrations)
	d.listen(t)
	d.start(t)
	return d
}

// configure writes all files that Dendrite reads.
func (d *dendrite) configure(t *testing.T, registrations []*appservice.Registration) {
	t.Helper()
	keygen := exec.Command(filepath.Join(d.programs, "generate-keys"), "-private-key", d.path("key.pem"))
	out, err := keygen.CombinedOutput()
	require.NoError(t, err, "%s", out)
	type object = map[string]any
	database := func(name string) object {
		return object{"connection_string": "file:" + d.path(name+".db")}
	}
	files := make([]string, len(registrations))
	for i, registration := range registrations {
		files[i] = d.path(fmt.Sprintf("registration%d.yaml", i))
		require.NoError(t, registration.Save(files[i]))
	}
	config, err := json.Marshal(object{ // which is YAML
		"version": 2,
		"global": object{
			"server_name": d.domain,
			"private_key": d.path("key.pem"),
			"jetstream":   object{"storage_path": d.path("nats")},
			"cache":       object{"max_size_estimated": "64mb"},
		},
		"app_service_api": object{"config_files": files},
		"client_api": object{
			"registration_shared_secret": registrationSecret,
			"rate_limiting":              object{"enabled": false},
		},
		"user_api":       object{"bcrypt_cost": 4, "account_database": database("account")},
		"media_api":      object{"base_path": d.path("media"), "database": database("media")},
		"room_server":    object{"database": database("room")},
		"sync_api":       object{"database": database("sync")},
		"key_server":     object{"database": database("key")},
		"federation_api": object{"database": database("federation")},
		"relay_api":      object{"database": database("relay")},
		"mscs":           object{"database": database("mscs")},
		"logging":        []object{{"type": "std", "level": "warn"}},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.path("dendrite.yaml"), config, 0o600))
}

func (d *dendrite) path(name string) string { return filepath.Join(d.dir, name) }

// listen hands what comes to url on to Dendrite's socket. While Dendrite doesn't run, a
// connection is closed at once.
func (d *dendrite) listen(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	d.url = "http://" + listener.Addr().String()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go d.splice(client)
		}
	}()
}

func (d *dendrite) splice(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", d.path("socket"))
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// start starts the process, with what an earlier one left, and returns when it answers.
func (d *dendrite) start(t *testing.T) {
	t.Helper()
	d.cmd = exec.Command(filepath.Join(d.programs, "dendrite"), "-config", d.path("dendrite.yaml"), "-unix-socket", d.path("socket"))
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = d.dir, d.log, d.log
	require.NoError(t, d.cmd.Start())
	d.ended = make(chan struct{})
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait()
	}()
	require.Eventually(t, func() bool { return d.hasEnded() || d.answers() }, time.Minute, 10*time.Millisecond, "%s", d.log)
	require.False(t, d.hasEnded(), "%s", d.log)
}

func (d *dendrite) hasEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

func (d *dendrite) answers() bool {
	resp, err := http.Get(d.url + "/_matrix/client/versions")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the process in good order; start brings it back with the same data.
func (d *dendrite) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	<-d.ended
}

// kill ends the process as a crash does.
func (d *dendrite) kill() {
	if d.ended == nil { // never started
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.ended
}

// newUser registers an ordinary user and returns its client, logged in.
func (d *dendrite) newUser(t *testing.T, localpart string) *mautrix.Client {
	t.Helper()
	client, err := mautrix.NewClient(d.url, "", "")
	require.NoError(t, err)
	url := d.url + "/_synapse/admin/v1/register"
	var nonce struct{ Nonce string }
	_, err = client.MakeRequest(t.Context(), http.MethodGet, url, nil, &nonce)
	require.NoError(t, err)
	const password = "password"
	mac := hmac.New(sha1.New, []byte(registrationSecret))
	mac.Write([]byte(strings.Join([]string{nonce.Nonce, localpart, password, "notadmin"}, "\x00")))
	var answer mautrix.RespRegister
	_, err = client.MakeRequest(t.Context(), http.MethodPost, url, map[string]any{
		"nonce": nonce.Nonce, "username": localpart, "password": password, "admin": false, "mac": hex.EncodeToString(mac.Sum(nil)),
	}, &answer)
	require.NoError(t, err)
	client.UserID, client.DeviceID, client.AccessToken = answer.UserID, answer.DeviceID, answer.AccessToken
	return client
}

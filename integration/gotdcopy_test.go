package integration

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// otherGotd is a version of gotd of an older layer, and where the module of the tests has
// it.
const (
	otherGotd      = "github.com/gotd/td@v0.161.0"
	otherLayer     = "const Layer = 228"
	otherGotdsPath = "example.com/bridge/pkg/gotd"
)

// bridgeModule is the module of a bridge that has a copy of gotd of its own.
type bridgeModule struct {
	t   *testing.T
	dir string
}

func newBridgeModule(t *testing.T) *bridgeModule {
	t.Helper()
	library, err := filepath.Abs("..")
	require.NoError(t, err)
	m := &bridgeModule{t, t.TempDir()}
	sums, err := os.ReadFile(filepath.Join(library, "go.sum"))
	require.NoError(t, err)
	m.write("go.sum", sums)
	m.write("go.mod", []byte("module example.com/bridge\n\ngo 1.26.0\n\nrequire github.com/tgprovision/tgprovision v0.0.0\n\n"+
		"replace github.com/tgprovision/tgprovision => "+library+"\n"))
	m.copyGotd()
	return m
}

func (m *bridgeModule) path(name string) string {
	return filepath.Join(m.dir, filepath.FromSlash(name))
}

func (m *bridgeModule) read(name string) []byte {
	m.t.Helper()
	data, err := os.ReadFile(m.path(name))
	require.NoError(m.t, err)
	return data
}

func (m *bridgeModule) write(name string, data []byte) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.path(name)), 0o700))
	require.NoError(m.t, os.WriteFile(m.path(name), data, 0o600))
}

// copyGotd copies the other gotd to another import path.
func (m *bridgeModule) copyGotd() {
	m.t.Helper()
	out, err := m.command("mod", "download", "-json", otherGotd)
	require.NoError(m.t, err, "%s", out)
	var downloaded struct{ Dir string }
	require.NoError(m.t, json.Unmarshal(out, &downloaded))
	tree := os.DirFS(downloaded.Dir)
	require.NoError(m.t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".pem") {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		m.write("pkg/gotd/"+name, bytes.ReplaceAll(data, []byte(`"github.com/gotd/td/`), []byte(`"`+otherGotdsPath+`/`)))
		return err
	}))
	require.Contains(m.t, string(m.read("pkg/gotd/tg/tl_registry_gen.go")), otherLayer)
}

// command runs the go command in the module. Without paths in what is compiled, the next
// run finds it in the cache.
func (m *bridgeModule) command(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(m.t.Context(), "go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -trimpath", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if failed, ok := err.(*exec.ExitError); ok {
			stderr = failed.Stderr
		}
		out = append(out, stderr...)
	}
	return out, err
}

// gotdcopy runs the command as its documentation says.
func (m *bridgeModule) gotdcopy(args ...string) (string, error) {
	out, err := m.command(append([]string{"run", "github.com/tgprovision/tgprovision/telegram/gotdcopy", "-gotd", otherGotdsPath}, args...)...)
	return string(out), err
}

// The calls, the server and the conformance suites are copied onto a gotd of another layer,
// and pass there. The logins compile there.
func TestCopiesOntoOtherLayer(t *testing.T) {
	m := newBridgeModule(t)
	out, err := m.gotdcopy("-to", "pkg/tgcalls", "-tests")
	require.NoError(t, err, out)
	assert.NotContains(t, string(m.read("pkg/tgcalls/chats.go")), `"github.com/gotd/td`)
	tested, err := m.command("test", "-vet=off", "-count=1", "-v", "-run", "TestSuites", "./pkg/tgcalls")
	require.NoError(t, err, "%s", tested)
	for _, suite := range []string{"ChatLister", "ContactLister", "StickerSetLister", "ChatGetter", "ChatCreator", "UserResolver", "PhotoGetter"} {
		assert.Contains(t, string(tested), "--- PASS: TestSuites/"+suite+" ")
	}
	out, err = m.gotdcopy("-to", "pkg/tgsessions", "-part", "sessions")
	require.NoError(t, err, out)
	assert.FileExists(t, m.path("pkg/tgsessions/upgrades/01-sessions.sql"))
}

func TestCopiesSayWhatGotdLacks(t *testing.T) {
	m := newBridgeModule(t)
	const login = "pkg/gotd/telegram/auth/user.go"
	before := m.read(login)
	without := bytes.Replace(before, []byte(") ResendCode("), []byte(") resendCode("), 1)
	require.NotEqual(t, before, without)
	m.write(login, without)
	out, err := m.gotdcopy("-to", "pkg/tgsessions", "-part", "sessions")
	require.Error(t, err)
	assert.Contains(t, out, otherGotdsPath+" lacks auth.Client.ResendCode, which telegram/logincontrol.go uses\n")
	assert.NotContains(t, out, "does not fit")
	assert.NoDirExists(t, m.path("pkg/tgsessions"))
}

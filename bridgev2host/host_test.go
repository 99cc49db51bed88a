package bridgev2host_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/bridgeconfig"

	"github.com/tgprovision/tgprovision/bridgev2host"
	"github.com/tgprovision/tgprovision/provisioning"
)

const secret = "shared-secret-of-tests"

// network is a connector that nothing is asked of.
type network struct{ bridgev2host.Network }

func config() bridgev2host.Config {
	return bridgev2host.Config{
		Bridge:     &bridgev2.Bridge{Config: &bridgeconfig.BridgeConfig{}},
		AppService: &appservice.AppService{},
		Network:    network{},
		API:        provisioning.Config{Secret: secret},
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bridgev2host.Config){
		"Config.Bridge":     func(c *bridgev2host.Config) { c.Bridge = nil },
		"Config.AppService": func(c *bridgev2host.Config) { c.AppService = nil },
		"Config.Network":    func(c *bridgev2host.Config) { c.Network = nil },
		"Config.Secret":     func(c *bridgev2host.Config) { c.API.Secret = "" },
	} {
		cfg := config()
		change(&cfg)
		_, err := bridgev2host.New(cfg)
		assert.ErrorContains(t, err, name)
	}
}

// A bridge mounts the API before it has started.
func TestRequestsBeforeStart(t *testing.T) {
	t.Parallel()
	cfg := config()
	host, err := bridgev2host.New(cfg)
	require.NoError(t, err)
	api := host.Handler("/_matrix/provision")
	ask := func(secret string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "/_matrix/provision/v1/bridge", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w.Result()
	}
	assert.Equal(t, http.StatusUnauthorized, ask("wrong").StatusCode)
	early := ask(cfg.API.Secret)
	assert.Equal(t, http.StatusServiceUnavailable, early.StatusCode)
	assert.NotEmpty(t, early.Header.Get("Retry-After"))
}

// A bridge brings its own copy of gotd, its own Matrix connector, and its own SQL drivers.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, dep := range strings.Fields(string(out)) {
		for _, unwanted := range []string{
			"github.com/gotd/", "modernc.org/", "github.com/jackc/", "github.com/lib/pq", "github.com/mattn/go-sqlite3",
			"maunium.net/go/mautrix/bridgev2/matrix", "maunium.net/go/mautrix/crypto/libolm",
			"github.com/tgprovision/tgprovision/auth", "github.com/tgprovision/tgprovision/telegram",
		} {
			assert.False(t, strings.HasPrefix(dep, unwanted), "it needs %s", dep)
		}
	}
}

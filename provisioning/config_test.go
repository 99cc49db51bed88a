package provisioning_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

func soundConfig() provisioning.Config {
	portals := provisioningtest.NewMemPortalStore()
	return provisioning.Config{
		Secret: secret, Users: provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(), Portals: portals, Tasks: portals,
	}
}

// factoryFunc is a factory whose kind is not a pointer.
type factoryFunc func()

func (factoryFunc) Client(context.Context, id.UserID) (provisioning.TelegramClient, error) {
	return nil, provisioning.ErrNotImplemented
}

// relayClient is a Telegram client.
type relayClient struct{ provisioning.TelegramClient }

// structStore is a store whose kind can't be nil.
type structStore struct{ provisioning.UserStore }

func TestConfigFaults(t *testing.T) {
	cases := []struct {
		name   string
		change func(*provisioning.Config)
		fields []string // the fields of the faults, none for a sound one
	}{
		{"sound", func(*provisioning.Config) {}, nil},
		{"shortest secret", func(c *provisioning.Config) { c.Secret = strings.Repeat("x", provisioning.MinSecretLength) }, nil},
		{"secret with signs", func(c *provisioning.Config) { c.Secret = `!"#$%&'()*+,-./:;<=>?@[\]^_{|}~` + "`" }, nil},
		{"no secret", func(c *provisioning.Config) { c.Secret = "" }, []string{"Secret"}},
		{"15 characters", func(c *provisioning.Config) { c.Secret = strings.Repeat("x", 15) }, []string{"Secret"}},
		{"blank before the secret", func(c *provisioning.Config) { c.Secret = " " + secret }, []string{"Secret"}},
		{"blank after the secret", func(c *provisioning.Config) { c.Secret = secret + "\n" }, []string{"Secret"}},
		{"secret outside ASCII", func(c *provisioning.Config) { c.Secret = secret + "é" }, []string{"Secret"}},
		{"secret of blanks", func(c *provisioning.Config) { c.Secret = strings.Repeat(" ", 20) }, []string{"Secret"}},
		{"no users", func(c *provisioning.Config) { c.Users = nil }, []string{"Users"}},
		{"typed nil users", func(c *provisioning.Config) { c.Users = (*provisioningtest.MemUserStore)(nil) }, []string{"Users"}},
		{"users in a struct", func(c *provisioning.Config) { c.Users = structStore{c.Users.(provisioning.UserStore)} }, nil},
		{"no Telegram", func(c *provisioning.Config) { c.Telegram = nil }, []string{"Telegram"}},
		{"typed nil Telegram", func(c *provisioning.Config) { c.Telegram = (*provisioningtest.Telegram)(nil) }, []string{"Telegram"}},
		{"nil function", func(c *provisioning.Config) { c.Telegram = factoryFunc(nil) }, []string{"Telegram"}},
		{"function", func(c *provisioning.Config) { c.Telegram = factoryFunc(func() {}) }, nil},
		{"no portals", func(c *provisioning.Config) { c.Portals = nil }, []string{"Portals"}},
		{"typed nil portals", func(c *provisioning.Config) { c.Portals = (*provisioningtest.MemPortalStore)(nil) }, []string{"Portals"}},
		{"typed nil relay bot", func(c *provisioning.Config) { c.RelayBot = (*relayClient)(nil) }, []string{"RelayBot"}},
		{"typed nil tokens", func(c *provisioning.Config) { c.Tokens = (*checker)(nil) }, []string{"Tokens"}},
		{"bad origins", func(c *provisioning.Config) { c.CORS = []string{"", webApp, webApp + "/"} }, []string{"CORS", "CORS"}},
		{"typed nil rooms", func(c *provisioning.Config) { c.Rooms = (*provisioningtest.MemRooms)(nil) }, []string{"Rooms"}},
		{"no tasks", func(c *provisioning.Config) { c.Tasks = nil }, nil},
		{"no tasks for rooms", func(c *provisioning.Config) { c.Tasks, c.Rooms = nil, provisioningtest.NewMemRooms() }, []string{"Tasks"}},
		{"typed nil tasks for rooms", func(c *provisioning.Config) {
			c.Tasks, c.Rooms = (*provisioningtest.MemPortalStore)(nil), provisioningtest.NewMemRooms()
		}, []string{"Tasks"}},
		{"negative timeout", func(c *provisioning.Config) { c.Timeout = -time.Second }, []string{"Timeout"}},
		{"negative bounds", func(c *provisioning.Config) { c.MaxRequests, c.MaxRequestsPerUser = -1, -1 }, []string{"MaxRequests", "MaxRequestsPerUser"}},
		{"smallest bounds", func(c *provisioning.Config) { c.MaxRequests, c.MaxRequestsPerUser = 1, 1 }, nil},
		{"everything", func(c *provisioning.Config) {
			*c = provisioning.Config{Timeout: -1, RelayBot: (*relayClient)(nil)}
		}, []string{"Secret", "Users", "Telegram", "Portals", "RelayBot", "Timeout"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := soundConfig()
			c.change(&cfg)
			before := cfg
			p, err := provisioning.New(cfg)
			if (p == nil) != (len(c.fields) > 0) || (err == nil) != (len(c.fields) == 0) {
				t.Fatalf("New: %v, %v; want the faults %q", p, err, c.fields)
			}
			if c.name != "function" && !reflect.DeepEqual(cfg, before) {
				t.Errorf("New has written into the Config: %+v", cfg)
			}
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(c.fields) {
				t.Fatalf("the faults are %q, want one for each of %q", lines, c.fields)
			}
			for i, field := range c.fields {
				if !strings.HasPrefix(lines[i], "Config."+field+" ") || !strings.Contains(lines[i], ": ") {
					t.Errorf("the fault %q does not name Config.%s and what to do", lines[i], field)
				}
				if given := strings.TrimSpace(before.Secret); given != "" && strings.Contains(lines[i], given) {
					t.Errorf("the fault %q holds the secret", lines[i])
				}
			}
		})
	}
}

package connector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/configupgrade"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// Connector is the bridge's connector to Telegram. The zero value is ready for
// mxmain.BridgeMain.
type Connector struct {
	Config Config

	bridge     *bridgev2.Bridge
	datacenter *telegram.Datacenter // nil for Telegram's own
	logins     *telegram.Factory
	hashes     *hashStore
}

var (
	_ bridgev2.StoppableNetwork            = (*Connector)(nil)
	_ bridgev2.ConfigValidatingNetwork     = (*Connector)(nil)
	_ bridgev2.IdentifierValidatingNetwork = (*Connector)(nil)
)

// Config is the section network of the bridge's configuration.
type Config struct {
	APIID        int              `yaml:"api_id"`
	APIHash      string           `yaml:"api_hash"`
	Datacenter   DatacenterConfig `yaml:"datacenter"`
	CreateLimit  int              `yaml:"create_limit"`
	CodesPerHour int              `yaml:"codes_per_hour"`
}

// CodesPerPhone is how many login codes may be requested for one phone number.
func (c Config) CodesPerPhone() provisioning.Allowance {
	return provisioning.Allowance{PerHour: c.CodesPerHour, PerDay: 2 * c.CodesPerHour}
}

// DatacenterConfig is a datacenter in place of Telegram's own.
type DatacenterConfig struct {
	ID      int    `yaml:"id"`
	Addr    string `yaml:"addr"`
	KeyFile string `yaml:"key_file"`
}

const exampleConfig = `# What Telegram knows this bridge by: get both at https://my.telegram.org
api_id: 0
api_hash: ""

# A test server in place of Telegram: the number of its datacenter, its address as
# IP:port, and a file with its public key. Empty for the real Telegram.
datacenter:
    id: 2
    addr: ""
    key_file: ""

# How many of an account's chats get a room by themselves after a login. 0 is none.
create_limit: 15

# How many login codes may be requested for one phone number in an hour; twice as many in a
# day. 0 is 5, -1 is no limit.
codes_per_hour: 0
`

// GetConfig implements bridgev2.NetworkConnector.
func (c *Connector) GetConfig() (string, any, configupgrade.Upgrader) {
	return exampleConfig, &c.Config, configupgrade.SimpleUpgrader(func(helper configupgrade.Helper) {
		helper.Copy(configupgrade.Int, "api_id")
		helper.Copy(configupgrade.Str, "api_hash")
		helper.Copy(configupgrade.Int, "datacenter", "id")
		helper.Copy(configupgrade.Str, "datacenter", "addr")
		helper.Copy(configupgrade.Str, "datacenter", "key_file")
		helper.Copy(configupgrade.Int, "create_limit")
		helper.Copy(configupgrade.Int, "codes_per_hour")
	})
}

// ValidateConfig implements bridgev2.ConfigValidatingNetwork.
func (c *Connector) ValidateConfig() error {
	if c.Config.APIID <= 0 || c.Config.APIHash == "" {
		return errors.New("network.api_id and network.api_hash are not configured")
	}
	dc := c.Config.Datacenter
	if dc.Addr == "" {
		return nil
	}
	pem, err := os.ReadFile(dc.KeyFile)
	if err != nil {
		return fmt.Errorf("network.datacenter.key_file: %w", err)
	}
	key, err := telegram.ParseKey(pem)
	if err != nil {
		return fmt.Errorf("network.datacenter.key_file: %w", err)
	}
	c.datacenter = &telegram.Datacenter{ID: dc.ID, Addr: dc.Addr, Key: key}
	return nil
}

// GetName implements bridgev2.NetworkConnector.
func (c *Connector) GetName() bridgev2.BridgeName {
	return bridgev2.BridgeName{
		DisplayName: "Telegram", NetworkURL: "https://telegram.org", NetworkID: "telegram",
		BeeperBridgeType: "github.com/tgprovision/tgprovision/examples/bridgev2",
		DefaultPort:      29317,
	}
}

// GetDBMetaTypes implements bridgev2.NetworkConnector.
func (c *Connector) GetDBMetaTypes() database.MetaTypes {
	return database.MetaTypes{
		UserLogin: func() any { return new(LoginMetadata) },
		Portal:    func() any { return new(PortalMetadata) },
	}
}

// GetCapabilities implements bridgev2.NetworkConnector.
func (c *Connector) GetCapabilities() *bridgev2.NetworkGeneralCapabilities {
	return &bridgev2.NetworkGeneralCapabilities{Provisioning: bridgev2.ProvisioningCapabilities{
		ResolveIdentifier: bridgev2.ResolveIdentifierCapabilities{
			CreateDM: true, LookupPhone: true, LookupUsername: true, ContactList: true,
		},
	}}
}

// GetBridgeInfoVersion implements bridgev2.NetworkConnector.
func (c *Connector) GetBridgeInfoVersion() (info, capabilities int) { return 1, 1 }

// ValidateUserID implements bridgev2.IdentifierValidatingNetwork.
func (c *Connector) ValidateUserID(user networkid.UserID) bool {
	_, ok := ParseUserID(user)
	return ok
}

// Init implements bridgev2.NetworkConnector.
func (c *Connector) Init(bridge *bridgev2.Bridge) {
	c.bridge = bridge
	c.hashes = newHashStore(bridge.DB.Database)
}

// Start implements bridgev2.NetworkConnector.
func (c *Connector) Start(ctx context.Context) (err error) {
	if err := c.hashes.db.Upgrade(ctx); err != nil {
		return bridgev2.DBUpgradeError{Section: "access hashes", Err: err}
	}
	c.logins, err = telegram.NewFactory(ctx, telegram.Config{
		DB: c.bridge.DB.Database, APIID: c.Config.APIID, APIHash: c.Config.APIHash, Datacenter: c.datacenter,
		Log: zerolog.Ctx(ctx).With().Str("component", "telegram logins").Logger(),
	})
	return err
}

// Stop implements bridgev2.StoppableNetwork.
func (c *Connector) Stop() {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.logins.Close(ctx); err != nil {
		c.bridge.Log.Warn().Err(err).Msg("Telegram logins are slow to stop")
	}
}

// Logins returns what logs people in to Telegram, from Start on. Its sessions are those of
// half-done logins only: [Connector.Adopt] takes a session over when the login is done.
func (c *Connector) Logins() *telegram.Factory { return c.logins }

// LoadUserLogin implements bridgev2.NetworkConnector.
func (c *Connector) LoadUserLogin(_ context.Context, login *bridgev2.UserLogin) error {
	login.Client = newClient(c, login)
	return nil
}

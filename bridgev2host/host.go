package bridgev2host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/keyed"
	"github.com/tgprovision/tgprovision/internal/limitstore"
	"github.com/tgprovision/tgprovision/internal/linkstore"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// Config is what a [Host] is made of.
type Config struct {
	// Bridge is the bridge. It need not be started yet. Required.
	Bridge *bridgev2.Bridge
	// AppService is that of the bridge's Matrix connector, such as the field AS of
	// bridgev2/matrix. Required.
	AppService *appservice.AppService
	// Network is the bridge's Telegram connector. Required.
	Network Network
	// WrongCodes is after how many wrong codes a login is given up, and WrongPasswords after how
	// many wrong passwords, where the login is one of the bridge's login processes; most of
	// these end at the first. A [LoginNetwork] counts itself. Zero is 5 codes and 10 passwords,
	// a negative number no limit besides the bridge's and Telegram's.
	WrongCodes, WrongPasswords int
	// API is the configuration of the API. Its Secret, or Secrets, are required, such as the shared
	// secret of the bridge's own provisioning API. The Host sets Users, Telegram,
	// Portals, Tasks, Rooms and RelayBot, Log where it is the zero value, and Limits and
	// LoginLinks where they are nil: they are kept in the bridge's database then.
	API provisioning.Config
}

// Host is the API of a bridge. It is made by [New], and safe for concurrent use.
type Host struct {
	br      *bridgev2.Bridge
	as      *appservice.AppService
	network Network
	cfg     provisioning.Config
	api     *provisioning.Provisioner

	portals *portalStore
	rooms   *rooms
	tasks   *tasks
	limits  *limits
	links   *links

	wrongCodes, wrongPasswords int // after which a login is given up

	logins   *loginProcesses
	accounts accountMemory
	known    sync.Map // id.UserID of users who have a row

	changing keyed.Mutex[id.UserID] // held while a user is logged out, or a login is taken over
}

// tasks is the task store, which is opened by Start.
type tasks struct{ provisioning.TaskStore }

// limits is the limit store, which is opened by Start.
type limits struct{ provisioning.LimitStore }

// links is the store of login links, which is opened by Start.
type links struct{ provisioning.LoginLinkStore }

// New returns a Host. It starts nothing, and asks neither the database nor the homeserver:
// it may be called as soon as the bridge and its appservice exist. Errors: a configuration
// that can't be used.
func New(cfg Config) (*Host, error) {
	switch {
	case cfg.Bridge == nil:
		return nil, errors.New("Config.Bridge is nil: set the bridge")
	case cfg.AppService == nil:
		return nil, errors.New("Config.AppService is nil: set that of the bridge's Matrix connector")
	case cfg.Network == nil:
		return nil, errors.New("Config.Network is nil: set the bridge's Telegram connector")
	}
	h := &Host{br: cfg.Bridge, as: cfg.AppService, network: cfg.Network, tasks: &tasks{}, logins: newLoginProcesses()}
	h.wrongCodes, h.wrongPasswords = cmp.Or(cfg.WrongCodes, 5), cmp.Or(cfg.WrongPasswords, 10)
	h.portals = newPortalStore(h)
	h.rooms = &rooms{h: h}
	api := cfg.API
	if reflect.ValueOf(api.Log).IsZero() {
		api.Log = h.br.Log
	}
	api.Users, api.Telegram, api.Portals, api.Tasks, api.Rooms = users{h}, clients{h}, h.portals, h.tasks, h.rooms
	if api.Limits == nil {
		h.limits = &limits{}
		api.Limits = h.limits
	}
	if api.LoginLinks == nil {
		h.links = &links{}
		api.LoginLinks = h.links
	}
	if relay := h.br.Config.Relay; relay.Enabled && len(relay.DefaultRelays) > 0 {
		api.RelayBot = &client{h: h, relay: relay.DefaultRelays[0]}
	}
	h.cfg = api
	var err error
	h.api, err = provisioning.New(api)
	return h, err
}

// Config returns the configuration of the API, with the parts that the Host has set. They
// can be used from Start on.
func (h *Host) Config() provisioning.Config { return h.cfg }

// Handler returns the API as a handler, see [provisioning.Provisioner.Handler].
func (h *Host) Handler(prefix string) http.Handler { return h.api.Handler(prefix) }

// API returns the API, for what only some bridges need, such as mounting it on a
// gorilla/mux router, or listing the background work. The Host starts and closes it.
func (h *Host) API() *provisioning.Provisioner { return h.api }

// Start opens what the API keeps in the bridge's database, has it answer requests, and
// takes over logins that were done when an earlier process ended. The bridge has started. The
// background work has the values of ctx, and stops when it ends or at Close. Errors:
// those of the database.
func (h *Host) Start(ctx context.Context) error {
	taskStore, err := portal.NewTaskStore(ctx, portal.TaskStoreConfig{DB: h.br.DB.Database})
	if err != nil {
		return fmt.Errorf("open the tasks of the provisioning API: %w", err)
	}
	if h.limits != nil {
		if h.limits.LimitStore, err = limitstore.Open(ctx, h.br.DB.Database); err != nil {
			return fmt.Errorf("open the limits of the provisioning API: %w", err)
		}
	}
	if h.links != nil {
		if h.links.LoginLinkStore, err = linkstore.Open(ctx, h.br.DB.Database); err != nil {
			return fmt.Errorf("open the login links of the provisioning API: %w", err)
		}
	}
	roomsOfBot, err := portal.NewRooms(ctx, portal.RoomsConfig{
		AppService: h.as, DB: h.br.DB.Database, Log: h.br.Log,
		GhostID: h.ghostMXID, ParseGhost: h.parseGhostMXID, BridgeInfoKey: h.bridgeInfoKey,
	})
	if err != nil {
		return fmt.Errorf("open the rooms of the provisioning API: %w", err)
	}
	h.tasks.TaskStore, h.rooms.Rooms = taskStore, roomsOfBot
	if err := h.api.Start(ctx); err != nil {
		return fmt.Errorf("start the provisioning API: %w", err)
	}
	h.adoptAll(ctx)
	return nil
}

// Ready says whether the API can be used, as [provisioning.Provisioner.Ready] does: the
// bridge's database, the homeserver, and Telegram where the Network is a
// [provisioning.Checker].
func (h *Host) Ready(ctx context.Context) error { return h.api.Ready(ctx) }

// Close ends the API as [provisioning.Provisioner.Close] does. The bridge stops
// afterwards.
func (h *Host) Close(ctx context.Context) error { return h.api.Close(ctx) }

// background returns a context for what outlives a request: bridgev2 goes on with the
// contexts that it is given.
func (h *Host) background(ctx context.Context) context.Context {
	return zerolog.Ctx(ctx).WithContext(h.br.BackgroundCtx)
}

func (h *Host) ghostMXID(user provisioning.TelegramID) id.UserID {
	return h.br.Matrix.FormatGhostMXID(h.network.GhostID(user))
}

func (h *Host) parseGhostMXID(userID id.UserID) (provisioning.TelegramID, bool) {
	ghostID, ok := h.br.Matrix.ParseGhostMXID(userID)
	if !ok {
		return 0, false
	}
	return h.network.ParseGhostID(ghostID), true
}

// bridgeInfoKey is the state key of the bridge info that bridgev2 sends.
func (h *Host) bridgeInfoKey(provisioning.Portal) string {
	if h.br.Config.NoBridgeInfoStateKey {
		return ""
	}
	if identified, ok := h.br.Matrix.(bridgev2.MatrixConnectorWithBridgeIdentifier); ok {
		return identified.GetUniqueBridgeID()
	}
	return string(h.br.ID)
}

//go:build cgo

package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// withLogins is a store of the bridge's portals. The accounts that take part in a portal
// have a login: in a bridge, nobody else can.
type withLogins struct {
	provisioningtest.TaskPortalStore
	t *testing.T
	b *bridge
}

func (w withLogins) Connect(ctx context.Context, n provisioning.NewPortal) error {
	for _, account := range append(n.Accounts, n.Receiver) {
		if account != 0 && ctx.Err() == nil {
			w.login(account)
		}
	}
	return w.TaskPortalStore.Connect(ctx, n)
}

func (w withLogins) login(account provisioning.TelegramID) {
	loginID := connector.LoginID(account)
	if w.b.Bridge.GetCachedUserLoginByID(loginID) != nil {
		return
	}
	ctx := context.WithoutCancel(w.t.Context())
	user, err := w.b.Bridge.GetUserByMXID(ctx, id.NewUserID(string(loginID), "example.com"))
	if assert.NoError(w.t, err) {
		_, err = user.NewLogin(ctx, &database.UserLogin{ID: loginID, Metadata: &connector.LoginMetadata{}}, nil)
		assert.NoError(w.t, err)
	}
}

// portalStore returns the bridge's portals, with the tasks.
func portalStore(t *testing.T, b *bridge) withLogins {
	cfg := b.api.Config()
	return withLogins{struct {
		provisioning.PortalStore
		provisioning.TaskStore
	}{cfg.Portals, cfg.Tasks}, t, b}
}

func TestPortalStore(t *testing.T) {
	provisioningtest.TestPortalStore(t, func(t *testing.T) func(*testing.T) provisioning.PortalStore {
		b := newWorld(t).bridge
		return func(t *testing.T) provisioning.PortalStore { return portalStore(t, b) }
	})
}

func TestTaskPortalStore(t *testing.T) {
	provisioningtest.TestTaskPortalStore(t, func(t *testing.T) func(*testing.T) provisioningtest.TaskPortalStore {
		b := newWorld(t).bridge
		return func(t *testing.T) provisioningtest.TaskPortalStore { return portalStore(t, b) }
	})
}

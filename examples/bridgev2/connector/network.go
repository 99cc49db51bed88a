package connector

import (
	"context"
	"errors"

	"github.com/gotd/td/tgerr"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/bridgev2host"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// Network is what the provisioning API asks of the connector.
type Network struct{ c *Connector }

var (
	_ bridgev2host.Network       = Network{}
	_ bridgev2host.LoginNetwork  = Network{}
	_ bridgev2host.EndingNetwork = Network{}
	_ provisioning.Checker       = Network{}
)

// Network returns what the provisioning API asks of the connector.
func (c *Connector) Network() Network { return Network{c} }

// Check implements provisioning.Checker.
func (n Network) Check(ctx context.Context) error { return n.c.logins.Check(ctx) }

// TelegramID implements bridgev2host.IDs.
func (Network) TelegramID(loginID networkid.UserLoginID) provisioning.TelegramID {
	account, _ := ParseLoginID(loginID)
	return account
}

// LoginID implements bridgev2host.IDs.
func (Network) LoginID(account provisioning.TelegramID) networkid.UserLoginID {
	return LoginID(account)
}

// GhostID implements bridgev2host.IDs.
func (Network) GhostID(user provisioning.TelegramID) networkid.UserID { return UserID(int64(user)) }

// ParseGhostID implements bridgev2host.IDs.
func (Network) ParseGhostID(ghostID networkid.UserID) provisioning.TelegramID {
	user, _ := ParseUserID(ghostID)
	return provisioning.TelegramID(user)
}

// PortalID implements bridgev2host.IDs.
func (Network) PortalID(chatID provisioning.ChatID) (portalID networkid.PortalID, perLogin bool) {
	kind, _, _ := chatID.Split()
	return PortalID(chatID), kind != provisioning.PeerChannel
}

// ChatID implements bridgev2host.IDs.
func (Network) ChatID(portalID networkid.PortalID) (provisioning.ChatID, bool) {
	return ParsePortalID(portalID)
}

// Describe implements bridgev2host.Network.
func (Network) Describe(_ context.Context, row *database.Portal, portal *provisioning.Portal) error {
	if metadata, ok := row.Metadata.(*PortalMetadata); ok {
		portal.Username, portal.Megagroup = metadata.Username, metadata.Megagroup
	}
	return nil
}

// Fill implements bridgev2host.Network.
func (Network) Fill(row *database.Portal, portal provisioning.Portal) {
	row.Metadata = &PortalMetadata{Username: portal.Username, Megagroup: portal.Megagroup}
}

// HasSession implements bridgev2host.Network.
func (Network) HasSession(login *bridgev2.UserLogin) bool {
	return login.Client.(*Client).HasSession()
}

// EndPending implements bridgev2host.EndingNetwork.
func (Network) EndPending(login *bridgev2.UserLogin) bool {
	return login.Client.(*Client).endPending.Load()
}

// Telegram implements bridgev2host.Network.
func (Network) Telegram(login *bridgev2.UserLogin) bridgev2host.Telegram {
	return login.Client.(*Client).calls
}

// Error implements bridgev2host.Network.
func (Network) Error(err error) error {
	if rpc, ok := tgerr.As(err); ok {
		return rpcerror.Error("", rpc.Code, rpc.Message)
	}
	if errors.Is(err, bridgev2.ErrNotLoggedIn) {
		return provisioning.ErrNotLoggedIn
	}
	return err
}

// LoginClient implements bridgev2host.LoginNetwork.
func (n Network) LoginClient(userID id.UserID) bridgev2host.LoginClient {
	return n.c.loginClient(userID)
}

// Adopt implements bridgev2host.LoginNetwork.
func (n Network) Adopt(ctx context.Context, user *bridgev2.User, account provisioning.Account) (*bridgev2.UserLogin, error) {
	return n.c.takeOver(ctx, user, account)
}

// Unadopted implements bridgev2host.LoginNetwork.
func (n Network) Unadopted(ctx context.Context) ([]id.UserID, error) { return n.c.logins.LoggedIn(ctx) }

// PortalMetadata is what the bridge's database keeps of a portal beside what bridgev2 does.
type PortalMetadata struct {
	Username  string `json:"username,omitempty"`
	Megagroup bool   `json:"megagroup,omitempty"`
}

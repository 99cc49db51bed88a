package bridgev2host

import (
	"context"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

var _ provisioning.UserReader = (*Host)(nil)

// User implements [provisioning.UserReader]. The login with the lowest ID that has a
// session is the user's.
func (h *Host) User(ctx context.Context, userID id.UserID) (provisioning.User, error) {
	if _, ghost := h.br.Matrix.ParseGhostMXID(userID); ghost || userID == h.br.Bot.GetMXID() {
		return provisioning.User{}, nil
	}
	user := provisioning.User{Permission: h.permission(userID)}
	login, err := h.login(ctx, userID)
	if login != nil {
		user.TelegramID = h.network.TelegramID(login.ID)
	}
	return user, err
}

// permission returns the level that the bridge's configuration gives a user.
func (h *Host) permission(userID id.UserID) provisioning.Permission {
	switch p := h.br.Config.Permissions.Get(userID); {
	case p.Admin:
		return provisioning.PermissionAdmin
	case p.Login:
		return provisioning.PermissionFull
	case p.Commands:
		return provisioning.PermissionUser
	case p.SendEvents:
		return provisioning.PermissionRelaybot
	default:
		return provisioning.PermissionNone
	}
}

// login returns the login of a user that has a session, nil if there is none.
func (h *Host) login(ctx context.Context, userID id.UserID) (*bridgev2.UserLogin, error) {
	user, err := h.user(ctx, userID)
	if err != nil || user == nil {
		return nil, err
	}
	var found *bridgev2.UserLogin
	for _, login := range user.GetUserLogins() {
		if h.network.HasSession(login) && (found == nil || login.ID < found.ID) {
			found = login
		}
	}
	return found, nil
}

// user returns a user that the bridge knows, nil for any other. bridgev2 reads the
// database for those whom it has not loaded, each time, and with the lock held that
// everything in the bridge waits for: those that are in no row are not asked for.
func (h *Host) user(ctx context.Context, userID id.UserID) (*bridgev2.User, error) {
	defer provisioning.WaitsForDatabase(ctx)()
	if _, known := h.known.Load(userID); !known {
		row, err := h.br.DB.User.GetByMXID(ctx, userID)
		if err != nil {
			return nil, fault(ctx, "read a user", err)
		}
		if row == nil {
			return nil, nil
		}
		h.known.Store(userID, struct{}{})
	}
	user, err := h.br.GetExistingUserByMXID(ctx, userID)
	if err != nil {
		return nil, fault(ctx, "load a user", err)
	}
	return user, nil
}

// loginOf returns the bridge's login of a Telegram account that has a session. Errors:
// provisioning.ErrNotLoggedIn.
func (h *Host) loginOf(ctx context.Context, account provisioning.TelegramID) (*bridgev2.UserLogin, error) {
	login, err := h.br.GetExistingUserLoginByID(ctx, h.network.LoginID(account))
	if err != nil {
		return nil, fault(ctx, "load a login", err)
	}
	if login == nil || !h.network.HasSession(login) {
		return nil, provisioning.ErrNotLoggedIn
	}
	return login, nil
}

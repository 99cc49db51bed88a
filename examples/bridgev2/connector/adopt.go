package connector

import (
	"bytes"
	"context"
	"strings"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/status"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// takeOver makes a login of the bridge's of one that package telegram has finished, whose
// account is as Telegram described it, or the zero value. Errors:
// provisioning.ErrNotLoggedIn.
func (c *Connector) takeOver(ctx context.Context, user *bridgev2.User, account provisioning.Account) (login *bridgev2.UserLogin, err error) {
	err = c.loginClient(user.MXID).HandOver(ctx, func(ctx context.Context, s telegram.HandedSession) error {
		if account.ID == s.Account.ID {
			s.Account = account
		}
		login, err = c.Adopt(ctx, user, s)
		return err
	})
	return login, err
}

// Adopt makes a login of a session that package telegram hands over, and starts its client,
// which then has portals made of the first chats. It is for telegram.Client.HandOver, and
// may be called with one session twice. The account may be given as Telegram described it
// when somebody logged in: then the login knows more than the username.
//
// An account that another Matrix user is logged in to is logged out there first, and so is
// a session that the same user had of it.
func (c *Connector) Adopt(_ context.Context, user *bridgev2.User, s telegram.HandedSession) (*bridgev2.UserLogin, error) {
	ctx := user.Log.WithContext(c.bridge.BackgroundCtx) // a login outlives the request that brought it
	id := LoginID(s.Account.ID)
	existing, err := c.bridge.GetExistingUserLoginByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if existing != nil {
		client := existing.Client.(*Client)
		switch {
		case existing.UserMXID != user.MXID:
			existing.Logout(ctx)
		case bytes.Equal(client.metadata.get().AuthKey, s.AuthKey):
			client.Connect(ctx)
			return existing, nil
		default:
			client.endSession(ctx)
		}
	}
	login, err := user.NewLogin(ctx, &database.UserLogin{
		ID: id, RemoteName: remoteName(s.Account), RemoteProfile: remoteProfile(s.Account), Metadata: newMetadata(s),
	}, &bridgev2.NewLoginParams{DeleteOnConflict: true})
	if err != nil {
		return nil, err
	}
	login.Client.Connect(ctx)
	return login, nil
}

func newMetadata(s telegram.HandedSession) *LoginMetadata {
	return &LoginMetadata{stored: storedSession{
		DC: s.DC, Addr: s.Addr, AuthKey: s.AuthKey, KeyID: s.AuthKeyID, Salt: s.Salt, Bot: s.Account.IsBot,
	}}
}

// remoteName is what users see of a login in a list of several.
func remoteName(a provisioning.Account) string {
	switch {
	case a.Username != "":
		return "@" + a.Username
	case a.Phone != "":
		return "+" + a.Phone
	default:
		return string(LoginID(a.ID))
	}
}

func remoteProfile(a provisioning.Account) status.RemoteProfile {
	profile := status.RemoteProfile{Username: a.Username, Name: strings.TrimSpace(a.FirstName + " " + a.LastName)}
	if a.Phone != "" {
		profile.Phone = "+" + a.Phone
	}
	return profile
}

package bridgev2host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/bridgev2"

	"github.com/tgprovision/tgprovision/provisioning"
)

// loginSteps are the steps of a login.
type loginSteps interface {
	provisioning.PhoneLogin
	provisioning.LoginControl
	provisioning.QRLogin
	provisioning.BotLogin
}

// loginSteps returns the steps of a client's login: those of a LoginNetwork's client, or of
// bridgev2's login processes.
func (c *client) loginSteps(ctx context.Context) (loginSteps, error) {
	switch login, err := c.h.login(ctx, c.userID); {
	case err != nil:
		return nil, err
	case login != nil:
		return nil, provisioning.ErrAlreadyLoggedIn
	}
	network, ok := c.h.network.(LoginNetwork)
	if !ok {
		return c.h.logins.of(c), nil
	}
	return &adoptedLogin{network.LoginClient(c.userID), c, network}, nil
}

// RequestCode implements [provisioning.PhoneLogin].
func (c *client) RequestCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.SentCode{}, err
	}
	return steps.RequestCode(ctx, phone)
}

// SubmitCode implements [provisioning.PhoneLogin].
func (c *client) SubmitCode(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	return steps.SubmitCode(ctx, code)
}

// SubmitPassword implements [provisioning.PhoneLogin].
func (c *client) SubmitPassword(ctx context.Context, password string) (provisioning.Account, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	return steps.SubmitPassword(ctx, password)
}

// LoginProgress implements [provisioning.LoginControl].
func (c *client) LoginProgress(ctx context.Context) (provisioning.LoginProgress, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.LoginProgress{}, err
	}
	return steps.LoginProgress(ctx)
}

// ResendCode implements [provisioning.LoginControl].
func (c *client) ResendCode(ctx context.Context) (provisioning.SentCode, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.SentCode{}, err
	}
	return steps.ResendCode(ctx)
}

// CancelLogin implements [provisioning.LoginControl].
func (c *client) CancelLogin(ctx context.Context) error {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return err
	}
	return steps.CancelLogin(ctx)
}

// LoginQR implements [provisioning.QRLogin].
func (c *client) LoginQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	return steps.LoginQR(ctx, show)
}

// LoginBot implements [provisioning.BotLogin].
func (c *client) LoginBot(ctx context.Context, token string) (provisioning.Account, error) {
	steps, err := c.loginSteps(ctx)
	if err != nil {
		return provisioning.Account{}, err
	}
	return steps.LoginBot(ctx, token)
}

// adoptTimeout is how long taking over a login may take whose request has ended.
const adoptTimeout = 30 * time.Second

// adoptedLogin is a login of a LoginNetwork, which the bridge takes over when it is done.
type adoptedLogin struct {
	LoginClient
	c       *client
	network LoginNetwork
}

// RequestCode implements [provisioning.PhoneLogin].
func (a *adoptedLogin) RequestCode(ctx context.Context, phone string) (provisioning.SentCode, error) {
	sent, err := a.LoginClient.RequestCode(ctx, phone)
	return sent, a.leftOver(ctx, err)
}

// SubmitCode implements [provisioning.PhoneLogin].
func (a *adoptedLogin) SubmitCode(ctx context.Context, code provisioning.LoginCode) (provisioning.Account, error) {
	account, err := a.LoginClient.SubmitCode(ctx, code)
	return a.adopt(ctx, account, err)
}

// SubmitPassword implements [provisioning.PhoneLogin].
func (a *adoptedLogin) SubmitPassword(ctx context.Context, password string) (provisioning.Account, error) {
	account, err := a.LoginClient.SubmitPassword(ctx, password)
	return a.adopt(ctx, account, err)
}

// LoginQR implements [provisioning.QRLogin].
func (a *adoptedLogin) LoginQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	account, err := a.LoginClient.LoginQR(ctx, func(ctx context.Context, token provisioning.QRToken) error {
		if login, err := a.c.h.login(ctx, a.c.userID); err != nil {
			return err
		} else if login != nil { // by another step, which was done first
			return provisioning.ErrAlreadyLoggedIn
		}
		return show(ctx, token)
	})
	// Somebody has scanned the code: that counts, though the request may have ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adoptTimeout)
	defer cancel()
	return a.adopt(ctx, account, err)
}

// LoginBot implements [provisioning.BotLogin].
func (a *adoptedLogin) LoginBot(ctx context.Context, token string) (provisioning.Account, error) {
	account, err := a.LoginClient.LoginBot(ctx, token)
	return a.adopt(ctx, account, err)
}

// CancelLogin implements [provisioning.LoginControl].
func (a *adoptedLogin) CancelLogin(ctx context.Context) error {
	return a.leftOver(ctx, a.LoginClient.CancelLogin(ctx))
}

// ResendCode implements [provisioning.LoginControl].
func (a *adoptedLogin) ResendCode(ctx context.Context) (provisioning.SentCode, error) {
	sent, err := a.LoginClient.ResendCode(ctx)
	return sent, a.leftOver(ctx, err)
}

// leftOver takes a login over that was done before, and returns the error of the step that
// found it. A step that finds nothing any more, since another one has just logged in, has
// come too late.
func (a *adoptedLogin) leftOver(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, provisioning.ErrAlreadyLoggedIn):
		if login, lookErr := a.c.h.login(ctx, a.c.userID); lookErr == nil && login != nil {
			return provisioning.ErrAlreadyLoggedIn
		}
		return err
	}
	if _, adoptErr := a.c.h.adopt(ctx, a.network, a.c, provisioning.Account{}); adoptErr != nil && !errors.Is(adoptErr, provisioning.ErrNotLoggedIn) {
		return adoptErr
	}
	return err
}

// adopt ends the last step of a login, which has returned an account or an error.
func (a *adoptedLogin) adopt(ctx context.Context, account provisioning.Account, err error) (provisioning.Account, error) {
	if err != nil {
		return provisioning.Account{}, a.leftOver(ctx, err)
	}
	login, err := a.c.h.adopt(ctx, a.network, a.c, account)
	if errors.Is(err, provisioning.ErrNotLoggedIn) { // another step has found the login done, and had it taken over
		login, err = a.c.h.loginOf(ctx, account.ID)
	}
	if err != nil {
		return provisioning.Account{}, err
	}
	a.c.h.accounts.put(login, account)
	return account, nil
}

// errLevelLost: the user has lost the level for a login while they logged in.
var errLevelLost = fmt.Errorf("%w: they may not log in any more", provisioning.ErrMatrixUserRefused)

// adopt has the bridge take over the login of a client that is done, and logs out whoever else
// was logged in with the account. It ends the login of a user who may not log in any more, with
// errLevelLost, and one before which another login of the user with another account was done,
// with provisioning.ErrAlreadyLoggedIn.
func (h *Host) adopt(ctx context.Context, network LoginNetwork, c *client, account provisioning.Account) (*bridgev2.UserLogin, error) {
	unlock, err := h.changing.Lock(ctx, c.userID)
	if err != nil {
		return nil, fmt.Errorf("wait for another login: %w", err)
	}
	defer unlock()
	if h.permission(c.userID) < provisioning.PermissionFull {
		return nil, discard(ctx, network.LoginClient(c.userID), errLevelLost)
	}
	login, err := h.login(ctx, c.userID)
	if err != nil {
		return nil, err
	}
	if login != nil && account.ID != 0 && h.network.TelegramID(login.ID) != account.ID {
		return nil, discard(ctx, network.LoginClient(c.userID), provisioning.ErrAlreadyLoggedIn)
	}
	// bridgev2 would move the login without a word to the session that it had before.
	if other, err := h.loginOf(ctx, account.ID); err == nil && other.UserMXID != c.userID {
		other.Logout(h.background(ctx))
	}
	user, err := h.br.GetUserByMXID(ctx, c.userID)
	if err != nil {
		return nil, fault(ctx, "load a user", err)
	}
	return network.Adopt(ctx, user, account)
}

// discard ends a login that is done and not to be taken over, and returns why that is so.
func discard(ctx context.Context, login LoginClient, why error) error {
	if _, err := login.Logout(ctx); err != nil && !errors.Is(err, provisioning.ErrNotLoggedIn) {
		return err
	}
	return why
}

// adoptAll takes over the logins that were done when an earlier process ended.
func (h *Host) adoptAll(ctx context.Context) {
	network, ok := h.network.(LoginNetwork)
	if !ok {
		return
	}
	log := h.br.Log
	users, err := network.Unadopted(ctx)
	if err != nil {
		log.Err(err).Msg("Could not list the Telegram logins that an earlier process has left")
		return
	}
	for _, userID := range users {
		_, err := h.adopt(ctx, network, &client{h: h, userID: userID}, provisioning.Account{})
		switch {
		case errors.Is(err, errLevelLost):
			log.Info().Stringer("user_id", userID).Msg("Ended the Telegram login of a user who may not log in any more")
		case err != nil && !errors.Is(err, provisioning.ErrNotLoggedIn):
			log.Err(err).Stringer("user_id", userID).Msg("Could not take over a Telegram login; the user's next login step tries it again")
		}
	}
}

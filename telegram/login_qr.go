package telegram

import (
	"context"
	"errors"
	"time"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth/qrlogin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/calls"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// A login by QR code has a client of its own, with a row of its own, which becomes the user's
// only when somebody has scanned a code: a login by phone number that is half done stays as
// it is until then. From then on it is a session like any other, whose client is started
// from the database. Where nobody has scanned a code, or the process dies, the row is ended: a
// code that was shown can be scanned for some seconds more.
//
// The loop of gotd v0.162.0, qrlogin.QR.Auth, is not used. It has no open issue, and it
//
//   - loses an update that comes while it is busy (TestGotdQRLosesUpdates);
//   - fails where Telegram answers with another token (TestGotdQRTakesNoFreshToken), or
//     with another datacenter when a token is to be replaced
//     (TestGotdQRTakesNoMigrationWhenItRenews);
//   - takes this machine's clock for Telegram's, and where it is ahead, asks for one token
//     after the other without a pause (TestGotdQRAsksWithoutPause).

const (
	// qrMargin is how long before its end a token is replaced.
	qrMargin = 3 * time.Second
	// Whatever Telegram says, a token is shown that long at least and at most.
	qrShortest, qrLongest = time.Second, time.Minute
	// qrCallTimeout is how long Telegram may take for a call that goes on when the
	// request has ended: its answer may be that somebody is logged in.
	qrCallTimeout = 30 * time.Second
)

// qrLogin is a login by QR code under way.
type qrLogin struct {
	*Client
	accepted chan struct{} // has a value when Telegram has said that a token was accepted
	conn     *conn         // nil where there is none, and when it is the user's
	ahead    time.Duration // of Telegram's clock is this one
}

// LoginQR implements provisioning.QRLogin.
func (cl *Client) LoginQR(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	q := &qrLogin{Client: cl, accepted: make(chan struct{}, 1)}
	defer q.discard(ctx)
	account, err := q.logIn(ctx, show)
	if errors.Is(err, provisioning.ErrNotLoggedIn) { // Telegram, or another process, has ended it meanwhile
		err = provisioning.ErrSessionRevoked
	}
	return account, err
}

// logIn shows codes until one is scanned.
func (q *qrLogin) logIn(ctx context.Context, show func(context.Context, provisioning.QRToken) error) (provisioning.Account, error) {
	if err := q.stillLoggedOut(ctx); err != nil {
		return provisioning.Account{}, err
	}
	leave, err := q.f.newSessions.enter(ctx, q.key)
	if err != nil {
		return provisioning.Account{}, err
	}
	defer leave()
	if err := q.connect(ctx, 0, nil); err != nil {
		return provisioning.Account{}, err
	}
	q.ahead = q.clockAhead()
	call := ctx // the first answer can't be that a token was accepted
	for shown := 0; ; shown++ {
		answer, err := q.ask(call)
		if err != nil {
			return provisioning.Account{}, err
		}
		switch answer := answer.(type) {
		case nil: // too late: the next token is another datacenter's
		case *tg.AuthLoginToken:
			if err := q.show(ctx, answer, shown, show); err != nil {
				return provisioning.Account{}, err
			}
		case *tg.AuthLoginTokenSuccess:
			return q.finish(ctx, answer.Authorization)
		default:
			return provisioning.Account{}, rpcerror.Unexpected(answer)
		}
		call = context.WithoutCancel(ctx)
	}
}

// show shows a token and waits until it was accepted or is to be replaced. Errors: those
// of the callback and the context; provisioning.ErrLoginTimeout instead of one token
// too many, provisioning.ErrAlreadyLoggedIn.
func (q *qrLogin) show(ctx context.Context, token *tg.AuthLoginToken, shown int, show func(context.Context, provisioning.QRToken) error) error {
	if shown >= provisioning.MaxQRTokens {
		return provisioning.ErrLoginTimeout
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := q.stillLoggedOut(ctx); err != nil {
		return err
	}
	code := qrlogin.NewToken(token.Token, token.Expires)
	left := time.Until(code.Expires().Add(q.ahead)) - qrMargin
	left = min(max(left, qrShortest), qrLongest)
	if err := show(ctx, provisioning.QRToken{URL: code.URL(), Expires: time.Now().Add(left)}); err != nil {
		return err
	}
	return q.wait(ctx, left)
}

// wait returns nil when it is time to ask Telegram again.
func (q *qrLogin) wait(ctx context.Context, left time.Duration) error {
	sleeping, wake := context.WithCancel(ctx)
	defer wake()
	expired := make(chan error, 1)
	go func() { expired <- q.f.pause(sleeping, left) }()
	select {
	case <-q.accepted:
		return nil
	case err := <-expired:
		if err == nil {
			return nil
		}
	case <-q.conn.done:
		return q.conn.stopReason("")
	}
	// The context has ended: maybe too late.
	select {
	case <-q.accepted:
		return nil
	default:
		return ctx.Err()
	}
}

// ask asks Telegram how far the login is: for a token, or for what has become of the last
// one. The answer is nil for a token that was accepted and expired before it was used.
// An error says that the login has ended, after what is left to do was done.
//
// TL: auth.exportLoginToken, auth.importLoginToken.
func (q *qrLogin) ask(ctx context.Context) (tg.AuthLoginTokenClass, error) {
	ctx, cancel := context.WithTimeout(ctx, qrCallTimeout)
	defer cancel()
	method, answer, err := q.exportToken(ctx)
	for range mostMoves {
		elsewhere, ok := answer.(*tg.AuthLoginTokenMigrateTo)
		moved, sent := errors.AsType[movedError](err)
		switch {
		case sent: // with NETWORK_MIGRATE
			if err := q.move(ctx, moved.dc); err != nil {
				return nil, err
			}
			method, answer, err = q.exportToken(ctx)
		case ok:
			if err := q.move(ctx, elsewhere.DCID); err != nil {
				return nil, err
			}
			method = "auth.importLoginToken"
			answer, err = q.conn.client.API().AuthImportLoginToken(ctx, elsewhere.Token)
		}
	}
	meaning := q.conn.explain(ctx, method, err)
	switch {
	case err == nil:
		return answer, nil
	case tgerr.Is(err, tokenExpired):
		return nil, nil
	case errors.Is(meaning, provisioning.ErrPasswordNeeded):
		r := record{step: stepPassword, login: halfDone{requestedAt: time.Now(), passwordHint: passwordHint(ctx, q.conn)}}
		if err := q.take(ctx, r); err != nil {
			return nil, err
		}
		return nil, meaning
	default:
		return nil, meaning
	}
}

// exportToken asks for a token, and returns how.
func (q *qrLogin) exportToken(ctx context.Context) (method string, answer tg.AuthLoginTokenClass, err error) {
	answer, err = q.conn.client.API().AuthExportLoginToken(ctx, &tg.AuthExportLoginTokenRequest{APIID: q.f.cfg.APIID, APIHash: q.f.cfg.APIHash})
	return "auth.exportLoginToken", answer, err
}

// finish stores that somebody is logged in.
func (q *qrLogin) finish(ctx context.Context, answer tg.AuthAuthorizationClass) (provisioning.Account, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), qrCallTimeout)
	defer cancel()
	authorization, ok := answer.(*tg.AuthAuthorization)
	if !ok {
		return provisioning.Account{}, rpcerror.Unexpected(answer)
	}
	self, ok := authorization.User.AsNotEmpty()
	if !ok {
		return provisioning.Account{}, rpcerror.Unexpected(authorization.User)
	}
	account := calls.AccountOf(self)
	return account, q.take(ctx, record{step: stepActive, account: account})
}

// take makes the login the user's, in place of a half-done one, and stops its client. Errors:
// provisioning.ErrAlreadyLoggedIn.
func (q *qrLogin) take(ctx context.Context, r record) error {
	return q.withLogin(ctx, provisioning.ErrSessionRevoked, func(l *login) error {
		r.row = q.conn.row
		if err := q.f.store.put(ctx, q.key, r, q.f.cfg.LoginTimeout); err != nil {
			if errors.Is(err, errRowGone) {
				q.f.endAccepted(ctx, q.conn)
			}
			return err
		}
		q.f.stopConn(l.slot)
		// What comes next is done by a client that gets no updates, unless the host wants
		// them; and not two at a time with one auth key.
		q.conn.stopAndWait(ctx)
		q.conn = nil
		if r.step != stepActive {
			return nil
		}
		q.f.loggedOut.loggedIn(q.key)
		// Without a client the login is one all the same.
		if c, err := q.f.clientOf(ctx, q.key, l.slot, r.row); err == nil {
			c.authorize()
			c.rememberAccount(r.account, time.Now())
		}
		return nil
	})
}

// stillLoggedOut returns provisioning.ErrAlreadyLoggedIn when another login was done
// meanwhile.
func (q *qrLogin) stillLoggedOut(ctx context.Context) error {
	r, err := q.f.store.get(ctx, q.key)
	if err == nil && r.step.accepted() {
		return provisioning.ErrAlreadyLoggedIn
	}
	return err
}

// connect starts a client at a datacenter, 0 for the configured one, of which others are
// known.
func (q *qrLogin) connect(ctx context.Context, dc int, known []tg.DCOption) (err error) {
	options, newRow := q.f.cfg.options(), q.f.newRow
	if dc != 0 {
		options, newRow = q.f.cfg.optionsAt(dc, known), q.f.store.insert
	}
	// Telegram tells only those that a token was accepted who don't refuse updates, and gotd
	// refuses them for a client without a handler, see its Options.NoUpdates.
	options.UpdateHandler = telegram.UpdateHandlerFunc(func(_ context.Context, updates tg.UpdatesClass) error {
		if hasLoginToken(updates) {
			select {
			case q.accepted <- struct{}{}:
			default: // it is known already
			}
		}
		return nil
	})
	row, err := newRow(ctx, q.key)
	if err != nil {
		return err
	}
	if q.conn, err = q.f.startClient(ctx, q.key, row, storedSession{q.f.store, q.key, row}, options, false); err != nil {
		return errors.Join(err, q.f.store.delete(context.WithoutCancel(ctx), row))
	}
	return q.conn.wait(ctx)
}

// move goes on at another datacenter, with a client of its own.
func (q *qrLogin) move(ctx context.Context, dc int) error {
	known := q.conn.client.Config().DCOptions
	q.discard(ctx)
	return q.connect(ctx, dc, known)
}

// discard ends the login, if there is one that is not the user's, and waits a moment until
// nothing is left of its client.
func (q *qrLogin) discard(ctx context.Context) {
	if q.conn == nil {
		return
	}
	q.f.discard(ctx, q.conn)
	q.conn.stopAndWait(ctx)
	q.conn = nil
}

// clockAhead returns by how much this machine's clock is ahead of Telegram's, which has
// just been read.
func (q *qrLogin) clockAhead() time.Duration {
	date := q.conn.client.Config().Date
	if date == 0 {
		return 0
	}
	return time.Since(time.Unix(int64(date), 0))
}

// hasLoginToken says whether updateLoginToken is among updates.
func hasLoginToken(updates tg.UpdatesClass) bool {
	var list []tg.UpdateClass
	switch u := updates.(type) {
	case *tg.UpdateShort:
		list = []tg.UpdateClass{u.Update}
	case *tg.Updates:
		list = u.Updates
	case *tg.UpdatesCombined:
		list = u.Updates
	}
	for _, update := range list {
		if _, ok := update.(*tg.UpdateLoginToken); ok {
			return true
		}
	}
	return false
}

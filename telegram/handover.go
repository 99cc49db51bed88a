package telegram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/gotd/td/session"
	"github.com/gotd/td/tg"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// HandedSession is a session that is logged in, as [Client.HandOver] gives it to a bridge
// with a Telegram client of its own. It has no types of gotd's, since that bridge may have
// another copy of it.
//
// AuthKey gives full access to the account. No verb of fmt prints it, and the type can't be
// encoded as JSON by accident.
type HandedSession struct {
	// Account is whose session it is, as last seen. It is zero for a session from before
	// accounts were stored.
	Account provisioning.Account
	// DC is the datacenter where the account is at home.
	DC int
	// Addr is host:port of the datacenter, "" where Telegram has not told it.
	Addr string
	// AuthKey is the key of the session, 256 bytes, and AuthKeyID its name, 8 bytes.
	AuthKey, AuthKeyID []byte
	// Salt is the server salt that was last in use. A client gets a new one when it is
	// too old.
	Salt int64
}

// Format implements fmt.Formatter. It leaves the key and the salt out.
func (s HandedSession) Format(state fmt.State, _ rune) {
	fmt.Fprintf(state, "session of account %d at datacenter %d", s.Account.ID, s.DC)
}

// MarshalJSON implements json.Marshaler. It fails: what logs a value as JSON would show the
// key, and who wants to store the session encodes its fields.
func (s HandedSession) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a session with its key is not for JSON: encode its fields")
}

// HandOver gives the session of somebody who is logged in to a host that has a Telegram
// client of its own, such as a bridge. When it returns nil the session is the host's
// alone: the user is no longer logged in here, and may log in anew.
//
// It stops the client of the session, waits until that has ended, and calls adopt, which
// stores the session in the host and may start the host's client with it. Then it deletes
// the session here, and leaves it alone on Telegram. It locks the session meanwhile: adopt
// must not call methods of this user's Clients.
//
// From the beginning no client of this package is started with the session any more, but
// by Logout, so that none runs beside the host's: Account and the rest say provisioning.ErrNotLoggedIn,
// and the steps of a login provisioning.ErrAlreadyLoggedIn. That stays so after an error
// and after a crash, until a HandOver returns nil, or Logout ends the session. A host calls
// HandOver again then, also after its start for everybody in [Factory.LoggedIn]. So adopt
// may be given one session twice, and has to take that as one.
//
// Errors: provisioning.ErrNotLoggedIn, also where the session was handed over already; that
// of adopt; those of the database and the context.
func (cl *Client) HandOver(ctx context.Context, adopt func(ctx context.Context, s HandedSession) error) error {
	s, r, err := cl.lockForHandOver(ctx)
	if err != nil {
		return err
	}
	defer cl.f.unlockSlot(cl.key, s)
	handed, err := cl.f.handedSession(ctx, cl.key, r)
	if err != nil {
		return err
	}
	if err := adopt(ctx, handed); err != nil {
		return fmt.Errorf("hand a session over: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return cl.f.store.delete(ctx, r.row)
}

// lockForHandOver locks the slot of a session that is only for handing over from now on,
// and that has no client any more; unlockSlot must follow.
func (cl *Client) lockForHandOver(ctx context.Context) (*slot, record, error) {
	for {
		s, err := cl.f.lockSlot(ctx, cl.key)
		if err != nil {
			return nil, record{}, err
		}
		r, err := cl.f.beginHandOver(ctx, cl.key)
		if err == nil && s.conn == nil {
			return s, r, nil
		}
		if err != nil {
			cl.f.unlockSlot(cl.key, s)
			return nil, record{}, err
		}
		// Nobody starts another one. The slot is unlocked when it has stopped.
		stopping := takenClient{cl.key, s, s.conn}
		cl.f.setConn(s, nil)
		cl.f.stopIdle(ctx, stopping)
	}
}

// beginHandOver stores that a session is only for handing over, and returns its record.
// The caller has locked the slot. Errors: provisioning.ErrNotLoggedIn.
func (f *Factory) beginHandOver(ctx context.Context, key sessionKey) (record, error) {
	r, err := f.store.get(ctx, key)
	if err != nil {
		return record{}, err
	}
	if !r.step.accepted() {
		return record{}, provisioning.ErrNotLoggedIn
	}
	if r.step != stepHandOver {
		r.step = stepHandOver
		err = f.store.put(ctx, key, r, 0)
	}
	return r, err
}

// handedSession reads what is stored of a session.
func (f *Factory) handedSession(ctx context.Context, key sessionKey, r record) (HandedSession, error) {
	stored, err := f.store.session(ctx, key, r.row)
	if err != nil {
		return HandedSession{}, err
	}
	data, err := decodeSession(ctx, stored)
	if err != nil {
		return HandedSession{}, err
	}
	return HandedSession{
		Account: r.account, DC: data.DC, Addr: f.cfg.addressOf(data), AuthKey: data.AuthKey, AuthKeyID: data.AuthKeyID, Salt: data.Salt,
	}, nil
}

// EndSession ends a session at Telegram that [Client.HandOver] has given to the host, and that
// the host does not want any more: it takes the session back, for as long as that takes.
// The host has stopped its own client, and deletes the session when EndSession returns nil.
// It waits for Telegram like [Client.Logout], and pending says that the end is still to come:
// the Factory tries until Telegram has confirmed it, in this process or a later one. A session
// that has ended already is no error.
//
// It is safe for concurrent use, and may be called twice for one session. The user ID is for
// the log, "" for the relay bot. Errors: those of the database and the context, after which
// nothing is promised.
func (f *Factory) EndSession(ctx context.Context, userID id.UserID, s HandedSession) (pending bool, err error) {
	data, err := s.encode(ctx)
	if err != nil {
		return false, err
	}
	key := sessionKey(userID)
	if key == "" {
		key = sessionKey(fmt.Sprintf("relaybot:%d", s.Account.ID))
	}
	e := ending{row: newRowID(), key: key, session: data, attempts: 1}
	if err := f.store.endLost(ctx, e.key, e.row, data, endHold); err != nil {
		return false, err
	}
	said := f.logOutSoon(ctx, e)
	return said != nil && !isOver(said), nil
}

// encode returns the session in gotd's form.
func (s HandedSession) encode(ctx context.Context) ([]byte, error) {
	data := &session.Data{
		Config: session.Config{ThisDC: s.DC}, DC: s.DC, Addr: s.Addr, AuthKey: s.AuthKey, AuthKeyID: s.AuthKeyID, Salt: s.Salt,
	}
	if s.Addr != "" {
		address, err := netip.ParseAddrPort(s.Addr)
		if err != nil {
			return nil, fmt.Errorf("the address of a handed session: %w", err)
		}
		data.Config.DCOptions = []tg.DCOption{{
			ID: s.DC, IPAddress: address.Addr().String(), Port: int(address.Port()), Ipv6: address.Addr().Is6(),
		}}
	}
	return encodeSession(ctx, data)
}

// addressOf returns the address of a session's datacenter, "" where it is not known.
func (c Config) addressOf(data *session.Data) string {
	if c.Datacenter != nil && c.Datacenter.ID == data.DC {
		return c.Datacenter.Addr
	}
	usable := func(o tg.DCOption) bool {
		return o.ID == data.DC && !o.Ipv6 && !o.MediaOnly && !o.CDN && !o.TCPObfuscatedOnly
	}
	if i := slices.IndexFunc(data.Config.DCOptions, usable); i >= 0 {
		option := data.Config.DCOptions[i]
		return net.JoinHostPort(option.IPAddress, strconv.Itoa(option.Port))
	}
	return ""
}

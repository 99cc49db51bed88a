// Package calls makes the calls on a Telegram account that is logged in: its chats and
// contacts, looking people up, creating chats, and the rest that package provisioning has
// optional interfaces for. It starts no client and keeps nothing: a [Session] gives it the
// client, and keeps the account's access hashes.
//
// A bridge with Telegram clients of its own implements Session for each of its logins, and
// embeds the [Client] of that in its provisioning.TelegramClient, where only Logout and the
// ways to log in are left to write:
//
//	type client struct {
//		*calls.Client // made by calls.New(session)
//		…
//	}
//
// Errors are those of package provisioning, by the table of package rpcerror.
//
// A bridge with another copy of gotd, whose types are others, copies the package onto that
// one with the command telegram/gotdcopy.
package calls

import (
	"context"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Session is one account's session, of whoever has its client. It is safe for concurrent
// use. Its errors are returned as they are: they are the core's, or the host's own.
type Session interface {
	// API returns the account's client, once it is connected. Errors:
	// provisioning.ErrNotLoggedIn where there is no session any more;
	// provisioning.ErrTelegramUnavailable; the context's.
	API(ctx context.Context) (*tg.Client, error)
	// Self says whose session it is. It asks Telegram only where that was never known.
	Self(ctx context.Context) (Self, error)

	// Hashes returns those of the access hashes of users or channels that are stored for the
	// account, by ID; nil is none of them. It is not called for bots, which need none.
	Hashes(ctx context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error)
	// PutHashes stores access hashes, in place of those that are stored. A peer may be in the
	// list twice.
	PutHashes(ctx context.Context, peers []Peer) error
	// DeleteHashes deletes access hashes that Telegram did not take. They are looked for
	// afterwards, and stored if they are found.
	DeleteHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) error
}

// Self is whose session one is.
type Self struct {
	ID  provisioning.TelegramID
	Bot bool
}

// Peer is a user or channel with the hash that an account needs to name it, different for
// each account.
//
// https://core.telegram.org/api/peers#access-hash
type Peer struct {
	// Kind is provisioning.PeerUser or provisioning.PeerChannel.
	Kind provisioning.PeerType
	// ID is the ID in the TL schema.
	ID         int64
	AccessHash int64
}

// LocalUsernames is implemented by a [Session] that knows the other accounts that are
// logged in to the host: people can be invited who have a username, whether the account
// knows them or not.
type LocalUsernames interface {
	// LocalUsername returns the username of an account that is logged in to the host, ""
	// where it has none or is not.
	LocalUsername(ctx context.Context, id provisioning.TelegramID) (string, error)
}

// Client makes the calls of one session. It keeps nothing else, and is safe for concurrent
// use.
//
// When the connection breaks before Telegram's answer comes, a call fails with
// provisioning.ErrTelegramUnavailable. All but CreateChat and DeleteChat may be made again.
type Client struct{ session Session }

var (
	_ provisioning.ChatLister        = (*Client)(nil)
	_ provisioning.ContactLister     = (*Client)(nil)
	_ provisioning.ChatGetter        = (*Client)(nil)
	_ provisioning.MigrationLister   = (*Client)(nil)
	_ provisioning.ChatCreator       = (*Client)(nil)
	_ provisioning.CreatedChatLister = (*Client)(nil)
	_ provisioning.UserResolver      = (*Client)(nil)
	_ provisioning.StickerSetLister  = (*Client)(nil)
	_ provisioning.PhotoGetter       = (*Client)(nil)
)

// New returns the Client of a session.
func New(session Session) *Client { return &Client{session} }

// account is a session with its client, during one call.
type account struct {
	session Session
	api     *tg.Client
}

// call runs a function with the session's client.
func (c *Client) call(ctx context.Context, run func(*account) error) error {
	api, err := c.session.API(ctx)
	if err != nil {
		return err
	}
	return explain(ctx, run(&account{c.session, tg.NewClient(marking{api.Invoker()})}))
}

package provisioning_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// askedClients are a Telegram whose clients have their accounts on record, and count how often
// Telegram is asked for one.
type askedClients struct {
	*provisioningtest.Telegram
	asked    atomic.Int64
	recorded provisioning.Account
}

type askedClient struct {
	provisioning.TelegramClient
	provisioning.ChatLister
	provisioning.ContactLister
	provisioning.StickerSetLister
	provisioning.ChatGetter
	provisioning.ChatCreator
	provisioning.UserResolver
	f *askedClients
}

func (f *askedClients) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	c, err := f.Telegram.Client(ctx, userID)
	return askedClient{
		c, c.(provisioning.ChatLister), c.(provisioning.ContactLister), c.(provisioning.StickerSetLister), c.(provisioning.ChatGetter),
		c.(provisioning.ChatCreator), c.(provisioning.UserResolver), f,
	}, err
}

func (c askedClient) Account(ctx context.Context) (provisioning.Account, error) {
	if provisioning.RecordedAccount(ctx) {
		return c.f.recorded, nil
	}
	c.f.asked.Add(1)
	return c.TelegramClient.Account(ctx)
}

// acts are the operations that an account acts for.
var acts = []struct {
	method, path, body string
	status             int    // where the account is logged in
	loggedOut          string // the errcode where it is not
}{
	{http.MethodGet, user(alice, "/chats"), "", 200, "not_logged_in"},
	{http.MethodGet, user(alice, "/contacts"), "", 200, "not_logged_in"},
	{http.MethodGet, user(alice, "/stickersets"), "", 200, "not_logged_in"},
	{http.MethodGet, user(alice, "/resolve_identifier/1002"), "", 200, "not_logged_in"},
	{http.MethodPost, user(alice, "/pm/1002"), "", 201, "not_logged_in"},
	{http.MethodPost, connectPath + asAlice, "", 202, "not_logged_in"},
	{http.MethodPost, "/portal/!other:example.com/create" + asAlice, `{"type":"supergroup"}`, 201, "not_logged_in_real_account"},
}

func newAskedBridge(t *testing.T) (*bridge, *askedClients) {
	clients := &askedClients{recorded: aliceAccount.Account}
	b := newBridge(t, inRooms, func(b *bridge, cfg *provisioning.Config) {
		clients.Telegram = b.telegram
		cfg.Telegram = clients
	})
	b.logIn(t, alice, aliceAccount)
	clients.asked.Store(0)
	return b, clients
}

// An operation that acts on Telegram does not ask first who does: what it does says whether
// the session has ended.
func TestNobodyIsAskedForBeforeAnAct(t *testing.T) {
	b, clients := newAskedBridge(t)
	for _, c := range acts {
		b.call(t, c.method, c.path, c.body).want(t, c.status, "")
		if n := clients.asked.Swap(0); n != 0 {
			t.Errorf("%s: Telegram was asked %d times for the account", c.path, n)
		}
	}
}

// Whichever operation is the first to hear that a session has ended, the logout is recorded.
func TestActRecordsALogout(t *testing.T) {
	for _, c := range acts {
		b, _ := newAskedBridge(t)
		b.telegram.EndSession(alice)
		got := b.call(t, c.method, c.path, c.body)
		got.want(t, 403, c.loggedOut)
		b.expectUser(t, alice, 0, false, 0)
	}
}

// A session of another account than the one that is linked does not act before the link
// follows it.
func TestActFollowsTheSession(t *testing.T) {
	b, clients := newAskedBridge(t)
	b.telegram.LogIn(alice, botAccount.ID)
	clients.recorded = botAccount.Account
	b.call(t, http.MethodGet, user(alice, "/contacts"), "").wantBody(t, 200, `{}`)
	b.expectUser(t, alice, botAccount.ID, false, botAccount.ID)
	if clients.asked.Load() == 0 {
		t.Error("Telegram was not asked for the account that is linked")
	}
}

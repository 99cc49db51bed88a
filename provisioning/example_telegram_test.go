package provisioning_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// ownSessions stands for what a bridge has already: a Telegram session of each Matrix user
// who is logged in.
type ownSessions struct {
	mu       sync.Mutex
	accounts map[id.UserID]provisioning.Account
}

var (
	_ provisioning.TelegramClientFactory = (*ownSessions)(nil)
	_ provisioning.UserReader            = (*ownSessions)(nil)
	_ provisioning.ChatLister            = ownClient{}
)

// Client implements provisioning.TelegramClientFactory. It connects nothing.
func (s *ownSessions) Client(_ context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	return ownClient{s, userID}, nil
}

// User implements provisioning.UserReader: the sessions say who is linked to which account.
// A bridge that wants the core to record that implements provisioning.UserStore instead.
func (s *ownSessions) User(_ context.Context, userID id.UserID) (provisioning.User, error) {
	if userID.Homeserver() != "example.com" {
		return provisioning.User{}, nil // of provisioning.PermissionNone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return provisioning.User{Permission: provisioning.PermissionFull, TelegramID: s.accounts[userID].ID}, nil
}

// ownClient is a provisioning.TelegramClient. With ChatLister, get_chats works; without
// PhoneLogin, QRLogin and BotLogin, logging in answers 501.
type ownClient struct {
	sessions *ownSessions
	userID   id.UserID
}

// Account implements provisioning.TelegramClient. A real client asks Telegram, and so
// notices a session that was ended on another device.
func (c ownClient) Account(context.Context) (provisioning.Account, error) {
	c.sessions.mu.Lock()
	defer c.sessions.mu.Unlock()
	account, ok := c.sessions.accounts[c.userID]
	if !ok {
		return provisioning.Account{}, provisioning.ErrNotLoggedIn
	}
	return account, nil
}

// Logout implements provisioning.TelegramClient.
func (c ownClient) Logout(context.Context) (pending bool, err error) {
	c.sessions.mu.Lock()
	defer c.sessions.mu.Unlock()
	delete(c.sessions.accounts, c.userID)
	return false, nil
}

// Chats implements provisioning.ChatLister.
func (c ownClient) Chats(ctx context.Context, _ provisioning.ChatQuery) ([]provisioning.Chat, error) {
	if _, err := c.Account(ctx); err != nil {
		return nil, err
	}
	return []provisioning.Chat{{ID: provisioning.BasicGroupChatID(5), Title: "Family"}}, nil
}

// A bridge with a Telegram client of its own implements TelegramClientFactory and
// TelegramClient, and of the optional interfaces those that it can. Its sessions are the
// links between Matrix users and accounts, so that Users is a UserReader.
func ExampleTelegramClientFactory() {
	sessions := &ownSessions{accounts: map[id.UserID]provisioning.Account{
		"@alice:example.com": {ID: 1001, Username: "alice_tg", FirstName: "Alice", Phone: "15550100"},
	}}
	p, err := provisioning.New(provisioning.Config{
		Secret:   "a-long-random-shared-secret",
		Users:    sessions,
		Telegram: sessions,
		Portals:  provisioningtest.NewMemPortalStore(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())

	call := func(method, path string) {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
		w := httptest.NewRecorder()
		p.Handler("").ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	call(http.MethodGet, "/v1/user/@alice:example.com/chats")
	call(http.MethodPost, "/v1/user/@alice:example.com/logout")
	call(http.MethodGet, "/v1/user/@alice:example.com")

	// Output:
	// 200 [{"id":-5,"title":"Family","type":"chat","username":"","room_id":null}]
	// 200 {}
	// 200 {"mxid":"@alice:example.com","permissions":"full","telegram":null}
}

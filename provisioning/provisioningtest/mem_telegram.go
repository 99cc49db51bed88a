package provisioningtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TelegramAccount is an account that exists on a [Telegram], with what it takes
// to log in to it.
type TelegramAccount struct {
	// Account is what a client that is logged in says of it. A phone number here
	// makes it an account for phone logins.
	provisioning.Account
	// Code is the login code that Telegram sends.
	Code string
	// Delivery is the way in which it sends the code.
	Delivery provisioning.CodeDelivery
	// Destination is where the code goes, see [provisioning.SentCode].
	Destination string
	// Next is the way in which the code can be sent again, once, a minute after it was
	// sent first; nil where it can't.
	Next *provisioning.CodeDelivery
	// EmailRequired says that Telegram sends no code before an e-mail address is set up.
	EmailRequired bool
	// Password is the two-factor password, empty for an account without one, and
	// PasswordHint its hint.
	Password, PasswordHint string
	// Token is the bot token, for bot accounts.
	Token string
	// NoInvites says that its privacy settings let nobody add it to groups.
	NoInvites bool
	// Chats is the account's list of chats, but for those in Archived, the account's
	// archive, and in Migrated, basic groups that have become supergroups.
	Chats, Archived, Migrated []provisioning.Chat
	// Contacts is the account's list of contacts.
	Contacts []provisioning.Contact
	// StickerSets are the short names of the account's sticker sets.
	StickerSets []string
}

// Telegram is all of Telegram in memory, and the factory of the clients that use
// it. The clients implement every optional interface of package provisioning;
// [Telegram.Minimal] has some that implement none.
//
// The methods of the clients are scripted here as well: Fail("Chats", err) makes
// Chats fail on every client. The factory's own method is "Client".
type Telegram struct {
	// Script makes the methods of the factory and of its clients fail, holds
	// them, and counts them.
	Script

	mu       sync.Mutex
	accounts []*TelegramAccount
	groups   map[provisioning.ChatID]*TelegramGroup
	created  int64 // the last ID of a group that was created
	photos   map[provisioning.ChatID]provisioning.Photo
	met      map[[2]provisioning.TelegramID]bool // accounts, and whom they have found
	sessions map[id.UserID]*session
	ending   []*session // those of users who have been logged out, which Telegram has still
	started  map[id.UserID]bool
	qrCodes  map[string]*qrCode // by what they say
	away     bool
	refusal  error // of everything, nil for none
}

var _ provisioning.TelegramClientFactory = (*Telegram)(nil)

// session is what a client keeps: a login, half-done or done.
type session struct {
	account      *TelegramAccount
	codeAccepted bool
	loggedIn     bool
	since        time.Time             // when the code was sent, or accepted
	sent         provisioning.SentCode // how
	wrong        int                   // how many codes, or passwords, were wrong

	// What the client learns only when it asks: that the code has expired, or that the
	// session, or the half-done login, was ended from the outside.
	expired, revoked bool
}

// NewTelegram returns a Telegram with some accounts and without any session.
func NewTelegram(accounts ...TelegramAccount) *Telegram {
	t := &Telegram{
		groups:   map[provisioning.ChatID]*TelegramGroup{},
		photos:   map[provisioning.ChatID]provisioning.Photo{},
		met:      map[[2]provisioning.TelegramID]bool{},
		sessions: map[id.UserID]*session{},
		started:  map[id.UserID]bool{},
		qrCodes:  map[string]*qrCode{},
	}
	for _, account := range accounts {
		t.Add(account)
	}
	return t
}

// Add makes another account exist.
func (t *Telegram) Add(account TelegramAccount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accounts = append(t.accounts, &account)
}

// LogIn gives a Matrix user's client a session of the account of the given ID,
// as if it had logged in earlier. Nothing is recorded in a user store. It panics
// when there is no such account.
func (t *Telegram) LogIn(userID id.UserID, telegramID provisioning.TelegramID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	account := t.account(telegramID)
	if account == nil {
		panic("provisioningtest: there is no account of this ID")
	}
	t.sessions[userID] = &session{account: account, loggedIn: true}
}

// LoggedIn returns the ID of the account that a Matrix user's client has a
// session of, 0 if none.
func (t *Telegram) LoggedIn(userID id.UserID) provisioning.TelegramID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sessions[userID]; s != nil && s.loggedIn && !s.revoked {
		return s.account.ID
	}
	return 0
}

// Started returns how many users' clients have been started so far: those that
// were asked to log in, and those that used a session.
func (t *Telegram) Started() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.started)
}

// Client implements provisioning.TelegramClientFactory.
func (t *Telegram) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	if err := t.enter(ctx, "Client"); err != nil {
		return nil, err
	}
	return &client{telegram: t, userID: userID}, nil
}

// Minimal returns a factory whose clients, on the same sessions, have the
// methods of provisioning.TelegramClient alone.
func (t *Telegram) Minimal() provisioning.TelegramClientFactory { return minimalFactory{t} }

type minimalFactory struct{ telegram *Telegram }

func (f minimalFactory) Client(ctx context.Context, userID id.UserID) (provisioning.TelegramClient, error) {
	c, err := f.telegram.Client(ctx, userID)
	if err != nil {
		return nil, err
	}
	return minimalClient{c}, nil
}

// minimalClient hides the optional interfaces of a client.
type minimalClient struct{ provisioning.TelegramClient }

// account returns the account of an ID, nil where there is none. The caller holds the
// lock.
func (t *Telegram) account(telegramID provisioning.TelegramID) *TelegramAccount {
	return t.find(func(a *TelegramAccount) bool { return a.ID == telegramID })
}

func (t *Telegram) find(match func(*TelegramAccount) bool) *TelegramAccount {
	if i := slices.IndexFunc(t.accounts, match); i >= 0 {
		return t.accounts[i]
	}
	return nil
}

// digits returns the digits of a phone number, "" if it isn't one.
func digits(phone string) string {
	var b strings.Builder
	for _, r := range phone {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case !strings.ContainsRune("+-() \t.\u00a0", r):
			return ""
		}
	}
	return b.String()
}

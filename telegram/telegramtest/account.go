package telegramtest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gotd/td/tg"
)

// Account is a Telegram user: somebody who logs in, or just somebody to know.
type Account struct {
	// ID is Telegram's user ID, positive. Required.
	ID int64
	// AccessHash is what others need besides the ID to name the user. Defaults to
	// one made up from both IDs, different for each who looks, as with Telegram.
	AccessHash int64
	// Phone is the phone number, 5 to 15 digits without +. Accounts with one can be
	// logged in to by code. Others see it when they have the account as a contact.
	Phone string
	// FirstName, LastName and Username (without @) are the profile.
	FirstName, LastName, Username string
	// Photo is the profile photo, see also [Server.SetPhoto].
	Photo Photo
	// Deleted makes it a deleted account: others see nothing but the ID.
	Deleted bool

	// Bot makes it a bot. Token is what logs in to it; "" means that nobody does.
	Bot   bool
	Token string

	// Code is the login code that the server expects. Defaults to [DefaultCode].
	Code string
	// CodeDelivery is how the code is sent. Defaults to [CodeByApp].
	CodeDelivery CodeDelivery
	// ResendAfter is for how long a client is told to wait before it has the code sent again,
	// in whole seconds. Defaults to a minute.
	ResendAfter time.Duration
	// Password is the two-factor password, "" for none, and PasswordHint its hint.
	Password, PasswordHint string
	// SignUpRequired makes it a phone number without an account: the code is
	// accepted, and then an account would have to be made.
	SignUpRequired bool
	// SendCodeError is the error that asking for a code gets, such as
	// PHONE_NUMBER_BANNED. Defaults to "", none.
	SendCodeError string

	// DC is the number of the datacenter where the account is at home, see
	// [Config.OtherDCs]. Logging in anywhere else gets the error PHONE_MIGRATE or
	// USER_MIGRATE with its number. Defaults to the server's.
	DC int

	// InviteError is the error that adding the account to a group or channel gets,
	// such as USER_CHANNELS_TOO_MUCH. With USER_PRIVACY_RESTRICTED it is no error, but
	// the account among those that could not be invited. Defaults to "", none.
	InviteError string

	// Dialogs are the chats, see [Server.SetDialogs].
	Dialogs []Dialog
	// Contacts are the user IDs of the contacts, see [Server.SetContacts].
	Contacts []int64
	// StickerSets are the short names of the sticker sets that the account has installed.
	StickerSets []string
	// SavedContacts is the number of phone contacts that were uploaded, which is
	// part of the contact list's hash.
	SavedContacts int
}

// DefaultCode is the login code of accounts that name none, and of phone numbers
// without an account.
const DefaultCode = "12345"

const defaultResendAfter = time.Minute

// account is an Account and what is made of it.
type account struct {
	Account
	verifier func() (*verifier, error) // of the password, nil for none; slow the first time
	dialogs  *dialogList
	contacts *contactList
}

// world is who and what exists. Server.mu guards it.
type world struct {
	accounts      map[int64]*account
	byPhone       map[string]*account
	byToken       map[string]*account
	byUsername    map[string]peer // in lower case
	chats         map[peer]*chat
	lastChat      int64 // the ID of the last group or channel that a client made
	expiredTokens map[string]bool
	exported      map[string]exported // by what takes the login to another datacenter
	loginTokens   map[string]*loginToken
	codeHashes    []string // of all login codes that were sent
}

func newWorld() world {
	return world{
		accounts: map[int64]*account{}, byPhone: map[string]*account{}, byToken: map[string]*account{},
		byUsername: map[string]peer{}, chats: map[peer]*chat{}, lastChat: firstNewChat, expiredTokens: map[string]bool{},
		exported: map[string]exported{}, loginTokens: map[string]*loginToken{},
	}
}

// AddAccount adds an account, at any time. It returns an error, and adds nothing,
// when another account has the ID, phone number, token or username, and for fields
// that make no sense. Dialogs and contacts may name users who are added later.
func (s *Server) AddAccount(a Account) error {
	added, err := newAccount(a)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err = s.home(added); err == nil {
			err = s.world.add(added)
		}
	}
	if err != nil {
		return fmt.Errorf("add account %d: %w", a.ID, err)
	}
	return nil
}

func newAccount(a Account) (*account, error) {
	if a.Code == "" {
		a.Code = DefaultCode
	}
	if a.ResendAfter == 0 {
		a.ResendAfter = defaultResendAfter
	}
	if a.CodeDelivery == "" {
		a.CodeDelivery = CodeByApp
	}
	switch {
	case a.ID <= 0:
		return nil, errors.New("the ID is not positive")
	case a.Phone != "" && !validPhone(a.Phone):
		return nil, fmt.Errorf("the phone number %q does not have 5 to 15 digits", a.Phone)
	case a.Token != "" && !a.Bot:
		return nil, errors.New("there is a token, but it is no bot")
	case !a.CodeDelivery.known():
		return nil, fmt.Errorf("unknown code delivery %q", a.CodeDelivery)
	}
	dialogs, err := newDialogList(a.Dialogs)
	if err != nil {
		return nil, err
	}
	a.StickerSets = slices.Clone(a.StickerSets)
	added := &account{Account: a, dialogs: dialogs, contacts: newContactList(a.SavedContacts, a.Contacts)}
	added.Contacts = nil // the list has them
	added.Photo.Data = slices.Clone(a.Photo.Data)
	if a.Password != "" {
		added.verifier = sync.OnceValues(func() (*verifier, error) { return newVerifier(a.Password) })
	}
	return added, nil
}

// home fills in where an account is at home. Server.mu is held.
func (s *Server) home(a *account) error {
	if a.DC == 0 {
		a.DC = s.dc
	}
	if !slices.Contains(s.dcs, a.DC) {
		return fmt.Errorf("there is no datacenter %d", a.DC)
	}
	return nil
}

func (w *world) add(a *account) error {
	username := strings.ToLower(a.Username)
	switch {
	case w.accounts[a.ID] != nil:
		return errors.New("the ID is taken")
	case a.Phone != "" && w.byPhone[a.Phone] != nil:
		return fmt.Errorf("the phone number %s is taken", a.Phone)
	case a.Token != "" && w.byToken[a.Token] != nil:
		return errors.New("the token is taken")
	case username != "" && w.byUsername[username] != peer{}:
		return fmt.Errorf("the username %s is taken", a.Username)
	}
	w.accounts[a.ID] = a
	if a.Phone != "" {
		w.byPhone[a.Phone] = a
	}
	if a.Token != "" {
		w.byToken[a.Token] = a
	}
	if username != "" {
		w.byUsername[username] = peer{userPeer, a.ID}
	}
	w.meet(a.Dialogs)
	a.Dialogs = nil // the list has them
	return nil
}

// account returns an account that was added, or an error. Server.mu is held.
func (s *Server) account(id int64) (*account, error) {
	if a := s.world.accounts[id]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("there is no account %d", id)
}

// user describes a user as the caller sees them. Users whom nobody added are deleted
// accounts.
func (c *caller) user(id int64) *tg.User {
	a := c.server.world.accounts[id]
	u := &tg.User{ID: id, AccessHash: c.accessHash(userPeer, id)}
	if a == nil || a.Deleted {
		u.Deleted = true
		return u
	}
	u.Self, u.Bot = a == c.account, a.Bot
	u.Contact = c.account.contacts.has(id)
	u.MutualContact = u.Contact && a.contacts.has(c.account.ID)
	u.FirstName, u.LastName, u.Username = a.FirstName, a.LastName, a.Username
	if u.Self || u.Contact {
		u.Phone = a.Phone
	}
	if a.Bot {
		u.BotInfoVersion = 1
	}
	u.Photo = a.Photo.profile(c.server.mediaDC)
	return u
}

// accessHash returns what the caller needs besides the ID to name a user or channel.
func (c *caller) accessHash(kind peerKind, id int64) int64 {
	if a := c.server.world.accounts[id]; kind == userPeer && a != nil && a.AccessHash != 0 {
		return a.AccessHash
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d sees %d %d", c.account.ID, kind, id))
	return int64(binary.LittleEndian.Uint64(sum[:]))
}

package telegramtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gotd/td/tg"
)

// Account is a Telegram user: somebody who logs in, or just somebody to know.
type Account struct {
	// ID is Telegram's user ID, positive. Required.
	ID int64
	// Phone is the phone number, digits without +. Accounts with one can be logged
	// in to by code.
	Phone string
	// FirstName, LastName and Username (without @) are the profile.
	FirstName, LastName, Username string
	// Deleted makes it a deleted account, without a profile.
	Deleted bool

	// Bot makes it a bot, and Token is what logs in to it.
	Bot   bool
	Token string

	// Code is the login code. Defaults to 12345.
	Code string
	// Delivery is the way in which the code is sent. Defaults to
	// tg.AuthSentCodeTypeApp with the code's length.
	Delivery tg.AuthSentCodeTypeClass
	// Password is the two-factor password, "" for none, and PasswordHint its hint.
	Password, PasswordHint string
	// SignUpRequired makes it a number without an account: its code is accepted, and
	// then an account would have to be made.
	SignUpRequired bool

	// Dialogs is the list of chats, see [Server.SetDialogs], and Contacts the user
	// IDs of the contacts, see [Server.SetContacts].
	Dialogs  []Dialog
	Contacts []int64
}

// account is an Account and what belongs to it.
type account struct {
	Account
	verifier *verifier // of the password, nil for none
	dialogs  dialogList
}

// world is who and what exists. Server.mu guards it.
type world struct {
	accounts      map[int64]*account
	byPhone       map[string]*account
	byToken       map[string]*account
	byUsername    map[string]*account
	expiredTokens map[string]bool
	challenges    map[keyID]*challenge
}

func newWorld() world {
	return world{
		accounts: map[int64]*account{}, byPhone: map[string]*account{}, byToken: map[string]*account{},
		byUsername: map[string]*account{}, expiredTokens: map[string]bool{}, challenges: map[keyID]*challenge{},
	}
}

// AddAccount adds an account. It returns an error for an ID, phone number,
// username or token that another account has, and for dialogs or contacts with
// users who were not added before.
func (s *Server) AddAccount(a Account) error {
	if a.ID <= 0 {
		return fmt.Errorf("account %d: the ID is not positive", a.ID)
	}
	if a.Code == "" {
		a.Code = "12345"
	}
	added := &account{Account: a}
	if a.Password != "" {
		var err error
		if added.verifier, err = newVerifier(a.Password); err != nil {
			return err
		}
	}
	if err := s.world.add(s, added); err != nil {
		return fmt.Errorf("account %d: %w", a.ID, err)
	}
	return errors.Join(s.SetDialogs(a.ID, a.Dialogs), s.SetContacts(a.ID, a.Contacts))
}

func (w *world) add(s *Server, a *account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.ToLower(a.Username)
	switch {
	case w.accounts[a.ID] != nil:
		return errors.New("the ID is taken")
	case a.Phone != "" && w.byPhone[a.Phone] != nil:
		return errors.New("the phone number is taken")
	case a.Token != "" && w.byToken[a.Token] != nil:
		return errors.New("the token is taken")
	case name != "" && w.byUsername[name] != nil:
		return errors.New("the username is taken")
	}
	w.accounts[a.ID] = a
	if a.Phone != "" {
		w.byPhone[a.Phone] = a
	}
	if a.Token != "" {
		w.byToken[a.Token] = a
	}
	if name != "" {
		w.byUsername[name] = a
	}
	return nil
}

// SetContacts replaces the contacts of an account.
func (s *Server) SetContacts(accountID int64, contacts []int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.world.accounts[accountID]
	if a == nil {
		return fmt.Errorf("no account %d", accountID)
	}
	a.Contacts = slices.Clone(contacts)
	return nil
}

// ExpireCode makes the login codes that were sent to a phone number expire.
func (s *Server) ExpireCode(phone string) error {
	return s.update(func(state *state) {
		for _, key := range state.keys {
			if key.Phone == phone {
				key.CodeHash = ""
			}
		}
	})
}

// ExpireToken makes a bot token one that was replaced by a newer one.
func (s *Server) ExpireToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.expiredTokens[token] = true
}

// accountByID returns an account, nil if there is none.
func (s *Server) accountByID(id int64) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.accounts[id]
}

// accountOf returns the account that an auth key is logged in as, nil if none.
func (s *Server) accountOf(key keyID) *account {
	l, _ := s.loginOf(key)
	return s.accountByID(l.Account)
}

// accessHash is made up from an ID, the same every time.
func accessHash(id int64) int64 { return id*7919 + 1 }

// user describes the account as others see it, or as it sees itself.
func (a *account) user(self bool) *tg.User {
	u := &tg.User{ID: a.ID, AccessHash: accessHash(a.ID), Deleted: a.Deleted}
	if a.Deleted {
		return u
	}
	u.Self, u.Bot = self, a.Bot
	u.FirstName, u.LastName, u.Username, u.Phone = a.FirstName, a.LastName, a.Username, a.Phone
	if a.Bot {
		u.BotInfoVersion = 1
	}
	return u
}

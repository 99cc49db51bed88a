package telegram

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// storedDetails is what a row has of its session besides the auth key, as JSON. It is apart
// from the types that the code works with, since what is stored outlives them.
// testdata/details has a file of each version.
type storedDetails struct {
	Version int            `json:"version"`
	Login   *storedLogin   `json:"login,omitempty"`
	Account *storedAccount `json:"account,omitempty"`
}

// detailsVersion is the version of storedDetails.
const detailsVersion = 1

type storedLogin struct {
	Phone        string `json:"phone"`
	CodeHash     string `json:"code_hash"`
	CodeLength   int    `json:"code_length"`
	Emailed      bool   `json:"emailed"`
	RequestedAt  int64  `json:"requested_at"` // milliseconds since 1970
	Delivery     string `json:"delivery"`
	Destination  string `json:"destination"`
	NextDelivery string `json:"next_delivery"`
	ResendAt     int64  `json:"resend_at"` // milliseconds since 1970
	PasswordHint string `json:"password_hint"`
	Wrong        int    `json:"wrong,omitempty"` // younger than the others
}

type storedAccount struct {
	ID        int64  `json:"id"`
	Username  string `json:"username"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Phone     string `json:"phone"`
	Bot       bool   `json:"bot"`
}

// place names a column of a row for keyring.seal.
func place(key sessionKey, row rowID, column string) string {
	return string(key) + "\x00" + string(row) + "\x00" + column
}

// sealDetails returns what is stored of a record in its row.
func (s *sessionStore) sealDetails(key sessionKey, r record) ([]byte, error) {
	d := storedDetails{Version: detailsVersion}
	if l := r.login; l != (halfDone{}) {
		d.Login = &storedLogin{
			Phone: l.phone, CodeHash: l.codeHash, CodeLength: l.codeLength, Emailed: l.emailed, RequestedAt: l.requestedAt.UnixMilli(),
			Delivery: l.delivery, Destination: l.destination, NextDelivery: l.nextDelivery, ResendAt: l.resendAt.UnixMilli(),
			PasswordHint: l.passwordHint, Wrong: l.wrong,
		}
	}
	if a := r.account; a != (provisioning.Account{}) {
		d.Account = &storedAccount{
			ID: int64(a.ID), Username: a.Username, FirstName: a.FirstName, LastName: a.LastName, Phone: a.Phone, Bot: a.IsBot,
		}
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode the details of a session: %w", err)
	}
	return s.keys.seal(data, place(key, r.row, "details")), nil
}

// openDetails reads into a record what sealDetails returned, or nothing from NULL.
func (s *sessionStore) openDetails(key sessionKey, r *record, sealed []byte) error {
	if sealed == nil {
		return nil
	}
	data, err := s.keys.open(sealed, place(key, r.row, "details"))
	if err != nil {
		return err
	}
	var d storedDetails
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("decode the details of a session: %w", err)
	}
	if l := d.Login; l != nil {
		r.login = halfDone{
			phone: l.Phone, codeHash: l.CodeHash, codeLength: l.CodeLength, emailed: l.Emailed, requestedAt: time.UnixMilli(l.RequestedAt),
			delivery: l.Delivery, destination: l.Destination, nextDelivery: l.NextDelivery, resendAt: time.UnixMilli(l.ResendAt),
			passwordHint: l.PasswordHint, wrong: l.Wrong,
		}
	}
	if a := d.Account; a != nil {
		r.account = provisioning.Account{
			ID: provisioning.TelegramID(a.ID), Username: a.Username, FirstName: a.FirstName, LastName: a.LastName, Phone: a.Phone, IsBot: a.Bot,
		}
	}
	return nil
}

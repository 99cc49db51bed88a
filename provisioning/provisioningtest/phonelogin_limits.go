package provisioningtest

import (
	"context"
	"errors"
	"slices"

	"github.com/tgprovision/tgprovision/provisioning"
)

// codeCounter is what CountCode calls.
type codeCounter struct {
	counted []string // phone numbers
	refuse  error
}

func (c *codeCounter) context(t T) context.Context {
	return provisioning.WithCodeCounter(t.Context(), func(_ context.Context, phone string) error {
		c.counted = append(c.counted, phone)
		return c.refuse
	})
}

var errNoMoreCodes = errors.New("no more codes")

func checkCountedCodes(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	counter := codeCounter{refuse: errNoMoreCodes}
	ctx := counter.context(t)
	_, err := c.RequestCode(ctx, "+"+plainAccount.Phone)
	wantError(t, "RequestCode, when CountCode refuses", err, errNoMoreCodes)
	wantCodeError(t, c, plainAccount.Code, "when CountCode has refused to request one", provisioning.ErrPhoneCodeExpired)
	counter.refuse = nil
	for _, phone := range []string{"+" + plainAccount.Phone, " +" + plainAccount.Phone + " "} {
		if _, err := c.RequestCode(ctx, phone); err != nil {
			t.Fatalf("RequestCode: %v", err)
		}
	}
	if len(counter.counted) != 2 || counter.counted[0] != counter.counted[1] || digits(counter.counted[0]) != plainAccount.Phone {
		t.Errorf("RequestCode, refused, made, and made again at once, called CountCode with %q; want twice the phone number", counter.counted)
	}
	if _, err := c.RequestCode(ctx, "+"+guardedAccount.Phone); err != nil {
		t.Fatalf("RequestCode: %v", err)
	}
	if len(counter.counted) != 3 || digits(counter.counted[2]) != guardedAccount.Phone {
		t.Errorf("RequestCode of another number called CountCode with %q", counter.counted[2:])
	}
}

func checkResendCounts(t T, b PhoneBackend) {
	c := beginControl(t, b)
	account := plainAccount
	counter := codeCounter{refuse: errNoMoreCodes}
	sent := requestCode(t, c, account)
	_, err := c.ResendCode(counter.context(t))
	wantError(t, "ResendCode, when CountCode refuses", err, errNoMoreCodes)
	if !slices.Equal(counter.counted, []string{account.Phone}) && !slices.Equal(counter.counted, []string{"+" + account.Phone}) {
		t.Errorf("ResendCode called CountCode with %q, want the phone number", counter.counted)
	}
	wantSent(t, "RequestCode after a refused ResendCode", requestCode(t, c, account), sent)
}

// mostTries is after how many wrong codes or passwords a login has to be given up.
const mostTries = 20

// giveUp makes wrong tries until the login is given up, and returns how many.
func giveUp(t T, try func() error, wrong error) int {
	t.Helper()
	for n := range mostTries {
		err := try()
		wantError(t, "a wrong try", err, wrong)
		if errors.Is(err, provisioning.ErrLoginGivenUp) {
			return n + 1
		}
	}
	t.Fatalf("the login is not given up after %d wrong tries", mostTries)
	return 0
}

// wrongCode returns what submits a wrong code.
func wrongCode(t T, c provisioning.PhoneLogin) func() error {
	return func() error {
		_, err := c.SubmitCode(t.Context(), provisioning.TextLoginCode("99999"))
		return err
	}
}

func checkGivenUpCode(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	for range 2 {
		requestCode(t, c, plainAccount)
		giveUp(t, wrongCode(t, c), provisioning.ErrPhoneCodeInvalid)
		wantCodeError(t, c, plainAccount.Code, "when the login was given up", provisioning.ErrPhoneCodeExpired)
	}
	requestCode(t, c, plainAccount)
	submitCode(t, c, provisioning.TextLoginCode(plainAccount.Code), plainAccount)
}

func checkGivenUpPassword(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	enterCode(t, c)
	giveUp(t, func() error {
		_, err := c.SubmitPassword(t.Context(), "wrong")
		return err
	}, provisioning.ErrPasswordInvalid)
	wantPasswordError(t, c, guardedAccount.Password, "when the login was given up", provisioning.ErrPhoneCodeNotEntered)
	wantNobody(t, c)
}

func checkGivenUpRestart(t T, b PhoneBackend) {
	c := beginPhoneLogin(t, b)
	requestCode(t, c, plainAccount)
	most := giveUp(t, wrongCode(t, c), provisioning.ErrPhoneCodeInvalid)
	requestCode(t, c, plainAccount)
	for range most - 1 {
		wantError(t, "a wrong code", wrongCode(t, c)(), provisioning.ErrPhoneCodeInvalid)
	}
	c = clientOf[phoneClient](t, b.Open(), userA)
	if err := wrongCode(t, c)(); !errors.Is(err, provisioning.ErrLoginGivenUp) {
		t.Errorf("SubmitCode returned %v for as many wrong codes as end a login, with a restart before the last; want ErrLoginGivenUp", err)
	}
}

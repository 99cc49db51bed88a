package provisioning_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// fixedLimits says the same of every event.
type fixedLimits struct {
	wait time.Duration
	err  error
}

func (f fixedLimits) CountEvent(context.Context, string, []provisioning.Limit) (time.Duration, error) {
	return f.wait, f.err
}

// keptKeys keeps the keys of a LimitStore.
type keptKeys struct {
	provisioning.LimitMemory
	mu   sync.Mutex
	keys []string
}

func (k *keptKeys) CountEvent(ctx context.Context, key string, limits []provisioning.Limit) (time.Duration, error) {
	k.mu.Lock()
	k.keys = append(k.keys, key)
	k.mu.Unlock()
	return k.LimitMemory.CountEvent(ctx, key, limits)
}

// manyCodes has no limits over time.
func manyCodes(_ *bridge, cfg *provisioning.Config) {
	none := provisioning.Allowance{PerHour: -1, PerDay: -1}
	cfg.CodesPerPhone, cfg.CodesPerUser, cfg.BotTokensPerUser = none, none, none
}

func phoneOf(n int) string { return fmt.Sprintf("155502%02d", n) }

// addPhones adds accounts to log in with.
func addPhones(b *bridge, _ *provisioning.Config) {
	next := provisioning.DeliveryCall
	for n := range 40 {
		b.telegram.Add(provisioningtest.TelegramAccount{
			Account: provisioning.Account{ID: provisioning.TelegramID(5000 + n), FirstName: "A", Phone: phoneOf(n)}, Code: "11111", Next: &next,
		})
	}
}

// requestCode requests a code with a token or the secret.
func (b *bridge) requestCode(t *testing.T, given string, userID id.UserID, phone string) answer {
	t.Helper()
	return b.callAs(t, given, http.MethodPost, user(userID, "/login/request_code"), `{"phone":"+`+phone+`"}`)
}

// wantWait expects a refusal for so long.
func (a answer) wantWait(t *testing.T, errcode string, wait time.Duration) {
	t.Helper()
	a.want(t, 429, errcode)
	if got := a.header.Get("Retry-After"); got != fmt.Sprint(int(wait.Seconds())) {
		t.Errorf("Retry-After %q, want %s", got, wait)
	}
}

// A Matrix user can't send codes to strangers one after another.
func TestCodesOfAUser(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := newTokenBridge(t, addPhones)
		sent := 0
		for n := range 30 {
			if a := b.requestCode(t, tokenOf(alice), alice, phoneOf(n)); a.status == 200 {
				sent++
			} else {
				a.wantWait(t, "too_many_requests", time.Hour)
			}
		}
		if sent != 5 {
			t.Errorf("%d codes were sent, want 5", sent)
		}
		b.requestCode(t, tokenOf(bob), bob, phoneOf(30)).want(t, 200, "")
		b.requestCode(t, secret, alice, phoneOf(31)).want(t, 200, "")
		b.requestCode(t, tokenOf(admin), alice, phoneOf(32)).want(t, 200, "")
		advance(time.Hour)
		for n := range 5 {
			b.requestCode(t, tokenOf(alice), alice, phoneOf(n)).want(t, 200, "")
		}
		advance(2 * time.Hour)
		b.requestCode(t, tokenOf(alice), alice, phoneOf(10)).wantWait(t, "too_many_requests", 21*time.Hour)
		advance(21 * time.Hour)
		b.requestCode(t, tokenOf(alice), alice, phoneOf(10)).want(t, 200, "")
	})
}

// Nobody can have codes sent to one number without end, whoever they are.
func TestCodesOfAPhoneNumber(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := newTokenBridge(t, addPhones)
		other := func(n int) id.UserID { return id.UserID(fmt.Sprintf("@user-%d:example.com", n)) }
		for n := range 5 {
			given := secret
			if n%2 == 0 {
				given = tokenOf(other(n))
			}
			b.requestCode(t, given, other(n), phoneOf(1)).want(t, 200, "")
			b.requestCode(t, given, other(n), phoneOf(1)).want(t, 200, "") // asks Telegram nothing
		}
		for _, given := range []string{secret, tokenOf(alice)} {
			a := b.requestCode(t, given, alice, phoneOf(1))
			a.wantWait(t, "phone_number_flood", time.Hour)
			if a.field("state") != "request" {
				t.Errorf("the state is %v", a.field("state"))
			}
		}
		b.requestCode(t, secret, other(0), phoneOf(1)).want(t, 200, "") // as it stands
		b.requestCode(t, secret, alice, phoneOf(2)).want(t, 200, "")
		advance(time.Hour)
		b.requestCode(t, secret, alice, phoneOf(1)).want(t, 200, "")
	})
}

func TestResentCodesCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBridge(t, addPhones, func(_ *bridge, cfg *provisioning.Config) { cfg.CodesPerPhone.PerHour = 1 })
		b.requestCode(t, secret, alice, phoneOf(1)).want(t, 200, "")
		a := b.call(t, http.MethodPost, user(alice, "/login/resend_code"), "")
		a.wantWait(t, "phone_number_flood", time.Hour)
		if a.field("state") != "code" {
			t.Errorf("the state is %v", a.field("state"))
		}
		b.requestCode(t, secret, bob, phoneOf(2)).want(t, 200, "")
		advance(time.Hour)
		b.call(t, http.MethodPost, user(alice, "/login/resend_code"), "").want(t, 200, "")
	})
}

func TestBotTokensOfAUser(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := newTokenBridge(t)
		try := func(given string, userID id.UserID, token string) answer {
			return b.callAs(t, given, http.MethodPost, user(userID, "/login/bot_token"), `{"token":"`+token+`"}`)
		}
		for range 5 {
			try(tokenOf(alice), alice, "wrong").want(t, 401, "bot_token_invalid")
		}
		calls := b.telegram.Calls("LoginBot")
		a := try(tokenOf(alice), alice, botAccount.Token)
		a.wantWait(t, "too_many_requests", time.Hour)
		if a.field("state") != "token" || b.telegram.Calls("LoginBot") != calls {
			t.Errorf("the state is %v, and Telegram was asked: %t", a.field("state"), b.telegram.Calls("LoginBot") != calls)
		}
		for range 20 {
			try(secret, alice, "wrong").want(t, 401, "bot_token_invalid")
		}
		b.requestCode(t, tokenOf(alice), alice, aliceAccount.Phone).want(t, 200, "")
		advance(time.Hour)
		try(tokenOf(alice), alice, botAccount.Token).want(t, 200, "")
	})
}

// A right code or password does not help who has tried too many.
func TestLoginsAreGivenUp(t *testing.T) {
	b := newBridge(t)
	code := func(code string) answer {
		return b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"`+code+`"}`)
	}
	password := func(password string) answer {
		return b.call(t, http.MethodPost, user(alice, "/login/send_password"), `{"password":"`+password+`"}`)
	}
	last := func(try func(string) answer, errcode string, tries int, state string) {
		for n := range tries {
			want := state
			if n == tries-1 {
				want = "request"
			}
			a := try("wrong")
			a.want(t, 401, errcode)
			if a.field("state") != want {
				t.Errorf("the state after %d wrong tries is %v, want %s", n+1, a.field("state"), want)
			}
		}
	}
	b.login(t, alice, requestGuarded)
	last(code, "phone_code_invalid", 5, "code")
	code("54321").want(t, 403, "phone_code_expired")
	b.login(t, alice, requestGuarded, codeGuarded)
	last(password, "password_invalid", 10, "password")
	password(" open sesame ").want(t, 400, "phone_code_not_entered")
}

func TestAllowances(t *testing.T) {
	for given, want := range map[provisioning.Allowance]int{
		{}:                        5,
		{PerHour: 2}:              2,
		{PerHour: -1}:             10,
		{PerHour: 7, PerDay: 6}:   6,
		{PerHour: 20, PerDay: -1}: 20,
		{PerHour: -1, PerDay: -1}: 40,
	} {
		b := newBridge(t, addPhones, func(_ *bridge, cfg *provisioning.Config) { cfg.CodesPerPhone = given })
		sent := 0
		for n := range 40 {
			if a := b.requestCode(t, secret, id.UserID(fmt.Sprintf("@user-%d:example.com", n)), phoneOf(1)); a.status == 200 {
				sent++
			}
		}
		if sent != want {
			t.Errorf("%+v: %d codes were sent, want %d", given, sent, want)
		}
	}
}

// What is stored names nobody, and is the same in every process with the same secret.
func TestKeysOfLimits(t *testing.T) {
	var all [2][]string
	for i := range all {
		store := &keptKeys{}
		b, _ := newTokenBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Limits = store })
		b.requestCode(t, tokenOf(alice), alice, aliceAccount.Phone).want(t, 200, "")
		b.callAs(t, tokenOf(alice), http.MethodPost, user(alice, "/login/bot_token"), `{"token":"x"}`).want(t, 401, "bot_token_invalid")
		all[i] = store.keys
	}
	distinct := map[string]bool{}
	for i, key := range all[0] {
		distinct[key] = true
		if key != all[1][i] || strings.Contains(key, "alice") || strings.Contains(key, aliceAccount.Phone) || len(key) != 43 {
			t.Errorf("the key %q; in another process %q", key, all[1][i])
		}
	}
	if len(all[0]) != 3 || len(distinct) != 3 {
		t.Errorf("the keys are %q, want three", all[0])
	}
}

// Without the store nobody knows whether a limit is reached.
func TestLimitStoreIsAway(t *testing.T) {
	b, _ := newTokenBridge(t, func(_ *bridge, cfg *provisioning.Config) { cfg.Limits = fixedLimits{err: provisioning.ErrDatabase} })
	b.requestCode(t, secret, alice, aliceAccount.Phone).want(t, 500, "unknown_error")
	b.callAs(t, tokenOf(alice), http.MethodPost, user(alice, "/login/bot_token"), `{"token":"x"}`).want(t, 500, "unknown_error")
	b.call(t, http.MethodPost, user(alice, "/login/send_code"), `{"code":"01234"}`).want(t, 403, "phone_code_expired")
}

package provisioning_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// sharedCases are the cases that operations have in common.
func sharedCases(op operation) []wireCase {
	cases := limitCases(op)
	if strings.Contains(op.path, "{user_id}") {
		cases = append(cases, userCases(op)...)
	}
	if op.isLogin() {
		cases = append(cases, loginCases(op)...)
	}
	if op.isLogin() && op.validBody() != "" {
		cases = append(cases, loginBodyCases(op)...)
	}
	if op.op == "login_qr" {
		for i := range cases {
			cases[i].scan = (*bridge).noScan
		}
	}
	return cases
}

// userCases are those of every operation about a user.
func userCases(op operation) []wireCase {
	state, body := op.ownState(), op.validBody()
	bad := func(name, user, errcode string) wireCase {
		return wireCase{name: name, user: user, body: body, status: 400, errcode: errcode, state: state}
	}
	failing := func(name, method string, err error, status int, errcode string) wireCase {
		return wireCase{
			name: name, body: body, status: status, errcode: errcode, state: state,
			prepare: func(t *testing.T, b *bridge) { b.telegram.Fail(method, err) },
		}
	}
	// The first thing that every operation does on Telegram.
	first := "Account"
	if op.op == "logout" {
		first = "Logout"
	}
	flood := failing("flood wait", first, fmt.Errorf("wrapped: %w", &provisioning.FloodWaitError{Wait: 3725 * time.Second}), 429, "flood_wait")
	flood.fields = map[string]any{"retry_after": 3725.0}
	shortFlood := failing("flood wait of a moment", first, &provisioning.FloodWaitError{Wait: time.Millisecond}, 429, "flood_wait")
	shortFlood.fields = map[string]any{"retry_after": 1.0}
	refuses := failing("Telegram refuses", first, &provisioning.TelegramError{Code: 400, Type: "SOMETHING_NEW"}, 500, "unknown_error")
	refuses.fields = map[string]any{"telegram_error": "SOMETHING_NEW"}
	unexpected := failing("Telegram's answer is of no use", first, &provisioning.TelegramError{Type: "*tg.UserEmpty"}, 500, "unknown_error")
	away := failing("Telegram has trouble", first, saidBy(provisioning.ErrTelegramUnavailable, "RPC_CALL_FAIL"), 500, "unknown_error")
	away.fields = map[string]any{"telegram_error": "RPC_CALL_FAIL"}
	refusesBridge := failing("Telegram refuses the bridge", first, saidBy(provisioning.ErrBridgeRefused, "API_ID_INVALID"), 500, "unknown_error")
	refusesBridge.fields = map[string]any{"telegram_error": "API_ID_INVALID"}
	restricted := failing("restricted account", first, saidBy(provisioning.ErrTelegramRestricted, "FROZEN_METHOD_INVALID"), 403, "telegram_restricted")
	restricted.fields = map[string]any{"telegram_error": "FROZEN_METHOD_INVALID"}
	if slices.Contains([]string{"get_me", "get_login", "logout"}, op.op) {
		restricted.status, restricted.errcode = 500, "unknown_error" // it can do that
	}
	overloaded := failing("overloaded by the host", first, fmt.Errorf("wrapped: %w", provisioning.ErrOverloaded), 503, "overloaded")
	overloaded.fields = map[string]any{"retry_after": 5.0}
	return []wireCase{
		bad("no user", noUser, "mxid_empty"),
		bad("no sigil", "alice:example.com", "mxid_invalid"),
		bad("no server", "@alice", "mxid_invalid"),
		bad("empty server", "@alice:", "mxid_invalid"),
		bad("no localpart", "@:example.com", "mxid_invalid"),
		bad("sigil alone", "@", "mxid_invalid"),
		bad("room ID", "!room:example.com", "mxid_invalid"),
		bad("bad server name", "@alice:exa_mple.com", "mxid_invalid"),
		bad("encoded twice", "%2540alice%253Aexample.com", "mxid_invalid"),
		bad("NUL", "@al%00ice:example.com", "mxid_invalid"),
		bad("not UTF-8", "@al%ffice:example.com", "mxid_invalid"),
		bad("256 bytes", "@"+strings.Repeat("a", 243)+":example.com", "mxid_invalid"),
		{
			name: "refused user", body: body, status: 403, errcode: "mxid_not_whitelisted", state: state,
			prepare: func(t *testing.T, b *bridge) {
				b.users.Fail("User", fmt.Errorf("wrapped: %w", provisioning.ErrMatrixUserRefused))
			},
		},
		{
			name: "user store broken", body: body, status: 500, errcode: "unhandled_error", state: state,
			prepare: func(t *testing.T, b *bridge) { b.users.Fail("User", errors.New("disk full")) },
		},
		failing("factory broken", "Client", errors.New("no memory"), 500, "unhandled_error"),
		failing("Telegram unavailable", first, provisioning.ErrTelegramUnavailable, 500, "unknown_error"),
		refuses,
		unexpected,
		away,
		refusesBridge,
		restricted,
		failing("unexpected error", first, errors.New("out of luck"), 500, "unhandled_error"),
		flood,
		shortFlood,
		overloaded,
	}
}

// saidBy is an error of Telegram's with a meaning.
func saidBy(meaning error, name string) error {
	return fmt.Errorf("wrapped: %w: %w", meaning, &provisioning.TelegramError{Code: 400, Type: name})
}

// loginCases are those of every login step.
func loginCases(op operation) []wireCase {
	state, body := op.ownState(), op.validBody()
	var cases []wireCase
	loggedIn := func(name string, account provisioningAccount) wireCase {
		return wireCase{
			name: name, body: body, status: 409, errcode: "already_logged_in", state: "logged-in",
			fields:  map[string]any{"username": account.Username, "phone": account.Phone},
			prepare: func(t *testing.T, b *bridge) { b.logIn(t, alice, account) },
		}
	}
	for _, userID := range []string{string(stranger), string(relayed), string(plain)} {
		cases = append(cases, wireCase{name: "level of " + userID, user: userID, body: body, status: 403, errcode: "mxid_not_whitelisted", state: state})
	}
	return append(cases,
		wireCase{name: "not implemented", change: minimalClients, body: body, status: 501, errcode: "not_implemented", state: state},
		loggedIn("already logged in", aliceAccount),
		loggedIn("already logged in, nothing known", hiddenAccount),
		loggedIn("already logged in as a bot", botAccount),
	)
}

// loginBodyCases are those of every login step that reads a body.
func loginBodyCases(op operation) []wireCase {
	state := op.ownState()
	cases := []wireCase{{name: "body too large", body: bodyOf(64<<10 + 1), status: 413, errcode: "body_too_large", state: state}}
	for name, bad := range brokenBodies {
		cases = append(cases, wireCase{name: "body: " + name, body: bad, status: 400, errcode: "json_invalid", state: state})
	}
	slices.SortFunc(cases, func(a, b wireCase) int { return strings.Compare(a.name, b.name) })
	return cases
}

// brokenBodies are not one JSON object.
var brokenBodies = map[string]string{
	"none": "", "blank": " \n", "null": "null", "array": "[]", "array of objects": `[{"phone":"x"}]`, "string": `"s"`,
	"number": "5", "true": "true", "false": "false", "cut off": `{"phone":"+1555`, "bare word": "phone",
	"trailing data": `{"code":"1"} x`, "two objects": `{"code":"1"}{"code":"2"}`, "trailing comma": `{"code":"1",}`,
	"BOM": "\ufeff{\"code\":\"1\"}", "not UTF-8": "{\"code\":\"\xff\"}", "not UTF-8 in a name": "{\"\xff\":1}",
	"UTF-16": "\xff\xfe{\x00}\x00", "single quotes": `{'code':'1'}`, "NaN": `{"code":NaN}`, "leading zero": `{"code":01234}`,
	"form": "phone=%2B15550100", "control character": "{\"code\":\"1\x00\"}", "deep": strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001),
}

// bodyOf returns a JSON object of so many bytes.
func bodyOf(size int) string {
	const start, end = `{"filler":"`, `"}`
	return start + strings.Repeat("x", size-len(start)-len(end)) + end
}

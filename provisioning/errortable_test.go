package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// hostErrors are the errors of errors.go by their names.
var hostErrors = map[string]error{
	"ErrMatrixUserRefused":             provisioning.ErrMatrixUserRefused,
	"ErrNotLoggedIn":                   provisioning.ErrNotLoggedIn,
	"ErrAlreadyLoggedIn":               provisioning.ErrAlreadyLoggedIn,
	"ErrPhoneNumberInvalid":            provisioning.ErrPhoneNumberInvalid,
	"ErrPhoneNumberBanned":             provisioning.ErrPhoneNumberBanned,
	"ErrPhoneNumberAppSignupForbidden": provisioning.ErrPhoneNumberAppSignupForbidden,
	"ErrPhoneNumberUnoccupied":         provisioning.ErrPhoneNumberUnoccupied,
	"ErrPhoneNumberFlood":              provisioning.ErrPhoneNumberFlood,
	"ErrPhoneCodeInvalid":              provisioning.ErrPhoneCodeInvalid,
	"ErrLoginGivenUp":                  provisioning.ErrLoginGivenUp,
	"ErrPhoneCodeExpired":              provisioning.ErrPhoneCodeExpired,
	"ErrCodeNotResendable":             provisioning.ErrCodeNotResendable,
	"ErrPhoneCodeNotEntered":           provisioning.ErrPhoneCodeNotEntered,
	"ErrAccountLinked":                 provisioning.ErrAccountLinked,
	"ErrLoginLinkInvalid":              provisioning.ErrLoginLinkInvalid,
	"ErrLoginTimeout":                  provisioning.ErrLoginTimeout,
	"ErrPasswordNeeded":                provisioning.ErrPasswordNeeded,
	"ErrPasswordInvalid":               provisioning.ErrPasswordInvalid,
	"ErrSessionRevoked":                provisioning.ErrSessionRevoked,
	"ErrBotTokenInvalid":               provisioning.ErrBotTokenInvalid,
	"ErrBotTokenExpired":               provisioning.ErrBotTokenExpired,
	"ErrPortalNotFound":                provisioning.ErrPortalNotFound,
	"ErrRoomBridged":                   provisioning.ErrRoomBridged,
	"ErrChatBridged":                   provisioning.ErrChatBridged,
	"ErrBridgeBotNotInRoom":            provisioning.ErrBridgeBotNotInRoom,
	"ErrNotInChat":                     provisioning.ErrNotInChat,
	"ErrTelegramUserNotFound":          provisioning.ErrTelegramUserNotFound,
	"ErrNotTelegramUser":               provisioning.ErrNotTelegramUser,
	"ErrTooFewMembers":                 provisioning.ErrTooFewMembers,
	"ErrNewChatInvalid":                provisioning.ErrNewChatInvalid,
	"ErrPhotoGone":                     provisioning.ErrPhotoGone,
	"ErrMatrixTokenInvalid":            provisioning.ErrMatrixTokenInvalid,
	"ErrHomeserver":                    provisioning.ErrHomeserver,
	"ErrMatrixInviteRefused":           provisioning.ErrMatrixInviteRefused,
	"ErrTelegramUnavailable":           provisioning.ErrTelegramUnavailable,
	"ErrLoginEmailRequired":            provisioning.ErrLoginEmailRequired,
	"ErrTelegramRestricted":            provisioning.ErrTelegramRestricted,
	"ErrBridgeRefused":                 provisioning.ErrBridgeRefused,
	"ErrDatabase":                      provisioning.ErrDatabase,
	"ErrOverloaded":                    provisioning.ErrOverloaded,
	"ErrNotImplemented":                provisioning.ErrNotImplemented,
}

// handledElsewhere are the errors that need no row, and where they go.
var handledElsewhere = map[string]string{
	"ErrAccountLinked":      "claim ends the session, and so answers as for somebody who is logged out",
	"ErrLoginLinkInvalid":   "loginLinks makes it errLinkRefused, and no other part of a host knows links",
	"ErrMatrixTokenInvalid": "callerOf makes it errTokenRefused, and no other part of a host knows tokens",
	"ErrPhotoGone":          "photos are fetched in the background, and left out where there are none",
	"ErrLoginTimeout":       "loginQR answers it with timeout, on a WebSocket",
}

// exportedErrors returns the names of the Err… variables and …Error types of
// errors.go.
func exportedErrors(t *testing.T) (sentinels, types []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return false
		case *ast.ValueSpec:
			for _, name := range n.Names {
				if strings.HasPrefix(name.Name, "Err") {
					sentinels = append(sentinels, name.Name)
				}
			}
		case *ast.TypeSpec:
			if n.Name.IsExported() {
				types = append(types, n.Name.Name)
			}
		}
		return true
	})
	return sentinels, types
}

func TestEveryErrorHasARow(t *testing.T) {
	sentinels, types := exportedErrors(t)
	for _, name := range sentinels {
		err, known := hostErrors[name]
		if !known {
			t.Errorf("%s of errors.go is missing in hostErrors of this test", name)
			continue
		}
		hasRow := slices.ContainsFunc(operations(), func(op operation) bool {
			return provisioning.OutcomeOf(fmt.Errorf("wrapped: %w", err), op.op).Errcode != "unhandled_error"
		})
		if _, elsewhere := handledElsewhere[name]; elsewhere == hasRow {
			t.Errorf("%s has a row: %t; handled elsewhere: %t", name, hasRow, elsewhere)
		}
	}
	if len(hostErrors) != len(sentinels) {
		t.Errorf("hostErrors has %d errors, errors.go %d", len(hostErrors), len(sentinels))
	}
	slices.Sort(types)
	if !slices.Equal(types, []string{"FloodWaitError", "TelegramError"}) {
		t.Errorf("the error types %q: each needs a row and a line here", types)
	}
	for _, err := range []error{&provisioning.FloodWaitError{}, &provisioning.TelegramError{}, context.DeadlineExceeded, context.Canceled} {
		if row := provisioning.OutcomeOf(fmt.Errorf("wrapped: %w", err), ""); row.Errcode == "unhandled_error" {
			t.Errorf("%T has no row", err)
		}
	}
}

// foreignErrcodes are those that are not made as the document's are.
var foreignErrcodes = map[string]bool{"M_NOT_FOUND": true, "FI.MAU.TELEGRAM_ID_NOT_USER": true}

func TestErrorTableIsInOrder(t *testing.T) {
	errcode := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	sentence := regexp.MustCompile(`^[A-Z][^:%{}<>]*[.]$`)
	states := []string{"", "request", "code", "password", "token", "logged-in"}
	ops := map[string]bool{}
	for _, op := range operations() {
		ops[op.op] = true
	}
	for _, row := range provisioning.Outcomes() {
		name := fmt.Sprintf("%d %s (%v)", row.Status, row.Errcode, row.Err)
		if !errcode.MatchString(row.Errcode) && !foreignErrcodes[row.Errcode] {
			t.Errorf("%s: not a lower-case errcode", name)
		}
		// Clients take the Python bridge's bridge_exists for a success.
		if (row.Status < 400 || row.Status > 599) && row.Errcode != "bridge_exists" {
			t.Errorf("%s: not the status of an error", name)
		}
		if !slices.Contains(states, row.State) {
			t.Errorf("%s: %q is not a state of the document", name, row.State)
		}
		for _, op := range row.Ops {
			if !ops[op] {
				t.Errorf("%s: there is no operation %q", name, op)
			}
			if got := provisioning.OutcomeOf(row.Err, op); got.Sentence != row.Sentence {
				t.Errorf("%s: the row is never reached for %s, an earlier one matches", name, op)
			}
		}
		if !sentence.MatchString(row.Sentence) {
			t.Errorf("%s: %q is not a sentence for people", name, row.Sentence)
		}
		for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
			if strings.Contains(row.Sentence, err.Error()) {
				t.Errorf("%s: %q is Go's text", name, row.Sentence)
			}
		}
		if row.Err != nil && row.Ops == nil && provisioning.OutcomeOf(row.Err, "").Sentence != row.Sentence {
			t.Errorf("%s: the row is never reached, an earlier one matches", name)
		}
	}
}

// The cases of the contract are about the routes that there are.
func TestContractHasEveryRoute(t *testing.T) {
	var tested []string
	for _, op := range operations() {
		tested = append(tested, op.op+" "+op.method+" "+op.path)
	}
	if got, want := slices.Sorted(slices.Values(provisioning.Routes())), slices.Sorted(slices.Values(tested)); !slices.Equal(got, want) {
		t.Errorf("the routes are %q, the cases are for %q", got, want)
	}
}

// What Telegram has said is never a fault of the bridge, though an operation has no row for its
// meaning.
func TestMeaningsWithoutRowsAreTelegrams(t *testing.T) {
	for name, meaning := range hostErrors {
		err := fmt.Errorf("wrapped: %w: %w", meaning, &provisioning.TelegramError{Code: 400, Type: "X"})
		for _, op := range operations() {
			if row := provisioning.OutcomeOf(err, op.op); row.Errcode == "unhandled_error" {
				t.Errorf("%s of Telegram's is unhandled in %s", name, op.op)
			}
		}
	}
}

// An error of both kinds is the relay bot's own trouble, but for a pause.
func TestErrorsKeepTheirDetails(t *testing.T) {
	err := fmt.Errorf("outer: %w", errors.Join(errors.New("x"), &provisioning.FloodWaitError{}))
	if row := provisioning.OutcomeOf(err, "get_chats"); row.Errcode != "flood_wait" {
		t.Errorf("a joined flood wait is %q", row.Errcode)
	}
}

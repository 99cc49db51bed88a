package telegram_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/contracttest"
	"github.com/tgprovision/tgprovision/internal/testsleep"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// probe has an operation of the API call a method of Telegram's.
type probe struct {
	op string
	// prepare is done before Telegram begins to refuse, if set.
	prepare func(b *bridge)
	do      func(b *bridge) answer
	// succeeds says whether the operation does so in spite of an error, nil that it never
	// does.
	succeeds func(meaning error) bool
	// unnamed says whether an answer does not have Telegram's name of an error, nil that
	// all have.
	unnamed func(meaning error) bool
}

func always(error) bool { return true }

// is returns a function that says whether an error is one of some.
func is(some ...error) func(error) bool {
	return func(err error) bool {
		return slices.ContainsFunc(some, func(one error) bool { return errors.Is(err, one) })
	}
}

// probed is what Telegram refuses to a probe.
type probed struct {
	probe
	method  string
	refusal rpcerror.Refusal
}

// message returns an error of Telegram's, with a number too large to wait for.
func (p probed) message() string { return strings.ReplaceAll(p.refusal.Message, "%d", "3600") }

func (p probed) meaning() error { return rpcerror.Error(p.method, p.refusal.Code, p.message()) }

// kind is the meaning without Telegram's name, nil for a pause.
func (p probed) kind() error {
	if named, ok := p.meaning().(interface{ Unwrap() []error }); ok {
		return named.Unwrap()[0]
	}
	return nil
}

func (p probed) String() string {
	return fmt.Sprintf("%s: %s: %d %s", p.op, p.method, p.refusal.Code, p.message())
}

// refusalsOf returns all that Telegram documents for a method.
func refusalsOf(method string) []rpcerror.Refusal {
	all := rpcerror.Documented()
	return append(all[method], all[""]...)
}

// fewRefusalsOf is refusalsOf for a method that takes long to call, where an error of any method
// stands for all that mean the same.
func fewRefusalsOf(method string) []rpcerror.Refusal {
	few, seen := rpcerror.Documented()[method], map[error]bool{}
	for _, refusal := range rpcerror.Documented()[""] {
		if kind := (probed{method: method, refusal: refusal}).kind(); !seen[kind] {
			seen[kind] = true
			few = append(few, refusal)
		}
	}
	return few
}

// errcodes are those of the meanings, where the operation has them.
var errcodes = []struct {
	meaning error
	errcode string
}{
	{provisioning.ErrNotLoggedIn, "not_logged_in"},
	{provisioning.ErrNotLoggedIn, "not_logged_in_real_account"},
	{provisioning.ErrPhoneNumberInvalid, "phone_number_invalid"},
	{provisioning.ErrPhoneNumberBanned, "phone_number_banned"},
	{provisioning.ErrPhoneNumberAppSignupForbidden, "phone_number_app_signup_forbidden"},
	{provisioning.ErrPhoneNumberUnoccupied, "phone_number_unoccupied"},
	{provisioning.ErrPhoneNumberFlood, "phone_number_flood"},
	{provisioning.ErrPhoneCodeInvalid, "phone_code_invalid"},
	{provisioning.ErrPhoneCodeExpired, "phone_code_expired"},
	{provisioning.ErrCodeNotResendable, "code_not_resendable"},
	{provisioning.ErrPasswordInvalid, "password_invalid"},
	{provisioning.ErrSessionRevoked, "session_revoked"},
	{provisioning.ErrBotTokenInvalid, "bot_token_invalid"},
	{provisioning.ErrBotTokenExpired, "bot_token_expired"},
	{provisioning.ErrNotInChat, "user_not_in_chat"},
	{provisioning.ErrTelegramUserNotFound, "M_NOT_FOUND"},
	{provisioning.ErrNewChatInvalid, "body_value_invalid"},
	{provisioning.ErrTelegramRestricted, "telegram_restricted"},
}

// contractOf returns the OpenAPI document.
func contractOf(t *testing.T) *contracttest.Contract {
	t.Helper()
	contract, err := contracttest.New()
	require.NoError(t, err)
	return contract
}

// errcodeOf returns the errcode that an operation has to answer with for a meaning.
func errcodeOf(contract *contracttest.Contract, op string, meaning error) string {
	if _, ok := errors.AsType[*provisioning.FloodWaitError](meaning); ok {
		return "flood_wait"
	}
	for _, e := range errcodes {
		has := slices.ContainsFunc(contract.Rows(), func(row contracttest.Row) bool { return row.Op == op && row.Errcode == e.errcode })
		if has && errors.Is(meaning, e.meaning) {
			return e.errcode
		}
	}
	return "unknown_error"
}

// check makes a probe while Telegram refuses, and looks at the answer.
func (b *bridge) check(contract *contracttest.Contract, p probed) (a answer) {
	b.t.Helper()
	if p.prepare != nil {
		p.prepare(b)
	}
	b.refusing(p, func() { a = p.do(b) })

	got, _ := a.body["errcode"].(string)
	if p.succeeds != nil && p.succeeds(p.meaning()) {
		assert.Less(b.t, a.status, 300, "%v: %s", p, a.raw)
		return a
	}
	want := errcodeOf(contract, p.op, p.meaning())
	assert.Equal(b.t, want, got, "%v: %s", p, a.raw)
	if want == "flood_wait" {
		assert.EqualValues(b.t, 3600, a.body["retry_after"], "%v: %s", p, a.raw)
	}
	if unnamed := p.unnamed != nil && p.unnamed(p.meaning()); !unnamed && (want == "unknown_error" || want == "telegram_restricted") {
		said, _ := errors.AsType[*provisioning.TelegramError](p.meaning())
		assert.Equal(b.t, said.Type, a.body["telegram_error"], "%v: %s", p, a.raw)
	}
	return a
}

// refusing does something while Telegram refuses a method, which has to be called.
func (b *bridge) refusing(p probed, do func()) {
	b.t.Helper()
	const all = 1000
	b.telegram.Fail(p.method, all, p.refusal.Code, p.message())
	defer b.telegram.Fail(p.method, 0, 0, "")
	calls := b.telegram.Calls(p.method)
	do()
	assert.Greater(b.t, b.telegram.Calls(p.method), calls, "%v was not called", p)
}

// checked sends a request and checks the answer against the document.
func checked(method, path, body string, contract *contracttest.Contract) func(b *bridge) answer {
	return func(b *bridge) answer {
		b.t.Helper()
		a := b.call(method, path, body)
		u, err := url.Parse("/v1" + path)
		require.NoError(b.t, err)
		require.NoError(b.t, contract.Check(contracttest.Exchange{
			Request: &http.Request{Method: method, URL: u, Header: http.Header{}}, Body: []byte(body), Status: a.status, Header: a.header, Answer: a.raw,
		}))
		return a
	}
}

// newRefused returns a bridge where you are ada, who has contacts and chats. Telegram has a second datacenter.
func newRefused(t *testing.T) *bridge {
	t.Helper()
	b := newBridge(t, withDatacenter, func(b *bridge) { b.rooms = provisioningtest.NewMemRooms() })
	testsleep.Set(b.factory, func(ctx context.Context, d time.Duration) error {
		if d > time.Second { // a QR code's
			<-ctx.Done()
		}
		return ctx.Err()
	})
	require.NoError(t, b.telegram.AddAccount(friend))
	require.NoError(t, b.telegram.SetContacts(ada.ID, []int64{grace.ID, friend.ID, helper.ID}))
	for id, kind := range map[int64]telegramtest.DialogKind{1: telegramtest.KindBasicGroup, 2: telegramtest.KindSupergroup, 3: telegramtest.KindChannel} {
		require.NoError(t, b.telegram.SetChat(telegramtest.Chat{Kind: kind, ID: id, Members: []int64{ada.ID}, Owner: ada.ID}))
	}
	require.NoError(t, b.telegram.SetPhoto(telegramtest.KindSupergroup, 2, telegramtest.Photo{ID: 1, Data: pngOf(t, 0)}))
	b.logIn(you, ada)
	return b
}

// newRoom makes a room that you and ghosts are in, and returns its path.
func (b *bridge) newRoom() string {
	roomID := id.RoomID("!" + rand.Text() + ":example.com")
	b.rooms.(*provisioningtest.MemRooms).Add(roomID, provisioningtest.MemRoom{
		Room:   provisioning.Room{Name: "New", Topic: "About", Users: []id.UserID{you}, Ghosts: ids(grace.ID, friend.ID)},
		Powers: map[id.UserID]int{you: 100},
	})
	return "/portal/" + string(roomID)
}

// Whatever Telegram may say to a call of an account that is logged in, the operation that makes
// it answers as the tables say, and only where that means that the session has ended, the user
// is logged out.
func TestRefusalsToAccounts(t *testing.T) {
	b, contract := newRefused(t), contractOf(t)
	get := func(what string) func(*bridge) answer {
		return checked(http.MethodGet, "/user/"+string(you)+what, "", contract)
	}
	post := func(what, body string) func(*bridge) answer {
		return func(b *bridge) answer {
			return checked(http.MethodPost, b.newRoom()+what+"?user_id="+string(you), body, contract)(b)
		}
	}
	create := func(chatType string) func(*bridge) answer { return post("/create", `{"type":"`+chatType+`"}`) }
	const basicGroup = "!basic:example.com"
	require.NoError(t, b.portals.Connect(t.Context(), provisioning.NewPortal{Portal: provisioning.Portal{RoomID: basicGroup, ChatID: group(404)}}))
	pairs := 0
	for method, p := range map[string]probe{
		// Without Telegram, the account is as it was last seen.
		"users.getUsers":           {op: "get_me", do: get(""), succeeds: is(provisioning.ErrNotLoggedIn, provisioning.ErrTelegramUnavailable)},
		"messages.getDialogs":      {op: "get_chats", do: get("/chats")},
		"contacts.getContacts":     {op: "get_contacts", do: get("/contacts")},
		"messages.getAllStickers":  {op: "get_stickersets", do: get("/stickersets")},
		"contacts.resolveUsername": {op: "resolve_identifier", do: get("/resolve_identifier/ada")},
		"contacts.resolvePhone":    {op: "resolve_identifier", do: get("/resolve_identifier/+" + grace.Phone)},
		"messages.getFullChat":     {op: "connect_portal", do: post("/connect/-1", "")},
		"channels.getFullChannel":  {op: "connect_portal", do: post("/connect/-1000000000002", "")},
		"channels.createChannel":   {op: "create_portal", do: create("supergroup")},
		// A portal is shown as it is recorded.
		"messages.getChats": {op: "get_portal", do: checked(http.MethodGet, "/portal/"+basicGroup+"?user_id="+string(you), "", contract), succeeds: always},
		// Where nobody can be added, there are too few for a group, of whom Telegram says nothing.
		"messages.createChat": {op: "create_portal", do: create("chat"), unnamed: is(rpcerror.ErrMemberRefused)},
		"messages.addChatUser": {op: "create_portal", do: create("chat"), succeeds: is(rpcerror.ErrMemberRefused), prepare: func(b *bridge) {
			b.telegram.Fail("messages.createChat", 1, 400, "CHAT_MEMBER_ADD_FAILED")
		}},
		"messages.editChatAbout": {op: "create_portal", do: create("chat"), succeeds: func(meaning error) bool {
			return !is(provisioning.ErrNotLoggedIn, provisioning.ErrNewChatInvalid)(meaning)
		}},
	} {
		for _, refusal := range refusalsOf(method) {
			pairs++
			pair := probed{p, method, refusal}
			b.check(contract, pair)
			b.checkSession(pair)
		}
	}
	t.Logf("%d pairs of a method and an error", pairs)
}

// checkSession checks that you are logged out only where Telegram has said so, and logs you in
// again.
func (b *bridge) checkSession(p probed) {
	b.t.Helper()
	ended := errors.Is(p.meaning(), provisioning.ErrNotLoggedIn)
	assert.Equal(b.t, ended, b.get(you, "").telegramOf(b.t) == nil, "%v", p)
	if ended {
		b.logIn(you, ada)
	}
}

// No operation of the API waits for these calls: the host, or a task, gets what they mean.
func TestRefusalsToOtherCalls(t *testing.T) {
	b := newRefused(t)
	invite := func(chatID provisioning.ChatID, who int64) func() error {
		return func() error {
			_, err := b.client(you).InviteToChat(t.Context(), chatID, ids(who))
			return err
		}
	}
	photo := func() error {
		_, err := b.client(you).GetPhoto(t.Context(), channel(2), 1)
		return err
	}
	pairs := 0
	for method, do := range map[string]func() error{
		"channels.inviteToChannel": invite(channel(2), grace.ID),
		"channels.editAdmin":       invite(channel(3), helper.ID),
		"messages.deleteChat":      func() error { return b.client(you).DeleteChat(t.Context(), group(1)) },
		"channels.deleteChannel":   func() error { return b.client(you).DeleteChat(t.Context(), channel(2)) },
		"upload.getFile":           photo,
		// These are made on the way to a photo.
		"auth.exportAuthorization": photo,
		"auth.importAuthorization": photo,
	} {
		onTheWay := strings.HasSuffix(method, "Authorization")
		for _, refusal := range refusalsOf(method) {
			pairs++
			p := probed{probe{}, method, refusal}
			var err error
			b.refusing(p, func() { err = do() })
			switch kind := p.kind(); {
			case kind == nil:
				assert.Equal(t, p.meaning(), err, "%v", p)
			case errors.Is(kind, rpcerror.ErrMemberRefused):
				assert.NoError(t, err, "%v", p) // it says who
			case onTheWay && refusal.Message == "USER_ID_INVALID":
				assert.ErrorIs(t, err, provisioning.ErrPhotoGone, "%v", p)
			default:
				assert.ErrorIs(t, err, kind, "%v", p)
			}
			b.checkSession(p)
		}
	}
	t.Logf("%d pairs of a method and an error", pairs)
}

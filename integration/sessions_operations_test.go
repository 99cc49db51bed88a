package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// randomOperation is something that a user does, with the methods of Telegram's that it calls.
type randomOperation struct {
	run     func(*operator)
	methods []string
}

// randomOperations are what users do. Some stand here more than once.
var randomOperations = []randomOperation{
	{(*operator).logIn, codeMethods},
	{(*operator).logIn, codeMethods},
	{(*operator).logIn, codeMethods},
	{(*operator).logInHalf, codeMethods},
	{(*operator).logInWrongly, codeMethods},
	{(*operator).logInBot, []string{"auth.importBotAuthorization"}},
	{(*operator).logInBot, []string{"auth.importBotAuthorization"}},
	{(*operator).scan, qrMethods},
	{(*operator).scan, qrMethods},
	{(*operator).scanAndClose, qrMethods},
	{(*operator).closeUnscanned, qrMethods},
	{(*operator).cancel, []string{"auth.logOut"}},
	{(*operator).logOut, []string{"auth.logOut"}},
	{(*operator).logOut, []string{"auth.logOut"}},
	{(*operator).logOut, []string{"auth.logOut"}},
	{(*operator).look, []string{"users.getUsers", "contacts.getContacts"}},
	{(*operator).letExpire, []string{"auth.logOut"}},
}

var (
	codeMethods = []string{"auth.sendCode", "auth.signIn", "account.getPassword", "auth.checkPassword", "auth.logOut"}
	qrMethods   = []string{"auth.exportLoginToken", "auth.logOut"}
)

// operator is a user during one operation.
type operator struct {
	*randomRun
	ctx    context.Context
	user   int
	random *rand.Rand
}

// send sends a request about the user, and returns its status, 0 where nobody has answered.
func (o *operator) send(method, path, body string) int {
	url := o.url(o.user)
	if url == "" {
		return 0
	}
	request, err := http.NewRequestWithContext(o.ctx, method, url+"/v1/user/"+o.randomRun.user(o.user)+path, strings.NewReader(body))
	if !assert.NoError(o.t, err) {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0 // killed
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	var answer struct {
		Errcode string
		Pending bool
	}
	if response.StatusCode != http.StatusOK || path == "/logout" {
		assert.NoError(o.t, json.Unmarshal(raw, &answer), "%s", raw)
	}
	if answer.Errcode == "unhandled_error" {
		assert.Fail(o.t, answer.Errcode, "%s %s: %s", method, path, o.logOf(response.Header.Get("X-Request-Id")))
	}
	o.count(fmt.Sprintf("%s %s %d %s", method, path, response.StatusCode, answer.Errcode))
	if answer.Pending {
		o.count("POST /logout 200 pending")
	}
	return response.StatusCode
}

func (r *randomRun) count(answer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[answer]++
}

// person returns an account that is no bot, whoever has it.
func (o *operator) person() telegramtest.Account {
	for {
		if a := o.accounts[o.random.IntN(people)]; !a.Bot {
			return a
		}
	}
}

// begin sends the first request of a login. Somebody who is logged in is logged out before.
func (o *operator) begin(path, body string) int {
	status := o.send(http.MethodPost, path, body)
	if status == http.StatusConflict {
		o.logOut()
		status = o.send(http.MethodPost, path, body)
	}
	return status
}

func (o *operator) requestCode(a telegramtest.Account) int {
	return o.begin("/login/request_code", `{"phone":"+`+a.Phone+`"}`)
}

func (o *operator) sendCode(code string) int {
	return o.send(http.MethodPost, "/login/send_code", `{"code":"`+code+`"}`)
}

func (o *operator) sendPassword(password string) int {
	return o.send(http.MethodPost, "/login/send_password", `{"password":"`+password+`"}`)
}

func (o *operator) logIn() {
	a := o.person()
	if o.requestCode(a) == http.StatusOK && o.sendCode(telegramtest.DefaultCode) == http.StatusAccepted {
		o.sendPassword(a.Password)
	}
}

// logInHalf stops in the middle of a login.
func (o *operator) logInHalf() {
	a := o.person()
	if o.requestCode(a) == http.StatusOK && a.Password != "" {
		o.sendCode(telegramtest.DefaultCode)
	}
}

func (o *operator) logInWrongly() {
	a := o.person()
	o.requestCode(a)
	o.sendCode("99999")
	if o.sendCode(telegramtest.DefaultCode) == http.StatusAccepted {
		o.sendPassword("wrong")
	}
}

func (o *operator) logInBot() {
	for {
		if a := o.accounts[o.random.IntN(people)]; a.Bot {
			o.begin("/login/bot_token", `{"token":"`+a.Token+`"}`)
			return
		}
	}
}

// openQR begins a login by QR code, and returns what the code says, "" where it has shown none.
func (o *operator) openQR() (socket *websocket.Conn, code string) {
	o.logOut()
	address := "ws" + strings.TrimPrefix(o.url(o.user), "http") + "/v1/user/" + o.randomRun.user(o.user) + "/login/qr"
	socket, response, err := websocket.Dial(o.ctx, address, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + secret}}})
	if response != nil {
		o.count(fmt.Sprintf("GET /login/qr %d", response.StatusCode))
	}
	if err != nil {
		return nil, ""
	}
	return socket, o.read(socket).Code
}

// qrMessage is a message of the WebSocket.
type qrMessage struct {
	Code    string
	Success bool
	Error   string
}

func (o *operator) read(socket *websocket.Conn) (m qrMessage) {
	if _, raw, err := socket.Read(o.ctx); err == nil {
		assert.NoError(o.t, json.Unmarshal(raw, &m), "%s", raw)
	}
	return m
}

// scan logs in by QR code.
func (o *operator) scan() {
	socket, code := o.openQR()
	if socket == nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	a := o.person()
	if code == "" || o.telegram.AcceptLoginToken(code, a.ID) != nil {
		return
	}
	m := o.read(socket)
	for m.Code != "" { // another one, after the connection broke
		m = o.read(socket)
	}
	o.count(fmt.Sprintf("qr: %t %s", m.Success, m.Error))
	if m.Error == "password-needed" {
		o.sendPassword(a.Password)
	}
}

// scanAndClose closes the page when the code was scanned.
func (o *operator) scanAndClose() {
	socket, code := o.openQR()
	if code != "" {
		_ = o.telegram.AcceptLoginToken(code, o.person().ID) // it may have ended
	}
	if socket != nil {
		_ = socket.CloseNow()
	}
}

func (o *operator) closeUnscanned() {
	if socket, _ := o.openQR(); socket != nil {
		_ = socket.CloseNow()
	}
}

func (o *operator) cancel() { o.send(http.MethodDelete, "/login", "") }
func (o *operator) logOut() { o.send(http.MethodPost, "/logout", "") }

func (o *operator) look() {
	o.send(http.MethodGet, "", "")
	o.send(http.MethodGet, "/contacts", "")
	o.send(http.MethodGet, "/chats", "")
}

// letExpire has the time be over of all half-done logins.
func (o *operator) letExpire() { o.expire() }

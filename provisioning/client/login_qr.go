package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// qrSilence is how long the bridge, which pings every 20 seconds, may be silent.
const qrSilence = time.Minute

// errSilent: the bridge, or the network to it, is gone without having closed the WebSocket.
var errSilent = errors.New("the bridge is silent")

// qrMessage is what login_qr sends: a QRCode, or a QRResult at the end.
type qrMessage struct {
	Code    string `json:"code"`
	Timeout int    `json:"timeout"`

	Success    *bool  `json:"success"`
	Error      string `json:"error"`
	RetryAfter *int   `json:"retry_after"`
}

// LoginQR logs a Matrix user in with QR codes, which they scan in a Telegram app that is
// logged in. It calls show with what each code says, tg://login?token=…, and the time until
// which it can be scanned, and returns when the login has ended: the state is
// [LoginStateLoggedIn], or [LoginStatePassword] for an account with a two-factor password, and
// [ClientWithResponses.LoginPassword] follows. The other fields are those of
// [ClientWithResponses.LoginProgress], empty where the bridge can't tell now.
//
// show is called by the calling goroutine, and has to return within seconds: the bridge takes
// an API client for gone that reads nothing for half a minute. An error of show's ends
// the login and is returned as it is. So does the end of the context, whose cause is returned.
//
// Other errors are an [*Error], with the errcodes of other logins, timeout when nobody has
// scanned a code, and replaced when another login by QR code of the same user was begun; and
// those of the network. The HTTP client's Timeout bounds the opening of the WebSocket; with
// [WithRetries] only the context does.
func (c *ClientWithResponses) LoginQR(ctx context.Context, userID UserID, show func(code string, until time.Time) error) (LoginStatus, error) {
	socket, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(qrSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	conn, err := c.openQR(socket, userID, func() { silence.Reset(qrSilence) })
	if err != nil {
		return LoginStatus{}, causeOr(socket, err)
	}
	defer conn.CloseNow()
	for {
		var message qrMessage
		if err := wsjson.Read(socket, conn, &message); err != nil {
			return LoginStatus{}, causeOr(socket, fmt.Errorf("wait for a QR code to be scanned: %w", err))
		}
		switch left := time.Duration(message.Timeout) * time.Second; {
		case message.Success != nil:
			return c.qrEnd(ctx, userID, message)
		case message.Code != "":
			if err := show(message.Code, time.Now().Add(left)); err != nil {
				return LoginStatus{}, err
			}
			silence.Reset(left + qrSilence)
		}
	}
}

// causeOr returns why the context has ended, or the error where it has not.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// openQR opens the WebSocket of login_qr. pinged is called for each ping. Errors: an *Error.
func (c *ClientWithResponses) openQR(ctx context.Context, userID UserID, pinged func()) (*websocket.Conn, error) {
	api, is := c.ClientInterface.(*Client)
	if !is {
		return nil, fmt.Errorf("a login by QR code takes a client that New has made, not a %T", c.ClientInterface)
	}
	request, err := NewGetLoginRequest(api.Server, userID)
	if err != nil {
		return nil, err
	}
	if err := api.applyEditors(ctx, request, nil); err != nil {
		return nil, err
	}
	conn, answer, err := websocket.Dial(ctx, request.URL.JoinPath("qr").String(), &websocket.DialOptions{
		HTTPClient:     socketClient(api.Client),
		HTTPHeader:     request.Header,
		Subprotocols:   []string{"net.maunium.telegram.login"},
		OnPingReceived: func(context.Context, []byte) bool { pinged(); return true },
	})
	if err == nil || answer == nil || answer.StatusCode == http.StatusSwitchingProtocols {
		return conn, err
	}
	fault := &Error{}
	if body, err := io.ReadAll(answer.Body); err == nil && json.Unmarshal(body, fault) == nil && fault.Errcode != "" {
		return nil, fault
	}
	return nil, notOurs(answer.StatusCode)
}

// socketClient returns what opens WebSockets as an HTTP client makes requests.
func socketClient(doer HttpRequestDoer) *http.Client {
	switch d := doer.(type) {
	case *http.Client:
		return d
	case *retrying:
		once := *socketClient(d.doer)
		once.Timeout = 0 // with one, nothing can be sent on the WebSocket
		return &http.Client{Transport: transport{&retrying{&once, d.most}}}
	default:
		return &http.Client{Transport: transport{doer}}
	}
}

// transport makes requests by an HTTP client.
type transport struct{ doer HttpRequestDoer }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.doer.Do(r) }

// qrSentences are for the user, by what the bridge says on the WebSocket.
var qrSentences = map[string]string{
	"timeout":  "Nobody has scanned the QR code in time.",
	"replaced": "Another login by QR code was begun.",
}

// qrEnd is the end of a login by QR code.
func (c *ClientWithResponses) qrEnd(ctx context.Context, userID UserID, result qrMessage) (LoginStatus, error) {
	state := LoginStateLoggedIn
	switch {
	case *result.Success:
	case result.Error == "password-needed":
		state = LoginStatePassword
	default:
		next := LoginStateRequest
		if result.Error == "already_logged_in" {
			next = LoginStateLoggedIn
		}
		sentence, has := qrSentences[result.Error]
		if !has {
			sentence = "The login by QR code has failed."
		}
		return LoginStatus{}, &Error{Errcode: result.Error, Message: sentence, State: &next, RetryAfter: result.RetryAfter}
	}
	// The login has come so far, whatever can be seen of it.
	if status, err := c.LoginProgress(ctx, userID); err == nil && status.State == state {
		return status, nil
	}
	return LoginStatus{State: state}, nil
}

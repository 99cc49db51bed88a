package provisioning

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"
)

// reply is a successful answer.
type reply struct {
	status int
	body   any
	// roomID and chatID are for the audit trail: what was not named in the path.
	roomID id.RoomID
	chatID ChatID
}

func ok(body any) reply       { return reply{status: http.StatusOK, body: body} }
func created(body any) reply  { return reply{status: http.StatusCreated, body: body} }
func accepted(body any) reply { return reply{status: http.StatusAccepted, body: body} }

// about returns the reply with the portal that it is about.
func (r reply) about(roomID id.RoomID, chatID ChatID) reply {
	r.roomID, r.chatID = roomID, chatID
	return r
}

// errorBody is the body of every error. State, Username and Phone are of login
// operations. TelegramError is Telegram's name of what it has refused, BotMXID the bridge
// bot where it has to be invited.
type errorBody struct {
	ErrCode    string     `json:"errcode"`
	Error      string     `json:"error"`
	State      loginState `json:"state,omitempty"`
	Username   *string    `json:"username,omitempty"`
	Phone      *string    `json:"phone,omitempty"`
	RetryAfter int64      `json:"retry_after,omitempty"`

	TelegramError string    `json:"telegram_error,omitempty"`
	BotMXID       id.UserID `json:"bot_mxid,omitempty"`
}

// newErrorBody is the body of an error with its outcome, but for what is of logins and of
// pauses. botID returns "" where there are no rooms.
func newErrorBody(err error, o outcome, botID func() id.UserID) errorBody {
	body := errorBody{ErrCode: o.errcode, Error: o.sentence}
	if o.status == http.StatusInternalServerError || o.status == http.StatusForbidden && errors.Is(err, ErrTelegramRestricted) {
		body.TelegramError = telegramName(err)
	}
	if o.err == ErrBridgeBotNotInRoom {
		body.BotMXID = botID()
	}
	return body
}

// errorReply turns an error into an answer, by the table.
func errorReply(err error, rt *route, botID func() id.UserID, header http.Header) (reply, outcome) {
	o := outcomeOf(err, rt.operation)
	body := newErrorBody(err, o, botID)
	if rt.state != "" {
		body.State = rt.state
		if o.state != "" {
			body.State = o.state
		}
	}
	switch o.status {
	case http.StatusUnauthorized:
		if errors.Is(err, errUnauthorized) {
			header.Set("WWW-Authenticate", "Bearer")
		}
	case http.StatusMethodNotAllowed:
		if e, ok := errors.AsType[*wrongVerbError](err); ok {
			header.Set("Allow", e.allow)
		}
	case http.StatusConflict:
		if e, ok := errors.AsType[*alreadyLoggedInError](err); ok {
			body.Username, body.Phone = &e.account.Username, &e.account.Phone
		}
	case http.StatusUpgradeRequired:
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "websocket")
		header.Set("Sec-WebSocket-Version", "13")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if body.RetryAfter = retryAfter(err); body.RetryAfter > 0 {
			header.Set("Retry-After", strconv.FormatInt(body.RetryAfter, 10))
		}
	}
	return reply{status: o.status, body: body}, o
}

// nameOfTelegram matches Telegram's names of errors and types.
var nameOfTelegram = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_. ]*$`)

// telegramName returns Telegram's name of an error, "" for one of others.
func telegramName(err error) string {
	if e, ok := errors.AsType[*TelegramError](err); ok && nameOfTelegram.MatchString(e.Type) {
		return e.Type
	}
	return ""
}

// retryAfter returns for how many seconds an error asks for a pause, zero for none.
func retryAfter(err error) int64 {
	if e, ok := errors.AsType[*FloodWaitError](err); ok {
		return waitSeconds(e.Wait)
	}
	if e, ok := errors.AsType[*tooManyGuessesError](err); ok {
		return waitSeconds(e.wait)
	}
	if e, ok := errors.AsType[*limitReachedError](err); ok {
		return waitSeconds(e.wait)
	}
	if errors.Is(err, ErrOverloaded) || errors.Is(err, errUserBusy) || errors.Is(err, errNotReady) {
		return waitSeconds(overloadRetryAfter)
	}
	return 0
}

// waitSeconds rounds a pause up to whole seconds, at least one.
func waitSeconds(wait time.Duration) int64 {
	return max(1, int64(math.Ceil(wait.Seconds())))
}

// Header values that all answers share.
var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// encodedJSON is the body of an answer that is JSON already, with the newline at its end.
// Nobody changes it.
type encodedJSON []byte

// encode makes the JSON of a body.
func encode(body any) encodedJSON {
	encoded, err := json.Marshal(body)
	if err != nil {
		// The bodies are structs of strings, numbers and booleans, all defined here.
		panic("provisioning: body can't be encoded: " + err.Error())
	}
	return append(encoded, '\n')
}

// writeReply sends an answer. The body is encoded whole before anything is sent,
// so that an answer is never cut off by an error of ours. Errors: those of writeBody.
func writeReply(w http.ResponseWriter, r *http.Request, rep reply, timeout time.Duration) error {
	body, encoded := rep.body.(encodedJSON)
	if !encoded {
		body = encode(rep.body)
	}
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["X-Content-Type-Options"] = typeJSON, noStore, noSniff
	w.WriteHeader(rep.status)
	return writeBody(w, r, body, timeout)
}

// writeBody writes the body of an answer. An API client that takes longer than the timeout
// for a part of a long one is hung up on: what net/http does not buffer would stay in
// memory, and the request under way, for as long as it likes. A WriteTimeout of the server
// stays. A ResponseWriter of the host's middleware that has no Unwrap can set no deadline.
// Errors: os.ErrDeadlineExceeded, and that the API client has hung up.
func writeBody(w http.ResponseWriter, r *http.Request, body []byte, timeout time.Duration) error {
	const (
		buffered = 2 << 10 // by net/http, of every answer
		part     = 64 << 10
	)
	if len(body) <= buffered || serverOf(r).WriteTimeout > 0 {
		_, err := w.Write(body)
		return err
	}
	conn := http.NewResponseController(w)
	for piece := range slices.Chunk(body, part) {
		_ = conn.SetWriteDeadline(time.Now().Add(timeout))
		if _, err := w.Write(piece); err != nil {
			return err // and net/http closes the connection
		}
	}
	// The deadline holds for what net/http still has, and ends with the answer.
	return nil
}

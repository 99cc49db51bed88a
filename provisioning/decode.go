package provisioning

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// maxBodySize is the largest request body that is read, in bytes.
const maxBodySize = 64 << 10

// bearerToken returns the credential of an Authorization header of the form
// "Bearer <token>", "" where there is none or more than one.
func bearerToken(h http.Header) string {
	values := h["Authorization"]
	if len(values) != 1 {
		return ""
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// secretProtocol is what the WebSocket subprotocol that carries a secret begins with.
const secretProtocol = "net.maunium.telegram.auth-"

// openIDProtocol is what the one begins with that carries an OpenID token: it can't have the colon of
// "openid:".
const openIDProtocol = "net.maunium.telegram.openid-"

// credential returns the secret that a request was sent with: that of its Authorization
// header or, where there is none, of a WebSocket subprotocol, the only part of such a
// request that a script in a browser can choose. "" is none, or more than one.
func credential(h http.Header) string {
	if len(h["Authorization"]) > 0 {
		return bearerToken(h)
	}
	found := ""
	for _, protocol := range headerTokens(h, "Sec-WebSocket-Protocol") {
		secret, ok := strings.CutPrefix(protocol, secretProtocol)
		if token, isOpenID := strings.CutPrefix(protocol, openIDProtocol); isOpenID {
			secret, ok = openIDPrefix+token, true
		}
		if ok && found != "" {
			return ""
		}
		if ok {
			found = secret
		}
	}
	return found
}

// headerTokens lists the elements of a header that is a list.
func headerTokens(h http.Header, name string) (tokens []string) {
	for _, value := range h.Values(name) {
		for token := range strings.SplitSeq(value, ",") {
			tokens = append(tokens, strings.TrimSpace(token))
		}
	}
	return tokens
}

// query is the raw query of a URL. url.Values is of no use here: it leaves out what it
// can't decode and what holds a semicolon, so that a request in the name of
// "@a;b:example.com" would become one in nobody's name, who may do everything.
type query string

// value returns a parameter, "" if it is absent. Of one that comes twice the first counts.
// Errors: errValueUnknown for what can't be decoded.
func (q query) value(name string) (string, error) {
	for value, err := range q.values(name) {
		return value, err
	}
	return "", nil
}

// values yields what a parameter is given as, each time that it is. Errors: errValueUnknown
// for what can't be decoded.
func (q query) values(name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for parameter := range strings.SplitSeq(string(q), "&") {
			key, value, _ := strings.Cut(parameter, "=")
			if key, err := url.QueryUnescape(key); err != nil || key != name {
				continue
			}
			value, err := url.QueryUnescape(value)
			if err != nil {
				value, err = "", errValueUnknown
			}
			if !yield(value, err) {
				return
			}
		}
	}
}

// userID returns the user in user_id, "" if it is absent: nothing else says that nobody is
// named. Errors: errUserIDEmpty, errUserIDInvalid also where two are named.
func (q query) userID() (userID id.UserID, err error) {
	given := false
	for value, err := range q.values("user_id") {
		if err != nil || given && value != string(userID) {
			return "", errUserIDInvalid
		}
		given, userID = true, id.UserID(value)
	}
	switch {
	case !given:
		return "", nil
	case userID == "":
		return "", errUserIDEmpty
	}
	return checkUserID(string(userID))
}

// boolean reads a parameter that is yes or no. Absent and empty are no.
func (q query) boolean(name string) (bool, error) {
	value, err := q.value(name)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(value) {
	case "", "false", "f", "0", "no", "n":
		return false, nil
	case "true", "t", "1", "yes", "y":
		return true, nil
	}
	return false, errValueUnknown
}

// The sizes of pages.
const (
	maxPage        = 500
	defaultPortals = 100
)

// decodePage decodes the query of lists that come in pages.
func decodePage(op *operation, q query) (err error) {
	if op.after, err = q.value("after"); err != nil {
		return err
	}
	limit, err := q.value("limit")
	if err != nil || limit == "" {
		return err
	}
	if op.limit, err = strconv.Atoi(limit); err != nil || op.limit < 1 || op.limit > maxPage {
		return errValueUnknown
	}
	return nil
}

// decodeChats decodes the query of get_chats.
func decodeChats(op *operation, q query) (err error) {
	if op.search, err = q.value("search"); err != nil {
		return err
	}
	return decodePage(op, q)
}

// decodePortals decodes the query of list_portals. What a page comes after is a room ID, in a
// form that says nothing to clients.
func decodePortals(op *operation, q query) error {
	if err := decodePage(op, q); err != nil || op.after == "" {
		return err
	}
	after, err := base64.RawURLEncoding.DecodeString(op.after)
	if err != nil {
		return errValueUnknown
	}
	if _, err = checkRoomID(string(after)); err != nil {
		return errValueUnknown
	}
	op.after = string(after)
	return nil
}

// decodeForce decodes the query of connect_portal and preflight_connect.
func decodeForce(op *operation, q query) (err error) {
	if op.force, err = q.value("force"); err != nil {
		return err
	}
	if op.force != "" && op.force != forceUnbridge && op.force != forceDelete {
		return errValueUnknown
	}
	return nil
}

// decodeDelete decodes the query of disconnect_portal.
func decodeDelete(op *operation, q query) (err error) {
	if op.everybody, err = q.boolean("delete"); err != nil {
		return err
	}
	op.wait, err = q.boolean("sync")
	return err
}

// addressOf returns the address of a request's client, by RemoteAddr where the host has no
// function of its own.
func addressOf(r *http.Request, clientAddress func(*http.Request) string) address {
	if clientAddress != nil {
		return clientAddressOf(clientAddress(r))
	}
	return parseAddress(r.RemoteAddr)
}

// encodedPath returns the path of a URL with all of it encoded that has to be. Where a
// client left a single such character raw, url.URL.EscapedPath takes the decoded path
// instead of the one that was sent, and a %2F becomes a slash.
func encodedPath(u *url.URL) string {
	invalid := func(c byte) bool {
		return ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') &&
			strings.IndexByte("-._~!$&'()*+,;=:@[]/%", c) < 0
	}
	if !slices.ContainsFunc([]byte(u.RawPath), invalid) {
		return u.EscapedPath()
	}
	var valid strings.Builder
	for _, c := range []byte(u.RawPath) {
		if invalid(c) {
			fmt.Fprintf(&valid, "%%%02X", c)
		} else {
			valid.WriteByte(c)
		}
	}
	repaired := *u
	repaired.RawPath = valid.String()
	return repaired.EscapedPath()
}

// decodePath decodes the variables of the path, {user_id} aside.
func decodePath(op *operation, vars *variables) (err error) {
	for _, v := range vars {
		switch v.name {
		case "room_id":
			op.roomID, err = parseRoomID(v.value)
		case "chat_id", "group_id":
			op.chatID, err = parseGroupID(v.value)
		case "identifier":
			op.identifier = v.value
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// limitBody makes reading the body of a request fail with os.ErrDeadlineExceeded
// when the time is up: a context does not interrupt it. It holds as well for the rest
// of a body that net/http reads when the handler did not, and ends with the body. A
// shorter ReadTimeout of the server stays. A ResponseWriter of the host's middleware
// that has no Unwrap can set no deadline: then that ReadTimeout is all there is.
func limitBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	if shorter := serverOf(r).ReadTimeout; 0 < shorter && shorter <= timeout {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
}

// serverOf returns the server of a request, for its timeouts: one without any where it is
// not net/http's.
func serverOf(r *http.Request) *http.Server {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		return server
	}
	return &http.Server{}
}

// readObject reads the body, which must be one JSON object and nothing else. Of a
// name that comes twice, the last value counts.
func readObject(w http.ResponseWriter, r *http.Request) (object, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodySize))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errBodyTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errBodyTimeout
	}
	if err != nil || !utf8.Valid(data) || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, errJSONInvalid
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, errJSONInvalid
	}
	return o, nil
}

var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID takes over the request's own ID where it is harmless in a log line,
// or makes one.
func requestID(r *http.Request) string {
	if given := r.Header.Get("X-Request-Id"); given != "" && validRequestID.MatchString(given) {
		return given
	}
	// Of the runtime's generator, ChaCha8 seeded by the system.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var made [16]byte
	for i := 0; i < len(made); i += 8 {
		for n, bits := i, rand.Uint64(); n < i+8; n, bits = n+1, bits>>5 {
			made[n] = alphabet[bits%32]
		}
	}
	return string(made[:])
}

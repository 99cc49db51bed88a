package provisioning

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
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

// parseUserID decodes and checks a Matrix user ID from a path.
func parseUserID(segment string) (id.UserID, error) {
	raw, err := url.PathUnescape(segment)
	if err != nil {
		return "", errUserIDInvalid
	}
	return checkUserID(raw)
}

// checkUserID checks a Matrix user ID. The grammar is that of historical user IDs,
// which may hold nearly anything.
//
// https://spec.matrix.org/v1.16/appendices/#user-identifiers
func checkUserID(raw string) (id.UserID, error) {
	if raw == "" {
		return "", errUserIDEmpty
	}
	userID := id.UserID(raw)
	localpart, server, err := userID.Parse()
	if err != nil || localpart == "" || len(raw) > id.UserIDMaxLength || !validServerName(server) || !utf8.ValidString(raw) || strings.ContainsFunc(localpart, unicode.IsControl) {
		return "", errUserIDInvalid
	}
	return userID, nil
}

// validServerName is id.ValidateServerName, which takes as long as the rest of a request
// that is about a user, without its regular expression for a plain name.
func validServerName(name string) bool {
	for _, c := range []byte(name) {
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && c != '.' && c != '-' {
			return id.ValidateServerName(name)
		}
	}
	return 0 < len(name) && len(name) <= 255
}

// parseRoomID decodes and checks a Matrix room ID from a path. Those of room
// version 12 have no server part.
//
// https://spec.matrix.org/v1.16/appendices/#room-ids
func parseRoomID(segment string) (id.RoomID, error) {
	const maxLength = 255
	raw, err := url.PathUnescape(segment)
	switch {
	case err != nil:
		return "", errRoomIDInvalid
	case raw == "":
		return "", errRoomIDEmpty
	case len(raw) < 2 || len(raw) > maxLength || raw[0] != '!' || !utf8.ValidString(raw) || strings.ContainsFunc(raw, unicode.IsControl):
		return "", errRoomIDInvalid
	}
	return id.RoomID(raw), nil
}

// parseGroupID decodes and checks the ID of a group or channel from a path.
func parseGroupID(segment string) (ChatID, error) {
	raw, err := url.PathUnescape(segment)
	digits, negative := strings.CutPrefix(raw, "-")
	if err != nil || !negative || !isDigits(digits) {
		return 0, errChatIDInvalid
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		return 0, errChatIDInvalid
	}
	if _, _, ok := ChatID(n).Split(); !ok {
		return 0, errChatIDInvalid
	}
	return ChatID(n), nil
}

// queryValue returns a parameter of a query, "" if it is absent. Of one that comes
// twice the first counts, everywhere. url.URL.Query is of no use here: it leaves out
// what it can't decode and what holds a semicolon, so that a request in the name of
// "@a;b:example.com" would become one in nobody's name, who may do everything. Errors:
// errValueUnknown for what can't be decoded.
func queryValue(u *url.URL, name string) (string, error) {
	for parameter := range strings.SplitSeq(u.RawQuery, "&") {
		key, value, _ := strings.Cut(parameter, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return "", errValueUnknown
		}
		return value, nil
	}
	return "", nil
}

// parseBool reads a query parameter that is yes or no. Absent and empty are no.
func parseBool(u *url.URL, name string) (bool, error) {
	value, err := queryValue(u, name)
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

// object is a decoded JSON object.
type object map[string]json.RawMessage

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

// text returns a string of the object. Absent and null are errValueMissing,
// another type is errValueInvalid.
func (o object) text(name string) (string, error) {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return "", errValueMissing
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errValueInvalid
	}
	return s, nil
}

// optionalText is text for a value that may be absent or null, which is "".
func (o object) optionalText(name string) (string, error) {
	s, err := o.text(name)
	if errors.Is(err, errValueMissing) {
		return "", nil
	}
	return s, err
}

// loginCode returns a login code of the object: a string, or an integer that is
// not negative.
func (o object) loginCode(name string) (LoginCode, error) {
	if raw := string(o[name]); isDigits(raw) {
		return IntegerLoginCode(raw), nil
	}
	s, err := o.text(name)
	if err != nil {
		return LoginCode{}, err
	}
	code := TextLoginCode(s)
	if code.Value(0) == "" {
		return LoginCode{}, errValueMissing
	}
	return code, nil
}

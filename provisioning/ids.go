package provisioning

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

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
	raw, err := url.PathUnescape(segment)
	if err != nil {
		return "", errRoomIDInvalid
	}
	return checkRoomID(raw)
}

// checkRoomID checks a Matrix room ID.
func checkRoomID(raw string) (id.RoomID, error) {
	const maxLength = 255
	switch {
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

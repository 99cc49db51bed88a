package portal

import (
	"errors"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// ghostTemplate is the localpart of ghosts, with an ID between its two parts.
type ghostTemplate struct {
	prefix, suffix string
	server         string
}

func parseGhostTemplate(template, server string) (ghostTemplate, error) {
	prefix, suffix, ok := strings.Cut(template, "{id}")
	if !ok || strings.Contains(suffix, "{id}") {
		return ghostTemplate{}, errors.New("{id} has to stand in it once")
	}
	return ghostTemplate{prefix, suffix, server}, nil
}

func (t ghostTemplate) ghostID(telegramID provisioning.TelegramID) id.UserID {
	return id.NewUserID(t.prefix+strconv.FormatInt(int64(telegramID), 10)+t.suffix, t.server)
}

func (t ghostTemplate) parseGhost(userID id.UserID) (telegramID provisioning.TelegramID, ok bool) {
	localpart, server, err := userID.Parse()
	if err != nil || server != t.server {
		return 0, false
	}
	digits, hasPrefix := strings.CutPrefix(localpart, t.prefix)
	digits, hasSuffix := strings.CutSuffix(digits, t.suffix)
	n, err := strconv.ParseInt(digits, 10, 64)
	telegramID = provisioning.TelegramID(n)
	// Only one spelling of a number is a ghost's.
	if !hasPrefix || !hasSuffix || err != nil || n <= 0 || t.ghostID(telegramID) != userID {
		return 0, false
	}
	return telegramID, true
}

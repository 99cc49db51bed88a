package provisioning

import (
	"context"
	"errors"
)

type bridgeBody struct {
	RelaybotUsername *string `json:"relaybot_username"`
}

// getBridge is get_bridge. No relay bot is null; one that can't be asked is an error.
func getBridge(ctx context.Context, s *services, _ *operation) (reply, error) {
	bot, err := s.accounts.relay(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return ok(bridgeBody{}), nil
	case err != nil:
		return reply{}, err
	}
	return ok(bridgeBody{RelaybotUsername: &bot.Username}), nil
}

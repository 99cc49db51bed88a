package provisioning

import (
	"context"
	"fmt"
	"net/http"
)

type bridgeBody struct {
	RelaybotUsername *string `json:"relaybot_username"`
}

func (p *Provisioner) getBridge(ctx context.Context, _ *call) (reply, error) {
	// No relay bot is null; one that can't be asked is an error, not null.
	if p.relayBot == nil {
		return reply{http.StatusOK, bridgeBody{}}, nil
	}
	bot, err := p.relayBot.Account(ctx)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", errRelayBot, err)
	}
	return reply{http.StatusOK, bridgeBody{RelaybotUsername: &bot.Username}}, nil
}

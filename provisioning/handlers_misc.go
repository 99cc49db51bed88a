package provisioning

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"
)

type bridgeBody struct {
	RelaybotUsername *string `json:"relaybot_username"`
	// BotMXID is null on a bridge without rooms.
	BotMXID    *id.UserID `json:"bot_mxid"`
	Operations []string   `json:"operations"`
}

// getBridge is get_bridge. No relay bot is null; one that can't be asked is an error.
func getBridge(ctx context.Context, s *services, _ *operation) (reply, error) {
	operations, err := s.operations(ctx, func(*route) bool { return true })
	if err != nil {
		return reply{}, err
	}
	body := bridgeBody{Operations: operations}
	if botID := s.portals.botID(); botID != "" {
		body.BotMXID = &botID
	}
	bot, err := s.accounts.relay(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
	case err != nil:
		return reply{}, err
	default:
		body.RelaybotUsername = &bot.Username
	}
	return ok(body), nil
}

// operations lists those of some operations that this bridge can do, in the order of the routes.
func (s *services) operations(ctx context.Context, some func(*route) bool) ([]string, error) {
	const anybody id.UserID = "@anybody:example.com" // all clients can do the same
	client, err := s.accounts.client(ctx, anybody)
	if err != nil {
		return nil, err
	}
	can := make([]string, 0, len(s.routes))
	for i := range s.routes {
		rt := &s.routes[i]
		if some(rt) && (!rt.needsRooms || s.portals.rooms != nil) && (rt.able == nil || rt.able(s, client)) {
			can = append(can, rt.operation)
		}
	}
	return can, nil
}

// is says whether a client has an optional interface.
func is[T any](_ *services, client TelegramClient) bool {
	_, can := client.(T)
	return can
}

// listsPortals says whether portals can be listed.
func listsPortals(s *services, _ TelegramClient) bool {
	_, can := s.portals.store.(PortalLister)
	return can
}

// startsDirect says whether direct chats can be started.
func startsDirect(s *services, client TelegramClient) bool {
	_, alone := s.portals.store.(DirectPortals)
	_, inRooms := s.portals.rooms.(DirectRooms)
	return is[UserResolver](s, client) && (alone || inRooms)
}

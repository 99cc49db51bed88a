package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// bridgeInfoTypes are the state events of MSC2346, which clients read under either
// name.
//
// https://github.com/matrix-org/matrix-spec-proposals/pull/2346
var bridgeInfoTypes = []event.Type{event.StateBridge, event.StateHalfShotBridge}

// bridgeInfoKey is the state key of a portal's bridge info.
func bridgeInfoKey(p provisioning.Portal) string {
	if p.Receiver != 0 {
		return fmt.Sprintf("fi.mau.telegram://telegram/%d/%d", p.Receiver, int64(p.ChatID))
	}
	return fmt.Sprintf("fi.mau.telegram://telegram/%d", int64(p.ChatID))
}

// bridgeInfo is what a portal says of itself.
func (r *Rooms) bridgeInfo(setup provisioning.PortalSetup) *event.BridgeEventContent {
	info := &event.BridgeEventContent{
		BridgeBot: r.bot.UserID, Creator: setup.UserID,
		Protocol: event.BridgeInfoSection{ID: "telegram", DisplayName: "Telegram", ExternalURL: "https://telegram.org/"},
		Channel:  event.BridgeInfoSection{ID: fmt.Sprint(int64(setup.Portal.ChatID)), DisplayName: setup.Portal.Title},
	}
	if setup.Portal.Username != "" {
		info.Channel.ExternalURL = "https://t.me/" + setup.Portal.Username
	}
	return info
}

// SetUpPortal implements [provisioning.Rooms].
func (r *Rooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	roomID := setup.Portal.RoomID
	if err := r.CheckBot(ctx, roomID); err != nil {
		return err
	}
	for _, eventType := range bridgeInfoTypes {
		if err := r.setOnce(ctx, roomID, eventType, bridgeInfoKey(setup.Portal), r.bridgeInfo(setup)); err != nil {
			return err
		}
	}
	if setup.Portal.Receiver != 0 {
		return nil // clients show a direct chat as the person
	}
	if setup.Portal.Title != "" {
		name := &event.RoomNameEventContent{}
		if err := r.setMissing(ctx, roomID, event.StateRoomName, name, &name.Name, setup.Portal.Title); err != nil {
			return err
		}
	}
	if setup.Portal.About != "" {
		topic := &event.TopicEventContent{}
		if err := r.setMissing(ctx, roomID, event.StateTopic, topic, &topic.Topic, setup.Portal.About); err != nil {
			return err
		}
	}
	if setup.Photo == nil {
		return nil
	}
	return r.setAvatar(ctx, roomID, setup.Photo)
}

// setOnce sets a state event where it is not so already, and the bot may.
func (r *Rooms) setOnce(ctx context.Context, roomID id.RoomID, eventType event.Type, stateKey string, content any) error {
	var current, wanted any
	if _, err := r.state(ctx, r.bot, roomID, eventType, stateKey, &current); err != nil && !malformed(err) {
		return err
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode %s: %w", eventType.Type, err)
	}
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return fmt.Errorf("encode %s: %w", eventType.Type, err)
	}
	if reflect.DeepEqual(current, wanted) {
		return nil
	}
	return r.setAllowed(ctx, roomID, eventType, stateKey, content)
}

// setMissing sets a text of a state event where the room has none, and the bot may.
func (r *Rooms) setMissing(ctx context.Context, roomID id.RoomID, eventType event.Type, content any, field *string, text string) error {
	_, err := r.state(ctx, r.bot, roomID, eventType, "", content)
	if malformed(err) || *field != "" {
		return nil // something is there, whatever it is
	}
	if err != nil {
		return err
	}
	*field = text
	return r.setAllowed(ctx, roomID, eventType, "", content)
}

// setAllowed sets a state event as the bot, if it may.
func (r *Rooms) setAllowed(ctx context.Context, roomID id.RoomID, eventType event.Type, stateKey string, content any) error {
	may, err := r.send(ctx, r.bot, roomID, eventType, stateKey, content)
	if err == nil && !may {
		zerolog.Ctx(ctx).Debug().Stringer("room_id", roomID).Str("event_type", eventType.Type).Msg("The bridge bot may not set a state event")
	}
	return err
}

// setAvatar gives a room the chat's photo where it has none, and the bot may.
func (r *Rooms) setAvatar(ctx context.Context, roomID id.RoomID, photo provisioning.PhotoFunc) error {
	avatar := &event.RoomAvatarEventContent{}
	_, err := r.state(ctx, r.bot, roomID, event.StateRoomAvatar, "", avatar)
	if malformed(err) || avatar.URL != "" {
		return nil
	}
	if err != nil {
		return err
	}
	if may, err := r.power(ctx, roomID, r.bot.UserID, event.StateRoomAvatar.Type); err != nil || !may {
		return err
	}
	if avatar.URL, err = r.photo(ctx, 0, photo); err != nil {
		if errors.Is(err, provisioning.ErrHomeserver) || ctx.Err() != nil {
			return err
		}
		zerolog.Ctx(ctx).Info().Err(err).Stringer("room_id", roomID).Msg("A portal gets no avatar")
		return nil
	}
	return r.setAllowed(ctx, roomID, event.StateRoomAvatar, "", avatar)
}

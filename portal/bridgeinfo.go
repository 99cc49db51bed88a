package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// bridgeInfoTypes are the state events of MSC2346. Clients read one or the other.
//
// https://github.com/matrix-org/matrix-spec-proposals/pull/2346
var bridgeInfoTypes = []event.Type{event.StateBridge, event.StateHalfShotBridge}

// bridgeInfoPrefix begins the state keys of portals' bridge info.
const bridgeInfoPrefix = "fi.mau.telegram://telegram/"

// emptyContent is what bridge info is when its portal is no more: state events can't be
// removed.
var emptyContent struct{}

// bridgeInfoKey is the state key of a portal's bridge info. A room is bridged by others
// as well, perhaps, and has been bridged to other chats before.
func bridgeInfoKey(p provisioning.Portal) string {
	if p.Receiver != 0 {
		return fmt.Sprintf(bridgeInfoPrefix+"%d/%d", p.Receiver, int64(p.ChatID))
	}
	return fmt.Sprintf(bridgeInfoPrefix+"%d", int64(p.ChatID))
}

// bridgeInfo is what a portal says of itself.
func bridgeInfo(bot id.UserID, setup provisioning.PortalSetup, avatar id.ContentURIString) *event.BridgeEventContent {
	info := &event.BridgeEventContent{
		BridgeBot: bot, Creator: setup.UserID,
		Protocol: event.BridgeInfoSection{ID: "telegram", DisplayName: "Telegram", ExternalURL: "https://telegram.org/"},
		Channel: event.BridgeInfoSection{
			ID: fmt.Sprint(int64(setup.Portal.ChatID)), DisplayName: setup.Portal.Title, AvatarURL: avatar,
		},
	}
	if setup.Portal.Username != "" {
		info.Channel.ExternalURL = "https://t.me/" + setup.Portal.Username
	}
	return info
}

// setBridgeInfo makes a room's bridge info be that of a portal. That of the basic group
// which its chat was goes.
func (e editor) setBridgeInfo(ctx context.Context, setup provisioning.PortalSetup, avatar id.ContentURIString) error {
	info := bridgeInfo(e.bot.UserID, setup, avatar)
	var do []func() error
	for _, eventType := range bridgeInfoTypes {
		do = append(do, func() error {
			if same(e.shown[shownEvent{eventType.Type, e.bridgeInfoKey(setup.Portal)}], info) {
				return nil
			}
			return e.set(ctx, eventType, e.bridgeInfoKey(setup.Portal), info)
		})
	}
	group := setup.Portal
	if group.ChatID = group.MigratedFrom; group.ChatID != 0 && e.bridgeInfoKey(group) != e.bridgeInfoKey(setup.Portal) {
		do = append(do, func() error { return e.removeBridgeInfo(ctx, e.bot, group) })
	}
	return atOnce(do...)
}

// same says whether an event's content is that of a value.
func same(content json.RawMessage, value any) bool {
	encoded, err := json.Marshal(value)
	var is, wanted any
	return err == nil && json.Unmarshal(content, &is) == nil && json.Unmarshal(encoded, &wanted) == nil && reflect.DeepEqual(is, wanted)
}

// removeBridgeInfo empties a portal's bridge info, where the one who does so may.
func (r *Rooms) removeBridgeInfo(ctx context.Context, as *mautrix.Client, portal provisioning.Portal) error {
	var do []func() error
	for _, eventType := range bridgeInfoTypes {
		do = append(do, func() error {
			current, err := stateOf(ctx, as, portal.RoomID, eventType, r.bridgeInfoKey(portal))
			if err != nil || current == nil || same(current, emptyContent) {
				return err
			}
			return r.emptyBridgeInfo(ctx, as, portal.RoomID, eventType, r.bridgeInfoKey(portal))
		})
	}
	return atOnce(do...)
}

// isOwnBridgeInfo says whether a state event is a portal's bridge info, or that of
// another of this bridge, and says anything.
func (r *Rooms) isOwnBridgeInfo(e stateEvent, portal provisioning.Portal) bool {
	if !slices.ContainsFunc(bridgeInfoTypes, func(t event.Type) bool { return t.Type == e.Type }) || same(e.Content, emptyContent) {
		return false
	}
	return e.StateKey == r.bridgeInfoKey(portal) ||
		strings.HasPrefix(e.StateKey, bridgeInfoPrefix) && textOf(e.Content, "bridgebot") == string(r.bot.UserID)
}

// emptyAllBridgeInfo empties events.
func (r *Rooms) emptyAllBridgeInfo(ctx context.Context, as *mautrix.Client, roomID id.RoomID, infos []stateEvent) error {
	var do []func() error
	for _, e := range infos {
		eventType := event.Type{Type: e.Type, Class: event.StateEventType}
		do = append(do, func() error { return r.emptyBridgeInfo(ctx, as, roomID, eventType, e.StateKey) })
	}
	return atOnce(do...)
}

// emptyBridgeInfo empties an event, where the one who does so may.
func (r *Rooms) emptyBridgeInfo(ctx context.Context, as *mautrix.Client, roomID id.RoomID, eventType event.Type, stateKey string) error {
	may, err := setState(ctx, as, roomID, eventType, stateKey, emptyContent)
	if err == nil && !may {
		r.logger(ctx).Debug().Stringer("room_id", roomID).Msg("The bridge info of a room stays, since the bridge may not change it")
	}
	return err
}

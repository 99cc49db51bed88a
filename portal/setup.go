package portal

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// SetUpPortal implements [provisioning.Rooms]. A room of a direct chat gets no name,
// topic and avatar: clients show it as the person.
func (r *Rooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	return r.inRoom(ctx, setup.Portal.RoomID, func() error {
		levels, err := levelsOf(ctx, r.bot, setup.Portal.RoomID)
		if err != nil {
			return err
		}
		editor := editor{r, setup.Portal.RoomID, levels}
		var avatar id.ContentURIString
		if setup.Portal.Receiver != 0 {
			avatar, err = r.ghostAvatar(ctx, provisioning.TelegramID(setup.Portal.ChatID))
		} else {
			avatar, err = editor.describe(ctx, setup)
		}
		// The bridge info does not wait for an avatar.
		return errors.Join(err, editor.setBridgeInfo(ctx, setup, avatar))
	})
}

// Describe does the part of SetUpPortal that shows what the chat is: it gives the room of a
// group or channel the chat's title, description and photo, each only where the room has none
// and the bot may set it. It is for a bridge that sends its own bridge info. Errors: those
// of SetUpPortal.
func (r *Rooms) Describe(ctx context.Context, setup provisioning.PortalSetup) error {
	return r.inRoom(ctx, setup.Portal.RoomID, func() error {
		if setup.Portal.Receiver != 0 {
			return nil
		}
		levels, err := levelsOf(ctx, r.bot, setup.Portal.RoomID)
		if err != nil {
			return err
		}
		_, err = editor{r, setup.Portal.RoomID, levels}.describe(ctx, setup)
		return err
	})
}

// editor sets the state of a room as the bridge bot, as far as it may.
type editor struct {
	*Rooms
	roomID id.RoomID
	levels levels
}

// set sets a state event.
func (e editor) set(ctx context.Context, eventType event.Type, stateKey string, content any) (err error) {
	may := e.levels.allow(e.bot.UserID, eventType.Type)
	if may {
		may, err = setState(ctx, e.bot, e.roomID, eventType, stateKey, content)
	}
	if err == nil && !may {
		e.logger(ctx).Debug().Stringer("room_id", e.roomID).Str("event_type", eventType.Type).Msg("The bridge bot may not set a state event")
	}
	return err
}

// describe gives a room the chat's title as name, its description as topic and its photo as
// avatar, each where it has none. It returns the room's avatar where that is a photo from
// Telegram.
func (e editor) describe(ctx context.Context, setup provisioning.PortalSetup) (id.ContentURIString, error) {
	if err := e.setTexts(ctx, setup.Portal); err != nil {
		return "", err
	}
	return e.setAvatar(ctx, setup.Photo)
}

// setTexts gives a room the chat's title as name and its description as topic, each
// where it has none.
func (e editor) setTexts(ctx context.Context, portal provisioning.Portal) error {
	for _, part := range []struct {
		eventType   event.Type
		field, text string
	}{
		{event.StateRoomName, "name", portal.Title},
		{event.StateTopic, "topic", portal.About},
	} {
		if part.text == "" {
			continue
		}
		current, err := stateOf(ctx, e.bot, e.roomID, part.eventType, "")
		if err != nil {
			return err
		}
		if textOf(current, part.field) != "" {
			continue
		}
		if err = e.set(ctx, part.eventType, "", map[string]string{part.field: part.text}); err != nil {
			return err
		}
	}
	return nil
}

// setAvatar gives a room the chat's photo where it has none. It returns the room's avatar
// where that is a photo from Telegram.
func (e editor) setAvatar(ctx context.Context, photo provisioning.PhotoFunc) (id.ContentURIString, error) {
	current, err := stateOf(ctx, e.bot, e.roomID, event.StateRoomAvatar, "")
	if err != nil {
		return "", err
	}
	if uri := id.ContentURIString(textOf(current, "url")); uri != "" {
		ours, err := e.isUploaded(ctx, uri)
		if !ours {
			uri = ""
		}
		return uri, err
	}
	if photo == nil || !e.levels.allow(e.bot.UserID, event.StateRoomAvatar.Type) {
		return "", nil
	}
	uri, err := e.photo(ctx, 0, photo)
	if ctx.Err() == nil && (errors.Is(err, errNoPhoto) || refused(err)) {
		e.logger(ctx).Info().Err(err).Stringer("room_id", e.roomID).Msg("A portal gets no avatar")
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return uri, e.set(ctx, event.StateRoomAvatar, "", map[string]id.ContentURIString{"url": uri})
}

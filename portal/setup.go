package portal

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// SetUpPortal implements [provisioning.Rooms]. A room of a direct chat gets no name,
// topic and avatar: clients show it as the person. What shows that the room is bridged does
// not wait for the photo, and is shown again with it.
func (r *Rooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	e, err := r.edit(ctx, setup.Portal)
	if err != nil {
		return err
	}
	return r.unlessGone(ctx, setup.Portal.RoomID, e.setUp(ctx, setup))
}

// Describe does the part of SetUpPortal that shows what the chat is: it gives the room of a
// group or channel the chat's title, description and photo, each only where the room has none
// and the bot may set it. It is for a bridge that sends its own bridge info. Errors: those
// of SetUpPortal.
func (r *Rooms) Describe(ctx context.Context, setup provisioning.PortalSetup) error {
	if setup.Portal.Receiver != 0 {
		return r.CheckBot(ctx, setup.Portal.RoomID)
	}
	e, err := r.edit(ctx, setup.Portal)
	if err != nil {
		return err
	}
	_, err = e.setAvatar(ctx, setup.Photo)
	return r.unlessGone(ctx, setup.Portal.RoomID, errors.Join(e.setTexts(ctx, setup.Portal), err))
}

// editor sets the state of a room as the bridge bot, as far as it may.
type editor struct {
	*Rooms
	roomID id.RoomID
	levels levels
	// shown is the content of those state events that the set-up of a portal is about, nil
	// where there is none.
	shown map[shownEvent]json.RawMessage
}

// shownEvent is which state event one is.
type shownEvent struct{ eventType, stateKey string }

// edit returns the editor of a portal's room. What it needs to know is read at once.
func (r *Rooms) edit(ctx context.Context, portal provisioning.Portal) (editor, error) {
	e := editor{Rooms: r, roomID: portal.RoomID, shown: map[shownEvent]json.RawMessage{}}
	events := []shownEvent{{event.StateRoomName.Type, ""}, {event.StateTopic.Type, ""}, {event.StateRoomAvatar.Type, ""}}
	for _, eventType := range bridgeInfoTypes {
		events = append(events, shownEvent{eventType.Type, r.bridgeInfoKey(portal)})
	}
	parts := []func() error{func() (err error) {
		e.levels, err = levelsOf(ctx, r.bot, portal.RoomID)
		return err
	}}
	var mu sync.Mutex
	for _, which := range events {
		parts = append(parts, func() error {
			content, err := stateOf(ctx, r.bot, portal.RoomID, event.Type{Type: which.eventType, Class: event.StateEventType}, which.stateKey)
			mu.Lock()
			defer mu.Unlock()
			e.shown[which] = content
			return err
		})
	}
	return e, r.readRoom(ctx, portal.RoomID, parts...)
}

// setUp makes the room show that it is bridged.
func (e editor) setUp(ctx context.Context, setup provisioning.PortalSetup) error {
	var avatar id.ContentURIString
	var err error
	if setup.Portal.Receiver != 0 {
		if avatar, err = e.ghostAvatar(ctx, provisioning.TelegramID(setup.Portal.ChatID)); err != nil {
			return errors.Join(err, e.setBridgeInfo(ctx, setup, ""))
		}
		return e.setBridgeInfo(ctx, setup, avatar)
	}
	if avatar, err = e.ownAvatar(ctx); err != nil {
		return err
	}
	first := atOnce(func() error { return e.setBridgeInfo(ctx, setup, avatar) }, func() error { return e.setTexts(ctx, setup.Portal) })
	uri, err := e.setAvatar(ctx, setup.Photo)
	if err == nil && first == nil && uri != avatar {
		err = e.setBridgeInfo(ctx, setup, uri)
	}
	return errors.Join(first, err)
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

// setTexts gives a room the chat's title as name and its description as topic, each
// where it has none.
func (e editor) setTexts(ctx context.Context, portal provisioning.Portal) error {
	one := func(eventType event.Type, field, text string) func() error {
		return func() error {
			if text == "" || textOf(e.shown[shownEvent{eventType.Type, ""}], field) != "" {
				return nil
			}
			return e.set(ctx, eventType, "", map[string]string{field: text})
		}
	}
	return atOnce(one(event.StateRoomName, "name", portal.Title), one(event.StateTopic, "topic", portal.About))
}

// avatar returns the room's avatar, "" for none.
func (e editor) avatar() id.ContentURIString {
	return id.ContentURIString(textOf(e.shown[shownEvent{event.StateRoomAvatar.Type, ""}], "url"))
}

// ownAvatar returns the room's avatar where that is a photo from Telegram.
func (e editor) ownAvatar(ctx context.Context) (id.ContentURIString, error) {
	uri := e.avatar()
	if uri == "" {
		return "", nil
	}
	ours, err := e.isUploaded(ctx, uri)
	if !ours {
		uri = ""
	}
	return uri, err
}

// setAvatar gives a room the chat's photo where it has none. It returns the room's avatar
// where that is a photo from Telegram.
func (e editor) setAvatar(ctx context.Context, photo provisioning.PhotoFunc) (id.ContentURIString, error) {
	if e.avatar() != "" {
		return e.ownAvatar(ctx)
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

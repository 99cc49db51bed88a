package provisioning

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// The kinds of tasks. They stand in databases, with their data: what an older
// version recorded has to be understood.
const (
	taskSetUp   = "set_up"
	taskCleanUp = "clean_up"
	taskInvite  = "invite"
	taskEvent   = "event"
)

// setUpData is what a room needs that has become a portal.
type setUpData struct {
	Portal Portal `json:"portal"`
	// UserID is who asked for it, Relay says that the relay bot acts for them.
	UserID  id.UserID `json:"user_id,omitempty"`
	Relay   bool      `json:"relay,omitempty"`
	PhotoID int64     `json:"photo_id,omitempty"`
	// Contact is the other side of a direct chat.
	Contact *Contact `json:"contact,omitempty"`
}

// cleanUpData is a room that is a portal no more.
type cleanUpData struct {
	Portal    Portal `json:"portal"`
	Everybody bool   `json:"everybody,omitempty"`
}

// inviteData is who is to be invited to a chat that was created.
type inviteData struct {
	UserID  id.UserID    `json:"user_id"`
	ChatID  ChatID       `json:"chat_id"`
	Members []TelegramID `json:"members"`
}

// newTask returns a task that is due now.
func newTask(kind string, data any) NewTask {
	t := NewTask{ID: rand.Text(), Kind: kind}
	if e, ok := data.(Event); ok {
		e.ID = t.ID
		data = e
	}
	text, err := json.Marshal(data)
	if err != nil {
		panic("provisioning: task can't be encoded: " + err.Error()) // structs of strings and numbers, all defined here
	}
	t.Data = string(text)
	return t
}

// runTask does a task. Every kind may be done again after it was done, wholly or in
// part.
func (p *Provisioner) runTask(ctx context.Context, t Task) error {
	switch t.Kind {
	case taskSetUp:
		return withData(ctx, t, func(ctx context.Context, data setUpData) error {
			return p.inTurn(ctx, data.Portal.RoomID, func() error { return p.setUp(ctx, data) })
		})
	case taskCleanUp:
		return withData(ctx, t, func(ctx context.Context, data cleanUpData) error {
			return p.inTurn(ctx, data.Portal.RoomID, func() error { return p.cleanUp(ctx, data) })
		})
	case taskInvite:
		return withData(ctx, t, p.invite)
	case taskEvent:
		return withData(ctx, t, p.deliver)
	}
	// Another process of a newer version shares the database.
	return fmt.Errorf("unknown kind of work %q", t.Kind)
}

// withData decodes the data of a task and runs it.
func withData[T any](ctx context.Context, t Task, run func(context.Context, T) error) error {
	var data T
	if err := json.Unmarshal([]byte(t.Data), &data); err != nil {
		return fmt.Errorf("read the data of a task: %w", err)
	}
	return run(ctx, data)
}

// inTurn does the work on a room when no other is being done there: setting it up and
// cleaning it up at once would leave a mixture.
func (p *Provisioner) inTurn(ctx context.Context, roomID id.RoomID, work func() error) error {
	unlock, err := p.changing.Lock(ctx, roomID)
	if err != nil {
		return err
	}
	defer unlock()
	return work()
}

// setUp makes a room show that it is a portal. Where it is none any more, an earlier
// try, by a process that has died since, may have come after the clean-up.
func (p *Provisioner) setUp(ctx context.Context, data setUpData) error {
	if p.rooms == nil {
		return ErrNotImplemented
	}
	is, err := p.isPortal(ctx, data.Portal)
	switch {
	case err != nil:
		return err
	case !is:
		return p.cleanUp(ctx, cleanUpData{Portal: data.Portal})
	}
	photos := p.photos(ctx, data)
	setup := PortalSetup{Portal: data.Portal, UserID: data.UserID, Photo: photoOf(photos, data.Portal.ChatID, data.PhotoID)}
	err = p.rooms.SetUpPortal(ctx, setup)
	switch {
	case errors.Is(err, ErrBridgeBotNotInRoom) && data.Portal.Receiver == 0:
		return p.abandon(ctx, data.Portal)
	case err != nil && !errors.Is(err, ErrBridgeBotNotInRoom):
		return fmt.Errorf("set up a portal: %w", err)
	}
	if data.Contact != nil {
		if err = p.setUpDirect(ctx, data, photos); err != nil {
			return err
		}
	}
	// Where it was disconnected meanwhile, its clean-up may have come too early.
	if is, err = p.isPortal(ctx, data.Portal); err != nil || is {
		return err
	}
	return p.cleanUp(ctx, cleanUpData{Portal: data.Portal})
}

// abandon ends a portal that was recorded while the bridge bot was leaving its room,
// which a clean-up has emptied: nobody could bridge it.
func (p *Provisioner) abandon(ctx context.Context, portal Portal) error {
	zerolog.Ctx(ctx).Warn().Stringer("room_id", portal.RoomID).Int64("chat_id", int64(portal.ChatID)).
		Msg("A portal is ended: the bridge bot has left its room in the meantime")
	tasks := append(p.eventTask(Event{Type: EventPortalDisconnected, Portal: portal}), newTask(taskCleanUp, cleanUpData{Portal: portal}))
	if err := p.portals.Disconnect(ctx, portal, tasks...); err != nil && !errors.Is(err, ErrPortalNotFound) {
		return fmt.Errorf("end a portal without the bridge bot: %w", err)
	}
	p.tasks.notify()
	return nil
}

// setUpDirect invites the user to a direct chat and gives the ghost its avatar.
func (p *Provisioner) setUpDirect(ctx context.Context, data setUpData, photos PhotoGetter) error {
	if rooms, ok := p.rooms.(DirectRooms); ok {
		err := rooms.InviteToDirect(ctx, data.Portal.RoomID, data.UserID, data.Contact.ID)
		switch {
		case errors.Is(err, ErrMatrixInviteRefused):
			zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", data.Portal.RoomID).Stringer("user_id", data.UserID).
				Msg("A user is not invited to their direct chat")
		case err != nil:
			return fmt.Errorf("invite the user to a direct chat: %w", err)
		}
	}
	if ghosts, ok := p.rooms.(GhostAvatars); ok {
		photo := photoOf(photos, data.Portal.ChatID, data.Contact.PhotoID)
		if err := ghosts.UpdateGhost(ctx, *data.Contact, photo); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Int64("telegram_id", int64(data.Contact.ID)).Msg("Could not give a ghost its avatar")
		}
	}
	return nil
}

// photos returns what downloads the photos of a portal, nil if nothing does.
func (p *Provisioner) photos(ctx context.Context, data setUpData) PhotoGetter {
	client := p.relayBot
	if !data.Relay {
		var err error
		if client, err = p.telegram.Client(ctx, data.UserID); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("A portal gets no avatar: no Telegram client")
			return nil
		}
	}
	photos, _ := client.(PhotoGetter)
	return photos
}

// isPortal says whether the room is bridged to that chat still.
func (p *Provisioner) isPortal(ctx context.Context, portal Portal) (bool, error) {
	current, err := p.portals.PortalByRoom(ctx, portal.RoomID)
	switch {
	case errors.Is(err, ErrPortalNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look up the portal: %w", err)
	}
	return current.ChatID == portal.ChatID && current.Receiver == portal.Receiver, nil
}

// cleanUp makes a room forget that it was a portal. Where it has been bridged again
// in the meantime, nobody is kicked.
func (p *Provisioner) cleanUp(ctx context.Context, data cleanUpData) error {
	if p.rooms == nil {
		return ErrNotImplemented
	}
	current, err := p.portals.PortalByRoom(ctx, data.Portal.RoomID)
	switch {
	case err == nil && current.ChatID == data.Portal.ChatID && current.Receiver == data.Portal.Receiver:
		return nil
	case err == nil:
		data.Everybody = false
	case !errors.Is(err, ErrPortalNotFound):
		return fmt.Errorf("look up the portal: %w", err)
	}
	if err = p.rooms.CleanUp(ctx, data.Portal, data.Everybody); err != nil {
		return fmt.Errorf("clean a room up: %w", err)
	}
	if !data.Everybody {
		return nil
	}
	// Another process may have bridged the room, and set it up, before the bot left.
	current, err = p.portals.PortalByRoom(ctx, data.Portal.RoomID)
	if errors.Is(err, ErrPortalNotFound) {
		return nil
	}
	if err == nil {
		err = p.rooms.CheckBot(ctx, data.Portal.RoomID)
	}
	switch {
	case errors.Is(err, ErrBridgeBotNotInRoom):
		return p.abandon(ctx, current)
	case err != nil:
		return fmt.Errorf("look for a portal in an emptied room: %w", err)
	}
	return nil
}

// invite adds people to a chat that was created for a room.
func (p *Provisioner) invite(ctx context.Context, data inviteData) error {
	client, err := p.telegram.Client(ctx, data.UserID)
	if err != nil {
		return fmt.Errorf("get the creator's Telegram client: %w", err)
	}
	creator, ok := client.(ChatCreator)
	if !ok {
		return ErrNotImplemented
	}
	log := zerolog.Ctx(ctx)
	missing, err := creator.InviteToChat(ctx, data.ChatID, data.Members)
	switch {
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, ErrNotInChat):
		log.Warn().Err(err).Int64("chat_id", int64(data.ChatID)).Msg("Nobody can invite people to a created chat any more")
		return nil
	case err != nil:
		return fmt.Errorf("invite people to a created chat: %w", err)
	case len(missing) > 0:
		log.Info().Int64("chat_id", int64(data.ChatID)).Any("telegram_ids", missing).Msg("Some people could not be invited to a created chat")
	}
	return nil
}

// deliver tells the host of an event.
func (p *Provisioner) deliver(ctx context.Context, e Event) error {
	if p.events == nil {
		return nil
	}
	if e.Type == EventLogin || e.Type == EventLogout {
		holds, err := p.holds(ctx, e)
		if err != nil || !holds {
			return err
		}
	}
	if err := p.events(ctx, e); err != nil {
		return fmt.Errorf("the host's Events returned an error for %s: %w", e.Type, err)
	}
	return nil
}

// holds says whether a login or logout was recorded, and is true still. Its task was
// recorded before.
func (p *Provisioner) holds(ctx context.Context, e Event) (bool, error) {
	user, err := p.users.User(ctx, e.UserID)
	if errors.Is(err, ErrMatrixUserRefused) {
		user, err = User{}, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up the user of an event: %w", err)
	}
	if e.Type == EventLogout {
		return user.TelegramID != e.TelegramID, nil
	}
	return user.TelegramID == e.TelegramID && !user.Displaced, nil
}

// eventTask returns the task that tells the host of an event, as a list: empty where
// the host wants no events.
func (p *Provisioner) eventTask(e Event) []NewTask {
	if p.events == nil {
		return nil
	}
	return []NewTask{newTask(taskEvent, e)}
}

// announce records that a login or logout is about to be recorded. What it returns
// is to be called when it has been.
func (p *Provisioner) announce(ctx context.Context, typ EventType, userID id.UserID, telegramID TelegramID) (recorded func(), err error) {
	tasks := p.eventTask(Event{Type: typ, UserID: userID, TelegramID: telegramID})
	if len(tasks) == 0 {
		return func() {}, nil
	}
	t := held(tasks[0])
	if err := p.tasks.store.AddTasks(ctx, t); err != nil {
		return nil, fmt.Errorf("record an event: %w", err)
	}
	return func() { p.tasks.release(ctx, t) }, nil
}

package provisioning

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// handleTasks has the outbox do the tasks of portals.
func (p *portals) handleTasks() {
	p.outbox.handle(taskSetUp, func(ctx context.Context, t Task) error { return withRecord(ctx, t, p.setUp) })
	p.outbox.handle(taskCleanUp, func(ctx context.Context, t Task) error { return withRecord(ctx, t, p.cleanUp) })
	p.outbox.handle(taskInvite, func(ctx context.Context, t Task) error { return withRecord(ctx, t, p.invite) })
	p.outbox.handle(taskUndoCreate, func(ctx context.Context, t Task) error {
		return withRecord(ctx, t, func(ctx context.Context, record undoCreateRecord) error { return p.undoCreate(ctx, record, t.Age) })
	})
}

// inTurn does the work on a room when no other is being done there: setting it up and
// cleaning it up at once would leave a mixture.
func (p *portals) inTurn(ctx context.Context, roomID id.RoomID, work func() error) error {
	unlock, err := p.changing.Lock(ctx, roomID)
	if err != nil {
		return err
	}
	defer unlock()
	return work()
}

// setUp does a task.
func (p *portals) setUp(ctx context.Context, record setUpRecord) error {
	if p.rooms == nil {
		return ErrNotImplemented
	}
	return p.inTurn(ctx, record.Portal.RoomID, func() error { return p.setUpRoom(ctx, record) })
}

// setUpRoom makes a room show that it is a portal. Where it is none any more, an earlier
// try, by a process that has died since, may have come after the clean-up.
func (p *portals) setUpRoom(ctx context.Context, record setUpRecord) error {
	portal, is, err := p.asRecorded(ctx, Portal(record.Portal))
	switch {
	case err != nil:
		return err
	case !is:
		return p.cleanUpRoom(ctx, portal, false)
	}
	if record.Contact != nil {
		if err = p.inviteToDirect(ctx, portal, record.UserID); err != nil {
			return err
		}
	}
	photos := p.photos(ctx, record)
	setup := PortalSetup{Portal: portal, UserID: record.UserID, Photo: photoOf(photos, portal.ChatID, record.PhotoID)}
	err = p.rooms.SetUpPortal(ctx, setup)
	switch {
	case errors.Is(err, ErrBridgeBotNotInRoom) && portal.Receiver == 0:
		return p.abandon(ctx, portal)
	case err != nil && !errors.Is(err, ErrBridgeBotNotInRoom):
		return fmt.Errorf("set up a portal: %w", err)
	}
	if record.Contact != nil {
		p.updateGhost(ctx, record.Contact.contact(), photos)
	}
	// Where it was disconnected meanwhile, its clean-up may have come too early.
	if is, err = isPortal(ctx, p.store, portal); err != nil || is {
		return err
	}
	return p.cleanUpRoom(ctx, portal, false)
}

// asRecorded returns a portal as it is recorded now, and whether its room is bridged to its
// chat still. A basic group may have become a supergroup.
func (p *portals) asRecorded(ctx context.Context, portal Portal) (Portal, bool, error) {
	current, err := p.byRoom(ctx, portal.RoomID)
	switch {
	case errors.Is(err, ErrPortalNotFound) || err == nil && !current.sameAs(portal):
		return portal, false, nil
	case err != nil:
		return Portal{}, false, err
	}
	return current, true, nil
}

// abandon ends a portal that was recorded while the bridge bot was leaving its room,
// which a clean-up has emptied: nobody could bridge it.
func (p *portals) abandon(ctx context.Context, portal Portal) error {
	zerolog.Ctx(ctx).Warn().Stringer("room_id", portal.RoomID).Int64("chat_id", int64(portal.ChatID)).
		Msg("A portal is ended: the bridge bot has left its room in the meantime")
	if _, err := p.end(ctx, portal, "", false, false); err != nil && !errors.Is(err, ErrPortalNotFound) {
		return fmt.Errorf("end a portal without the bridge bot: %w", err)
	}
	return nil
}

// inviteToDirect invites the user to a direct chat, where somebody may.
func (p *portals) inviteToDirect(ctx context.Context, portal Portal, userID id.UserID) error {
	rooms, can := p.rooms.(DirectRooms)
	if !can {
		return nil
	}
	err := reinvite(ctx, rooms, portal, userID)
	if errors.Is(err, ErrMatrixInviteRefused) {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", portal.RoomID).Stringer("user_id", userID).
			Msg("A user is not invited to their direct chat")
		return nil
	}
	return err
}

// updateGhost gives the ghost of a direct chat its avatar.
func (p *portals) updateGhost(ctx context.Context, contact Contact, photos PhotoGetter) {
	ghosts, can := p.rooms.(GhostAvatars)
	if !can {
		return
	}
	photo := photoOf(photos, UserChatID(contact.ID), contact.PhotoID)
	if err := ghosts.UpdateGhost(ctx, contact, photo); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Int64("telegram_id", int64(contact.ID)).Msg("Could not give a ghost its avatar")
	}
}

// photos returns what downloads the photos of a portal, nil if nothing does.
func (p *portals) photos(ctx context.Context, record setUpRecord) PhotoGetter {
	client := p.accounts.relayBot
	if !record.Relay {
		if record.UserID == "" { // who has been forgotten
			return nil
		}
		var err error
		switch client, err = p.accounts.allowedClient(ctx, record.UserID); {
		case errors.Is(err, errSessionKept) && record.Contact == nil && p.accounts.relayBot != nil:
			client = p.accounts.relayBot
		case err != nil:
			zerolog.Ctx(ctx).Warn().Err(err).Msg("A portal gets no avatar: no Telegram client")
			return nil
		}
	}
	photos, can := client.(PhotoGetter)
	if relay, has := p.accounts.relayBot.(PhotoGetter); can && has && !record.Relay && record.Contact == nil {
		return groupPhotos{photos, relay}
	}
	return photos
}

// groupPhotos downloads the photos of groups and channels with a user's account, and with the
// relay bot's where the user is not logged in any more.
type groupPhotos struct{ user, relay PhotoGetter }

// GetPhoto implements PhotoGetter.
func (g groupPhotos) GetPhoto(ctx context.Context, chatID ChatID, photoID int64) (Photo, error) {
	photo, err := g.user.GetPhoto(ctx, chatID, photoID)
	if errors.Is(err, ErrNotLoggedIn) {
		return g.relay.GetPhoto(ctx, chatID, photoID)
	}
	return photo, err
}

// cleanUp does a task.
func (p *portals) cleanUp(ctx context.Context, record cleanUpRecord) error {
	if p.rooms == nil {
		return ErrNotImplemented
	}
	return p.inTurn(ctx, record.Portal.RoomID, func() error {
		return p.cleanUpRoom(ctx, Portal(record.Portal), record.Everybody)
	})
}

// cleanUpRoom removes what shows in a room that it was a portal. Where it has been bridged again
// in the meantime, nobody is kicked.
func (p *portals) cleanUpRoom(ctx context.Context, portal Portal, everybody bool) error {
	current, err := p.byRoom(ctx, portal.RoomID)
	switch {
	case err == nil && current.sameAs(portal):
		return nil
	case err == nil:
		everybody = false
	case !errors.Is(err, ErrPortalNotFound):
		return err
	}
	if err = p.rooms.CleanUp(ctx, portal, everybody); err != nil {
		return fmt.Errorf("clean a room up: %w", err)
	}
	if !everybody {
		return nil
	}
	// Another process may have bridged the room, and set it up, before the bot left.
	current, err = p.byRoom(ctx, portal.RoomID)
	if errors.Is(err, ErrPortalNotFound) {
		return nil
	}
	if err == nil {
		err = p.rooms.CheckBot(ctx, portal.RoomID)
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
func (p *portals) invite(ctx context.Context, record inviteRecord) error {
	client, err := p.accounts.client(ctx, record.UserID)
	if err != nil {
		return err
	}
	creator, ok := client.(ChatCreator)
	if !ok {
		return ErrNotImplemented
	}
	log := zerolog.Ctx(ctx)
	missing, err := creator.InviteToChat(ctx, record.ChatID, record.Members)
	switch {
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, ErrNotInChat):
		log.Warn().Err(err).Int64("chat_id", int64(record.ChatID)).Msg("Nobody can invite people to a created chat any more")
		return nil
	case err != nil:
		return fmt.Errorf("invite people to a created chat: %w", err)
	case len(missing) > 0:
		log.Info().Int64("chat_id", int64(record.ChatID)).Any("telegram_ids", missing).Msg("Some people could not be invited to a created chat")
	}
	return nil
}

package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// Telegram has no way to create a chat together with a record of it. So the record comes
// first: a task that falls due when the request must have ended, and deletes the chat unless
// it is a portal then. A request that knows how it has ended drops the task.

const (
	// clockTolerance is how much the clock of the machine may differ from Telegram's.
	clockTolerance = 5 * time.Minute
	// chatMayCome is how long after a request was sent Telegram may still do it: a network that
	// was down may deliver it late.
	//
	// https://core.telegram.org/mtproto/description#message-identifier-msg-id
	chatMayCome = 5 * time.Minute
)

// promiseUndo records a task that deletes a chat which is about to be created. It returns nil
// for a client that could not find the chat.
func (p *portals) promiseUndo(ctx context.Context, userID id.UserID, act actor, roomID id.RoomID, chat NewChat) (*NewTask, error) {
	if _, can := act.client.(CreatedChatLister); !can {
		return nil, nil
	}
	t := newTask(taskUndoCreate, &undoCreateRecord{
		UserID: userID, TelegramID: act.account.ID, RoomID: roomID,
		Type: chat.Type, Title: chat.Title, Members: chat.Members, Since: time.Now().Unix(),
	})
	t.Delay = min(p.longest+taskHold, MaxTaskDelay)
	if err := p.outbox.store.AddTasks(ctx, t); err != nil {
		return nil, fmt.Errorf("record a chat before it is created: %w", err)
	}
	return &t, nil
}

// isRefused says whether an error of CreateChat means that there is no chat.
func isRefused(err error) bool {
	for _, unknown := range []error{ErrChatLeft, ErrTelegramUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, unknown) {
			return false
		}
	}
	for _, refused := range []error{ErrNotLoggedIn, ErrTooFewMembers, ErrNewChatInvalid, ErrOverloaded, ErrNotImplemented} {
		if errors.Is(err, refused) {
			return true
		}
	}
	if _, wait := errors.AsType[*FloodWaitError](err); wait {
		return true
	}
	answer, is := errors.AsType[*TelegramError](err)
	return is && answer.Code >= 400 && answer.Code < 500
}

// deleteCreated deletes a chat that became no portal, and drops the task that would do it.
func (p *portals) deleteCreated(ctx context.Context, creator ChatCreator, chatID ChatID, undo *NewTask) {
	ctx, cancel := detachedFor(ctx, recordTimeout)
	defer cancel()
	err := creator.DeleteChat(ctx, chatID)
	switch log := zerolog.Ctx(ctx); {
	case err == nil:
		p.outbox.drop(ctx, undo)
	case undo == nil:
		log.Error().Err(err).Int64("chat_id", int64(chatID)).Msg("A chat was created that became no portal, and could not be deleted again")
	default:
		log.Warn().Err(err).Int64("chat_id", int64(chatID)).Msg("A chat was created that became no portal, and is deleted later")
	}
}

// undoCreate does a task, which was recorded some time ago.
func (p *portals) undoCreate(ctx context.Context, record undoCreateRecord, age time.Duration) error {
	creator, made, err := p.madeSince(ctx, record)
	switch {
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, ErrNotImplemented):
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("user_id", record.UserID).Stringer("room_id", record.RoomID).
			Msg("A chat may be left on Telegram that became no portal: nobody can look for it any more")
		return nil
	case err != nil:
		return err
	}
	found, young := false, false
	for _, chat := range made {
		is, undoErr := p.undo(ctx, creator, record, chat)
		if errors.Is(undoErr, errChatYoung) {
			young = true
			continue
		}
		found, err = found || is, errors.Join(err, undoErr)
	}
	switch {
	case err != nil || found:
		return err
	case young:
		return errChatYoung
	case age < p.longest+chatMayCome:
		return errNoChatYet
	}
	return nil
}

var (
	errNoChatYet = errors.New("no chat is there that became no portal, and Telegram may still make one")
	errChatYoung = errors.New("a chat may become a portal yet")
)

// madeSince returns the chats that may be the one of a task, with the client of the account.
// Errors: ErrNotLoggedIn, ErrNotImplemented.
func (p *portals) madeSince(ctx context.Context, record undoCreateRecord) (ChatCreator, []CreatedChat, error) {
	client, err := p.accounts.client(ctx, record.UserID)
	if err != nil {
		return nil, nil, err
	}
	creator, creates := client.(ChatCreator)
	lister, lists := client.(CreatedChatLister)
	if !creates || !lists {
		return nil, nil, ErrNotImplemented
	}
	account, err := client.Account(ctx)
	if err == nil && account.ID != record.TelegramID {
		err = ErrNotLoggedIn
	}
	if err != nil {
		return nil, nil, fmt.Errorf("get the account that a chat was created with: %w", err)
	}
	chat := NewChat{Type: record.Type, Title: record.Title, Members: record.Members}
	made, err := lister.CreatedChats(ctx, chat, time.Unix(record.Since, 0).Add(-clockTolerance))
	if err != nil {
		return nil, nil, fmt.Errorf("look for a chat that was created: %w", err)
	}
	return creator, made, nil
}

// undo deletes a chat if it may be the one of a task and is no portal, and says whether it
// may be. One that somebody uses stays.
func (p *portals) undo(ctx context.Context, creator ChatCreator, record undoCreateRecord, chat CreatedChat) (bool, error) {
	if chat.Created.After(time.Unix(record.Since, 0).Add(p.longest + chatMayCome + clockTolerance)) {
		return false, nil
	}
	log := zerolog.Ctx(ctx).With().Stringer("room_id", record.RoomID).Int64("chat_id", int64(chat.ID)).Logger()
	switch _, err := p.byChat(ctx, chat.ID, record.TelegramID); {
	case err == nil:
		return false, nil
	case !errors.Is(err, ErrPortalNotFound):
		return false, err
	case chat.Age < p.longest: // of another request, which may be another process's
		return false, errChatYoung
	case chat.InUse:
		log.Error().Msg("A chat was created that became no portal, and stays, because somebody uses it")
		return true, nil
	}
	if err := creator.DeleteChat(ctx, chat.ID); err != nil && !errors.Is(err, ErrNotInChat) {
		return false, fmt.Errorf("delete a chat that became no portal: %w", err)
	}
	log.Info().Msg("Deleted a chat that was created and became no portal")
	return true, nil
}

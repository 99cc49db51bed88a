package provisioning

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// events tells the host what has changed, by tasks of the outbox.
type events struct {
	hook    func(context.Context, Event) error // nil where the host wants no events
	users   UserReader
	portals PortalStore
	outbox  *outbox
}

// newEvents has the outbox deliver events.
func newEvents(cfg Config, outbox *outbox) *events {
	e := &events{hook: cfg.Events, users: cfg.Users, portals: cfg.Portals, outbox: outbox}
	outbox.handle(taskEvent, func(ctx context.Context, t Task) error {
		return withRecord(ctx, t, func(ctx context.Context, record eventRecord) error {
			return e.deliver(ctx, record.event(t))
		})
	})
	outbox.gaveUp = e.gaveUp
	return e
}

// task returns the task that tells the host of an event, as a list: empty where the host
// wants no events.
func (e *events) task(event Event) []NewTask {
	if e.hook == nil {
		return nil
	}
	return []NewTask{newTask(taskEvent, newEventRecord(event))}
}

// announce records that a login or logout is about to be recorded. What it returns
// is to be called when it has been.
func (e *events) announce(ctx context.Context, typ EventType, userID id.UserID, telegramID TelegramID) (recorded func(), err error) {
	tasks := e.task(Event{Type: typ, UserID: userID, TelegramID: telegramID})
	if len(tasks) == 0 {
		return func() {}, nil
	}
	t := held(tasks[0])
	if err := e.outbox.store.AddTasks(ctx, t); err != nil {
		return nil, fmt.Errorf("record an event: %w", err)
	}
	return func() { e.outbox.release(ctx, t) }, nil
}

// deliver tells the host of an event, unless it is not true any more: its task may have
// been recorded before the change was.
func (e *events) deliver(ctx context.Context, event Event) error {
	if e.hook == nil {
		return nil
	}
	holds, err := e.holds(ctx, event)
	if err != nil || !holds {
		return err
	}
	if err := e.hook(ctx, event); err != nil {
		return fmt.Errorf("the host's Events returned an error for %s: %w", event.Type, err)
	}
	return nil
}

// holds says whether what an event tells of has happened, and has not been undone since.
func (e *events) holds(ctx context.Context, event Event) (bool, error) {
	switch event.Type {
	case EventLogin, EventLogout:
		user, err := e.users.User(ctx, event.UserID)
		if errors.Is(err, ErrMatrixUserRefused) {
			user, err = User{}, nil
		}
		if err != nil {
			return false, fmt.Errorf("look up the user of an event: %w", err)
		}
		if event.Type == EventLogout {
			return user.TelegramID != event.TelegramID, nil
		}
		return user.TelegramID == event.TelegramID && !user.Displaced, nil
	case EventPortalConnected, EventPortalCreated, EventPortalMoved, EventPortalDisconnected:
		is, err := isPortal(ctx, e.portals, event.Portal)
		return is == (event.Type != EventPortalDisconnected), err
	}
	return true, nil
}

// gaveUp records that the host is to be told of a task that is given up.
func (e *events) gaveUp(ctx context.Context, t Task) error {
	if e.hook == nil || t.Kind == taskEvent {
		return nil
	}
	portal, userID := subjectOf(t)
	tasks := e.task(Event{Type: EventTaskGivenUp, UserID: userID, Portal: portal, TaskKind: t.Kind})
	if err := e.outbox.store.AddTasks(ctx, tasks...); err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	return nil
}

package provisioning

import (
	"context"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"
)

// PendingTask is background work that is promised and not done yet.
type PendingTask struct {
	// ID is the task's own.
	ID string
	// Kind is one of those of [TaskKinds], or one of a later version.
	Kind string
	// RoomID and ChatID are the portal that the task is about, UserID the Matrix user who
	// has caused it; each is zero where the task has none.
	RoomID id.RoomID
	ChatID ChatID
	UserID id.UserID
	// Attempts counts how often it was tried.
	Attempts int
	// Age is the time since it was promised.
	Age time.Duration
	// DueIn is the time until it is tried, negative for a task that waits for its turn. One
	// that is being done is due again in some seconds.
	DueIn time.Duration
}

// Tasks returns at most limit tasks whose IDs come after the given one, in the order of
// their IDs; with "" it begins at the first. A bridge without [Config.Tasks] has none.
// Errors: those of the [TaskStore].
func (p *Provisioner) Tasks(ctx context.Context, after string, limit int) ([]PendingTask, error) {
	if p.outbox.store == nil {
		return nil, nil
	}
	tasks, err := p.outbox.store.ListTasks(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the tasks: %w", err)
	}
	pending := make([]PendingTask, len(tasks))
	for i, t := range tasks {
		portal, userID := subjectOf(t)
		pending[i] = PendingTask{
			ID: t.ID, Kind: t.Kind, RoomID: portal.RoomID, ChatID: portal.ChatID, UserID: userID,
			Attempts: t.Attempts, Age: t.Age, DueIn: t.DueIn,
		}
	}
	return pending, nil
}

// DropTask deletes a task: what it promised is not done, unless it is being done just now.
// An unknown task is no error. Errors: those of the [TaskStore].
func (p *Provisioner) DropTask(ctx context.Context, taskID string) error {
	if p.outbox.store == nil {
		return nil
	}
	if err := p.outbox.store.FinishTask(ctx, taskID); err != nil {
		return fmt.Errorf("drop a task: %w", err)
	}
	return nil
}

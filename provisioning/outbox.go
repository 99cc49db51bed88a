package provisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// taskWorkers is how many tasks of a kind are done at a time, those aside that a
	// request waits for. Each kind has workers of its own, so that one that hangs does not
	// hold up the others.
	taskWorkers = 4
	// taskHold is for how long a task is taken. Whoever does it takes it again and
	// again; where nobody does any more, because the process died, it falls due.
	taskHold = 10 * time.Second
	// taskTimeout ends a try that hangs.
	taskTimeout = 30 * time.Minute
	// taskPoll is how often the store is asked for tasks that nobody here knows of.
	taskPoll = 5 * time.Second
	// The pause after a failure doubles from the first to the last.
	firstRetry = 2 * time.Second
	lastRetry  = 10 * time.Minute
	// minAttempts is how often a task is tried at least before it is given up: one that was
	// recorded while the store's clock was years behind is not as old as it seems.
	minAttempts = 10
)

// outbox does the tasks of a store, at once where it is told of them, and those that are
// due again after a failure or a crash.
type outbox struct {
	store    TaskStore     // nil where nothing is promised
	lifetime time.Duration // after which a task that fails is given up
	observer *observers
	log      zerolog.Logger
	kinds    []*taskKind // events first
	// gaveUp is told of a task before it is given up.
	gaveUp func(context.Context, Task) error

	wake    chan struct{} // something may be due, or somebody may be free
	closing chan struct{}
	drained chan struct{} // the loop has ended
	once    sync.Once     // for closing
	started bool
	ctx     context.Context // what tasks run under; nil before start
	cancel  context.CancelFunc

	running requestGroup // tasks that are being done

	mu   sync.Mutex
	busy map[*taskKind]int // tasks that the loop has started
}

// taskKind is a kind of tasks, with what does them.
type taskKind struct {
	name string
	run  func(context.Context, Task) error
}

func newOutbox(cfg Config, observer *observers) *outbox {
	return &outbox{
		store: cfg.Tasks, lifetime: cfg.taskLifetime(), observer: observer, log: cfg.Log,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), drained: make(chan struct{}),
		busy: map[*taskKind]int{},
	}
}

// handle says what does the tasks of a kind, before start. Every task may be done again
// after it was done, wholly or in part.
func (o *outbox) handle(kind string, run func(context.Context, Task) error) {
	o.kinds = append(o.kinds, &taskKind{name: kind, run: run})
}

// start begins to do tasks, with the values of the context and until it ends.
func (o *outbox) start(ctx context.Context) {
	o.ctx, o.cancel = context.WithCancel(ctx)
	o.started = true
	if o.store == nil {
		close(o.drained)
		return
	}
	go o.loop()
}

// held returns a task that nobody else takes before the one who adds it does.
func held(t NewTask) NewTask {
	t.Delay = taskHold
	return t
}

// notify has the loop look for tasks.
func (o *outbox) notify() {
	select {
	case o.wake <- struct{}{}:
	default: // it has been told already
	}
}

// loop hands tasks to goroutines until the outbox closes and nothing is due.
func (o *outbox) loop() {
	defer close(o.drained)
	poll := time.NewTicker(taskPoll)
	defer poll.Stop()
	closing := o.closing
	for {
		more := o.takeDue()
		if closing == nil && !more && o.idle() {
			return
		}
		select {
		case <-o.wake:
		case <-poll.C:
		case <-closing:
			closing = nil
		case <-o.ctx.Done():
			return
		}
	}
}

func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.busy) == 0
}

// takeDue starts as many due tasks as there are free workers, and says whether
// there may be more.
func (o *outbox) takeDue() (more bool) {
	for _, kind := range o.kinds {
		o.mu.Lock()
		free := taskWorkers - o.busy[kind]
		o.mu.Unlock()
		more = free == 0 || o.takeKind(kind, free) == free || more
	}
	return more
}

// takeKind starts at most limit due tasks of a kind, and returns how many.
func (o *outbox) takeKind(kind *taskKind, limit int) int {
	var tasks []Task
	err := recovering(func() (err error) {
		tasks, err = o.store.TakeTasks(o.ctx, kind.name, taskHold, limit)
		return err
	})
	if err != nil {
		if o.ctx.Err() == nil {
			o.log.Error().Err(err).Str("task", kind.name).Msg("Could not look for background work")
		}
		return 0
	}
	for _, t := range tasks {
		_ = o.running.enter() // it is closed after the loop has ended
		o.mu.Lock()
		o.busy[kind]++
		o.mu.Unlock()
		go func() {
			defer o.running.leave()
			_ = o.do(kind, t)
			o.mu.Lock()
			if o.busy[kind]--; o.busy[kind] == 0 {
				delete(o.busy, kind)
			}
			o.mu.Unlock()
			o.notify()
		}()
	}
	return len(tasks)
}

// doNow does a task that was recorded as held, and sends what came of it. A task
// that failed is tried again later, whether anybody waits or not.
func (o *outbox) doNow(t NewTask) <-chan error {
	done := make(chan error, 1)
	if o.running.enter() != nil {
		done <- errClosed
		return done
	}
	i := slices.IndexFunc(o.kinds, func(k *taskKind) bool { return k.name == t.Kind })
	go func() {
		defer o.running.leave()
		done <- o.do(o.kinds[i], Task{ID: t.ID, Kind: t.Kind, Data: t.Data, Attempts: 1})
	}()
	return done
}

// drop deletes a task that was recorded as held, unless it is nil. One that can't be deleted
// is done when it falls due, which does no harm.
func (o *outbox) drop(ctx context.Context, t *NewTask) {
	if t == nil {
		return
	}
	ctx, cancel := detachedFor(ctx, recordTimeout)
	defer cancel()
	if err := recovering(func() error { return o.store.FinishTask(ctx, t.ID) }); err != nil {
		o.log.Warn().Err(err).Str("task", t.Kind).Str("task_id", t.ID).Msg("Could not drop background work that is not needed")
	}
}

// dropLater is drop in the background.
func (o *outbox) dropLater(ctx context.Context, t *NewTask) {
	if t == nil || o.running.enter() != nil {
		return
	}
	go func() {
		defer o.running.leave()
		o.drop(ctx, t)
	}()
}

// release lets a task that was recorded as held be done in the background.
func (o *outbox) release(ctx context.Context, t NewTask) {
	if err := o.store.PostponeTask(ctx, t.ID, 0); err != nil {
		o.log.Warn().Err(err).Str("task", t.Kind).Msg("Background work starts later than it could")
	}
	o.notify()
}

// do does a task that is taken, and records what came of it.
func (o *outbox) do(kind *taskKind, t Task) error {
	stop := o.keepTaken(t)
	began := time.Now()
	ctx, cancel := context.WithTimeout(o.ctx, taskTimeout)
	err := recovering(func() error { return kind.run(ctx, t) })
	cancel()
	took := time.Since(began)
	stop()
	recordErr := recovering(func() error {
		ctx, cancel := detachedFor(o.ctx, recordTimeout)
		defer cancel()
		return o.finish(ctx, t, err, took)
	})
	if recordErr != nil { // the task is done again, which does no harm
		o.log.Error().Err(recordErr).Str("task", t.Kind).Str("task_id", t.ID).Msg("Could not record what came of background work")
	}
	return err
}

// finish records what came of a task.
func (o *outbox) finish(ctx context.Context, t Task, err error, took time.Duration) error {
	switch {
	case err == nil:
		o.observer.task(t.Kind, taskDone, took)
		return o.store.FinishTask(ctx, t.ID)
	case o.ctx.Err() != nil:
		// The outbox was stopped in the middle: the next process goes on at once.
		return o.store.PostponeTask(ctx, t.ID, 0)
	case t.Age >= o.lifetime && t.Attempts >= minAttempts:
		o.observer.task(t.Kind, taskGivenUp, took)
		return o.giveUp(ctx, t, err)
	default:
		o.observer.task(t.Kind, taskFailed, took)
		return o.retry(ctx, t, err)
	}
}

// retry has a task tried again after a pause, and not before the one that Telegram asks for.
func (o *outbox) retry(ctx context.Context, t Task, err error) error {
	pause := min(firstRetry<<min(max(t.Attempts-1, 0), 16), lastRetry)
	if flood, ok := errors.AsType[*FloodWaitError](err); ok {
		pause = max(pause, flood.Wait)
	}
	o.log.Warn().Err(err).Str("task", t.Kind).Str("task_id", t.ID).Int("attempts", t.Attempts).Dur("next_in", pause).
		Msg("Background work failed, and will be tried again")
	time.AfterFunc(pause, o.notify)
	return o.store.PostponeTask(ctx, t.ID, pause)
}

// giveUp deletes a task that has failed for too long.
func (o *outbox) giveUp(ctx context.Context, t Task, err error) error {
	o.log.Error().Err(err).Str("task", t.Kind).Str("task_id", t.ID).Int("attempts", t.Attempts).Dur("age", t.Age).
		Msg("Background work is given up: it has failed for too long")
	if err := o.gaveUp(ctx, t); err != nil {
		return fmt.Errorf("tell of work that is given up: %w", err)
	}
	return o.store.FinishTask(ctx, t.ID)
}

// keepTaken takes the task again and again until stop is called.
func (o *outbox) keepTaken(t Task) (stop func()) {
	ctx, cancel := context.WithCancel(o.ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() {
		again := time.NewTicker(taskHold / 3)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-again.C:
			}
			err := recovering(func() error { return o.store.PostponeTask(ctx, t.ID, taskHold) })
			if err != nil && ctx.Err() == nil {
				o.log.Warn().Err(err).Str("task", t.Kind).Msg("Could not record that background work goes on")
			}
		}
	})
	return func() {
		cancel()
		keeper.Wait()
	}
}

// close waits until nothing is due any more and nothing is being done. When the
// context ends first, it stops what is being done and returns the context's error.
func (o *outbox) close(ctx context.Context) error {
	if !o.started {
		return nil
	}
	defer o.cancel()
	o.once.Do(func() { close(o.closing) })
	select {
	case <-o.drained:
		return o.running.close(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

package provisioning

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// taskWorkers is how many tasks are done at a time, those aside that a request
	// waits for.
	taskWorkers = 4
	// taskHold is for how long a task is taken. Whoever does it takes it again and
	// again; where nobody does any more, because the process died, it falls due.
	taskHold = 10 * time.Second
	// taskPoll is how often the store is asked for tasks that nobody here knows of.
	taskPoll = 5 * time.Second
	// The pause after a failure doubles from the first to the last.
	firstRetry = 2 * time.Second
	lastRetry  = 10 * time.Minute
)

// TaskFailure is background work that failed, and will be tried again.
type TaskFailure struct {
	// Task is what was tried, Attempts the number of times so far.
	Task Task
	// Err says why it failed.
	Err error
	// Next is when it will be tried again.
	Next time.Time
}

// taskRunner does the tasks of a store, at once where it is woken up, and those
// that are due again after a failure or a crash.
type taskRunner struct {
	store    TaskStore
	run      func(context.Context, Task) error
	failed   func(TaskFailure)
	observer *Observer
	log      zerolog.Logger

	wake    chan struct{} // something may be due, or somebody may be free
	closing chan struct{}
	drained chan struct{} // the loop has ended
	once    sync.Once
	ctx     context.Context // what tasks run under
	cancel  context.CancelFunc

	running requestGroup // tasks that are being done

	mu   sync.Mutex
	busy int // those of them that the loop has started
}

func newTaskRunner(store TaskStore, run func(context.Context, Task) error, failed func(TaskFailure), observer *Observer, log zerolog.Logger) *taskRunner {
	ctx, cancel := context.WithCancel(log.WithContext(context.Background()))
	r := &taskRunner{
		store: store, run: run, failed: failed, observer: observer, log: log,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), drained: make(chan struct{}),
		ctx: ctx, cancel: cancel,
	}
	go r.loop()
	return r
}

// held returns a task that nobody else takes before the one who adds it does.
func held(t NewTask) NewTask {
	t.Delay = taskHold
	return t
}

// notify has the runner look for tasks.
func (r *taskRunner) notify() {
	select {
	case r.wake <- struct{}{}:
	default: // it has been told already
	}
}

// loop hands tasks to goroutines until the runner closes and nothing is due.
func (r *taskRunner) loop() {
	defer close(r.drained)
	poll := time.NewTicker(taskPoll)
	defer poll.Stop()
	closing := r.closing
	for {
		more := r.takeDue()
		if closing == nil && !more && r.idle() {
			return
		}
		select {
		case <-r.wake:
		case <-poll.C:
		case <-closing:
			closing = nil
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *taskRunner) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy == 0
}

// takeDue starts as many due tasks as there are free workers, and says whether
// there may be more.
func (r *taskRunner) takeDue() (more bool) {
	r.mu.Lock()
	free := taskWorkers - r.busy
	r.mu.Unlock()
	if free == 0 {
		return true
	}
	var tasks []Task
	for _, kind := range TaskKinds() {
		if len(tasks) == free {
			break
		}
		due, err := r.store.TakeTasks(r.ctx, kind, taskHold, free-len(tasks))
		if err != nil {
			if r.ctx.Err() == nil {
				r.log.Error().Err(err).Msg("Could not look for background work")
			}
			break
		}
		tasks = append(tasks, due...)
	}
	for _, t := range tasks {
		_ = r.running.enter() // it is closed after the loop has ended
		r.mu.Lock()
		r.busy++
		r.mu.Unlock()
		go func() {
			defer r.running.leave("")
			_ = r.do(t)
			r.mu.Lock()
			r.busy--
			r.mu.Unlock()
			r.notify()
		}()
	}
	return len(tasks) == free
}

// start does a task that was recorded as held, and sends what came of it. A task
// that failed is tried again later, whether anybody waits or not.
func (r *taskRunner) start(n NewTask) <-chan error {
	done := make(chan error, 1)
	if r.running.enter() != nil {
		done <- errClosed
		return done
	}
	t := Task{ID: n.ID, Kind: n.Kind, Data: n.Data, Attempts: 1}
	go func() {
		defer r.running.leave("")
		done <- r.do(t)
	}()
	return done
}

// release lets a task that was recorded as held be done in the background.
func (r *taskRunner) release(ctx context.Context, t NewTask) {
	if err := r.store.PostponeTask(ctx, t.ID, 0); err != nil {
		r.log.Warn().Err(err).Str("task", t.Kind).Msg("Background work starts later than it could")
	}
	r.notify()
}

// do does a task that is taken, and records what came of it.
func (r *taskRunner) do(t Task) error {
	stop := r.keepTaken(t)
	start := time.Now()
	err := r.attempt(t)
	took := time.Since(start)
	stop()
	ctx, cancel := recording(r.ctx)
	defer cancel()
	switch {
	case err == nil:
		r.observer.task(t, false, took)
		if finishErr := r.store.FinishTask(ctx, t.ID); finishErr != nil {
			// It is done again, which does no harm.
			r.log.Error().Err(finishErr).Str("task", t.Kind).Msg("Could not record that background work is done")
		}
	case r.ctx.Err() != nil:
		// The runner was stopped in the middle: the next process goes on at once.
		if postponeErr := r.store.PostponeTask(ctx, t.ID, 0); postponeErr != nil {
			r.log.Warn().Err(postponeErr).Str("task", t.Kind).Msg("Background work goes on later than it could")
		}
	default:
		r.observer.task(t, true, took)
		r.retry(ctx, t, err)
	}
	return err
}

// attempt runs a task. A panic is an error like any other.
func (r *taskRunner) attempt(t Task) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
		}
	}()
	return r.run(r.ctx, t)
}

// retry has a task tried again after a pause.
func (r *taskRunner) retry(ctx context.Context, t Task, err error) {
	pause := firstRetry << min(max(t.Attempts-1, 0), 16)
	if pause > lastRetry {
		pause = lastRetry
	}
	next := time.Now().Add(pause)
	r.log.Warn().Err(err).Str("task", t.Kind).Str("task_id", t.ID).Int("attempts", t.Attempts).Dur("next_in", pause).
		Msg("Background work failed, and will be tried again")
	if postponeErr := r.store.PostponeTask(ctx, t.ID, pause); postponeErr != nil {
		r.log.Error().Err(postponeErr).Str("task", t.Kind).Msg("Could not record when background work is tried again")
	}
	time.AfterFunc(pause, r.notify)
	if r.failed != nil {
		r.failed(TaskFailure{Task: t, Err: err, Next: next})
	}
}

// keepTaken takes the task again and again until stop is called.
func (r *taskRunner) keepTaken(t Task) (stop func()) {
	ctx, cancel := context.WithCancel(r.ctx)
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
			if err := r.store.PostponeTask(ctx, t.ID, taskHold); err != nil && ctx.Err() == nil {
				r.log.Warn().Err(err).Str("task", t.Kind).Msg("Could not record that background work goes on")
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
func (r *taskRunner) close(ctx context.Context) error {
	defer r.cancel()
	r.once.Do(func() { close(r.closing) })
	select {
	case <-r.drained:
		return r.running.close(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

package provisioning

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Checker is an optional interface of the parts of a [Config], Users, Portals, Tasks, Rooms
// and Telegram. [Provisioner.Ready] asks it.
type Checker interface {
	// Check returns nil when what the part needs can be used now. It changes nothing, and is
	// cheap: health pages ask every few seconds. It is called concurrently, and honours the
	// context, which has a deadline of two seconds at most. Errors: [ErrDatabase],
	// [ErrHomeserver], [ErrTelegramUnavailable]. Their texts hold no secrets.
	Check(ctx context.Context) error
}

// NotReadyError says which parts of a bridge can't be used.
type NotReadyError struct {
	// Parts has an error for each such part, by its name: users, portals, tasks, rooms and
	// telegram for those fields of the [Config], and provisioner for the Provisioner itself.
	Parts map[string]error
}

// Error implements error.
func (e *NotReadyError) Error() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Parts)) {
		parts = append(parts, name+": "+e.Parts[name].Error())
	}
	return "not ready: " + strings.Join(parts, "; ")
}

// Unwrap returns the errors of the parts, in the order of their names.
func (e *NotReadyError) Unwrap() []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.Parts)) {
		errs = append(errs, e.Parts[name])
	}
	return errs
}

// checkTimeout is how long a Checker may take.
const checkTimeout = 2 * time.Second

// Ready returns nil when requests can be answered: the Provisioner is started and not
// closed, and each part that is a [Checker] says that it can be used. All are asked at once,
// and a part that does not say anything for two seconds can't be used. It is for a health
// page of the host's. Errors: a [*NotReadyError], which wraps those of the parts. It may be
// called concurrently.
func (p *Provisioner) Ready(ctx context.Context) error {
	err := p.ready()
	if p.closing.Err() != nil {
		err = errClosed
	}
	if err != nil {
		return &NotReadyError{Parts: map[string]error{"provisioner": err}}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	said := p.check(ctx)
	late := make(chan struct{})
	defer time.AfterFunc(checkTimeout+overdue, func() { close(late) }).Stop()
	faults := map[string]error{}
	for name, said := range said {
		select {
		case err = <-said:
		case <-late:
			err = errCheckHangs
			if len(said) > 0 {
				err = <-said
			}
		}
		if err != nil {
			faults[name] = err
		}
	}
	if len(faults) > 0 {
		return &NotReadyError{Parts: faults}
	}
	return nil
}

var errCheckHangs = errors.New("its Check has not returned in time")

// check has the parts that are Checkers be asked, and returns where each will say something.
func (p *Provisioner) check(ctx context.Context) map[string]<-chan error {
	said := map[string]<-chan error{}
	for name, part := range map[string]any{
		"users": p.cfg.Users, "portals": p.cfg.Portals, "tasks": p.cfg.Tasks, "rooms": p.cfg.Rooms, "telegram": p.cfg.Telegram,
	} {
		checker, can := part.(Checker)
		if !can {
			continue
		}
		result := make(chan error, 1)
		said[name] = result
		go func() { result <- recovering(func() error { return checker.Check(ctx) }) }()
	}
	return said
}

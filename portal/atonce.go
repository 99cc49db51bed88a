package portal

import "sync"

// atOnce does several things at once, and returns when all are done: the error of the first
// of them, in the order in which they are given, that has one. A panic goes on in the
// caller's goroutine, where the host recovers it.
func atOnce(do ...func() error) error {
	errs, panics := make([]error, len(do)), make([]any, len(do))
	var all sync.WaitGroup
	for i, one := range do {
		all.Go(func() {
			defer func() { panics[i] = recover() }()
			errs[i] = one()
		})
	}
	all.Wait()
	for _, v := range panics {
		if v != nil {
			panic(v)
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

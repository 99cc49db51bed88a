package portal

import "time"

// SetClock replaces the clock of a store on SQLite.
func (s *TaskStore) SetClock(now func() time.Time) { s.now = now }

// SetFewPortals replaces how many portals of a store are read and remembered all at once.
func (s *Store) SetFewPortals(n int) { s.fewLimit = n }

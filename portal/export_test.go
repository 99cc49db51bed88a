package portal

import "time"

// SetClock replaces the clock of a store on SQLite.
func (s *TaskStore) SetClock(now func() time.Time) { s.now = now }

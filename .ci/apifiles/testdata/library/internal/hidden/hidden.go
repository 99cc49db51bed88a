// Package hidden can't be imported from elsewhere.
package hidden

type Value struct{ Count int }

func (*Value) Reset() {}

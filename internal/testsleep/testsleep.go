// Package testsleep lets tests of all packages decide how long the pauses of package
// telegram last.
package testsleep

import (
	"context"
	"time"
)

// Set replaces the pauses of a *telegram.Factory that has just been made: those for flood
// waits, and until a QR code expires. Package telegram defines it.
var Set func(factory any, sleep func(context.Context, time.Duration) error)

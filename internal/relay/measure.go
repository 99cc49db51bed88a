package relay

import (
	"math"
	"slices"
	"testing"
	"time"
)

// The round trips that are measured with, and how often.
const (
	telegramRoundTrip = 200 * time.Millisecond
	matrixRoundTrip   = 100 * time.Millisecond
	rounds            = 3
)

// Compare measures how many round trips to Telegram and to the homeserver something waits for,
// one after the other, and reports them as T and M, to the nearest half. T-above and M-above
// are how many more that is than needed. took returns how long it takes with these round
// trips.
func Compare(b *testing.B, neededTelegram, neededMatrix float64, took func(toTelegram, toMatrix time.Duration) time.Duration) {
	var none, telegram, matrix, usual []time.Duration
	for b.Loop() {
		for range rounds {
			none = append(none, took(0, 0))
			telegram = append(telegram, took(telegramRoundTrip, 0))
			matrix = append(matrix, took(0, matrixRoundTrip))
			usual = append(usual, took(60*time.Millisecond, 20*time.Millisecond))
		}
	}
	t := trips(median(telegram)-median(none), telegramRoundTrip)
	m := trips(median(matrix)-median(none), matrixRoundTrip)
	b.ReportMetric(t, "T")
	b.ReportMetric(m, "M")
	b.ReportMetric(t-neededTelegram, "T-above")
	b.ReportMetric(m-neededMatrix, "M-above")
	b.ReportMetric(float64(median(usual).Milliseconds()), "ms-at-60/20")
}

// trips returns how many round trips a time is, to the nearest half.
func trips(took, roundTrip time.Duration) float64 {
	return math.Max(0, math.Round(2*float64(took)/float64(roundTrip))/2)
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

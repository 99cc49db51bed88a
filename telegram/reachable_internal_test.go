package telegram

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
)

func TestReachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := reachable{log: zerolog.New(&log)}
		lines := func() int { return strings.Count(log.String(), "\n") }
		refused := errors.New("connection refused")
		r.note(nil)
		assert.Equal(t, 0, lines())
		for range 100 {
			r.note(refused)
		}
		assert.Equal(t, 1, lines())
		<-time.After(time.Minute)
		r.note(refused)
		r.note(refused)
		assert.Equal(t, 2, lines())
		r.note(nil)
		r.note(nil)
		assert.Equal(t, 3, lines())
		assert.Contains(t, log.String(), `"after":60000,"message":"Telegram can be reached again"`)
		r.note(refused)
		assert.Equal(t, 4, lines())
		assert.Equal(t, 3, strings.Count(log.String(), `"error":"connection refused"`))
	})
}

package telegramtest

import (
	"time"

	"github.com/gotd/td/clock"
	"github.com/gotd/td/proto"
)

// SetClock sets the server's clock, which goes that much ahead of the machine's from then
// on, or behind it where that is negative. Everything goes by it that clients are told, and
// messages that they date too far from it are refused.
//
// https://core.telegram.org/mtproto/description#message-identifier-msg-id
func (s *Server) SetClock(ahead time.Duration) {
	s.ahead.Store(int64(ahead))
	s.messageIDs.Store(proto.NewMessageIDGen(s.now)) // the old one never goes back
}

// now is the time of the server's clock.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// serverClock is the server's clock in the form that gotd takes.
type serverClock struct {
	clock.Clock
	server *Server
}

// Now implements clock.Clock.
func (c serverClock) Now() time.Time { return c.server.now() }

func (s *Server) clock() clock.Clock { return serverClock{clock.System, s} }

package telegram

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/clock"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/proto"
)

// telegramClock is Telegram's clock, as one client knows it: this machine's until Telegram has
// sent a message, whose ID has the time. gotd v0.162.0 takes this machine's clock alone, and
// with one that is 45 seconds off every call of it fails (no issue; TestGotdNeedsTheRightTime).
//
// https://core.telegram.org/mtproto/description#message-identifier-msg-id
type telegramClock struct {
	log   logger
	ahead atomic.Int64 // Telegram's clock of this one, in nanoseconds
}

var _ clock.Clock = (*telegramClock)(nil)

// Now implements clock.Clock.
func (c *telegramClock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Timer implements clock.Clock.
func (c *telegramClock) Timer(d time.Duration) clock.Timer { return clock.System.Timer(d) }

// Ticker implements clock.Clock.
func (c *telegramClock) Ticker(d time.Duration) clock.Ticker { return clock.System.Ticker(d) }

// learn takes over the time of a message that has just come from Telegram, unless the clock is
// about right: the message was under way for a moment.
func (c *telegramClock) learn(messageID int64) {
	const tolerance = 5 * time.Second
	ahead := time.Until(proto.MessageID(messageID).Time())
	if (ahead - time.Duration(c.ahead.Load())).Abs() < tolerance {
		return
	}
	c.ahead.Store(int64(ahead))
	c.log().Warn().Dur("ahead", -ahead).Msg("The clock of this machine is wrong: Telegram's counts")
}

// messageIDs makes the IDs of messages by a telegramClock. gotd's generator would go on from
// where it is when the clock is put back.
type messageIDs struct {
	clock *telegramClock

	mu    sync.Mutex
	ahead int64 // of the clock, when the generator was made
	ids   *proto.MessageIDGen
}

// New implements mtproto.MessageIDSource.
func (m *messageIDs) New(kind proto.MessageType) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ahead := m.clock.ahead.Load(); m.ids == nil || m.ahead != ahead {
		m.ids, m.ahead = proto.NewMessageIDGen(m.clock.Now), ahead
	}
	return m.ids.New(kind)
}

// messageIDOf returns the ID of a message of Telegram's, and false for one that is not whole, or
// is not encrypted with the key. Messages of a key exchange are not encrypted: nobody vouches
// for their IDs, which is why each client has a clock of its own.
func messageIDOf(message []byte, key crypto.AuthKey) (int64, bool) {
	const plainHeader = 8 + 8 // no key, and the ID
	var id authKeyID
	if copy(id[:], message); id == (authKeyID{}) {
		if len(message) < plainHeader {
			return 0, false
		}
		return int64(binary.LittleEndian.Uint64(message[8:])), true
	}
	data, err := crypto.NewClientCipher(rand.Reader).DecryptFromBuffer(key, &bin.Buffer{Buf: message})
	if err != nil {
		return 0, false
	}
	return data.MessageID, true
}

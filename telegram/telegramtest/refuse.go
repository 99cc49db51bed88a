package telegramtest

import (
	"crypto/rand"
	"encoding/binary"
	"maps"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
)

// Why a message is refused.
//
// https://core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message
const (
	messageIDTooLow    = 16
	messageIDTooHigh   = 17
	messageIDParity    = 18
	containerDuplicate = 19
	saltWrong          = 48
	containerInvalid   = 64
)

const (
	maxPast   = 300 * time.Second
	maxFuture = 30 * time.Second
	// manyReceived is how many messages are remembered before the old ones are forgotten.
	manyReceived = 1000
)

// messageName names a message of a client.
type messageName struct{ session, id int64 }

// newSalt returns a salt for an auth key.
func newSalt() int64 {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return int64(binary.LittleEndian.Uint64(random[:]))
}

// ExpireSalts makes the salts of all auth keys be too old at once. Clients are told of the
// new one with bad_server_salt, when they send a message with the old one. It returns an
// error when the state file can't be written.
func (s *Server) ExpireSalts() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.state.authKeys {
		key.salt = newSalt()
	}
	return s.state.save()
}

// RejectCalls makes the next calls of methods get bad_msg_notification with a code, such as
// 16, instead of being done. Nothing is wrong with them, nor with what else is sent. Zero
// times takes back those that are left. It is for messages and not for what they say, so
// that the calls are not counted, held or failed.
//
// https://core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message
func (s *Server) RejectCalls(times, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.rejectCode, s.faults.rejectTimes = code, times
}

// rejected returns the code that the next call has to get, 0 for none.
func (s *Server) rejected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.rejectTimes <= 0 {
		return 0
	}
	s.faults.rejectTimes--
	return s.faults.rejectCode
}

// refuse tells the client what is wrong with a message, and then returns true.
func (r *call) refuse(salt int64) (bool, error) {
	now, sent := r.conn.server.now(), proto.MessageID(r.messageID).Time()
	switch {
	case r.messageID%4 != 0:
		return r.refused(messageIDParity)
	case now.Sub(sent) > maxPast:
		return r.refused(messageIDTooLow)
	case sent.Sub(now) > maxFuture:
		return r.refused(messageIDTooHigh)
	case salt != r.in.salt:
		return r.refused(saltWrong)
	}
	return r.refuseKnown()
}

// refuseInner is refuse for a message in a container, which may be old.
func (r *call) refuseInner() (bool, error) {
	if r.messageID%4 != 0 {
		return r.refused(messageIDParity)
	}
	return r.refuseKnown()
}

// refuseKnown refuses what was received before, and what the test wants to be refused. A
// message that is sent again is no error, but it is not done again.
func (r *call) refuseKnown() (bool, error) {
	name := messageName{r.in.id, r.messageID}
	id, err := r.body.PeekID()
	if err != nil {
		return false, err
	}
	if _, known := r.conn.received[name]; known {
		if id == proto.MessageContainerTypeID {
			return r.refused(containerDuplicate)
		}
		return true, r.reply(false, &mt.MsgsAck{MsgIDs: []int64{r.messageID}})
	}
	if !isService(id) {
		if code := r.conn.server.rejected(); code != 0 {
			return r.refused(code)
		}
	}
	r.conn.remember(name)
	return false, nil
}

// remember records that a message was received.
func (c *conn) remember(name messageName) {
	if len(c.received) >= manyReceived {
		oldest := c.server.now().Add(-maxPast)
		maps.DeleteFunc(c.received, func(n messageName, _ struct{}) bool { return proto.MessageID(n.id).Time().Before(oldest) })
	}
	c.received[name] = struct{}{}
}

// refused tells the client that the message is refused.
func (r *call) refused(code int) (bool, error) {
	var notice bin.Encoder = &mt.BadMsgNotification{BadMsgID: r.messageID, BadMsgSeqno: int(r.seqNo), ErrorCode: code}
	if code == saltWrong {
		notice = &mt.BadServerSalt{BadMsgID: r.messageID, BadMsgSeqno: int(r.seqNo), ErrorCode: code, NewServerSalt: r.in.salt}
	}
	return true, r.reply(false, notice)
}

// isService says whether a message is none that calls a method.
func isService(id uint32) bool {
	switch id {
	case proto.MessageContainerTypeID, mt.PingRequestTypeID, mt.PingDelayDisconnectRequestTypeID,
		mt.GetFutureSaltsRequestTypeID, mt.RPCDropAnswerRequestTypeID, mt.DestroySessionRequestTypeID, mt.MsgsAckTypeID,
		mt.HTTPWaitRequestTypeID, mt.MsgsStateReqTypeID, mt.MsgResendReqTypeID, mt.MsgsStateInfoTypeID, mt.MsgsAllInfoTypeID:
		return true
	}
	return false
}

package telegramtest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/tgerr"
)

// call is a message from a client: a call of a method, or a service message.
type call struct {
	conn      *conn
	in        session
	messageID int64
	seqNo     int32
	body      *bin.Buffer
	init      bool // it came in initConnection
}

// dispatch answers service messages at once, and starts a goroutine for a call of a
// method.
//
// https://core.telegram.org/mtproto/service_messages
func (c *conn) dispatch(r *call) error {
	id, err := r.body.PeekID()
	if err != nil {
		return err
	}
	switch id {
	case proto.MessageContainerTypeID:
		return c.dispatchContainer(r)
	case proto.GZIPTypeID:
		var packed proto.GZIP
		if err := packed.Decode(r.body); err != nil {
			return err
		}
		r.body = &bin.Buffer{Buf: packed.Data}
		return c.dispatch(r)
	case mt.PingRequestTypeID, mt.PingDelayDisconnectRequestTypeID:
		return r.pong(id)
	case mt.GetFutureSaltsRequestTypeID:
		salt := mt.FutureSalt{ValidSince: 1, ValidUntil: math.MaxInt32, Salt: r.in.salt}
		return r.reply(false, &mt.FutureSalts{
			ReqMsgID: r.messageID, Now: int(r.conn.server.now().Unix()), Salts: []mt.FutureSalt{salt},
		})
	case mt.RPCDropAnswerRequestTypeID:
		// As with Telegram, the call itself goes on.
		return r.result(&mt.RPCAnswerDroppedRunning{})
	case mt.DestroySessionRequestTypeID:
		var destroy mt.DestroySessionRequest
		if err := destroy.Decode(r.body); err != nil {
			return err
		}
		return r.reply(false, &mt.DestroySessionOk{SessionID: destroy.SessionID})
	case mt.MsgsAckTypeID, mt.HTTPWaitRequestTypeID, mt.MsgsStateReqTypeID, mt.MsgResendReqTypeID,
		mt.MsgsStateInfoTypeID, mt.MsgsAllInfoTypeID:
		return nil
	}
	if err := c.send(r.in, proto.MessageFromServer, false, &mt.MsgsAck{MsgIDs: []int64{r.messageID}}); err != nil {
		return err
	}
	c.calls.Go(r.run)
	return nil
}

func (c *conn) dispatchContainer(r *call) error {
	var container proto.MessageContainer
	if err := container.Decode(r.body); err != nil {
		return err
	}
	if slices.ContainsFunc(container.Messages, func(m proto.Message) bool { return m.ID >= r.messageID }) {
		_, err := r.refused(containerInvalid)
		return err
	}
	for _, message := range container.Messages {
		inner := &call{conn: c, in: r.in, messageID: message.ID, seqNo: int32(message.SeqNo), body: &bin.Buffer{Buf: message.Body}}
		refused, err := inner.refuseInner()
		if err == nil && !refused {
			err = c.dispatch(inner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *call) pong(id uint32) error {
	if id == mt.PingRequestTypeID {
		var ping mt.PingRequest
		if err := ping.Decode(r.body); err != nil {
			return err
		}
		return r.reply(false, &mt.Pong{MsgID: r.messageID, PingID: ping.PingID})
	}
	var ping mt.PingDelayDisconnectRequest
	if err := ping.Decode(r.body); err != nil {
		return err
	}
	return r.reply(false, &mt.Pong{MsgID: r.messageID, PingID: ping.PingID})
}

// run answers a call of a method.
func (r *call) run() {
	answer, err := r.answer()
	if r.conn.ctx.Err() != nil {
		return
	}
	if err != nil {
		rpc, ok := errors.AsType[*tgerr.Error](err)
		if !ok {
			r.conn.server.log.Error().Err(err).Msg("Could not answer a call")
			rpc = errInternal()
		}
		answer = &mt.RPCError{ErrorCode: rpc.Code, ErrorMessage: rpc.Message}
	}
	if err := r.result(answer); err != nil && r.conn.ctx.Err() == nil {
		r.conn.server.log.Error().Err(err).Msg("Could not send an answer")
		r.conn.drop()
	}
}

// reply sends a message in response to this one.
func (r *call) reply(content bool, message bin.Encoder) error {
	return r.conn.send(r.in, proto.MessageServerResponse, content, message)
}

// packedSize is the size from which on results are packed, in bytes.
const packedSize = 4 << 10

// result sends the result of the call.
func (r *call) result(answer bin.Encoder) error {
	var b bin.Buffer
	if err := answer.Encode(&b); err != nil {
		return fmt.Errorf("encode %T: %w", answer, err)
	}
	if b.Len() >= packedSize {
		var packed bin.Buffer
		if err := (proto.GZIP{Data: b.Buf}).Encode(&packed); err != nil {
			return fmt.Errorf("pack %T: %w", answer, err)
		}
		b = packed
	}
	return r.reply(true, &proto.Result{RequestMessageID: r.messageID, Result: b.Buf})
}

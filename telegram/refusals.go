package telegram

import (
	"crypto/rand"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/tgerr"
)

// refusalOf returns the error that a message of Telegram's answers a call with, nil for one
// that does not, or is not encrypted with the key. gotd v0.162.0 asks for the configuration
// again and again after a FLOOD_WAIT, for half a minute, and says so nowhere but in its log
// (https://github.com/gotd/td/issues/388 is why).
func refusalOf(message []byte, key crypto.AuthKey) error {
	data, err := crypto.NewClientCipher(rand.Reader).DecryptFromBuffer(key, &bin.Buffer{Buf: message})
	if err != nil {
		return nil
	}
	return refusalIn(data.Data())
}

// refusalIn is refusalOf for what was encrypted.
func refusalIn(body []byte) error {
	b := &bin.Buffer{Buf: body}
	id, err := b.PeekID()
	if err != nil {
		return nil
	}
	switch id {
	case proto.MessageContainerTypeID:
		var container proto.MessageContainer
		if container.Decode(b) != nil {
			return nil
		}
		for _, m := range container.Messages {
			if err := refusalIn(m.Body); err != nil {
				return err
			}
		}
	case proto.ResultTypeID:
		var result proto.Result
		if result.Decode(b) == nil {
			return refusalIn(result.Result)
		}
	case mt.RPCErrorTypeID:
		var refusal mt.RPCError
		if refusal.Decode(b) == nil {
			return tgerr.New(refusal.ErrorCode, refusal.ErrorMessage)
		}
	}
	return nil
}

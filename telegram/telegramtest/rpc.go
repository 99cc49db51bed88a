package telegramtest

import (
	"errors"
	"fmt"
	"maps"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// method is a TL method that the server knows.
type method struct {
	// name is as in the schema, such as auth.sendCode.
	name string
	// open methods may be called without being logged in.
	open   bool
	handle func(s *Server, key keyID, body *bin.Buffer) (bin.Encoder, error)
}

// methods is the table of all methods.
func methods() map[uint32]method {
	table := map[uint32]method{}
	for _, group := range []map[uint32]method{helpMethods(), authMethods(), userMethods(), dialogMethods(), contactMethods()} {
		maps.Copy(table, group)
	}
	return table
}

// request is a TL method's request type.
type request[Q any] interface {
	*Q
	bin.Decoder
	TypeID() uint32
	TypeName() string
}

// add adds a method to a table.
func add[Q any, P request[Q]](table map[uint32]method, open bool, handle func(s *Server, key keyID, q P) (bin.Encoder, error)) {
	var q P = new(Q)
	// The type of a method's request is called auth.sendCode in the schema.
	table[q.TypeID()] = method{name: q.TypeName(), open: open, handle: func(s *Server, key keyID, body *bin.Buffer) (bin.Encoder, error) {
		var q P = new(Q)
		if err := q.Decode(body); err != nil {
			return nil, tgerr.New(400, "INPUT_REQUEST_TOO_LONG")
		}
		return handle(s, key, q)
	}}
}

// run answers the call.
func (r *call) run() error {
	result, err := r.answer()
	if rpc, ok := errors.AsType[*tgerr.Error](err); ok {
		return r.fail(rpc)
	}
	if err != nil {
		return err
	}
	return r.result(result)
}

func (r *call) answer() (bin.Encoder, error) {
	s := r.conn.server
	id, err := r.unwrap()
	if err != nil {
		return nil, err
	}
	m, ok := s.methods[id]
	if !ok {
		return nil, tgerr.New(400, fmt.Sprintf("INPUT_METHOD_INVALID_%d", id))
	}
	s.log.Trace().Str("method", m.name).Msg("Call")
	if err := s.enter(r.conn.ctx, m.name); err != nil {
		return nil, err
	}
	l, known := s.loginOf(r.key.ID)
	switch {
	case m.open && known:
	case l.Revoked != "":
		return nil, tgerr.New(401, l.Revoked)
	case l.Account == 0:
		return nil, errUnauthorized
	}
	return m.handle(s, r.key.ID, r.body)
}

// unwrap takes the wrappers off the call and returns the type of what is inside.
func (r *call) unwrap() (uint32, error) {
	for {
		id, err := r.body.PeekID()
		if err != nil {
			return 0, err
		}
		var wrapper bin.Decoder
		switch id {
		case tg.InvokeWithLayerRequestTypeID:
			wrapper = &tg.InvokeWithLayerRequest{Query: rawBuffer{}}
		case tg.InitConnectionRequestTypeID:
			wrapper = &tg.InitConnectionRequest{Query: rawBuffer{}}
		case tg.InvokeAfterMsgRequestTypeID:
			wrapper = &tg.InvokeAfterMsgRequest{Query: rawBuffer{}}
		case tg.InvokeWithoutUpdatesRequestTypeID:
			wrapper = &tg.InvokeWithoutUpdatesRequest{Query: rawBuffer{}}
			r.conn.mu.Lock()
			r.conn.noUpdates = true
			r.conn.mu.Unlock()
		default:
			return id, nil
		}
		if err := wrapper.Decode(r.body); err != nil {
			return 0, err
		}
	}
}

var errUnauthorized = tgerr.New(401, "AUTH_KEY_UNREGISTERED")

// vector is a TL vector of any elements.
type vector []bin.Encoder

// Encode implements bin.Encoder.
func (v vector) Encode(b *bin.Buffer) error {
	b.PutVectorHeader(len(v))
	for _, e := range v {
		if err := e.Encode(b); err != nil {
			return err
		}
	}
	return nil
}

package telegramtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// methodTable lists all methods by the ID of their TL constructor. To add one, write
// a method of caller in the file of its group, and name it in the group's list.
func methodTable() map[uint32]method {
	table := map[uint32]method{}
	for _, m := range slices.Concat(helpMethods(), authMethods(), tokenMethods(), userMethods(), contactMethods(), stickerMethods(), dialogMethods(), chatMethods(),
		memberMethods(), fileMethods(), messageMethods()) {
		table[m.id] = m
	}
	return table
}

// access says who may call a method.
type access int

const (
	anybody          access = iota // also without being logged in
	loggedInAnywhere               // users and bots, also at a datacenter that is not their home
	loggedIn                       // users and bots
	usersOnly                      // but no bots
)

// method is a TL method that the server knows.
type method struct {
	id     uint32
	access access
	// handle decodes the request and returns what works it off. That is done with
	// Server.mu held.
	handle func(body *bin.Buffer) (func(c *caller) (bin.Encoder, error), error)
}

// caller is who calls a method.
type caller struct {
	server  *Server
	conn    *conn
	key     *authKey
	account *account // nil for somebody who is not logged in
}

// on makes a method of a function. Q is the request type in tg.
func on[Q any, P interface {
	*Q
	bin.Decoder
	TypeID() uint32
}](access access, handle func(c *caller, request P) (bin.Encoder, error)) method {
	return method{P(new(Q)).TypeID(), access, func(body *bin.Buffer) (func(*caller) (bin.Encoder, error), error) {
		request := P(new(Q))
		if err := request.Decode(body); err != nil {
			return nil, tgerr.New(400, "INPUT_FETCH_ERROR")
		}
		return func(c *caller) (bin.Encoder, error) { return handle(c, request) }, nil
	}}
}

func errUnauthorized() *tgerr.Error { return tgerr.New(401, "AUTH_KEY_UNREGISTERED") }

// errMigrate is the error that leads to another datacenter.
//
// https://core.telegram.org/api/errors#303-see-other
func errMigrate(what string, dc int) *tgerr.Error {
	return tgerr.New(303, fmt.Sprintf("%s_MIGRATE_%d", what, dc))
}

func errInternal() *tgerr.Error { return tgerr.New(500, "RPC_CALL_FAIL") }

// answer works off the call and returns the result.
func (r *call) answer() (bin.Encoder, error) {
	s := r.conn.server
	id, err := r.unwrap()
	if err != nil {
		return nil, tgerr.New(400, "INPUT_FETCH_ERROR")
	}
	if err := s.initialized(r); err != nil {
		return nil, err
	}
	name := methodName(id)
	s.log.Trace().Str("method", name).Msg("Call")
	if err := s.enter(r.conn.ctx, name); err != nil {
		return nil, err
	}
	m, ok := s.methods[id]
	if !ok {
		s.log.Warn().Str("method", name).Msg("A client called a method that the test server does not know")
		return nil, tgerr.New(400, fmt.Sprintf("INPUT_METHOD_INVALID_%d", id))
	}
	handle, err := m.handle(r.body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.caller(r, m.access)
	if err != nil {
		return nil, err
	}
	return handle(c)
}

// initialized refuses the calls with an auth key before initConnection, which counts from
// then on, over all connections.
//
// https://core.telegram.org/api/invoking#saving-client-info
func (s *Server) initialized(r *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.state.authKeys[r.in.key.ID]
	switch {
	case key == nil: // forgotten meanwhile
		return errUnauthorized()
	case key.inited:
		return nil
	case !r.init:
		return tgerr.New(400, "CONNECTION_NOT_INITED")
	}
	key.inited = true
	return s.state.save()
}

// caller finds out who makes a call and whether they may. Server.mu is held.
func (s *Server) caller(r *call, access access) (*caller, error) {
	key := s.state.authKeys[r.in.key.ID]
	if key == nil { // forgotten while the call was held
		return nil, errUnauthorized()
	}
	c := &caller{server: s, conn: r.conn, key: key, account: s.world.accounts[key.Account]}
	if err := c.checkDuplicate(); err != nil {
		return nil, err
	}
	switch {
	case key.Revoked == duplicated:
		return nil, tgerr.New(406, duplicated)
	case key.Revoked != "":
		return nil, tgerr.New(401, key.Revoked)
	case access == anybody:
		return c, nil
	case key.Account == 0:
		return nil, errUnauthorized()
	case c.account == nil:
		s.log.Error().Int64("account", key.Account).Msg("A client is logged in to an account that was not added")
		return nil, errInternal()
	case access != loggedInAnywhere && c.account.DC != r.conn.dc:
		return nil, errMigrate("USER", c.account.DC)
	case access == usersOnly && c.account.Bot:
		return nil, tgerr.New(400, "BOT_METHOD_INVALID")
	}
	return c, nil
}

// duplicated is what is wrong with the auth key of a login that was used over two
// connections in turns.
const duplicated = "AUTH_KEY_DUPLICATED"

// checkDuplicate ends the login of an auth key that is used over two connections in turns: a
// newer one, an older one, and the newer one again, while both are open. At other
// datacenters than the account's home that is no fault: downloads may go over many
// connections.
//
// https://core.telegram.org/api/errors#406-not-acceptable
func (c *caller) checkDuplicate() error {
	key := c.key
	switch {
	case c.account == nil || c.account.DC != c.conn.dc:
	case key.newest == nil || key.newest.ctx.Err() != nil || key.newest.number < c.conn.number:
		key.newest, key.older = c.conn, nil
	case key.newest != c.conn:
		key.older = c.conn // or what was under way in it when the client gave it up
	case key.older != nil && key.older.ctx.Err() == nil:
		return c.setLogin(login{Revoked: duplicated})
	}
	return nil
}

// unwrap takes the wrappers off a call and returns the constructor of what is in
// them.
//
// https://core.telegram.org/api/invoking
func (r *call) unwrap() (uint32, error) {
	subscribe := true
	for {
		id, err := r.body.PeekID()
		if err != nil {
			return 0, err
		}
		var wrapper bin.Decoder
		switch id {
		case tg.InvokeWithLayerRequestTypeID:
			wrapper = &tg.InvokeWithLayerRequest{Query: inside{}}
		case tg.InitConnectionRequestTypeID:
			r.init, wrapper = true, &tg.InitConnectionRequest{Query: inside{}}
		case tg.InvokeAfterMsgRequestTypeID:
			wrapper = &tg.InvokeAfterMsgRequest{Query: inside{}}
		case tg.InvokeAfterMsgsRequestTypeID:
			wrapper = &tg.InvokeAfterMsgsRequest{Query: inside{}}
		case tg.InvokeWithoutUpdatesRequestTypeID:
			subscribe, wrapper = false, &tg.InvokeWithoutUpdatesRequest{Query: inside{}}
		default:
			if subscribe {
				r.conn.subscribe()
			}
			return id, nil
		}
		if err := wrapper.Decode(r.body); err != nil {
			return 0, err
		}
	}
}

// subscribe makes the connection get updates.
func (c *conn) subscribe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribed = true
}

// inside is the call in a wrapper: it leaves the bytes where they are.
type inside struct{}

// Decode implements bin.Decoder.
func (inside) Decode(*bin.Buffer) error { return nil }

// Encode implements bin.Encoder.
func (inside) Encode(*bin.Buffer) error { return nil }

// typeNames returns the names of all TL types, as in auth.sendCode#a677244f.
var typeNames = sync.OnceValue(tg.TypesMap)

// methodName returns the name of a method in the schema, such as auth.sendCode.
func methodName(id uint32) string {
	name, _, ok := strings.Cut(typeNames()[id], "#")
	if !ok {
		return fmt.Sprintf("%#x", id)
	}
	return name
}

package telegramtest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/proto"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

// Message is a text message.
type Message struct {
	// From is the ID of the account that sent it.
	From int64
	// Kind and Chat are where it was sent: for KindUser the ID of the other user, else that
	// of the group or channel.
	Kind DialogKind
	Chat int64
	// Text is what it says.
	Text string
}

// messages is what was said, and what is still to be told of it. Server.mu guards it.
type messages struct {
	all     []Message
	more    chan struct{}     // closed at the next message
	last    map[peer]int      // the last message's number, of an account or a channel
	random  map[[2]int64]bool // by account: what was sent once already
	pending []pendingUpdate   // in order
}

type pendingUpdate struct {
	conn    *conn
	updates *tg.Updates
}

// firstMessage is below the numbers of all messages that are sent, and above those that
// dialogs have.
const firstMessage = 1_000_000

func newMessages() messages {
	return messages{more: make(chan struct{}), last: map[peer]int{}, random: map[[2]int64]bool{}}
}

// SendMessage sends a message in the name of an account, as if with an app of its own:
// everybody who is in the chat gets an update, and the chat comes first among the dialogs
// that are not pinned. It returns an error where the account could not send it.
func (s *Server) SendMessage(m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.account(m.From)
	if err == nil {
		_, err = (&caller{server: s, account: a}).say(m)
	}
	if err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	return nil
}

// WaitMessages waits until there have been n messages, of clients and of SendMessage, and
// returns all that there have been since the start. It returns the error of a context that
// ends before.
func (s *Server) WaitMessages(ctx context.Context, n int) ([]Message, error) {
	for {
		s.mu.Lock()
		all, more := slices.Clone(s.messages.all), s.messages.more
		s.mu.Unlock()
		if len(all) >= n {
			return all, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return all, ctx.Err()
		}
	}
}

func messageMethods() []method {
	return []method{on(loggedIn, (*caller).messagesSendMessage)}
}

// https://core.telegram.org/method/messages.sendMessage
func (c *caller) messagesSendMessage(q *tg.MessagesSendMessageRequest) (bin.Encoder, error) {
	m := Message{From: c.account.ID, Text: q.Message}
	switch p := q.Peer.(type) {
	case *tg.InputPeerSelf:
		m.Kind, m.Chat = KindUser, c.account.ID
	case *tg.InputPeerUser:
		a := c.inputUser(&tg.InputUser{UserID: p.UserID, AccessHash: p.AccessHash})
		if a == nil {
			return nil, tgerr.New(400, "PEER_ID_INVALID")
		}
		m.Kind, m.Chat = KindUser, a.ID
	case *tg.InputPeerChat:
		m.Kind, m.Chat = KindBasicGroup, p.ChatID
	case *tg.InputPeerChannel:
		channel, err := c.myChannel(&tg.InputChannel{ChannelID: p.ChannelID, AccessHash: p.AccessHash})
		if err != nil {
			return nil, err
		}
		m.Kind, m.Chat = channel.Kind, channel.ID
	default:
		return nil, tgerr.New(400, "PEER_ID_INVALID")
	}
	sent := [2]int64{c.account.ID, q.RandomID}
	if c.server.messages.random[sent] {
		return nil, tgerr.New(500, "RANDOM_ID_DUPLICATE")
	}
	updates, err := c.say(m)
	if err != nil {
		return nil, err
	}
	c.server.messages.random[sent] = true
	id := updates.Updates[0].(interface{ GetMessage() tg.MessageClass }).GetMessage().GetID()
	updates.Updates = append([]tg.UpdateClass{&tg.UpdateMessageID{ID: id, RandomID: q.RandomID}}, updates.Updates...)
	return updates, nil
}

// say sends a message and returns what the sender is told of it. Server.mu is held.
func (c *caller) say(m Message) (*tg.Updates, error) {
	s := c.server
	readers, err := c.readers(m)
	if err != nil {
		return nil, err
	}
	if m.Text == "" {
		return nil, tgerr.New(400, "MESSAGE_EMPTY")
	}
	s.messages.all = append(s.messages.all, m)
	close(s.messages.more)
	s.messages.more = make(chan struct{})
	if where := peerOf(m.Kind, m.Chat); where.kind == channelPeer {
		s.messages.last[where]++
	}
	var own *tg.Updates
	for _, reader := range readers {
		updates := (&caller{server: s, account: reader}).told(m)
		if reader == c.account {
			own = updates
		}
		c.tell(reader, updates)
	}
	s.work.Go(s.tellPending)
	return own, nil
}

// tell has updates sent to an account's connections by tellPending, but not to the caller's,
// which gets an answer. Server.mu is held.
func (c *caller) tell(reader *account, updates *tg.Updates) {
	s := c.server
	for other := range maps.Keys(s.conns) {
		in, listening := other.listening()
		key := s.state.authKeys[in.key.ID]
		if other != c.conn && listening && key != nil && key.Account == reader.ID {
			s.messages.pending = append(s.messages.pending, pendingUpdate{other, updates})
		}
	}
}

// readers returns everybody who gets a message, the sender among them.
func (c *caller) readers(m Message) (readers []*account, err error) {
	w := &c.server.world
	if m.Kind == KindUser {
		other := w.accounts[m.Chat]
		if other == nil || other.Deleted {
			return nil, tgerr.New(400, "INPUT_USER_DEACTIVATED")
		}
		if other == c.account {
			return []*account{c.account}, nil
		}
		return []*account{c.account, other}, nil
	}
	where := peerOf(m.Kind, m.Chat)
	switch chat := w.chats[where]; {
	case chat == nil || !c.account.in(where):
		return nil, tgerr.New(400, "PEER_ID_INVALID")
	case m.Kind == KindChannel && !chat.admin(c.account.ID):
		return nil, tgerr.New(403, "CHAT_WRITE_FORBIDDEN")
	}
	for _, id := range w.members(where) {
		readers = append(readers, w.accounts[id])
	}
	return readers, nil
}

// told is what the caller, who reads it, is told of a new message. The dialog with it comes
// first from then on.
func (c *caller) told(m Message) *tg.Updates {
	where, numbers := peerOf(m.Kind, m.Chat), &c.server.messages
	message := &tg.Message{Out: m.From == c.account.ID, Message: m.Text, Date: int(c.server.now().Unix()), Post: m.Kind == KindChannel}
	updates := &tg.Updates{Users: []tg.UserClass{c.user(m.From)}, Date: message.Date}
	defer func() { c.account.dialogs = c.account.dialogs.raised(where, message) }()
	switch {
	case m.Kind != KindUser:
		updates.Chats = []tg.ChatClass{c.chat(c.server.world.chats[where])}
	case !message.Out: // a private chat goes by the name of the other one
		where = peer{userPeer, m.From}
	case m.Chat != m.From:
		updates.Users = append(updates.Users, c.user(m.Chat))
	}
	if m.Kind == KindBasicGroup || m.Kind == KindSupergroup {
		message.SetFromID(&tg.PeerUser{UserID: m.From})
	}
	switch where.kind {
	case channelPeer:
		message.PeerID, message.ID = &tg.PeerChannel{ChannelID: where.id}, firstMessage+numbers.last[where]
		updates.Updates = []tg.UpdateClass{&tg.UpdateNewChannelMessage{Message: message, Pts: message.ID, PtsCount: 1}}
		return updates
	case chatPeer:
		message.PeerID = &tg.PeerChat{ChatID: where.id}
	default:
		message.PeerID = &tg.PeerUser{UserID: where.id}
	}
	mine := peer{userPeer, c.account.ID}
	numbers.last[mine]++
	message.ID = firstMessage + numbers.last[mine]
	updates.Updates = []tg.UpdateClass{&tg.UpdateNewMessage{Message: message, Pts: message.ID, PtsCount: 1}}
	return updates
}

// listening returns the session of a connection that gets updates, and false for one that
// does not.
func (c *conn) listening() (session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, c.subscribed
}

// tellPending sends the updates that wait, in their order.
func (s *Server) tellPending() {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	pending := s.messages.pending
	s.messages.pending = nil
	s.mu.Unlock()
	for _, p := range pending {
		in, _ := p.conn.listening()
		if err := p.conn.send(in, proto.MessageFromServer, true, p.updates); err != nil {
			s.log.Debug().Err(err).Msg("Could not send an update")
			p.conn.drop()
		}
	}
}

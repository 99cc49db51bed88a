package matrixtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Config is what a [Server] is made of. The zero value is usable.
type Config struct {
	// ServerName is the part of IDs after the colon, localhost if empty.
	ServerName string
	// Addr is where to listen, a free port of 127.0.0.1 if empty.
	Addr string
	// RoomVersion is that of rooms whose creator asks for none, 10 if empty, as on
	// Dendrite. The server knows versions 9 to 12.
	RoomVersion string
	// Registrations are the appservices that the server knows.
	Registrations []*appservice.Registration
	// Log is where requests are logged, at the level debug.
	Log zerolog.Logger
}

// Server is a homeserver in memory. Its methods may be called at any time, by several
// goroutines.
type Server struct {
	cfg    Config
	url    string
	http   *http.Server
	served chan error
	script script

	closing sync.Once

	mu       sync.Mutex
	users    map[id.UserID]*user
	tokens   map[string]id.UserID
	openIDs  map[string]id.UserID // OpenID tokens
	rooms    map[id.RoomID]*room
	aliases  map[id.RoomAlias]id.RoomID
	media    map[string]Media // by media ID
	services []*service
	position int           // of the last event
	changed  chan struct{} // closed when something has happened
}

// user is somebody with an account here.
type user struct {
	name   string
	avatar id.ContentURIString
}

// Start starts a server, which [Server.Close] ends.
func Start(cfg Config) (*Server, error) {
	if cfg.ServerName == "" {
		cfg.ServerName = "localhost"
	}
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.RoomVersion == "" {
		cfg.RoomVersion = "10"
	}
	if !slices.Contains(roomVersions, cfg.RoomVersion) {
		return nil, fmt.Errorf("room version %q is not one of %q", cfg.RoomVersion, roomVersions)
	}
	s := &Server{
		cfg: cfg, served: make(chan error, 1), users: map[id.UserID]*user{}, tokens: map[string]id.UserID{}, openIDs: map[string]id.UserID{},
		rooms: map[id.RoomID]*room{}, aliases: map[id.RoomAlias]id.RoomID{}, media: map[string]Media{}, changed: make(chan struct{}),
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.url = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { s.served <- s.http.Serve(listener) }()
	for _, registration := range cfg.Registrations {
		if err := s.AddAppservice(registration); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// AddAppservice makes the server know an appservice, for those whose registration is made
// when the server's address is known. It returns an error for a namespace that is no
// regular expression.
func (s *Server) AddAppservice(registration *appservice.Registration) error {
	sv, err := newService(registration, s.cfg.ServerName)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = append(s.services, sv)
	s.users[sv.bot] = &user{}
	s.tokens[registration.AppToken] = sv.bot
	sv.start()
	return nil
}

// Close ends the server. Requests that are under way fail. Later calls do nothing.
func (s *Server) Close() (err error) {
	s.closing.Do(func() {
		s.script.releaseAll()
		s.mu.Lock()
		services := slices.Clone(s.services)
		s.mu.Unlock()
		for _, sv := range services {
			sv.stop()
		}
		err = s.http.Close()
		if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	})
	return err
}

// URL is the server's address, for clients.
func (s *Server) URL() string { return s.url }

// ServerName is the part of IDs after the colon.
func (s *Server) ServerName() string { return s.cfg.ServerName }

// AddUser makes an ordinary user and returns a client that is logged in. A user who
// exists gets another client.
func (s *Server) AddUser(localpart string) (*mautrix.Client, error) {
	userID := id.NewUserID(localpart, s.cfg.ServerName)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[userID] == nil {
		s.users[userID] = &user{name: localpart}
	}
	token := "token-" + newID()
	s.tokens[token] = userID
	client, err := mautrix.NewClient(s.url, userID, token)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	client.DeviceID = "DEVICE"
	return client, nil
}

// RevokeToken makes an access token or an OpenID token be unknown, as a logout does, or
// the end of its time.
func (s *Server) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
	delete(s.openIDs, token)
}

// Rooms lists all rooms, in the order of their IDs.
func (s *Server) Rooms() []id.RoomID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rooms []id.RoomID
	for roomID := range s.rooms {
		rooms = append(rooms, roomID)
	}
	slices.Sort(rooms)
	return rooms
}

// Members returns what everybody who ever had to do with a room is in it.
func (s *Server) Members(roomID id.RoomID) map[id.UserID]event.Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	members := map[id.UserID]event.Membership{}
	if r := s.rooms[roomID]; r != nil {
		maps.Copy(members, r.members)
	}
	return members
}

// State returns the content of a state event, and false where there is none.
func (s *Server) State(roomID id.RoomID, eventType, stateKey string) (json.RawMessage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[roomID]; r != nil {
		if e := r.state[stateKeyOf{eventType, stateKey}]; e != nil {
			return slices.Clone(e.Content), true
		}
	}
	return nil, false
}

// SetState makes a state event be there, whatever the rules of the room say and
// whatever its content is. An empty content removes it.
func (s *Server) SetState(roomID id.RoomID, eventType, stateKey string, content string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[roomID]
	if r == nil {
		return fmt.Errorf("there is no room %s", roomID)
	}
	if content == "" {
		s.setState(r, stateKeyOf{eventType, stateKey}, nil)
		return nil
	}
	if !json.Valid([]byte(content)) {
		return fmt.Errorf("the content of %s is not JSON", eventType)
	}
	s.add(r, r.creators[0], eventType, &stateKey, json.RawMessage(content))
	return nil
}

// AddMembers makes users @member0, @member1… exist and join a room, whatever its
// rules say.
func (s *Server) AddMembers(roomID id.RoomID, count int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[roomID]
	if r == nil {
		return fmt.Errorf("there is no room %s", roomID)
	}
	for i := range count {
		userID := id.NewUserID(fmt.Sprintf("member%d", i), s.cfg.ServerName)
		s.users[userID] = &user{name: userID.Localpart()}
		s.setMember(r, userID, userID, event.MembershipJoin, nil)
	}
	return nil
}

// Profile returns a user's display name and avatar, and false for somebody unknown.
func (s *Server) Profile(userID id.UserID) (name string, avatar id.ContentURIString, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[userID]
	if u == nil {
		return "", "", false
	}
	return u.name, u.avatar, true
}

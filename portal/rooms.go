package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"golang.org/x/sync/singleflight"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// DefaultGhostTemplate is the localpart of ghosts where [RoomsConfig.GhostTemplate] is
// empty.
const DefaultGhostTemplate = "telegram_{id}"

// RoomsConfig is what a [Rooms] is made of.
type RoomsConfig struct {
	// AppService is the bridge's, with its registration and its homeserver. Required.
	AppService *appservice.AppService
	// DB remembers the ghosts' profiles and the photos that were uploaded. The tables
	// are made as those of NewStore are, and may lie in the same database. Required.
	DB *dbutil.Database
	// GhostTemplate is the localpart of ghosts, with {id} in place of the Telegram user
	// ID. All ghosts have to be in the registration's namespaces. Empty is
	// DefaultGhostTemplate.
	GhostTemplate string
	// Log is where it is told what could not be done and is no error.
	Log zerolog.Logger
}

// Rooms is a [provisioning.Rooms] on an appservice, with all of its optional
// interfaces. It asks the homeserver what it needs to know: neither does it fill the
// appservice's StateStore nor does it believe in it. It is safe for concurrent use.
type Rooms struct {
	as             *appservice.AppService
	db             *dbutil.Database
	prefix, suffix string // of a ghost's localpart, around the ID
	bot            *mautrix.Client
	log            zerolog.Logger
	uploads        singleflight.Group
}

var (
	_ provisioning.Rooms        = (*Rooms)(nil)
	_ provisioning.DirectRooms  = (*Rooms)(nil)
	_ provisioning.GhostAvatars = (*Rooms)(nil)
)

// NewRooms returns a Rooms. It asks the homeserver nothing yet. Errors: a
// configuration that can't be used, and those of [NewStore].
func NewRooms(ctx context.Context, cfg RoomsConfig) (*Rooms, error) {
	switch {
	case cfg.AppService == nil || cfg.AppService.Registration == nil || cfg.AppService.HomeserverDomain == "":
		return nil, errors.New("RoomsConfig.AppService has no registration or no homeserver: make it with appservice.CreateFull")
	case cfg.DB == nil:
		return nil, errors.New("RoomsConfig.DB is nil: set the bridge's database")
	case cfg.GhostTemplate == "":
		cfg.GhostTemplate = DefaultGhostTemplate
	}
	r := &Rooms{as: cfg.AppService, log: cfg.Log}
	var ok bool
	if r.prefix, r.suffix, ok = strings.Cut(cfg.GhostTemplate, "{id}"); !ok || strings.Contains(r.suffix, "{id}") {
		return nil, fmt.Errorf("RoomsConfig.GhostTemplate %q: {id} has to stand in it once", cfg.GhostTemplate)
	}
	if err := r.checkNamespaces(); err != nil {
		return nil, err
	}
	if err := schema.Connect(ctx, cfg.DB); err != nil {
		return nil, fmt.Errorf("connect to the database of the rooms: %w", err)
	}
	var err error
	if r.db, err = openTables(ctx, cfg.DB); err != nil {
		return nil, err
	}
	r.bot = r.client(r.as.BotMXID())
	return r, nil
}

// checkNamespaces refuses a template of ghosts that the registration has no claim to.
func (r *Rooms) checkNamespaces() error {
	for _, ghost := range []id.UserID{r.GhostID(1), r.GhostID(1<<40 - 1)} {
		if !slices.ContainsFunc(r.as.Registration.Namespaces.UserIDs, func(n appservice.Namespace) bool {
			pattern, err := regexp.Compile("^(?:" + n.Regex + ")$")
			return err == nil && pattern.MatchString(string(ghost))
		}) {
			return fmt.Errorf("the ghost %s is in no user namespace of the appservice's registration: correct RoomsConfig.GhostTemplate, or the registration", ghost)
		}
	}
	return nil
}

// GhostID returns the Matrix ID of a Telegram user's ghost.
func (r *Rooms) GhostID(telegramID int64) id.UserID {
	return id.NewUserID(r.prefix+strconv.FormatInt(telegramID, 10)+r.suffix, r.as.HomeserverDomain)
}

// ParseGhost returns the Telegram user of a ghost, and false for any other Matrix ID.
func (r *Rooms) ParseGhost(userID id.UserID) (telegramID int64, ok bool) {
	localpart, domain, err := userID.Parse()
	if err != nil || domain != r.as.HomeserverDomain {
		return 0, false
	}
	digits, hasPrefix := strings.CutPrefix(localpart, r.prefix)
	digits, hasSuffix := strings.CutSuffix(digits, r.suffix)
	telegramID, err = strconv.ParseInt(digits, 10, 64)
	ok = hasPrefix && hasSuffix && err == nil && telegramID > 0 && r.GhostID(telegramID) == userID
	if !ok {
		return 0, false
	}
	return telegramID, true
}

// IsBridgeUser says whether a Matrix ID is the bridge bot's or a ghost's, for the
// configuration of a user store.
func (r *Rooms) IsBridgeUser(userID id.UserID) bool {
	_, ghost := r.ParseGhost(userID)
	return ghost || userID == r.as.BotMXID()
}

// client returns a client for one of the bridge's users. It remembers nothing, tries
// nothing twice, and logs nothing: a refusal is often just an answer.
func (r *Rooms) client(userID id.UserID) *mautrix.Client {
	c := r.as.NewMautrixClient(userID)
	c.StateStore = nil
	c.DefaultHTTPRetries = 0
	c.Log = zerolog.Nop()
	return c
}

func (r *Rooms) ghost(telegramID int64) *mautrix.Client { return r.client(r.GhostID(telegramID)) }

// quiet takes the logger out of a context, since mautrix would log there.
func quiet(ctx context.Context) context.Context { return zerolog.Nop().WithContext(ctx) }

// maxPause is the longest pause that a homeserver's rate limit is waited for.
const maxPause = time.Minute

// try makes a call of the homeserver's. Where its rate limit asks for a pause, it waits
// and tries again.
func try(ctx context.Context, call func(context.Context) error) error {
	for {
		err := call(quiet(ctx))
		if !errors.Is(err, mautrix.MLimitExceeded) {
			return err
		}
		pause := time.Second
		if httpErr, ok := errors.AsType[mautrix.HTTPError](err); ok && httpErr.RespError != nil {
			if ms, ok := httpErr.RespError.ExtraData["retry_after_ms"].(float64); ok && ms >= 0 {
				pause = time.Duration(ms) * time.Millisecond
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(pause, maxPause)):
		}
	}
}

// fault makes an error of the homeserver's the core's.
func fault(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	return fmt.Errorf("%w: %s: %w", provisioning.ErrHomeserver, what, err)
}

// refused says whether the homeserver has answered, and said no for good: 4xx, but no
// rate limit and no trouble with the appservice's token.
func refused(err error) bool {
	httpErr, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || httpErr.Response == nil || errors.Is(err, mautrix.MLimitExceeded) || errors.Is(err, mautrix.MUnknownToken) {
		return false
	}
	status := httpErr.Response.StatusCode
	return status >= 400 && status < 500 && status != http.StatusUnauthorized
}

// state reads the content of a state event as a member of the room; false where there
// is none. Asked by somebody who is not in the room, a homeserver may answer anything.
func (r *Rooms) state(ctx context.Context, as *mautrix.Client, roomID id.RoomID, eventType event.Type, stateKey string, content any) (bool, error) {
	err := try(ctx, func(ctx context.Context) error { return as.StateEvent(ctx, roomID, eventType, stateKey, content) })
	if errors.Is(err, mautrix.MNotFound) {
		return false, nil
	}
	return err == nil, fault(ctx, "read "+eventType.Type, err)
}

// send sets a state event; false where the sender may not.
func (r *Rooms) send(ctx context.Context, as *mautrix.Client, roomID id.RoomID, eventType event.Type, stateKey string, content any) (bool, error) {
	err := try(ctx, func(ctx context.Context) error {
		_, err := as.SendStateEvent(ctx, roomID, eventType, stateKey, content)
		return err
	})
	if errors.Is(err, mautrix.MForbidden) {
		return false, nil
	}
	return err == nil, fault(ctx, "set "+eventType.Type, err)
}

// membership returns what a user is in a room, "" where the one who asks sees nothing
// of that.
func (r *Rooms) membership(ctx context.Context, as *mautrix.Client, roomID id.RoomID, userID id.UserID) (event.Membership, error) {
	var content struct {
		Membership event.Membership `json:"membership"`
	}
	err := try(ctx, func(ctx context.Context) error {
		return as.StateEvent(ctx, roomID, event.StateMember, string(userID), &content)
	})
	if refused(err) {
		return "", nil
	}
	return content.Membership, fault(ctx, "read a membership", err)
}

// CheckBot implements [provisioning.Rooms].
func (r *Rooms) CheckBot(ctx context.Context, roomID id.RoomID) error {
	membership, err := r.membership(ctx, r.bot, roomID, r.bot.UserID)
	if err == nil && membership != event.MembershipJoin {
		err = provisioning.ErrBotNotInRoom
	}
	return err
}

// Room implements [provisioning.Rooms].
func (r *Rooms) Room(ctx context.Context, roomID id.RoomID) (provisioning.Room, error) {
	var room provisioning.Room
	if err := r.CheckBot(ctx, roomID); err != nil {
		return room, err
	}
	var (
		name       event.RoomNameEventContent
		topic      event.TopicEventContent
		alias      event.CanonicalAliasEventContent
		encryption event.EncryptionEventContent
	)
	for eventType, content := range map[event.Type]any{
		event.StateRoomName: &name, event.StateTopic: &topic, event.StateCanonicalAlias: &alias, event.StateEncryption: &encryption,
	} {
		if _, err := r.state(ctx, r.bot, roomID, eventType, "", content); err != nil && !malformed(err) {
			return room, err
		}
	}
	room.Name, room.Topic, room.CanonicalAlias = name.Name, topic.Topic, alias.Alias
	room.Encrypted = encryption.Algorithm != ""
	joined, err := r.joined(ctx, r.bot, roomID)
	if err != nil {
		return room, err
	}
	for _, userID := range joined {
		if telegramID, ghost := r.ParseGhost(userID); ghost {
			room.Ghosts = append(room.Ghosts, telegramID)
		} else if userID != r.bot.UserID {
			room.Users = append(room.Users, userID)
		}
	}
	return room, nil
}

// malformed says whether an answer came that makes no sense, such as a room name that
// is a number: somebody in the room has set it so.
func malformed(err error) bool {
	httpErr, ok := errors.AsType[mautrix.HTTPError](err)
	return ok && httpErr.Response != nil && httpErr.Response.StatusCode == http.StatusOK
}

// joined lists who has joined a room, in the order of their IDs.
func (r *Rooms) joined(ctx context.Context, as *mautrix.Client, roomID id.RoomID) (members []id.UserID, err error) {
	var answer *mautrix.RespJoinedMembers
	err = try(ctx, func(ctx context.Context) (err error) {
		answer, err = as.JoinedMembers(ctx, roomID)
		return err
	})
	if err != nil {
		return nil, fault(ctx, "list the members of a room", err)
	}
	for userID := range answer.Joined {
		members = append(members, userID)
	}
	slices.Sort(members)
	return members, nil
}

package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/keyed"
	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// The defaults of the fields of [RoomsConfig].
const (
	defaultGhostTemplate = "telegram_{id}"
	defaultDisplayName   = "{name}"
)

// RoomsConfig is what a [Rooms] is made of.
type RoomsConfig struct {
	// AppService is the bridge's, with its registration and its homeserver. Required.
	AppService *appservice.AppService
	// DB remembers the ghosts' profiles, who needs them, and the photos that were uploaded. The tables
	// are made as those of [NewStore] are, and may lie in the same database. Required.
	DB *dbutil.Database
	// GhostTemplate is the localpart of ghosts, with {id} in place of the Telegram user
	// ID. All ghosts have to be in exclusive namespaces of the registration. Empty is
	// "telegram_{id}".
	GhostTemplate string
	// GhostID and ParseGhost say which Matrix users are ghosts, in place of GhostTemplate,
	// for a bridge that decides that itself. GhostID returns the Matrix ID of a Telegram
	// user's ghost. ParseGhost returns the Telegram user of a ghost, 0 for a ghost that is
	// no Telegram user's, such as a channel's, and false for any other Matrix ID. The
	// registration's namespaces are not looked at. Both or neither are set. They are called
	// concurrently.
	GhostID    func(telegramID provisioning.TelegramID) id.UserID
	ParseGhost func(userID id.UserID) (telegramID provisioning.TelegramID, ok bool)
	// BridgeInfoKey returns the state key of a portal's bridge info (MSC2346), for a bridge
	// that has its own. It is called concurrently. Nil is that of [Rooms].
	BridgeInfoKey func(portal provisioning.Portal) string
	// DisplayName is the display name of ghosts, with {name} in place of the person's.
	// Empty is "{name}".
	DisplayName string
	// Log is told what could not be done and is no error, where the context of a call
	// has no logger. The zero value is silent.
	Log zerolog.Logger
}

// Rooms is a [provisioning.Rooms] on an appservice, with all of its optional
// interfaces. It is safe for concurrent use, and has nothing to close.
//
// It asks the homeserver what it needs to know, since the appservice's StateStore
// knows no more than what the host feeds it. It never joins a room that the bridge bot
// was only invited to: the host decides that. The bridge info of a portal has the state
// key fi.mau.telegram://telegram/<chat>, and for a direct chat
// fi.mau.telegram://telegram/<receiver>/<chat>, with the chat's ID in the style of
// the Bot API.
type Rooms struct {
	as            *appservice.AppService
	db            schema.DB
	bot           *mautrix.Client
	transport     http.RoundTripper
	displayName   string
	ghostID       func(provisioning.TelegramID) id.UserID
	parseGhost    func(id.UserID) (provisioning.TelegramID, bool)
	bridgeInfoKey func(provisioning.Portal) string
	log           zerolog.Logger
	photos        keyed.Mutex[int64] // by Telegram's ID of the photo
	ghosts        keyed.Mutex[int64] // by Telegram user ID
	uninvited     sync.Map           // IDs of rooms that CreateDirect has made and nobody was invited to
}

var (
	_ provisioning.Rooms        = (*Rooms)(nil)
	_ provisioning.DirectRooms  = (*Rooms)(nil)
	_ provisioning.GhostAvatars = (*Rooms)(nil)
	_ provisioning.GhostUsers   = (*Rooms)(nil)
	_ provisioning.Checker      = (*Rooms)(nil)
)

// NewRooms returns a Rooms. It asks the homeserver nothing yet. Errors: a
// configuration that can't be used, and those of [NewStore].
func NewRooms(ctx context.Context, cfg RoomsConfig) (*Rooms, error) {
	switch {
	case cfg.AppService == nil || cfg.AppService.Registration == nil || cfg.AppService.HomeserverDomain == "":
		return nil, errors.New("RoomsConfig.AppService has no registration or no homeserver: make it with appservice.CreateFull")
	case cfg.DB == nil:
		return nil, errors.New("RoomsConfig.DB is nil: set the bridge's database")
	}
	r := &Rooms{as: cfg.AppService, displayName: cmp.Or(cfg.DisplayName, defaultDisplayName), bridgeInfoKey: cfg.BridgeInfoKey, log: cfg.Log, transport: newTransport()}
	if r.bridgeInfoKey == nil {
		r.bridgeInfoKey = bridgeInfoKey
	}
	r.bot = r.client(r.as.BotMXID())
	if !strings.Contains(r.displayName, "{name}") {
		return nil, fmt.Errorf("RoomsConfig.DisplayName %q: {name} has to stand in it", cfg.DisplayName)
	}
	if err := r.setGhosts(cfg); err != nil {
		return nil, err
	}
	if err := schema.Connect(ctx, cfg.DB); err != nil {
		return nil, fmt.Errorf("connect to the database of the rooms: %w", err)
	}
	var err error
	if r.db, err = openTables(ctx, cfg.DB); err != nil {
		return nil, err
	}
	return r, nil
}

// setGhosts fills in which Matrix users are ghosts.
func (r *Rooms) setGhosts(cfg RoomsConfig) error {
	switch {
	case (cfg.GhostID == nil) != (cfg.ParseGhost == nil):
		return errors.New("RoomsConfig: set both of GhostID and ParseGhost, or neither")
	case cfg.GhostID != nil && cfg.GhostTemplate != "":
		return errors.New("RoomsConfig: set either GhostTemplate, or GhostID and ParseGhost")
	case cfg.GhostID != nil:
		r.ghostID, r.parseGhost = cfg.GhostID, cfg.ParseGhost
		return nil
	}
	template := cmp.Or(cfg.GhostTemplate, defaultGhostTemplate)
	t, err := parseGhostTemplate(template, r.as.HomeserverDomain)
	if err != nil {
		return fmt.Errorf("RoomsConfig.GhostTemplate %q: %w", template, err)
	}
	r.ghostID, r.parseGhost = t.ghostID, t.parseGhost
	if err := r.checkGhosts(); err != nil {
		return fmt.Errorf("RoomsConfig.GhostTemplate %q: %w", template, err)
	}
	return nil
}

// checkGhosts refuses a template whose ghosts are not users, or not the bridge's alone.
func (r *Rooms) checkGhosts() error {
	const largest = 1<<40 - 1 // of Telegram's user IDs
	for _, ghost := range []id.UserID{r.GhostID(1), r.GhostID(largest)} {
		if _, _, err := ghost.ParseAndValidateStrict(); err != nil {
			return fmt.Errorf("the ghost %s is no Matrix ID: %w", ghost, err)
		}
		if !slices.ContainsFunc(r.as.Registration.Namespaces.UserIDs, func(n appservice.Namespace) bool {
			pattern, err := regexp.Compile("^(?:" + n.Regex + ")") // homeservers look at the beginning
			return err == nil && n.Exclusive && pattern.MatchString(string(ghost))
		}) {
			return fmt.Errorf("the ghost %s is in no exclusive user namespace of the appservice's registration: correct the template, or the registration", ghost)
		}
	}
	if _, ghost := r.ParseGhost(r.bot.UserID); ghost {
		return fmt.Errorf("the bridge bot %s would be a ghost", r.bot.UserID)
	}
	return nil
}

// GhostID returns the Matrix ID of a Telegram user's ghost.
func (r *Rooms) GhostID(telegramID provisioning.TelegramID) id.UserID { return r.ghostID(telegramID) }

// ParseGhost returns the Telegram user of a ghost, and false for any other Matrix ID. A
// ghost that is no Telegram user's has the ID 0; see [RoomsConfig].
func (r *Rooms) ParseGhost(userID id.UserID) (telegramID provisioning.TelegramID, ok bool) {
	return r.parseGhost(userID)
}

// IsBridgeUser says whether a Matrix ID is the bridge bot's or a ghost's. It is what
// the configuration of a user store asks for.
func (r *Rooms) IsBridgeUser(userID id.UserID) bool {
	_, ghost := r.ParseGhost(userID)
	return ghost || userID == r.bot.UserID
}

// logger returns the logger of a call.
func (r *Rooms) logger(ctx context.Context) *zerolog.Logger {
	log := zerolog.Ctx(ctx)
	// mautrix-go's bridges set a DefaultContextLogger, which is no call's.
	if log == zerolog.DefaultContextLogger || log.GetLevel() == zerolog.Disabled {
		return &r.log
	}
	return log
}

// BotID implements provisioning.Rooms.
func (r *Rooms) BotID() id.UserID { return r.bot.UserID }

// Check implements [provisioning.Checker]: the homeserver has to know the appservice.
func (r *Rooms) Check(ctx context.Context) error {
	// Not tried again: whoever asks does.
	_, err := r.bot.Whoami(silent(ctx))
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("ask the homeserver: %w", ctx.Err())
	}
	return newHomeserverError("ask who the bridge is", err)
}

// CheckBot implements [provisioning.Rooms].
func (r *Rooms) CheckBot(ctx context.Context, roomID id.RoomID) error {
	membership, err := membershipOf(ctx, r.bot, roomID, r.bot.UserID)
	if err == nil && membership != event.MembershipJoin {
		err = provisioning.ErrBridgeBotNotInRoom
	}
	return err
}

// readRoom reads parts of a room that the bridge bot is in, all at once: what the homeserver
// says to a bot that is not there counts for nothing. Errors:
// [provisioning.ErrBridgeBotNotInRoom], also when the bot has to go in the middle.
func (r *Rooms) readRoom(ctx context.Context, roomID id.RoomID, parts ...func() error) error {
	there := func() error { return r.CheckBot(ctx, roomID) }
	return r.unlessGone(ctx, roomID, atOnce(append([]func() error{there}, parts...)...))
}

// unlessGone returns an error, or that the bridge bot is not in the room any more where
// that is why the homeserver has refused something.
func (r *Rooms) unlessGone(ctx context.Context, roomID id.RoomID, err error) error {
	if refused(err) {
		if gone := r.CheckBot(ctx, roomID); errors.Is(gone, provisioning.ErrBridgeBotNotInRoom) {
			return gone
		}
	}
	return err
}

// Room implements [provisioning.Rooms]. What somebody has set that makes no sense, such as a
// number for a name, counts as nothing.
func (r *Rooms) Room(ctx context.Context, roomID id.RoomID, query provisioning.RoomQuery) (room provisioning.Room, err error) {
	if query.Member != "" {
		return r.member(ctx, roomID, query.Member)
	}
	var alias, algorithm, replacement string
	var joined []id.UserID
	text := func(eventType event.Type, field string, to *string) func() error {
		return func() error {
			content, err := stateOf(ctx, r.bot, roomID, eventType, "")
			*to = textOf(content, field)
			return err
		}
	}
	parts := []func() error{
		text(event.StateEncryption, "algorithm", &algorithm),
		text(event.StateTombstone, "replacement_room", &replacement),
		func() (err error) {
			room.Predecessor, err = predecessor(ctx, r.bot, roomID)
			return err
		},
	}
	if query.Content {
		parts = append(parts, text(event.StateRoomName, "name", &room.Name), text(event.StateTopic, "topic", &room.Topic),
			text(event.StateCanonicalAlias, "alias", &alias), func() (err error) {
				joined, err = joinedMembers(ctx, r.bot, roomID)
				return err
			})
	}
	if err := r.readRoom(ctx, roomID, parts...); err != nil {
		return provisioning.Room{}, err
	}
	room.CanonicalAlias, room.Encrypted, room.Replacement = id.RoomAlias(alias), algorithm != "", id.RoomID(replacement)
	for _, userID := range joined {
		telegramID, ghost := r.ParseGhost(userID)
		switch {
		case ghost && telegramID != 0:
			room.Ghosts = append(room.Ghosts, telegramID)
		case !ghost && userID != r.bot.UserID:
			room.Users = append(room.Users, userID)
		}
	}
	return room, nil
}

// member reads whether a Matrix user has joined a room.
func (r *Rooms) member(ctx context.Context, roomID id.RoomID, userID id.UserID) (room provisioning.Room, err error) {
	err = r.readRoom(ctx, roomID, func() error {
		membership, err := membershipOf(ctx, r.bot, roomID, userID)
		room.Joined = membership == event.MembershipJoin
		return err
	})
	if err != nil {
		return provisioning.Room{}, err
	}
	return room, nil
}

// predecessor returns the room that another one says to be the upgrade of, "" for none.
func predecessor(ctx context.Context, as *mautrix.Client, roomID id.RoomID) (id.RoomID, error) {
	content, err := stateOf(ctx, as, roomID, event.StateCreate, "")
	var create struct {
		Predecessor json.RawMessage `json:"predecessor"`
	}
	_ = json.Unmarshal(content, &create) // what makes no sense counts as nothing
	return id.RoomID(textOf(create.Predecessor, "room_id")), err
}

package provisioning

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// The types of the state events whose power level says who may bridge a room, and
// who may end it. Nobody sends such events.
const (
	bridgeEvent   = "fi.mau.telegram.bridge"
	unbridgeEvent = "fi.mau.telegram.unbridge"
)

// RoomQuery says what to read of a room besides what costs little.
type RoomQuery struct {
	// Content asks for the fields of [Room] that say what the room is called and who is in
	// it. A large room has many members.
	Content bool
	// Member is the Matrix user of whom Joined is asked. Where it is set, nothing else is: the
	// other fields may be empty.
	Member id.UserID
}

// Room is a Matrix room as the bridge bot sees it.
type Room struct {
	// Encrypted says that messages are end-to-end encrypted.
	Encrypted bool
	// Predecessor is the room that this one says to be the upgrade of, Replacement the one
	// that it says to have been upgraded to, each "" where it says nothing. Only together
	// they are true: anybody can say the first.
	//
	// https://spec.matrix.org/v1.16/client-server-api/#room-upgrades
	Predecessor, Replacement id.RoomID

	// Joined says that the Member of the [RoomQuery] has joined the room.
	Joined bool

	// Name, Topic and CanonicalAlias are empty where the room has none. They and the
	// following ones are empty where the [RoomQuery] does not ask for Content.
	Name           string
	Topic          string
	CanonicalAlias id.RoomAlias
	// Ghosts are the Telegram user IDs of the ghosts that have joined the room.
	Ghosts []TelegramID
	// Users are the other Matrix users that have joined it, without the bridge
	// bot.
	Users []id.UserID
}

// PortalSetup is what [Rooms.SetUpPortal] shows in a room.
type PortalSetup struct {
	// Portal is what the room is.
	Portal Portal
	// UserID is the Matrix user who asked for the portal, "" where nobody in
	// particular did.
	UserID id.UserID
	// Photo gets the chat's photo, nil where it has none that can be had.
	Photo PhotoFunc
}

// PhotoFunc downloads a photo from Telegram. Its errors are those of [PhotoGetter].
type PhotoFunc func(ctx context.Context) (Photo, error)

// Photo is an image.
type Photo struct {
	// ID is Telegram's ID of the photo. Another photo has another ID.
	ID int64
	// Data is the file, Type its media type, such as image/jpeg.
	Data []byte
	Type string
}

// Rooms acts on Matrix rooms as the bridge bot and its ghosts. Package portal has
// one on an appservice. Beyond these methods, a Rooms may implement the optional
// interfaces [DirectRooms], [GhostAvatars] and [GhostUsers].
//
// Methods are called concurrently and honour the context. All of them, and those of the
// optional interfaces, return an error that wraps [ErrHomeserver] or the context's error
// when the homeserver can't be reached, or refuses for a reason that is not listed, and may
// return [ErrDatabase].
type Rooms interface {
	// BotID returns the bridge bot's Matrix ID: whoever wants a room bridged invites it. It
	// asks nobody.
	BotID() id.UserID

	// CheckBot returns nil when the bridge bot has joined the room. Errors:
	// [ErrBridgeBotNotInRoom] for every other room: one that does not exist, and one that
	// the bot was only invited to, has left, or was banned from.
	CheckBot(ctx context.Context, roomID id.RoomID) error

	// HasPower says whether a Matrix user has joined the room and has the power
	// level to send state events of the given type there. The creators of a room of
	// version 12 always have. Malformed power levels give power to nobody else.
	// Errors: [ErrBridgeBotNotInRoom].
	HasPower(ctx context.Context, roomID id.RoomID, userID id.UserID, eventType string) (bool, error)

	// Room reads what the query asks for of a room. Errors: [ErrBridgeBotNotInRoom].
	Room(ctx context.Context, roomID id.RoomID, query RoomQuery) (Room, error)

	// SetUpPortal makes a room show that it is bridged: bridge info (MSC2346), and
	// the chat's title, description and photo as name, topic and avatar, each only
	// where the room has none and the bot may set it. The room of a direct chat shows
	// bridge info alone, and has its name and avatar from the person. The bridge info of the
	// basic group that the portal's chat was goes. What the bot may not
	// do is no error, nor is a photo that can't be had. Doing it again changes nothing.
	// Errors: [ErrBridgeBotNotInRoom]: the bot has left since the portal was recorded,
	// which ends that of a group.
	SetUpPortal(ctx context.Context, setup PortalSetup) error

	// CleanUp removes what shows in a room that it was bridged: the bridge info goes and the
	// ghosts leave; the room stays otherwise as it is. With everybody set, all the
	// others are kicked, and the bridge bot leaves last; the bridge info of every
	// portal that the room has been goes as well, since an earlier clean-up that is
	// still to come finds no bot there. A member that can't be kicked stops nothing,
	// and a room that the bot is not in is no error: the ghosts known to be there
	// leave all the same. Doing it again finishes what is left.
	CleanUp(ctx context.Context, portal Portal, everybody bool) error
}

// DirectRooms is an optional interface of [Rooms]: rooms for direct chats. It
// unlocks start_dm.
type DirectRooms interface {
	// CreateDirect makes a room for the direct chat of a Matrix user with somebody on
	// Telegram, with that person's ghost and the bridge bot in it, both with the power
	// to do everything. The ghost has the contact's name. The Matrix user is not in it
	// yet, so that a crash leaves nothing that somebody would see.
	CreateDirect(ctx context.Context, userID id.UserID, contact Contact) (id.RoomID, error)

	// InviteToDirect has the ghost of a Telegram user invite a Matrix user to their
	// direct room, unless the user is in it or is invited already. The invitation is
	// marked as one to a direct chat. Errors: [ErrMatrixInviteRefused], after which it is not
	// tried again until somebody asks for the chat; after other errors it is, in the
	// background.
	InviteToDirect(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID TelegramID) error
}

// GhostAvatars is an optional interface of [Rooms]: the profiles of ghosts. With
// it, contacts have an avatar_url.
type GhostAvatars interface {
	// Avatars returns the avatars of those contacts whose ghosts have one, by the
	// contacts' IDs, as mxc:// URIs, and the contacts whose ghost does not have their
	// current photo. A contact without a photo is in neither. It reads what is known
	// here and waits for no download.
	Avatars(ctx context.Context, contacts []Contact) (known map[TelegramID]id.ContentURIString, outdated []Contact, err error)

	// UpdateGhost gives a contact's ghost the contact's name and photo, each only
	// when it has changed. The photo is asked for only when it is not known here; a
	// nil photo leaves the avatar alone.
	UpdateGhost(ctx context.Context, contact Contact, photo PhotoFunc) error
}

// GhostUsers is an optional interface of [Rooms] that records which Matrix users ghosts are
// there for, so that [Provisioner.ForgetUser] can remove what is kept of the ghosts that
// nobody else needs.
type GhostUsers interface {
	// NeedGhosts records that a Matrix user needs the ghosts of some Telegram users, before
	// anything is kept of these ghosts on their behalf.
	NeedGhosts(ctx context.Context, userID id.UserID, telegramIDs ...TelegramID) error

	// ForgetGhosts removes that record, and what is kept here of the ghosts that no other
	// user is recorded to need, their names and avatars, and says of how many that was. It
	// is kept again when it is next needed.
	ForgetGhosts(ctx context.Context, userID id.UserID) (ghosts int, err error)
}

package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// abandonTime is how long leaving a room may take that could not be finished.
const abandonTime = 10 * time.Second

// CreateDirect implements [provisioning.DirectRooms]. The ghost creates the room.
func (r *Rooms) CreateDirect(ctx context.Context, _ id.UserID, contact provisioning.Contact) (id.RoomID, error) {
	if err := r.UpdateGhost(ctx, contact, nil); err != nil {
		return "", err
	}
	ghost := r.ghost(contact.ID)
	var roomID id.RoomID
	err := try(ctx, "create a room", func(ctx context.Context) error {
		// With this preset everybody who is invited here has the power of the creator.
		created, err := ghost.CreateRoom(ctx, &mautrix.ReqCreateRoom{
			Preset: "trusted_private_chat", Visibility: "private", IsDirect: true, Invite: []id.UserID{r.bot.UserID},
		})
		if err == nil {
			roomID = created.RoomID
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if err = r.bringBot(ctx, ghost, roomID); err != nil {
		r.abandon(ctx, ghost, roomID)
		return "", err
	}
	r.uninvited.Store(roomID, nil)
	return roomID, nil
}

// bringBot has the bridge bot, which is invited, join a ghost's room.
func (r *Rooms) bringBot(ctx context.Context, ghost *mautrix.Client, roomID id.RoomID) error {
	var levels levels
	err := atOnce(func() error { return joinRoom(ctx, r.bot, roomID) }, func() (err error) {
		levels, err = levelsOf(ctx, ghost, roomID)
		return err
	})
	if err != nil || levels.allow(r.bot.UserID, event.StatePowerLevels.Type) {
		return err
	}
	return r.empowerBot(ctx, ghost, roomID)
}

// empowerBot gives the bridge bot power in a ghost's room whose homeserver has not. What
// the room's version wants to be said of its creator stands in its power levels already.
func (r *Rooms) empowerBot(ctx context.Context, ghost *mautrix.Client, roomID id.RoomID) error {
	content, err := stateOf(ctx, ghost, roomID, event.StatePowerLevels, "")
	if err != nil {
		return err
	}
	var levels map[string]any
	if json.Unmarshal(content, &levels) != nil || levels == nil {
		return fmt.Errorf("%w: the power levels of a new room make no sense", provisioning.ErrHomeserver)
	}
	users, _ := levels["users"].(map[string]any)
	if users == nil {
		users = map[string]any{}
	}
	users[string(r.bot.UserID)] = creatorLevel
	levels["users"] = users
	may, err := setState(ctx, ghost, roomID, event.StatePowerLevels, "", levels)
	if err == nil && !may {
		err = fmt.Errorf("%w: a ghost may not give the bridge bot power in its own room", provisioning.ErrHomeserver)
	}
	return err
}

// abandon has the bridge leave a room of a ghost's that could not be finished.
func (r *Rooms) abandon(ctx context.Context, ghost *mautrix.Client, roomID id.RoomID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	if err := errors.Join(leaveRoom(ctx, r.bot, roomID), leaveRoom(ctx, ghost, roomID)); err != nil {
		r.logger(ctx).Warn().Err(err).Stringer("room_id", roomID).Msg("A room for a direct chat that could not be finished could not be left either")
	}
}

// InviteToDirect implements [provisioning.DirectRooms]. Where the ghost can't, the bridge
// bot invites.
func (r *Rooms) InviteToDirect(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID provisioning.TelegramID) error {
	ghost := r.ghost(telegramID)
	if _, made := r.uninvited.LoadAndDelete(roomID); made {
		if may, err := inviteDirect(ctx, ghost, roomID, userID); err != nil || may {
			return err
		}
	}
	for _, inviter := range []*mautrix.Client{ghost, r.bot} {
		var own, membership event.Membership
		err := atOnce(func() (err error) {
			own, err = membershipOf(ctx, inviter, roomID, inviter.UserID)
			return err
		}, func() (err error) {
			membership, err = membershipOf(ctx, inviter, roomID, userID)
			return err
		})
		if err != nil {
			return err
		}
		if own != event.MembershipJoin {
			continue
		}
		if membership == event.MembershipJoin || membership == event.MembershipInvite {
			return nil
		}
		if may, err := inviteDirect(ctx, inviter, roomID, userID); err != nil || may {
			return err
		}
	}
	return provisioning.ErrMatrixInviteRefused
}

// inviteDirect invites a user to a direct chat, and returns whether the inviter may.
func inviteDirect(ctx context.Context, inviter *mautrix.Client, roomID id.RoomID, userID id.UserID) (may bool, err error) {
	// POST …/invite can't say that the chat is direct.
	content := map[string]any{"membership": event.MembershipInvite, "is_direct": true}
	return setState(ctx, inviter, roomID, event.StateMember, string(userID), content)
}

package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// CreateDirect implements [provisioning.DirectRooms]. The ghost creates the room.
func (r *Rooms) CreateDirect(ctx context.Context, _ id.UserID, contact provisioning.Contact) (id.RoomID, error) {
	if err := r.UpdateGhost(ctx, contact, nil); err != nil {
		return "", err
	}
	ghost := r.ghost(contact.ID)
	var created *mautrix.RespCreateRoom
	err := try(ctx, func(ctx context.Context) (err error) {
		created, err = ghost.CreateRoom(ctx, &mautrix.ReqCreateRoom{
			Preset: "private_chat", Visibility: "private", IsDirect: true, Invite: []id.UserID{r.bot.UserID},
		})
		return err
	})
	if err != nil {
		return "", fault(ctx, "create a room", err)
	}
	if err := r.bringBot(ctx, ghost, created.RoomID); err != nil {
		abandon := context.WithoutCancel(ctx)
		return "", errors.Join(err, r.leave(abandon, r.bot, created.RoomID), r.leave(abandon, ghost, created.RoomID))
	}
	return created.RoomID, nil
}

// bringBot has the bridge bot, which is invited, join a ghost's room, with the power to
// do everything. What the room's version says about its creator stands in its power
// levels already.
func (r *Rooms) bringBot(ctx context.Context, ghost *mautrix.Client, roomID id.RoomID) error {
	levels := map[string]any{}
	if _, err := r.state(ctx, ghost, roomID, event.StatePowerLevels, "", &levels); err != nil {
		return err
	}
	users := map[string]any{}
	if current, ok := levels["users"].(map[string]any); ok {
		maps.Copy(users, current)
	}
	users[string(r.bot.UserID)] = creatorLevel
	levels["users"] = users
	if may, err := r.send(ctx, ghost, roomID, event.StatePowerLevels, "", levels); err != nil || !may {
		return cmp.Or(err, fmt.Errorf("%w: a ghost may not give the bridge bot power in its own room", provisioning.ErrHomeserver))
	}
	err := try(ctx, func(ctx context.Context) error {
		_, err := r.bot.JoinRoomByID(ctx, roomID)
		return err
	})
	return fault(ctx, "join a room", err)
}

// InviteToDirect implements [provisioning.DirectRooms]. Where the ghost is not in the
// room any more, the bridge bot invites.
func (r *Rooms) InviteToDirect(ctx context.Context, roomID id.RoomID, userID id.UserID, telegramID int64) error {
	for _, inviter := range []*mautrix.Client{r.ghost(telegramID), r.bot} {
		own, err := r.membership(ctx, inviter, roomID, inviter.UserID)
		if err != nil {
			return err
		}
		if own != event.MembershipJoin {
			continue
		}
		membership, err := r.membership(ctx, inviter, roomID, userID)
		if err != nil || membership == event.MembershipJoin || membership == event.MembershipInvite {
			return err
		}
		// An invitation by POST can't say that the chat is direct.
		content := map[string]any{"membership": event.MembershipInvite, "is_direct": true}
		if may, err := r.send(ctx, inviter, roomID, event.StateMember, string(userID), content); err != nil || may {
			return err
		}
	}
	return fmt.Errorf("%w: nobody may invite %s to a direct room", provisioning.ErrHomeserver, userID)
}

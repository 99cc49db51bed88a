package portal

import (
	"context"
	"errors"
	"slices"
	"sync"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// cleanUpWorkers is how many members leave or are kicked at a time.
const cleanUpWorkers = 8

// CleanUp implements [provisioning.Rooms].
func (r *Rooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	roomID := portal.RoomID
	keeper := r.bot // who looks after the room
	err := r.CheckBot(ctx, roomID)
	if errors.Is(err, provisioning.ErrBotNotInRoom) {
		if portal.Receiver == 0 {
			return nil
		}
		keeper = r.ghost(int64(portal.ChatID))
		var membership event.Membership
		membership, err = r.membership(ctx, keeper, roomID, keeper.UserID)
		if err == nil && membership != event.MembershipJoin {
			return nil
		}
	}
	if err != nil {
		return err
	}
	faults := []error{r.removeBridgeInfo(ctx, keeper, portal)}
	members, err := r.joined(ctx, keeper, roomID)
	if err != nil {
		return errors.Join(append(faults, err)...)
	}
	if everybody {
		faults = append(faults, r.kickAll(ctx, keeper, portal, members))
	}
	faults = append(faults, each(members, func(userID id.UserID) error {
		if _, ghost := r.ParseGhost(userID); !ghost {
			return nil
		}
		return r.leave(ctx, r.client(userID), roomID)
	}))
	if err := errors.Join(faults...); err != nil || !everybody || keeper != r.bot {
		return err
	}
	return r.leave(ctx, r.bot, roomID)
}

// removeBridgeInfo empties the portal's bridge info, if the one who looks after the
// room may.
func (r *Rooms) removeBridgeInfo(ctx context.Context, keeper *mautrix.Client, portal provisioning.Portal) error {
	for _, eventType := range bridgeInfoTypes {
		var current map[string]any
		found, err := r.state(ctx, keeper, portal.RoomID, eventType, bridgeInfoKey(portal), &current)
		if err != nil && !malformed(err) {
			return err
		}
		if found && len(current) == 0 || !found && err == nil {
			continue
		}
		if _, err := r.send(ctx, keeper, portal.RoomID, eventType, bridgeInfoKey(portal), struct{}{}); err != nil {
			return err
		}
	}
	return nil
}

// leave has one of the bridge's users leave a room, wherever they are in it.
func (r *Rooms) leave(ctx context.Context, user *mautrix.Client, roomID id.RoomID) error {
	err := try(ctx, func(ctx context.Context) error {
		_, err := user.LeaveRoom(ctx, roomID)
		return err
	})
	if refused(err) {
		return nil // is not there any more
	}
	return fault(ctx, "leave a room", err)
}

// kickAll kicks everybody who is in a room, or invited, and is not the bridge's. Those
// who can't be kicked stay.
func (r *Rooms) kickAll(ctx context.Context, keeper *mautrix.Client, portal provisioning.Portal, members []id.UserID) error {
	var invited *mautrix.RespMembers
	err := try(ctx, func(ctx context.Context) (err error) {
		invited, err = keeper.Members(ctx, portal.RoomID, mautrix.ReqMembers{Membership: event.MembershipInvite})
		return err
	})
	if err != nil {
		return fault(ctx, "list who is invited to a room", err)
	}
	targets := slices.Clone(members)
	for _, e := range invited.Chunk {
		targets = append(targets, id.UserID(e.GetStateKey()))
	}
	targets = slices.DeleteFunc(targets, r.IsBridgeUser)
	kickers := []*mautrix.Client{keeper}
	if ghost := r.ghost(int64(portal.ChatID)); portal.Receiver != 0 && slices.Contains(members, ghost.UserID) && keeper == r.bot {
		kickers = append(kickers, ghost) // has created the room
	}
	var mu sync.Mutex
	stayed := 0
	err = each(targets, func(userID id.UserID) error {
		gone, err := r.kick(ctx, kickers, portal.RoomID, userID)
		if err == nil && !gone {
			mu.Lock()
			stayed++
			mu.Unlock()
		}
		return err
	})
	if stayed > 0 {
		r.log.Info().Stringer("room_id", portal.RoomID).Int("members", stayed).Msg("Some members of a room could not be kicked")
	}
	return err
}

// kick has the first who may kick a user; false where nobody may.
func (r *Rooms) kick(ctx context.Context, kickers []*mautrix.Client, roomID id.RoomID, userID id.UserID) (bool, error) {
	for _, kicker := range kickers {
		err := try(ctx, func(ctx context.Context) error {
			_, err := kicker.KickUser(ctx, roomID, &mautrix.ReqKickUser{UserID: userID, Reason: "This room is bridged no more"})
			return err
		})
		if err == nil {
			return true, nil
		}
		if !refused(err) {
			return false, fault(ctx, "kick a member of a room", err)
		}
	}
	// Whoever has left meanwhile is not there to be kicked.
	membership, err := r.membership(ctx, kickers[0], roomID, userID)
	return membership != event.MembershipJoin && membership != event.MembershipInvite, err
}

// each does something for some users, a few at a time, and returns all errors: one of
// them stops nothing.
func each(users []id.UserID, do func(id.UserID) error) error {
	faults := make([]error, len(users))
	slots := make(chan struct{}, cleanUpWorkers)
	var wg sync.WaitGroup
	for i, userID := range users {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			faults[i] = do(userID)
		})
	}
	wg.Wait()
	return errors.Join(slices.DeleteFunc(faults, func(err error) bool { return err == nil })...)
}

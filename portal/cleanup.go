package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

const (
	// cleanUpWorkers is how many members leave or are kicked at a time.
	cleanUpWorkers = 10
	// maxFaults is how many members in a row, none of which the homeserver has a good
	// answer for, are enough: the rest waits for the next time.
	maxFaults = 40
	// maxWitnesses is how many ghosts are asked whether they are in a room that the
	// bridge bot is not in.
	maxWitnesses = 20
)

// CleanUp implements [provisioning.Rooms]. In a room that the bridge bot is not in, the
// ghosts known to be there are that of a direct chat and those that the appservice's
// StateStore has seen there, and if one of them is, all the others as well.
func (r *Rooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	r.uninvited.Delete(portal.RoomID)
	keeper, err := r.keeper(ctx, portal, everybody)
	if err != nil || keeper == nil {
		return err
	}
	var faults []error
	var members []id.UserID
	var levels levels
	if everybody {
		var infos []stateEvent
		if members, infos, levels, err = r.whatToCleanUp(ctx, keeper, portal); err != nil {
			return err
		}
		faults = append(faults, r.emptyAllBridgeInfo(ctx, keeper, portal.RoomID, infos))
	} else {
		err = atOnce(func() (err error) {
			members, err = joinedMembers(ctx, keeper, portal.RoomID)
			return err
		}, func() error {
			faults = append(faults, r.removeBridgeInfo(ctx, keeper, portal))
			return nil
		})
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
	}
	var ghosts, others []id.UserID
	for _, userID := range members {
		if _, ghost := r.ParseGhost(userID); ghost {
			ghosts = append(ghosts, userID)
		} else if userID != r.bot.UserID {
			others = append(others, userID)
		}
	}
	if everybody { // by a ghost, perhaps, so before they leave
		faults = append(faults, r.kickAll(ctx, keeper, portal, levels, ghosts, others))
	}
	ghosts = slices.DeleteFunc(ghosts, func(userID id.UserID) bool { return userID == keeper.UserID })
	faults = append(faults, each(ctx, ghosts, func(userID id.UserID) error {
		return leaveRoom(ctx, r.client(userID), portal.RoomID)
	}))
	// The next time, somebody has to be there who sees who is left.
	if err = errors.Join(faults...); err != nil || keeper == r.bot && !everybody {
		return err
	}
	return leaveRoom(ctx, keeper, portal.RoomID)
}

// keeper returns which of the bridge's users looks after a room: the bridge bot, or else
// a ghost; nil where none is known to be there.
func (r *Rooms) keeper(ctx context.Context, portal provisioning.Portal, everybody bool) (*mautrix.Client, error) {
	membership, err := membershipOf(ctx, r.bot, portal.RoomID, r.bot.UserID)
	if err != nil {
		return nil, err
	}
	if membership == event.MembershipJoin {
		return r.bot, nil
	}
	if membership == event.MembershipInvite && everybody {
		if err = leaveRoom(ctx, r.bot, portal.RoomID); err != nil {
			return nil, err
		}
	}
	for _, userID := range r.witnesses(ctx, portal) {
		ghost := r.client(userID)
		if membership, err = membershipOf(ctx, ghost, portal.RoomID, userID); err != nil {
			return nil, err
		}
		if membership == event.MembershipJoin {
			return ghost, nil
		}
	}
	return nil, nil
}

// witnesses returns ghosts that may be in a room.
func (r *Rooms) witnesses(ctx context.Context, portal provisioning.Portal) (ghosts []id.UserID) {
	if portal.Receiver != 0 {
		ghosts = append(ghosts, r.GhostID(provisioning.TelegramID(portal.ChatID)))
	}
	if r.as.StateStore == nil {
		return ghosts
	}
	seen, err := r.membersSeen(ctx, portal.RoomID)
	if err != nil {
		r.logger(ctx).Debug().Err(err).Stringer("room_id", portal.RoomID).Msg("The appservice's state store does not know who is in a room")
	}
	for _, userID := range seen {
		if _, ghost := r.ParseGhost(userID); ghost && !slices.Contains(ghosts, userID) && len(ghosts) < maxWitnesses {
			ghosts = append(ghosts, userID)
		}
	}
	return ghosts
}

// membersSeen lists who is in a room, as far as the appservice's StateStore knows.
func (r *Rooms) membersSeen(ctx context.Context, roomID id.RoomID) ([]id.UserID, error) {
	store, inMemory := r.as.StateStore.(*mautrix.MemoryStateStore)
	if !inMemory {
		return r.as.StateStore.GetRoomJoinedOrInvitedMembers(ctx, roomID)
	}
	// In mautrix v0.31.0 that method of this store reads a map without its lock, while events
	// change it; see TestCleanUpWhileEventsCome. It lists those who have left, too.
	members, err := store.GetAllMembers(ctx, roomID)
	return slices.Collect(maps.Keys(members)), err
}

// whatToCleanUp lists who has joined a portal's room or is invited to it, and the
// bridge info there of the portal and of all others that the room has been, without
// what it says. When earlier portals are cleaned up later than this one, nobody of the
// bridge is there any more to do it. It returns the room's power levels too.
func (r *Rooms) whatToCleanUp(ctx context.Context, as *mautrix.Client, portal provisioning.Portal) (members []id.UserID, infos []stateEvent, l levels, err error) {
	var power json.RawMessage
	var create stateEvent
	err = readState(ctx, as, portal.RoomID, func(e stateEvent) {
		switch {
		case e.Type == event.StateMember.Type:
			membership := event.Membership(textOf(e.Content, "membership"))
			if membership == event.MembershipJoin || membership == event.MembershipInvite {
				members = append(members, id.UserID(e.StateKey))
			}
		case e.Type == event.StatePowerLevels.Type && e.StateKey == "":
			power = e.Content
		case e.Type == event.StateCreate.Type:
			create = e
		case r.isOwnBridgeInfo(e, portal):
			infos = append(infos, stateEvent{Type: e.Type, StateKey: e.StateKey})
		}
	})
	return members, infos, newLevels(power, create), err
}

// kickAll kicks members of a room. Those who can't be kicked stay.
func (r *Rooms) kickAll(ctx context.Context, keeper *mautrix.Client, portal provisioning.Portal, levels levels, ghosts, members []id.UserID) error {
	if len(members) == 0 {
		return nil
	}
	kickers := []*mautrix.Client{keeper}
	if creator := r.GhostID(provisioning.TelegramID(portal.ChatID)); portal.Receiver != 0 && creator != keeper.UserID && slices.Contains(ghosts, creator) {
		kickers = append(kickers, r.client(creator))
	}
	kickers = slices.DeleteFunc(kickers, func(c *mautrix.Client) bool { return levels.forbidKicks(c.UserID) })
	var stayed atomic.Int64
	err := each(ctx, members, func(userID id.UserID) error {
		kicked, err := kick(ctx, kickers, portal.RoomID, userID)
		if err == nil && !kicked {
			stayed.Add(1)
			r.logger(ctx).Debug().Stringer("room_id", portal.RoomID).Stringer("user_id", userID).Msg("A member of a room can't be kicked")
		}
		return err
	})
	if n := stayed.Load(); n > 0 {
		r.logger(ctx).Info().Stringer("room_id", portal.RoomID).Int64("members", n).Msg("Some members of a room can't be kicked")
	}
	return err
}

// kick has the first who may kick a user; false where nobody may.
func kick(ctx context.Context, kickers []*mautrix.Client, roomID id.RoomID, userID id.UserID) (bool, error) {
	for _, kicker := range kickers {
		err := try(ctx, "kick a member of a room", func(ctx context.Context) error {
			_, err := kicker.KickUser(ctx, roomID, &mautrix.ReqKickUser{UserID: userID, Reason: "This room is not bridged any more"})
			return err
		})
		if !refused(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// each does something for some users, a few at a time. An error stops nothing, unless
// there are too many in a row. It returns the first.
func each(ctx context.Context, users []id.UserID, do func(id.UserID) error) error {
	var (
		group         errgroup.Group
		mu            sync.Mutex
		first         error
		faults, inRow int
	)
	group.SetLimit(cleanUpWorkers)
	for _, userID := range users {
		mu.Lock()
		hopeless := inRow >= maxFaults || ctx.Err() != nil
		mu.Unlock()
		if hopeless {
			break
		}
		group.Go(func() error {
			err := do(userID)
			mu.Lock()
			defer mu.Unlock()
			if inRow++; err == nil {
				inRow = 0
			} else if faults++; first == nil {
				first = err
			}
			return nil
		})
	}
	_ = group.Wait()
	switch {
	case first == nil:
		return ctx.Err()
	case faults > 1:
		return fmt.Errorf("%w (and %d more errors)", first, faults-1)
	}
	return first
}

package bridgev2host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/bridgev2/simplevent"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/rs/zerolog"
	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
)

// rooms reads and cleans up rooms as package portal does, and has bridgev2 show in them that
// they are bridged. The Rooms are set by Start.
type rooms struct {
	*portal.Rooms
	h *Host
}

var (
	_ provisioning.Rooms        = (*rooms)(nil)
	_ provisioning.GhostAvatars = (*rooms)(nil)
)

// SetUpPortal implements [provisioning.Rooms]. The room gets the chat's name, topic and
// avatar where it has none; then bridgev2 brings in the members and the bridge info. Later
// changes of the chat come from bridgev2 as in every portal.
func (r *rooms) SetUpPortal(ctx context.Context, setup provisioning.PortalSetup) error {
	if err := r.Describe(ctx, setup); err != nil {
		return err
	}
	p, err := r.h.br.GetPortalByMXID(ctx, setup.Portal.RoomID)
	if err != nil {
		return fault(ctx, "load a portal", err)
	}
	if p == nil {
		return nil
	}
	login, err := r.source(ctx, p.PortalKey, setup.UserID)
	if err != nil {
		return err
	}
	info, err := login.Client.GetChatInfo(ctx, p)
	if err != nil {
		return r.h.network.Error(err)
	}
	if info == nil {
		return errors.New("the connector says nothing of a chat")
	}
	return r.resync(ctx, p, login, info)
}

// source returns the login that describes the chat of a portal: the user's, or else any.
func (r *rooms) source(ctx context.Context, key networkid.PortalKey, userID id.UserID) (*bridgev2.UserLogin, error) {
	logins, err := r.h.br.GetUserLoginsInPortal(ctx, key)
	if err != nil {
		return nil, fault(ctx, "list the logins in a portal", err)
	}
	logins = slices.DeleteFunc(logins, func(l *bridgev2.UserLogin) bool { return !r.h.network.HasSession(l) })
	if len(logins) == 0 {
		return nil, provisioning.ErrNotLoggedIn
	}
	if i := slices.IndexFunc(logins, func(l *bridgev2.UserLogin) bool { return l.UserMXID == userID }); i >= 0 {
		return logins[i], nil
	}
	return logins[0], nil
}

// CleanUp implements [provisioning.Rooms]. All portals of a bridge have the same key for
// their bridge info: a room that is the portal of another chat by now gets that again.
func (r *rooms) CleanUp(ctx context.Context, portal provisioning.Portal, everybody bool) error {
	if err := r.Rooms.CleanUp(ctx, portal, everybody); err != nil {
		return err
	}
	p, err := r.h.br.GetPortalByMXID(ctx, portal.RoomID)
	if err != nil {
		return fault(ctx, "load a portal", err)
	}
	if p == nil {
		return nil
	}
	login, err := r.source(ctx, p.PortalKey, "")
	if errors.Is(err, provisioning.ErrNotLoggedIn) {
		p.UpdateBridgeInfo(r.h.background(ctx))
		return nil
	}
	if err != nil {
		return err
	}
	return r.resync(ctx, p, login, &bridgev2.ChatInfo{})
}

// resync has the portal's own goroutine take in what is known of the chat, but for what
// the room shows already, and send the bridge info.
func (r *rooms) resync(ctx context.Context, p *bridgev2.Portal, login *bridgev2.UserLogin, info *bridgev2.ChatInfo) error {
	done := make(chan struct{})
	shown := *info
	shown.Avatar = nil
	result := r.h.br.QueueRemoteEvent(login, &simplevent.ChatResync{
		EventMeta: simplevent.EventMeta{
			Type: bridgev2.RemoteEventChatResync, PortalKey: p.PortalKey,
			PreHandleFunc: func(_ context.Context, p *bridgev2.Portal) {
				if shown.Name != nil {
					p.Name, p.NameSet = *shown.Name, true
				}
				if shown.Topic != nil {
					p.Topic, p.TopicSet = *shown.Topic, true
				}
			},
			PostHandleFunc: func(ctx context.Context, p *bridgev2.Portal) {
				if !r.showsBridgeInfo(ctx, p) {
					p.UpdateBridgeInfo(ctx)
				}
				if err := p.Save(ctx); err != nil {
					p.Log.Err(err).Msg("Could not save a portal after its set-up")
				}
				close(done)
			},
		},
		ChatInfo: &shown,
	})
	if result.Error != nil {
		return fmt.Errorf("set up a portal: %w", result.Error)
	}
	// bridgev2 drops the event without a word where the room was disconnected meanwhile. Another
	// one comes after it, whose log context it asks for in any case.
	handled := make(chan struct{})
	handledOnce := sync.OnceFunc(func() { close(handled) })
	result = r.h.br.QueueRemoteEvent(login, &simplevent.EventMeta{
		Type: bridgev2.RemoteEventUnknown, PortalKey: p.PortalKey,
		LogContext: func(c zerolog.Context) zerolog.Context {
			handledOnce()
			return c
		},
	})
	if result.Error != nil {
		return fmt.Errorf("set up a portal: %w", result.Error)
	}
	if result.Ignored {
		return nil // and so was the first
	}
	select {
	case <-done:
	case <-handled:
	case <-ctx.Done():
		return fmt.Errorf("wait for the bridge to set up a portal: %w", ctx.Err())
	}
	return nil
}

// showsBridgeInfo says whether the room of a portal has its bridge info. A homeserver takes
// the same again as another event.
func (r *rooms) showsBridgeInfo(ctx context.Context, p *bridgev2.Portal) bool {
	for _, eventType := range []event.Type{event.StateBridge, event.StateHalfShotBridge} {
		var info event.BridgeEventContent
		err := r.h.as.BotClient().StateEvent(ctx, p.MXID, eventType, r.h.bridgeInfoKey(provisioning.Portal{}), &info)
		shown := info.Channel
		if err != nil || shown.ID != string(p.ID) || shown.Receiver != string(p.Receiver) || shown.DisplayName != p.Name {
			return false
		}
	}
	return true
}

// Avatars implements [provisioning.GhostAvatars]. bridgev2 keeps the ghosts up to date by
// itself: none is outdated.
func (r *rooms) Avatars(ctx context.Context, contacts []provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact, error) {
	known := make(map[provisioning.TelegramID]id.ContentURIString, len(contacts))
	var ids []networkid.UserID
	for _, contact := range contacts {
		if contact.PhotoID != 0 {
			ids = append(ids, r.h.network.GhostID(contact.ID))
		}
	}
	db := schema.DB{Database: r.h.br.DB.Database}
	rows, err := db.Query(ctx, `SELECT id, avatar_mxc FROM ghost
		WHERE bridge_id=$1 AND avatar_mxc<>'' AND id IN (`+db.Texts("$2")+`)`, r.h.br.ID, schema.Array(ids))
	err = dbutil.NewRowIterWithError(rows, scanAvatar, err).Iter(func(a ghostAvatar) (bool, error) {
		known[r.h.network.ParseGhostID(a.ghostID)] = a.avatar
		return true, nil
	})
	if err != nil {
		return nil, nil, fault(ctx, "look up ghosts", err)
	}
	return known, nil, nil
}

type ghostAvatar struct {
	ghostID networkid.UserID
	avatar  id.ContentURIString
}

func scanAvatar(row dbutil.Scannable) (a ghostAvatar, err error) {
	err = row.Scan(&a.ghostID, &a.avatar)
	return a, err
}

// UpdateGhost implements [provisioning.GhostAvatars]: bridgev2 does it by itself.
func (r *rooms) UpdateGhost(context.Context, provisioning.Contact, provisioning.PhotoFunc) error {
	return nil
}

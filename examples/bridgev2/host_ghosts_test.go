//go:build cgo

package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/examples/bridgev2/connector"
	"github.com/tgprovision/tgprovision/provisioning"
)

// The suite of GhostAvatars is about ghosts that the API updates. Those of a bridge are
// updated by the bridge.
func TestContactsHaveTheAvatarsOfTheBridgesGhosts(t *testing.T) {
	w := newWorld(t)
	ghosts := w.bridge.api.Config().Rooms.(provisioning.GhostAvatars)
	avatarOf := func(user int64, photo string) id.ContentURIString {
		ghost, err := w.bridge.Bridge.GetGhostByID(w.ctx, connector.UserID(user))
		require.NoError(t, err)
		avatar := &bridgev2.Avatar{ID: networkid.AvatarID(photo), Get: func(context.Context) ([]byte, error) { return []byte(photo), nil }}
		ghost.UpdateInfo(w.ctx, &bridgev2.UserInfo{Avatar: avatar})
		_, uri, ok := w.homeserver.Profile(ghost.Intent.GetMXID())
		require.True(t, ok)
		require.NotEmpty(t, uri)
		return uri
	}
	const many, last = 66_000, 70_000_000
	contacts := []provisioning.Contact{
		{ID: grace, PhotoID: 77}, {ID: charles, PhotoID: 78}, {ID: 9300}, {ID: 9301, PhotoID: 79},
	}
	for i := range provisioning.TelegramID(many) {
		contacts = append(contacts, provisioning.Contact{ID: last - i, PhotoID: 1})
	}
	want := map[provisioning.TelegramID]id.ContentURIString{
		grace: avatarOf(grace, "photo of Grace"), charles: avatarOf(charles, "photo of Charles"), last: avatarOf(last, "another"),
	}
	avatarOf(9300, "a photo that the account does not see")
	_, err := w.bridge.Bridge.GetGhostByID(w.ctx, connector.UserID(9301)) // a ghost without an avatar
	require.NoError(t, err)
	known, outdated, err := ghosts.Avatars(w.ctx, contacts)
	require.NoError(t, err)
	require.Equal(t, want, known)
	require.Empty(t, outdated)

	want[grace] = avatarOf(grace, "another photo of Grace")
	known, _, err = ghosts.Avatars(w.ctx, contacts)
	require.NoError(t, err)
	require.Equal(t, want, known)

	require.NoError(t, ghosts.UpdateGhost(w.ctx, contacts[1], func(context.Context) (provisioning.Photo, error) {
		t.Error("the API has asked for a photo")
		return provisioning.Photo{}, provisioning.ErrPhotoGone
	}))
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, _, err = ghosts.Avatars(ctx, contacts)
	require.ErrorIs(t, err, context.Canceled)
}

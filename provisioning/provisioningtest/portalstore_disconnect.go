package provisioningtest

import (
	"context"
	"errors"

	"github.com/tgprovision/tgprovision/provisioning"
)

func checkDisconnect(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b, c := group(roomA, 1, 7, 8), direct(roomB, 5, 7), direct(roomC, 5, 8)
	connect(t, s, a, b, c)
	disconnect(t, s, a.Portal)
	expectPortals(t, s, []provisioning.NewPortal{b, c}, a)
	disconnect(t, s, b.Portal)
	expectPortals(t, s, []provisioning.NewPortal{c}, a, b)
}

func checkDisconnectOther(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := direct(roomA, 5, 7), group(roomB, 2, 7)
	connect(t, s, a, b)
	for _, n := range []provisioning.NewPortal{
		direct(roomC, 5, 7),
		direct(roomB, 5, 7),
		direct(roomA, 6, 7),
		direct(roomA, 5, 8),
		direct(roomA, 5, 0),
		group(roomA, 5),
		group(roomA, 2),
		group(roomC, 9),
	} {
		if err := s.Disconnect(t.Context(), n.Portal); !errors.Is(err, provisioning.ErrPortalNotFound) {
			t.Errorf("Disconnect(%+v): %v; want ErrPortalNotFound", n.Portal, err)
		}
		expectPortals(t, s, []provisioning.NewPortal{a, b})
	}
	disconnect(t, s, a.Portal)
	if err := s.Disconnect(t.Context(), a.Portal); !errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("Disconnect a second time: %v; want ErrPortalNotFound", err)
	}
	expectPortals(t, s, []provisioning.NewPortal{b}, a)
}

func checkDisconnectByIDs(t T, open func() provisioning.PortalStore) {
	s := open()
	a, b := group(roomA, 1, 7), direct(roomB, 5, 7)
	connect(t, s, a, b)
	disconnect(t, s, provisioning.Portal{RoomID: a.RoomID, ChatID: a.ChatID})
	renamed := b.Portal
	renamed.Title, renamed.About, renamed.Username, renamed.Megagroup = "Renamed", "Since", "new", true
	disconnect(t, s, renamed)
	expectPortals(t, s, nil, a, b)
}

func checkConnectAgain(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7, 8)
	connect(t, s, a)
	disconnect(t, s, a.Portal)
	next := []provisioning.NewPortal{group(roomA, 2), group(roomB, 1, 9)}
	connect(t, s, next...)
	expectPortals(t, s, next, formerly(a)...)
	disconnect(t, s, next[0].Portal)
	disconnect(t, s, next[1].Portal)
	connect(t, s, a)
	expectPortals(t, s, []provisioning.NewPortal{a}, formerly(next...)...)
}

func checkPortalContext(t T, open func() provisioning.PortalStore) {
	s := open()
	a := group(roomA, 1, 7)
	connect(t, s, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PortalByRoom(ctx, a.RoomID); err == nil || errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("PortalByRoom with a cancelled context: %v", err)
	}
	if _, err := s.PortalByChat(ctx, a.ChatID, 0); err == nil || errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("PortalByChat with a cancelled context: %v", err)
	}
	if _, err := s.AccountPortals(ctx, 7); err == nil {
		t.Errorf("AccountPortals with a cancelled context: no error")
	}
	moved := replacing(roomA, group(roomB, 1, 8))
	for _, n := range []provisioning.NewPortal{moved, group(roomC, 2, 8)} {
		if err := s.Connect(ctx, n); err == nil {
			t.Errorf("Connect with a cancelled context: no error")
		}
	}
	if err := s.Move(ctx, a.Portal, in(roomB, a)); err == nil {
		t.Errorf("Move with a cancelled context: no error")
	}
	if err := s.Disconnect(ctx, a.Portal); err == nil || errors.Is(err, provisioning.ErrPortalNotFound) {
		t.Errorf("Disconnect with a cancelled context: %v", err)
	}
	expectPortals(t, s, []provisioning.NewPortal{a}, moved, group(roomC, 2, 8))
}

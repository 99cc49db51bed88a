package provisioningtest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/tgprovision/tgprovision/provisioning"
)

// decide says what Connect would return.
func (s *altered) decide(ctx context.Context, n provisioning.NewPortal) error {
	if _, err := s.PortalByRoom(ctx, n.RoomID); err == nil {
		return provisioning.ErrRoomBridged
	}
	old, err := s.PortalByChat(ctx, n.ChatID, n.Receiver)
	switch {
	case err == nil && old.RoomID != n.Replaces:
		return provisioning.ErrChatBridged
	case err != nil && n.Replaces != "":
		return provisioning.ErrPortalNotFound
	}
	return nil
}

// connectsInTwoSteps looks, lets others in, and writes.
func connectsInTwoSteps(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		if err := s.decide(ctx, n); err != nil {
			return err
		}
		letOthersIn()
		s.drop(n.Replaces)
		s.put(n)
		return nil
	}
	s.disconnect = func(ctx context.Context, p provisioning.Portal, tasks ...provisioning.NewTask) error {
		letOthersIn() // or it could be over before any Connect begins
		return s.MemPortalStore.Disconnect(ctx, p, tasks...)
	}
}

// disconnectsInTwoSteps looks, lets others in, and writes.
func disconnectsInTwoSteps(s *altered) {
	s.disconnect = func(ctx context.Context, p provisioning.Portal, _ ...provisioning.NewTask) error {
		if current, err := s.PortalByRoom(ctx, p.RoomID); err != nil || current.ChatID != p.ChatID || current.Receiver != p.Receiver {
			return provisioning.ErrPortalNotFound
		}
		letOthersIn()
		s.drop(p.RoomID)
		return nil
	}
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		letOthersIn()
		return s.MemPortalStore.Connect(ctx, n)
	}
}

// dropsFirst removes what a portal replaces, lets others in, and decides then.
func dropsFirst(s *altered) {
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		s.drop(n.Replaces)
		letOthersIn()
		n.Replaces = ""
		return s.MemPortalStore.Connect(ctx, n)
	}
}

// busy is a store that can't do two things at a time, and says so.
func busy(s *altered) {
	var inside atomic.Bool
	s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
		if !inside.CompareAndSwap(false, true) {
			return errors.New("deadlock detected")
		}
		defer inside.Store(false)
		letOthersIn()
		return s.MemPortalStore.Connect(ctx, n)
	}
}

var portalRaceMutants = []storeMutant{
	{"Connect looks, then writes", "race for one chat", connectsInTwoSteps},
	{"Connect looks, then writes", "race for one room", connectsInTwoSteps},
	{"Connect looks, then writes", "race of replacements", connectsInTwoSteps},
	{"Connect looks, then writes", "race to and fro", connectsInTwoSteps},
	{"Connect looks, then writes", "race of a replacement and a disconnect", connectsInTwoSteps},
	{"one thing at a time", "race of portal strangers", busy},
	{"one thing at a time", "race to and fro", busy},
	{"Disconnect looks, then writes", "race of disconnects", disconnectsInTwoSteps},
	{"Disconnect looks, then writes", "race of a replacement and a disconnect", disconnectsInTwoSteps},
	{"Connect removes, then decides", "race of a swap", dropsFirst},
	{"Connect removes, then decides", "room is bridged", dropsFirst},
	{"replaced in two transactions", "reads during replacements", func(s *altered) {
		s.connect = func(ctx context.Context, n provisioning.NewPortal) error {
			if err := s.decide(ctx, n); err != nil {
				return err
			}
			s.drop(n.Replaces)
			letOthersIn() // the readers end at the first read that finds nothing
			s.put(n)
			return nil
		}
	}},
}

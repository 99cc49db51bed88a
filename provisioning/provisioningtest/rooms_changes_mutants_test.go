package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// withSetup alters what SetUpPortal is given.
func withSetup(change func(setup *provisioning.PortalSetup)) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			change(&setup)
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}
}

// afterSetUp changes the room after SetUpPortal.
func afterSetUp(change func(room *MemRoom, setup provisioning.PortalSetup)) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			err := a.MemRooms.SetUpPortal(ctx, setup)
			if err == nil {
				err = a.edit(setup.Portal.RoomID, func(room *MemRoom) { change(room, setup) })
			}
			return err
		}
	}
}

var roomsSetUpMutants = []roomsMutant{
	{"no topic", "set up", withSetup(func(setup *provisioning.PortalSetup) { setup.Portal.About = "" })},
	{"the bridge info of the group stays", "set up a supergroup", withSetup(func(setup *provisioning.PortalSetup) { setup.Portal.MigratedFrom = 0 })},
	{"no photo", "set up", withSetup(func(setup *provisioning.PortalSetup) { setup.Photo = nil })},
	{"no bridge info", "set up", afterSetUp(func(room *MemRoom, _ provisioning.PortalSetup) { room.Portal = provisioning.Portal{} })},
	{"needs a photo", "set up", func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if setup.Photo == nil {
				return errors.New("no photo")
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"no bridge info in direct chats", "set up a direct chat", afterSetUp(func(room *MemRoom, setup provisioning.PortalSetup) {
		if setup.Portal.Receiver != 0 {
			room.Portal = provisioning.Portal{}
		}
	})},
	{"direct chats are like others", "set up a direct chat", afterSetUp(func(room *MemRoom, setup provisioning.PortalSetup) { room.Name = setup.Portal.Title })},
	{"the chat's name counts", "set up what has a name", afterSetUp(func(room *MemRoom, setup provisioning.PortalSetup) { room.Name = setup.Portal.Title })},
	{"the chat's photo counts", "set up what has a name", afterSetUp(func(room *MemRoom, _ provisioning.PortalSetup) { room.Photo = 77 })},
	{"all or nothing", "set up what has a name", func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if room, _ := a.Get(setup.Portal.RoomID); room.Name != "" {
				setup.Portal.About, setup.Photo = "", nil
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"without power it fails", "set up without power", func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if room, _ := a.Get(setup.Portal.RoomID); !room.may(memBot, "m.room.name") {
				return provisioning.ErrHomeserver
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"the name is set in any case", "set up without power", afterSetUp(func(room *MemRoom, setup provisioning.PortalSetup) { room.Name = setup.Portal.Title })},
	{"power is got", "set up without power", afterSetUp(func(room *MemRoom, _ provisioning.PortalSetup) { room.PowerLevels = "" })},
	{"one refusal stops the rest", "set up with some power", func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if room, _ := a.Get(setup.Portal.RoomID); !room.may(memBot, "m.room.name") {
				return nil
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"a photo has to be had", "set up without a photo", func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if setup.Photo != nil {
				if _, err := setup.Photo(ctx); err != nil {
					return err
				}
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"without a photo nothing", "set up without a photo", func(a *alteredRooms) {
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if _, err := setup.Photo(ctx); err != nil {
				return nil
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"everything is sent again", "set up again", afterSetUp(func(room *MemRoom, _ provisioning.PortalSetup) { room.changes++ })},
	{"a photo that is gone", "set up again", afterSetUp(func(room *MemRoom, setup provisioning.PortalSetup) {
		if setup.Photo == nil {
			room.Photo = 0
		}
	})},
	{"begun is done", "set up after a failure", func(a *alteredRooms) {
		begun := map[id.RoomID]bool{}
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if begun[setup.Portal.RoomID] {
				return nil
			}
			begun[setup.Portal.RoomID] = true
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
	{"one at a time", "racing set-ups", func(a *alteredRooms) {
		busy := false
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			a.mu.Lock()
			was := busy
			busy = true
			a.mu.Unlock()
			if was {
				return errors.New("busy")
			}
			letOthersIn()
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
}

// afterCleanUp changes the room after CleanUp.
func afterCleanUp(change func(before MemRoom, room *MemRoom, everybody bool)) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			before, _ := a.Get(portal.RoomID)
			err := a.MemRooms.CleanUp(ctx, portal, everybody)
			if err == nil {
				_ = a.edit(portal.RoomID, func(room *MemRoom) { change(before, room, everybody) })
			}
			return err
		}
	}
}

var roomsCleanUpMutants = []roomsMutant{
	{"ghosts stay", "clean up", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Ghosts = before.Ghosts })},
	{"one ghost stays", "clean up", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Ghosts = before.Ghosts[1:] })},
	{"bridge info stays", "clean up", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Portal = before.Portal })},
	{"the name goes", "clean up", afterCleanUp(func(_ MemRoom, room *MemRoom, _ bool) { room.Name = "" })},
	{"invitations go", "clean up", afterCleanUp(func(_ MemRoom, room *MemRoom, _ bool) { room.Invited = nil })},
	{"everybody goes", "clean up", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, _ bool) error {
			return a.MemRooms.CleanUp(ctx, portal, true)
		}
	}},
	{"all bridge info goes", "clean up other bridge info", afterCleanUp(func(_ MemRoom, room *MemRoom, _ bool) {
		room.Portal, room.Earlier = provisioning.Portal{}, nil
	})},
	{"that of other bridges goes", "clean up other bridge info", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			for key := range a.other[portal.RoomID] {
				if strings.HasPrefix(key[0], "m.bridge") {
					delete(a.other[portal.RoomID], key)
				}
			}
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
	{"nobody is kicked", "clean up everybody", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Users = before.Users })},
	{"invited users are not kicked", "clean up everybody", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Invited = before.Invited })},
	{"the bot stays", "clean up everybody", afterCleanUp(func(_ MemRoom, room *MemRoom, _ bool) { room.NoBot = false })},
	{"ghosts stay", "clean up everybody", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Ghosts = before.Ghosts })},
	{"earlier bridge info stays", "clean up earlier portals", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) { room.Earlier = before.Earlier })},
	{"the bot leaves first", "bot leaves last", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if err := a.enter(ctx, "CheckBot"); err != nil {
				return err
			}
			_ = a.edit(portal.RoomID, func(room *MemRoom) { room.NoBot = everybody })
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
	{"begun is done", "clean up again", func(a *alteredRooms) {
		begun := map[string]bool{}
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if key := fmt.Sprint(portal.RoomID, everybody); !begun[key] {
				begun[key] = true
				return a.MemRooms.CleanUp(ctx, portal, everybody)
			}
			return nil
		}
	}},
	{"nothing left is an error", "clean up again", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if room, _ := a.Get(portal.RoomID); len(room.Ghosts) == 0 {
				return errors.New("not bridged")
			}
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
	{"who can't be kicked is an error", "member that can't be kicked", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if room, _ := a.Get(portal.RoomID); everybody && slices.ContainsFunc(room.Users, room.stays) {
				return provisioning.ErrHomeserver
			}
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
	{"who can't be kicked keeps the others", "member that can't be kicked", afterCleanUp(func(before MemRoom, room *MemRoom, _ bool) {
		if slices.ContainsFunc(before.Users, before.stays) {
			room.Users = before.Users
		}
	})},
	{"without the bot nothing", "clean up without the bot", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if room, _ := a.Get(portal.RoomID); room.NoBot {
				return nil
			}
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
	{"without the bot an error", "clean up no room", func(a *alteredRooms) {
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			if err := a.MemRooms.CheckBot(ctx, portal.RoomID); err != nil {
				return err
			}
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
	}},
	{"cleaned up for ever", "set up after a clean-up", func(a *alteredRooms) {
		over := map[id.RoomID]bool{}
		a.cleanUp = func(ctx context.Context, portal provisioning.Portal, everybody bool) error {
			over[portal.RoomID] = true
			return a.MemRooms.CleanUp(ctx, portal, everybody)
		}
		a.setUp = func(ctx context.Context, setup provisioning.PortalSetup) error {
			if over[setup.Portal.RoomID] {
				return nil
			}
			return a.MemRooms.SetUpPortal(ctx, setup)
		}
	}},
}

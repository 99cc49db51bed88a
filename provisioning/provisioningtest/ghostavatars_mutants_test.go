package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestGhostAvatarsMutants(t *testing.T) {
	testRoomsSuite(t, ghostAvatarsChecks, ghostAvatarsMutants)
}

type avatarsKnown = map[provisioning.TelegramID]id.ContentURIString

// withAvatars alters what Avatars returns.
func withAvatars(change func(a *alteredRooms, contacts []provisioning.Contact, known avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			known, outdated, err := a.MemRooms.Avatars(ctx, contacts)
			if err == nil {
				outdated = change(a, contacts, known, outdated)
			}
			return known, outdated, err
		}
	}
}

// withUpdate alters UpdateGhost.
func withUpdate(update func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error) func(*alteredRooms) {
	return func(a *alteredRooms) {
		a.updateGhost = func(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
			return update(ctx, a, contact, photo)
		}
	}
}

// always gets a photo that is not asked for.
func always(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	if photo != nil {
		if _, err := photo(ctx); err != nil {
			return err
		}
	}
	return a.MemRooms.UpdateGhost(ctx, contact, photo)
}

var ghostAvatarsMutants = []roomsMutant{
	{"unknown ghosts are not outdated", "unknown ghosts", withAvatars(func(a *alteredRooms, _ []provisioning.Contact, _ avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		return slices.DeleteFunc(outdated, func(c provisioning.Contact) bool { return a.Ghost(c.ID).Name == "" })
	})},
	{"contacts without a photo are outdated", "unknown ghosts", withAvatars(func(_ *alteredRooms, contacts []provisioning.Contact, _ avatarsKnown, _ []provisioning.Contact) []provisioning.Contact {
		return contacts
	})},
	{"no photo, yet up to date", "unknown ghosts", withAvatars(func(a *alteredRooms, _ []provisioning.Contact, _ avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		return slices.DeleteFunc(outdated, func(c provisioning.Contact) bool { return a.Ghost(c.ID).Name != "" })
	})},
	{"always outdated", "avatar", withAvatars(func(_ *alteredRooms, contacts []provisioning.Contact, _ avatarsKnown, _ []provisioning.Contact) []provisioning.Contact {
		return slices.DeleteFunc(slices.Clone(contacts), func(c provisioning.Contact) bool { return c.PhotoID == 0 })
	})},
	{"addresses of HTTP", "avatar", withAvatars(func(_ *alteredRooms, _ []provisioning.Contact, known avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		for telegramID := range known {
			known[telegramID] = "https://example.com/photo"
		}
		return outdated
	})},
	{"empty avatars", "avatar", withAvatars(func(_ *alteredRooms, contacts []provisioning.Contact, known avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		for _, c := range contacts {
			if known[c.ID] == "" {
				known[c.ID] = ""
			}
		}
		return outdated
	})},
	{"another avatar", "avatar", withAvatars(func(_ *alteredRooms, _ []provisioning.Contact, known avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		for telegramID := range known {
			known[telegramID] += "0"
		}
		return outdated
	})},
	{"an older photo is up to date", "another photo", withAvatars(func(_ *alteredRooms, _ []provisioning.Contact, known avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		return slices.DeleteFunc(outdated, func(c provisioning.Contact) bool { return known[c.ID] != "" })
	})},
	{"an older photo is none", "another photo", withAvatars(func(_ *alteredRooms, _ []provisioning.Contact, known avatarsKnown, outdated []provisioning.Contact) []provisioning.Contact {
		for _, c := range outdated {
			delete(known, c.ID)
		}
		return outdated
	})},
	{"the first photo stays", "another photo", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		if a.Ghost(contact.ID).AvatarURL != "" {
			photo = nil
		}
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	})},
	{"of whom no photo is seen", "contact without a photo", func(a *alteredRooms) {
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			contacts = slices.Clone(contacts)
			for i := range contacts {
				contacts[i].PhotoID = max(contacts[i].PhotoID, 77)
			}
			return a.MemRooms.Avatars(ctx, contacts)
		}
	}},
	{"of 32,766 contacts", "many contacts", func(a *alteredRooms) {
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			if len(contacts) > 32_766 {
				return nil, nil, errors.New("too many SQL variables")
			}
			return a.MemRooms.Avatars(ctx, contacts)
		}
	}},
	{"of the first contacts", "many contacts", func(a *alteredRooms) {
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			return a.MemRooms.Avatars(ctx, contacts[:min(len(contacts), 1000)])
		}
	}},
	{"a lock while a photo is downloaded", "no waiting for downloads", func(a *alteredRooms) {
		lock := make(chan struct{}, 1) // which a bubble waits for, unlike a mutex
		a.updateGhost = func(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
			lock <- struct{}{}
			defer func() { <-lock }()
			return a.MemRooms.UpdateGhost(ctx, contact, photo)
		}
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			lock <- struct{}{}
			defer func() { <-lock }()
			return a.MemRooms.Avatars(ctx, contacts)
		}
	}},
	{"the homeserver is asked", "avatars without a homeserver", func(a *alteredRooms) {
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			if err := a.enter(ctx, "Room"); err != nil {
				return nil, nil, err
			}
			return a.MemRooms.Avatars(ctx, contacts)
		}
	}},
	{"no name", "name", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		contact.Name = ""
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	})},
	{"the first name stays", "name", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		if name := a.Ghost(contact.ID).Name; name != "" {
			contact.Name = name
		}
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	})},
	{"a photo, or else a name", "name", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		if photo != nil {
			contact.Name = a.Ghost(contact.ID).Name
		}
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	})},
	{"nil is no photo", "nil photo", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		err := a.MemRooms.UpdateGhost(ctx, contact, photo)
		if photo == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.ghosts[contact.ID] = MemGhost{Name: contact.Name}
		}
		return err
	})},
	{"nil is up to date", "nil photo", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		err := a.MemRooms.UpdateGhost(ctx, contact, photo)
		if photo == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			g := a.ghosts[contact.ID]
			g.PhotoID = contact.PhotoID
			a.ghosts[contact.ID] = g
		}
		return err
	})},
	{"always downloads", "known photo", withUpdate(always)},
	{"downloads for every ghost", "known photo", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		if a.Ghost(contact.ID).PhotoID != contact.PhotoID {
			return always(ctx, a, contact, photo)
		}
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	})},
	{"a failed photo is up to date", "photo that can't be had", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		err := a.MemRooms.UpdateGhost(ctx, contact, photo)
		if errors.Is(err, provisioning.ErrPhotoGone) {
			return a.MemRooms.UpdateGhost(ctx, contact, newPhoto(contact.PhotoID).get)
		}
		return err
	})},
	{"everything is sent again", "nothing has changed", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		err := a.MemRooms.UpdateGhost(ctx, contact, photo)
		a.mu.Lock()
		defer a.mu.Unlock()
		g := a.ghosts[contact.ID]
		g.changes++
		a.ghosts[contact.ID] = g
		return err
	})},
	{"the contact in a field", "racing updates", func(a *alteredRooms) {
		var current provisioning.Contact
		a.updateGhost = func(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
			a.mu.Lock()
			current = contact
			a.mu.Unlock()
			letOthersIn()
			a.mu.Lock()
			contact = current
			a.mu.Unlock()
			return a.MemRooms.UpdateGhost(ctx, contact, photo)
		}
	}},
	{"an error of its own", "homeserver fails", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		if a.MemRooms.UpdateGhost(ctx, contact, photo) != nil {
			return errors.New("HTTP 502")
		}
		return nil
	})},
	{"begun is done", "update after a failure", withUpdate(func(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
		if a.Ghost(contact.ID).PhotoID == contact.PhotoID {
			return nil
		}
		a.mu.Lock()
		a.ghosts[contact.ID] = MemGhost{PhotoID: contact.PhotoID}
		a.mu.Unlock()
		return a.MemRooms.UpdateGhost(ctx, contact, photo)
	})},
	{"goes on", "cancelled context", withUpdate(deafUpdate)},
	{"avatars go on", "cancelled context", func(a *alteredRooms) {
		a.avatars = func(ctx context.Context, contacts []provisioning.Contact) (avatarsKnown, []provisioning.Contact, error) {
			return a.MemRooms.Avatars(context.WithoutCancel(ctx), contacts)
		}
	}},
	{"waits on", "context cancelled while waiting", withUpdate(deafUpdate)},
}

// deafUpdate goes on after its context has ended.
func deafUpdate(ctx context.Context, a *alteredRooms, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	return a.MemRooms.UpdateGhost(context.WithoutCancel(ctx), contact, photo)
}

package provisioningtest

import (
	"context"
	"fmt"
	"maps"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// MemGhost is the profile of a ghost of a [MemRooms].
type MemGhost struct {
	Name      string
	PhotoID   int64
	AvatarURL id.ContentURIString

	changes int
}

// Ghost returns the profile of a Telegram user's ghost.
func (m *MemRooms) Ghost(telegramID provisioning.TelegramID) MemGhost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ghosts[telegramID]
}

// rename gives a ghost its name. The caller holds the lock.
func (m *MemRooms) rename(contact provisioning.Contact) {
	if g := m.ghosts[contact.ID]; g.Name != contact.Name {
		g.Name = contact.Name
		g.changes++
		m.ghosts[contact.ID] = g
	}
}

// Avatars implements provisioning.GhostAvatars.
func (m *MemRooms) Avatars(ctx context.Context, contacts []provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact, error) {
	if err := m.enter(ctx, "Avatars"); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[provisioning.TelegramID]id.ContentURIString{}
	var outdated []provisioning.Contact
	for _, contact := range contacts {
		if contact.PhotoID == 0 {
			continue
		}
		g := m.ghosts[contact.ID]
		if g.AvatarURL != "" {
			known[contact.ID] = g.AvatarURL
		}
		if g.PhotoID != contact.PhotoID {
			outdated = append(outdated, contact)
		}
	}
	return known, outdated, nil
}

// UpdateGhost implements provisioning.GhostAvatars.
func (m *MemRooms) UpdateGhost(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	if err := m.enter(ctx, "UpdateGhost"); err != nil {
		return err
	}
	m.mu.Lock()
	m.rename(contact)
	known := m.photos[contact.PhotoID]
	m.mu.Unlock()
	if photo == nil {
		return nil
	}
	if !known {
		if _, err := photo(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.photos[contact.PhotoID] = true
	if g := m.ghosts[contact.ID]; g.PhotoID != contact.PhotoID {
		g.PhotoID, g.AvatarURL = contact.PhotoID, id.ContentURIString(fmt.Sprintf("mxc://example.com/%d", contact.PhotoID))
		g.changes++
		m.ghosts[contact.ID] = g
	}
	return nil
}

// NeedGhosts implements provisioning.GhostUsers.
func (m *MemRooms) NeedGhosts(ctx context.Context, userID id.UserID, telegramIDs ...provisioning.TelegramID) error {
	if err := m.enter(ctx, "NeedGhosts"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.needs[userID] == nil {
		m.needs[userID] = map[provisioning.TelegramID]bool{}
	}
	for _, telegramID := range telegramIDs {
		m.needs[userID][telegramID] = true
	}
	return nil
}

// ForgetGhosts implements provisioning.GhostUsers. The profile that Ghost returns goes too.
func (m *MemRooms) ForgetGhosts(ctx context.Context, userID id.UserID) (int, error) {
	if err := m.enter(ctx, "ForgetGhosts"); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.needs, userID)
	needed := map[provisioning.TelegramID]bool{}
	for _, needs := range m.needs {
		maps.Copy(needed, needs)
	}
	before := len(m.ghosts)
	maps.DeleteFunc(m.ghosts, func(telegramID provisioning.TelegramID, _ MemGhost) bool { return !needed[telegramID] })
	return before - len(m.ghosts), nil
}

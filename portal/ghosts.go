package portal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// maxArguments is how many things one query is about: SQLite takes 32766 arguments,
// PostgreSQL 65535.
const maxArguments = 5000

// profile is what a ghost shows, as far as is known here.
type profile struct {
	telegramID provisioning.TelegramID
	name       string
	photoID    int64 // 0 for none
	avatar     id.ContentURIString
}

// Avatars implements [provisioning.GhostAvatars].
func (r *Rooms) Avatars(ctx context.Context, contacts []provisioning.Contact) (map[provisioning.TelegramID]id.ContentURIString, []provisioning.Contact, error) {
	withPhoto := slices.DeleteFunc(slices.Clone(contacts), func(c provisioning.Contact) bool { return c.PhotoID == 0 })
	known := map[provisioning.TelegramID]id.ContentURIString{}
	current := map[int64]int64{} // the ghosts' photos
	for chunk := range slices.Chunk(withPhoto, maxArguments) {
		profiles, err := r.profiles(ctx, chunk...)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range profiles {
			current[int64(p.telegramID)] = p.photoID
			if p.avatar != "" {
				known[p.telegramID] = p.avatar
			}
		}
	}
	outdated := slices.DeleteFunc(withPhoto, func(c provisioning.Contact) bool { return current[int64(c.ID)] == c.PhotoID })
	return known, outdated, nil
}

// profiles returns those ghosts that are known here.
func (r *Rooms) profiles(ctx context.Context, contacts ...provisioning.Contact) ([]profile, error) {
	args := make([]any, len(contacts))
	marks := make([]string, len(contacts))
	for i, c := range contacts {
		args[i], marks[i] = c.ID, fmt.Sprintf("$%d", i+1)
	}
	rows, err := r.db.Query(ctx, `
		SELECT telegram_id, name, photo_id, avatar_url FROM tgprovision_ghost
		WHERE telegram_id IN (`+strings.Join(marks, ", ")+`)`, args...)
	profiles, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (p profile, err error) {
		err = row.Scan(&p.telegramID, &p.name, &p.photoID, &p.avatar)
		return p, err
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("look up ghosts: %w", err)
	}
	return profiles, nil
}

// ghostAvatar returns the avatar of a Telegram user's ghost, "" for none.
func (r *Rooms) ghostAvatar(ctx context.Context, telegramID provisioning.TelegramID) (id.ContentURIString, error) {
	found, err := r.profiles(ctx, provisioning.Contact{ID: telegramID})
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].avatar, nil
}

// UpdateGhost implements [provisioning.GhostAvatars]. A photo that can't be had is an
// error, which wraps that of the photo; the name is set all the same.
func (r *Rooms) UpdateGhost(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	unlock, err := r.ghosts.Lock(ctx, int64(contact.ID))
	if err != nil {
		return fmt.Errorf("wait for a ghost: %w", err)
	}
	defer unlock()
	found, err := r.profiles(ctx, contact)
	if err != nil {
		return err
	}
	ghost, p := r.ghost(contact.ID), profile{telegramID: contact.ID}
	if len(found) > 0 {
		p = found[0]
	} else if err = register(ctx, ghost); err != nil {
		return err
	}
	if err = r.nameGhost(ctx, ghost, &p, contact.Name); err != nil {
		return err
	}
	if photo == nil || p.photoID == contact.PhotoID {
		return nil
	}
	p.photoID, p.avatar = contact.PhotoID, ""
	if contact.PhotoID != 0 {
		if p.avatar, err = r.photo(ctx, contact.PhotoID, photo); err != nil {
			return err
		}
	}
	err = try(ctx, "set a ghost's avatar", func(ctx context.Context) error {
		return ghost.SetProfileField(ctx, "avatar_url", p.avatar)
	})
	if err != nil {
		return err
	}
	return r.remember(ctx, p)
}

// nameGhost gives a ghost somebody's name, unless it has it.
func (r *Rooms) nameGhost(ctx context.Context, ghost *mautrix.Client, p *profile, name string) error {
	name = text(strings.ReplaceAll(r.displayName, "{name}", name))
	if p.name == name {
		return nil
	}
	err := try(ctx, "set a ghost's name", func(ctx context.Context) error { return ghost.SetDisplayName(ctx, name) })
	if err != nil {
		return err
	}
	p.name = name
	return r.remember(ctx, *p)
}

// register makes a ghost exist on the homeserver.
func register(ctx context.Context, ghost *mautrix.Client) error {
	err := try(ctx, "register a ghost", func(ctx context.Context) error {
		_, _, err := ghost.Register(ctx, &mautrix.ReqRegister[any]{
			Username: ghost.UserID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true,
		})
		return err
	})
	if hasCode(err, mautrix.MUserInUse) {
		return nil
	}
	return err
}

// remember records what a ghost shows.
func (r *Rooms) remember(ctx context.Context, p profile) error {
	const query = `
		INSERT INTO tgprovision_ghost (telegram_id, name, photo_id, avatar_url) VALUES ($1, $2, $3, $4)
		ON CONFLICT (telegram_id) DO UPDATE SET name=excluded.name, photo_id=excluded.photo_id, avatar_url=excluded.avatar_url`
	err := r.db.DoTxn(ctx, func(ctx context.Context) error {
		_, err := r.db.Exec(ctx, query, p.telegramID, p.name, p.photoID, p.avatar)
		return err
	})
	if err != nil {
		return fmt.Errorf("remember a ghost's profile: %w", err)
	}
	return nil
}

package portal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// profile is what a ghost shows, as far as is known here.
type profile struct {
	telegramID int64
	name       string
	photoID    int64
	avatar     id.ContentURIString
}

// Avatars implements [provisioning.GhostAvatars].
func (r *Rooms) Avatars(ctx context.Context, contacts []provisioning.Contact) (map[int64]id.ContentURIString, []provisioning.Contact, error) {
	withPhoto := slices.DeleteFunc(slices.Clone(contacts), func(c provisioning.Contact) bool { return c.PhotoID == 0 })
	known := map[int64]id.ContentURIString{}
	current := map[int64]int64{} // the photos of the ghosts
	const most = 500             // arguments of one query
	for chunk := range slices.Chunk(withPhoto, most) {
		profiles, err := r.profiles(ctx, chunk)
		if err != nil {
			return nil, nil, fmt.Errorf("look up ghosts: %w", err)
		}
		for _, p := range profiles {
			current[p.telegramID] = p.photoID
			if p.avatar != "" {
				known[p.telegramID] = p.avatar
			}
		}
	}
	outdated := slices.DeleteFunc(withPhoto, func(c provisioning.Contact) bool { return current[c.ID] == c.PhotoID })
	return known, outdated, nil
}

func (r *Rooms) profiles(ctx context.Context, contacts []provisioning.Contact) (profiles []profile, err error) {
	var query strings.Builder
	query.WriteString(`SELECT telegram_id, name, photo_id, avatar_url FROM tgprovision_ghost WHERE telegram_id IN (`)
	args := make([]any, len(contacts))
	for i, c := range contacts {
		if i > 0 {
			query.WriteString(", ")
		}
		fmt.Fprintf(&query, "$%d", i+1)
		args[i] = c.ID
	}
	rows, err := r.db.Query(ctx, query.String()+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p profile
		if err := rows.Scan(&p.telegramID, &p.name, &p.photoID, &p.avatar); err != nil {
			return nil, err
		}
		profiles = append(profiles, p)
	}
	return profiles, rows.Err()
}

// UpdateGhost implements [provisioning.GhostAvatars]. Errors are the photo's, and the
// homeserver's.
func (r *Rooms) UpdateGhost(ctx context.Context, contact provisioning.Contact, photo provisioning.PhotoFunc) error {
	found, err := r.profiles(ctx, []provisioning.Contact{contact})
	if err != nil {
		return fmt.Errorf("look up a ghost: %w", err)
	}
	p := profile{telegramID: contact.ID}
	if len(found) > 0 {
		p = found[0]
	}
	ghost := r.ghost(contact.ID)
	if len(found) == 0 {
		if err := r.register(ctx, ghost); err != nil {
			return err
		}
	}
	if p.name != contact.Name {
		if err := try(ctx, func(ctx context.Context) error { return ghost.SetDisplayName(ctx, contact.Name) }); err != nil {
			return fault(ctx, "set a ghost's name", err)
		}
		p.name = contact.Name
		if err := r.remember(ctx, p); err != nil {
			return err
		}
	}
	if p.photoID == contact.PhotoID || (photo == nil && contact.PhotoID != 0) {
		return nil
	}
	p.photoID, p.avatar = contact.PhotoID, ""
	if contact.PhotoID != 0 {
		if p.avatar, err = r.photo(ctx, contact.PhotoID, photo); err != nil {
			return err
		}
	}
	if err := try(ctx, func(ctx context.Context) error { return ghost.SetAvatarURL(ctx, p.avatar.ParseOrIgnore()) }); err != nil {
		return fault(ctx, "set a ghost's avatar", err)
	}
	return r.remember(ctx, p)
}

// register makes a ghost exist on the homeserver.
func (r *Rooms) register(ctx context.Context, ghost *mautrix.Client) error {
	err := try(ctx, func(ctx context.Context) error {
		_, _, err := ghost.Register(ctx, &mautrix.ReqRegister[any]{
			Username: ghost.UserID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true,
		})
		return err
	})
	if errors.Is(err, mautrix.MUserInUse) {
		return nil
	}
	return fault(ctx, "register a ghost", err)
}

func (r *Rooms) remember(ctx context.Context, p profile) error {
	const query = `
		INSERT INTO tgprovision_ghost (telegram_id, name, photo_id, avatar_url) VALUES ($1, $2, $3, $4)
		ON CONFLICT (telegram_id) DO UPDATE SET name=excluded.name, photo_id=excluded.photo_id, avatar_url=excluded.avatar_url`
	err := r.db.DoTxn(ctx, schema.ReadCommitted(r.db), func(ctx context.Context) error {
		_, err := r.db.Exec(ctx, query, p.telegramID, text(p.name), p.photoID, p.avatar)
		return err
	})
	if err != nil {
		return fmt.Errorf("remember a ghost's profile: %w", err)
	}
	return nil
}

// photo returns the address of a photo on the homeserver, where each is uploaded once. Of
// a photo whose ID is not known before it was downloaded, the ID is 0.
func (r *Rooms) photo(ctx context.Context, photoID int64, get provisioning.PhotoFunc) (id.ContentURIString, error) {
	if photoID == 0 {
		return r.upload(ctx, 0, get)
	}
	// Whoever comes second waits for the first, and does the same again where that one
	// has been cancelled.
	for {
		uri, err, shared := r.uploads.Do(fmt.Sprint(photoID), func() (any, error) { return r.upload(ctx, photoID, get) })
		if shared && err != nil && ctx.Err() == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
			continue
		}
		if err != nil {
			return "", err
		}
		return uri.(id.ContentURIString), nil
	}
}

func (r *Rooms) upload(ctx context.Context, photoID int64, get provisioning.PhotoFunc) (id.ContentURIString, error) {
	if uri, err := r.uploaded(ctx, photoID); err != nil || uri != "" {
		return uri, err
	}
	photo, err := get(ctx)
	if err != nil {
		return "", fmt.Errorf("get a photo: %w", err)
	}
	if uri, err := r.uploaded(ctx, photo.ID); err != nil || uri != "" {
		return uri, err
	}
	var answer *mautrix.RespMediaUpload
	err = try(ctx, func(ctx context.Context) (err error) {
		answer, err = r.bot.UploadBytes(ctx, photo.Data, photo.Type)
		return err
	})
	if err != nil {
		return "", fault(ctx, "upload a photo", err)
	}
	uri := answer.ContentURI.CUString()
	const query = `INSERT INTO tgprovision_photo (photo_id, uri) VALUES ($1, $2) ON CONFLICT (photo_id) DO UPDATE SET uri=excluded.uri`
	err = r.db.DoTxn(ctx, schema.ReadCommitted(r.db), func(ctx context.Context) error {
		_, err := r.db.Exec(ctx, query, photo.ID, uri)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("remember a photo: %w", err)
	}
	return uri, nil
}

// uploaded returns the address of a photo that was uploaded before, "" for another.
func (r *Rooms) uploaded(ctx context.Context, photoID int64) (uri id.ContentURIString, err error) {
	if photoID == 0 {
		return "", nil
	}
	err = r.db.QueryRow(ctx, `SELECT uri FROM tgprovision_photo WHERE photo_id=$1`, photoID).Scan(&uri)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up a photo: %w", err)
	}
	return uri, nil
}

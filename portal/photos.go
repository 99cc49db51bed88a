package portal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// errNoPhoto: a photo could not be downloaded from Telegram.
var errNoPhoto = errors.New("get a photo")

// photo returns the address of a photo on the homeserver, where each is uploaded once.
// Of a photo whose ID is not known before it is downloaded, the ID is 0. Errors:
// errNoPhoto.
func (r *Rooms) photo(ctx context.Context, photoID int64, get provisioning.PhotoFunc) (id.ContentURIString, error) {
	var photo provisioning.Photo
	var err error
	if photoID == 0 {
		if photo, err = download(ctx, get); err != nil {
			return "", err
		}
		photoID = photo.ID
	}
	// Whoever comes second waits for the first.
	unlock, err := r.photos.Lock(ctx, photoID)
	if err != nil {
		return "", fmt.Errorf("wait for a photo: %w", err)
	}
	defer unlock()
	if uri, err := r.uploaded(ctx, photoID); err != nil || uri != "" {
		return uri, err
	}
	if photo.Data == nil {
		if photo, err = download(ctx, get); err != nil {
			return "", err
		}
	}
	return r.upload(ctx, photoID, photo)
}

// download gets a photo from Telegram.
func download(ctx context.Context, get provisioning.PhotoFunc) (provisioning.Photo, error) {
	photo, err := get(ctx)
	if err == nil && len(photo.Data) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return provisioning.Photo{}, fmt.Errorf("%w: %w", errNoPhoto, err)
	}
	return photo, nil
}

// upload uploads a photo, and remembers that.
func (r *Rooms) upload(ctx context.Context, photoID int64, photo provisioning.Photo) (id.ContentURIString, error) {
	var uri id.ContentURIString
	err := try(ctx, "upload a photo", func(ctx context.Context) error {
		answer, err := r.bot.UploadMedia(ctx, mautrix.ReqUploadMedia{
			ContentBytes: photo.Data, ContentType: cmp.Or(photo.Type, "application/octet-stream"),
		})
		if err == nil {
			uri = answer.ContentURI.CUString()
		}
		return err
	})
	if err != nil || photoID == 0 {
		return uri, err
	}
	const query = `INSERT INTO tgprovision_photo (photo_id, uri) VALUES ($1, $2) ON CONFLICT (photo_id) DO UPDATE SET uri=excluded.uri`
	err = r.db.DoTxn(ctx, func(ctx context.Context) error {
		_, err := r.db.Exec(ctx, query, photoID, uri)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("remember a photo: %w", err)
	}
	return uri, nil
}

// uploaded returns the address of a photo that was uploaded before, "" for another.
func (r *Rooms) uploaded(ctx context.Context, photoID int64) (uri id.ContentURIString, err error) {
	err = r.db.QueryRow(ctx, `SELECT uri FROM tgprovision_photo WHERE photo_id=$1`, photoID).Scan(&uri)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look up a photo: %w", err)
	}
	return uri, nil
}

// isUploaded says whether an address is that of a photo that was uploaded before.
func (r *Rooms) isUploaded(ctx context.Context, uri id.ContentURIString) (is bool, err error) {
	err = r.db.QueryRow(ctx, `SELECT EXISTS(SELECT 1 FROM tgprovision_photo WHERE uri=$1)`, uri).Scan(&is)
	if err != nil {
		return false, fmt.Errorf("look up a photo: %w", err)
	}
	return is, nil
}

package calls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

const (
	// photoPart is how much of a photo is downloaded at once.
	photoPart = 512 << 10
	// maxPhoto is the size of the largest photo that is downloaded. Telegram's own are
	// a fraction of that.
	maxPhoto = 5 << 20
)

// GetPhoto implements provisioning.PhotoGetter. Where the photo lies in another
// datacenter, gotd connects to that one too.
//
// TL: upload.getFile; users.getUsers after a 401.
func (c *Client) GetPhoto(ctx context.Context, chatID provisioning.ChatID, photoID int64) (photo provisioning.Photo, err error) {
	err = c.call(ctx, func(a *account) error {
		photo, err = a.photo(ctx, chatID, photoID)
		if said, ok := tgerr.As(err); !ok || said.Code != http.StatusUnauthorized {
			return err
		}
		// Nobody knows which datacenter has said so. The account's own says whether the session
		// has ended.
		if _, homeErr := a.api.UsersGetUsers(ctx, []tg.InputUserClass{&tg.InputUserSelf{}}); homeErr != nil {
			return homeErr
		}
		return err
	})
	if errors.Is(err, provisioning.ErrNotInChat) || errors.Is(err, provisioning.ErrTelegramUserNotFound) {
		err = provisioning.ErrPhotoGone
	}
	return photo, err
}

func (a *account) photo(ctx context.Context, chatID provisioning.ChatID, photoID int64) (photo provisioning.Photo, err error) {
	download := func(peer tg.InputPeerClass) error {
		photo, err = a.download(ctx, peer, photoID)
		return err
	}
	self, err := a.session.Self(ctx)
	if err != nil {
		return photo, err
	}
	switch kind, id, _ := chatID.Split(); {
	case kind == provisioning.PeerUser && id == int64(self.ID):
		err = download(&tg.InputPeerSelf{})
	case kind == provisioning.PeerUser:
		err = a.withHash(ctx, kind, id, func(hash int64) error {
			return download(&tg.InputPeerUser{UserID: id, AccessHash: hash})
		})
	case kind == provisioning.PeerChat:
		err = download(&tg.InputPeerChat{ChatID: id})
	case kind == provisioning.PeerChannel:
		err = a.withHash(ctx, kind, id, func(hash int64) error {
			return download(&tg.InputPeerChannel{ChannelID: id, AccessHash: hash})
		})
	default:
		err = provisioning.ErrPhotoGone
	}
	return photo, err
}

// download gets the photo of a peer.
//
// https://core.telegram.org/api/files#downloading-files
func (a *account) download(ctx context.Context, peer tg.InputPeerClass, photoID int64) (provisioning.Photo, error) {
	photo := provisioning.Photo{ID: photoID}
	location := &tg.InputPeerPhotoFileLocation{Big: true, Peer: peer, PhotoID: photoID}
	for {
		answer, err := a.api.UploadGetFile(ctx, &tg.UploadGetFileRequest{
			Location: location, Offset: int64(len(photo.Data)), Limit: photoPart,
		})
		if err != nil {
			return provisioning.Photo{}, err
		}
		part, ok := answer.(*tg.UploadFile)
		if !ok {
			return provisioning.Photo{}, rpcerror.Unexpected(answer)
		}
		photo.Data = append(photo.Data, part.Bytes...)
		if len(photo.Data) > maxPhoto {
			return provisioning.Photo{}, fmt.Errorf("a photo has more than %d bytes", maxPhoto)
		}
		if len(part.Bytes) < photoPart {
			photo.Type = imageType(photo.Data, part.Type)
			return photo, nil
		}
	}
}

// imageType returns the media type of an image: by its first bytes, else by what
// Telegram says.
func imageType(data []byte, said tg.StorageFileTypeClass) string {
	if sniffed := http.DetectContentType(data); strings.HasPrefix(sniffed, "image/") {
		return sniffed
	}
	switch said.(type) {
	case *tg.StorageFilePng:
		return "image/png"
	case *tg.StorageFileGif:
		return "image/gif"
	case *tg.StorageFileWebp:
		return "image/webp"
	default: // photos are JPEGs
		return "image/jpeg"
	}
}

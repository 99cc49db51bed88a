package telegramtest

import (
	"fmt"
	"slices"

	"github.com/gotd/td/tg"
)

// Photo is the photo of a user, group or channel. The zero value is none.
type Photo struct {
	// ID is Telegram's ID of the photo, of which another photo has another one. 0
	// means that there is no photo.
	ID int64
	// Data is the file. The server does not look into it.
	Data []byte
}

// SetPhoto replaces the photo of a user, group or channel, at any time. It returns
// an error for one that does not exist.
func (s *Server) SetPhoto(kind DialogKind, id int64, photo Photo) error {
	photo.Data = slices.Clone(photo.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == KindUser {
		a, err := s.account(id)
		if err == nil {
			a.Photo = photo
		}
		return err
	}
	chat := s.world.chats[peerOf(kind, id)]
	if chat == nil {
		return fmt.Errorf("there is no group or channel %d", id)
	}
	chat.Photo = photo
	return nil
}

// profile describes the photo of a user.
func (p Photo) profile(dc int) tg.UserProfilePhotoClass {
	if p.ID == 0 {
		return &tg.UserProfilePhotoEmpty{}
	}
	return &tg.UserProfilePhoto{PhotoID: p.ID, DCID: dc}
}

// chat describes the photo of a group or channel.
func (p Photo) chat(dc int) tg.ChatPhotoClass {
	if p.ID == 0 {
		return &tg.ChatPhotoEmpty{}
	}
	return &tg.ChatPhoto{PhotoID: p.ID, DCID: dc}
}

// full describes the photo where it is described at length.
func (p Photo) full(dc int) tg.PhotoClass {
	if p.ID == 0 {
		return &tg.PhotoEmpty{}
	}
	const side = 640
	size := &tg.PhotoSize{Type: "c", W: side, H: side, Size: len(p.Data)}
	return &tg.Photo{ID: p.ID, AccessHash: p.ID, FileReference: []byte{0}, Sizes: []tg.PhotoSizeClass{size}, DCID: dc}
}

package telegramtest

import (
	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func fileMethods() []method {
	return []method{on(loggedInAnywhere, (*caller).uploadGetFile)}
}

// uploadGetFile works off https://core.telegram.org/method/upload.getFile for the
// photos of users, groups and channels. Which parts of a file may be asked for says
// https://core.telegram.org/api/files#downloading-files.
func (c *caller) uploadGetFile(q *tg.UploadGetFileRequest) (bin.Encoder, error) {
	const step, largest = 4 << 10, 1 << 20
	switch {
	case q.Limit <= 0 || q.Limit > largest || q.Limit%step != 0 || largest%q.Limit != 0:
		return nil, tgerr.New(400, "LIMIT_INVALID")
	case q.Offset < 0 || q.Offset%step != 0 || q.Offset/largest != (q.Offset+int64(q.Limit)-1)/largest:
		return nil, tgerr.New(400, "OFFSET_INVALID")
	}
	location, ok := q.Location.(*tg.InputPeerPhotoFileLocation)
	if !ok {
		return nil, tgerr.New(400, "LOCATION_INVALID")
	}
	photo, err := c.photo(location.Peer)
	if err != nil {
		return nil, err
	}
	if photo.ID == 0 || photo.ID != location.PhotoID {
		return nil, tgerr.New(400, "LOCATION_INVALID")
	}
	if c.conn.dc != c.server.mediaDC {
		return nil, errMigrate("FILE", c.server.mediaDC)
	}
	size := int64(len(photo.Data))
	part := photo.Data[min(q.Offset, size):min(q.Offset+int64(q.Limit), size)]
	return &tg.UploadFile{Type: &tg.StorageFileJpeg{}, Mtime: defaultDate, Bytes: part}, nil
}

// photo returns the photo of whom the caller names.
func (c *caller) photo(input tg.InputPeerClass) (Photo, error) {
	switch p := input.(type) {
	case *tg.InputPeerSelf:
		return c.account.Photo, nil
	case *tg.InputPeerUser:
		if a := c.inputUser(&tg.InputUser{UserID: p.UserID, AccessHash: p.AccessHash}); a != nil {
			return a.Photo, nil
		}
	case *tg.InputPeerChat:
		if group, err := c.myGroup(p.ChatID); err == nil {
			return group.Photo, nil
		}
	case *tg.InputPeerChannel:
		channel, err := c.visibleChannel(p.ChannelID, p.AccessHash)
		if err != nil {
			return Photo{}, err
		}
		return channel.Photo, nil
	}
	return Photo{}, tgerr.New(400, "PEER_ID_INVALID")
}

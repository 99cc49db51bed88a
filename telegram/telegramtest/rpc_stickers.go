package telegramtest

import (
	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
)

func stickerMethods() []method {
	return []method{on(usersOnly, (*caller).messagesGetAllStickers)}
}

// messagesGetAllStickers lists the account's sticker sets, which are empty. Its hash
// is never answered with "not modified".
//
// https://core.telegram.org/method/messages.getAllStickers
func (c *caller) messagesGetAllStickers(*tg.MessagesGetAllStickersRequest) (bin.Encoder, error) {
	answer := &tg.MessagesAllStickers{Hash: int64(len(c.account.StickerSets))}
	for i, name := range c.account.StickerSets {
		answer.Sets = append(answer.Sets, tg.StickerSet{ID: int64(i) + 1, AccessHash: 1, Title: name, ShortName: name})
	}
	return answer, nil
}

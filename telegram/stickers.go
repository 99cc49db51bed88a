package telegram

import (
	"context"

	"github.com/gotd/td/tg"
)

// StickerSets implements provisioning.StickerSetLister. It remembers the list for
// [Config.ListAge]: the slice must not be changed.
//
// TL: messages.getAllStickers.
func (cl *Client) StickerSets(ctx context.Context) ([]string, error) {
	return getList(ctx, cl, listOfStickers, func(ctx context.Context, a *active) (names []string, err error) {
		answer, err := a.api().MessagesGetAllStickers(ctx, 0)
		if err != nil {
			return nil, err
		}
		list, ok := answer.(*tg.MessagesAllStickers)
		if !ok {
			return nil, unexpected(answer)
		}
		for _, set := range list.Sets {
			names = append(names, set.ShortName)
		}
		return names, nil
	})
}

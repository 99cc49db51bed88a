package telegram

import (
	"context"

	"github.com/gotd/td/tg"
)

// StickerSets implements provisioning.StickerSetLister.
//
// TL: messages.getAllStickers.
func (cl *Client) StickerSets(ctx context.Context) (names []string, err error) {
	ctx = cl.f.withFloodBudget(ctx)
	err = cl.call(ctx, func(a *active) error {
		answer, err := a.api().MessagesGetAllStickers(ctx, 0)
		if err != nil {
			return err
		}
		list, ok := answer.(*tg.MessagesAllStickers)
		if !ok {
			return unexpected(answer)
		}
		for _, set := range list.Sets {
			names = append(names, set.ShortName)
		}
		return nil
	})
	return names, err
}

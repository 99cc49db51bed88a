package calls

import (
	"context"

	"github.com/gotd/td/tg"

	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// StickerSets implements provisioning.StickerSetLister.
//
// TL: messages.getAllStickers.
func (c *Client) StickerSets(ctx context.Context) (names []string, err error) {
	err = c.call(ctx, func(a *account) error {
		answer, err := a.api.MessagesGetAllStickers(ctx, 0)
		if err != nil {
			return err
		}
		list, ok := answer.(*tg.MessagesAllStickers)
		if !ok {
			return rpcerror.Unexpected(answer)
		}
		for _, set := range list.Sets {
			names = append(names, set.ShortName)
		}
		return nil
	})
	return names, err
}

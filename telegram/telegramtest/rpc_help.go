package telegramtest

import (
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
)

func helpMethods() []method {
	return []method{
		on(anybody, (*caller).helpGetConfig),
		on(anybody, (*caller).helpGetNearestDC),
		on(anybody, (*caller).helpGetCDNConfig),
		on(anybody, (*caller).helpGetAppConfig),
	}
}

// https://core.telegram.org/method/help.getConfig
func (c *caller) helpGetConfig(*tg.HelpGetConfigRequest) (bin.Encoder, error) {
	now := time.Now()
	// The address at which this client has reached the server.
	options := []tg.DCOption{dcOption(c.conn.dc, c.conn.socket.LocalAddr())}
	if media := c.server.media; media != nil && c.conn.dc == c.server.dc {
		options = append(options, dcOption(c.server.mediaDC, media.Addr()))
	}
	return &tg.Config{
		Date: int(now.Unix()), Expires: int(now.Add(time.Hour).Unix()), ThisDC: c.conn.dc,
		DCOptions:   options,
		ChatSizeMax: 200, MegagroupSizeMax: 200_000, MessageLengthMax: 4096, CaptionLengthMax: 1024,
		MeURLPrefix: "https://t.me/", WebfileDCID: c.server.dc,
	}, nil
}

// https://core.telegram.org/method/help.getNearestDc
func (c *caller) helpGetNearestDC(*tg.HelpGetNearestDCRequest) (bin.Encoder, error) {
	return &tg.NearestDC{Country: "XX", ThisDC: c.conn.dc, NearestDC: c.server.dc}, nil
}

// https://core.telegram.org/method/help.getCdnConfig
func (c *caller) helpGetCDNConfig(*tg.HelpGetCDNConfigRequest) (bin.Encoder, error) {
	return &tg.CDNConfig{}, nil
}

// https://core.telegram.org/method/help.getAppConfig
func (c *caller) helpGetAppConfig(q *tg.HelpGetAppConfigRequest) (bin.Encoder, error) {
	const hash = 1
	if q.Hash == hash {
		return &tg.HelpAppConfigNotModified{}, nil
	}
	return &tg.HelpAppConfig{Hash: hash, Config: &tg.JSONObject{}}, nil
}

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
	now := c.server.now()
	var options []tg.DCOption
	for _, dc := range c.server.dcs {
		addr := c.server.listeners[dc].Addr()
		if dc == c.conn.dc {
			addr = c.conn.socket.LocalAddr() // at which this client has reached it
		}
		options = append(options, dcOption(dc, addr))
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

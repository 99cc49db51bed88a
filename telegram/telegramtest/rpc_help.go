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
	return &tg.Config{
		Date: int(now.Unix()), Expires: int(now.Add(time.Hour).Unix()), ThisDC: c.server.dc,
		// The address at which this client has reached the server.
		DCOptions:   []tg.DCOption{c.server.dcOption(c.conn.socket.LocalAddr())},
		ChatSizeMax: 200, MegagroupSizeMax: 200_000, MessageLengthMax: 4096, CaptionLengthMax: 1024,
		MeURLPrefix: "https://t.me/", WebfileDCID: c.server.dc,
	}, nil
}

// https://core.telegram.org/method/help.getNearestDc
func (c *caller) helpGetNearestDC(*tg.HelpGetNearestDCRequest) (bin.Encoder, error) {
	return &tg.NearestDC{Country: "XX", ThisDC: c.server.dc, NearestDC: c.server.dc}, nil
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

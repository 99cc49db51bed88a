package telegram_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// While Telegram is away, reads answer from what is recorded, or say soon that it is away; after
// a restart, too.
func TestReadsWhileTelegramIsAway(t *testing.T) {
	for name, away := range map[string]func(*bridge, bool){
		"refused": func(b *bridge, away bool) { b.telegram.Refuse(away); b.telegram.DropConnections() },
		"silent":  func(b *bridge, away bool) { b.telegram.Blackhole(away) },
	} {
		for _, restart := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				b := newBridge(t, withRelayBot)
				b.logIn(you, ada)
				b.get(you, "/chats").is(t, 200, "")
				assert.Equal(t, "helper_bot", b.call(http.MethodGet, "/bridge", "").body["relaybot_username"])
				before := b.get(you, "").telegramOf(t)
				away(b, true)
				if restart {
					b.restart()
				}
				const patience = 15 * time.Second // far from the deadline of 30 seconds
				began := time.Now()
				assert.Equal(t, before, b.get(you, "").telegramOf(t))
				b.get(you, "/login").is(t, 200, "").state(t, "logged-in")
				assert.Equal(t, "helper_bot", b.call(http.MethodGet, "/bridge", "").body["relaybot_username"])
				assert.Less(t, time.Since(began), patience)
				if name == "refused" || restart {
					began = time.Now()
					b.get(you, "/chats").is(t, 500, "unknown_error")
					assert.Less(t, time.Since(began), patience)
				}
				away(b, false)
				for b.get(you, "/chats").status != 200 { // gotd connects again when it has paused
					require.NoError(t, t.Context().Err())
				}
			})
		}
	}
}

// withRelayBot has the bridge have a relay bot.
func withRelayBot(b *bridge) {
	b.relay = func(f *telegram.Factory) provisioning.TelegramClient {
		bot, err := f.RelayBot(helper.Token)
		require.NoError(b.t, err)
		return bot
	}
}

package telegram

import (
	"testing"

	"github.com/gotd/td/telegram"
	"github.com/stretchr/testify/assert"
)

func TestOptions(t *testing.T) {
	device := telegram.DeviceConfig{DeviceModel: "bridge.example.com", AppVersion: "1.2.3"}
	options := Config{Device: device}.options()
	assert.Equal(t, device, options.Device)
	assert.Zero(t, options.DC, "without a datacenter, gotd's own list of Telegram's is used")
	assert.True(t, options.DCList.Zero())
	assert.Empty(t, options.PublicKeys)
	assert.NotNil(t, options.Resolver)

	options = Config{Datacenter: &Datacenter{ID: 3, Addr: "[::1]:443"}}.options()
	assert.Equal(t, 3, options.DC)
	if assert.Len(t, options.DCList.Options, 1) {
		dc := options.DCList.Options[0]
		assert.Equal(t, []any{3, "::1", 443, true}, []any{dc.ID, dc.IPAddress, dc.Port, dc.Ipv6})
	}
}

package telegram_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Of gotd, package calls needs the schema alone: another gotd has that, whatever its client
// is like.
func TestCallsNeedLittle(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, "./calls").Output()
	require.NoError(t, err)
	var imported []string
	for _, path := range strings.Fields(string(out)) {
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
			imported = append(imported, strings.TrimPrefix(path, "github.com/"))
		}
	}
	assert.Equal(t, []string{
		"gotd/td/bin", "gotd/td/tg", "gotd/td/tgerr", "rs/zerolog", "tgprovision/tgprovision/internal/phone",
		"tgprovision/tgprovision/provisioning", "tgprovision/tgprovision/telegram/rpcerror",
	}, imported)
}

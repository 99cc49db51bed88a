package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The commands of the page for authors of API clients make the client in TypeScript, and log
// it in and out.
func TestTypeScriptClient(t *testing.T) {
	page, err := os.ReadFile("../docs/api-clients.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```sh\ncd examples/typescript\n")
	require.True(t, ok)
	commands, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)

	e := startExample(t)
	shell := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	shell.Dir = "../examples/typescript"
	shell.Env = append(os.Environ(), "API="+e.url, "SECRET="+secret)
	printed, err := shell.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	assert.Contains(t, string(printed), `
phone_code_invalid: That is not the right code. Please check it and try again.
@you:localhost is Grace, @grace
  Compilers (supergroup)
  Navy reunion (chat)
  Ada Lovelace (user)
@you:localhost is logged out: not_logged_in
@you:localhost is Local Bot, @local_demo_bot
  Compilers (supergroup)
@you:localhost is logged out: not_logged_in
`)
}

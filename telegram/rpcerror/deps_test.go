package rpcerror_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is the path of this module.
const module = "github.com/tgprovision/tgprovision"

// A host with a Telegram client of its own compiles no other one with this package: it
// imports package provisioning and the standard library, whose own dependencies a test of
// provisioning lists.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	require.NoError(t, err)
	imports := strings.Fields(string(out))
	require.Contains(t, imports, module+"/provisioning")
	for _, imported := range imports {
		first, _, _ := strings.Cut(imported, "/")
		assert.True(t, imported == module+"/provisioning" || !strings.Contains(first, "."), "%s is imported", imported)
	}
	out, err = exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(out), "github.com/gotd/")
	assert.NotContains(t, strings.Fields(string(out)), module+"/telegram")
}

package telegram

import (
	"go/build"
	"os"
	"path/filepath"
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gotd keeps its keys to itself, but for their file. Where it has others, publicKeys needs
// them; where it gives them to others, publicKeys can go.
func TestGotdHasTheSamePublicKeys(t *testing.T) {
	t.Parallel()
	gotd, err := build.Import("github.com/gotd/td/mtproto", ".", build.FindOnly)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(gotd.Dir, "_data", "public_keys.pem"))
	require.NoError(t, err)
	keys, err := crypto.ParseRSAPublicKeys(data)
	require.NoError(t, err)
	var gotds, ours []int64
	for _, key := range keys {
		gotds = append(gotds, crypto.RSAFingerprint(key))
	}
	for _, key := range publicKeys() {
		ours = append(ours, key.Fingerprint())
	}
	assert.ElementsMatch(t, gotds, ours)
}

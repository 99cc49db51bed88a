package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram"
)

// logInDemo logs the demo's user in, by the lines that are printed.
func (i *instance) logInDemo() {
	i.t.Helper()
	me := i.curl(`curl -s -H "Authorization: Bearer $SECRET" -d '{"phone": "+99966 1 0001"}' "$API/v1/user/@you:localhost/login/request_code"`)
	require.Contains(i.t, me, `"state":"code"`)
	me = i.curl(`curl -s -H "Authorization: Bearer $SECRET" -d '{"code": "12345"}' "$API/v1/user/@you:localhost/login/send_code"`)
	require.Contains(i.t, me, `"state":"logged-in"`)
}

func (i *instance) loggedIn() bool {
	i.t.Helper()
	me := i.curl(`curl -s -H "Authorization: Bearer $SECRET" "$API/v1/user/@you:localhost"`)
	return !bytes.Contains([]byte(me), []byte(`"telegram":null`))
}

// The first start makes a key that only its owner can read. Another key is refused, and the
// sessions that it can't read are deleted when that is asked for.
func TestSessionKeyFile(t *testing.T) {
	folder := t.TempDir()
	database, keyFile := filepath.Join(folder, "local.db"), filepath.Join(folder, "session.key")
	i := start(t, "-db", database)
	i.logInDemo()
	i.stop()
	info, err := os.Stat(keyFile)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	first, err := os.ReadFile(keyFile)
	require.NoError(t, err)

	other := filepath.Join(folder, "other.key")
	key := telegram.NewSessionKey()
	require.NoError(t, os.WriteFile(other, []byte(key.Text()), 0o600))
	args := []string{"-db", database, "-listen", "127.0.0.1:0", "-session-key-file", other}
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFault, run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "another session key")
	assert.NotContains(t, stderr.String(), key.Text())

	// The key is replaced: both are there for one start.
	require.NoError(t, os.WriteFile(other, append([]byte(key.Text()+"\n"), first...), 0o600))
	i = start(t, "-db", database, "-session-key-file", other)
	assert.True(t, i.loggedIn())
	i.stop()
	require.NoError(t, os.WriteFile(other, []byte(key.Text()), 0o600))
	i = start(t, "-db", database, "-session-key-file", other)
	assert.True(t, i.loggedIn())
	i.stop()

	i = start(t, "-db", database, "-drop-unreadable-sessions") // with the first key again
	assert.False(t, i.loggedIn())
	assert.Contains(t, i.log.String(), `"session":"@you:localhost"`)
}

func TestUnusableSessionKeyFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "a.key")
	for _, text := range []string{"", "secret words", "AAAA"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := readSessionKeys(file)
		require.ErrorContains(t, err, "-session-key-file "+file)
		if text != "" {
			assert.NotContains(t, err.Error(), text)
		}
	}
	_, err := readSessionKeys(filepath.Join(folder, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

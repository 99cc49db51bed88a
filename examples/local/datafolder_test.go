package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The secret that is made is kept for the next start, for its owner alone; one that is given
// counts, and is not kept.
func TestKeptSecret(t *testing.T) {
	folder := t.TempDir()
	database, file := filepath.Join(folder, "local.db"), filepath.Join(folder, "api.secret")
	i := start(t, "-db", database, "-secret", `it's-one-of-"$API"-s`)
	assert.Equal(t, `it's-one-of-"$API"-s`, i.secret)
	i.stop()
	_, err := os.Stat(file)
	require.ErrorIs(t, err, fs.ErrNotExist)

	i = start(t, "-db", database)
	first := i.secret
	assert.Contains(t, i.curl(i.curls[0]), `"state":"code"`)
	i.stop()
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	i = start(t, "-db", database)
	assert.Equal(t, first, i.secret)
	i.stop()
	assert.NotContains(t, i.log.String(), first)

	require.NoError(t, os.WriteFile(file, []byte("too-short\n"), 0o600))
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-db", database, "-listen", "127.0.0.1:0"}, func(string) string { return "" }, &stdout, &stderr)
	assert.Equal(t, exitFault, code)
	assert.Contains(t, stderr.String(), "api.secret has 9 characters")
	assert.NotContains(t, stderr.String(), "too-short")
}

// Two processes never use one SQLite file, by whatever name, nor one embedded Telegram server's data.
func TestSecondProcess(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t, "-db", "data/local.db")
	require.NoError(t, os.Symlink("data/local.db", "link.db"))
	for database, names := range map[string]string{
		"data/local.db": "data/local.db", "link.db": "link.db", "data/other.db": filepath.Join("data", "telegram.json"),
	} {
		var stdout, stderr bytes.Buffer
		args := []string{"-db", database, "-listen", "127.0.0.1:0", "-log-level", "disabled"}
		code := run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr)
		assert.Equal(t, exitFault, code, database)
		assert.Equal(t, "local: another process uses "+names+": stop it, or give this one a -db in another folder\n", stderr.String(), database)
		assert.Empty(t, stdout.String(), database)
	}
	// Without the embedded Telegram server, another file in the folder can be used.
	start(t, append(awayTelegram(t), "-db", "data/other.db")...).stop()
	i.stop()
	start(t, "-db", "link.db").stop()
}

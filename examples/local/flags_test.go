package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnusableFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("no.pem", []byte("no key"), 0o600))
	for _, c := range []struct{ args, says string }{
		{"-nonsense", "-nonsense"},
		{"something", "belongs to no flag"},
		{"-listen 29317", "-listen"},
		{"-listen 256.0.0.1:0", "-listen"},
		{"-secret short", "-secret"},
		{"-db host=x user=y password=hunter2", "quote values"},
		{"-permissions example.com", "-permissions"},
		{"-permissions *=king", "king"},
		{"-api-id x -api-hash y", "-api-id"},
		{"-api-id 1", "-api-hash"},
		{"-api-hash x", "-api-id"},
		{"-telegram-dc 127.0.0.1:443", "-telegram-key"},
		{"-telegram-key no.pem", "-telegram-dc"},
		{"-telegram-dc telegram:443 -telegram-key no.pem", "-telegram-dc"},
		{"-telegram-dc 127.0.0.1:443 -telegram-key none.pem", "none.pem"},
		{"-telegram-dc 127.0.0.1:443 -telegram-key no.pem", "no.pem"},
		{"-relay-bot-token 1:x", "-relay-bot-token"},
		{"-homeserver http://127.0.0.1:8008", "-registration"},
		{"-registration no.pem", "-homeserver"},
		{"-homeserver 127.0.0.1:8008 -registration no.pem", "-homeserver"},
		{"-homeserver http://127.0.0.1:8008 -registration none.yaml", "none.yaml"},
		{"-homeserver http://127.0.0.1:8008 -registration no.pem", "no.pem"},
		{"-generate-registration x.yaml -listen 127.0.0.1:0", "-listen"},
		{"-forget-user you", "-forget-user"},
		{"-log-level loud", "-log-level"},
		{"-log-format xml", "-log-format"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), func(string) string { return "" }, &stdout, &stderr)
		assert.Equal(t, exitUsage, code, c.args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "%s: one line, not %s", c.args, &stderr)
		assert.Contains(t, stderr.String(), c.says, c.args)
		assert.Empty(t, stdout.String(), c.args)
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"TGPROVISION_SECRET": "from-the-environment", "TGPROVISION_LOG_LEVEL": "warn", "TGPROVISION_LISTEN": "127.0.0.1:1",
	}
	getenv := func(name string) string { return env[name] }
	s, err := parseFlags([]string{"-listen", "127.0.0.1:2"}, getenv, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []string{"from-the-environment", "warn", "127.0.0.1:2"}, []string{s.host.secret, s.logLevel.String(), s.listen})
	assert.True(t, s.demo)

	env["TGPROVISION_API_ID"] = "x"
	_, err = parseFlags(nil, getenv, io.Discard)
	require.ErrorContains(t, err, "TGPROVISION_API_ID")
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, run(t.Context(), []string{"-help"}, os.Getenv, &stdout, &stderr))
	for _, name := range []string{
		"-listen", "-secret", "-db", "-permissions", "-api-id", "-api-hash", "-telegram-dc", "-telegram-key",
		"-homeserver", "-registration", "-generate-registration", "-forget-user", "-relay-bot-token", "-metrics", "-matrix-auth", "-cors", "-audit-log", "-log-level", "-log-format", "TGPROVISION_",
	} {
		assert.Contains(t, stdout.String(), name)
	}
	assert.Empty(t, stderr.String())
}

func TestGenerateRegistration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registration.yaml")
	var stdout, stderr bytes.Buffer
	args := []string{"-generate-registration", file, "-listen", "127.0.0.1:29317"}
	require.Equal(t, exitOK, run(t.Context(), args, os.Getenv, &stdout, &stderr), "%s", &stderr)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds tokens")
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(first), "url: http://127.0.0.1:29317")
	// A file that is there is never written over.
	assert.Equal(t, exitFault, run(t.Context(), args, os.Getenv, &stdout, &stderr))
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	// A homeserver that is not there is an error in words.
	stderr.Reset()
	args = []string{"-homeserver", "http://127.0.0.1:1", "-registration", file, "-listen", "127.0.0.1:0", "-db", filepath.Join(t.TempDir(), "x.db"), "-log-level", "disabled"}
	assert.Equal(t, exitFault, run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "homeserver")
}

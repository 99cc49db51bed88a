package main

import (
	"bytes"
	"fmt"
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
		{"-generate-registration x.yaml -listen 127.0.0.1:0", "-registration-url"},
		{"-generate-registration x.yaml -listen 0.0.0.0:29317", "-registration-url"},
		{"-generate-registration x.yaml -listen [::]:29317", "-registration-url"},
		{"-generate-registration x.yaml -listen :29317", "-registration-url"},
		{"-generate-registration x.yaml -registration-url bridge:29317", "-registration-url"},
		{"-registration-url http://bridge:29317", "-generate-registration"},
		{"-public-url bridge.example.com", "-public-url"},
		{"-public-url ftp://bridge.example.com", "-public-url"},
		{"-widget-clients https://app.element.io", "-matrix-auth"},
		{"-proxy http://127.0.0.1:3128", "-proxy"},
		{"-client-address-header X-Real-IP:", "-client-address-header"},
		{"-max-requests 0", "-max-requests"},
		{"-max-requests-per-user -1", "-max-requests-per-user"},
		{"-timeout 0s", "-timeout"},
		{"-timeout 30", "-timeout"},
		{"-max-clients 0", "-max-clients"},
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
		"-listen", "-secret", "-db", "-permissions", "-api-id", "-api-hash", "-telegram-dc", "-telegram-key", "-proxy", "-max-clients",
		"-homeserver", "-registration", "-generate-registration", "-registration-url", "-public-url", "-widget-clients", "-forget-user", "-relay-bot-token", "-metrics", "-matrix-auth", "-cors",
		"-audit-log", "-max-requests", "-max-requests-per-user", "-timeout", "-client-address-header", "-codes-per-hour", "-failure-limit",
		"-log-level", "-log-format", "-version", "TGPROVISION_",
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
	// The homeserver may reach the program elsewhere.
	other := filepath.Join(t.TempDir(), "other.yaml")
	args = []string{"-generate-registration", other, "-listen", "0.0.0.0:29317", "-registration-url", "https://bridge.example.com/x"}
	require.Equal(t, exitOK, run(t.Context(), args, os.Getenv, &stdout, &stderr), "%s", &stderr)
	text, err := os.ReadFile(other)
	require.NoError(t, err)
	assert.Contains(t, string(text), "url: https://bridge.example.com/x\n")
	// A homeserver that is not there is an error in words.
	stderr.Reset()
	args = []string{"-homeserver", "http://127.0.0.1:1", "-registration", file, "-listen", "127.0.0.1:0", "-db", filepath.Join(t.TempDir(), "x.db"), "-log-level", "disabled"}
	assert.Equal(t, exitFault, run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "homeserver")
}

func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	t.Setenv("TGPROVISION_API_ID", "unusable")
	assert.Equal(t, exitOK, run(t.Context(), []string{"-version"}, os.Getenv, &stdout, &stderr))
	assert.Regexp(t, `^tgprovision \S+, go1\.\S+, gotd v0\.\S+\n$`, stdout.String())
	assert.Empty(t, stderr.String())

	t.Chdir(t.TempDir())
	i := start(t)
	assert.Regexp(t, `^\{"level":"info","version":"[^"]+","go":"go1\.[^"]+","gotd":"v0\.[^"]+","time":"[^"]+","message":"Starting"\}\n`, i.log.String())
}

func TestBounds(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t, "-max-requests-per-user", "1")
	holdRequest(t, strings.TrimSuffix(strings.TrimPrefix(i.api, "http://"), "/_matrix/provision"), i.secret)
	const me = `curl -H "Authorization: Bearer $SECRET" "$API/v1/user/@you:localhost"`
	assert.Contains(t, i.curl(me), `"too_many_requests"`)
	assert.Contains(t, i.curl(strings.ReplaceAll(me, "@you", "@me")), `"mxid":"@me:localhost"`)
}

func TestTimeout(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t, "-timeout", "1ns")
	assert.Contains(t, i.curl(i.curls[0]), `"unknown_error"`)
}

// One address that sends too many wrong secrets does not hold up those beside it.
func TestClientAddressHeader(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t, "-client-address-header", "X-Forwarded-For", "-failure-limit", "2")
	guess := func(from string) string {
		return i.curl(`curl -H "Authorization: Bearer wrong" -H "X-Forwarded-For: ` + from + `" "$API/v1/bridge"`)
	}
	for n := 0; !strings.Contains(guess(fmt.Sprintf("192.0.2.%d, 10.0.0.1", n)), `"too_many_requests"`); n++ {
		require.NoError(t, t.Context().Err())
	}
	assert.Contains(t, guess("10.0.0.1, 10.0.0.2"), `"shared_secret_invalid"`)
}

func TestMaxClients(t *testing.T) {
	s, err := parseFlags([]string{"-max-clients", "7", "-max-requests", "8"}, func(string) string { return "" }, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 7, s.host.telegram.MaxClients)
	assert.Equal(t, 8, s.host.maxRequests)
}

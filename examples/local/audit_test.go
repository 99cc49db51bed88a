package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

// The audit trail has a line for each change, goes on after a restart, and holds no secret.
func TestAuditLog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "audit.jsonl")
	args := []string{"-secret", "the-secret-of-this-test", "-db", filepath.Join(dir, "x.db"), "-audit-log", file}
	i := start(t, args...)
	for _, line := range i.curls[:3] {
		i.curl(line)
	}
	i.stop()
	i = start(t, args...)
	i.curl("curl -X POST -H 'Authorization: Bearer a-wrong-one' " + i.api + "/v1/user/@you:localhost/logout")
	i.curl("curl -X POST -H 'Authorization: Bearer the-secret-of-this-test' " + i.api + "/v1/user/@you:localhost/logout")
	i.stop()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var got []string
	for line := range strings.Lines(string(text)) {
		var e provisioning.AuditEntry
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		assert.Equal(t, "@you:localhost", string(e.UserID))
		got = append(got, strings.Join([]string{e.Auth, e.SecretName, e.Operation, e.Outcome}, " "))
	}
	assert.Equal(t, []string{
		"secret default post_login_phone ok", "secret default post_login_code ok",
		"  logout shared_secret_invalid", "secret default logout ok",
	}, got)
	for _, secret := range []string{"the-secret-of-this-test", "a-wrong-one", demoAccounts[0].Phone, demoAccounts[0].Code} {
		assert.NotContains(t, string(text), secret)
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// runMain has the test binary be the program.
const runMain = "LOCAL_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

func TestPrintedLinesWork(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t)
	assert.Contains(t, i.printed, "\n  "+i.api+"/v1   for API clients\n  "+i.api+"      for the Go client, which adds /v1\n")
	assert.Contains(t, i.curl("curl "+i.api+"/v1/docs/"), "swagger-ui")
	require.Len(t, i.curls, 9)
	var answers []string
	for _, line := range i.curls {
		answers = append(answers, i.curl(line))
	}
	assert.Contains(t, answers[0], `"state":"code"`)
	assert.Contains(t, answers[1], `"state":"logged-in"`)
	assert.Contains(t, answers[2], `"first_name":"Ada"`)
	assert.Contains(t, answers[3], `{"id":-1000000002003,"title":"Analytical Engine","type":"supergroup",`)
	assert.Contains(t, answers[4], `"name":"Grace Hopper"`)
	assert.Equal(t, `{"warnings":[]}`, answers[5])
	assert.Contains(t, answers[6], `"title":"Analytical Engine"`)
	assert.Contains(t, answers[6], `"can_unbridge":true`)
	assert.Equal(t, `{}`, answers[7])
	assert.Equal(t, `{}`, answers[8])
}

func TestMetrics(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t)
	metrics := strings.TrimSuffix(i.api, "/_matrix/provision") + "/metrics"
	for _, line := range i.curls[:3] {
		i.curl(line)
	}
	i.curl("curl " + i.api + "/v1/user/@you:localhost") // without the secret
	page := "\n" + i.curl("curl "+metrics) + "\n"
	for _, line := range []string{
		`tgprovision_requests_total{code="200",operation="post_login_phone"} 1`,
		`tgprovision_requests_total{code="200",operation="post_login_code"} 1`,
		`tgprovision_requests_total{code="401",operation="unauthorized"} 1`,
		`tgprovision_request_errors_total{errcode="unhandled_error",operation="post_login_code"} 0`,
		`tgprovision_request_duration_seconds_count{operation="get_me"} 1`,
		`tgprovision_logins_total{method="phone",outcome="success"} 1`,
		`tgprovision_telegram_calls_total{method="auth.signIn",outcome="ok"} 1`,
		`tgprovision_telegram_clients{state="connected"} 1`,
		`tgprovision_telegram_clients{state="connecting"} 0`,
	} {
		assert.Contains(t, page, "\n"+line+"\n")
	}
	assert.Contains(t, page, "\ntgprovision_tasks_pending ")
	assert.Contains(t, page, "\ngo_goroutines ")
	for _, private := range []string{i.secret, "@you", "localhost", demoAccounts[0].Phone} {
		assert.NotContains(t, page, private)
	}
	i.stop()

	i = start(t, "-metrics=false")
	metrics = strings.TrimSuffix(i.api, "/_matrix/provision") + "/metrics"
	assert.NotContains(t, i.curl("curl "+metrics), "tgprovision_")
}

func TestDemoBot(t *testing.T) {
	t.Chdir(t.TempDir())
	for range 2 { // the second time with the data of the first
		i := start(t)
		const user = `curl -H "Authorization: Bearer $SECRET" $API/v1/user/@you:localhost`
		i.curl(user + `/login/bot_token -d '{"token":"` + demoBotToken + `"}'`)
		assert.JSONEq(t, `[{"id":-1000000002001,"title":"Compilers","type":"supergroup","username":"","room_id":"!demo:localhost"}]`, i.curl(user+"/chats"))
		i.stop()
	}
}

// The README's session is run line by line, across a restart.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "```console\n")
	require.True(t, ok)
	transcript, _, ok := strings.Cut(rest, "\n```")
	require.True(t, ok)

	t.Chdir(t.TempDir())
	session := strings.Split(transcript, "$ ")[1:]
	require.Len(t, session, 5)
	for _, part := range session {
		command, folded, _ := strings.Cut(part, "\n")
		answer := regexp.MustCompile(`\n *`).ReplaceAllString(folded, "")
		i := start(t) // the program may be stopped between any two of them
		assert.Equal(t, answer, i.curl(command), command)
		i.stop()
	}
}

func TestNoSecretInTheLog(t *testing.T) {
	dir := t.TempDir()
	i := start(t, "-secret", "the-secret-of-this-test", "-db", filepath.Join(dir, "x.db"), "-relay-bot-token", demoBotToken)
	for _, line := range i.curls {
		i.curl(line)
	}
	bridge := i.curl(`curl -H 'Authorization: Bearer the-secret-of-this-test' ` + i.api + `/v1/bridge`)
	assert.Contains(t, bridge, `"relaybot_username":"local_demo_bot"`)
	i.stop()
	log := i.log.String()
	require.Contains(t, log, `"op":"post_login_code"`)
	for _, secret := range []string{"the-secret-of-this-test", demoAccounts[0].Phone, strings.Split(demoBotToken, ":")[1]} {
		assert.NotContains(t, log, secret)
	}
	for _, name := range []string{"x.db", "telegram.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "%s holds session keys", name)
	}
}

// You call for yourself with a token of the homeserver, from a page of your own.
func TestMatrixAuth(t *testing.T) {
	i := start(t, "-db", filepath.Join(t.TempDir(), "x.db"), "-matrix-auth", "-cors", "https://app.example.com,http://localhost:8080")
	var own []string
	for _, line := range i.curls {
		if !strings.Contains(line, "$SECRET") {
			own = append(own, line)
		}
	}
	require.Len(t, own, 1)
	assert.Contains(t, i.curl(own[0]), `"mxid":"@you:localhost"`)
	assert.Contains(t, i.curl(strings.ReplaceAll(own[0], "@you", "@me")), "mxid_mismatch")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, i.api+"/v1/bridge", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", "http://localhost:8080")
	r.Header.Set("Access-Control-Request-Method", http.MethodGet)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	assert.Equal(t, "http://localhost:8080", resp.Header.Get("Access-Control-Allow-Origin"))
}

func TestPortInUse(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t)
	var stdout, stderr bytes.Buffer
	address := strings.TrimSuffix(strings.TrimPrefix(i.api, "http://"), "/_matrix/provision")
	code := run(t.Context(), []string{"-listen", address, "-db", "other/x.db", "-log-level", "disabled"}, os.Getenv, &stdout, &stderr)
	assert.Equal(t, exitFault, code)
	assert.Contains(t, stderr.String(), "-listen")
	assert.Empty(t, stdout.String())
}

// With everything embedded, a user is forgotten after the program has ended.
func TestForgetUser(t *testing.T) {
	t.Chdir(t.TempDir())
	i := start(t)
	i.curl(i.curls[0])
	i.curl(i.curls[1])
	i.stop()
	for _, session := range []string{"ended", "none"} {
		var stdout, stderr bytes.Buffer
		args := []string{"-forget-user", "@you:localhost", "-log-level", "error"}
		code := run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr)
		assert.Equal(t, exitOK, code, "%s", &stderr)
		assert.Contains(t, stdout.String(), "Removed of @you:localhost:\n  Telegram session   "+session+"\n")
	}
}

package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestCountTasksOnPostgres(t *testing.T) {
	store := openPortals(t, postgres.newDatabase(t))
	for want := range 3 {
		n, err := store.CountTasks(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n)
		require.NoError(t, store.AddTasks(t.Context(), provisioning.NewTask{ID: strings.Repeat("x", n+1), Kind: "event"}))
	}
}

// The metrics of a process on PostgreSQL, with what the database says.
func TestMetricsOfAProcess(t *testing.T) {
	e := startExample(t, "-db", postgres.newDatabase(t))
	for step, body := range map[string]string{"request_code": `{"phone":"+9996610001"}`, "bot_token": `{"token":"1:x"}`} {
		_, answer := e.call(t, http.MethodPost, "/v1/user/@you:localhost/login/"+step, body)
		require.NotEmpty(t, answer["state"])
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(e.url, "/_matrix/provision")+"/metrics", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, line := range []string{
		`tgprovision_requests_total{code="200",operation="post_login_phone"} 1`,
		`tgprovision_logins_total{method="bot",outcome="bot_token_invalid"} 1`,
		`tgprovision_telegram_calls_total{method="auth.importBotAuthorization",outcome="refused"} 1`,
		`tgprovision_tasks_pending 0`,
	} {
		assert.Contains(t, string(page), "\n"+line+"\n")
	}
}

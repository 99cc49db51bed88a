package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/metrics"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-secret-for-the-tests"

var account = provisioningtest.TelegramAccount{
	Account: provisioning.Account{ID: 1001, FirstName: "Ada", Phone: "15550100"}, Code: "01234",
}

// newAPI returns the API on in-memory parts, and what waits for its background work.
func newAPI(tb testing.TB, observer provisioning.Observer) (http.Handler, func()) {
	tb.Helper()
	full := func(id.UserID) provisioning.Permission { return provisioning.PermissionFull }
	portals := provisioningtest.NewMemPortalStore()
	p, err := provisioning.New(provisioning.Config{
		Secret: secret, Users: provisioningtest.NewMemUserStore(full), Portals: portals, Tasks: portals,
		Telegram: provisioningtest.NewTelegram(account), Rooms: provisioningtest.NewMemRooms(), Observer: observer,
		Events: func(context.Context, provisioning.Event) error { return nil },
	})
	require.NoError(tb, err)
	require.NoError(tb, p.Start(context.WithoutCancel(tb.Context())))
	stop := sync.OnceFunc(func() { assert.NoError(tb, p.Close(context.WithoutCancel(tb.Context()))) })
	tb.Cleanup(stop)
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	p.Mount(r)
	return r, stop
}

// call sends a request to what is below /v1 and returns the status.
func call(api http.Handler, method, path, secret, body string) int {
	r := httptest.NewRequest(method, "/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Code
}

// filled returns a collector in which every metric has a value.
func filled(o metrics.Config) *metrics.Collector {
	c := metrics.New(o)
	observer := c.Observer()
	observer.Request(provisioning.ObservedRequest{Operation: "get_me", Status: 200, Duration: time.Second, Secret: "panel"})
	observer.Request(provisioning.ObservedRequest{Operation: "get_me", Status: 401, Errcode: "shared_secret_invalid"})
	observer.Login(provisioning.ObservedLogin{Method: provisioning.LoginMethodBot})
	observer.Task(provisioning.ObservedTask{Kind: "set_up", Failed: true})
	c.TelegramCall("users.getUsers", "ok", time.Second)
	c.TelegramFloodWait(90*time.Second, false)
	c.TelegramFloodWait(-time.Second, true)
	c.TelegramDisconnected()
	c.TelegramSessionEnd("failed")
	c.CountTelegramClients(func() (connected, connecting int) { return 3, 1 })
	c.CountEndingSessions(func() int { return 2 })
	c.CountPendingTasks(func(context.Context) (int, error) { return 7, nil })
	return c
}

// text returns what a scrape gets.
func text(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, family := range families {
		_, err := expfmt.MetricFamilyToText(&b, family)
		require.NoError(t, err)
	}
	return b.String()
}

func TestNamesFollowTheConventions(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(filled(metrics.Config{})))
	page := text(t, registry)
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	for _, line := range []string{
		`tgprovision_requests_total{code="200",operation="get_me"} 1`,
		`tgprovision_request_errors_total{errcode="shared_secret_invalid",operation="get_me"} 1`,
		`tgprovision_request_errors_total{errcode="unhandled_error",operation="create_portal"} 0`,
		`tgprovision_request_duration_seconds_sum{operation="get_me"} 1`,
		`tgprovision_request_duration_seconds_bucket{operation="get_me",le="30"} 2`,
		`tgprovision_secret_requests_total{secret="panel"} 1`,
		`tgprovision_logins_total{method="bot",outcome="success"} 1`,
		`tgprovision_tasks_total{kind="set_up",outcome="failed"} 1`,
		`tgprovision_tasks_total{kind="set_up",outcome="done"} 0`,
		`tgprovision_tasks_pending 7`,
		`tgprovision_telegram_calls_total{method="users.getUsers",outcome="ok"} 1`,
		`tgprovision_telegram_call_duration_seconds_count 1`,
		`tgprovision_telegram_flood_waits_total{handling="returned"} 1`,
		`tgprovision_telegram_flood_wait_seconds_total{handling="returned"} 90`,
		`tgprovision_telegram_flood_wait_seconds_total{handling="waited"} 0`,
		`tgprovision_telegram_disconnects_total 1`,
		`tgprovision_telegram_session_ends_total{outcome="failed"} 1`,
		`tgprovision_telegram_session_ends_total{outcome="given_up"} 0`,
		`tgprovision_telegram_sessions_ending 2`,
		`tgprovision_telegram_clients{state="connected"} 3`,
		`tgprovision_telegram_clients{state="connecting"} 1`,
	} {
		assert.Contains(t, page, "\n"+line+"\n")
	}
}

// The page for administrators lists the metrics that there are.
func TestDocsListTheMetrics(t *testing.T) {
	page, err := os.ReadFile("../../docs/administrators.md")
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(filled(metrics.Config{})))
	families, err := registry.Gather()
	require.NoError(t, err)
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
	}
	listed := regexp.MustCompile(`tgprovision_\w+`).FindAllString(string(page), -1)
	slices.Sort(listed)
	assert.ElementsMatch(t, names, slices.Compact(listed))
}

// Two bridges in one process are told apart by a constant label.
func TestTwoCollectors(t *testing.T) {
	one := filled(metrics.Config{ConstLabels: prometheus.Labels{"bridge": "one"}})
	two := filled(metrics.Config{ConstLabels: prometheus.Labels{"bridge": "two"}, RequestBuckets: []float64{1}})
	registry, another := prometheus.NewPedanticRegistry(), prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(one))
	require.NoError(t, registry.Register(two))
	require.NoError(t, another.Register(one))
	require.ErrorAs(t, registry.Register(one), &prometheus.AlreadyRegisteredError{})
	page := text(t, registry)
	assert.Contains(t, page, `tgprovision_tasks_pending{bridge="one"} 7`)
	assert.Contains(t, page, `tgprovision_tasks_pending{bridge="two"} 7`)
	assert.Contains(t, page, `tgprovision_request_duration_seconds_bucket{bridge="two",operation="get_me",le="1"} 2`)
	assert.NotContains(t, page, `tgprovision_request_duration_seconds_bucket{bridge="two",operation="get_me",le="30"}`)
	assert.True(t, registry.Unregister(one))
	require.NoError(t, registry.Register(one))
	assert.NotContains(t, text(t, another), `"two"`)
}

// Other metrics come also while the database does not answer.
func TestPendingTasksUnknown(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := metrics.New(metrics.Config{})
	require.NoError(t, registry.Register(c))
	for _, gauge := range []string{"tgprovision_tasks_pending", "tgprovision_telegram_clients", "tgprovision_telegram_sessions_ending"} {
		n, err := testutil.GatherAndCount(registry, gauge)
		require.NoError(t, err)
		assert.Zero(t, n, gauge)
	}
	c.CountPendingTasks(func(ctx context.Context) (int, error) {
		_, limited := ctx.Deadline()
		assert.True(t, limited)
		return 0, errors.New("the database does not answer")
	})
	assert.NotContains(t, text(t, registry), "tgprovision_tasks_pending")
	assert.Contains(t, text(t, registry), "tgprovision_telegram_disconnects_total 0")
}

// A function of the host's that panics makes the scrape fail, in which the registry calls it
// in a goroutine of its own, and not the process.
func TestPanicsOfCounts(t *testing.T) {
	for name, set := range map[string]func(c *metrics.Collector){
		"clients": func(c *metrics.Collector) { c.CountTelegramClients(func() (int, int) { panic("boom") }) },
		"ending":  func(c *metrics.Collector) { c.CountEndingSessions(func() int { panic("boom") }) },
		"pending": func(c *metrics.Collector) {
			c.CountPendingTasks(func(context.Context) (int, error) { panic("boom") })
		},
	} {
		c := metrics.New(metrics.Config{})
		set(c)
		registry := prometheus.NewRegistry()
		require.NoError(t, registry.Register(c))
		found, err := registry.Gather()
		require.ErrorContains(t, err, "panic: boom", name)
		assert.NotEmpty(t, found, name)
	}
}

func TestCollectorOnTheAPI(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := metrics.New(metrics.Config{})
	require.NoError(t, registry.Register(c))
	api, stop := newAPI(t, c.Observer())
	const user = "/user/@you:example.com"
	assert.Equal(t, 200, call(api, "POST", user+"/login/request_code", secret, `{"phone":"+15550100"}`))
	assert.Equal(t, 401, call(api, "POST", user+"/login/send_code", secret, `{"code":"99999"}`))
	assert.Equal(t, 200, call(api, "POST", user+"/login/send_code", secret, `{"code":"01234"}`))
	assert.Equal(t, 401, call(api, "GET", user, "wrong", ""))
	stop()
	page := text(t, registry)
	for _, line := range []string{
		`tgprovision_requests_total{code="200",operation="post_login_code"} 1`,
		`tgprovision_requests_total{code="401",operation="post_login_code"} 1`,
		`tgprovision_requests_total{code="401",operation="unauthorized"} 1`,
		`tgprovision_request_duration_seconds_count{operation="post_login_code"} 2`,
		`tgprovision_logins_total{method="phone",outcome="success"} 1`,
		`tgprovision_logins_total{method="phone",outcome="phone_code_invalid"} 1`,
		`tgprovision_tasks_total{kind="event",outcome="done"} 1`,
	} {
		assert.Contains(t, page, "\n"+line+"\n")
	}
	for _, private := range []string{"you", "example", "15550100", "01234", secret} {
		assert.NotContains(t, page, private)
	}
}

func TestConcurrentUse(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := filled(metrics.Config{})
	require.NoError(t, registry.Register(c))
	api, _ := newAPI(t, c.Observer())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				call(api, "GET", "/user/@you:example.com", secret, "")
				c.TelegramCall("users.getUsers", "ok", time.Second)
				c.CountTelegramClients(func() (int, int) { return 1, 1 })
			}
		})
		all.Go(func() {
			for range 10 {
				_, err := registry.Gather()
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	assert.Contains(t, text(t, registry), `tgprovision_requests_total{code="200",operation="get_me"} 201`)
}

// series returns the labels and values of all time series.
func series(tb testing.TB, g prometheus.Gatherer) (all [][]*dto.LabelPair) {
	tb.Helper()
	families, err := g.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			all = append(all, m.GetLabel())
		}
	}
	return all
}

// Whatever is sent, all labels have values of fixed lists.
func FuzzLabels(f *testing.F) {
	for _, path := range []string{
		"/user/@you:example.com", "/user/@you:example.com/pm/+15550100", "/nothing", "/portal/!room:x/connect/-1", "/", "/user/%ff",
		"/user/@you:example.com/login/send_code", "/user/@you:example.com/login/bot_token", "/portal/!a/create?user_id=@you:example.com",
	} {
		f.Add("GET", path, secret, "{}")
		f.Add("POST", path, secret, `{"phone":"+15550100","code":"01234","token":"1:x","type":"chat"}`)
		f.Add("BREW", path, "guess", "")
	}
	registry := prometheus.NewRegistry()
	c := metrics.New(metrics.Config{})
	require.NoError(f, registry.Register(c))
	api, _ := newAPI(f, c.Observer())
	operations, kinds := provisioning.Operations(), provisioning.TaskKinds()
	errcodes := []string{"success", "done", "failed", "ended", "given_up"} // and, among its other words, those of the document
	errcodes = append(errcodes, regexp.MustCompile(`[\w.]{4,}`).FindAllString(string(provisioning.OpenAPI()), -1)...)
	f.Fuzz(func(t *testing.T, method, path, secret, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://example.com/v1"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header["Authorization"] = []string{"Bearer " + secret}
		api.ServeHTTP(httptest.NewRecorder(), r)
		for _, labels := range series(t, registry) {
			for _, label := range labels {
				value, ok := label.GetValue(), false
				switch label.GetName() {
				case "operation":
					ok = slices.Contains(operations, value)
				case "kind":
					ok = slices.Contains(kinds, value)
				case "code":
					status, err := strconv.Atoi(value)
					ok = err == nil && http.StatusText(status) != ""
				case "errcode", "outcome":
					ok = slices.Contains(errcodes, value)
				case "secret":
					ok = value == provisioning.DefaultSecretName
				case "method", "handling":
					ok = slices.Contains([]string{"phone", "bot", "qr", "waited", "returned"}, value)
				}
				assert.True(t, ok, "%s has the value %q after %s %q", label.GetName(), value, method, path)
			}
		}
	})
}

// A host has Prometheus only if it wants this package.
func TestOthersNeedNoPrometheus(t *testing.T) {
	const module = "github.com/tgprovision/tgprovision/"
	list := func(packages ...string) string {
		args := append([]string{"list", "-deps"}, packages...)
		out, err := exec.CommandContext(t.Context(), "go", args...).Output()
		require.NoError(t, err)
		return string(out)
	}
	assert.NotContains(t, list(module+"provisioning", module+"telegram", module+"portal", module+"auth"), "prometheus")
	assert.NotContains(t, list("."), "gotd")
}

// Counting allocates nothing.
func TestObserverAllocations(t *testing.T) {
	c := metrics.New(metrics.Config{})
	observer := c.Observer()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		observer.Request(provisioning.ObservedRequest{Operation: "get_me", Status: 403, Errcode: "not_logged_in", Duration: time.Second})
		observer.Login(provisioning.ObservedLogin{Method: provisioning.LoginMethodPhone})
		observer.Task(provisioning.ObservedTask{Kind: "event"})
		c.TelegramCall("users.getUsers", "ok", time.Second)
		c.TelegramFloodWait(time.Second, true)
	}))
}

// What a Collector costs a request.
func BenchmarkRequest(b *testing.B) {
	for _, variant := range []struct {
		name     string
		observer provisioning.Observer
	}{{"without", provisioning.Observer{}}, {"with", metrics.New(metrics.Config{}).Observer()}} {
		b.Run(variant.name, func(b *testing.B) {
			api, _ := newAPI(b, variant.observer)
			b.ReportAllocs()
			for b.Loop() {
				call(api, "GET", "/user/@you:example.com", secret, "")
			}
		})
	}
}

// What a Collector costs by itself.
func BenchmarkCollector(b *testing.B) {
	observer := metrics.New(metrics.Config{}).Observer()
	b.ReportAllocs()
	for b.Loop() {
		observer.Request(provisioning.ObservedRequest{Operation: "get_me", Status: 403, Errcode: "not_logged_in", Duration: time.Second})
	}
}

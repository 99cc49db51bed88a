package metrics

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tgprovision/tgprovision/provisioning"
)

// pendingTimeout is how long a scrape waits for the number of pending tasks.
const pendingTimeout = 5 * time.Second

// Config is that of a [Collector]. The zero value is usable.
type Config struct {
	// ConstLabels are on every metric. Two Collectors on one registry, for two
	// bridges in one process, have the same names of labels, with other values.
	ConstLabels prometheus.Labels
	// RequestBuckets are the upper bounds of tgprovision_request_duration_seconds, in
	// seconds. Nil is from 5 ms to 30 s, the default of provisioning.Config.Timeout.
	RequestBuckets []float64
}

// Collector counts what a Provisioner and its Telegram clients do. It is made by
// [New], is registered by the host, on as many registries as wanted, and is safe for
// concurrent use.
type Collector struct {
	requests        *prometheus.CounterVec
	requestErrors   *prometheus.CounterVec
	secrets         *prometheus.CounterVec
	requestDuration *prometheus.HistogramVec
	logins          *prometheus.CounterVec
	tasks           *prometheus.CounterVec
	pending         *prometheus.Desc

	calls        *prometheus.CounterVec
	callDuration prometheus.Histogram
	floodWaits   *prometheus.CounterVec
	floodSeconds *prometheus.CounterVec
	disconnects  prometheus.Counter
	clients      *prometheus.Desc
	sessionEnds  *prometheus.CounterVec
	ending       *prometheus.Desc

	countPending atomic.Pointer[func(context.Context) (int, error)]
	countClients atomic.Pointer[func() (connected, connecting int)]
	countEnding  atomic.Pointer[func() int]
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a Collector that has counted nothing yet.
func New(cfg Config) *Collector {
	if cfg.RequestBuckets == nil {
		cfg.RequestBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}
	}
	m := maker{cfg.ConstLabels}
	c := &Collector{
		requests: m.counters("requests_total", "Requests answered, by operation and HTTP status.", "operation", "code"),
		requestErrors: m.counters("request_errors_total",
			"Requests answered with an errcode, by operation and errcode.", "operation", "errcode"),
		secrets: m.counters("secret_requests_total", "Requests that came with a shared secret, by its name.", "secret"),
		requestDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tgprovision_request_duration_seconds", Help: "Time from a request to the end of its answer, by operation.",
			ConstLabels: cfg.ConstLabels, Buckets: cfg.RequestBuckets,
		}, []string{"operation"}),
		logins: m.counters("logins_total",
			"Logins that succeeded, and login steps that failed with an errcode, by method.", "method", "outcome"),
		tasks: m.counters("tasks_total",
			"Tries at background work, by kind: done, failed and to be tried again, or given up.", "kind", "outcome"),
		pending: m.desc("tasks_pending", "Background work that is recorded and not done yet, in all processes on the database."),

		calls: m.counters("telegram_calls_total", "Calls to Telegram that have ended, by method and outcome.", "method", "outcome"),
		callDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tgprovision_telegram_call_duration_seconds", Help: "Time until a call to Telegram has ended.",
			ConstLabels: cfg.ConstLabels, Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		floodWaits: m.counters("telegram_flood_waits_total",
			"Pauses that Telegram asked for, by whether they were waited out or returned as an error.", "handling"),
		floodSeconds: m.counters("telegram_flood_wait_seconds_total",
			"Length of the pauses that Telegram asked for, by whether they were waited out or returned as an error.", "handling"),
		disconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tgprovision_telegram_disconnects_total", ConstLabels: cfg.ConstLabels,
			Help: "Connections to Telegram that broke or could not be made while their client was to run.",
		}),
		clients: m.desc("telegram_clients", "Telegram clients that run, by the state of their connection.", "state"),
		sessionEnds: m.counters("telegram_session_ends_total",
			"Tries to end a session at Telegram: ended, failed and to be tried again, or given up.", "outcome"),
		ending: m.desc("telegram_sessions_ending", "Sessions that are to be ended at Telegram, by all processes on the database."),
	}
	c.begin()
	return c
}

// begin makes the counters that alarms look at begin at zero: Prometheus sees no
// increase in one that begins at one.
func (c *Collector) begin() {
	for _, op := range provisioning.Operations() {
		c.requestErrors.WithLabelValues(op, "unhandled_error")
		c.requestErrors.WithLabelValues(op, "unknown_error")
	}
	for _, kind := range provisioning.TaskKinds() {
		c.tasks.WithLabelValues(kind, "done")
		c.tasks.WithLabelValues(kind, "failed")
	}
	for _, outcome := range []string{"ended", "failed", "given_up"} {
		c.sessionEnds.WithLabelValues(outcome)
	}
	for _, handling := range []string{"waited", "returned"} {
		c.floodWaits.WithLabelValues(handling)
		c.floodSeconds.WithLabelValues(handling)
	}
}

// maker makes metrics with the same constant labels.
type maker struct{ constLabels prometheus.Labels }

func (m maker) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tgprovision_" + name, Help: help, ConstLabels: m.constLabels}, labels)
}

func (m maker) desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tgprovision_"+name, help, labels, m.constLabels)
}

// Observer returns what to set as provisioning.Config.Observer.
func (c *Collector) Observer() provisioning.Observer {
	return provisioning.Observer{Request: c.request, Login: c.login, Task: c.task}
}

func (c *Collector) request(r provisioning.ObservedRequest) {
	c.requests.WithLabelValues(r.Operation, statusText(r.Status)).Inc()
	if r.Errcode != "" {
		c.requestErrors.WithLabelValues(r.Operation, r.Errcode).Inc()
	}
	if r.Secret != "" {
		c.secrets.WithLabelValues(r.Secret).Inc()
	}
	c.requestDuration.WithLabelValues(r.Operation).Observe(r.Duration.Seconds())
}

func (c *Collector) login(l provisioning.ObservedLogin) {
	outcome := l.Errcode
	if outcome == "" {
		outcome = "success"
	}
	c.logins.WithLabelValues(string(l.Method), outcome).Inc()
}

func (c *Collector) task(t provisioning.ObservedTask) {
	outcome := "done"
	if t.Failed {
		outcome = "failed"
	}
	if t.GivenUp {
		outcome = "given_up"
	}
	c.tasks.WithLabelValues(t.Kind, outcome).Inc()
}

// TelegramCall is for telegram.Observer.Call.
func (c *Collector) TelegramCall(method, outcome string, took time.Duration) {
	c.calls.WithLabelValues(method, outcome).Inc()
	c.callDuration.Observe(took.Seconds())
}

// TelegramFloodWait is for telegram.Observer.FloodWait.
func (c *Collector) TelegramFloodWait(wait time.Duration, waitedOut bool) {
	handling := "returned"
	if waitedOut {
		handling = "waited"
	}
	c.floodWaits.WithLabelValues(handling).Inc()
	c.floodSeconds.WithLabelValues(handling).Add(max(0, wait.Seconds())) // a counter can't fall
}

// TelegramDisconnected is for telegram.Observer.Disconnected.
func (c *Collector) TelegramDisconnected() { c.disconnects.Inc() }

// TelegramSessionEnd is for telegram.Observer.SessionEnd.
func (c *Collector) TelegramSessionEnd(outcome string) { c.sessionEnds.WithLabelValues(outcome).Inc() }

// CountTelegramClients has every scrape call count, which returns at once how many
// Telegram clients run, by whether they are connected: telegram.Factory.Stats knows.
// Without it there is no tgprovision_telegram_clients.
func (c *Collector) CountTelegramClients(count func() (connected, connecting int)) {
	c.countClients.Store(&count)
}

// CountEndingSessions has every scrape call count, which returns at once how many sessions
// are to be ended at Telegram: telegram.Factory.Stats knows. Without it there is no
// tgprovision_telegram_sessions_ending.
func (c *Collector) CountEndingSessions(count func() int) { c.countEnding.Store(&count) }

// CountPendingTasks has every scrape call count, which asks the store how much
// background work is recorded: CountTasks of a portal.Store does. The context ends
// after five seconds. Without it, and in scrapes in which it returns an error, there
// is no tgprovision_tasks_pending.
func (c *Collector) CountPendingTasks(count func(context.Context) (int, error)) {
	c.countPending.Store(&count)
}

// parts are the metrics that keep their own values.
func (c *Collector) parts() []prometheus.Collector {
	return []prometheus.Collector{
		c.requests, c.requestErrors, c.secrets, c.requestDuration, c.logins, c.tasks,
		c.calls, c.callDuration, c.floodWaits, c.floodSeconds, c.disconnects, c.sessionEnds,
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, part := range c.parts() {
		part.Describe(descs)
	}
	descs <- c.pending
	descs <- c.clients
	descs <- c.ending
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	for _, part := range c.parts() {
		part.Collect(metrics)
	}
	collect(metrics, c.clients, func() {
		if count := c.countClients.Load(); count != nil {
			connected, connecting := (*count)()
			metrics <- prometheus.MustNewConstMetric(c.clients, prometheus.GaugeValue, float64(connected), "connected")
			metrics <- prometheus.MustNewConstMetric(c.clients, prometheus.GaugeValue, float64(connecting), "connecting")
		}
	})
	collect(metrics, c.ending, func() {
		if count := c.countEnding.Load(); count != nil {
			metrics <- prometheus.MustNewConstMetric(c.ending, prometheus.GaugeValue, float64((*count)()))
		}
	})
	collect(metrics, c.pending, func() {
		if count := c.countPending.Load(); count != nil {
			ctx, cancel := context.WithTimeout(context.Background(), pendingTimeout)
			defer cancel()
			if pending, err := (*count)(ctx); err == nil {
				metrics <- prometheus.MustNewConstMetric(c.pending, prometheus.GaugeValue, float64(pending))
			}
		}
	})
}

// collect runs what calls a function of the host's. A panic there, in a goroutine of the
// registry's, would end the process: it makes the scrape an error.
func collect(metrics chan<- prometheus.Metric, of *prometheus.Desc, call func()) {
	defer func() {
		if v := recover(); v != nil {
			metrics <- prometheus.NewInvalidMetric(of, fmt.Errorf("panic: %v", v))
		}
	}()
	call()
}

// statusTexts are the HTTP statuses from 100 on, made once.
var statusTexts = func() (texts [500]string) {
	for i := range texts {
		texts[i] = strconv.Itoa(i + 100)
	}
	return texts
}()

// statusText returns an HTTP status as a label.
func statusText(status int) string {
	if i := status - 100; i >= 0 && i < len(statusTexts) {
		return statusTexts[i]
	}
	return "other"
}

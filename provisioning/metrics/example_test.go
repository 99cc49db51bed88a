package metrics_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/metrics"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// A bridge gives the collector's Observer to the Provisioner and registers the collector
// where its own metrics are. The metrics of Telegram clients come from telegram.Config:
//
//	Observer: telegram.Observer{
//		Call: collector.TelegramCall, FloodWait: collector.TelegramFloodWait, Disconnected: collector.TelegramDisconnected,
//	}
func ExampleNew() {
	collector := metrics.New(metrics.Config{})
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(collector)

	portals := provisioningtest.NewMemPortalStore()
	p, err := provisioning.New(provisioning.Config{
		Secret:   "a-long-random-shared-secret",
		Users:    provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(),
		Portals:  portals,
		Tasks:    portals,
		Observer: collector.Observer(),
	})
	if err != nil {
		log.Fatal(err)
	}
	// The store of package portal has CountTasks for this.
	collector.CountPendingTasks(func(context.Context) (int, error) { return len(portals.Tasks()), nil })
	if err := p.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())

	r := httptest.NewRequest(http.MethodGet, "/v1/user/@alice:example.com", nil)
	r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
	p.Handler("").ServeHTTP(httptest.NewRecorder(), r)

	// What Prometheus gets from the bridge's /metrics.
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	page, _ := io.ReadAll(w.Body)
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "tgprovision_requests_total{") || strings.HasPrefix(line, "tgprovision_tasks_pending ") {
			fmt.Print(line)
		}
	}

	// Output:
	// tgprovision_requests_total{code="200",operation="get_me"} 1
	// tgprovision_tasks_pending 0
}

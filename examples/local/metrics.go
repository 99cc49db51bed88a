package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tgprovision/tgprovision/provisioning/metrics"
	"github.com/tgprovision/tgprovision/telegram"
)

// telegramObserver has a collector count what the Telegram clients do.
func telegramObserver(c *metrics.Collector) telegram.Observer {
	return telegram.Observer{
		Call: c.TelegramCall, FloodWait: c.TelegramFloodWait, Disconnected: c.TelegramDisconnected, SessionEnd: c.TelegramSessionEnd,
	}
}

// metricsPage serves a collector's metrics and those of the process. A bridge that has
// a registry already registers the collector there.
func (h *host) metricsPage(c *metrics.Collector) http.Handler {
	c.CountTelegramClients(func() (connected, connecting int) {
		s := h.clients.Stats()
		return s.Connected, s.Connecting
	})
	c.CountEndingSessions(func() int { return h.clients.Stats().Ending })
	c.CountPendingTasks(h.portals.CountTasks)
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

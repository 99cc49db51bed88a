package main

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
)

// readyPage tells whoever asks, such as an orchestrator, whether the bridge can be used: 200,
// or 503 with the parts that can't. It is at /health, and where bridges on mautrix-go have it,
// whose appservice library serves the other page, /_matrix/mau/live. Why a part can't be used is for the log.
func (h *host) readyPage(log zerolog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, body := http.StatusOK, struct {
			Unready []string `json:"unready"`
		}{[]string{}}
		if err := h.provisioner.Ready(r.Context()); err != nil {
			log.Warn().Err(err).Msg("The bridge can't be used")
			status = http.StatusServiceUnavailable
			if fault, ok := errors.AsType[*provisioning.NotReadyError](err); ok {
				body.Unready = slices.Sorted(maps.Keys(fault.Parts))
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

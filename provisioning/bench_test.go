package provisioning_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/internal/barebench"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// BenchmarkRequests compares requests over loopback with those to a handler that checks the
// secret and writes the same bytes, in turns: with stores in memory, and with the access
// log in a file.
func BenchmarkRequests(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	portals := provisioningtest.NewMemPortalStore()
	err = portals.Connect(b.Context(), provisioning.NewPortal{Portal: provisioning.Portal{
		RoomID: "!room:example.com", ChatID: provisioning.ChannelChatID(7), Title: "News", Username: "news",
	}})
	if err != nil {
		b.Fatal(err)
	}
	p, err := provisioning.New(provisioning.Config{
		Secret: secret, Users: provisioningtest.NewMemUserStore(nil), Telegram: provisioningtest.NewTelegram(),
		Portals: portals, Log: zerolog.New(file).With().Timestamp().Logger(),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := p.Close(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	route := func() (root, place *mux.Router) {
		router := mux.NewRouter()
		return router, router
	}
	router, place := route()
	p.Mount(place)
	for _, request := range []barebench.Request{
		{Name: "get_bridge", Path: "/v1/bridge", Template: "/v1/bridge"},
		{Name: "get_portal/hit", Path: "/v1/portal/!room:example.com", Template: "/v1/portal/{room_id}"},
		{Name: "get_portal/miss", Path: "/v1/portal/!other:example.com", Template: "/v1/portal/{room_id}"},
		{Name: "get_me", Path: "/v1/user/@alice:example.com", Template: "/v1/user/{user_id}"},
	} {
		request.Secret = secret
		barebench.Run(b, router, route, request)
	}
}

package provisioning_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gorilla/mux"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/provisioningtest"
)

// A bridge embeds the API: New, Start, Mount on a gorilla/mux router, and Close.
func Example() {
	// Bundled defaults for the three parts: auth.NewStore, telegram.NewFactory and
	// portal.NewStore. These forget everything with the process.
	p, err := provisioning.New(provisioning.Config{
		Secret:   "a-long-random-shared-secret",
		Users:    provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(),
		Portals:  provisioningtest.NewMemPortalStore(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	p.Mount(router.PathPrefix("/_matrix/provision").Subrouter())

	// The host serves the router as it serves its other routes.
	r := httptest.NewRequest(http.MethodGet, "/_matrix/provision/v1/user/@alice:example.com", nil)
	r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)

	// Output:
	// 200 {"mxid":"@alice:example.com","permissions":"full","telegram":null}
}

// A bridge without a gorilla/mux router, as those on mautrix-go v0.31, puts the API on an
// http.ServeMux: the prefix of Handler is what stands before /v1/ in the pattern.
func ExampleProvisioner_Handler() {
	p, err := provisioning.New(provisioning.Config{
		Secret:   "a-long-random-shared-secret",
		Users:    provisioningtest.NewMemUserStore(nil),
		Telegram: provisioningtest.NewTelegram(),
		Portals:  provisioningtest.NewMemPortalStore(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	router := http.NewServeMux()
	router.Handle("/_matrix/provision/v1/", p.Handler("/_matrix/provision"))

	r := httptest.NewRequest(http.MethodGet, "/_matrix/provision/v1/user/@alice:example.com", nil)
	r.Header.Set("Authorization", "Bearer a-long-random-shared-secret")
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)

	// Output:
	// 200 {"mxid":"@alice:example.com","permissions":"full","telegram":null}
}

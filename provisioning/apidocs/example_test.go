package apidocs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gorilla/mux"

	"github.com/tgprovision/tgprovision/provisioning/apidocs"
)

// The document and the page go to the router that the API is mounted on, before it.
func ExampleMount() {
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	place := router.PathPrefix("/_matrix/provision").Subrouter()
	apidocs.Mount(place)
	// Then the API: provisioner.Mount(place)

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/_matrix/provision/v1/openapi.json", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))

	// Output: 200 application/json
}

// On an http.ServeMux, the more specific pattern wins over that of the API.
func ExampleHandler() {
	router := http.NewServeMux()
	docs := apidocs.Handler("/_matrix/provision")
	router.Handle("/_matrix/provision/v1/docs/", docs)
	router.Handle("/_matrix/provision/v1/openapi.json", docs)
	router.Handle("/_matrix/provision/v1/openapi.yaml", docs)
	// And the API: router.Handle("/_matrix/provision/v1/", provisioner.Handler("/_matrix/provision"))

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/_matrix/provision/v1/docs/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))

	// Output: 200 text/html
}

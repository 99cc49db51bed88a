package console_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gorilla/mux"

	"github.com/tgprovision/tgprovision/console"
)

// A host adds the page to its router, and names it in provisioning.Config.LoginPage.
func ExampleNew() {
	page, err := console.New(console.Config{API: "/_matrix/provision/v1"})
	if err != nil {
		log.Fatal(err)
	}
	router := mux.NewRouter()
	router.PathPrefix("/console/").Handler(page)

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/console/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))

	// Output: 200 text/html; charset=utf-8
}

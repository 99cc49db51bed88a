package main

import (
	"encoding/json"
	"html/template"
	"net/http"
)

var frontPage = template.Must(template.New("front").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>tgprovision</title>
</head>
<body>
<main>
<h1>tgprovision</h1>
<p>The provisioning API of a Matrix–Telegram bridge is below <code>/_matrix/provision/v1</code>.</p>
<ul>
<li><a href="console/">Log in to Telegram, and look after chats and portals</a></li>
<li><a href="_matrix/provision/v1/docs/">What the API can do</a></li>
{{- if .Metrics}}
<li><a href="metrics">Metrics</a></li>
{{- end}}
<li><a href="health">Can the bridge be used?</a></li>
<li><a href="_matrix/mau/live">Does the program run?</a></li>
</ul>
</main>
</body>
</html>
`))

// serveFrontPage links what else can be looked at.
func (cfg hostConfig) serveFrontPage(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	_ = frontPage.Execute(w, struct{ Metrics bool }{cfg.metrics})
}

// orUnrecognized serves what a mux has a handler for, and answers the rest as Matrix servers do.
func orUnrecognized(router *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refuse, pattern := router.Handler(r)
		if pattern != "" {
			router.ServeHTTP(w, r)
			return
		}
		// Only the mux knows whether the path exists with another verb.
		answer := refusal{header: http.Header{}}
		refuse.ServeHTTP(&answer, r)
		status := http.StatusNotFound
		if answer.status == http.StatusMethodNotAllowed {
			status = answer.status
			w.Header()["Allow"] = answer.header["Allow"]
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"errcode": "M_UNRECOGNIZED", "error": "There is nothing here. The API is below /_matrix/provision/v1/.",
		})
	}
}

// refusal keeps the status and the headers of an answer.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) WriteHeader(status int)      { r.status = status }
func (r *refusal) Write(p []byte) (int, error) { return len(p), nil }

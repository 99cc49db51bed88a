package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"text/template"
)

// welcome is what the program prints when it listens. No line to paste has a ! in double
// quotes: shells take it for their history.
var welcome = template.Must(template.New("welcome").Funcs(template.FuncMap{"quote": quote}).Parse(`A page for people, to log in and to look after chats and portals, is at

  {{.Console}}

It asks for the secret below, and for a Matrix user{{if .Room}} such as @you:localhost{{end}}.

The provisioning API is at

  {{.API}}/v1   for API clients
  {{.API}}      for the Go client, which adds /v1

Paste this into a shell first; the lines below use it:

  export API={{quote .API}} SECRET={{quote .Secret}}

Docs:    {{.API}}/v1/docs/
{{- if .Metrics}}
Metrics: {{.Metrics}}
{{- end}}
Data in: {{.Database}}
{{- if .Accounts}}

The embedded Telegram server is at {{.Telegram}} and knows:
{{- range .Accounts}}
{{- if .Token}}
  {{.FirstName}}: a bot, token {{.Token}}
{{- else if .Code}}
  {{.FirstName}} {{.LastName}}: phone +{{.Phone}}, code {{.Code}}{{if .Password}}, two-factor password "{{.Password}}"{{end}}
{{- end}}
{{- end}}

Log Ada in, list her chats{{if .Room}}, and connect one of them to a room{{end}}, by pasting:

  curl -s -H "Authorization: Bearer $SECRET" -d '{"phone": "+{{.Ada.Phone}}"}' "$API/v1/user/@you:localhost/login/request_code"
  curl -s -H "Authorization: Bearer $SECRET" -d '{"code": "{{.Ada.Code}}"}' "$API/v1/user/@you:localhost/login/send_code"
  curl -s -H "Authorization: Bearer $SECRET" "$API/v1/user/@you:localhost"
  curl -s -H "Authorization: Bearer $SECRET" "$API/v1/user/@you:localhost/chats"
  curl -s -H "Authorization: Bearer $SECRET" "$API/v1/user/@you:localhost/contacts"
{{- if .Room}}
  curl -s -H "Authorization: Bearer $SECRET" -X POST "$API/v1/portal/{{urlquery .Room}}/connect/-1000000002003?user_id=@you:localhost"
  curl -s -H "Authorization: Bearer $SECRET" "$API/v1/portal/-1000000002003?user_id=@you:localhost"
  curl -s -H "Authorization: Bearer $SECRET" -X POST "$API/v1/portal/{{urlquery .Room}}/disconnect?user_id=@you:localhost&sync=true"
{{- end}}
{{- if .Token}}
  curl -s -H "Authorization: Bearer {{.Token}}" "$API/v1/user/@you:localhost"
{{- end}}
  curl -s -H "Authorization: Bearer $SECRET" -X POST "$API/v1/user/@you:localhost/logout"
{{- end}}

Ctrl-C stops it.
`))

// quote quotes a word for a shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// reachable returns where this machine reaches a listener, which may listen everywhere.
func reachable(listener net.Addr) string {
	address := listener.String()
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

// printWelcome prints where the API listens and what to do with it.
func printWelcome(out io.Writer, s settings, addr net.Addr, d *demo, hs *demoHomeserver) error {
	base := "http://" + reachable(addr)
	data := map[string]any{
		"Console": strings.TrimSuffix(s.host.publicURL, "/") + "/console/", "API": base + "/_matrix/provision", "Secret": s.host.secret, "Database": s.host.database,
	}
	if s.host.metrics {
		data["Metrics"] = base + "/metrics"
	}
	if isPostgres(s.host.database) {
		data["Database"] = "PostgreSQL" // the URL may hold a password
	}
	if d != nil {
		data["Telegram"], data["Accounts"], data["Ada"] = d.server.Addr(), demoAccounts, demoAccounts[0]
	}
	if hs != nil {
		data["Room"] = hs.room
		if s.host.matrixAuth {
			data["Token"] = hs.token
		}
	}
	if err := welcome.Execute(out, data); err != nil {
		return fmt.Errorf("print the welcome: %w", err)
	}
	return nil
}

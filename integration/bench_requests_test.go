package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/tgprovision/tgprovision/internal/barebench"
)

// BenchmarkDatabaseRequests compares requests over loopback with those to a handler that
// checks the secret and writes the same bytes, in turns: with the bundled stores on a small
// database, and with the access log in a file, each line for itself. The one who is logged
// in is so with a Telegram server in a process of its own.
func BenchmarkDatabaseRequests(b *testing.B) {
	databaseRequests(b, func(file *os.File) (io.Writer, func() error) { return file, file.Close })
}

// BenchmarkBufferedLog is BenchmarkDatabaseRequests with a host that collects its log for a
// moment, as many lines as come in a tenth of a second.
func BenchmarkBufferedLog(b *testing.B) {
	databaseRequests(b, func(file *os.File) (io.Writer, func() error) {
		buffer := &zapcore.BufferedWriteSyncer{WS: file, FlushInterval: 100 * time.Millisecond}
		return buffer, func() error { return errors.Join(buffer.Stop(), file.Close()) }
	})
}

// databaseRequests measures with an access log that newLog makes of a file, and the
// function that it returns closes.
func databaseRequests(b *testing.B, newLog func(*os.File) (io.Writer, func() error)) {
	eachDatabase(b, func(b *testing.B, kind string) {
		database := databases[kind](b)
		fill(b, database, fewRows)
		file, err := os.Create(filepath.Join(b.TempDir(), "log"))
		require.NoError(b, err)
		log, closeLog := newLog(file)
		defer func() { require.NoError(b, closeLog()) }()
		outside := startOutside(b, outsideConfig{Accounts: 1})
		h := startHost(b, hostConfig{
			database: database, datacenter: outside.datacenter(b),
			log: zerolog.New(log).With().Timestamp().Logger(),
		})
		defer h.stop()
		const loggedIn = "/v1/user/@alice:example.com"
		logIn := func(step, body string) {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, h.url+loggedIn+"/login/"+step, strings.NewReader(body))
			require.NoError(b, err)
			r.Header.Set("Authorization", "Bearer "+secret)
			answer, err := http.DefaultClient.Do(r)
			require.NoError(b, err)
			require.NoError(b, answer.Body.Close())
			require.Equal(b, http.StatusOK, answer.StatusCode, step)
		}
		logIn("request_code", fmt.Sprintf(`{"phone":"+%s"}`, accountOf(0).Phone))
		logIn("send_code", `{"code":"12345"}`)
		for _, request := range []barebench.Request{
			{Name: "get_bridge", Path: "/v1/bridge", Template: "/v1/bridge"},
			{Name: "get_portal/hit", Path: "/v1/portal/" + filledRoom(0), Template: "/v1/portal/{room_id}"},
			{Name: "get_portal/miss", Path: "/v1/portal/!other:example.com", Template: "/v1/portal/{room_id}"},
			{Name: "get_me/logged-out", Path: "/v1/user/@nobody:example.com", Template: "/v1/user/{user_id}"},
			{Name: "get_me/logged-in", Path: loggedIn, Template: "/v1/user/{user_id}"},
		} {
			request.Path, request.Secret = mountPath+request.Path, secret
			barebench.Run(b, h.handler, newRouter, request)
		}
	})
}

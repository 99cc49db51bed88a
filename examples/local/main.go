// Command local runs the provisioning API on one machine, for trying it out and
// for testing API clients. Without flags everything is embedded: a SQLite
// database, a Telegram server with demo accounts, and the API.
//
// It keeps what it needs for the next start in the folder .tgprovision. See host.go
// for how a bridge embeds the API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

func main() {
	signalled, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	context.AfterFunc(signalled, func() {
		forget() // so that the next one ends the program at once
		stop()
	})
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2 // a flag can't be used
)

// run is the whole program: it serves until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	s, err := parseFlags(args, getenv, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "local: %v (-help lists the flags)\n", err)
		return exitUsage
	}
	if s.generate != "" {
		if err := writeRegistration(s.generate, s.registrationURL); err != nil {
			fmt.Fprintf(stderr, "local: %v\n", err)
			return exitFault
		}
		fmt.Fprintf(stdout, "Wrote %s. Have the homeserver read it, and give it to -registration.\n", s.generate)
		return exitOK
	}
	if err := serve(ctx, s, stdout, newLog(s, stderr)); err != nil {
		fmt.Fprintf(stderr, "local: %v\n", err)
		return exitFault
	}
	return exitOK
}

func newLog(s settings, out io.Writer) zerolog.Logger {
	if s.logFormat == "console" {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(s.logLevel).With().Timestamp().Logger()
}

// shutdownTimeout is how long a clean shutdown may take, in all.
const shutdownTimeout = 40 * time.Second

// serve starts everything, serves until ctx ends, and stops everything. Where a user is to
// be forgotten, it does that in place of serving.
func serve(ctx context.Context, s settings, stdout io.Writer, log zerolog.Logger) (err error) {
	built := builtOf()
	log.Info().Str("version", built.module).Str("go", built.golang).Str("gotd", built.gotd).Msg("Starting")
	if s.forget != "" {
		s.listen = "127.0.0.1:0" // which nobody calls
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	defer func() {
		if closeErr := listener.Close(); !errors.Is(closeErr, net.ErrClosed) { // the server closes it
			err = errors.Join(err, closeErr)
		}
	}()
	unlock, err := s.lockData()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if s.host.secret == "" {
		if s.host.secret, err = sharedSecret(s.host.database); err != nil {
			return err
		}
	}
	var d *demo
	if s.demo {
		if d, err = startDemo(s.host.database, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.close()) }()
		s.host.telegram.Datacenter = d.datacenter()
	}
	var hs *demoHomeserver
	if s.host.homeserver.url == "" {
		registration := newRegistration("http://" + reachable(listener.Addr()))
		if hs, err = startDemoHomeserver(registration, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, hs.close()) }()
		s.host.homeserver = homeserver{url: hs.server.URL(), registration: registration}
	}
	if s.host.publicURL == "" {
		s.host.publicURL = "http://" + reachable(listener.Addr())
	}
	h, err := newHost(ctx, s.host, log)
	if err != nil {
		return err
	}
	if d != nil && hs != nil {
		if err := d.forgetRooms(ctx, h.portals); err != nil {
			return errors.Join(err, h.close(ctx))
		}
	}
	if d != nil {
		if err := d.bridgeBot(ctx, h.portals); err != nil {
			return errors.Join(err, h.close(ctx))
		}
	}
	if s.forget != "" {
		return h.forget(ctx, s.forget, stdout)
	}
	var requests atomic.Int64 // under way
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		defer requests.Add(-1)
		h.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: counted, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if hs != nil {
		err = hs.furnish(ctx)
	}
	if err == nil {
		err = printWelcome(stdout, s, listener.Addr(), d, hs)
	}
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
			log.Info().Int64("requests", requests.Load()).Stringer("at_most", shutdownTimeout).
				Msg("Stopping: waiting for the requests under way. A second Ctrl-C ends at once")
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, waited("requests", server.Shutdown(ctx)), h.close(ctx))
}

// waited says what a stop has waited for, where that has failed.
func waited(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("wait for %s: %w", what, err)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/console"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/provisioning/apidocs"
	"github.com/tgprovision/tgprovision/provisioning/metrics"
	"github.com/tgprovision/tgprovision/telegram"
)

// host stands where your bridge is: it owns the database, the HTTP server's router
// and the order in which things start and stop. Read newHost as the tutorial.
type host struct {
	log         zerolog.Logger
	router      *mux.Router
	provisioner *provisioning.Provisioner
	clients     *telegram.Factory
	portals     *portal.Store
	db          *dbutil.Database
	stopEvents  func()
	audit       *auditFile // nil without -audit-log
}

// hostConfig is what a bridge reads from its configuration file.
type hostConfig struct {
	database    string // a SQLite file or a postgres:// URL
	secret      string
	permissions auth.Permissions
	telegram    telegram.Config // without DB, SessionKeys and Log
	// sessionKeyFile has the session keys, "" for a file beside the database.
	sessionKeyFile string
	dropSessions   bool   // delete the sessions that no key decrypts
	relayBot       string // a bot token, or ""
	homeserver     homeserver
	metrics        bool     // serve /metrics
	matrixAuth     bool     // take tokens of the homeserver's users
	cors           []string // origins of web pages
	codes          provisioning.Allowance
	maxRequests    int
	// maxRequestsPerUser, 0 for the default.
	maxRequestsPerUser  int
	timeout             time.Duration
	clientAddressHeader string // which a reverse proxy sets, or ""
	failureLimit        int
	auditLog            string // the file of the audit trail, or ""
	// publicURL is where browsers reach the router.
	publicURL     string
	widgetClients []string // the origins of Matrix clients that show the console
}

// newHost wires the bundled parts together.
func newHost(ctx context.Context, cfg hostConfig, log zerolog.Logger) (_ *host, err error) {
	h := &host{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close(ctx))
		}
	}()
	// One database for everything; each store has tables of its own in it.
	if h.db, err = openDatabase(cfg.database); err != nil {
		return nil, err
	}
	// The Matrix side: rooms and ghosts, as an appservice.
	as, err := cfg.homeserver.appservice(ctx, log)
	if err != nil {
		return nil, err
	}
	rooms, err := portal.NewRooms(ctx, portal.RoomsConfig{AppService: as, DB: h.db, Log: log})
	if err != nil {
		return nil, err
	}
	users, err := auth.NewStore(ctx, auth.StoreConfig{DB: h.db, Permissions: cfg.permissions, IsBridgeUser: rooms.IsBridgeUser})
	if err != nil {
		return nil, err
	}
	if h.portals, err = portal.NewStore(ctx, portal.StoreConfig{DB: h.db}); err != nil {
		return nil, err
	}
	// The Telegram clients. A bridge sets Running and Updates here, to have the
	// live clients and their updates.
	cfg.telegram.DB, cfg.telegram.Log = h.db, log
	// The sessions are encrypted: a copy of the database is no copy of the accounts.
	if cfg.telegram.SessionKeys, err = cfg.sessionKeys(); err != nil {
		return nil, err
	}
	if cfg.dropSessions {
		if err = dropUnreadableSessions(ctx, cfg.telegram, log); err != nil {
			return nil, err
		}
	}
	counted := metrics.New(metrics.Config{})
	cfg.telegram.Observer = telegramObserver(counted)
	if h.clients, err = telegram.NewFactory(ctx, cfg.telegram); err != nil {
		return nil, err
	}
	if err = h.finishRotation(ctx, cfg.telegram.SessionKeys, log); err != nil {
		return nil, err
	}
	settings := provisioning.Config{
		Secret: cfg.secret, Users: users, Portals: h.portals, Tasks: h.portals, Telegram: h.clients, Rooms: rooms, Log: log,
		Observer: counted.Observer(), CORS: cfg.cors,
		// They are counted in the database, for all processes that share it.
		Limits: users, CodesPerPhone: cfg.codes, CodesPerUser: cfg.codes, MaxRequests: cfg.maxRequests,
		MaxRequestsPerUser: cfg.maxRequestsPerUser, Timeout: cfg.timeout, FailureLimit: cfg.failureLimit,
		// People log in on the page that is served below, by links that are kept in the database.
		LoginPage: strings.TrimSuffix(cfg.publicURL, "/") + "/console/", LoginLinks: users,
		// A bridge starts and stops to sync accounts and portals here.
		Events: func(_ context.Context, e provisioning.Event) error {
			log.Info().Str("event", string(e.Type)).Stringer("user_id", e.UserID).Stringer("room_id", e.Portal.RoomID).
				Int64("chat_id", int64(e.Portal.ChatID)).Msg("Provisioning event")
			return nil
		},
	}
	if cfg.clientAddressHeader != "" {
		settings.ClientAddress = clientAddress(cfg.clientAddressHeader)
	}
	if h.audit, err = openAuditFile(cfg.auditLog, log); err != nil {
		return nil, err
	}
	if h.audit != nil {
		settings.Audit = h.audit.add
	}
	if cfg.relayBot != "" {
		if settings.RelayBot, err = h.clients.RelayBot(cfg.relayBot); err != nil {
			return nil, err
		}
	}
	if cfg.matrixAuth {
		if settings.Tokens, err = auth.NewTokens(auth.TokensConfig{
			Homeserver: cfg.homeserver.url, ServerNames: []string{as.HomeserverDomain}, AccessTokens: true, OpenID: true,
		}); err != nil {
			return nil, err
		}
	}
	if h.provisioner, err = provisioning.New(settings); err != nil {
		return nil, err
	}
	// SkipClean and UseEncodedPath let user IDs with slashes through.
	h.router = mux.NewRouter().SkipClean(true).UseEncodedPath()
	place := h.router.PathPrefix("/_matrix/provision").Subrouter()
	apidocs.Mount(place) // the documents, for whoever asks
	h.provisioner.Mount(place)
	people, err := console.New(console.Config{API: "../_matrix/provision/v1", WidgetClients: cfg.widgetClients})
	if err != nil {
		return nil, fmt.Errorf("-widget-clients: %w", err)
	}
	h.router.PathPrefix("/console/").Handler(people)
	if cfg.metrics {
		h.router.Handle("/metrics", h.metricsPage(counted)) // to whoever asks: the API's secret does not protect it
	}
	h.router.Handle("/_matrix/mau/ready", h.readyPage(log))
	h.router.Handle("/health", h.readyPage(log))
	h.router.HandleFunc("/", cfg.serveFrontPage).Methods(http.MethodGet, http.MethodHead)
	h.router.PathPrefix("/").Handler(orUnrecognized(as.Router)) // what the homeserver calls
	h.stopEvents = acceptInvitations(as, log)
	// Start has requests be answered, and goes on with what an earlier process has left.
	return h, h.provisioner.Start(context.WithoutCancel(ctx))
}

// close stops everything, in the reverse order. The HTTP server that serves the
// router is shut down before.
func (h *host) close(ctx context.Context) error {
	var faults []error
	if h.stopEvents != nil {
		h.stopEvents()
	}
	if h.provisioner != nil {
		h.log.Info().Msg("Stopping: waiting for background work that can be done now")
		faults = append(faults, waited("background work", h.provisioner.Close(ctx)))
	}
	if h.clients != nil {
		stats := h.clients.Stats()
		h.log.Info().Int("connected", stats.Connected).Int("connecting", stats.Connecting).Msg("Stopping: waiting for Telegram clients")
		faults = append(faults, waited("Telegram clients", h.clients.Close(ctx)))
	}
	if h.db != nil {
		faults = append(faults, h.db.Close())
	}
	if h.audit != nil {
		faults = append(faults, h.audit.close())
	}
	return errors.Join(faults...)
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.router.ServeHTTP(w, r) }

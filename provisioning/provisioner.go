package provisioning

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/internal/keyed"
)

// Provisioner serves the provisioning API. It is made by [New] and safe for
// concurrent use.
type Provisioner struct {
	secret   [sha256.Size]byte
	tokens   TokenChecker // nil where only the secret authorises
	failures *failures    // nil where wrong secrets are not limited
	cors     *corsPolicy  // nil where no web page may call
	users    UserReader
	links    UserStore // users, nil where it is no UserStore
	telegram TelegramClientFactory
	portals  PortalStore
	relayBot TelegramClient
	rooms    Rooms
	events   func(context.Context, Event) error
	timeout  time.Duration
	docs     func(*mux.Router)
	log      zerolog.Logger
	observer Observer

	requests requestGroup // authorised ones
	checking requestGroup // those whose tokens are being checked
	sockets  requestGroup
	closing  context.Context // ends when Close begins
	close    context.CancelFunc
	scanning qrLogins
	creating keyed.Mutex[id.RoomID]
	starting keyed.Mutex[directChat]
	changing keyed.Mutex[id.RoomID] // by background work
	tasks    *taskRunner            // nil where nothing needs one
	avatars  avatarFetcher
	encoded  encodedLists
}

// New returns a Provisioner, or an error that names every fault of the
// configuration. With Rooms or Events configured it begins at once to finish what
// an earlier process left undone, and goes on until Close.
func New(cfg Config) (*Provisioner, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	maxRequests, perUser := maxRequestsOf(cfg)
	p := &Provisioner{
		secret:   sha256.Sum256([]byte(cfg.Secret)),
		tokens:   cfg.Tokens,
		failures: newFailures(cfg.FailureLimit, cfg.ClientAddress),
		cors:     newCORSPolicy(cfg.CORS),
		users:    cfg.Users,
		links:    linksOf(cfg.Users),
		telegram: cfg.Telegram,
		portals:  cfg.Portals,
		relayBot: cfg.RelayBot,
		rooms:    cfg.Rooms,
		events:   cfg.Events,
		timeout:  timeout,
		docs:     cfg.Docs,
		log:      cfg.Log,
		observer: cfg.Observer,

		requests: requestGroup{most: maxRequests, perUser: perUser, full: errRequestsFull},
		checking: requestGroup{most: maxRequests, full: errChecksFull},
		sockets:  requestGroup{most: maxSockets(maxRequests), full: errSocketsFull},
	}
	p.closing, p.close = context.WithCancel(context.Background())
	p.avatars.init(p.log)
	if cfg.Rooms != nil || cfg.Events != nil {
		p.tasks = newTaskRunner(cfg.Tasks, p.runTask, cfg.TaskFailed, &p.observer, cfg.Log)
	}
	return p, nil
}

// Mount adds the API to a router, below the router's own path: everything under
// /v1/ is then answered by the Provisioner, the unknown routes too, and nothing
// else is. Middleware of the router runs before it.
//
// User IDs may hold slashes and room IDs come raw or percent-encoded. They reach
// the API whatever UseEncodedPath and SkipClean say on the router, with one
// exception: a router (or an http.ServeMux) that cleans paths redirects a
// request whose decoded path holds "//", "/./" or "/../" before the API sees it.
func (p *Provisioner) Mount(r *mux.Router) {
	if p.docs != nil {
		p.docs(r.PathPrefix("/v1").Subrouter())
	}
	api := r.PathPrefix("/v1/")
	// The template is what the caller's router has matched already: its own path,
	// with its own variables, and /v1/. A route made by PathPrefix has one.
	prefix, err := api.GetPathTemplate()
	if err != nil {
		panic("provisioning: the router has no path: " + err.Error())
	}
	handler := p.pipeline(p.routeTable(prefix))
	api.Handler(handler)
	r.Path("/v1").Handler(handler)
}

// Close waits until every request that is being answered has been, work that
// goes on after its client hung up included, and makes later ones fail. Logins by QR
// code that nobody has scanned are ended, with their WebSockets. Then it
// waits for the background work that can be done now; what has failed and is to be
// tried again later stays recorded. It returns the context's error if that comes
// first, and has then told everything to stop: what was under way is done again by
// the next process. The host closes its own parts (stores, Telegram clients)
// afterwards.
func (p *Provisioner) Close(ctx context.Context) error {
	p.close()
	p.requests.stop()
	err := p.checking.close(ctx)
	err = errors.Join(err, p.requests.close(ctx))
	p.avatars.close()
	if p.tasks != nil {
		err = errors.Join(err, p.tasks.close(ctx))
	}
	return errors.Join(err, p.avatars.wait(ctx))
}

// authorise returns who sends a request: somebody with the shared secret, which nobody
// else is asked about, or the user of a Matrix token. Errors: errUnauthorized,
// errTooManyGuesses, and those of a token that can't be checked.
func (p *Provisioner) authorise(ctx context.Context, r *http.Request) (who caller, err error) {
	given := credential(r.Header)
	if given == "" {
		return caller{}, errUnauthorized
	}
	sum := sha256.Sum256([]byte(given))
	if p.failures == nil {
		switch {
		case p.validSecret(sum):
			return caller{kind: bySecret}, nil
		case p.tokens == nil:
			return caller{}, errUnauthorized
		}
		return p.callerOf(ctx, given)
	}
	from := p.failures.addressOf(r)
	err = p.failures.check(from, sum, func() bool { return p.validSecret(sum) }, p.tokens != nil)
	switch {
	case err == nil:
		return caller{kind: bySecret}, nil
	case p.tokens == nil || !errors.Is(err, errUnauthorized):
		return caller{}, err
	}
	defer func() { p.failures.settle(from, sum, errors.Is(err, errTokenRefused)) }()
	return p.callerOf(ctx, given)
}

// validSecret compares hashes, in time that depends on neither secret.
func (p *Provisioner) validSecret(given [sha256.Size]byte) bool {
	return subtle.ConstantTimeCompare(given[:], p.secret[:]) == 1
}

// linksOf returns the user store that links can be recorded in, nil for a reader.
func linksOf(users UserReader) UserStore {
	store, _ := users.(UserStore)
	return store
}

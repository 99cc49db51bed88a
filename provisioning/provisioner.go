package provisioning

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/gorilla/mux"
)

// Provisioner serves the provisioning API. It is made by [New] and safe for
// concurrent use.
type Provisioner struct {
	cfg      Config
	services services
	outbox   *outbox
	observer *observers

	forgetting requestGroup // calls of ForgetUser

	closing context.Context // ends when Close begins
	close   context.CancelFunc

	proxied sync.Once

	mu      sync.Mutex
	started bool
}

// New returns a Provisioner, or an error that names every fault of the
// configuration. It starts nothing: until [Provisioner.Start], requests are answered
// with 503 not_ready.
func New(cfg Config) (*Provisioner, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Provisioner{cfg: cfg, observer: &observers{cfg.Observer, cfg.Log}}
	p.closing, p.close = context.WithCancel(context.Background())
	p.outbox = newOutbox(cfg, p.observer)
	events := newEvents(cfg, p.outbox)
	accounts := newAccounts(cfg, events)
	portals := newPortals(cfg, accounts, events, p.outbox)
	accounts.endDirect, accounts.endDirectOfOthers = portals.endDirect, portals.endDirectOfOthers
	links := newLoginLinks(cfg)
	p.services = services{
		gate: newGate(cfg, links, p.ready), rights: &rights{cfg.Users, cfg.Rooms}, limits: newLoginLimits(cfg), links: links,
		accounts: accounts, portals: portals, avatars: newAvatarFetcher(cfg), lists: &listBodies{}, qr: newQRLogins(cfg, p.closing), routes: routes,
	}
	return p, nil
}

// Start has requests be answered, and the background work be done that earlier processes
// have left and that requests promise. The background work runs with the values of ctx,
// and stops when ctx ends or at [Provisioner.Close]: ctx is that of the process, and none
// with a deadline. Errors: it was started before, or is closed.
func (p *Provisioner) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing.Err() != nil:
		return errClosed
	case p.started:
		return errors.New("the Provisioner is started already")
	}
	ctx = p.cfg.Log.WithContext(ctx)
	p.services.avatars.start(ctx)
	p.outbox.start(ctx)
	p.started = true
	return nil
}

// ready returns nil after Start. Errors: errNotReady.
func (p *Provisioner) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started {
		return errNotReady
	}
	return nil
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
	api := r.PathPrefix("/v1/")
	// The template is what the caller's router has matched already: its own path,
	// with its own variables, and /v1/. A route made by PathPrefix has one.
	template, err := api.GetPathTemplate()
	if err != nil {
		panic("provisioning: the router has no path: " + err.Error())
	}
	handler := p.handler(prefixCutter(template))
	api.Handler(handler)
	r.Path("/v1").Handler(handler)
}

// Handler returns the API as a handler of requests whose path begins with the prefix and
// /v1/, for a server without a gorilla/mux router. For example,
// Handler("/_matrix/provision") belongs at the pattern "/_matrix/provision/v1/" of an
// http.ServeMux. What Mount says of paths holds here as well. Requests with another path
// are unknown routes.
func (p *Provisioner) Handler(prefix string) http.Handler {
	prefix = strings.TrimSuffix(prefix, "/") + "/v1/"
	return p.handler(func(path string) (string, bool) { return strings.CutPrefix(path, prefix) })
}

func (p *Provisioner) handler(prefix func(path string) (rest string, ok bool)) http.Handler {
	return &pipeline{
		services: p.services, routes: newRouteTable(), prefix: prefix, cors: newCORSPolicy(p.cfg.CORS),
		timeout: p.cfg.timeout(), clientAddress: p.cfg.ClientAddress, proxied: &p.proxied, ready: p.ready,
		observer: p.observer, auditor: p.cfg.Audit, log: p.cfg.Log,
	}
}

// prefixCutter returns what cuts a prefix, which is a gorilla/mux template, off an encoded
// path.
func prefixCutter(template string) func(path string) (rest string, ok bool) {
	if !strings.Contains(template, "{") {
		return func(path string) (string, bool) { return strings.CutPrefix(path, template) }
	}
	expression, err := mux.NewRouter().UseEncodedPath().PathPrefix(template).GetPathRegexp()
	if err != nil {
		panic("provisioning: the router's path has no expression: " + err.Error())
	}
	prefix := regexp.MustCompile(expression)
	return func(path string) (string, bool) {
		place := prefix.FindStringIndex(path)
		if place == nil {
			return "", false
		}
		return path[place[1]:], true
	}
}

// Close waits until every request that is being answered has been, work that
// goes on after its client hung up and calls of ForgetUser included, and makes later ones
// fail. Logins by QR
// code that nobody has scanned are ended, with their WebSockets. Then it
// waits for the background work that can be done now; what has failed and is to be
// tried again later stays recorded. It returns the context's error if that comes
// first, and has then told everything to stop: what was under way is done again by
// the next process. The host closes its own parts (stores, Telegram clients)
// afterwards.
func (p *Provisioner) Close(ctx context.Context) error {
	p.mu.Lock()
	p.close()
	p.mu.Unlock()
	err := errors.Join(p.services.gate.close(ctx), p.forgetting.close(ctx))
	p.services.avatars.close()
	err = errors.Join(err, p.outbox.close(ctx))
	return errors.Join(err, p.services.avatars.wait(ctx))
}

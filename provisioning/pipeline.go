package provisioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// pipeline is what every request below the mount goes through: recover, request ID, access
// line, CORS, authorise, find the route, decode, check, handle, encode.
type pipeline struct {
	services      services
	routes        routeTable
	prefix        func(encodedPath string) (rest string, ok bool) // cuts off what stands before the routes
	cors          *corsPolicy                                     // nil where no web page may call
	timeout       time.Duration
	clientAddress func(*http.Request) string // nil is by RemoteAddr
	proxied       *sync.Once                 // for the warning that a proxy makes clientAddress necessary
	ready         func() error
	observer      *observers
	auditor       func(AuditEntry) // nil where nobody is told
	log           zerolog.Logger
}

// call is one request on its way through the pipeline.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	reqID [1]string      // a header's values
	log   zerolog.Logger // the host's, with the request's ID
	vars  variables
	op    operation

	upgraded bool // to a WebSocket, on which everything was said
	// admission is the call's place among the requests that are under way.
	admission admission
}

// ServeHTTP implements http.Handler.
func (p *pipeline) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{w: w, r: r, reqID: [1]string{requestID(r)}}
	c.log = p.logger(r).Hook(c)
	c.op.rt = unauthorized
	w.Header()["X-Request-Id"] = c.reqID[:]
	// It is under way until its answer was taken, which may be a long one.
	defer func() { c.admission.end() }()

	limitBody(w, r, p.timeout)
	if p.cors.answer(w.Header(), r) {
		w.WriteHeader(http.StatusNoContent)
		c.op.rt = preflight
		p.report(c, reply{status: http.StatusNoContent}, outcome{}, nil, time.Since(start))
		return
	}
	rep, err := p.answer(c, start)
	var o outcome
	switch {
	case c.upgraded:
		rep.status, o = http.StatusSwitchingProtocols, qrOutcome(err, c.op.rt.operation)
	case err != nil:
		rep, o = errorReply(err, c.op.rt, p.services.portals.botID, w.Header())
	}
	if !c.upgraded && errors.Is(writeReply(w, r, rep, p.timeout), os.ErrDeadlineExceeded) {
		c.log.Warn().Str("op", c.op.rt.operation).Msg("An API client was hung up on: it did not take its answer")
	}
	p.report(c, rep, o, err, time.Since(start))
}

// answer runs everything that can fail or panic. It fills in the call as far as it is
// known, also before an error.
func (p *pipeline) answer(c *call, start time.Time) (rep reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	ctx, cancel := context.WithDeadline(c.r.Context(), start.Add(p.timeout))
	defer cancel()
	p.warnOfProxy(c)
	from := func() address { return addressOf(c.r, p.clientAddress) }
	rt, vars, allow := p.find(c.r)
	if c.op.caller, err = p.services.gate.authorise(ctx, credential(c.r.Header), from); err != nil {
		if rt.byLink && errors.Is(err, errUnauthorized) {
			err = errNoLink
		}
		return reply{}, err
	}
	c.op.rt, c.vars, c.op.allow = rt, vars, allow
	if err := p.ready(); err != nil {
		return reply{}, err
	}
	if c.admission, err = p.services.gate.admit(ctx, c.op.caller); err != nil {
		return reply{}, err
	}
	ctx, cancel = p.operationContext(ctx, c)
	defer cancel()
	if err := p.prepare(ctx, c); err != nil {
		return reply{}, err
	}
	if c.op.rt.detached && !c.op.wait {
		return p.handle(ctx, c)
	}
	return p.operate(ctx, c)
}

// find returns the route of a request, as routeTable.find does.
func (p *pipeline) find(r *http.Request) (rt *route, vars variables, allow string) {
	path, ok := p.prefix(encodedPath(r.URL))
	if !ok {
		return unknownRoute, variables{}, ""
	}
	return p.routes.find(r.Method, path)
}

// warnOfProxy warns once of requests that came through a proxy, where all of them have its
// address.
func (p *pipeline) warnOfProxy(c *call) {
	if p.clientAddress != nil || c.r.Header["Forwarded"] == nil && c.r.Header["X-Forwarded-For"] == nil {
		return
	}
	p.proxied.Do(func() {
		c.log.Warn().Msg("Requests come through a proxy and Config.ClientAddress is not set: the limits take all API clients for one")
	})
}

// operate runs the handler of an operation.
func (p *pipeline) operate(ctx context.Context, c *call) (reply, error) {
	rep, err := c.op.rt.handle(ctx, &p.services, &c.op)
	return rep, p.services.accounts.heard(ctx, &c.op.person, err)
}

// overdue is how long after its deadline an operation is waited for, so that it can say
// itself why it has failed.
const overdue = 250 * time.Millisecond

// handle runs the handler of a detached operation, and answers at its deadline though the handler has
// not returned: it is recording what has happened, or waits for something that does not look
// at its context, such as some drivers of SQLite for a lock. The request is under way until
// the handler returns.
func (p *pipeline) handle(ctx context.Context, c *call) (reply, error) {
	type result struct {
		reply reply
		err   error
	}
	deadline, _ := ctx.Deadline()
	ctx, waits := withDatabaseWaits(ctx)
	handled := make(chan result, 1)
	go func() {
		var r result
		r.err = recovering(func() (err error) {
			r.reply, err = p.operate(ctx, c)
			return err
		})
		handled <- r
	}()
	timer := time.NewTimer(time.Until(deadline) + overdue)
	defer timer.Stop()
	select {
	case r := <-handled:
		return r.reply, r.err
	case <-timer.C:
	}
	place, operation, log := c.admission, c.op.rt.operation, c.log
	c.admission = admission{}
	go func() {
		defer place.end()
		r := <-handled
		log.Warn().Err(r.err).Str("op", operation).Msg("An operation has ended after its request was answered at the deadline")
		p.auditLate(c, r.reply, r.err)
	}()
	if waits.Load() > 0 {
		return reply{}, fmt.Errorf("%w: it is still waited for at the deadline", ErrDatabase)
	}
	return reply{}, fmt.Errorf("the operation goes on: %w", context.DeadlineExceeded)
}

// operationContext returns the context of an operation: with the request's logger, and
// with what the route says.
func (p *pipeline) operationContext(ctx context.Context, c *call) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	cancel := func() {}
	if c.op.rt.detached {
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	if c.r.Method == http.MethodGet && !c.op.rt.beginsLogin() {
		// What changes something has to see what has just been changed, and login_qr waits for
		// Telegram as every login does.
		ctx = WithCachedReads(ctx, true)
	}
	return c.log.WithContext(ctx), cancel
}

// prepare decodes a request and checks what the route says, in one order for all
// operations.
func (p *pipeline) prepare(ctx context.Context, c *call) (err error) {
	op, rt := &c.op, c.op.rt
	if err = p.services.rights.checkCaller(ctx, op); err != nil {
		return err
	}
	if rt.needsRooms && p.services.rights.rooms == nil {
		return ErrNotImplemented
	}
	if err = decodePath(op, &c.vars); err != nil {
		return err
	}
	if segment, about := c.vars.lookup("user_id"); about {
		if err = p.prepareUser(ctx, c, segment); err != nil {
			return err
		}
	}
	if rt.query != nil {
		if err = rt.query(op, query(c.r.URL.RawQuery)); err != nil {
			return err
		}
	}
	if rt.hasBody {
		if op.body, err = readObject(c.w, c.r); err != nil {
			return err
		}
	}
	op.connected = c.r.Context()
	op.upgrade = upgrader{c.w, c.r, &c.upgraded}
	if rt.asker == askerIgnored {
		return nil
	}
	return p.prepareAsker(ctx, c)
}

// prepareUser decodes and checks the user in the path.
func (p *pipeline) prepareUser(ctx context.Context, c *call, segment string) (err error) {
	if c.op.userID, err = parseUserID(segment); err != nil {
		return err
	}
	if err = p.checkNamed(ctx, c); err != nil {
		return err
	}
	if err = p.services.rights.checkUser(ctx, &c.op); err != nil {
		return err
	}
	c.op.client, err = p.services.accounts.client(ctx, c.op.userID)
	return err
}

// prepareAsker decodes and checks the user in the query. Where none is named, that is a
// Matrix caller, or nobody for a trusted one.
func (p *pipeline) prepareAsker(ctx context.Context, c *call) (err error) {
	named, err := query(c.r.URL.RawQuery).userID()
	if err != nil {
		return err
	}
	if c.op.userID = c.op.caller.userID; named != "" {
		c.op.userID = named
		if err = p.checkNamed(ctx, c); err != nil {
			return err
		}
	}
	if c.op.userID == "" && c.op.mustName() {
		return errUserIDEmpty
	}
	return p.services.rights.checkAsker(ctx, &c.op)
}

// checkNamed counts the request as the named user's, and checks that the caller may name
// them.
func (p *pipeline) checkNamed(ctx context.Context, c *call) error {
	if err := c.admission.countFor(c.op.userID); err != nil {
		return err
	}
	return p.services.rights.checkNamed(ctx, &c.op, c.op.userID)
}

// logger returns the host's logger of a request, or that of the Config.
func (p *pipeline) logger(r *http.Request) *zerolog.Logger {
	log := zerolog.Ctx(r.Context())
	// mautrix-go's bridges set a DefaultContextLogger, which is no request's.
	if log == zerolog.DefaultContextLogger || log.GetLevel() == zerolog.Disabled {
		return &p.log
	}
	return log
}

// panicked is the error for a recovered panic.
func panicked(v any) error { return fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack()) }

// recovering makes an error of a panic.
func recovering(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	return run()
}

// atOnce does several things at once, and returns when all are done: the error of the first
// of them, in the order in which they are given, that has one.
func atOnce(do ...func() error) error { return firstOf(allAtOnce(do...)) }

// allAtOnce does several things at once, and returns the error of each, nil for none, in the
// order in which they are given.
func allAtOnce(do ...func() error) []error {
	errs := make([]error, len(do))
	var all sync.WaitGroup
	for i, one := range do {
		all.Go(func() { errs[i] = recovering(one) })
	}
	all.Wait()
	return errs
}

// firstOf returns the first error that is not nil.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// report writes the access line and tells the observer and, of what is for it, the auditor.
func (p *pipeline) report(c *call, rep reply, o outcome, err error, took time.Duration) {
	entry, audited := p.entryOf(c, rep, o, err)
	c.accessLine(rep.status, o, err, took, entry, audited)
	if audited {
		p.audit(entry)
	}
	p.observer.request(ObservedRequest{
		Operation: c.op.rt.operation, Status: rep.status, Errcode: o.errcode, Duration: took, Secret: c.op.caller.secretName(),
	})
	method, isLogin := loginMethods[c.op.rt.operation]
	if !isLogin {
		return
	}
	body, _ := rep.body.(loginBody)
	switch {
	case o.errcode == qrPasswordNeeded: // a step after which another one has to follow
	case o.errcode != "", c.upgraded, body.State == stateLoggedIn:
		p.observer.login(method, o.errcode)
	}
}

// accessLine writes one line a request. It has no path and no query, which may
// hold phone numbers.
func (c *call) accessLine(status int, o outcome, err error, took time.Duration, entry AuditEntry, audited bool) {
	level := zerolog.InfoLevel
	switch worst := max(status, o.status); {
	case worst == http.StatusServiceUnavailable:
		level = zerolog.WarnLevel
	case worst >= http.StatusInternalServerError && !errors.Is(err, context.Canceled):
		level = zerolog.ErrorLevel
	}
	line := c.log.WithLevel(level).Str("op", c.op.rt.operation).Int("status", status).Dur("duration", took)
	if c.op.caller.kind != "" {
		line = line.Str("auth", string(c.op.caller.kind))
	}
	if name := c.op.caller.secretName(); name != "" {
		line = line.Str("secret_name", name)
	}
	if c.op.caller.userID != "" {
		line = line.Str("caller_id", string(c.op.caller.userID))
	}
	if userID := cmp.Or(c.op.userID, entry.UserID); userID != "" {
		line = line.Str("user_id", string(userID))
	}
	if audited {
		line = entry.addTo(line, c.op.rt.operation)
	}
	if err != nil {
		line = line.Str("errcode", o.errcode).Err(err)
	}
	line.Msg("Provisioning request")
}

// Run implements zerolog.Hook: it adds the request's ID to each line.
func (c *call) Run(e *zerolog.Event, _ zerolog.Level, _ string) { e.Str("request_id", c.reqID[0]) }

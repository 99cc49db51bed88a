package provisioning

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// call is one request on its way through the pipeline.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	reqID string
	log   *zerolog.Logger // the host's: lines of the request take the one of its context
	rt    *route
	vars  variables
	allow string // the verbs of the path, for a wrong verb

	caller   caller
	upgraded bool // to a WebSocket, on which everything was said

	// Filled in for operations about a user, and by those that somebody asks for.
	userID id.UserID
	user   User
	client TelegramClient

	// counted says that the call is one of those under way, and countedFor is the user of
	// whose requests it is one, "" where it is nobody's.
	counted    bool
	countedFor id.UserID
}

// pipeline is what every request below the mount goes through: recover, request
// ID, access line, CORS, authenticate, find the route, decode the user, check the
// level, handle, encode.
func (p *Provisioner) pipeline(find func(*http.Request, *call)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{w: w, r: r, reqID: requestID(r), log: p.logger(r), rt: unauthorized}
		w.Header()["X-Request-Id"] = []string{c.reqID}

		// It is under way until its answer was taken, which may be a long one.
		defer func() {
			if c.counted {
				p.requests.leave(c.countedFor)
			}
		}()

		limitBody(w, r, p.timeout)
		if p.cors.answer(w.Header(), r) {
			w.WriteHeader(http.StatusNoContent)
			took := time.Since(start)
			c.rt = preflight
			rep := reply{status: http.StatusNoContent}
			c.accessLine(rep.status, outcome{}, nil, took)
			p.observer.request(c, rep, "", took)
			return
		}
		rep, err := p.answer(c, start, find)
		var o outcome
		switch {
		case c.upgraded:
			rep.status, o = http.StatusSwitchingProtocols, qrOutcome(err, c.rt)
		case err != nil:
			rep, o = errorReply(err, c.rt, w.Header())
		}
		if !c.upgraded && errors.Is(writeReply(w, r, rep, p.timeout), os.ErrDeadlineExceeded) {
			c.log.Warn().Str("request_id", c.reqID).Str("op", c.rt.op).Msg("An API client was hung up on: it did not take its answer")
		}
		took := time.Since(start)
		c.accessLine(rep.status, o, err, took)
		p.observer.request(c, rep, o.errcode, took)
	})
}

// answer runs everything that can fail or panic. It fills in the call as far as it is
// known, also before an error.
func (p *Provisioner) answer(c *call, start time.Time, find func(*http.Request, *call)) (rep reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	// What changes something has to see what has just been changed.
	limited := newTimeout(c.r.Context(), start.Add(p.timeout), c.r.Method == http.MethodGet)
	limited.log, limited.reqID = c.log, c.reqID
	defer limited.end()
	var ctx context.Context = limited
	if c.caller, err = p.authorise(ctx, c.r); err != nil {
		return reply{}, err
	}
	find(c.r, c)
	if err := p.requests.enter(); err != nil {
		return reply{}, err
	}
	c.counted = true
	if c.rt.detached {
		deadline, _ := ctx.Deadline()
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
		defer cancel()
	}
	if err := p.identify(ctx, c); err != nil {
		return reply{}, err
	}
	return c.rt.handle(p, ctx, c)
}

// panicked is the error for a recovered panic.
func panicked(v any) error { return fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack()) }

// identify fills in the user that the call is about, and checks the user's level, and
// whether the caller may call for them.
func (p *Provisioner) identify(ctx context.Context, c *call) (err error) {
	if err = p.countFor(c, c.caller.userID); err != nil {
		return err
	}
	if err = p.checkCaller(ctx, c); err != nil {
		return err
	}
	segment, about := c.vars.lookup("user_id")
	if !about {
		return nil
	}
	if c.userID, err = parseUserID(segment); err != nil {
		return err
	}
	if err = p.countFor(c, c.userID); err != nil {
		return err
	}
	if err = p.mayActFor(ctx, c, c.userID); err != nil {
		return err
	}
	if c.user, err = p.users.User(ctx, c.userID); err != nil {
		return fmt.Errorf("look up the user: %w", err)
	}
	if c.user.Permission < c.rt.need {
		return errNotWhitelisted
	}
	return p.getClient(ctx, c)
}

// getClient fills in the Telegram client of the call's user.
func (p *Provisioner) getClient(ctx context.Context, c *call) (err error) {
	if c.client, err = p.telegram.Client(ctx, c.userID); err != nil {
		return fmt.Errorf("get the user's Telegram client: %w", err)
	}
	if missing(c.client) {
		return errNoClient
	}
	return nil
}

// logger returns the host's logger of a request, or that of the Config.
func (p *Provisioner) logger(r *http.Request) *zerolog.Logger {
	if log := zerolog.Ctx(r.Context()); log.GetLevel() != zerolog.Disabled {
		return log
	}
	return &p.log
}

// accessLine writes one line a request. It has no path and no query, which may
// hold phone numbers.
func (c *call) accessLine(status int, o outcome, err error, took time.Duration) {
	level := zerolog.InfoLevel
	switch worst := max(status, o.status); {
	case worst == http.StatusServiceUnavailable:
		level = zerolog.WarnLevel
	case worst >= http.StatusInternalServerError && !errors.Is(err, context.Canceled):
		level = zerolog.ErrorLevel
	}
	line := c.log.WithLevel(level).Str("request_id", c.reqID).Str("op", c.rt.op).Int("status", status).Dur("duration", took)
	if c.caller.kind != "" {
		line = line.Str("caller", string(c.caller.kind))
	}
	if c.caller.userID != "" {
		line = line.Stringer("caller_id", c.caller.userID)
	}
	if c.userID != "" {
		line = line.Stringer("user_id", c.userID)
	}
	if err != nil {
		line = line.Str("errcode", o.errcode).Err(err)
	}
	line.Msg("Provisioning request")
}

var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID takes over the request's own ID where it is harmless in a log line,
// or makes one.
func requestID(r *http.Request) string {
	if given := r.Header.Get("X-Request-Id"); given != "" && validRequestID.MatchString(given) {
		return given
	}
	// Of the runtime's generator, ChaCha8 seeded by the system.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var made [16]byte
	for i := 0; i < len(made); i += 8 {
		for n, bits := i, rand.Uint64(); n < i+8; n, bits = n+1, bits>>5 {
			made[n] = alphabet[bits%32]
		}
	}
	return string(made[:])
}

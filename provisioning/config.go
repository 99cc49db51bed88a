package provisioning

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"
)

// MinSecretLength is the smallest length of [Config.Secret], in bytes.
const MinSecretLength = 16

// DefaultTimeout is the deadline of a request where [Config.Timeout] is zero.
const DefaultTimeout = 30 * time.Second

// Config is what a [Provisioner] is made of. New copies it and changes nothing
// in it.
type Config struct {
	// Secret is the shared secret that API clients send as
	// "Authorization: Bearer <secret>". Required, at least MinSecretLength bytes,
	// without blanks at its ends. Browsers can send it with a WebSocket, for login_qr, only
	// where it has no characters but letters, digits and !#$%&'*+-.^_`|~.
	Secret string
	// Users knows the Matrix users. It is a UserStore, or a UserReader of a bridge whose
	// Telegram sessions are the links between users and accounts. Required.
	Users UserReader
	// Telegram makes the Telegram clients. Required.
	Telegram TelegramClientFactory
	// Portals knows the bridged rooms. Required.
	Portals PortalStore

	// Tasks keeps the work that follows a change until it is done. It is where Portals
	// records its tasks: in one transaction with the portal, both are one store as a rule.
	// Required with Rooms or Events.
	Tasks TaskStore
	// Rooms acts on Matrix rooms. Nil, the default, is a bridge whose portals can be
	// read but not changed: the operations that would answer 501.
	Rooms Rooms
	// RelayBot is the bridge's relay bot on Telegram: a client that logs itself in
	// as the bot when needed. Nil, the default, is a bridge without a relay bot.
	RelayBot TelegramClient
	// Events is told of logins, logouts and changed portals, at least once each, and
	// after they have been recorded: an event whose call returned an error, or whose
	// process died, comes again, also after a restart. There are several calls at a
	// time, in no order; what is true now, the stores know. A login or logout that has
	// been undone in the meantime is left out. The context ends when Close has waited
	// long enough. Nil is a host that needs no events.
	Events func(ctx context.Context, event Event) error
	// TaskFailed is told of background work that failed and will be tried again, for
	// metrics and alarms. The log has the same. Nil is allowed.
	TaskFailed func(TaskFailure)
	// Observer is told of requests, logins and background work, for metrics: the one of
	// metrics.Collector, for example. The zero value observes nothing.
	Observer Observer
	// Tokens tells whose Matrix tokens are, which callers may send in place of the secret.
	// Nil, the default, is an API for the shared secret alone. A Matrix user calls for
	// themselves: to name another user is 403 mxid_mismatch, but for those of the level
	// admin, and where nobody is named it is the caller, whose permissions are checked.
	// get_bridge takes any level above none, and reading a portal takes the level user,
	// whatever rooms the caller is in. A right secret never gets as far as Tokens.
	//
	// A token that Tokens says is invalid counts for FailureLimit as a wrong secret does,
	// and so, while it is being checked, does any token: an address can have no more checks
	// of different tokens under way than it has tries left. Over its limit, an address
	// gets 429 for every token. Behind a reverse proxy, Tokens needs ClientAddress, or one
	// caller with an old token holds up all others.
	Tokens TokenChecker
	// CORS are the origins of web pages that may call the API from a browser, as browsers
	// send them, such as "https://app.example.com" or "http://localhost:8080"; "*" is all.
	// None is the default. Preflight requests of these origins are answered without
	// authentication, for every path alike. Cookies and other credentials of the browser
	// are not allowed: pages send the Authorization header themselves.
	CORS []string
	// Timeout is how long one request may wait for Tokens, its body, Telegram, the homeserver
	// and the database together; login_qr may take that long before each QR code and after
	// the last. It is also how long an API client may take for 64 KiB of a long answer, before
	// it is hung up on. Zero is DefaultTimeout; it can't be negative. A body that stops
	// arriving, and an answer that is not taken, are waited for without end where the
	// host's middleware hides the http.ResponseWriter in one that has no Unwrap and the
	// http.Server has no ReadTimeout and WriteTimeout.
	Timeout time.Duration
	// MaxRequests is how many authorised requests may be under way at once in the process,
	// the writing of their answers included. One more waits for nothing: it gets 503
	// overloaded, with Retry-After. A quarter of them, but at least one, may be WebSockets
	// of login_qr, which last for minutes. Besides these, as many requests may wait for
	// Tokens; one more gets 503 as well, and is not checked. Zero is DefaultMaxRequests; it
	// can't be negative.
	//
	// Without such a bound, a homeserver or a database that has become slow has requests
	// pile up until the memory is full.
	MaxRequests int
	// MaxRequestsPerUser is how many of them may be one Matrix user's, so that nobody takes
	// them all; one more gets 429 too_many_requests, with Retry-After. They are the user's
	// who calls with a token, else those of the user in the path or, where it is used, in
	// user_id. A request by the shared secret that names no user is nobody's. Zero is
	// DefaultMaxRequestsPerUser, but no more than half of MaxRequests; it can't be negative.
	MaxRequestsPerUser int
	// FailureLimit is how many wrong secrets one address may send at once; one more is
	// allowed every six seconds. Zero is DefaultFailureLimit, a negative number turns
	// the limit off. Only a secret that is wrong counts, not a missing or malformed
	// Authorization header.
	//
	// Over its limit, an address gets 429 too_many_requests, with Retry-After, whatever
	// secret it sends: a guesser does not learn which is the right one. The exception is
	// an address from which the right secret has come before: there the right one passes
	// still, and only a wrong one gets 429. Otherwise anybody behind a reverse proxy,
	// where all callers have one address, could lock the others out. But whoever shares
	// an address with somebody who has the secret is not slowed down: a host behind a
	// proxy sets ClientAddress.
	//
	// Up to 10,000 addresses are remembered, by this process alone. Where there are more,
	// those that have the most tries left are forgotten first and, of equals, those from
	// which the right secret never came.
	FailureLimit int
	// ClientAddress tells API clients apart, for FailureLimit. Nil, the default, takes the
	// host part of the request's RemoteAddr, of an IPv6 address the first 64 bits; clients
	// without one, on a Unix socket for example, are one client. Behind a reverse proxy all
	// requests have the proxy's address: there the host has to read the header in which its
	// proxy passes the client's on, and no header, or part of one, that the client can set
	// itself, such as all but the last of X-Forwarded-For. What is returned is taken as it
	// is, also if empty, and is not logged. It is called by many goroutines at once.
	ClientAddress func(*http.Request) string
	// Docs adds the OpenAPI document of the API, and what goes with it, to the router of
	// /v1, where it comes before the operations and is public: apidocs.Mount does. Nil
	// serves none.
	Docs func(v1 *mux.Router)
	// Log is where the access lines and the errors of requests go that come
	// without a logger in their context (zerolog.Ctx). The zero value is silent. Each
	// line is one Write of the logger's writer, in the request's goroutine.
	Log zerolog.Logger
}

// validate returns every fault of the configuration, joined, each naming its
// field and what to do.
func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case c.Secret == "":
		fault("Config.Secret is empty: set the shared secret that API clients send, at least %d characters", MinSecretLength)
	case len(c.Secret) < MinSecretLength:
		fault("Config.Secret has %d characters: use at least %d, random ones", len(c.Secret), MinSecretLength)
	case !sendable(c.Secret):
		fault("Config.Secret holds a blank, a control character or a character outside ASCII, which a header can't carry: use letters and digits")
	}
	if missing(c.Users) {
		fault("Config.Users is nil: set a UserStore, for example the one of auth.NewStore")
	}
	if missing(c.Telegram) {
		fault("Config.Telegram is nil: set a TelegramClientFactory, for example the one of telegram.NewFactory")
	}
	if missing(c.Portals) {
		fault("Config.Portals is nil: set a PortalStore, for example the one of portal.NewStore")
	}
	if c.RelayBot != nil && missing(c.RelayBot) {
		fault("Config.RelayBot holds a nil pointer: leave it out for a bridge without a relay bot")
	}
	if c.Rooms != nil && missing(c.Rooms) {
		fault("Config.Rooms holds a nil pointer: leave it out for a bridge whose portals can't be changed")
	}
	if c.Tokens != nil && missing(c.Tokens) {
		fault("Config.Tokens holds a nil pointer: leave it out for an API that takes the shared secret alone")
	}
	for _, origin := range c.CORS {
		if !validOrigin(origin) {
			fault("Config.CORS has %q, which no browser sends as an origin: use scheme://host or scheme://host:port in lower case, without a port that is the scheme's own, or *", origin)
		}
	}
	if missing(c.Tasks) && (c.Rooms != nil || c.Events != nil) {
		fault("Config.Tasks is nil, which Config.Rooms and Config.Events need: set the TaskStore that Portals records its tasks in, for example the one of portal.NewStore")
	}
	if c.Timeout < 0 {
		fault("Config.Timeout is %s: use a positive duration, or zero for %s", c.Timeout, DefaultTimeout)
	}
	if c.MaxRequests < 0 {
		fault("Config.MaxRequests is %d: use a positive number, or zero for %d", c.MaxRequests, DefaultMaxRequests)
	}
	if c.MaxRequestsPerUser < 0 {
		fault("Config.MaxRequestsPerUser is %d: use a positive number, or zero for %d", c.MaxRequestsPerUser, DefaultMaxRequestsPerUser)
	}
	return errors.Join(faults...)
}

// sendable says whether an HTTP client can send the secret in a header and this
// side gets the same bytes.
func sendable(secret string) bool {
	for _, c := range []byte(secret) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// missing says whether an interface holds nothing, or a nil pointer.
func missing(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.Interface:
		return r.IsNil()
	default:
		return false
	}
}

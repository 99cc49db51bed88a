package provisioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/rs/zerolog"
)

// The defaults of the fields of a Config.
const (
	defaultTimeout      = 30 * time.Second
	defaultTaskLifetime = 7 * 24 * time.Hour
)

// Config is what a [Provisioner] is made of. New copies it and changes nothing
// in it.
type Config struct {
	// Secret is the shared secret that API clients send as
	// "Authorization: Bearer <secret>", and may do everything with. At least MinSecretLength
	// bytes, without blanks at its ends. Browsers can send it with a WebSocket, for login_qr, only
	// where it has no characters but letters, digits and !#$%&'*+-.^_`|~. Its name in log lines
	// is DefaultSecretName. One of Secret and Secrets is required.
	Secret string
	// Secrets are shared secrets besides, each with a name, and with what it is for.
	// [Provisioner.SetSecrets] replaces them all.
	Secrets []Secret
	// Users knows the Matrix users. It is a UserStore, or a UserReader of a bridge whose
	// Telegram sessions are the links between users and accounts. Required.
	Users UserReader
	// Telegram makes the Telegram clients. Required.
	Telegram TelegramClientFactory
	// Portals knows the bridged rooms. Required.
	Portals PortalStore

	// Tasks keeps the background work until it is done. It is where Portals records the
	// tasks that it is given: as a rule, both are one store. Required with Rooms or Events.
	Tasks TaskStore
	// Rooms acts on Matrix rooms. Nil is a bridge whose portals can be read but not
	// changed: the operations that would answer 501.
	Rooms Rooms
	// Decrypts says that the bridge can read and write in rooms that are end-to-end
	// encrypted. Where it can't, connecting such a room is answered with a warning.
	Decrypts bool
	// RelayBot is the bridge's relay bot on Telegram: a client that logs itself in
	// as the bot when needed. Nil, or a client whose Account is ErrNotLoggedIn, is a bridge
	// without a relay bot.
	RelayBot TelegramClient
	// Events is told what has changed, for a bridge that starts or stops to sync. An error
	// has the event told again; see "Background work" in the package comment. It is called
	// by several goroutines at once. Nil is a host that needs no events.
	Events func(ctx context.Context, event Event) error
	// TaskLifetime is for how long background work is tried that fails. Zero is seven days;
	// it can't be negative.
	TaskLifetime time.Duration
	// Observer is told of requests, logins and background work, for metrics: the one of
	// metrics.Collector, for example. The zero value observes nothing.
	Observer Observer

	// Audit is told of every request that is made to change something, and of wrong secrets and
	// tokens, once the answer is written. The access lines of the same requests have
	// "audit": true. An operation that goes on beyond its deadline is told of again when it has
	// ended, under the same request ID. It is called by many goroutines at once, in the middle of
	// the work: it has to return at once. A panic is recovered and logged. Nil tells nobody.
	Audit func(AuditEntry)

	// Tokens tells whose Matrix tokens are, which callers may send in place of the secret;
	// see "Callers". Nil is an API for the shared secret alone.
	Tokens TokenChecker
	// LoginPage is the public URL of a web page that people log in to Telegram on, to which the
	// links of create_login_link lead, such as "https://bridge.example.com/login/". It is absolute,
	// and has no user and no fragment. "" is a bridge without such links.
	LoginPage string
	// LoginLinks keeps the links. Processes that share a database share one on it, such as the one
	// of auth.NewStore. Nil keeps them in the memory of this process.
	LoginLinks LoginLinkStore
	// CORS are the origins of web pages that may call the API from a browser, as browsers
	// send them, such as "https://app.example.com" or "http://localhost:8080"; "*" is all.
	// None is the default. Pages send the Authorization header themselves: cookies and
	// other credentials of the browser are not allowed.
	CORS []string
	// ClientAddress tells API clients apart, for the limits; see "Bounds". Nil takes the host
	// part of the request's RemoteAddr. Behind a reverse proxy it has to be set: it returns
	// what the proxy itself says of the client, such as the last element of X-Forwarded-For,
	// and nothing that the client can choose. Of an IPv6 address the first 64 bits count,
	// anything else is taken as it is. It is not logged. It is called by many goroutines at
	// once.
	ClientAddress func(*http.Request) string

	// Timeout is how long one request may wait for Tokens, its body, Telegram, the homeserver
	// and the database together; login_qr may take that long before each QR code and after
	// the last. It is also how long an API client may take for 64 KiB of a long answer, before
	// it is hung up on. Zero is 30 seconds; it can't be negative.
	Timeout time.Duration
	// MaxRequests is how many authorised requests may be under way at once, and how many more
	// may have their tokens checked; see "Bounds". Zero is 1,000; it can't be negative.
	MaxRequests int
	// MaxRequestsPerUser is how many of them may be one Matrix user's. Zero is 64, but no
	// more than half of MaxRequests; it can't be negative.
	MaxRequestsPerUser int
	// FailureLimit is how many wrong secrets and tokens one address may send at once; one more
	// is allowed every six seconds. All addresses together may send a hundred times as many.
	// See "Bounds". Zero is 10, a negative number turns the limit off.
	FailureLimit int

	// CodesPerPhone is how many login codes may be requested for one phone number, by whomever;
	// see "Bounds". Zero is 5 an hour and 10 a day, which is what one person needs; a negative
	// number is no limit.
	CodesPerPhone Allowance
	// CodesPerUser is how many login codes one Matrix user may request who calls with a token or a
	// login link, for whatever number. Zero is 5 an hour and 10 a day, a negative number no limit.
	CodesPerUser Allowance
	// BotTokensPerUser is how many bot tokens one Matrix user may send who calls with a token or a
	// login link. Zero is 5 an hour and 10 a day, a negative number no limit.
	BotTokensPerUser Allowance
	// Limits counts for these three. Processes that share a database share one on it, such as
	// the one of auth.NewStore, and have the same first secret. Nil counts in the memory of this process.
	Limits LimitStore

	// Log is where the access lines and the errors of requests go that come
	// without a logger in their context (zerolog.Ctx). The zero value is silent. Each
	// line is one Write of the logger's writer.
	Log zerolog.Logger
}

// validate returns every fault of the configuration, joined, each naming its
// field and what to do.
func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	secrets := c.secrets()
	if wrong := faultOfValue(c.Secret); wrong != "" && len(secrets) != len(c.Secrets) || len(secrets) == 0 {
		fault("Config.Secret %s", wrong)
		secrets = c.Secrets
	}
	for _, wrong := range checkSecrets(secrets) {
		fault("Config.Secrets are not sound: %w", wrong)
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
	if c.Limits != nil && missing(c.Limits) {
		fault("Config.Limits holds a nil pointer: leave it out to count in this process")
	}
	if c.LoginLinks != nil && missing(c.LoginLinks) {
		fault("Config.LoginLinks holds a nil pointer: leave it out to keep links in this process")
	}
	if wrong := faultOfPage(c.LoginPage); wrong != "" && c.LoginPage != "" {
		fault("Config.LoginPage %s", wrong)
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
		fault("Config.Timeout is %s: use a positive duration, or zero for %s", c.Timeout, defaultTimeout)
	}
	if c.TaskLifetime < 0 {
		fault("Config.TaskLifetime is %s: use a positive duration, or zero for %s", c.TaskLifetime, defaultTaskLifetime)
	}
	if c.MaxRequests < 0 {
		fault("Config.MaxRequests is %d: use a positive number, or zero for %d", c.MaxRequests, defaultMaxRequests)
	}
	if c.MaxRequestsPerUser < 0 {
		fault("Config.MaxRequestsPerUser is %d: use a positive number, or zero for %d", c.MaxRequestsPerUser, defaultMaxRequestsPerUser)
	}
	return errors.Join(faults...)
}

func (c Config) timeout() time.Duration { return cmp.Or(c.Timeout, defaultTimeout) }

func (c Config) taskLifetime() time.Duration { return cmp.Or(c.TaskLifetime, defaultTaskLifetime) }

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

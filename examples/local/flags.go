package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// settings is what the flags and the environment ask for.
type settings struct {
	listen   string
	host     hostConfig
	demo     bool   // start the embedded Telegram server
	generate string // write a registration to this file, and do nothing else
	// registrationURL is what stands in it: where the homeserver reaches this program.
	registrationURL string
	forget          id.UserID // forget this user, and do nothing else
	logLevel        zerolog.Level
	logFormat       string
}

const envPrefix = "TGPROVISION_"

// parseFlags reads the flags; one that is not given is taken from the environment,
// TGPROVISION_LOG_LEVEL for -log-level. Its error is one line for the person who
// typed them, or flag.ErrHelp after the help or the versions were printed.
func parseFlags(args []string, getenv func(string) string, stdout io.Writer) (settings, error) {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var (
		listen        = flags.String("listen", "127.0.0.1:29317", "`address` to listen at; port 0 picks one")
		secret        = flags.String("secret", "", "shared `secret` of the API (default: that of api.secret beside the database, made at the first start)")
		database      = flags.String("db", filepath.Join(".tgprovision", "local.db"), "SQLite `file`, or postgres://user:password@host:5432/database")
		permissions   = flags.String("permissions", "*=full", "permission `levels`, such as *=relaybot,example.com=full,@admin:example.com=admin")
		sessionKeys   = flags.String("session-key-file", "", "`file` with the key that Telegram sessions are encrypted with, 32 bytes in base64; more keys, one a line, only decrypt (default: session.key beside the database, made at the first start)")
		dropSessions  = flags.Bool("drop-unreadable-sessions", false, "delete the Telegram sessions that no session key decrypts, and say whose they were")
		apiID         = flags.Int("api-id", 0, "Telegram API `ID`; with -api-hash and without -telegram-dc, the real Telegram is used")
		apiHash       = flags.String("api-hash", "", "Telegram API `hash`")
		datacenter    = flags.String("telegram-dc", "", "`host:port` of a custom Telegram datacenter (ID 2); with -telegram-key")
		proxy         = flags.String("proxy", "", "`URL` of a proxy to Telegram, socks5://user:password@host:port or mtproxy://secret@host:port")
		maxClients    = flags.Int("max-clients", 5000, "how many Telegram clients may run at once")
		key           = flags.String("telegram-key", "", "PEM `file` with the datacenter's RSA public key")
		homeserverURL = flags.String("homeserver", "", "`URL` of a Matrix homeserver (default: an embedded one); with -registration")
		registration  = flags.String("registration", "", "appservice registration `file`, which the homeserver has read too")
		generate      = flags.String("generate-registration", "", "write an appservice registration to a new `file`, and end")
		publicURL     = flags.String("registration-url", "", "`URL` at which the homeserver reaches this program, for -generate-registration (default: that of -listen)")
		consoleURL    = flags.String("public-url", "", "`URL` at which browsers reach this program, which stands in login links (default: that of -listen)")
		widgetClients = flags.String("widget-clients", "", "`origins` of Matrix clients, such as https://app.element.io, that may show the console as a widget; with -matrix-auth")
		forget        = flags.String("forget-user", "", "remove all that is kept of a Matrix `user`, such as @user:example.com, say what that was, and end")
		relayBotToken = flags.String("relay-bot-token", "", "`token` of the relay bot")
		metrics       = flags.Bool("metrics", true, "serve Prometheus metrics at /metrics, to everybody who can reach -listen")
		matrixAuth    = flags.Bool("matrix-auth", false, "take the homeserver's access tokens and OpenID tokens in place of the secret")
		cors          = flags.String("cors", "", "`origins` of web pages that may call the API, such as https://app.example.com,http://localhost:8080 or *")
		codesPerHour  = flags.Int("codes-per-hour", 5, "how many login codes may be requested in an hour for one phone number, and by one user with a Matrix token; twice as many in a day; -1 is no limit")
		maxRequests   = flags.Int("max-requests", 1000, "how many requests may be under way at once")
		perUser       = flags.Int("max-requests-per-user", 0, "how many of them may be one Matrix user's (default: 64, and at most half of -max-requests)")
		timeout       = flags.Duration("timeout", 30*time.Second, "how long one request may wait for Telegram, the homeserver and the database")
		addressHeader = flags.String("client-address-header", "", "`name` of the header, such as X-Forwarded-For, to which a reverse proxy adds the address of its client; its last element tells callers apart for the limits")
		failureLimit  = flags.Int("failure-limit", 10, "how many wrong secrets and tokens one address may send at once; -1 is no limit")
		auditLog      = flags.String("audit-log", "", "`file` that the audit trail is added to, an entry a line, in JSON")
		logLevel      = flags.String("log-level", "info", "trace, debug, info, warn, error or disabled")
		logFormat     = flags.String("log-format", "console", "console or json")
		version       = flags.Bool("version", false, "print the versions of this program, Go and gotd, and end")
	)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stdout)
		fmt.Fprintf(stdout, "The provisioning API with everything embedded, for local testing.\nEach flag can be set in the environment too, -log-level as %sLOG_LEVEL.\n\n", envPrefix)
		flags.PrintDefaults()
		return settings{}, err
	}
	if err != nil {
		return settings{}, err
	}
	if *version {
		fmt.Fprintln(stdout, builtOf())
		return settings{}, flag.ErrHelp
	}
	if flags.NArg() > 0 {
		// It may be the rest of a secret.
		return settings{}, errors.New("there is an argument that belongs to no flag: quote values with blanks in them")
	}
	if err := applyEnvironment(flags, getenv); err != nil {
		return settings{}, err
	}

	s := settings{listen: *listen, logFormat: *logFormat, generate: *generate, forget: id.UserID(*forget)}
	s.host = hostConfig{database: *database, sessionKeyFile: *sessionKeys, dropSessions: *dropSessions, secret: *secret, relayBot: *relayBotToken, matrixAuth: *matrixAuth, metrics: *metrics, auditLog: *auditLog}
	s.host.codes = provisioning.Allowance{PerHour: *codesPerHour, PerDay: 2 * *codesPerHour}
	s.host.maxRequests, s.host.failureLimit = *maxRequests, *failureLimit
	s.host.maxRequestsPerUser, s.host.timeout, s.host.clientAddressHeader = *perUser, *timeout, *addressHeader
	switch {
	case *maxRequests < 1:
		return settings{}, fmt.Errorf("-max-requests %d: use a positive number", *maxRequests)
	case *perUser < 0:
		return settings{}, fmt.Errorf("-max-requests-per-user %d: use a positive number, or 0 for the default", *perUser)
	case *timeout <= 0:
		return settings{}, fmt.Errorf("-timeout %s: use a positive duration, such as 30s", *timeout)
	case *maxClients < 1:
		return settings{}, fmt.Errorf("-max-clients %d: use a positive number", *maxClients)
	case !headerName.MatchString(*addressHeader):
		return settings{}, errors.New("-client-address-header: use the name of a header, such as X-Forwarded-For")
	}
	if *cors != "" {
		s.host.cors = strings.Split(*cors, ",")
	}
	s.host.telegram = telegram.Config{APIID: *apiID, APIHash: *apiHash, MaxClients: *maxClients}
	if *consoleURL != "" && !isWebURL(*consoleURL) {
		return settings{}, fmt.Errorf("-public-url %q: use a URL such as https://bridge.example.com", *consoleURL)
	}
	s.host.publicURL = *consoleURL
	if *widgetClients != "" {
		if s.host.widgetClients = strings.Split(*widgetClients, ","); !s.host.matrixAuth {
			return settings{}, errors.New("-widget-clients goes with -matrix-auth: a widget tells by a token who somebody is")
		}
	}
	if *proxy != "" {
		if s.host.telegram.Resolver, err = proxyResolver(*proxy); err != nil {
			return settings{}, err
		}
	}
	if _, err := net.ResolveTCPAddr("tcp", s.listen); err != nil {
		return settings{}, fmt.Errorf("-listen %q: use host:port, such as 127.0.0.1:29317", s.listen)
	}
	if _, _, err := s.forget.ParseAndValidateRelaxed(); s.forget != "" && err != nil {
		return settings{}, fmt.Errorf("-forget-user %q: use a Matrix user ID, such as @user:example.com", s.forget)
	}
	if s.host.secret != "" && len(s.host.secret) < provisioning.MinSecretLength {
		return settings{}, fmt.Errorf("-secret has %d characters: use at least %d", len(s.host.secret), provisioning.MinSecretLength)
	}
	if err := checkDatabase(s.host.database); err != nil {
		return settings{}, err
	}
	if s.host.permissions, err = auth.ParsePermissions(*permissions); err != nil {
		return settings{}, fmt.Errorf("-permissions: %w", err)
	}
	if s.logLevel, err = zerolog.ParseLevel(*logLevel); err != nil || *logLevel == "" {
		return settings{}, fmt.Errorf("-log-level %q: use trace, debug, info, warn, error or disabled", *logLevel)
	}
	if s.logFormat != "console" && s.logFormat != "json" {
		return settings{}, fmt.Errorf("-log-format %q: use console or json", s.logFormat)
	}
	if err := s.chooseRegistration(*publicURL); err != nil {
		return settings{}, err
	}
	if err := s.chooseHomeserver(*homeserverURL, *registration); err != nil {
		return settings{}, err
	}
	return s, s.chooseTelegram(*datacenter, *key)
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]*$`)

// isWebURL says whether something is an http or https URL.
func isWebURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// chooseRegistration decides where a homeserver that reads a new registration calls.
func (s *settings) chooseRegistration(publicURL string) error {
	switch {
	case s.generate == "" && publicURL == "":
		return nil
	case s.generate == "":
		return errors.New("-registration-url goes with -generate-registration")
	case publicURL != "" && !isWebURL(publicURL):
		return fmt.Errorf("-registration-url %q: use a URL such as http://bridge:29317", publicURL)
	case publicURL != "":
		s.registrationURL = publicURL
		return nil
	}
	host, port, _ := net.SplitHostPort(s.listen)
	if ip := net.ParseIP(host); host == "" || port == "0" || (ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("-generate-registration needs -registration-url, where the homeserver reaches this program: -listen %s does not say it", s.listen)
	}
	s.registrationURL = "http://" + s.listen
	return nil
}

// chooseHomeserver decides between a real homeserver and the embedded one.
func (s *settings) chooseHomeserver(address, registrationFile string) error {
	if (address == "") != (registrationFile == "") {
		return errors.New("-homeserver and -registration go together")
	}
	if address == "" {
		return nil
	}
	if !isWebURL(address) {
		return fmt.Errorf("-homeserver %q: use a URL such as http://127.0.0.1:8008", address)
	}
	s.host.homeserver.url = address
	r, err := appservice.LoadRegistration(registrationFile)
	if _, unreadable := errors.AsType[*fs.PathError](err); unreadable {
		return fmt.Errorf("-registration: %w", err)
	}
	if err != nil {
		return fmt.Errorf("-registration %s: it is not a registration file in YAML", registrationFile)
	}
	if r.AppToken == "" || r.ServerToken == "" || r.SenderLocalpart == "" {
		return fmt.Errorf("-registration %s: it has no as_token, hs_token or sender_localpart; -generate-registration makes one", registrationFile)
	}
	s.host.homeserver.registration = r
	return nil
}

// applyEnvironment sets the flags that were not given from the environment.
func applyEnvironment(flags *flag.FlagSet, getenv func(string) string) error {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var fault error
	flags.VisitAll(func(f *flag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" || given[f.Name] || fault != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			fault = fmt.Errorf("%s is not usable for -%s", name, f.Name)
		}
	})
	return fault
}

// chooseTelegram decides between a custom datacenter, the real Telegram and the
// embedded server.
func (s *settings) chooseTelegram(datacenter, keyFile string) error {
	cfg := &s.host.telegram
	if (cfg.APIID == 0) != (cfg.APIHash == "") || cfg.APIID < 0 {
		return errors.New("-api-id and -api-hash go together: get both at https://my.telegram.org")
	}
	if (datacenter == "") != (keyFile == "") {
		return errors.New("-telegram-dc and -telegram-key go together")
	}
	ownAPI := cfg.APIID != 0
	if !ownAPI {
		cfg.APIID, cfg.APIHash = 1, "local" // any will do for a server that isn't Telegram's
	}
	if datacenter == "" {
		s.demo = !ownAPI
		if s.demo && s.host.relayBot != "" && s.host.relayBot != demoBotToken {
			return fmt.Errorf("-relay-bot-token: the embedded Telegram server knows one bot, %s", demoBotToken)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(datacenter)
	if err != nil || net.ParseIP(host) == nil {
		return fmt.Errorf("-telegram-dc %q: use an IP address and a port, such as 127.0.0.1:443", datacenter)
	}
	pem, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("-telegram-key: %w", err)
	}
	key, err := telegram.ParseKey(pem)
	if err != nil {
		return fmt.Errorf("-telegram-key %s: %w", keyFile, err)
	}
	cfg.Datacenter = &telegram.Datacenter{ID: 2, Addr: datacenter, Key: key}
	return nil
}

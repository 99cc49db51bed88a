package telegram

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

// The defaults of the fields of a Config.
const (
	defaultLoginTimeout   = 30 * time.Minute
	defaultWrongCodes     = 5
	defaultWrongPasswords = 10
	defaultMaxFloodWait   = 10 * time.Second
	defaultIdleTimeout    = 15 * time.Minute
	defaultMaxClients     = 5000
	defaultListAge        = time.Minute
	defaultAccountAge     = 10 * time.Second
)

// Config is what a [Factory] is made of. NewFactory copies it.
type Config struct {
	// DB keeps sessions, half-done logins, and what names users and channels to each
	// account, in tables that begin with tgprovision_. Required; it may be shared with
	// anything.
	DB *dbutil.Database
	// SessionKeys encrypt the sessions in DB, and with them phone numbers, codes, hints and
	// names. The first one encrypts, all of them decrypt; see SetSessionKeys for how to
	// replace one while the Factory runs. What is there in clear is encrypted at the start,
	// and refused after it: processes that share a database get their first key together.
	// Without any key it stays clear: who reads the database, or a copy of it, has the
	// accounts. Keep keys apart from the database and its copies.
	SessionKeys []SessionKey
	// APIID and APIHash identify the application to Telegram
	// (https://my.telegram.org). Required.
	APIID   int
	APIHash string

	// Datacenter is a datacenter to use in place of Telegram's own, such as a
	// test server. Nil is the real Telegram.
	Datacenter *Datacenter
	// Resolver makes the connections to Telegram. Nil connects directly over TCP.
	// For a SOCKS proxy use dcs.Plain with the Dial function of
	// golang.org/x/net/proxy, for an MTProto proxy dcs.MTProxy.
	Resolver dcs.Resolver
	// Device is what users see in their list of active sessions: device model,
	// system and application version. The zero value is gotd's default.
	Device telegram.DeviceConfig

	// LoginTimeout is how long a login may stay half done before it is forgotten.
	// Zero is 30 minutes.
	LoginTimeout time.Duration
	// WrongCodes is after how many wrong codes a login is given up, and WrongPasswords after how
	// many wrong passwords: with provisioning.ErrLoginGivenUp. They are counted with the login
	// in DB. Zero is 5 codes and 10 passwords, a negative number no limit besides Telegram's.
	WrongCodes, WrongPasswords int
	// MaxFloodWait is how long a call that lists, finds, creates or downloads waits
	// out Telegram's flood waits, in all; a longer wait is returned as an error. Logins
	// never wait. Zero is 10 seconds, a negative value never waits.
	MaxFloodWait time.Duration

	// IdleTimeout is how long a client goes on that nobody uses, before it is stopped to
	// save its memory and its connection: up to a quarter more. Its session stays, and the
	// next request starts another client with it. A client is in use while a call on it
	// lasts, also one of the host's, while Running lasts, and always if it has a handler of
	// updates. Zero is 15 minutes, a negative value stops none.
	IdleTimeout time.Duration
	// MaxClients is how many clients run at once, each with a connection to Telegram;
	// logins by QR code count. Half of them may be logins that are making their sessions: one
	// more of these waits for two seconds at most. Where there are as many, the one that was idle longest makes
	// room for the next, and if all are in use there is none: provisioning.ErrOverloaded,
	// which the API answers with 503. A host whose clients are always in use sets it above
	// the number of its users. Zero is 5,000; it can't be negative.
	MaxClients int
	// ListAge is how old a list of chats, contacts or sticker sets may be that a Client
	// returns; a chat that was made or deleted by this process is seen at once. Those who
	// ask for a list while it is being fetched wait for the same one. 250,000 entries are
	// remembered at most, of all lists together. Zero is one minute, a negative value
	// always asks Telegram. Nobody is searched for in a list of that age either.
	ListAge time.Duration
	// AccountAge is how old the answer of Client.Account may be for GET operations of the
	// API that show the account: how long it may take until they notice another name, or
	// that the session was ended on another device. Operations that act with the account
	// need not ask for it, the others ask Telegram. Zero is 10 seconds, a
	// negative value always asks.
	AccountAge time.Duration

	// Updates, if set, is asked once for each client, before it connects, for the
	// handler of the user's updates; nil is none. The empty user ID stands for the
	// relay bot, here and in Running. Clients with a handler subscribe
	// to updates, others tell Telegram to send none.
	Updates func(userID id.UserID) telegram.UpdateHandler
	// Running, if set, is called with every client that runs for a logged-in
	// account, once for each: after a login, and after a start with a stored
	// session. It has a goroutine of its own and may use the client until ctx
	// ends, which happens when the client stops: at a logout, when the session was
	// ended from the outside, or at Close, which waits for the function to return. A panic
	// is logged, and the client goes on; so it is with one of the handlers of Updates.
	Running func(ctx context.Context, userID id.UserID, client *telegram.Client)

	// Observer is told of calls to Telegram, flood waits and broken connections, for
	// metrics. The zero value observes nothing. Factory.Stats counts the clients.
	Observer Observer

	// Log is where starts, stops and lost connections go. The zero value is
	// silent.
	Log zerolog.Logger
}

// Datacenter is the address and public key of a Telegram datacenter.
type Datacenter struct {
	// ID is the datacenter's number, 2 for the default one.
	ID int
	// Addr is host:port; the host is an IP address.
	Addr string
	// Key is the RSA key that the datacenter proves itself with.
	Key *rsa.PublicKey
}

// ParseKey reads the RSA public key of a datacenter from PEM.
func ParseKey(pem []byte) (*rsa.PublicKey, error) {
	keys, err := crypto.ParseRSAPublicKeys(pem)
	if err != nil || len(keys) != 1 {
		return nil, errors.New("not one RSA public key in PEM form")
	}
	return keys[0], nil
}

func (c Config) validate() error {
	var faults []error
	if c.DB == nil {
		faults = append(faults, errors.New("Config.DB is nil: set a database for the sessions"))
	}
	if c.APIID <= 0 {
		faults = append(faults, errors.New("Config.APIID is missing: get one at https://my.telegram.org"))
	}
	if c.APIHash == "" {
		faults = append(faults, errors.New("Config.APIHash is missing: get one at https://my.telegram.org"))
	}
	if c.LoginTimeout < 0 {
		faults = append(faults, fmt.Errorf("Config.LoginTimeout is %s: use a positive duration, or zero for %s", c.LoginTimeout, defaultLoginTimeout))
	}
	if c.MaxClients < 0 {
		faults = append(faults, fmt.Errorf("Config.MaxClients is %d: use a positive number, or zero for %d", c.MaxClients, defaultMaxClients))
	}
	if dc := c.Datacenter; dc != nil {
		if dc.ID <= 0 || dc.Key == nil {
			faults = append(faults, errors.New("Config.Datacenter needs a positive ID and a Key"))
		}
		if _, err := dc.option(); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// withDefaults returns the configuration with the defaults in place of zeros, and with an
// Observer that does not panic.
func (c Config) withDefaults() Config {
	c.LoginTimeout = cmp.Or(c.LoginTimeout, defaultLoginTimeout)
	c.WrongCodes = cmp.Or(c.WrongCodes, defaultWrongCodes)
	c.WrongPasswords = cmp.Or(c.WrongPasswords, defaultWrongPasswords)
	c.MaxFloodWait = cmp.Or(c.MaxFloodWait, defaultMaxFloodWait)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.MaxClients = cmp.Or(c.MaxClients, defaultMaxClients)
	c.ListAge = cmp.Or(c.ListAge, defaultListAge)
	c.AccountAge = cmp.Or(c.AccountAge, defaultAccountAge)
	c.Observer = c.Observer.guarded(c.Log)
	return c
}

// option returns the datacenter as gotd wants it.
func (d *Datacenter) option() (tg.DCOption, error) {
	host, port, err := net.SplitHostPort(d.Addr)
	ip := net.ParseIP(host)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || ip == nil || portErr != nil || number == 0 {
		return tg.DCOption{}, fmt.Errorf("Config.Datacenter.Addr is %q: use an IP address and a port, such as 127.0.0.1:443", d.Addr)
	}
	return tg.DCOption{ID: d.ID, IPAddress: host, Port: int(number), Ipv6: ip.To4() == nil, Static: true}, nil
}

// otherThan returns those of a list of datacenters that are not this one.
func (d *Datacenter) otherThan(list []tg.DCOption) []tg.DCOption {
	return slices.DeleteFunc(slices.Clone(list), func(o tg.DCOption) bool { return o.ID == d.ID })
}

// optionsAt returns what a client at a datacenter is made with, where others are known.
func (c Config) optionsAt(dc int, known []tg.DCOption) telegram.Options {
	options := c.options()
	options.DC = dc
	if c.Datacenter != nil { // gotd knows Telegram's own
		options.DCList.Options = append(options.DCList.Options, c.Datacenter.otherThan(known)...)
	}
	return options
}

// options returns what every client is made with.
func (c Config) options() telegram.Options {
	options := telegram.Options{Resolver: c.Resolver, Device: c.Device}
	if options.Resolver == nil {
		options.Resolver = dcs.DefaultResolver()
	}
	if c.Datacenter == nil {
		return options
	}
	option, err := c.Datacenter.option()
	if err != nil {
		panic(err) // validate has checked it
	}
	options.DC = c.Datacenter.ID
	options.DCList = dcs.List{Options: []tg.DCOption{option}}
	options.PublicKeys = []telegram.PublicKey{{RSA: c.Datacenter.Key}}
	return options
}

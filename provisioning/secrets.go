package provisioning

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
)

// MinSecretLength is the smallest length of a shared secret, in bytes.
const MinSecretLength = 16

// DefaultSecretName is the name of [Config.Secret] in log lines, metrics and the audit trail.
const DefaultSecretName = "default"

// Secret is one of several shared secrets, each for another API client. Two may do the same,
// for a client that is to change from one to the other.
type Secret struct {
	// Name stands in log lines, metrics and the audit trail. Required: at most 64 letters,
	// digits and -._ that no other secret has.
	Name string
	// Value is what the API client sends as "Authorization: Bearer <value>". Required, and as
	// [Config.Secret] is; no other secret has it.
	Value string
	// Scope is what the secret is for. Required.
	Scope Scope
	// RequireUser has every request name the Matrix user in user_id whose rights count, where
	// that could be left out: one that names nobody is 400 mxid_empty.
	RequireUser bool
}

// Scope is what a shared secret is for. The scopes are ordered: a higher one includes the lower
// ones. An operation beyond it is 403 insufficient_scope.
type Scope int

const (
	// ScopeRead is for the operations that change nothing, without those that show a login
	// that is half done: get_bridge, get_me, get_chats, get_contacts, get_stickersets,
	// resolve_identifier, list_portals, get_portal and get_portal_by_tgid.
	ScopeRead Scope = iota + 1
	// ScopeBridge is also for portals: connect_portal, preflight_connect, create_portal,
	// disconnect_portal and start_dm.
	ScopeBridge
	// ScopeAll is for everything, so for logging people in and out too.
	ScopeAll
)

var scopeNames = map[Scope]string{ScopeRead: "read", ScopeBridge: "bridge", ScopeAll: "all"}

// String returns the name of the scope: read, bridge or all.
func (s Scope) String() string {
	if name, ok := scopeNames[s]; ok {
		return name
	}
	return fmt.Sprintf("Scope(%d)", int(s))
}

// ParseScope reads the name of a scope; names are lower case.
func ParseScope(name string) (Scope, error) {
	for scope, known := range scopeNames {
		if name == known {
			return scope, nil
		}
	}
	return 0, fmt.Errorf("unknown scope %q: use read, bridge or all", name)
}

// SetSecrets has API clients send other secrets from now on, in place of those that the
// [Config] or an earlier call has named, Config.Secret among them. Requests that are under way
// go on, and other processes are not told. It returns an error that names every fault, never a value, and changes nothing then.
// It may be called at any time.
func (p *Provisioner) SetSecrets(secrets []Secret) error {
	faults := checkSecrets(secrets)
	if len(secrets) == 0 {
		faults = append(faults, errors.New("there is none: nobody could call"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("set the secrets: %w", err)
	}
	held := hold(secrets)
	p.services.gate.secrets.Store(&held)
	return nil
}

// secrets returns all of them.
func (c Config) secrets() []Secret {
	if c.Secret == "" {
		return c.Secrets
	}
	return append([]Secret{{Name: DefaultSecretName, Value: c.Secret, Scope: ScopeAll}}, c.Secrets...)
}

var validSecretName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// checkSecrets returns every fault of some secrets, without their values.
func checkSecrets(secrets []Secret) (faults []error) {
	names, values := map[string]bool{}, map[string]string{}
	for _, s := range secrets {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("%q "+format, append([]any{s.Name}, args...)...))
		}
		if !validSecretName.MatchString(s.Name) {
			fault("has a bad name: use up to 64 letters, digits and -._")
		}
		if names[s.Name] {
			fault("has the name of another one: each needs its own")
		}
		if wrong := faultOfValue(s.Value); wrong != "" {
			fault("%s", wrong)
		}
		if other, known := values[s.Value]; known {
			fault("has the value of %q: each needs its own", other)
		}
		if _, ok := scopeNames[s.Scope]; !ok {
			fault("has the scope %s: use ScopeRead, ScopeBridge or ScopeAll", s.Scope)
		}
		names[s.Name], values[s.Value] = true, s.Name
	}
	return faults
}

// faultOfValue says what is wrong with a secret's value, "" for nothing.
func faultOfValue(value string) string {
	switch {
	case value == "":
		return fmt.Sprintf("is empty: set what API clients send, at least %d characters", MinSecretLength)
	case len(value) < MinSecretLength:
		return fmt.Sprintf("has %d characters: use at least %d, random ones", len(value), MinSecretLength)
	case !sendable(value):
		return "holds a blank, a control character or a character outside ASCII, which a header can't carry: use letters and digits"
	}
	return ""
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

// heldSecret is a secret as it is kept: without its value.
type heldSecret struct {
	sum         [sha256.Size]byte
	name        string
	scope       Scope
	requireUser bool
}

type heldSecrets []heldSecret

func hold(secrets []Secret) heldSecrets {
	held := make(heldSecrets, len(secrets))
	for i, s := range secrets {
		held[i] = heldSecret{sha256.Sum256([]byte(s.Value)), s.Name, s.Scope, s.RequireUser}
	}
	return held
}

// find returns the secret of a hash, nil for none. It compares with all of them, in time that
// depends on neither the given one nor which one it is.
func (all heldSecrets) find(given [sha256.Size]byte) *heldSecret {
	place := -1
	for i := range all {
		place = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(given[:], all[i].sum[:]), i, place)
	}
	if place < 0 {
		return nil
	}
	return &all[place]
}

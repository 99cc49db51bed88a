package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// everybody is the key for all users that no other key names.
const everybody = "*"

// Permissions says who has which permission level, in the form of the permissions
// section of mautrix bridges. A key is a full Matrix ID ("@admin:example.com"), a
// server name ("example.com", with its port if it has one) or "*". The most
// specific key decides, also where its level is the lower one. Matrix IDs and
// server names are case-sensitive.
//
// A Permissions is safe for concurrent use as long as nobody changes it.
type Permissions map[string]provisioning.Permission

// ParsePermissions reads the one-line form of Permissions, such as
// "*=relaybot,example.com=full,@admin:example.com=admin". Blanks around keys and
// levels don't count. The error names the first item that is wrong: one without a
// level, with an unknown level, with a key that [Permissions.Validate] refuses, or
// with a key for the second time. An empty string is an error.
func ParsePermissions(s string) (Permissions, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("no permissions given: use key=level, such as example.com=full")
	}
	p := Permissions{}
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		// The localpart of a Matrix ID may hold an equals sign, a level doesn't.
		split := strings.LastIndexByte(item, '=')
		if split < 0 {
			return nil, fmt.Errorf("%q is not of the form key=level", item)
		}
		key := strings.TrimSpace(item[:split])
		if err := validateKey(key); err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		level, err := provisioning.ParsePermission(strings.TrimSpace(item[split+1:]))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		if _, twice := p[key]; twice {
			return nil, fmt.Errorf("%q: the key %q was given before", item, key)
		}
		p[key] = level
	}
	return p, nil
}

// Validate returns an error that names every key which is neither a Matrix ID nor
// a server name nor "*", and every key whose level does not exist. Permissions
// without any key are valid: nobody may do anything.
func (p Permissions) Validate() error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if err := validateKey(key); err != nil {
			faults = append(faults, fmt.Errorf("permissions: %w", err))
		}
		if level := p[key]; level < provisioning.PermissionNone || level > provisioning.PermissionAdmin {
			faults = append(faults, fmt.Errorf("permissions: the key %q has the unknown level %d", key, int(level)))
		}
	}
	return errors.Join(faults...)
}

// Level returns the level of a user: that of the Matrix ID, else that of its
// server, else that of "*", else none. What is no Matrix ID has none.
func (p Permissions) Level(userID id.UserID) provisioning.Permission {
	_, server, err := userID.Parse()
	if err != nil {
		return provisioning.PermissionNone
	}
	for _, key := range [...]string{string(userID), server, everybody} {
		if level, found := p[key]; found {
			return level
		}
	}
	return provisioning.PermissionNone
}

func validateKey(key string) error {
	if key == everybody || id.ValidateServerName(key) {
		return nil
	}
	if localpart, _, err := id.UserID(key).ParseAndValidateRelaxed(); err == nil && localpart != "" {
		return nil
	}
	return fmt.Errorf("the key %q is neither a Matrix ID (@user:example.com) nor a server name (example.com) nor *", key)
}

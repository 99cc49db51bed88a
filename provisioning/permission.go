package provisioning

import "fmt"

// Permission is what a Matrix user may do with the bridge. The levels are
// ordered: a higher one includes the lower ones. The zero value is
// [PermissionNone].
type Permission int

// The permission levels, by the names that mautrix bridges give them in the
// permissions section of their configuration.
const (
	// PermissionNone may do nothing.
	PermissionNone Permission = iota
	// PermissionRelaybot may talk in portals through the relay bot.
	PermissionRelaybot
	// PermissionUser may bridge rooms with the relay bot.
	PermissionUser
	// PermissionFull may log in to Telegram.
	PermissionFull
	// PermissionAdmin may do everything, in every room.
	PermissionAdmin
)

var permissionNames = [...]string{"none", "relaybot", "user", "full", "admin"}

// String returns the name of the level as it stands in the API's answers.
func (p Permission) String() string {
	if p < PermissionNone || p > PermissionAdmin {
		return fmt.Sprintf("Permission(%d)", int(p))
	}
	return permissionNames[p]
}

// ParsePermission reads the name of a level; names are lower case.
func ParsePermission(name string) (Permission, error) {
	for level, known := range permissionNames {
		if name == known {
			return Permission(level), nil
		}
	}
	return PermissionNone, fmt.Errorf("unknown permission level %q: use none, relaybot, user, full or admin", name)
}

package auth_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/provisioning"
)

func TestLevelOfAUser(t *testing.T) {
	p := auth.Permissions{
		"*":                       provisioning.PermissionRelaybot,
		"example.com":             provisioning.PermissionFull,
		"example.com:8448":        provisioning.PermissionUser,
		"[2001:db8::1]:8448":      provisioning.PermissionUser,
		"@admin:example.com":      provisioning.PermissionAdmin,
		"@banned:example.com":     provisioning.PermissionNone,
		"@admin:example.com:8448": provisioning.PermissionFull,
		"@a=b/c:example.org":      provisioning.PermissionFull,
	}
	require.NoError(t, p.Validate())
	for userID, want := range map[id.UserID]provisioning.Permission{
		"@admin:example.com":       provisioning.PermissionAdmin,
		"@Admin:example.com":       provisioning.PermissionFull, // another user
		"@user:example.com":        provisioning.PermissionFull,
		"@banned:example.com":      provisioning.PermissionNone,
		"@admin:example.com:8448":  provisioning.PermissionFull,
		"@user:example.com:8448":   provisioning.PermissionUser,
		"@user:[2001:db8::1]:8448": provisioning.PermissionUser,
		"@user:example.com:8449":   provisioning.PermissionRelaybot,
		"@user:EXAMPLE.com":        provisioning.PermissionRelaybot,
		"@user:sub.example.com":    provisioning.PermissionRelaybot,
		"@a=b/c:example.org":       provisioning.PermissionFull,
		"@user:example.org":        provisioning.PermissionRelaybot,
		"example.com":              provisioning.PermissionNone, // no Matrix ID
		"*":                        provisioning.PermissionNone,
		"@user":                    provisioning.PermissionNone,
		"!room:example.com":        provisioning.PermissionNone,
		"":                         provisioning.PermissionNone,
	} {
		assert.Equal(t, want, p.Level(userID), "%s", userID)
	}
	for _, nobody := range []auth.Permissions{nil, {}, {"@other:example.com": provisioning.PermissionAdmin}} {
		assert.Equal(t, provisioning.PermissionNone, nobody.Level("@user:example.com"), "%v", nobody)
	}
}

func TestValidatePermissions(t *testing.T) {
	for _, valid := range []auth.Permissions{nil, {}, {"*": provisioning.PermissionNone}, {"192.0.2.1:8448": provisioning.PermissionAdmin}} {
		assert.NoError(t, valid.Validate())
	}
	for _, key := range badKeys {
		err := auth.Permissions{key: provisioning.PermissionFull}.Validate()
		assert.ErrorContains(t, err, fmt.Sprintf("%q", key))
	}
	for _, level := range []provisioning.Permission{-1, provisioning.PermissionAdmin + 1} {
		err := auth.Permissions{"example.com": level}.Validate()
		assert.ErrorContains(t, err, `"example.com"`)
		assert.ErrorContains(t, err, fmt.Sprint(int(level)))
	}
	err := auth.Permissions{"@one": provisioning.PermissionFull, "#two:example.com": provisioning.PermissionFull, "example.com": 99}.Validate()
	for _, name := range []string{"@one", "#two:example.com", "example.com"} {
		assert.ErrorContains(t, err, name, "every fault is named")
	}
}

// badKeys are neither Matrix IDs nor server names nor "*".
var badKeys = []string{
	"", " ", "**", "*.example.com", "@", "@user", "@:example.com", "@user:", "@user:exa mple.com",
	"#room:example.com", "example.com:", "example.com:port", "https://example.com", "example.com/", "exa_mple.com",
	"@" + strings.Repeat("x", id.UserIDMaxLength) + ":example.com",
}

func TestParsePermissions(t *testing.T) {
	for s, want := range map[string]auth.Permissions{
		"*=full": {"*": provisioning.PermissionFull},
		"*=relaybot,example.com=full,@admin:example.com=admin": {
			"*": provisioning.PermissionRelaybot, "example.com": provisioning.PermissionFull, "@admin:example.com": provisioning.PermissionAdmin,
		},
		" * = none , example.com = user ": {"*": provisioning.PermissionNone, "example.com": provisioning.PermissionUser},
		"example.com:8448=full":           {"example.com:8448": provisioning.PermissionFull},
		"[2001:db8::1]=full":              {"[2001:db8::1]": provisioning.PermissionFull},
		"@a=b=c:example.com:8448=admin":   {"@a=b=c:example.com:8448": provisioning.PermissionAdmin},
		"@a b/\u00e9:example.com=full":    {"@a b/\u00e9:example.com": provisioning.PermissionFull},
		"example.com=full,Example.com=no": nil,
	} {
		got, err := auth.ParsePermissions(s)
		if want == nil {
			assert.Error(t, err, "%q", s)
			continue
		}
		require.NoError(t, err, "%q", s)
		assert.Equal(t, want, got, "%q", s)
	}
}

func TestParsePermissionsErrors(t *testing.T) {
	for s, says := range map[string]string{
		"":                               "no permissions given",
		"  ":                             "no permissions given",
		",":                              `"" is not of the form key=level`,
		"*=full,":                        `"" is not of the form key=level`,
		"*=full,,example.com=full":       `"" is not of the form key=level`,
		"example.com":                    `"example.com" is not of the form key=level`,
		"*=full,@admin:example.com":      `"@admin:example.com" is not of the form key=level`,
		"*=":                             `"*=": unknown permission level ""`,
		"*=Full":                         `"*=Full": unknown permission level "Full"`,
		"*=full,example.com=superuser":   `"example.com=superuser": unknown permission level "superuser"`,
		"=full":                          `"=full": the key ""`,
		"*=full,@admin=admin":            `"@admin=admin": the key "@admin"`,
		"*=full,*=admin":                 `"*=admin": the key "*" was given before`,
		"*=full,example.com=full,*=full": `"*=full": the key "*" was given before`,
		"*=full, * =full":                `"* =full": the key "*" was given before`,
	} {
		p, err := auth.ParsePermissions(s)
		assert.Nil(t, p, "%q", s)
		assert.ErrorContains(t, err, says, "%q", s)
	}
	for _, key := range badKeys {
		_, err := auth.ParsePermissions("*=full," + key + "=admin")
		assert.ErrorContains(t, err, fmt.Sprintf("%q", strings.TrimSpace(key)))
	}
}

func FuzzParsePermissions(f *testing.F) {
	f.Add("*=relaybot,example.com=full,@admin:example.com=admin")
	f.Add("@a=b:example.com:8448=none, [2001:db8::1] = user")
	f.Add("*=full,*=full")
	f.Add("=,==,,@:=")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := auth.ParsePermissions(s)
		if err != nil {
			if p != nil || err.Error() == "" {
				t.Fatalf("ParsePermissions(%q) = %v, %q", s, p, err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("ParsePermissions(%q) returned what Validate refuses: %v", s, err)
		}
		if items := strings.Count(s, ",") + 1; len(p) != items {
			t.Fatalf("ParsePermissions(%q) has %d keys of %d items", s, len(p), items)
		}
		var items []string
		for _, key := range slices.Sorted(maps.Keys(p)) {
			items = append(items, key+"="+p[key].String())
		}
		again, err := auth.ParsePermissions(strings.Join(items, ","))
		if err != nil || !maps.Equal(p, again) {
			t.Fatalf("ParsePermissions(%q) = %v; read again, it is %v, %v", s, p, again, err)
		}
	})
}

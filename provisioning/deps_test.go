package provisioning_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "github.com/tgprovision/tgprovision"

// allowedDeps are what the core may need, as prefixes of packages. A host with a
// Telegram client and stores of its own compiles nothing else of ours: neither
// gotd nor an SQL driver, and none of our other packages.
var allowedDeps = []string{
	module + "/provisioning",
	module + "/internal/keyed",
	module + "/internal/places",
	"github.com/gorilla/mux",
	"github.com/coder/websocket",
	"github.com/rs/zerolog",
	"github.com/mattn/go-colorable", // zerolog's
	"github.com/mattn/go-isatty",    // zerolog's
	"golang.org/x/sys/",             // zerolog's
	"golang.org/x/time/rate",
	"maunium.net/go/mautrix/id",
	"go.mau.fi/util/exbytes", // mautrix/id's
	"go.mau.fi/util/random",  // mautrix/id's
}

// goList runs go list with a template over some packages.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	return strings.Fields(string(out))
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	for _, dep := range goList(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".", "./provisioningtest") {
		allowed := slices.ContainsFunc(allowedDeps, func(prefix string) bool {
			return dep == prefix || strings.HasPrefix(dep, strings.TrimSuffix(prefix, "/")+"/")
		})
		if !allowed {
			t.Errorf("%s is not on the list of what the core may need", dep)
		}
	}
	for _, dep := range goList(t, "-deps", ".") {
		if dep == "testing" || dep == "database/sql" || strings.HasPrefix(dep, module+"/provisioning/provisioningtest") {
			t.Errorf("the core needs %s", dep)
		}
	}
	// What provisioningtest imports itself.
	for _, dep := range goList(t, "-f", `{{join .Imports "\n"}}`, "./provisioningtest") {
		first, _, _ := strings.Cut(dep, "/")
		if strings.Contains(first, ".") && dep != module+"/provisioning" && dep != "maunium.net/go/mautrix/id" {
			t.Errorf("provisioningtest imports %s", dep)
		}
	}
}

// Command gotdcopy copies a part of package telegram onto another copy of gotd: a bridge
// whose module has its own, with other types, can't use the part as it is. Run it in that
// module, which has to require this one:
//
//	go run github.com/tgprovision/tgprovision/telegram/gotdcopy \
//		-gotd go.mau.fi/mautrix-telegram/pkg/gotd -to ./pkg/tgcalls
//
// It copies package telegram/calls, or with -part sessions package telegram with calls in
// it, or with -part testserver package telegram/telegramtest, and what these import of this
// module's internal packages. All else is imported from this module as before. With -tests
// the tests of the part come along, to be run on that gotd: those of calls are the
// conformance suites.
//
// Each file says where it came from, and is replaced when the command is run again. Where
// that gotd lacks something, the command says what, and writes nothing. Commit the files;
// they stay under the licence MPL-2.0. Then run go mod tidy.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
)

const (
	ours = "github.com/tgprovision/tgprovision" // the path of this module
	gotd = "github.com/gotd/td"
)

// parts are what can be copied, by package in this module.
var parts = map[string]string{"calls": "telegram/calls", "sessions": "telegram", "testserver": "telegram/telegramtest"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var c copier
	flag.StringVar(&c.gotd, "gotd", "", "the import `path` of the other gotd")
	flag.StringVar(&c.to, "to", "", "the `folder` to copy to, in the module of the current one")
	part := flag.String("part", "calls", "what to copy: calls, sessions or testserver")
	flag.BoolVar(&c.tests, "tests", false, "copy the part's tests too")
	flag.Parse()
	c.part = parts[*part]
	if c.gotd == "" || c.to == "" || c.part == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "gotdcopy:", err)
		os.Exit(1)
	}
}

// copier is one run of the command.
type copier struct {
	gotd, to, part string
	tests          bool

	temp   string // a folder that is deleted at the end
	source module // this one
	target module // the one to copy into
	root   string // the import path of the part's copy
}

// module is what go list says of one.
type module struct {
	Path, Version, Dir string
	Replace            *struct{}
}

func (c *copier) run(ctx context.Context) (err error) {
	if c.temp, err = os.MkdirTemp("", "gotdcopy"); err != nil {
		return err
	}
	defer os.RemoveAll(c.temp)
	if err := c.findModules(ctx); err != nil {
		return err
	}
	if c.to, err = filepath.Abs(c.to); err != nil {
		return err
	}
	inside, err := filepath.Rel(c.target.Dir, c.to)
	if err != nil || !filepath.IsLocal(inside) || inside == "." {
		return fmt.Errorf("%s is not a folder below the module %s in %s", c.to, c.target.Path, c.target.Dir)
	}
	c.root = path.Join(c.target.Path, filepath.ToSlash(inside))
	files, err := c.files()
	if err != nil {
		return err
	}
	old, err := c.copiedBefore(files)
	if err != nil {
		return err
	}
	if err := c.check(ctx, files, old); err != nil {
		return err
	}
	return c.write(files, old)
}

// findModules finds out about both modules.
func (c *copier) findModules(ctx context.Context) error {
	modfile, err := goCommand(ctx, "env", "GOMOD")
	if err != nil {
		return err
	}
	// A copy, since the module may not yet require what the part imports.
	folder := filepath.Dir(strings.TrimSpace(string(modfile)))
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return fmt.Errorf("no module that requires %s: %w", ours, err)
		}
		if err := writeFile(filepath.Join(c.temp, name), data); err != nil {
			return err
		}
	}
	if c.target, err = c.findModule(ctx); err != nil {
		return err
	}
	c.source, err = c.findModule(ctx, ours)
	return err
}

// findModule returns the main module, or the one of a path.
func (c *copier) findModule(ctx context.Context, paths ...string) (m module, err error) {
	out, err := c.withModule(ctx, "list", append([]string{"-m", "-json"}, paths...)...)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("read what go list says of the module: %w", err)
	}
	if m.Dir == "" {
		return m, fmt.Errorf("the module %s is not there: run go mod download", m.Path)
	}
	if m.Version == "" || m.Replace != nil {
		m.Version = "(devel)"
	}
	return m, nil
}

// withModule runs the go command with the copy of the module's requirements.
func (c *copier) withModule(ctx context.Context, verb string, args ...string) ([]byte, error) {
	return goCommand(ctx, append([]string{verb, "-mod=mod", "-modfile=" + filepath.Join(c.temp, "go.mod")}, args...)...)
}

// goCommand runs the go command, without a workspace, and returns what it says.
func goCommand(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return out, fmt.Errorf("go %s: %w\n%s", args[0], err, strings.TrimSpace(string(failed.Stderr)))
	}
	return out, err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// check compiles the copy before anything of it is written. Errors: what the other gotd
// lacks.
func (c *copier) check(ctx context.Context, files map[string]file, old []string) error {
	if err := c.checkPackages(ctx, files); err != nil {
		return err
	}
	overlay, err := c.writeOverlay(files, old)
	if err != nil {
		return err
	}
	_, err = c.withModule(ctx, "build", "-overlay="+overlay, "-gcflags=-e", c.root+"/...")
	if err == nil {
		return nil
	}
	return c.explain(err)
}

// checkPackages finds the packages that the other gotd lacks.
func (c *copier) checkPackages(ctx context.Context, files map[string]file) error {
	users := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, imported := range files[name].gotd {
			users[imported] = files[name].origin
		}
	}
	if len(users) == 0 {
		return nil
	}
	args := []string{"-e", "-find", "-f", "{{if .Error}}{{.ImportPath}}{{end}}"}
	out, err := c.withModule(ctx, "list", append(args, slices.Sorted(maps.Keys(users))...)...)
	if err != nil {
		return err
	}
	var faults []error
	for _, missing := range strings.Fields(string(out)) {
		faults = append(faults, fmt.Errorf("%s lacks the package %s, which %s uses", c.gotd, strings.TrimPrefix(missing, c.gotd+"/"), users[missing]))
	}
	return errors.Join(faults...)
}

// writeOverlay writes the files to the temporary folder, and what go build has to read in
// place of which files. It returns the name of the latter.
func (c *copier) writeOverlay(files map[string]file, old []string) (string, error) {
	replace := map[string]string{}
	for _, name := range old {
		replace[name] = "" // is not there
	}
	for name, f := range files {
		replace[name] = filepath.Join(c.temp, filepath.FromSlash(f.origin)) // as errors name it
		if err := writeFile(replace[name], f.data); err != nil {
			return "", err
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(c.temp, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o666)
}

// What the compiler says of a name that is not there.
var (
	compileError = regexp.MustCompile(`(?m)^(\S+\.go):\d+:\d+: (.*)$`)
	lacking      = []*regexp.Regexp{
		regexp.MustCompile(`undefined \(type \*?(?P<of>\S+) has no field or method (?P<name>\w+)`),
		regexp.MustCompile(`^unknown field (?P<name>\w+) in struct literal of type (?P<of>\S+)`),
		regexp.MustCompile(`^undefined: (?P<of>\w+)\.(?P<name>\w+)`),
	}
)

// explain says what the other gotd lacks, if that is why the copy did not compile.
func (c *copier) explain(failed error) error {
	said := map[string]bool{}
	var faults []error
	for _, match := range compileError.FindAllStringSubmatch(failed.Error(), -1) {
		_, origin, ours := strings.Cut(filepath.ToSlash(match[1]), filepath.Base(c.temp)+"/")
		if !ours {
			return failed // that gotd itself does not compile
		}
		fault := fmt.Sprintf("%s does not fit %s: %s", c.gotd, origin, match[2])
		for _, pattern := range lacking {
			if found := pattern.FindStringSubmatch(match[2]); found != nil {
				lacked := path.Base(found[pattern.SubexpIndex("of")]) + "." + found[pattern.SubexpIndex("name")]
				fault = fmt.Sprintf("%s lacks %s, which %s uses", c.gotd, lacked, origin)
			}
		}
		if !said[fault] {
			said[fault] = true
			faults = append(faults, errors.New(fault))
		}
	}
	if len(faults) == 0 {
		return failed
	}
	return errors.Join(faults...)
}

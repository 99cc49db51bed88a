// Command apifiles compares what the library's packages export with the files in api/:
// a file for each package, a line for each feature, in the manner of Go's own
// api/*.txt. A line that goes breaks who uses what it says.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	write := flag.Bool("write", false, "write the files")
	flag.Parse()
	if err := run("..", *write, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

func run(module string, write bool, out io.Writer) error {
	files, err := apiFiles(module)
	if err != nil {
		return err
	}
	folder := filepath.Join(module, "api")
	if write {
		return writeFiles(folder, files)
	}
	old, err := readFiles(folder)
	if err != nil {
		return err
	}
	return compare(out, old, files)
}

// apiFiles returns the text of each file, by name, for the module in a folder.
func apiFiles(module string) (map[string]string, error) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.LoadSyntax | packages.NeedModule,
		Dir:  module,
		// The same on every machine, and as a host without a C compiler gets it.
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"),
	}, "./...")
	if err != nil {
		return nil, err
	}
	if packages.PrintErrors(loaded) > 0 {
		return nil, errors.New("the packages don't compile")
	}
	files := map[string]string{}
	for _, p := range loaded {
		if p.Name == "main" || internal(p.PkgPath) {
			continue // nobody can import it
		}
		path := strings.TrimPrefix(p.PkgPath, p.Module.Path+"/")
		files[strings.ReplaceAll(path, "/", "-")+".txt"] = strings.Join(printPackage(p), "")
	}
	if len(files) == 0 {
		return nil, errors.New("no package can be imported")
	}
	return files, nil
}

// internal says whether the go command keeps other modules from importing a package.
func internal(path string) bool { return slices.Contains(strings.Split(path, "/"), "internal") }

// writeFiles leaves no other files in the folder.
func writeFiles(folder string, files map[string]string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func readFiles(folder string) (map[string]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = string(text)
	}
	return files, nil
}

// compare fails when files differ, and prints the lines that only one side has.
func compare(out io.Writer, before, now map[string]string) error {
	if maps.Equal(before, now) {
		return nil
	}
	changes := map[string]string{} // "+" or "-", by line
	for line := range lines(now) {
		changes[line] = "+"
	}
	for line := range lines(before) {
		if changes[line] == "" {
			changes[line] = "-"
		} else {
			delete(changes, line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(changes)) {
		fmt.Fprint(out, changes[line], line)
	}
	return errors.New("what the packages export differs from the files in api/, which .ci/api -write writes")
}

func lines(files map[string]string) map[string]bool {
	all := map[string]bool{}
	for _, text := range files {
		for line := range strings.Lines(text) {
			all[line] = true
		}
	}
	return all
}

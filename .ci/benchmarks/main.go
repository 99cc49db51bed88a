// Command benchmarks runs the benchmarks of all modules and prints a table in Markdown:
// what was measured, its target, and whether that is met.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// resultsFile has the results of -write between two marks.
const (
	resultsFile = "docs/benchmarks.md"
	resultsFrom = "<!-- The results, by .ci/bench -write -->\n"
	resultsTo   = "<!-- The end of the results -->\n"
)

func run(args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	pattern := flags.String("bench", ".", "run the benchmarks that match this `pattern`, as go test does")
	count := flags.Int("count", 1, "run each benchmark `n` times; the table has the medians")
	write := flags.Bool("write", false, "put the table into "+resultsFile+" as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := output(".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	packages, err := packagesIn(root)
	if err != nil {
		return err
	}
	measured := results{}
	var failed []string
	for _, p := range packages {
		fmt.Fprintf(os.Stderr, "=== %s\n", p)
		if err := runPackage(root, p, *pattern, *count, measured); err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", p, err))
		}
	}
	var report bytes.Buffer
	fmt.Fprintf(&report, "%s\n\n`.ci/bench%s`\n\n", machine(root), options(args))
	writeReport(&report, measured, *pattern == ".")
	fmt.Print(report.String())
	if failed != nil {
		return fmt.Errorf("these have failed:\n%s", strings.Join(failed, "\n"))
	}
	if *write {
		return writeResults(filepath.Join(root, resultsFile), report.String())
	}
	return nil
}

// options are the command's arguments as they are typed, without -write.
func options(args []string) (typed string) {
	for _, arg := range args {
		if strings.TrimLeft(arg, "-") != "write" {
			typed += " '" + arg + "'"
		}
	}
	return typed
}

func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// packagesIn lists the folders that have benchmarks.
func packagesIn(root string) ([]string, error) {
	files, err := output(root, "git", "grep", "-l", "^func Benchmark", "--", "*_test.go")
	if err != nil {
		return nil, err
	}
	var packages []string
	for file := range strings.FieldsSeq(files) {
		packages = append(packages, path.Dir(file))
	}
	slices.Sort(packages)
	return slices.Compact(packages), nil
}

// runPackage runs the benchmarks of one package, one package at a time: each has the
// machine for itself.
func runPackage(root, name, pattern string, count int, into results) error {
	cmd := exec.Command("go", "test", "-tags", "goolm", "-run", "^$", "-bench", pattern, "-count", fmt.Sprint(count), "-timeout", "0", ".")
	cmd.Dir = filepath.Join(root, name) // in whichever module that is
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(io.TeeReader(out, os.Stderr))
	for lines.Scan() {
		into.parse(name, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return cmd.Wait()
}

// machine describes where and when this runs, and what is measured.
func machine(root string) string {
	parts := []string{time.Now().UTC().Format(time.DateOnly)}
	if commit, err := output(root, "git", "rev-parse", "--short", "HEAD"); err == nil {
		parts = append(parts, "commit "+commit)
	}
	if model := valueIn("/proc/cpuinfo", "model name", ":"); model != "" {
		parts = append(parts, model)
	}
	parts = append(parts, fmt.Sprintf("%d cores", runtime.NumCPU()))
	if version, err := output(root, "go", "env", "GOVERSION"); err == nil {
		parts = append(parts, version)
	}
	system := runtime.GOOS + "/" + runtime.GOARCH
	if name := valueIn("/etc/os-release", "PRETTY_NAME", "="); name != "" {
		system = name + ", " + system
	}
	return strings.Join(append(parts, system), ", ")
}

// valueIn returns the first value of a name in a file of names and values, "" where
// there is none.
func valueIn(file, name, separator string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, separator); ok && strings.TrimSpace(key) == name {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// writeResults replaces the results in a file.
func writeResults(file, report string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), resultsFrom)
	_, after, found := strings.Cut(rest, resultsTo)
	if !ok || !found {
		return fmt.Errorf("%s has no place for the results", file)
	}
	return os.WriteFile(file, []byte(before+resultsFrom+"\n"+report+"\n"+resultsTo+after), 0o644)
}

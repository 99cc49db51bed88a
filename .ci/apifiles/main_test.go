package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// library is a module that exports one of each.
const library = "testdata/library"

func TestLines(t *testing.T) {
	// What the machine builds for otherwise makes no difference.
	t.Setenv("GOOS", "windows")
	t.Setenv("CGO_ENABLED", "1")
	var out strings.Builder
	if err := run(library, false, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestDifferences(t *testing.T) {
	module := t.TempDir()
	if err := os.CopyFS(module, os.DirFS(library)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(module, "shapes/more"), filepath.Join(module, "shapes/other")); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(module, "shapes/shapes.go"), "Nick string", "Nickname string")
	var out strings.Builder
	if err := run(module, false, &out); err == nil || !strings.Contains(err.Error(), ".ci/api -write") {
		t.Errorf("got error %v", err)
	}
	const line = "func Convert(shapes.Struct, *shapes.Set[string], io.Writer) shapes.Func\n"
	const want = "-pkg shapes, type Struct struct, Nick string\n" +
		"+pkg shapes, type Struct struct, Nickname string\n" +
		"-pkg shapes/more, " + line +
		"+pkg shapes/other, " + line
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}

	out.Reset()
	if err := run(module, true, &out); err != nil {
		t.Fatal(err)
	}
	if err := run(module, false, &out); err != nil || out.Len() > 0 {
		t.Errorf("after writing: %v\n%s", err, &out)
	}
	files, err := filepath.Glob(filepath.Join(module, "api/*"))
	if err != nil || len(files) != 2 {
		t.Errorf("files: %v, %v", files, err)
	}
}

// TestNotCompiling: what is left of a package with errors is not its API.
func TestNotCompiling(t *testing.T) {
	module := t.TempDir()
	if err := os.CopyFS(module, os.DirFS(library)); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(module, "shapes/shapes.go"), "type Kind int", "type Kind missing")
	for _, write := range []bool{false, true} {
		if err := run(module, write, os.Stdout); err == nil {
			t.Errorf("write %t: no error", write)
		}
	}
}

func replace(t *testing.T, file, before, after string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), before) != 1 {
		t.Fatalf("%s has %q not once", file, before)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), before, after, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file is a file of the copy.
type file struct {
	origin string // its path in this module
	data   []byte
	gotd   []string // what it imports of the other gotd
}

// files returns the files of the copy, by their paths.
func (c *copier) files() (map[string]file, error) {
	files, seen := map[string]file{}, map[string]bool{}
	for waiting := []string{c.part}; len(waiting) > 0; {
		pkg := waiting[0]
		waiting = waiting[1:]
		if seen[pkg] {
			continue
		}
		seen[pkg] = true
		names, err := c.namesOf(pkg)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			copied, imports, err := c.read(path.Join(pkg, name))
			if err != nil {
				return nil, err
			}
			files[filepath.Join(c.to, c.below(pkg), filepath.FromSlash(name))] = copied
			waiting = append(waiting, imports...)
		}
	}
	return files, nil
}

// namesOf lists the files of a package of this module.
func (c *copier) namesOf(pkg string) ([]string, error) {
	folder := filepath.Join(c.source.Dir, filepath.FromSlash(pkg))
	p, err := build.ImportDir(folder, 0)
	if err != nil {
		return nil, err
	}
	names := p.GoFiles
	if c.tests && pkg == c.part {
		names = slices.Concat(names, p.TestGoFiles, p.XTestGoFiles)
	}
	for _, pattern := range p.EmbedPatterns {
		embedded, err := fs.Glob(os.DirFS(folder), pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, embedded...)
	}
	return names, nil
}

// read reads a file of this module for its place in the copy. It also returns the packages
// of this module that the file imports and that are copied too.
func (c *copier) read(origin string) (copied file, imports []string, err error) {
	data, err := os.ReadFile(filepath.Join(c.source.Dir, filepath.FromSlash(origin)))
	if err != nil {
		return file{}, nil, err
	}
	copied.origin = origin
	if path.Ext(origin) != ".go" {
		copied.data = slices.Concat(data, []byte("-- "), c.mark(origin), []byte(" DO NOT EDIT.\n"))
		return copied, nil, nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), origin, data, parser.ImportsOnly)
	if err != nil {
		return file{}, nil, err
	}
	for _, spec := range slices.Backward(parsed.Imports) {
		imported, err := importOf(spec)
		if err != nil {
			return file{}, nil, err
		}
		replaced := imported
		if rest, ok := cutPath(imported, gotd); ok {
			replaced = path.Join(c.gotd, rest)
			copied.gotd = append(copied.gotd, replaced)
		} else if pkg, ok := cutPath(imported, ours); ok {
			needed, err := c.isCopied(pkg)
			if err != nil {
				return file{}, nil, err
			}
			if needed {
				replaced = path.Join(c.root, filepath.ToSlash(c.below(pkg)))
				imports = append(imports, pkg)
			}
		}
		// Positions begin with 1.
		data = slices.Replace(data, int(spec.Path.Pos())-1, int(spec.Path.End())-1, []byte(strconv.Quote(replaced))...)
	}
	data = slices.Concat([]byte("// Code generated "), c.mark(origin), []byte(" DO NOT EDIT.\n"+
		"// This file is subject to the Mozilla Public License 2.0, https://mozilla.org/MPL/2.0/.\n\n"), data)
	copied.data, err = format.Source(data) // the imports have another order
	return copied, imports, err
}

// mark says where a file came from.
func (c *copier) mark(origin string) []byte {
	return fmt.Appendf(nil, "%s%s@%s, %s.", marked, ours, c.source.Version, origin)
}

// marked begins every mark.
const marked = "by gotdcopy from "

// isCopied says whether a package of this module has to be copied where it is imported:
// the other module can't import it, or it is made for gotd.
func (c *copier) isCopied(pkg string) (bool, error) {
	if slices.Contains(strings.Split(pkg, "/"), "internal") {
		return true, nil
	}
	p, err := build.ImportDir(filepath.Join(c.source.Dir, filepath.FromSlash(pkg)), 0)
	if err != nil {
		return false, err
	}
	for _, imported := range p.Imports {
		if _, ok := cutPath(imported, gotd); ok {
			return true, nil
		}
		if own, ok := cutPath(imported, ours); ok && !strings.Contains(own, "internal/") {
			if copied, err := c.isCopied(own); copied || err != nil {
				return copied, err
			}
		}
	}
	return false, nil
}

// below returns the folder of a package of this module, in the folder of the copy.
func (c *copier) below(pkg string) string {
	if rest, ok := cutPath(pkg, c.part); ok {
		pkg = rest
	}
	return filepath.FromSlash(pkg)
}

// copiedBefore lists the files of an earlier copy. It fails where files of the copy would
// replace others.
func (c *copier) copiedBefore(files map[string]file) (old []string, err error) {
	err = filepath.WalkDir(c.to, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(marked+ours+"@")) {
			old = append(old, name)
		} else if _, ok := files[name]; ok {
			return fmt.Errorf("%s is there already, and was not copied: choose another folder", name)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return old, err
}

// write writes the copy in place of an earlier one.
func (c *copier) write(files map[string]file, old []string) error {
	for _, name := range old {
		if _, ok := files[name]; ok {
			continue
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(name, files[name].data); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file, in a folder that may not be there yet.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}

// importOf returns the path of an import.
func importOf(spec *ast.ImportSpec) (string, error) { return strconv.Unquote(spec.Path.Value) }

// cutPath returns what follows a path of which another one is a part, "" for itself.
func cutPath(long, short string) (rest string, ok bool) {
	if long == short {
		return "", true
	}
	return strings.CutPrefix(long, short+"/")
}

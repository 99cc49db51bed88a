package provisioning_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every exported name, field and interface method has a comment.
func TestEverythingIsDocumented(t *testing.T) {
	for _, dir := range []string{".", "provisioningtest"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		packageDoc := false
		for _, entry := range entries {
			if name := entry.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(dir, entry.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			packageDoc = packageDoc || file.Doc != nil
			d := docChecker{t, fset}
			for _, decl := range file.Decls {
				d.decl(decl)
			}
		}
		if !packageDoc {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

type docChecker struct {
	t    *testing.T
	fset *token.FileSet
}

func (d docChecker) missing(at token.Pos, what string) {
	d.t.Errorf("%s: %s has no comment", d.fset.Position(at), what)
}

func (d docChecker) decl(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && exportedReceiver(decl) && decl.Doc == nil {
			d.missing(decl.Pos(), decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					if decl.Doc == nil && spec.Doc == nil {
						d.missing(spec.Pos(), spec.Name.Name)
					}
					d.members(spec)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						d.missing(spec.Pos(), name.Name)
					}
				}
			}
		}
	}
}

// exportedReceiver says whether a function is one, or a method of an exported
// type.
func exportedReceiver(decl *ast.FuncDecl) bool {
	if decl.Recv == nil {
		return true
	}
	typ := decl.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// members checks the fields of a struct and the methods of an interface.
func (d docChecker) members(spec *ast.TypeSpec) {
	switch typ := spec.Type.(type) {
	case *ast.InterfaceType:
		for _, method := range typ.Methods.List {
			if method.Doc == nil {
				d.missing(method.Pos(), spec.Name.Name+"'s method")
			}
		}
	case *ast.StructType:
		d.fields(spec.Name.Name, typ.Fields.List)
	}
}

// fields checks those of a struct. A field may go without a comment directly
// below one that has one, and where no field has any, since the comment of the
// type explains them all.
func (d docChecker) fields(typ string, fields []*ast.Field) {
	some := false
	for _, field := range fields {
		some = some || field.Doc != nil || field.Comment != nil
	}
	if !some {
		return
	}
	explainedUntil := -1
	for _, field := range fields {
		line := d.fset.Position(field.Pos()).Line
		documented := field.Doc != nil || field.Comment != nil
		exported := len(field.Names) == 0
		for _, name := range field.Names {
			exported = exported || name.IsExported()
		}
		if exported && !documented && line != explainedUntil+1 {
			d.missing(field.Pos(), typ+"'s field")
		}
		if documented || line == explainedUntil+1 {
			explainedUntil = d.fset.Position(field.End()).Line
		}
	}
}

package provisioning_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// The walls inside the package, which the compiler does not see.
const (
	maxHandlerLines     = 30
	maxFunctionLines    = 60
	maxFileLines        = 400
	maxProvisionerFuncs = 30
)

// seesHTTP are the files that may name http.ResponseWriter or http.Request. config.go is
// among them for ClientAddress alone.
var seesHTTP = []string{"config.go", "cors.go", "decode.go", "encode.go", "pipeline.go", "socket.go"}

// source is a file of the package that is no test.
type source struct {
	name string
	fset *token.FileSet
	file *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{name, fset, file})
	}
	return all
}

// lines returns how many lines a node takes.
func (s source) lines(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

// names says whether a function has a name in it.
func (s source) names(f *ast.FuncDecl, name string) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		ident, ok := n.(*ast.Ident)
		found = found || ok && ident.Name == name
		return true
	})
	return found
}

func (s source) funcs() (funcs []*ast.FuncDecl) {
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			funcs = append(funcs, f)
		}
	}
	return funcs
}

// Handlers and domain see no HTTP.
func TestWhoSeesHTTP(t *testing.T) {
	see := map[string]int{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := selector.X.(*ast.Ident)
			if ok && of.Name == "http" && (selector.Sel.Name == "ResponseWriter" || selector.Sel.Name == "Request") {
				see[s.name]++
			}
			return true
		})
	}
	if got := slices.Sorted(maps.Keys(see)); !slices.Equal(got, seesHTTP) {
		t.Errorf("http.ResponseWriter and http.Request are named in %q, want %q", got, seesHTTP)
	}
	if see["config.go"] != 1 {
		t.Errorf("config.go names them %d times, want once, for ClientAddress", see["config.go"])
	}
}

// Handlers are short, and each says which operation it is.
func TestHandlers(t *testing.T) {
	handlers := map[string]string{} // operationId to the function
	for _, route := range provisioning.Routes() {
		operation, _, _ := strings.Cut(route, " ")
		handlers[operation] = ""
	}
	for _, s := range sources(t) {
		for _, f := range s.funcs() {
			if !takesOperation(f) {
				continue
			}
			if n := s.lines(f); n > maxHandlerLines {
				t.Errorf("%s: %s has %d lines, want at most %d", s.name, f.Name.Name, n, maxHandlerLines)
			}
			for operation := range handlers {
				if strings.HasPrefix(f.Doc.Text(), f.Name.Name+" is "+operation+".") || strings.HasPrefix(f.Doc.Text(), f.Name.Name+" is "+operation+":") {
					handlers[operation] = f.Name.Name
				}
			}
		}
	}
	for operation, handler := range handlers {
		if want := camelCase(operation); handler != want {
			t.Errorf("the handler of %s is %q, want %s with a comment that says so", operation, handler, want)
		}
	}
}

// takesOperation says whether a function has the parameters of a handler.
func takesOperation(f *ast.FuncDecl) bool {
	var types []string
	for _, field := range f.Type.Params.List {
		if star, ok := field.Type.(*ast.StarExpr); ok {
			if ident, ok := star.X.(*ast.Ident); ok {
				types = append(types, ident.Name)
			}
		}
	}
	return slices.Contains(types, "services") && slices.Contains(types, "operation")
}

func camelCase(operation string) string {
	words := strings.Split(operation, "_")
	for i, word := range words[1:] {
		switch word {
		case "qr", "dm":
			words[i+1] = strings.ToUpper(word)
		default:
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// Nothing grows into one big hall again.
func TestSizes(t *testing.T) {
	ofProvisioner := 0
	for _, s := range sources(t) {
		if n := s.fset.Position(s.file.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, want at most %d", s.name, n, maxFileLines)
		}
		for _, f := range s.funcs() {
			if n := s.lines(f); n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, want at most %d", s.name, f.Name.Name, n, maxFunctionLines)
			}
			if takesProvisioner(f) {
				ofProvisioner++
			}
		}
	}
	if ofProvisioner > maxProvisionerFuncs {
		t.Errorf("Provisioner has %d methods and functions that take one, want at most %d", ofProvisioner, maxProvisionerFuncs)
	}
	t.Logf("Provisioner has %d methods", ofProvisioner)
}

func takesProvisioner(f *ast.FuncDecl) bool {
	fields := slices.Clone(f.Type.Params.List)
	if f.Recv != nil {
		fields = append(fields, f.Recv.List...)
	}
	return slices.ContainsFunc(fields, func(field *ast.Field) bool {
		star, ok := field.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		ident, ok := star.X.(*ast.Ident)
		return ok && ident.Name == "Provisioner"
	})
}

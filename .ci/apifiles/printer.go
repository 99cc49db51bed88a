package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// printer collects the lines of one package. What a generated file declares is not in
// them: that file is in the repository, and shows it.
type printer struct {
	*packages.Package
	generated map[string]bool // by file
	lines     map[string]bool
	// hidden are this module's types that an importer can't name, but gets values of:
	// unexported ones, and those of internal packages.
	hidden []*types.TypeName
}

// printPackage returns the lines of a package, sorted.
func printPackage(loaded *packages.Package) []string {
	p := &printer{Package: loaded, generated: map[string]bool{}, lines: map[string]bool{}}
	for _, file := range p.Syntax {
		p.generated[p.Fset.File(file.FileStart).Name()] = ast.IsGenerated(file)
	}
	for _, name := range p.Types.Scope().Names() {
		if object := p.Types.Scope().Lookup(name); object.Exported() {
			p.object(object)
		}
	}
	for i := 0; i < len(p.hidden); i++ { // which grows
		p.typeName(p.hidden[i])
	}
	return slices.Sorted(maps.Keys(p.lines))
}

func (p *printer) emit(format string, args ...any) {
	p.lines["pkg "+p.path(p.Types)+", "+fmt.Sprintf(format, args...)+"\n"] = true
}

// path is a package's path, without the module's in front.
func (p *printer) path(pkg *types.Package) string {
	return strings.TrimPrefix(pkg.Path(), p.Module.Path+"/")
}

func (p *printer) isGenerated(object types.Object) bool {
	return p.generated[p.Fset.Position(object.Pos()).Filename]
}

func (p *printer) object(object types.Object) {
	if name, ok := object.(*types.TypeName); ok {
		p.typeName(name)
		return
	}
	if p.isGenerated(object) {
		return
	}
	switch object := object.(type) {
	case *types.Const:
		p.emit("const %s %s = %s", object.Name(), p.typ(object.Type()), object.Val().ExactString())
	case *types.Var:
		p.emit("var %s %s", object.Name(), p.typ(object.Type()))
	case *types.Func:
		p.emit("func %s%s%s", object.Name(), p.typeParams(object.Signature()), p.signature(object.Signature()))
	}
}

func (p *printer) typeName(object *types.TypeName) {
	declared := "type " + p.typ(object.Type())
	if alias, ok := object.Type().(*types.Alias); ok {
		if !p.isGenerated(object) {
			p.emit("%s = %s", declared, p.typ(alias.Rhs()))
		}
		return
	}
	if !p.isGenerated(object) {
		switch underlying := object.Type().Underlying().(type) {
		case *types.Struct:
			p.emit("%s struct", declared)
			p.fields(declared, object.Type(), underlying)
		case *types.Interface:
			p.interfaceType(declared, underlying)
		default:
			p.emit("%s %s", declared, p.typ(underlying))
		}
	}
	if !types.IsInterface(object.Type()) {
		p.methods(object.Type())
	}
}

// fields prints a struct's fields, and those that unexported embedded ones promote. What
// an exported one promotes is in the lines of its type.
func (p *printer) fields(declared string, outer types.Type, in *types.Struct) {
	for field := range in.Fields() {
		found, _, _ := types.LookupFieldOrMethod(outer, true, p.Types, field.Name())
		switch {
		case found != field: // something less deep has its name
		case field.Exported() && field.Embedded():
			p.emit("%s struct, embedded %s", declared, p.typ(field.Type()))
		case field.Exported():
			p.emit("%s struct, %s %s", declared, field.Name(), p.typ(field.Type()))
		case field.Embedded():
			if embedded, ok := pointee(field.Type()).Underlying().(*types.Struct); ok {
				p.fields(declared, outer, embedded)
			}
		}
	}
}

func pointee(t types.Type) types.Type {
	if pointer, ok := t.Underlying().(*types.Pointer); ok {
		return pointer.Elem()
	}
	return t
}

// methods prints a type's methods, and those that unexported embedded fields promote.
func (p *printer) methods(t types.Type) {
	ofValue := types.NewMethodSet(t)
	for method := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		object := method.Obj()
		if !object.Exported() || p.isGenerated(object) || throughExported(t, method.Index()) {
			continue
		}
		receiver := "*" + p.typ(t)
		if len(method.Index()) == 1 {
			receiver = p.typ(object.(*types.Func).Signature().Recv().Type())
		} else if ofValue.Lookup(object.Pkg(), object.Name()) != nil {
			receiver = p.typ(t)
		}
		p.emit("method (%s) %s%s", receiver, object.Name(), p.signature(method.Type().(*types.Signature)))
	}
}

// throughExported says that the path to a method has an exported embedded field in it.
func throughExported(t types.Type, path []int) bool {
	for _, i := range path[:len(path)-1] {
		field := pointee(t).Underlying().(*types.Struct).Field(i)
		if field.Exported() {
			return true
		}
		t = field.Type()
	}
	return false
}

// interfaceType has a line with the names of all methods too: it changes with one more
// method, which breaks who implements the interface.
func (p *printer) interfaceType(declared string, t *types.Interface) {
	var elements []string
	for embedded := range t.EmbeddedTypes() {
		if inner, ok := embedded.Underlying().(*types.Interface); !ok || !inner.IsMethodSet() {
			elements = append(elements, p.typ(embedded))
		}
	}
	for method := range t.Methods() {
		if !method.Exported() {
			elements = append(elements, "unexported methods") // nobody else implements it
			continue
		}
		elements = append(elements, method.Name())
		p.emit("%s interface, %s%s", declared, method.Name(), p.signature(method.Signature()))
	}
	p.emit("%s interface { %s }", declared, strings.Join(slices.Compact(elements), ", "))
}

// typ returns a type as the lines have it: a function's parameters without their names.
func (p *printer) typ(t types.Type) string {
	switch t := t.(type) {
	case *types.Pointer:
		return "*" + p.typ(t.Elem())
	case *types.Slice:
		return "[]" + p.typ(t.Elem())
	case *types.Map:
		return "map[" + p.typ(t.Key()) + "]" + p.typ(t.Elem())
	case *types.Signature:
		return "func" + p.signature(t)
	case *types.Named:
		p.hide(t.Obj())
	}
	return types.TypeString(t, func(pkg *types.Package) string {
		if pkg == p.Types {
			return ""
		}
		return p.path(pkg)
	})
}

func (p *printer) hide(object *types.TypeName) {
	if object.Pkg() == nil || !strings.HasPrefix(object.Pkg().Path(), p.Module.Path+"/") || slices.Contains(p.hidden, object) {
		return
	}
	if !object.Exported() || internal(object.Pkg().Path()) {
		p.hidden = append(p.hidden, object)
	}
}

func (p *printer) typeParams(t *types.Signature) string {
	var params []string
	for param := range t.TypeParams().TypeParams() {
		params = append(params, param.Obj().Name()+" "+p.typ(param.Constraint()))
	}
	if params == nil {
		return ""
	}
	return "[" + strings.Join(params, ", ") + "]"
}

func (p *printer) signature(t *types.Signature) string {
	params := p.tuple(t.Params())
	if t.Variadic() {
		last := &params[len(params)-1]
		*last = "..." + strings.TrimPrefix(*last, "[]")
	}
	text := "(" + strings.Join(params, ", ") + ")"
	switch results := p.tuple(t.Results()); len(results) {
	case 0:
		return text
	case 1:
		return text + " " + results[0]
	default:
		return text + " (" + strings.Join(results, ", ") + ")"
	}
}

func (p *printer) tuple(t *types.Tuple) (list []string) {
	for variable := range t.Variables() {
		list = append(list, p.typ(variable.Type()))
	}
	return list
}

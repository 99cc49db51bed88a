// Package shapes exports one of each.
package shapes

import (
	"context"
	"io"
	"sync"
)

type Kind int

func (Kind) String() string { return "" }

type Func func(ctx context.Context, kind Kind) error

func (Func) Call() {}

type Struct struct {
	Name, Nick string
	Callback   func(kind Kind)
	private    int
}

func (Struct) Value(n int)    {}
func (*Struct) Pointer()      {}
func (*Struct) unexportedOf() {}

// Embedding has the methods of Struct and of sync.Mutex by their own lines.
type Embedding struct {
	*Struct
	sync.Mutex
	io.Reader
	// Shadowed is less deep than that of base.
	Shadowed int
	base
	*pointed[int]
	closer
}

func (e *Embedding) Own() {}

type base struct {
	Promoted  string
	Shadowed  string
	Ambiguous int
	deeper
	private int
}

func (base) OfBase(n int) {}
func (*base) OfPointer()  {}
func (base) unexported()  {}

type deeper struct {
	Deep bool
	Kind
}

type pointed[T any] struct {
	Item      T
	Ambiguous int
}

func (pointed[T]) Get() (item T) { return item }
func (*pointed[T]) Set(item T)   {}

type closer interface{ Close() error }

type Set[T comparable] struct {
	Members map[T]struct{}
	pointed[T]
}

func (s *Set[E]) Add(members ...E) {}

type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

type Strings = Set[string]

type Pairs[V any] = []Pair[string, V]

type Interface interface {
	io.Closer
	Method(ctx context.Context, names ...string) (n int, err error)
}

type Sealed interface {
	Method()
	sealed()
	alsoSealed()
}

type Number interface {
	~int | ~float64
	String() string
}

type number interface {
	Number
	comparable
}

// unexported is what Unnameable returns.
type unexported struct {
	Next *unexported
	Of   otherUnexported
}

func (*unexported) Method() {}

type otherUnexported string

type unused struct{ Field int }

func (unused) Method() {}

// Written by hand, on a generated type.
func (*Generated) Method() {}

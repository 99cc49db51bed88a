package shapes

import (
	"context"
	"net/http"
	"time"

	"example.com/library/internal/hidden"
)

const (
	First Kind = iota
	Second
	unexportedConst
)

const (
	Untyped        = 1
	Text           = "a\n\"b\""
	Float          = 1.5
	Character      = 'x'
	Big            = 1 << 70
	Typed     int8 = -1
	Wait           = 30 * time.Second
)

var (
	Variable      error
	Two, Three    = 2, "3"
	Anonymous     struct{ Field int }
	Handler       http.Handler
	unexportedVar int
)

func Plain()                                                                    {}
func One(named int) error                                                       { return nil }
func Several(ctx context.Context, a, b string, rest ...[]byte) (n int, e error) { return 0, nil }

func Callback(call func(ctx context.Context, done func(ok bool)) (err error)) {}

func Composite(list []*Struct, table map[Kind][]Func, in <-chan int, out chan<- struct{}, fixed [4]byte, anything any) {
}

func Generic[K comparable, V number](of map[K]V) Set[K] {
	return Set[K]{}
}

// An importer can use what these return.
func Unnameable() *unexported      { return nil }
func FromInternal() []hidden.Value { return nil }

func unexportedFunc() {}

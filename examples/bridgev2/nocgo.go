//go:build !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "This bridge needs a C compiler, for mautrix-go's SQLite: install gcc (Debian: apt-get install gcc libc6-dev), and build it with CGO_ENABLED=1 go build -tags goolm .")
	os.Exit(1)
}

//go:build cgo

// Command bridgev2 is a small and complete Telegram bridge on mautrix-go's bridgev2, which
// serves the provisioning API beside bridgev2's own.
//
//	go run -tags goolm .                  # with a homeserver and a Telegram in the process
//	go run -tags goolm . -c config.yaml   # with your own; -help lists mxmain's flags
//
// It needs a C compiler, for mautrix-go's SQLite. The tag goolm spares libolm.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) == 1 {
		os.Exit(runLocal(os.Stdout, os.Stderr))
	}
	b := newBridge()
	b.PreInit()
	b.Init()
	b.Start()
	code := b.WaitForInterrupt()
	b.stop()
	os.Exit(code)
}

// runLocal runs the bridge with everything that it needs in the process, until it is
// interrupted.
func runLocal(stdout, stderr *os.File) int {
	l, err := startLocal("warn", localAccounts)
	if err != nil {
		fmt.Fprintf(stderr, "bridgev2: %v\n", err)
		return 1
	}
	defer l.close()
	b, err := l.startBridge()
	if err != nil {
		fmt.Fprintf(stderr, "bridgev2: %v\n", err)
		return 1
	}
	l.printWelcome(stdout)
	code := b.WaitForInterrupt()
	l.stopBridge(b)
	return code
}

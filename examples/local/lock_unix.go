//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openLocked opens a file and locks it until it is closed, or its process ends. It returns
// errLocked where another process, or another part of this one, has locked it.
func openLocked(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
}

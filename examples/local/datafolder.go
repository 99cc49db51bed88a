package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
)

// dataFolder is where the program keeps its keys: beside a SQLite database, or in the
// folder .tgprovision.
func dataFolder(database string) string {
	if isPostgres(database) {
		return ".tgprovision"
	}
	return filepath.Dir(database)
}

var errLocked = errors.New("another process has locked it")

// lockData keeps other processes away from a SQLite file, and from what the embedded Telegram
// server remembers, until what it returns is closed, or the process ends.
func (s settings) lockData() (unlock func() error, err error) {
	var locks []io.Closer
	unlock = func() error {
		var faults []error
		for _, lock := range locks {
			faults = append(faults, lock.Close())
		}
		return errors.Join(faults...)
	}
	var names []string
	if !isPostgres(s.host.database) {
		names = append(names, s.host.database)
	}
	if s.demo {
		names = append(names, telegramFile(s.host.database))
	}
	for _, name := range names {
		target := name
		if followed, err := filepath.EvalSymlinks(name); err == nil { // else it is not there yet
			target = followed
		}
		err := os.MkdirAll(filepath.Dir(target), 0o700)
		if err == nil {
			var lock *os.File
			if lock, err = openLocked(target + ".lock"); err == nil {
				locks = append(locks, lock)
			}
		}
		if errors.Is(err, errLocked) {
			err = fmt.Errorf("another process uses %s: stop it, or give this one a -db in another folder", name)
		}
		if err != nil {
			return nil, errors.Join(err, unlock())
		}
	}
	return unlock, nil
}

// telegramFile is what the embedded Telegram server remembers, so that sessions survive a restart.
func telegramFile(database string) string {
	return filepath.Join(dataFolder(database), "telegram.json")
}

// sharedSecret returns the API's secret that is kept in the data folder, which is made with
// the first start.
func sharedSecret(database string) (string, error) {
	name := filepath.Join(dataFolder(database), "api.secret")
	if err := makeFile(name, rand.Text()+"\n"); err != nil {
		return "", fmt.Errorf("make a secret for the API: %w", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read the API's secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < provisioning.MinSecretLength {
		return "", fmt.Errorf("%s has %d characters: use at least %d, or delete it to have one made", name, len(secret), provisioning.MinSecretLength)
	}
	return secret, nil
}

// makeFile makes a file with a text that only its owner can read, unless it is there.
func makeFile(name, text string) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.WriteString(text)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.Name(), name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil // another process has made it meanwhile
}

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
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

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/telegram"
)

// sessionKeys returns the keys that Telegram sessions are encrypted with: those of a file
// that is given, or those of a file beside the database, which is made with the first start.
func (cfg hostConfig) sessionKeys() ([]telegram.SessionKey, error) {
	if cfg.sessionKeyFile != "" {
		return readSessionKeys(cfg.sessionKeyFile)
	}
	name := filepath.Join(dataFolder(cfg.database), "session.key")
	if err := makeFile(name, telegram.NewSessionKey().Text()+"\n"); err != nil {
		return nil, fmt.Errorf("make a session key: %w", err)
	}
	return readSessionKeys(name)
}

// readSessionKeys reads the keys of a file, one a line. The first one encrypts.
func readSessionKeys(name string) (keys []telegram.SessionKey, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("-session-key-file: %w", err)
	}
	for i, line := range strings.Fields(string(text)) {
		key, err := telegram.ParseSessionKey(line)
		if err != nil {
			return nil, fmt.Errorf("-session-key-file %s: key %d: %w", name, i+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("-session-key-file %s: it has no key", name)
	}
	return keys, nil
}

// dropUnreadableSessions deletes the sessions whose key is lost, and says whose they were.
func dropUnreadableSessions(ctx context.Context, cfg telegram.Config, log zerolog.Logger) error {
	dropped, err := telegram.DropUnreadableSessions(ctx, cfg)
	if err != nil {
		return fmt.Errorf("-drop-unreadable-sessions: %w", err)
	}
	for _, s := range dropped {
		user := string(s.UserID)
		if user == "" {
			user = "the relay bot"
		}
		log.Warn().Str("session", user).Int64("account", int64(s.Account)).
			Msg("Dropped a session that no key decrypts: if it was logged in, its user can end it in a Telegram app, below Settings, Devices")
	}
	return nil
}

// finishRotation encrypts everything with the first key where there are others.
func (h *host) finishRotation(ctx context.Context, keys []telegram.SessionKey, log zerolog.Logger) error {
	if len(keys) < 2 {
		return nil
	}
	changed, err := h.clients.Reencrypt(ctx)
	if err != nil {
		return err
	}
	log.Info().Int("sessions", changed).Str("key", keys[0].ID()).Msg("All sessions are encrypted with the first session key: the others can be deleted")
	return nil
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/rs/zerolog"

	"github.com/tgprovision/tgprovision/provisioning"
)

// auditFile keeps the audit trail, an entry a line, in JSON.
type auditFile struct {
	mu   sync.Mutex
	file *os.File
	log  zerolog.Logger
}

// openAuditFile opens a file to add to, "" for none.
func openAuditFile(name string, log zerolog.Logger) (*auditFile, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("-audit-log: %w", err)
	}
	return &auditFile{file: file, log: log}, nil
}

// add is a provisioning.Config.Audit.
func (a *auditFile) add(entry provisioning.AuditEntry) {
	line, err := json.Marshal(entry)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		_, err = a.file.Write(append(line, '\n'))
	}
	if err != nil {
		a.log.Error().Err(err).Str("request_id", entry.RequestID).Msg("An entry is missing in the audit trail")
	}
}

// close closes the file, after the last entry.
func (a *auditFile) close() error { return errors.Join(a.file.Sync(), a.file.Close()) }

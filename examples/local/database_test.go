package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is neither a file nor a PostgreSQL URL is refused before anything is made of it, with
// what to write, and without what was written.
func TestUnusableDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("folder", 0o700))
	for database, says := range map[string]string{
		"sqlite:hunter2.db":                          "write a path",
		"sqlite://hunter2.db":                        "write a path",
		"file:hunter2.db":                            "write a path",
		"mysql://root:hunter2@localhost/x":           "write a path",
		"root:hunter2@tcp(127.0.0.1)/x":              "write a path",
		"POSTGRES://root:hunter2@localhost/x":        "write a path",
		"host=localhost password=hunter2":            "write a path",
		" password = hunter2":                        "write a path",
		":memory:":                                   "write a path",
		" ":                                          "write a path",
		"folder":                                     "write a path",
		"hunter2/":                                   "write a path",
		"postgres://root:hunter2@localhost:x/db":     "%40",
		"postgres://root:hunter2/3@localhost/db":     "%40",
		"postgres://root:12/hunter2@localhost/db":    "%40",
		"postgres://root:12?hunter2@localhost/db":    "%40",
		"postgres://root:12#hunter2@localhost/db":    "%40",
		"postgres://root:%hunter2@localhost/db":      "%40",
		"postgresql://root:hunter2@h/db?sslmode=odd": "%40",
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"-db", database, "-listen", "127.0.0.1:0"}, func(string) string { return "" }, &stdout, &stderr)
		assert.Equal(t, exitUsage, code, database)
		assert.Contains(t, stderr.String(), "-db", database)
		assert.Contains(t, stderr.String(), says, database)
		assert.NotContains(t, stderr.String(), "hunter2", database)
		assert.Equal(t, 1, bytes.Count(stderr.Bytes(), []byte("\n")), database)
		assert.Empty(t, stdout.String(), database)
	}
	left, err := filepath.Glob("*")
	require.NoError(t, err)
	assert.Equal(t, []string{"folder"}, left)
	for _, database := range []string{
		"x.db", "a b/x=y.db", `C:\data\x.db`, "C:x.db", "postgres://localhost/db", "postgres://u:a%40b%2Fc@h:5432/db?sslmode=disable", "postgresql:///db?host=/run/postgresql",
	} {
		assert.NoError(t, checkDatabase(database), database)
	}
}

// Nor does a password come out where the database can't be reached, or is none.
func TestDatabaseAway(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("text.db", bytes.Repeat([]byte("no database, but hunter2 "), 100), 0o600))
	for _, database := range []string{
		"postgres://root:hunter2@127.0.0.1:1/db", "postgres://127.0.0.1:1/db?user=root&password=hunter2&sslmode=disable", "text.db",
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"-db", database, "-listen", "127.0.0.1:0", "-log-level", "trace"}, func(string) string { return "" }, &stdout, &stderr)
		assert.Equal(t, exitFault, code, database)
		assert.Contains(t, stderr.String(), "local: ", database)
		assert.NotContains(t, stderr.String(), "hunter2", database)
		assert.Empty(t, stdout.String(), database)
	}
}

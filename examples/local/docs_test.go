package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page for administrators quotes the wiring of the metrics.
func TestDocsQuoteMetrics(t *testing.T) {
	source, err := os.ReadFile("metrics.go")
	require.NoError(t, err)
	_, wiring, ok := strings.Cut(string(source), "\n)\n\n")
	require.True(t, ok)
	page, err := os.ReadFile("../../docs/administrators.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), "```go\n"+wiring+"```")
}

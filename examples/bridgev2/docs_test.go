package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// The Go code of docs/bridgev2.md is this program's.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/bridgev2.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range []string{"main.go", "bridge.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(text)
	}
	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.Contains(t, code.String(), block[1])
	}
}

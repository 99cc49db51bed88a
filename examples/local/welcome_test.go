package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where the program listens everywhere, the printed address is one that can be called.
func TestReachable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "[::1]:1": "[::1]:1", "0.0.0.0:1": "localhost:1", "[::]:1": "localhost:1",
	} {
		resolved, err := net.ResolveTCPAddr("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, want, reachable(resolved))
	}
}

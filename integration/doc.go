// Package integration tests the real parts together: PostgreSQL, the example
// program as a process of its own, and Telegram's protocol over TCP. It is a module
// of its own, so that what it needs stays out of what hosts depend on.
package integration

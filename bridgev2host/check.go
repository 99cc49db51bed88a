package bridgev2host

import (
	"context"
	"fmt"

	"github.com/tgprovision/tgprovision/internal/schema"
	"github.com/tgprovision/tgprovision/provisioning"
)

// fault is an error of bridgev2's, from a method that does nothing but to use the bridge's
// database. What says what was tried.
func fault(ctx context.Context, what string, err error) error {
	return fmt.Errorf("%s: %w", what, schema.Fault(ctx, err))
}

// users is the Host as what knows the users.
type users struct{ *Host }

// Check implements [provisioning.Checker]: the bridge's database has to answer.
func (u users) Check(ctx context.Context) error { return u.checkDatabase(ctx) }

// clients is the Host as what has the Telegram clients.
type clients struct{ *Host }

// Check implements [provisioning.Checker], where the connector does.
func (c clients) Check(ctx context.Context) error {
	if checker, can := c.network.(provisioning.Checker); can {
		return checker.Check(ctx)
	}
	return ctx.Err()
}

// Check implements [provisioning.Checker].
func (s *portalStore) Check(ctx context.Context) error { return s.h.checkDatabase(ctx) }

// Check implements [provisioning.Checker].
func (t *tasks) Check(ctx context.Context) error {
	return t.TaskStore.(provisioning.Checker).Check(ctx) // it is package portal's
}

// checkDatabase reads from the bridge's database. What locks it for writers shows in the
// tasks.
func (h *Host) checkDatabase(ctx context.Context) error {
	var one int
	return schema.DB{Database: h.br.DB.Database}.QueryRow(ctx, `SELECT 1`).Scan(&one)
}

package connector

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/bridgev2"
)

// GetLoginFlows implements bridgev2.NetworkConnector.
func (c *Connector) GetLoginFlows() []bridgev2.LoginFlow { return nil }

// CreateLogin implements bridgev2.NetworkConnector.
func (c *Connector) CreateLogin(_ context.Context, user *bridgev2.User, flow string) (bridgev2.LoginProcess, error) {
	return nil, errors.New("not yet")
}

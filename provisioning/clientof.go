package provisioning

import "context"

// clientContext is the context of a request by a client with an address.
type clientContext struct {
	context.Context
	from address
}

type clientKey struct{}

// Value implements context.Context.
func (c clientContext) Value(key any) any {
	if key == (clientKey{}) {
		return c.from
	}
	return c.Context.Value(key)
}

func withClient(ctx context.Context, from address) context.Context { return clientContext{ctx, from} }

// WithClient returns a context of a request by a client of that name, as a [TokenChecker] gets
// it from the core. It is for tests.
func WithClient(ctx context.Context, name string) context.Context {
	return withClient(ctx, clientAddressOf(name))
}

// ClientOf returns what tells API clients apart, by the context that a [TokenChecker] gets: their
// addresses, see [Config.ClientAddress]. So one can share out what it has too little of. It is
// not to be logged, and "" in any other context.
func ClientOf(ctx context.Context) string {
	from, _ := ctx.Value(clientKey{}).(address)
	return from.String()
}

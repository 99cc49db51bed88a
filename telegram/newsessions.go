package telegram

import (
	"context"
	"errors"
	"fmt"

	"github.com/tgprovision/tgprovision/internal/places"
	"github.com/tgprovision/tgprovision/provisioning"
)

// newSessions are the places of logins that are making a session. They are half of
// Config.MaxClients, so that logins leave room for those who are logged in, and shared between
// users. A session that is made and waits for its code or password has no such place: its
// client is idle, and makes room for others.
type newSessions struct{ places *places.Places[sessionKey] }

func makeNewSessions(maxClients int) newSessions {
	most := max(1, maxClients/2)
	return newSessions{places.New[sessionKey](most, 0, most)}
}

// enter waits for a place, for two seconds at most; leave must follow. Errors:
// provisioning.ErrOverloaded, and the context's.
func (n newSessions) enter(ctx context.Context, key sessionKey) (leave func(), err error) {
	var claim places.Claim[sessionKey]
	claim.Parties[0].Key = key
	err = n.places.Enter(ctx, claim)
	if errors.Is(err, places.ErrFull) {
		err = fmt.Errorf("%w: too many logins are making sessions", provisioning.ErrOverloaded)
	}
	return func() { n.places.Leave(claim) }, err
}

// Package embed is the code of the README: a bridge with the API.
package embed

import (
	"context"
	"errors"
	"net/http"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/appservice"

	"github.com/tgprovision/tgprovision/auth"
	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
)

// Serve serves the API below /_matrix/provision on an appservice's router, until stop is called.
func Serve(ctx context.Context, db *dbutil.Database, as *appservice.AppService, secret string, log zerolog.Logger) (
	stop func(context.Context) error, err error,
) {
	portals, err := portal.NewStore(ctx, portal.StoreConfig{DB: db})
	if err != nil {
		return nil, err
	}
	rooms, err := portal.NewRooms(ctx, portal.RoomsConfig{AppService: as, DB: db, Log: log})
	if err != nil {
		return nil, err
	}
	levels := auth.Permissions{"example.com": provisioning.PermissionFull, "@admin:example.com": provisioning.PermissionAdmin}
	users, err := auth.NewStore(ctx, auth.StoreConfig{DB: db, Permissions: levels, IsBridgeUser: rooms.IsBridgeUser})
	if err != nil {
		return nil, err
	}
	clients, err := telegram.NewFactory(ctx, telegram.Config{DB: db, APIID: 1, APIHash: "from my.telegram.org", Log: log})
	if err != nil {
		return nil, err
	}
	api, err := provisioning.New(provisioning.Config{
		Secret: secret, Users: users, Portals: portals, Tasks: portals, Rooms: rooms, Telegram: clients, Limits: users, Log: log,
		// As the reverse proxy sets it. Leave it out where there is none.
		ClientAddress: func(r *http.Request) string { return r.Header.Get("X-Real-IP") },
	})
	if err == nil {
		err = api.Start(context.WithoutCancel(ctx)) // it runs until stop
	}
	if err != nil {
		return nil, errors.Join(err, clients.Close(ctx))
	}
	as.Router.Handle("/_matrix/provision/v1/", api.Handler("/_matrix/provision"))
	return func(ctx context.Context) error { return errors.Join(api.Close(ctx), clients.Close(ctx)) }, nil
}

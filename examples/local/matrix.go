package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// botLocalpart is the bridge bot's, in registrations that this program makes.
const botLocalpart = "telegrambot"

// newRegistration returns a registration of this program for a homeserver that reaches it at
// a URL.
func newRegistration(url string) *appservice.Registration {
	r := appservice.CreateRegistration()
	r.ID = "tgprovision"
	r.URL = url
	r.SenderLocalpart = botLocalpart
	r.Namespaces.UserIDs = appservice.NamespaceList{{Regex: `@telegram_[0-9]+:.+`, Exclusive: true}}
	rateLimited := false
	r.RateLimited = &rateLimited
	return r
}

// writeRegistration writes a new registration to a file that does not exist yet.
func writeRegistration(path, url string) error {
	text, err := newRegistration(url).YAML()
	if err != nil {
		return fmt.Errorf("-generate-registration: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it holds tokens
	if err != nil {
		return fmt.Errorf("-generate-registration: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("-generate-registration: %w", err)
	}
	return nil
}

// homeserver is how a bridge reaches its homeserver.
type homeserver struct {
	url          string
	registration *appservice.Registration
}

// appservice makes the bridge's side of the homeserver: the intents of its users, and
// the endpoints that the homeserver calls.
func (hs homeserver) appservice(ctx context.Context, log zerolog.Logger) (*appservice.AppService, error) {
	domain, err := hs.domain(ctx)
	if err != nil {
		return nil, err
	}
	as, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: hs.registration, HomeserverDomain: domain, HomeserverURL: hs.url,
	})
	if err != nil {
		return nil, fmt.Errorf("use the homeserver: %w", err)
	}
	as.Log = log
	return as, nil
}

// domain asks the homeserver for its name, which is that of the bridge bot's ID.
func (hs homeserver) domain(ctx context.Context) (string, error) {
	client, err := mautrix.NewClient(hs.url, "", hs.registration.AppToken)
	if err != nil {
		return "", fmt.Errorf("-homeserver: %w", err)
	}
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	me, err := client.Whoami(ctx)
	if err != nil {
		return "", fmt.Errorf("the homeserver does not answer, or does not know the registration: %w", err)
	}
	return me.UserID.Homeserver(), nil
}

// acceptInvitations has the bridge bot join every room that it is invited to, as
// bridges do, until stop is called.
func acceptInvitations(as *appservice.AppService, log zerolog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	bot := as.NewMautrixClient(as.BotMXID()) // as.BotClient is not safe for concurrent use
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e := <-as.Events:
				if e.Type != event.StateMember || id.UserID(e.GetStateKey()) != bot.UserID || e.Content.AsMember().Membership != event.MembershipInvite {
					continue
				}
				if _, err := bot.JoinRoomByID(ctx, e.RoomID); err != nil {
					log.Warn().Err(err).Stringer("room_id", e.RoomID).Msg("Could not accept an invitation")
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

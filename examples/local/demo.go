package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal"
	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// The demo bot, and what logs in as it.
const (
	demoBotID    = 9003
	demoBotToken = "9003:AAF-demo-token-of-the-local-bot"
)

// demoAccounts are the accounts of the embedded Telegram server: one plain, one
// with a two-factor password, one bot, and somebody to know.
var demoAccounts = []telegramtest.Account{
	{
		ID: 9001, Phone: "9996610001", Code: "12345", FirstName: "Ada", LastName: "Lovelace", Username: "ada",
		Contacts: []int64{9002, 9004},
		Dialogs: []telegramtest.Dialog{
			{Kind: telegramtest.KindSupergroup, ID: 2003, Title: "Analytical Engine"},
			{Kind: telegramtest.KindChannel, ID: 2004, Title: "Royal Society News"},
			{Kind: telegramtest.KindUser, ID: 9004},
		},
	},
	{
		ID: 9002, Phone: "9996610002", Code: "02468", Password: "correct horse", PasswordHint: "and then?",
		FirstName: "Grace", LastName: "Hopper", Username: "grace",
		Contacts: []int64{9001, 9003},
		Dialogs: []telegramtest.Dialog{
			{Kind: telegramtest.KindSupergroup, ID: 2001, Title: "Compilers"},
			{Kind: telegramtest.KindBasicGroup, ID: 2002, Title: "Navy reunion"},
			{Kind: telegramtest.KindUser, ID: 9001},
		},
	},
	{ID: demoBotID, Bot: true, Token: demoBotToken, FirstName: "Local Bot", Username: "local_demo_bot"},
	{ID: 9004, Phone: "9996610004", FirstName: "Charles", LastName: "Babbage"},
}

// demo is the embedded Telegram server.
type demo struct{ server *telegramtest.Server }

// demoDomain is the server name of the embedded homeserver.
const demoDomain = "localhost"

// demoHomeserver is the embedded homeserver, with somebody and their room on it, to which
// the bridge bot is invited. It forgets everything when it ends.
type demoHomeserver struct {
	server *matrixtest.Server
	room   id.RoomID
	token  string // your access token
}

// startDemoHomeserver starts the homeserver of an appservice.
func startDemoHomeserver(registration *appservice.Registration, log zerolog.Logger) (*demoHomeserver, error) {
	server, err := matrixtest.Start(matrixtest.Config{
		ServerName: demoDomain, Registrations: []*appservice.Registration{registration}, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("start the embedded homeserver: %w", err)
	}
	return &demoHomeserver{server: server}, nil
}

// furnish makes @you and their room. The bridge has to be there already, to accept the
// invitation.
func (d *demoHomeserver) furnish(ctx context.Context) error {
	you, err := d.server.AddUser("you")
	if err != nil {
		return err
	}
	created, err := you.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Preset: "private_chat", Name: "Demo room", Invite: []id.UserID{id.NewUserID(botLocalpart, demoDomain)},
	})
	if err != nil {
		return fmt.Errorf("make the demo room: %w", err)
	}
	d.room, d.token = created.RoomID, you.AccessToken
	return nil
}

func (d *demoHomeserver) close() error { return d.server.Close() }

// startDemo starts the server.
func startDemo(database string, log zerolog.Logger) (*demo, error) {
	server, err := telegramtest.Start(telegramtest.Config{
		Accounts: demoAccounts, StateFile: telegramFile(database), Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("start the embedded Telegram server: %w", err)
	}
	return &demo{server}, nil
}

func (d *demo) datacenter() *telegram.Datacenter {
	return &telegram.Datacenter{ID: d.server.DC(), Addr: d.server.Addr(), Key: d.server.PublicKey().RSA}
}

// bridgeBot records a portal of the demo bot, as a bridge does that has made one:
// bots have no list of chats on Telegram, so that theirs is that of their portals.
func (d *demo) bridgeBot(ctx context.Context, portals *portal.Store) error {
	p := provisioning.Portal{
		RoomID: "!demo:localhost", ChatID: provisioning.ChannelChatID(2001), Title: "Compilers", Megagroup: true,
	}
	err := portals.Connect(ctx, provisioning.NewPortal{Portal: p, Accounts: []provisioning.TelegramID{demoBotID}})
	if errors.Is(err, provisioning.ErrRoomBridged) {
		return nil // at an earlier start, on another homeserver
	}
	return err
}

// forgetRooms ends the portals of earlier starts: the embedded homeserver has forgotten
// their rooms.
func (d *demo) forgetRooms(ctx context.Context, portals *portal.Store) error {
	for _, account := range demoAccounts {
		for _, dialog := range account.Dialogs {
			if dialog.Kind == telegramtest.KindUser {
				continue
			}
			p, err := portals.PortalByChat(ctx, chatIDOf(dialog), 0)
			if err == nil {
				err = portals.Disconnect(ctx, p)
			}
			if err != nil && !errors.Is(err, provisioning.ErrPortalNotFound) {
				return err
			}
		}
	}
	return nil
}

func chatIDOf(dialog telegramtest.Dialog) provisioning.ChatID {
	if dialog.Kind == telegramtest.KindBasicGroup {
		return provisioning.BasicGroupChatID(dialog.ID)
	}
	return provisioning.ChannelChatID(dialog.ID)
}

func (d *demo) close() error { return d.server.Close() }

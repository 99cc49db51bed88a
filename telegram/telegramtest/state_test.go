package telegramtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestSessionsOutlastConnections(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	storage := &session.StorageMemory{}
	start(t, s, withSession(storage)).logIn(ada).stop()
	c := start(t, s, withSession(storage))
	c.is(ada)
	assert.Len(t, s.AuthKeys(), 1)
	assert.Equal(t, 1, s.Sessions(ada.ID))
}

// A client that is given an auth key is logged in at once, also after the server's restart.
func TestAddAuthKey(t *testing.T) {
	options := telegramtest.Config{StateFile: filepath.Join(t.TempDir(), "telegram.json")}
	s := newServer(t, options)
	adas, nobodys := sessionOf(t, s, ada.ID), sessionOf(t, s, 0)
	start(t, s, withSession(adas)).is(ada)
	assert.Equal(t, 1, s.Sessions(ada.ID))
	c := start(t, s, withSession(nobodys))
	_, err := c.Self(t.Context())
	require.True(t, tgerr.Is(err, "AUTH_KEY_UNREGISTERED"), "%v", err)
	c.logIn(ada).is(ada)
	assert.Equal(t, 2, s.Sessions(ada.ID))

	require.NoError(t, s.Close())
	s = newServer(t, options)
	assert.Equal(t, 2, s.Sessions(ada.ID))
	_, err = s.AddAuthKey(404)
	require.ErrorContains(t, err, "there is no account 404")
}

// A state file from before there were several datacenters goes on.
func TestStateWithoutDatacenters(t *testing.T) {
	options := telegramtest.Config{StateFile: filepath.Join(t.TempDir(), "telegram.json")}
	s := newServer(t, options)
	adas := sessionOf(t, s, ada.ID)
	require.NoError(t, s.Close())
	file, err := os.ReadFile(options.StateFile)
	require.NoError(t, err)
	older := strings.ReplaceAll(string(file), `"dc": 2,`, "")
	require.NotEqual(t, string(file), older)
	require.NoError(t, os.WriteFile(options.StateFile, []byte(older), 0o600))
	s = newServer(t, options)
	start(t, s, withSession(adas)).is(ada)
}

func TestStateOutlastsTheServer(t *testing.T) {
	options := telegramtest.Config{StateFile: filepath.Join(t.TempDir(), "new", "state.json")}
	s := newServer(t, options)
	options.Addr = s.Addr()
	restart := func() {
		t.Helper()
		require.NoError(t, s.Close())
		key := s.PublicKey()
		s = newServer(t, options)
		assert.Equal(t, key.Fingerprint(), s.PublicKey().Fingerprint())
		assert.Equal(t, options.Addr, s.Addr())
	}
	adas, graces := &session.StorageMemory{}, &session.StorageMemory{}
	connect := func(storage *session.StorageMemory, run func(c *client)) {
		t.Helper()
		c := start(t, s, withSession(storage))
		run(c)
		c.stop()
	}

	var hash string
	connect(adas, func(c *client) { c.logIn(ada) })
	connect(graces, func(c *client) { hash = c.sendCode(grace) })
	restart()
	connect(adas, func(c *client) { c.is(ada) })
	connect(graces, func(c *client) {
		_, err := c.Auth().SignIn(t.Context(), grace.Phone, telegramtest.DefaultCode, hash)
		require.ErrorIs(t, err, auth.ErrPasswordAuthNeeded)
	})
	restart()
	connect(graces, func(c *client) {
		_, err := c.Auth().Password(t.Context(), grace.Password)
		require.NoError(t, err)
	})
	require.NoError(t, s.Revoke(ada.ID, "SESSION_REVOKED"))
	restart()
	connect(graces, func(c *client) { c.is(grace) })
	assert.Equal(t, []int{0, 1}, []int{s.Sessions(ada.ID), s.Sessions(grace.ID)})
	c := start(t, s, withSession(adas))
	<-c.stopped
	rpcError(t, c.err, 401, "SESSION_REVOKED")

	info, err := os.Stat(options.StateFile)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(filepath.Dir(options.StateFile))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary files are left")
}

func TestClientGoesOnWhenTheServerRestarts(t *testing.T) {
	options := telegramtest.Config{StateFile: filepath.Join(t.TempDir(), "state.json")}
	s := newServer(t, options)
	c := start(t, s).logIn(ada)
	options.Addr = s.Addr()
	require.NoError(t, s.Close())
	s = newServer(t, options)
	c.eventually(c.self)
	assert.Equal(t, 1, s.Sessions(ada.ID))
}

func TestDamagedStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	newServer(t, telegramtest.Config{StateFile: path})
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, content := range map[string]string{
		"empty":       "",
		"cut":         string(good[:len(good)/2]),
		"no key":      `{}`,
		"other key":   strings.ReplaceAll(string(good), "RSA PRIVATE KEY", "EC PRIVATE KEY"),
		"damaged key": strings.Replace(string(good), "MII", "AAA", 1),
		"auth key":    strings.Replace(string(good), `"auth_keys": []`, `"auth_keys": [{"value":"AAAA"}]`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			_, err := telegramtest.Start(telegramtest.Config{StateFile: path})
			require.ErrorContains(t, err, path)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, content, string(after), "it is left as it was")
		})
	}
	_, err = telegramtest.Start(telegramtest.Config{StateFile: t.TempDir()})
	require.Error(t, err)
}

func TestOptions(t *testing.T) {
	s := newServer(t, telegramtest.Config{Addr: "127.0.0.1:0", DC: 4})
	assert.Equal(t, 4, s.DC())
	keys, err := crypto.ParseRSAPublicKeys(s.PublicKeyPEM())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	assert.True(t, keys[0].Equal(s.PublicKey().RSA))

	c := start(t, s).logIn(ada)
	config, err := c.API().HelpGetConfig(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 4, config.ThisDC)
	require.Len(t, config.DCOptions, 1)
	want := s.DCList().Options[0]
	got := config.DCOptions[0]
	assert.Equal(t, []any{want.ID, want.IPAddress, want.Port}, []any{got.ID, got.IPAddress, got.Port})

	_, err = telegramtest.Start(telegramtest.Config{Addr: s.Addr()})
	require.Error(t, err, "the port is taken")
	_, err = telegramtest.Start(telegramtest.Config{Accounts: []telegramtest.Account{{}}})
	require.Error(t, err)
	for range 2 {
		require.NoError(t, s.Close())
	}
	assert.Zero(t, s.Connections())
}

func TestAccountsThatMakeNoSense(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	dialogs := func(d ...telegramtest.Dialog) telegramtest.Account {
		return telegramtest.Account{ID: 3, Phone: "99966103", Dialogs: d}
	}
	for name, a := range map[string]telegramtest.Account{
		"no ID":              {},
		"taken ID":           {ID: ada.ID},
		"taken phone":        {ID: 3, Phone: ada.Phone},
		"taken token":        {ID: 3, Bot: true, Token: helper.Token},
		"taken username":     {ID: 3, Username: "ADA"},
		"phone":              {ID: 3, Phone: "+9996610003"},
		"token of no bot":    {ID: 3, Token: "3:AAA"},
		"delivery":           {ID: 3, CodeDelivery: "pigeon"},
		"kind":               dialogs(telegramtest.Dialog{ID: 1}),
		"dialog without ID":  dialogs(telegramtest.Dialog{Kind: telegramtest.KindChannel}),
		"forbidden user":     dialogs(telegramtest.Dialog{Kind: telegramtest.KindUser, ID: 1, Forbidden: true}),
		"migrated channel":   dialogs(telegramtest.Dialog{Kind: telegramtest.KindChannel, ID: 1, MigratedTo: 2}),
		"dialog twice":       dialogs(telegramtest.Dialog{Kind: telegramtest.KindChannel, ID: 1}, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: 1}),
		"dialog of the past": dialogs(telegramtest.Dialog{Kind: telegramtest.KindChannel, ID: 1, Date: epoch.AddDate(-1, 0, 0)}),
	} {
		require.Error(t, s.AddAccount(a), name)
	}
	require.NoError(t, s.AddAccount(telegramtest.Account{ID: 3, Phone: "99966103"}), "nothing was added before")
	require.Error(t, s.SetDialogs(4, nil))
	require.Error(t, s.SetContacts(4, nil))
	require.Error(t, s.SetDialogs(3, []telegramtest.Dialog{{}}))
	require.Error(t, s.Revoke(4, "SESSION_REVOKED"))
	require.Error(t, s.ForgetKeys(4))
	require.Error(t, s.SendUpdates(4, &tg.UpdatesTooLong{}))
	require.Error(t, s.SendUpdates(3, &tg.UpdateShort{}), "it can't be encoded")
}

// What clients did to chats outlasts the server, and what the test set does not.
func TestChatsOutlastTheServer(t *testing.T) {
	options := withMore()
	options.StateFile = filepath.Join(t.TempDir(), "state.json")
	options.Accounts[0].Dialogs = []telegramtest.Dialog{
		{Kind: telegramtest.KindSupergroup, ID: 5, Title: "Given"}, {Kind: telegramtest.KindUser, ID: grace.ID},
	}
	options.Chats = []telegramtest.Chat{{Kind: telegramtest.KindBasicGroup, ID: 6, Title: "Short-lived", Owner: ada.ID}}
	s := newServer(t, options)
	storage := &session.StorageMemory{}
	c := start(t, s, withSession(storage)).logIn(ada)
	created, err := c.API().MessagesCreateChat(t.Context(), &tg.MessagesCreateChatRequest{
		Title: "Made", Users: []tg.InputUserClass{c.inputUser("linus"), c.inputUser("helper_bot")},
	})
	require.NoError(t, err)
	made := created.Updates.(*tg.Updates).Chats[0].GetID()
	given := getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {}).GetChats()[2].(*tg.Channel)
	_, err = c.API().ChannelsInviteToChannel(t.Context(), &tg.ChannelsInviteToChannelRequest{
		Channel: given.AsInput(), Users: []tg.InputUserClass{c.inputUser("helper_bot")},
	})
	require.NoError(t, err)
	_, err = c.API().MessagesDeleteChat(t.Context(), 6)
	require.NoError(t, err)
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindChannel, ID: 7, Title: "Set"}))
	before := s.Chats()
	c.stop()
	require.NoError(t, s.Close())

	options.Accounts = options.Accounts[:3] // without linus
	s = newServer(t, options)
	after := s.Chats()
	require.Len(t, before, 3)
	assert.Equal(t, []int64{ada.ID, linus.ID, helper.ID}, before[2].Members)
	before[2].Members = []int64{ada.ID, helper.ID}
	assert.Equal(t, []telegramtest.Chat{before[0], before[2]}, after)
	c = start(t, s, withSession(storage))
	assert.Equal(t, []string{"Made", "Given"}, c.titles())
	again, err := c.API().MessagesCreateChat(t.Context(), &tg.MessagesCreateChatRequest{
		Title: "Next", Users: []tg.InputUserClass{c.inputUser("helper_bot")},
	})
	require.NoError(t, err)
	assert.Greater(t, again.Updates.(*tg.Updates).Chats[0].GetID(), made)
}

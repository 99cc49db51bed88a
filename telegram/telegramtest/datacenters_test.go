package telegramtest_test

import (
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// The accounts of other datacenters.
var (
	alan  = telegramtest.Account{ID: 1010, Phone: "9996640010", FirstName: "Alan", Username: "alan", DC: 4}
	edgar = telegramtest.Account{ID: 1011, Phone: "9996650011", FirstName: "Edgar", Username: "edgar", DC: 5}
	robot = telegramtest.Account{ID: 2004, FirstName: "Robot", Username: "robot_bot", Bot: true, Token: "2004:AAE", DC: 4}
)

func withDatacenters() telegramtest.Config {
	options := withMore(alan, edgar, robot)
	options.OtherDCs, options.MediaDC = []int{4}, 5
	return options
}

// keyOf returns storage with an auth key that is logged in to an account, for a client that
// is to use it at a datacenter.
func keyOf(t *testing.T, s *telegramtest.Server, a telegramtest.Account, dc int) *session.StorageMemory {
	t.Helper()
	key, err := s.AddAuthKey(a.ID)
	require.NoError(t, err)
	id := crypto.Key(key).ID()
	storage := &session.StorageMemory{}
	loader := session.Loader{Storage: storage}
	require.NoError(t, loader.Save(t.Context(), &session.Data{DC: dc, AuthKey: key, AuthKeyID: id[:]}))
	return storage
}

// config returns what the datacenter says of itself at which a client is.
func (c *client) config() *tg.Config {
	c.t.Helper()
	config, err := c.API().HelpGetConfig(c.t.Context())
	require.NoError(c.t, err)
	return config
}

func TestDatacenters(t *testing.T) {
	s := newServer(t, withDatacenters())
	for _, a := range []telegramtest.Account{alan, edgar, robot} {
		c := start(t, s).logIn(a) // gotd follows
		c.is(a)
		assert.Equal(t, 1, s.Sessions(a.ID))
		config := c.config()
		assert.Equal(t, a.DC, config.ThisDC)
		var all []int
		for _, option := range config.DCOptions {
			all = append(all, option.ID)
		}
		assert.Equal(t, []int{2, 5, 4}, all)
	}
	require.ErrorContains(t, s.AddAccount(telegramtest.Account{ID: 3, DC: 3}), "there is no datacenter 3")
}

// direct makes calls as a client does that follows to no other datacenter.
func (c *client) direct() *tg.Client {
	c.t.Helper()
	pool, err := c.Pool(1)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { assert.NoError(c.t, pool.Close()) })
	return tg.NewClient(pool)
}

func TestMigrations(t *testing.T) {
	s := newServer(t, withDatacenters())
	api := start(t, s).direct()
	sendCode := func(phone string) error {
		_, err := api.AuthSendCode(t.Context(), &tg.AuthSendCodeRequest{PhoneNumber: phone, APIID: 1, APIHash: "hash"})
		return err
	}
	rpcError(t, sendCode(alan.Phone), 303, "PHONE_MIGRATE_4")
	rpcError(t, sendCode(edgar.Phone), 303, "PHONE_MIGRATE_5")
	require.NoError(t, sendCode(linus.Phone))
	require.NoError(t, sendCode("9996619999"), "nobody's")
	_, err := api.AuthSignIn(t.Context(), &tg.AuthSignInRequest{PhoneNumber: alan.Phone, PhoneCodeHash: "hash"})
	rpcError(t, err, 303, "PHONE_MIGRATE_4")
	_, err = api.AuthResendCode(t.Context(), &tg.AuthResendCodeRequest{PhoneNumber: alan.Phone, PhoneCodeHash: "hash"})
	rpcError(t, err, 303, "PHONE_MIGRATE_4")
	_, err = api.AuthImportBotAuthorization(t.Context(), &tg.AuthImportBotAuthorizationRequest{APIID: 1, APIHash: "hash", BotAuthToken: robot.Token})
	rpcError(t, err, 303, "USER_MIGRATE_4")
	assert.Empty(t, s.Sessions(robot.ID))

	// NETWORK_MIGRATE, and then to where the account is. gotd follows one step for a call.
	s.Fail("auth.sendCode", 1, 303, "NETWORK_MIGRATE_4")
	c := start(t, s)
	_, err = c.Auth().SendCode(t.Context(), ada.Phone, auth.SendCodeOptions{})
	rpcError(t, err, 303, "PHONE_MIGRATE_2")
	c.logIn(ada).is(ada)
	assert.Equal(t, 2, c.config().ThisDC)
}

// An auth key of another datacenter can download and log out, once the login was taken
// there, and all else is for the account's home.
func TestLoginsAreTakenToOtherDatacenters(t *testing.T) {
	options := withDatacenters()
	options.Accounts[0].Photo = telegramtest.Photo{ID: 7, Data: []byte("data")}
	s := newServer(t, options)
	c, other := start(t, s).logIn(ada), start(t, s).logIn(ada)
	photo := &tg.UploadGetFileRequest{Location: &tg.InputPeerPhotoFileLocation{Peer: &tg.InputPeerSelf{}, PhotoID: 7}, Limit: 4096}
	_, err := other.direct().UploadGetFile(t.Context(), photo)
	rpcError(t, err, 303, "FILE_MIGRATE_5")

	exported, err := c.API().AuthExportAuthorization(t.Context(), 4)
	require.NoError(t, err)
	imported := &tg.AuthImportAuthorizationRequest{ID: exported.ID, Bytes: exported.Bytes}
	away := tg.NewClient(c.at(5))
	_, err = away.AuthImportAuthorization(t.Context(), imported)
	rpcError(t, err, 400, "AUTH_BYTES_INVALID") // it is for another one
	away = tg.NewClient(c.at(4))
	_, err = away.UploadGetFile(t.Context(), photo)
	rpcError(t, err, 303, "FILE_MIGRATE_5") // gotd has taken the login there
	_, err = away.UsersGetUsers(t.Context(), []tg.InputUserClass{&tg.InputUserSelf{}})
	rpcError(t, err, 303, "USER_MIGRATE_2")
	_, err = away.AuthExportAuthorization(t.Context(), 5)
	rpcError(t, err, 303, "USER_MIGRATE_2")
	_, err = away.AuthLogOut(t.Context())
	require.NoError(t, err)
	c.is(ada)
}

// at makes calls at another datacenter.
func (c *client) at(dc int) tg.Invoker {
	c.t.Helper()
	invoker, err := c.DC(c.t.Context(), dc, 1)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { assert.NoError(c.t, invoker.Close()) })
	return invoker
}

// An auth key is known where it was made and nowhere else.
func TestKeysBelongToTheirDatacenter(t *testing.T) {
	s := newServer(t, withDatacenters())
	start(t, s, withSession(keyOf(t, s, ada, 2))).is(ada)
	assert.Len(t, s.AuthKeys(), 1)
	storage := keyOf(t, s, alan, 2)
	c := start(t, s, withSession(storage))
	rpcError(t, c.self(), 401, "AUTH_KEY_UNREGISTERED") // gotd has made another key
	assert.Len(t, s.AuthKeys(), 3)
}

package telegramtest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func getContacts(t *testing.T, c *client) *tg.ContactsContacts {
	t.Helper()
	answer, err := c.API().ContactsGetContacts(t.Context(), 0)
	require.NoError(t, err)
	require.IsType(t, &tg.ContactsContacts{}, answer)
	return answer.(*tg.ContactsContacts)
}

// contactHash is https://core.telegram.org/api/offsets#hash-generation.
func contactHash(list *tg.ContactsContacts) int64 {
	ids := []int64{}
	for _, contact := range list.Contacts {
		ids = append(ids, contact.UserID)
	}
	slices.Sort(ids)
	var hash uint64
	for _, id := range append([]int64{int64(list.SavedCount)}, ids...) {
		hash ^= hash >> 21
		hash ^= hash << 35
		hash ^= hash >> 4
		hash += uint64(id)
	}
	return int64(hash)
}

func TestContacts(t *testing.T) {
	owner := telegramtest.Account{ID: 9, Phone: "99966109", Contacts: []int64{helper.ID, grace.ID, grace.ID, 404}, SavedContacts: 12}
	s := newServer(t, telegramtest.Config{Accounts: []telegramtest.Account{owner, ada, grace, helper}})
	require.NoError(t, s.SetContacts(grace.ID, []int64{owner.ID}))
	c := start(t, s).logIn(owner)
	list := getContacts(t, c)
	assert.Equal(t, 12, list.SavedCount)
	assert.Equal(t, []tg.Contact{{UserID: 404}, {UserID: grace.ID, Mutual: true}, {UserID: helper.ID}}, list.Contacts)
	require.Len(t, list.Users, 3)
	assert.True(t, list.Users[0].(*tg.User).Deleted)
	user := list.Users[1].(*tg.User)
	assert.Equal(t, []any{true, true, false, grace.Phone, grace.Username}, []any{user.Contact, user.MutualContact, user.Self, user.Phone, user.Username})
	assert.True(t, list.Users[2].(*tg.User).Bot)

	answer, err := c.API().ContactsGetContacts(t.Context(), contactHash(list))
	require.NoError(t, err)
	assert.IsType(t, &tg.ContactsContactsNotModified{}, answer)
	require.NoError(t, s.SetContacts(owner.ID, []int64{ada.ID}))
	answer, err = c.API().ContactsGetContacts(t.Context(), contactHash(list))
	require.NoError(t, err)
	assert.IsType(t, &tg.ContactsContacts{}, answer)
	require.NoError(t, s.SetContacts(owner.ID, nil))
	assert.Empty(t, getContacts(t, c).Contacts)
}

func TestTenThousandContacts(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	var ids []int64
	for i := range int64(10_000) {
		ids = append(ids, 50_000+i)
		require.NoError(t, s.AddAccount(telegramtest.Account{ID: 50_000 + i, FirstName: "Contact"}))
	}
	require.NoError(t, s.SetContacts(ada.ID, ids))
	c := start(t, s).logIn(ada)
	list := getContacts(t, c)
	assert.Len(t, list.Contacts, 10_000)
	assert.Len(t, list.Users, 10_000)
}

func TestUsers(t *testing.T) {
	s := newServer(t, telegramtest.Config{})
	require.NoError(t, s.AddAccount(telegramtest.Account{ID: 8, AccessHash: 88, FirstName: "Known"}))
	require.NoError(t, s.AddAccount(telegramtest.Account{ID: 6, FirstName: "Was", Username: "was", Deleted: true}))
	c, bot := start(t, s).logIn(ada), start(t, s).logIn(helper)
	resolved, err := c.API().ContactsResolveUsername(t.Context(), &tg.ContactsResolveUsernameRequest{Username: "grace_h"})
	require.NoError(t, err)
	assert.Equal(t, &tg.PeerUser{UserID: grace.ID}, resolved.Peer)
	user := resolved.Users[0].(*tg.User)
	assert.Equal(t, []any{grace.FirstName, grace.Username, ""}, []any{user.FirstName, user.Username, user.Phone})

	// Access hashes belong to the account that got them.
	seen := func(c *client, id, hash int64) string {
		users, err := c.API().UsersGetUsers(t.Context(), []tg.InputUserClass{&tg.InputUser{UserID: id, AccessHash: hash}})
		require.NoError(t, err)
		require.Len(t, users, 1)
		assert.Equal(t, id, users[0].GetID())
		if user, ok := users[0].(*tg.User); ok {
			return user.FirstName
		}
		return ""
	}
	assert.Equal(t, "Grace", seen(c, grace.ID, user.AccessHash))
	assert.Equal(t, "", seen(bot, grace.ID, user.AccessHash))
	assert.Equal(t, "Grace", seen(bot, grace.ID, 0), "bots need none")
	assert.Equal(t, "", seen(c, grace.ID, 0))
	assert.Equal(t, "Known", seen(c, 8, 88))
	assert.Equal(t, "", seen(c, 404, 0))

	full, err := c.API().UsersGetFullUser(t.Context(), &tg.InputUser{UserID: grace.ID, AccessHash: user.AccessHash})
	require.NoError(t, err)
	assert.Equal(t, grace.ID, full.FullUser.ID)
	full, err = c.API().UsersGetFullUser(t.Context(), &tg.InputUserSelf{})
	require.NoError(t, err)
	assert.Equal(t, ada.ID, full.FullUser.ID)
	_, err = c.API().UsersGetFullUser(t.Context(), &tg.InputUser{UserID: grace.ID})
	rpcError(t, err, 400, "USER_ID_INVALID")

	resolved, err = c.API().ContactsResolvePhone(t.Context(), grace.Phone)
	require.NoError(t, err)
	assert.Equal(t, &tg.PeerUser{UserID: grace.ID}, resolved.Peer)
	_, err = c.API().ContactsResolvePhone(t.Context(), "99966000")
	rpcError(t, err, 400, "PHONE_NOT_OCCUPIED")
	for username, message := range map[string]string{"nobody": "USERNAME_NOT_OCCUPIED", "was": "USERNAME_NOT_OCCUPIED", "a b": "USERNAME_INVALID"} {
		_, err = c.API().ContactsResolveUsername(t.Context(), &tg.ContactsResolveUsernameRequest{Username: username})
		rpcError(t, err, 400, message)
	}
}

func TestOtherMethods(t *testing.T) {
	c := start(t, newServer(t, telegramtest.Config{}))
	_, err := c.API().UpdatesGetState(t.Context())
	rpcError(t, err, 401, "AUTH_KEY_UNREGISTERED")
	near, err := c.API().HelpGetNearestDC(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, near.ThisDC)
	_, err = c.API().HelpGetCDNConfig(t.Context())
	require.NoError(t, err)
	answer, err := c.API().HelpGetAppConfig(t.Context(), 0)
	require.NoError(t, err)
	answer, err = c.API().HelpGetAppConfig(t.Context(), answer.(*tg.HelpAppConfig).Hash)
	require.NoError(t, err)
	assert.IsType(t, &tg.HelpAppConfigNotModified{}, answer)

	c.logIn(ada)
	state, err := c.API().UpdatesGetState(t.Context())
	require.NoError(t, err)
	_, err = c.API().UpdatesGetDifference(t.Context(), &tg.UpdatesGetDifferenceRequest{Pts: state.Pts, Date: state.Date})
	require.NoError(t, err)
	_, err = c.API().MessagesGetCommonChats(t.Context(), &tg.MessagesGetCommonChatsRequest{UserID: &tg.InputUserSelf{}})
	rpcError(t, err, 400, fmt.Sprint("INPUT_METHOD_INVALID_", uint32(tg.MessagesGetCommonChatsRequestTypeID)))
	c.is(ada) // the connection lives on
}

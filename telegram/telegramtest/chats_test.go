package telegramtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// resolve finds a user or channel by username, as a client has to.
func (c *client) resolve(username string) *tg.ContactsResolvedPeer {
	c.t.Helper()
	answer, err := c.API().ContactsResolveUsername(c.t.Context(), &tg.ContactsResolveUsernameRequest{Username: username})
	require.NoError(c.t, err)
	return answer
}

func (c *client) inputUser(username string) *tg.InputUser {
	c.t.Helper()
	return c.resolve(username).Users[0].(*tg.User).AsInput()
}

func (c *client) inputChannel(username string) *tg.InputChannel {
	c.t.Helper()
	return c.resolve(username).Chats[0].(*tg.Channel).AsInput()
}

// titles lists the titles of the groups and channels in a client's dialogs.
func (c *client) titles() (titles []string) {
	c.t.Helper()
	for _, chat := range getDialogs(c.t, c, func(*tg.MessagesGetDialogsRequest) {}).GetChats() {
		titles = append(titles, chat.(interface{ GetTitle() string }).GetTitle())
	}
	return titles
}

// More accounts of the tests.
var (
	linus   = telegramtest.Account{ID: 1003, Phone: "9996610003", FirstName: "Linus", Username: "linus"}
	private = telegramtest.Account{ID: 1004, FirstName: "Private", Username: "private", InviteError: "USER_PRIVACY_RESTRICTED"}
	busy    = telegramtest.Account{ID: 1005, FirstName: "Busy", Username: "busy", InviteError: "USER_CHANNELS_TOO_MUCH"}
	gone    = telegramtest.Account{ID: 1006, AccessHash: 6, Deleted: true}
)

func withMore(more ...telegramtest.Account) telegramtest.Config {
	return telegramtest.Config{Accounts: append([]telegramtest.Account{ada, grace, helper, linus, private, busy, gone}, more...)}
}

func TestCreatedChats(t *testing.T) {
	began := time.Now().Truncate(time.Second)
	s := newServer(t, withMore())
	c, other := start(t, s).logIn(ada), start(t, s).logIn(linus)
	users := []tg.InputUserClass{
		c.inputUser("linus"), c.inputUser("private"), c.inputUser("helper_bot"), c.inputUser("linus"), &tg.InputUserSelf{},
	}
	create := func(title string, users ...tg.InputUserClass) (*tg.MessagesInvitedUsers, error) {
		return c.API().MessagesCreateChat(t.Context(), &tg.MessagesCreateChatRequest{Title: title, Users: users})
	}
	answer, err := create("  Group ", users...)
	require.NoError(t, err)
	assert.Equal(t, []tg.MissingInvitee{{UserID: private.ID}}, answer.MissingInvitees)
	group := answer.Updates.(*tg.Updates).Chats[0].(*tg.Chat)
	assert.Equal(t, []any{"Group", true, false}, []any{group.Title, group.Creator, group.Left})
	want := telegramtest.Chat{
		Kind: telegramtest.KindBasicGroup, ID: group.ID, Title: "Group", Owner: ada.ID, Members: []int64{ada.ID, linus.ID, helper.ID},
	}
	seen, ok := s.Chat(telegramtest.KindBasicGroup, group.ID)
	require.True(t, ok)
	want.Created = seen.Created
	assert.Equal(t, seen.Created.Unix(), int64(group.Date))
	assert.WithinRange(t, seen.Created, began, time.Now())
	assert.Equal(t, want, seen)
	assert.Equal(t, []string{"Group"}, c.titles())
	assert.Equal(t, []string{"Group"}, other.titles())

	full, err := other.API().MessagesGetFullChat(t.Context(), group.ID)
	require.NoError(t, err)
	assert.False(t, full.Chats[0].(*tg.Chat).Creator)
	participants := full.FullChat.(*tg.ChatFull).Participants.(*tg.ChatParticipants).Participants
	assert.Equal(t, []tg.ChatParticipantClass{
		&tg.ChatParticipantCreator{UserID: ada.ID},
		&tg.ChatParticipant{UserID: linus.ID, InviterID: ada.ID, Date: 1_767_225_600},
		&tg.ChatParticipant{UserID: helper.ID, InviterID: ada.ID, Date: 1_767_225_600},
	}, participants)
	assert.Len(t, full.Users, 3)

	for _, c := range []struct {
		title   string
		code    int
		message string
		users   []tg.InputUserClass
	}{
		{"No", 400, "USERS_TOO_FEW", nil},
		{"No", 400, "USERS_TOO_FEW", []tg.InputUserClass{&tg.InputUserSelf{}}},
		{" ", 400, "CHAT_TITLE_EMPTY", users},
		{"No", 400, "USER_ID_INVALID", []tg.InputUserClass{users[0], &tg.InputUser{UserID: grace.ID, AccessHash: 1}}},
		{"No", 403, "USER_CHANNELS_TOO_MUCH", []tg.InputUserClass{users[0], c.inputUser("busy")}},
		{"No", 400, "INPUT_USER_DEACTIVATED", []tg.InputUserClass{users[0], &tg.InputUser{UserID: gone.ID, AccessHash: 6}}},
	} {
		_, err := create(c.title, c.users...)
		rpcError(t, err, c.code, c.message)
	}
	assert.Len(t, s.Chats(), 1)

	about := func(c *client, peer tg.InputPeerClass, text string) error {
		_, err := c.API().MessagesEditChatAbout(t.Context(), &tg.MessagesEditChatAboutRequest{Peer: peer, About: text})
		return err
	}
	peer := &tg.InputPeerChat{ChatID: group.ID}
	require.NoError(t, about(c, peer, "What for"))
	full, err = other.API().MessagesGetFullChat(t.Context(), group.ID)
	require.NoError(t, err)
	assert.Equal(t, "What for", full.FullChat.GetAbout())
	rpcError(t, about(c, peer, "What for"), 400, "CHAT_ABOUT_NOT_MODIFIED")
	rpcError(t, about(c, peer, strings.Repeat("a", 256)), 400, "CHAT_ABOUT_TOO_LONG")
	rpcError(t, about(other, peer, "Mine"), 400, "CHAT_ADMIN_REQUIRED")
	rpcError(t, about(c, &tg.InputPeerChat{ChatID: 1}, "No"), 400, "CHAT_ID_INVALID")
	rpcError(t, about(c, &tg.InputPeerChannel{ChannelID: 1}, "No"), 400, "CHANNEL_INVALID")
	rpcError(t, about(c, &tg.InputPeerSelf{}, "No"), 400, "PEER_ID_INVALID")

	_, err = other.API().MessagesDeleteChat(t.Context(), group.ID)
	rpcError(t, err, 400, "CHAT_ADMIN_REQUIRED")
	_, err = c.API().MessagesDeleteChat(t.Context(), group.ID)
	require.NoError(t, err)
	_, err = c.API().MessagesDeleteChat(t.Context(), group.ID)
	rpcError(t, err, 400, "CHAT_ID_INVALID")
	assert.Empty(t, s.Chats())
	assert.Empty(t, other.titles())
}

func TestCreatedChannels(t *testing.T) {
	s := newServer(t, withMore())
	c, bot := start(t, s).logIn(ada), start(t, s).logIn(helper)
	create := func(q *tg.ChannelsCreateChannelRequest) (*tg.Channel, error) {
		updates, err := c.API().ChannelsCreateChannel(t.Context(), q)
		if err != nil {
			return nil, err
		}
		return updates.(*tg.Updates).Chats[0].(*tg.Channel), nil
	}
	super, err := create(&tg.ChannelsCreateChannelRequest{Megagroup: true, Title: strings.Repeat("😀", 70), About: "About"})
	require.NoError(t, err)
	assert.Equal(t, []any{true, false, true, strings.Repeat("😀", 64)}, []any{super.Megagroup, super.Broadcast, super.Creator, super.Title})
	news, err := create(&tg.ChannelsCreateChannelRequest{Broadcast: true, Title: "News"})
	require.NoError(t, err)
	assert.True(t, news.Broadcast)
	assert.NotEqual(t, super.ID, news.ID)
	_, err = create(&tg.ChannelsCreateChannelRequest{})
	rpcError(t, err, 400, "CHAT_TITLE_EMPTY")
	_, err = create(&tg.ChannelsCreateChannelRequest{Title: "No", About: strings.Repeat("a", 256)})
	rpcError(t, err, 400, "CHAT_ABOUT_TOO_LONG")
	_, err = bot.API().ChannelsCreateChannel(t.Context(), &tg.ChannelsCreateChannelRequest{Title: "No"})
	rpcError(t, err, 400, "BOT_METHOD_INVALID")
	assert.Len(t, s.Chats(), 2)

	invite := func(to *tg.Channel, users ...tg.InputUserClass) ([]tg.MissingInvitee, error) {
		answer, err := c.API().ChannelsInviteToChannel(t.Context(), &tg.ChannelsInviteToChannelRequest{
			Channel: to.AsInput(), Users: users,
		})
		if err != nil {
			return nil, err
		}
		return answer.MissingInvitees, nil
	}
	members := func(of *tg.Channel) []int64 {
		seen, ok := s.Chat(telegramtest.KindChannel, of.ID)
		require.True(t, ok)
		return seen.Members
	}
	missing, err := invite(super, c.inputUser("linus"), c.inputUser("private"), c.inputUser("helper_bot"))
	require.NoError(t, err)
	assert.Equal(t, []tg.MissingInvitee{{UserID: private.ID}}, missing)
	assert.Equal(t, []int64{ada.ID, linus.ID, helper.ID}, members(super))
	_, err = invite(super, c.inputUser("grace_h"), c.inputUser("linus"))
	rpcError(t, err, 400, "USER_ALREADY_PARTICIPANT")
	_, err = invite(super, c.inputUser("grace_h"), c.inputUser("busy"))
	rpcError(t, err, 403, "USER_CHANNELS_TOO_MUCH")
	_, err = invite(news, c.inputUser("helper_bot"))
	rpcError(t, err, 400, "USER_BOT")
	_, err = invite(super, &tg.InputUser{UserID: grace.ID})
	rpcError(t, err, 400, "USER_ID_INVALID")
	assert.Len(t, members(super), 3, "one error, and nobody is added")

	admin := func(c *client, of *tg.InputChannel, user tg.InputUserClass, rights tg.ChatAdminRights) error {
		_, err := c.API().ChannelsEditAdmin(t.Context(), &tg.ChannelsEditAdminRequest{Channel: of, UserID: user, AdminRights: rights})
		return err
	}
	post := tg.ChatAdminRights{PostMessages: true}
	require.NoError(t, admin(c, news.AsInput(), c.inputUser("helper_bot"), post))
	seen, _ := s.Chat(telegramtest.KindChannel, news.ID)
	assert.Equal(t, [][]int64{{helper.ID}, {ada.ID, helper.ID}}, [][]int64{seen.Admins, seen.Members})
	full, err := bot.API().ChannelsGetFullChannel(t.Context(), &tg.InputChannel{ChannelID: news.ID}) // without a hash
	require.NoError(t, err)
	rights, ok := full.Chats[0].(*tg.Channel).GetAdminRights()
	assert.True(t, ok && rights.PostMessages)
	require.NoError(t, admin(c, news.AsInput(), c.inputUser("helper_bot"), tg.ChatAdminRights{}))
	seen, _ = s.Chat(telegramtest.KindChannel, news.ID)
	assert.Empty(t, seen.Admins)
	rpcError(t, admin(c, news.AsInput(), &tg.InputUserSelf{}, post), 400, "USER_CREATOR")
	rpcError(t, admin(c, news.AsInput(), &tg.InputUser{UserID: 404}, post), 400, "USER_ID_INVALID")
	rpcError(t, admin(c, news.AsInput(), c.inputUser("private"), post), 403, "USER_PRIVACY_RESTRICTED")
	rpcError(t, admin(bot, &tg.InputChannel{ChannelID: super.ID}, &tg.InputUserSelf{}, post), 403, "CHAT_ADMIN_REQUIRED")

	_, err = c.API().ChannelsDeleteChannel(t.Context(), news.AsInput())
	require.NoError(t, err)
	_, err = c.API().ChannelsDeleteChannel(t.Context(), news.AsInput())
	rpcError(t, err, 400, "CHANNEL_INVALID")
	assert.Len(t, s.Chats(), 1)
}

func TestAddingToGroups(t *testing.T) {
	s := newServer(t, withMore())
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "Group", Owner: grace.ID, Members: []int64{ada.ID}}))
	c := start(t, s).logIn(ada)
	add := func(id int64, user tg.InputUserClass) (*tg.MessagesInvitedUsers, error) {
		return c.API().MessagesAddChatUser(t.Context(), &tg.MessagesAddChatUserRequest{ChatID: id, UserID: user})
	}
	answer, err := add(1, c.inputUser("linus"))
	require.NoError(t, err)
	assert.Empty(t, answer.MissingInvitees)
	answer, err = add(1, c.inputUser("private"))
	require.NoError(t, err)
	assert.Equal(t, []tg.MissingInvitee{{UserID: private.ID}}, answer.MissingInvitees)
	_, err = add(1, c.inputUser("linus"))
	rpcError(t, err, 400, "USER_ALREADY_PARTICIPANT")
	_, err = add(2, c.inputUser("linus"))
	rpcError(t, err, 400, "CHAT_ID_INVALID")
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindBasicGroup, ID: 1, Members: []int64{ada.ID}, AdminsInvite: true}))
	_, err = add(1, c.inputUser("linus"))
	rpcError(t, err, 403, "CHAT_ADMIN_REQUIRED")
	require.NoError(t, s.PutDialog(ada.ID, telegramtest.Dialog{Kind: telegramtest.KindBasicGroup, ID: 1, Left: true}))
	_, err = add(1, c.inputUser("linus"))
	rpcError(t, err, 400, "CHAT_ID_INVALID")
}

func TestLookingAtChats(t *testing.T) {
	options := withMore()
	options.Accounts[0].Dialogs = []telegramtest.Dialog{
		{Kind: telegramtest.KindBasicGroup, ID: 1, Title: "Group"},
		{Kind: telegramtest.KindBasicGroup, ID: 2, Title: "Out", Forbidden: true},
		{Kind: telegramtest.KindBasicGroup, ID: 3, Title: "Old", MigratedTo: 11},
		{Kind: telegramtest.KindSupergroup, ID: 11, Title: "Super"},
		{Kind: telegramtest.KindSupergroup, ID: 12, Title: "Out", Forbidden: true},
		{Kind: telegramtest.KindSupergroup, ID: 13, Title: "Left", Left: true},
	}
	options.Chats = []telegramtest.Chat{
		{Kind: telegramtest.KindChannel, ID: 14, Title: "Public", About: "For all", Username: "Public", Collectibles: []string{"gold"}, Members: []int64{helper.ID}},
		{Kind: telegramtest.KindSupergroup, ID: 15, Title: "Of the bot", Admins: []int64{helper.ID}},
	}
	s := newServer(t, options)
	c, bot := start(t, s).logIn(ada), start(t, s).logIn(helper)
	group := func(id int64) (tg.ChatClass, error) {
		full, err := c.API().MessagesGetFullChat(t.Context(), id)
		if err != nil {
			return nil, err
		}
		return full.Chats[0], nil
	}
	for id, want := range map[int64]tg.ChatClass{1: &tg.Chat{}, 2: &tg.ChatForbidden{}, 3: &tg.Chat{}} {
		got, err := group(id)
		require.NoError(t, err)
		assert.IsType(t, want, got)
	}
	_, err := group(404)
	rpcError(t, err, 400, "CHAT_ID_INVALID")

	hashes := map[int64]int64{}
	for _, chat := range getDialogs(t, c, func(*tg.MessagesGetDialogsRequest) {}).GetChats() {
		if channel, ok := chat.(interface{ GetAccessHash() (int64, bool) }); ok {
			hashes[chat.GetID()], _ = channel.GetAccessHash()
		}
		if channel, ok := chat.(*tg.ChannelForbidden); ok {
			hashes[channel.ID] = channel.AccessHash
		}
	}
	channel := func(c *client, id, hash int64) (*tg.Channel, error) {
		full, err := c.API().ChannelsGetFullChannel(t.Context(), &tg.InputChannel{ChannelID: id, AccessHash: hash})
		if err != nil {
			return nil, err
		}
		return full.Chats[0].(*tg.Channel), nil
	}
	got, err := channel(c, 11, hashes[11])
	require.NoError(t, err)
	assert.Equal(t, "Super", got.Title)
	for _, refused := range []struct {
		by       *client
		id, hash int64
		code     int
		message  string
	}{
		{c, 11, hashes[11] + 1, 400, "CHANNEL_INVALID"},
		{c, 11, 0, 400, "CHANNEL_INVALID"},
		{c, 12, hashes[12], 406, "CHANNEL_PRIVATE"},
		{c, 13, hashes[13], 406, "CHANNEL_PRIVATE"},
		{c, 404, 0, 400, "CHANNEL_INVALID"},
		{bot, 11, 0, 400, "CHANNEL_INVALID"},
		{bot, 11, hashes[11], 400, "CHANNEL_INVALID"},
	} {
		_, err := channel(refused.by, refused.id, refused.hash)
		rpcError(t, err, refused.code, refused.message)
	}
	got, err = channel(bot, 15, 0)
	require.NoError(t, err)
	assert.False(t, got.Left)

	// A public channel is there for everybody.
	public := c.inputChannel("GOLD")
	assert.Equal(t, public, c.inputChannel("public"))
	full, err := c.API().ChannelsGetFullChannel(t.Context(), public)
	require.NoError(t, err)
	assert.Equal(t, "For all", full.FullChat.GetAbout())
	got = full.Chats[0].(*tg.Channel)
	assert.True(t, got.Left)
	assert.Equal(t, "", got.Username)
	require.Len(t, got.Usernames, 2)
	assert.Equal(t, []any{"Public", true, "gold", false}, []any{
		got.Usernames[0].Username, got.Usernames[0].Editable, got.Usernames[1].Username, got.Usernames[1].Editable,
	})
	_, err = c.API().ChannelsInviteToChannel(t.Context(), &tg.ChannelsInviteToChannelRequest{Channel: public})
	rpcError(t, err, 406, "CHANNEL_PRIVATE")
	_, err = c.API().ChannelsDeleteChannel(t.Context(), &tg.InputChannelEmpty{})
	rpcError(t, err, 400, "CHANNEL_INVALID")
}

func TestChatsThatMakeNoSense(t *testing.T) {
	s := newServer(t, withMore())
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindChannel, ID: 1, Username: "news", Members: []int64{ada.ID}}))
	for name, c := range map[string]telegramtest.Chat{
		"kind":            {Kind: telegramtest.KindUser, ID: 2},
		"no ID":           {Kind: telegramtest.KindChannel},
		"public group":    {Kind: telegramtest.KindBasicGroup, ID: 2, Username: "group"},
		"taken username":  {Kind: telegramtest.KindChannel, ID: 2, Username: "NEWS"},
		"user's username": {Kind: telegramtest.KindChannel, ID: 2, Collectibles: []string{"ada"}},
		"unknown member":  {Kind: telegramtest.KindChannel, ID: 2, Members: []int64{404}},
		"unknown owner":   {Kind: telegramtest.KindChannel, ID: 2, Owner: 404},
	} {
		require.Error(t, s.SetChat(c), name)
	}
	_, ok := s.Chat(telegramtest.KindChannel, 2)
	assert.False(t, ok, "nothing was added")
	require.Error(t, s.AddAccount(telegramtest.Account{ID: 3, Username: "news"}))
	require.Error(t, s.PutDialog(404, telegramtest.Dialog{Kind: telegramtest.KindChannel, ID: 1}))
	require.Error(t, s.PutDialog(ada.ID, telegramtest.Dialog{}))
	require.Error(t, s.SetPhoto(telegramtest.KindUser, 404, telegramtest.Photo{}))
	require.Error(t, s.SetPhoto(telegramtest.KindChannel, 404, telegramtest.Photo{}))
	_, err := telegramtest.Start(telegramtest.Config{Chats: []telegramtest.Chat{{}}})
	require.Error(t, err)

	// What is set again is replaced.
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 1, Members: []int64{grace.ID}}))
	seen, _ := s.Chat(telegramtest.KindChannel, 1)
	assert.Equal(t, telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 1, Members: []int64{grace.ID}}, seen)
	require.NoError(t, s.AddAccount(telegramtest.Account{ID: 3, Username: "news"}))
}

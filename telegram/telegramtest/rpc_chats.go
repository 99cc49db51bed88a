package telegramtest

import (
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func chatMethods() []method {
	return []method{
		on(loggedIn, (*caller).messagesGetChats),
		on(loggedIn, (*caller).messagesGetFullChat),
		on(loggedIn, (*caller).channelsGetFullChannel),
		on(usersOnly, (*caller).messagesCreateChat),
		on(loggedIn, (*caller).messagesEditChatAbout),
		on(usersOnly, (*caller).channelsCreateChannel),
		on(usersOnly, (*caller).messagesMigrateChat),
		on(usersOnly, (*caller).messagesDeleteChat),
		on(usersOnly, (*caller).channelsDeleteChannel),
	}
}

const (
	// firstNewChat is what the IDs of the groups and channels that clients make are
	// above.
	firstNewChat = 5_000_000_000
	// maxTitle and maxAbout are the lengths of a title, which is cut off there, and
	// of a description, in UTF-16 code units.
	maxTitle = 128
	maxAbout = 255
)

// chat describes a group or channel as the caller sees it.
func (c *caller) chat(of *chat) tg.ChatClass {
	d, ok := c.account.dialogs.find(of.peer())
	if !ok {
		d = Dialog{Kind: of.Kind, ID: of.ID, Left: true}
	}
	return c.seen(d)
}

// seen describes the group or channel of a dialog.
func (c *caller) seen(d Dialog) tg.ChatClass {
	of := c.server.world.chats[d.peer()]
	if d.Kind == KindBasicGroup {
		return c.basicGroup(d, of)
	}
	return c.channel(d, of)
}

func (c *caller) channel(d Dialog, of *chat) tg.ChatClass {
	broadcast := d.Kind == KindChannel
	hash := c.accessHash(channelPeer, d.ID)
	if d.Forbidden {
		return &tg.ChannelForbidden{Broadcast: broadcast, Megagroup: !broadcast, ID: d.ID, AccessHash: hash, Title: of.Title}
	}
	channel := &tg.Channel{
		Broadcast: broadcast, Megagroup: !broadcast, Left: d.Left, Creator: of.Owner == c.account.ID,
		ID: d.ID, Title: of.Title, Photo: of.Photo.chat(c.server.mediaDC), Date: of.date(),
	}
	channel.SetAccessHash(hash)
	if d.Members > 0 {
		channel.SetParticipantsCount(d.Members)
	}
	if of.admin(c.account.ID) {
		channel.SetAdminRights(allRights())
	}
	// Who has several usernames has all of them in a list of its own.
	if len(of.Collectibles) == 0 && of.Username != "" {
		channel.SetUsername(of.Username)
	} else if len(of.Collectibles) > 0 {
		channel.SetUsernames(of.listedUsernames())
	}
	if !broadcast {
		channel.SetDefaultBannedRights(tg.ChatBannedRights{InviteUsers: of.AdminsInvite})
	}
	return channel
}

// listedUsernames lists the usernames. The one that is no collectible can be edited.
func (c *chat) listedUsernames() (list []tg.Username) {
	if c.Username != "" {
		list = append(list, tg.Username{Editable: true, Active: true, Username: c.Username})
	}
	for _, name := range c.Collectibles {
		list = append(list, tg.Username{Active: true, Username: name})
	}
	return list
}

// allRights are the rights of an administrator.
func allRights() tg.ChatAdminRights {
	return tg.ChatAdminRights{
		ChangeInfo: true, PostMessages: true, EditMessages: true, DeleteMessages: true, BanUsers: true,
		InviteUsers: true, PinMessages: true, AddAdmins: true,
	}
}

func (c *caller) basicGroup(d Dialog, of *chat) tg.ChatClass {
	if d.Forbidden {
		return &tg.ChatForbidden{ID: d.ID, Title: of.Title}
	}
	group := &tg.Chat{
		ID: d.ID, Title: of.Title, Left: d.Left, Creator: of.Owner == c.account.ID, Photo: of.Photo.chat(c.server.mediaDC),
		ParticipantsCount: d.Members, Date: of.date(), Version: 1,
	}
	if d.MigratedTo != 0 {
		group.Deactivated = true
		group.SetMigratedTo(&tg.InputChannel{ChannelID: d.MigratedTo, AccessHash: c.accessHash(channelPeer, d.MigratedTo)})
	}
	return group
}

func errChatInvalid() *tgerr.Error    { return tgerr.New(400, "CHAT_ID_INVALID") }
func errChannelInvalid() *tgerr.Error { return tgerr.New(400, "CHANNEL_INVALID") }
func errChannelPrivate() *tgerr.Error { return tgerr.New(406, "CHANNEL_PRIVATE") }

// errAdminRequired has the code that is documented for the method.
func errAdminRequired(code int) *tgerr.Error { return tgerr.New(code, "CHAT_ADMIN_REQUIRED") }

// groupByID returns a basic group that the caller has among the dialogs.
func (c *caller) groupByID(id int64) (*chat, error) {
	p := peer{chatPeer, id}
	if _, ok := c.account.dialogs.find(p); !ok {
		return nil, errChatInvalid()
	}
	return c.server.world.chats[p], nil
}

// myGroup returns a basic group that the caller is in.
func (c *caller) myGroup(id int64) (*chat, error) {
	if !c.account.in(peer{chatPeer, id}) {
		return nil, errChatInvalid()
	}
	return c.groupByID(id)
}

// visibleChannel returns a channel that the caller may look at: one that it is in, or
// a public one. Bots need no access hash for channels that they have met.
func (c *caller) visibleChannel(id, hash int64) (*chat, error) {
	p := peer{channelPeer, id}
	d, met := c.account.dialogs.find(p)
	named := hash == c.accessHash(channelPeer, id) || c.account.Bot && met && hash == 0
	channel := c.server.world.chats[p]
	switch {
	case !named || channel == nil:
		return nil, errChannelInvalid()
	case d.Forbidden, !c.account.in(p) && len(channel.usernames()) == 0:
		return nil, errChannelPrivate()
	}
	return channel, nil
}

// inputChannel returns the channel that the caller names and may look at.
func (c *caller) inputChannel(input tg.InputChannelClass) (*chat, error) {
	named, ok := input.(*tg.InputChannel)
	if !ok {
		return nil, errChannelInvalid()
	}
	return c.visibleChannel(named.ChannelID, named.AccessHash)
}

// myChannel returns the channel that the caller names and is in.
func (c *caller) myChannel(input tg.InputChannelClass) (*chat, error) {
	channel, err := c.inputChannel(input)
	if err == nil && !c.account.in(channel.peer()) {
		return nil, errChannelPrivate()
	}
	return channel, err
}

// https://core.telegram.org/method/messages.getChats
func (c *caller) messagesGetChats(q *tg.MessagesGetChatsRequest) (bin.Encoder, error) {
	answer := &tg.MessagesChats{}
	for _, id := range q.ID {
		group, err := c.groupByID(id)
		if err != nil {
			return nil, err
		}
		answer.Chats = append(answer.Chats, c.chat(group))
	}
	return answer, nil
}

// https://core.telegram.org/method/messages.getFullChat
func (c *caller) messagesGetFullChat(q *tg.MessagesGetFullChatRequest) (bin.Encoder, error) {
	group, err := c.groupByID(q.ChatID)
	if err != nil {
		return nil, err
	}
	full := &tg.ChatFull{ID: group.ID, About: group.About, Participants: &tg.ChatParticipantsForbidden{ChatID: group.ID}}
	full.SetChatPhoto(group.Photo.full(c.server.mediaDC))
	answer := &tg.MessagesChatFull{FullChat: full, Chats: []tg.ChatClass{c.chat(group)}}
	if !c.account.in(group.peer()) {
		return answer, nil
	}
	participants := &tg.ChatParticipants{ChatID: group.ID, Version: 1}
	for _, id := range c.server.world.members(group.peer()) {
		participants.Participants = append(participants.Participants, group.participant(id))
		answer.Users = append(answer.Users, c.user(id))
	}
	full.Participants = participants
	return answer, nil
}

func (c *chat) participant(id int64) tg.ChatParticipantClass {
	switch {
	case id == c.Owner:
		return &tg.ChatParticipantCreator{UserID: id}
	case c.admin(id):
		return &tg.ChatParticipantAdmin{UserID: id, InviterID: c.Owner, Date: defaultDate}
	default:
		return &tg.ChatParticipant{UserID: id, InviterID: c.Owner, Date: defaultDate}
	}
}

// https://core.telegram.org/method/channels.getFullChannel
func (c *caller) channelsGetFullChannel(q *tg.ChannelsGetFullChannelRequest) (bin.Encoder, error) {
	channel, err := c.inputChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	full := &tg.ChannelFull{ID: channel.ID, About: channel.About, ChatPhoto: channel.Photo.full(c.server.mediaDC), Pts: 1}
	full.SetParticipantsCount(len(c.server.world.members(channel.peer())))
	if channel.MigratedFrom != 0 {
		full.SetMigratedFromChatID(channel.MigratedFrom)
		full.SetMigratedFromMaxID(firstMessage)
	}
	return &tg.MessagesChatFull{FullChat: full, Chats: []tg.ChatClass{c.chat(channel)}}, nil
}

// newChat makes a group or channel of the caller's.
func (c *caller) newChat(kind DialogKind, title, about string) (*chat, error) {
	title = strings.TrimSpace(title)
	switch {
	case title == "":
		return nil, tgerr.New(400, "CHAT_TITLE_EMPTY")
	case len(utf16.Encode([]rune(about))) > maxAbout:
		return nil, tgerr.New(400, "CHAT_ABOUT_TOO_LONG")
	}
	if units := utf16.Encode([]rune(title)); len(units) > maxTitle {
		title = string(utf16.Decode(units[:maxTitle]))
	}
	w := &c.server.world
	w.lastChat++
	made := &chat{Chat{Kind: kind, ID: w.lastChat, Title: title, About: about, Owner: c.account.ID, Created: c.server.now().Truncate(time.Second).UTC()}}
	w.chats[made.peer()] = made
	w.join(made, c.account)
	return made, nil
}

// updates tells the caller about a chat.
func (c *caller) updates(about *chat) *tg.Updates {
	return &tg.Updates{
		Users: []tg.UserClass{c.user(c.account.ID)}, Chats: []tg.ChatClass{c.chat(about)}, Date: int(c.server.now().Unix()),
	}
}

// https://core.telegram.org/method/messages.createChat
func (c *caller) messagesCreateChat(q *tg.MessagesCreateChatRequest) (bin.Encoder, error) {
	users, err := c.inputUsers(q.Users)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(users, func(a *account) bool { return a != c.account }) {
		return nil, tgerr.New(400, "USERS_TOO_FEW")
	}
	group, err := c.newChat(KindBasicGroup, q.Title, "")
	if err != nil {
		return nil, err
	}
	missing, err := c.admitAll(group, slices.DeleteFunc(users, func(a *account) bool { return a == c.account }))
	if err != nil {
		c.server.world.removeChat(group.peer(), nil)
		return nil, err
	}
	return &tg.MessagesInvitedUsers{Updates: c.updates(group), MissingInvitees: missing}, c.server.keep(group)
}

// https://core.telegram.org/method/messages.editChatAbout
func (c *caller) messagesEditChatAbout(q *tg.MessagesEditChatAboutRequest) (bin.Encoder, error) {
	var edited *chat
	var err error
	switch p := q.Peer.(type) {
	case *tg.InputPeerChat:
		edited, err = c.myGroup(p.ChatID)
	case *tg.InputPeerChannel:
		edited, err = c.myChannel(&tg.InputChannel{ChannelID: p.ChannelID, AccessHash: p.AccessHash})
	default:
		err = tgerr.New(400, "PEER_ID_INVALID")
	}
	switch {
	case err != nil:
		return nil, err
	case !edited.admin(c.account.ID):
		return nil, errAdminRequired(400)
	case len(utf16.Encode([]rune(q.About))) > maxAbout:
		return nil, tgerr.New(400, "CHAT_ABOUT_TOO_LONG")
	case q.About == edited.About:
		return nil, tgerr.New(400, "CHAT_ABOUT_NOT_MODIFIED")
	}
	edited.About = q.About
	return &tg.BoolTrue{}, c.server.keep(edited)
}

// https://core.telegram.org/method/channels.createChannel
func (c *caller) channelsCreateChannel(q *tg.ChannelsCreateChannelRequest) (bin.Encoder, error) {
	kind := KindChannel
	if q.Megagroup {
		kind = KindSupergroup
	}
	channel, err := c.newChat(kind, q.Title, q.About)
	if err != nil {
		return nil, err
	}
	return c.updates(channel), c.server.keep(channel)
}

// https://core.telegram.org/method/messages.deleteChat
func (c *caller) messagesDeleteChat(q *tg.MessagesDeleteChatRequest) (bin.Encoder, error) {
	group, err := c.myGroup(q.ChatID)
	if err != nil {
		return nil, err
	}
	return &tg.BoolTrue{}, c.deleteChat(group)
}

// https://core.telegram.org/method/channels.deleteChannel
func (c *caller) channelsDeleteChannel(q *tg.ChannelsDeleteChannelRequest) (bin.Encoder, error) {
	channel, err := c.myChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	return &tg.Updates{Date: int(c.server.now().Unix())}, c.deleteChat(channel)
}

// deleteChat deletes a chat that the caller owns.
func (c *caller) deleteChat(gone *chat) error {
	if gone.Owner != c.account.ID {
		return errAdminRequired(400)
	}
	c.server.world.removeChat(gone.peer(), nil)
	return c.server.keepDeleted(gone)
}

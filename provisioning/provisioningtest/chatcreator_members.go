package provisioningtest

import (
	"github.com/tgprovision/tgprovision/provisioning"
)

// invite adds people to a chat, of whom some are to be missing.
func invite(t T, c provisioning.ChatCreator, chatID provisioning.ChatID, people []provisioning.TelegramID, missing ...provisioning.TelegramID) {
	t.Helper()
	got, err := c.InviteToChat(t.Context(), chatID, people)
	if err != nil {
		t.Fatalf("InviteToChat(%d, %v): %v", chatID, people, err)
	}
	if !sameIDs(got, missing) {
		t.Errorf("InviteToChat(%d, %v) returned the missing %v, want %v", chatID, people, got, missing)
	}
}

func checkInviteToChat(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		chat.Members = chat.Members[:min(1, len(chat.Members))] // bob
		info := createChat(t, c, chat)
		invite(t, c, info.ID, []provisioning.TelegramID{far.ID, botAccount.ID})
		members := append([]provisioning.TelegramID{plainAccount.ID, far.ID, botAccount.ID}, chat.Members...)
		wantGroup(t, b, info, members...)
		invite(t, c, info.ID, nil)
		wantGroup(t, b, info, members...)
	}
}

func checkInviteMembers(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		info := createChat(t, c, chat)
		for range 2 {
			invite(t, c, info.ID, []provisioning.TelegramID{far.ID, plainAccount.ID, bob.ID, bob.ID})
			wantGroup(t, b, info, plainAccount.ID, bob.ID, far.ID)
		}
	}
}

func checkMissing(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		info := createChat(t, c, chat)
		invite(t, c, info.ID, []provisioning.TelegramID{nobodysID, bob.ID, shy.ID, far.ID, unknown.ID}, shy.ID, unknown.ID, nobodysID)
		wantGroup(t, b, info, plainAccount.ID, bob.ID, far.ID)
		invite(t, c, info.ID, []provisioning.TelegramID{unknown.ID}, unknown.ID)
	}
}

// elsewhere adds chats that the account is not in, and returns their IDs and some more.
func elsewhere(b CreatorBackend) (chatIDs []provisioning.ChatID) {
	for _, group := range groupsOf(bob.ID, far.ID) {
		b.AddGroup(group)
		chatIDs = append(chatIDs, group.ID)
	}
	return append(chatIDs, provisioning.BasicGroupChatID(404), provisioning.ChannelChatID(404), provisioning.UserChatID(bob.ID), 0)
}

func checkInviteElsewhere(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chatID := range elsewhere(b) {
		_, err := c.InviteToChat(t.Context(), chatID, []provisioning.TelegramID{botAccount.ID})
		wantError(t, "InviteToChat to a chat that the account is not in", err, provisioning.ErrNotInChat)
	}
	for _, group := range groupsOf() {
		wantGroup(t, b, group.ChatInfo, bob.ID, far.ID)
	}
}

func checkDelete(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chat := range newChats() {
		info, other := createChat(t, c, chat), createChat(t, c, chat)
		if err := c.DeleteChat(t.Context(), info.ID); err != nil {
			t.Errorf("DeleteChat(%d): %v", info.ID, err)
		}
		if group, ok := b.Group(info.ID); ok {
			t.Errorf("on Telegram there still is %+v after DeleteChat", group)
		}
		wantError(t, "DeleteChat of a chat that was deleted", c.DeleteChat(t.Context(), info.ID), provisioning.ErrNotInChat)
		if _, ok := b.Group(other.ID); !ok {
			t.Errorf("DeleteChat(%d) has deleted chat %d", info.ID, other.ID)
		}
	}
}

func checkDeleteElsewhere(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, chatID := range elsewhere(b) {
		wantError(t, "DeleteChat of a chat that the account is not in", c.DeleteChat(t.Context(), chatID), provisioning.ErrNotInChat)
	}
	for _, group := range groupsOf() {
		wantGroup(t, b, group.ChatInfo, bob.ID, far.ID)
	}
}

func checkDeleteAnothers(t T, b CreatorBackend) {
	c := logInCreator(t, b)
	for _, group := range groupsOf(bob.ID, plainAccount.ID) {
		b.AddGroup(group)
		if err := c.DeleteChat(t.Context(), group.ID); err == nil {
			t.Errorf("DeleteChat of a chat that somebody else owns: no error")
		}
		wantGroup(t, b, group.ChatInfo, bob.ID, plainAccount.ID)
	}
}

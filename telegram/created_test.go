package telegram_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// createdChats returns the IDs of the supergroups "New" that you have made within an hour.
func (b *bridge) createdChats(chat provisioning.NewChat) (found []provisioning.ChatID) {
	b.t.Helper()
	made, err := b.client(you).CreatedChats(b.t.Context(), chat, time.Now().Add(-time.Hour))
	require.NoError(b.t, err)
	for _, m := range made {
		found = append(found, m.ID)
	}
	return found
}

// A chat that was made a while ago has gone down in the list since: it is found below others
// that had messages later, and nothing is read beyond it.
func TestCreatedChatsAreFoundBelowOthers(t *testing.T) {
	b := newCreator(t)
	chat := provisioning.NewChat{Type: provisioning.ChatTypeSupergroup, Title: "New"}
	info, err := b.client(you).CreateChat(t.Context(), chat)
	require.NoError(t, err)
	_, id, _ := info.ID.Split()
	now := time.Now()
	var dialogs []telegramtest.Dialog
	for i := range int64(250) {
		dialogs = append(dialogs, telegramtest.Dialog{
			Kind: telegramtest.KindSupergroup, ID: 1000 + i, Title: fmt.Sprint("Talk ", i), Date: now.Add(-time.Duration(i) * time.Second),
		})
	}
	dialogs = append(dialogs, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: id, Date: now.Add(-20 * time.Minute)})
	for i := range int64(500) {
		dialogs = append(dialogs, telegramtest.Dialog{
			Kind: telegramtest.KindSupergroup, ID: 2000 + i, Title: "New", Date: now.Add(-time.Duration(2+i) * time.Hour),
		})
	}
	require.NoError(t, b.telegram.SetDialogs(ada.ID, dialogs))
	b.telegram.ResetCalls()
	assert.Equal(t, []provisioning.ChatID{info.ID}, b.createdChats(chat))
	assert.Equal(t, 3, b.telegram.Calls("messages.getDialogs"))
}

// A group that has become a supergroup is not what a request has left behind.
func TestCreatedChatsThatHaveMigrated(t *testing.T) {
	b := newCreator(t)
	chat := provisioning.NewChat{Type: provisioning.ChatTypeBasicGroup, Title: "New", Members: ids(grace.ID)}
	info, err := b.client(you).CreateChat(t.Context(), chat)
	require.NoError(t, err)
	require.Equal(t, []provisioning.ChatID{info.ID}, b.createdChats(chat))
	_, id, _ := info.ID.Split()
	_, err = b.telegram.MigrateChat(id)
	require.NoError(t, err)
	assert.Empty(t, b.createdChats(chat))
}

// Dates and ages are those of Telegram's clock, whatever this machine's says.
func TestCreatedChatsByTelegramsClock(t *testing.T) {
	b := newCreator(t)
	chat := provisioning.NewChat{Type: provisioning.ChatTypeChannel, Title: "New"}
	_, err := b.client(you).CreateChat(t.Context(), chat)
	require.NoError(t, err)
	b.telegram.SetClock(30 * time.Minute)
	b.telegram.DropConnections()
	began := time.Now()
	made, err := b.client(you).CreatedChats(t.Context(), chat, began.Add(-time.Hour))
	require.NoError(t, err)
	require.Len(t, made, 1)
	assert.GreaterOrEqual(t, made[0].Age, 30*time.Minute-time.Second)
	assert.False(t, made[0].Created.After(began))
}

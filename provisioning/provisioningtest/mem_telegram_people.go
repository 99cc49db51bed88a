package provisioningtest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/tgprovision/tgprovision/provisioning"
)

// knows says whether an account can name somebody by the ID: itself, and those in its
// contacts, its list of chats and its groups, and whom it has found before. The caller
// holds the lock.
func (t *Telegram) knows(account *TelegramAccount, telegramID provisioning.TelegramID) bool {
	isTheirs := func(c provisioning.Chat) bool { return c.ID == provisioning.UserChatID(telegramID) }
	if telegramID == account.ID || t.met[[2]provisioning.TelegramID{account.ID, telegramID}] ||
		slices.ContainsFunc(account.Contacts, func(c provisioning.Contact) bool { return c.ID == telegramID }) ||
		slices.ContainsFunc(account.Chats, isTheirs) || slices.ContainsFunc(account.Archived, isTheirs) {
		return true
	}
	for _, g := range t.groups {
		if slices.Contains(g.Members, account.ID) && slices.Contains(g.Members, telegramID) {
			return true
		}
	}
	return false
}

// ResolveUser implements provisioning.UserResolver. The account knows the IDs of those in
// its contacts, its chats and its groups, of whom it has found before, and its own.
func (c *client) ResolveUser(ctx context.Context, identifier provisioning.Identifier) (provisioning.Contact, error) {
	account, err := c.use(ctx, "ResolveUser")
	if err != nil {
		return provisioning.Contact{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.groups {
		if identifier.Username != "" && strings.EqualFold(g.Username, identifier.Username) {
			return provisioning.Contact{}, provisioning.ErrNotTelegramUser
		}
	}
	var people []provisioning.Contact
	for _, a := range t.accounts {
		name := strings.TrimSpace(a.FirstName + " " + a.LastName)
		people = append(people, provisioning.Contact{ID: a.ID, Name: name, Username: a.Username, Phone: a.Phone, IsBot: a.IsBot})
	}
	if identifier.ID != 0 {
		people = slices.Concat(account.Contacts, people)
	} else {
		people = slices.Concat(people, account.Contacts)
	}
	for _, who := range people {
		var found bool
		switch {
		case identifier.Username != "":
			found = strings.EqualFold(who.Username, identifier.Username)
		case identifier.Phone != "":
			found = who.Phone != "" && who.Phone == digits(identifier.Phone)
		default:
			found = who.ID == identifier.ID && t.knows(&account, who.ID)
		}
		if found {
			t.met[[2]provisioning.TelegramID{account.ID, who.ID}] = true
			return named(who), nil
		}
	}
	return provisioning.Contact{}, provisioning.ErrTelegramUserNotFound
}

// named returns a person with a name.
func named(c provisioning.Contact) provisioning.Contact {
	c.Name = cmp.Or(c.Name, c.Username, "Telegram user")
	return c
}

// SetPhoto replaces the photo of a user, group or channel. The zero value is none. Those
// whose photo was never set have what their PhotoID says, and all the same small image.
func (t *Telegram) SetPhoto(chatID provisioning.ChatID, photo provisioning.Photo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	photo.Data = slices.Clone(photo.Data)
	t.photos[chatID] = photo
	if g := t.groups[chatID]; g != nil {
		g.PhotoID = photo.ID
	}
	for _, a := range t.accounts {
		a.Contacts = slices.Clone(a.Contacts)
		for i := range a.Contacts {
			if provisioning.UserChatID(a.Contacts[i].ID) == chatID {
				a.Contacts[i].PhotoID = photo.ID
			}
		}
	}
}

// GetPhoto implements provisioning.PhotoGetter.
func (c *client) GetPhoto(ctx context.Context, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
	account, err := c.use(ctx, "GetPhoto")
	if err != nil {
		return provisioning.Photo{}, err
	}
	t := c.telegram
	t.mu.Lock()
	defer t.mu.Unlock()
	photo := t.photo(&account, chatID)
	if photo.ID == 0 || photo.ID != photoID {
		return provisioning.Photo{}, provisioning.ErrPhotoGone
	}
	photo.Data = slices.Clone(photo.Data)
	return photo, nil
}

// photo returns the photo of a chat as an account sees it, the zero value where it sees
// none. The caller holds the lock.
func (t *Telegram) photo(account *TelegramAccount, chatID provisioning.ChatID) provisioning.Photo {
	photo := provisioning.Photo{Data: []byte("\xff\xd8\xff\xe0 a photo"), Type: "image/jpeg"}
	kind, _, _ := chatID.Split()
	if kind == provisioning.PeerUser {
		telegramID := provisioning.TelegramID(chatID)
		if !t.knows(account, telegramID) {
			return provisioning.Photo{}
		}
		if i := slices.IndexFunc(account.Contacts, func(c provisioning.Contact) bool { return c.ID == telegramID }); i >= 0 {
			photo.ID = account.Contacts[i].PhotoID
		}
	} else {
		g, err := t.groupOf(chatID, account.ID)
		if err != nil {
			return provisioning.Photo{}
		}
		photo.ID = g.PhotoID
	}
	if set, ok := t.photos[chatID]; ok {
		return set
	}
	return photo
}

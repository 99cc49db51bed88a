package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

func TestUserResolverMutants(t *testing.T) {
	testTelegramSuite(t, userResolverChecks, resolverMutants, notLoggedInMutants, errorMutants, losingMutants)
}

func TestPhotoGetterMutants(t *testing.T) {
	testTelegramSuite(t, photoGetterChecks, photoMutants, notLoggedInMutants, errorMutants, losingMutants)
}

// withResolve replaces ResolveUser.
func withResolve(resolve func(ctx context.Context, c *brokenClient, identifier provisioning.Identifier) (provisioning.Contact, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.resolveUser = func(ctx context.Context, identifier provisioning.Identifier) (provisioning.Contact, error) {
			return resolve(ctx, c, identifier)
		}
	}
}

// notFound has ResolveUser find some not.
func notFound(which func(c *brokenClient, identifier provisioning.Identifier) bool) func(*brokenClient) {
	return withResolve(func(ctx context.Context, c *brokenClient, identifier provisioning.Identifier) (provisioning.Contact, error) {
		found, err := c.client.ResolveUser(ctx, identifier)
		if err == nil && which(c, identifier) {
			return provisioning.Contact{}, provisioning.ErrTelegramUserNotFound
		}
		return found, err
	})
}

// isContact says whether an account has somebody as a contact.
func isContact(a *TelegramAccount, telegramID provisioning.TelegramID) bool {
	return slices.ContainsFunc(a.Contacts, func(c provisioning.Contact) bool { return c.ID == telegramID })
}

var resolverMutants = []telegramMutant{
	{name: "names in one case", check: "by username", change: notFound(func(_ *brokenClient, i provisioning.Identifier) bool {
		return i.Username != strings.ToLower(i.Username)
	})},
	{name: "no bots", check: "by username", change: noBots},
	{name: "first names", check: "by username", change: firstNameOnly},
	{name: "no usernames", check: "by username", change: noUsername},
	{name: "contacts only", check: "by username", change: notFound(func(c *brokenClient, i provisioning.Identifier) bool {
		return !slices.ContainsFunc(c.session().account.Contacts, func(c provisioning.Contact) bool { return c.Username == i.Username })
	})},
	{name: "no phone number of a contact", check: "by phone number", change: noPhone},
	{name: "one spelling", check: "by phone number", change: notFound(func(_ *brokenClient, i provisioning.Identifier) bool {
		return strings.Trim(i.Phone, "+0123456789") != ""
	})},
	{name: "phone numbers of contacts only", check: "by phone number", change: notFound(func(_ *brokenClient, i provisioning.Identifier) bool {
		return i.Phone == "+"+guardedAccount.Phone
	})},
	{name: "users of 32 bits", check: "contact by ID", change: narrowContact},
	{name: "nobody by ID", check: "contact by ID", change: notFound(func(_ *brokenClient, i provisioning.Identifier) bool { return i.ID != 0 })},
	{name: "by ID, contacts only", check: "partner by ID", change: notFound(func(c *brokenClient, i provisioning.Identifier) bool {
		return i.ID != 0 && !isContact(c.session().account, i.ID)
	})},
	{name: "who was found is forgotten", check: "by ID again", change: withResolve(func(ctx context.Context, c *brokenClient, identifier provisioning.Identifier) (provisioning.Contact, error) {
		found, err := c.client.ResolveUser(ctx, identifier)
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		clear(c.telegram.met)
		return found, err
	})},
	{name: "who was found in memory", check: "by ID again", whole: func(b *brokenTelegram) {
		b.restart = func(map[id.UserID]*session) { clear(b.met) }
	}},
	{name: "oneself is a stranger", check: "itself by ID", change: notFound(func(c *brokenClient, i provisioning.Identifier) bool {
		return i.ID == c.session().account.ID
	})},
	{name: "nobody is a refusal", check: "nobody", change: insteadOf(provisioning.ErrTelegramUserNotFound, &provisioning.TelegramError{Code: 400, Type: "USERNAME_NOT_OCCUPIED"})},
	{name: "what is no number is invalid", check: "nobody", change: withResolve(func(ctx context.Context, c *brokenClient, identifier provisioning.Identifier) (provisioning.Contact, error) {
		if identifier.Phone != "" && digits(identifier.Phone) == "" {
			return provisioning.Contact{}, provisioning.ErrPhoneNumberInvalid
		}
		return c.client.ResolveUser(ctx, identifier)
	})},
	{name: "everybody is known", check: "nobody", change: withResolve(func(ctx context.Context, c *brokenClient, identifier provisioning.Identifier) (provisioning.Contact, error) {
		found, err := c.client.ResolveUser(ctx, identifier)
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		if a := c.telegram.account(identifier.ID); a != nil && errors.Is(err, provisioning.ErrTelegramUserNotFound) {
			return contactFor(*a), nil
		}
		return found, err
	})},
	{name: "nobody is nobody, without an error", check: "nobody", change: insteadOf(provisioning.ErrTelegramUserNotFound, nil)},
	{name: "a group is nobody", check: "name of a group", change: insteadOf(provisioning.ErrNotTelegramUser, provisioning.ErrTelegramUserNotFound)},
	{name: "no name", check: "nameless user", change: noName},
}

// withGetPhoto replaces GetPhoto.
func withGetPhoto(get func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error)) func(*brokenClient) {
	return func(c *brokenClient) {
		c.getPhoto = func(ctx context.Context, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
			return get(ctx, c, chatID, photoID)
		}
	}
}

// withPhotos changes what GetPhoto returns.
func withPhotos(change func(photo *provisioning.Photo)) func(*brokenClient) {
	return withGetPhoto(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
		photo, err := c.client.GetPhoto(ctx, chatID, photoID)
		change(&photo)
		return photo, err
	})
}

// withoutPhotos has GetPhoto find no photos of some chats.
func withoutPhotos(which func(c *brokenClient, chatID provisioning.ChatID) bool) func(*brokenClient) {
	return withGetPhoto(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
		photo, err := c.client.GetPhoto(ctx, chatID, photoID)
		if err == nil && which(c, chatID) {
			return provisioning.Photo{}, provisioning.ErrPhotoGone
		}
		return photo, err
	})
}

func isKind(kind provisioning.PeerType) func(*brokenClient, provisioning.ChatID) bool {
	return func(_ *brokenClient, chatID provisioning.ChatID) bool {
		k, _, _ := chatID.Split()
		return k == kind
	}
}

var photoMutants = []telegramMutant{
	{name: "no type", check: "photos of chats", change: withPhotos(func(p *provisioning.Photo) { p.Type = "" })},
	{name: "no ID", check: "photos of chats", change: withPhotos(func(p *provisioning.Photo) { p.ID = 0 })},
	{name: "no file", check: "photos of chats", change: withPhotos(func(p *provisioning.Photo) { p.Data = nil })},
	{name: "no channels", check: "photos of chats", change: withoutPhotos(isKind(provisioning.PeerChannel))},
	{name: "no basic groups", check: "photos of chats", change: withoutPhotos(isKind(provisioning.PeerChat))},
	{name: "no people", check: "photos of people", change: withoutPhotos(isKind(provisioning.PeerUser))},
	{name: "not oneself", check: "photos of people", change: withoutPhotos(func(c *brokenClient, chatID provisioning.ChatID) bool {
		return chatID == provisioning.UserChatID(c.session().account.ID)
	})},
	{name: "the first part", check: "large photo", change: withPhotos(func(p *provisioning.Photo) { p.Data = p.Data[:min(len(p.Data), 1<<19)] })},
	{name: "whole parts", check: "large photo", change: withPhotos(func(p *provisioning.Photo) {
		if whole := len(p.Data) >> 19 << 19; whole > 0 {
			p.Data = p.Data[:whole]
		}
	})},
	{name: "the current photo", check: "another photo", change: withGetPhoto(func(_ context.Context, c *brokenClient, chatID provisioning.ChatID, _ int64) (provisioning.Photo, error) {
		c.telegram.mu.Lock()
		defer c.telegram.mu.Unlock()
		return c.telegram.photos[chatID], nil
	})},
	{name: "photos are remembered", check: "another photo", whole: func(b *brokenTelegram) {
		photos := map[int64]provisioning.Photo{}
		b.change = withGetPhoto(func(ctx context.Context, c *brokenClient, chatID provisioning.ChatID, photoID int64) (provisioning.Photo, error) {
			if photo, ok := photos[photoID]; ok {
				return photo, nil
			}
			photo, err := c.client.GetPhoto(ctx, chatID, photoID)
			if err == nil {
				photos[photoID] = photo
			}
			return photo, err
		})
	}},
	{name: "another photo is a refusal", check: "another photo", change: insteadOf(provisioning.ErrPhotoGone, &provisioning.TelegramError{Code: 400, Type: "LOCATION_INVALID"})},
	{name: "no photo is an empty one", check: "no photo", change: insteadOf(provisioning.ErrPhotoGone, nil)},
	{name: "no photo is no chat", check: "no photo", change: insteadOf(provisioning.ErrPhotoGone, provisioning.ErrNotInChat)},
}

package calls

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"

	"github.com/tgprovision/tgprovision/provisioning"
	"github.com/tgprovision/tgprovision/telegram/rpcerror"
)

// Telegram knows a user or channel only by the ID together with an access hash, which
// is another one for each account. The session stores those that an account has met. Bots
// need none.
//
// https://core.telegram.org/api/peers#access-hash

// withHash runs a function with the access hash of a user or channel. When Telegram
// does not take the one that is stored, it is looked for and the function is run once
// more. Errors: that the account does not know the user or channel.
func (a *account) withHash(ctx context.Context, kind provisioning.PeerType, id int64, use func(hash int64) error) error {
	known, err := a.storedHashes(ctx, kind, []int64{id})
	if err != nil {
		return err
	}
	if hash, ok := known[id]; ok {
		if err := use(hash); !tgerr.Is(err, wrongHash...) {
			return err
		}
		if err := a.session.DeleteHashes(ctx, kind, []int64{id}); err != nil {
			return err
		}
	}
	found, err := a.searchHashes(ctx, kind, []int64{id})
	if err != nil {
		return err
	}
	hash, ok := found[id]
	switch {
	case ok:
		return use(hash)
	case kind == provisioning.PeerUser:
		return provisioning.ErrTelegramUserNotFound
	default:
		return provisioning.ErrNotInChat
	}
}

// storedHashes returns the access hashes that are stored, by ID. For a bot, which needs
// none, that is 0 for each.
func (a *account) storedHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	self, err := a.session.Self(ctx)
	if err != nil {
		return nil, err
	}
	if self.Bot {
		known := map[int64]int64{}
		for _, id := range ids {
			known[id] = 0
		}
		return known, nil
	}
	return a.session.Hashes(ctx, kind, ids)
}

// searchHashes looks for access hashes where Telegram lists users and channels that the
// account knows, until it has all: in the contacts and the dialogs, the archived ones
// too, but not in those that are kept. It stores every hash that it sees. A bot has neither contacts nor dialogs.
func (a *account) searchHashes(ctx context.Context, kind provisioning.PeerType, ids []int64) (map[int64]int64, error) {
	wanted := &wantedHashes{kind: kind, ids: ids, found: map[int64]int64{}}
	self, err := a.session.Self(ctx)
	if err != nil || self.Bot || wanted.complete() {
		return nil, err
	}
	if kind == provisioning.PeerUser {
		if err := a.searchContacts(ctx, wanted); err != nil {
			return nil, err
		}
	}
	for _, folder := range []int{mainFolder, archiveFolder} {
		if wanted.complete() {
			break
		}
		if err := a.searchDialogs(ctx, folder, wanted); err != nil {
			return nil, err
		}
	}
	return wanted.found, nil
}

// wantedHashes are the access hashes that a search is for.
type wantedHashes struct {
	kind  provisioning.PeerType
	ids   []int64
	found map[int64]int64
}

func (w *wantedHashes) complete() bool { return len(w.found) == len(w.ids) }

// takeWanted stores the access hashes in an answer of Telegram's, and adds those that are
// wanted to what was found.
func (a *account) takeWanted(ctx context.Context, wanted *wantedHashes, users []tg.UserClass, chats []tg.ChatClass) error {
	peers := appendPeers(nil, users, chats)
	for _, p := range peers {
		if p.Kind == wanted.kind && slices.Contains(wanted.ids, p.ID) {
			wanted.found[p.ID] = p.AccessHash
		}
	}
	return a.session.PutHashes(ctx, peers)
}

// storeHashes stores the access hashes in an answer of Telegram's.
func (a *account) storeHashes(ctx context.Context, users []tg.UserClass, chats []tg.ChatClass) error {
	return a.session.PutHashes(ctx, appendPeers(nil, users, chats))
}

// appendPeers appends the access hashes in an answer of Telegram's. Those of "min" users
// and channels name them only together with the message that they were met in.
//
// https://core.telegram.org/api/min
func appendPeers(peers []Peer, users []tg.UserClass, chats []tg.ChatClass) []Peer {
	for _, user := range users {
		if u, ok := user.(*tg.User); ok && !u.Min {
			if hash, ok := u.GetAccessHash(); ok {
				peers = append(peers, Peer{provisioning.PeerUser, u.ID, hash})
			}
		}
	}
	for _, chat := range chats {
		switch c := chat.(type) {
		case *tg.Channel:
			if hash, ok := c.GetAccessHash(); ok && !c.Min {
				peers = append(peers, Peer{provisioning.PeerChannel, c.ID, hash})
			}
		case *tg.ChannelForbidden:
			peers = append(peers, Peer{provisioning.PeerChannel, c.ID, c.AccessHash})
		}
	}
	return peers
}

// users returns the users of the given IDs as they stand in requests, and the IDs of
// those whom the account does not know. It knows everybody whom LocalUsernames has a
// username of.
func (a *account) users(ctx context.Context, ids []int64) (users []*tg.InputUser, unknown []int64, err error) {
	hashes, err := a.userHashes(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		if hash, ok := hashes[id]; ok {
			users = append(users, &tg.InputUser{UserID: id, AccessHash: hash})
		} else {
			unknown = append(unknown, id)
		}
	}
	return users, unknown, nil
}

// userHashes returns the access hashes of users, by ID, without those whom the account does
// not know. Where Telegram has the account wait before it asks for another username, the rest
// may be found in its lists.
func (a *account) userHashes(ctx context.Context, ids []int64) (map[int64]int64, error) {
	known := map[int64]int64{}
	stored, err := a.storedHashes(ctx, provisioning.PeerUser, ids)
	if err != nil {
		return nil, err
	}
	maps.Copy(known, stored)
	refused := a.addByUsername(ctx, ids, known)
	if _, wait := tgerr.AsFloodWait(refused); refused != nil && !wait {
		return nil, refused
	}
	found, err := a.searchHashes(ctx, provisioning.PeerUser, without(ids, known))
	if err != nil {
		return nil, err
	}
	maps.Copy(known, found)
	if refused != nil && len(without(ids, known)) > 0 {
		return nil, refused
	}
	return known, nil
}

// without returns the IDs whose access hashes are not known.
func without(ids []int64, known map[int64]int64) []int64 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int64) bool {
		_, ok := known[id]
		return ok
	})
}

// addByUsername adds the access hashes of those who are logged in here to those that are
// known.
func (a *account) addByUsername(ctx context.Context, ids []int64, known map[int64]int64) error {
	for _, id := range without(ids, known) {
		hash, ok, err := a.hashByUsername(ctx, id)
		if err != nil {
			return err
		}
		if ok {
			known[id] = hash
		}
	}
	return nil
}

// hashByUsername finds the access hash of somebody who is logged in here.
func (a *account) hashByUsername(ctx context.Context, id int64) (hash int64, ok bool, err error) {
	local, ok := a.session.(LocalUsernames)
	if !ok {
		return 0, false, nil
	}
	username, err := local.LocalUsername(ctx, provisioning.TelegramID(id))
	if err != nil || username == "" {
		return 0, false, err
	}
	user, err := a.resolveUsername(ctx, username)
	if isUnknownUser(ctx, err) || err == nil && user.ID != id {
		return 0, false, nil // the username has gone to somebody else meanwhile
	}
	if err != nil {
		return 0, false, err
	}
	hash, ok = user.GetAccessHash()
	return hash, ok, nil
}

// inputUsers makes a TL vector of users.
func inputUsers(users []*tg.InputUser) []tg.InputUserClass {
	list := make([]tg.InputUserClass, 0, len(users))
	for _, user := range users {
		list = append(list, user)
	}
	return list
}

// chatsIn returns the chats that Telegram's answer to a change describes.
func chatsIn(updates tg.UpdatesClass) ([]tg.ChatClass, error) {
	described, ok := updates.(interface{ GetChats() []tg.ChatClass })
	if !ok {
		return nil, fmt.Errorf("find the chat in the answer: %w", rpcerror.Unexpected(updates))
	}
	return described.GetChats(), nil
}

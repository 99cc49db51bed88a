package calls

import (
	"context"
	"time"
)

// List is one of the lists in which Telegram names those whom an account knows.
type List int

// The lists.
const (
	// ContactList is the list of contacts.
	ContactList List = iota + 1
	// DialogList is the list of the chats that are not archived.
	DialogList
	// ArchiveList is the list of those that are.
	ArchiveList
)

// ListKeeper is implemented by a [Session] that keeps the access hashes of whole lists: who is
// picked from a list then need not be searched for, nor who is in none. Bots have no lists.
type ListKeeper interface {
	// KeepList is given the users and channels of a list that was read to its end, and when
	// it was asked for; those aside that PutHashes was given. It returns at once: they are
	// stored later, and Hashes waits for that.
	KeepList(list List, peers []Peer, asked time.Time)
	// IsKept says whether all of a list was stored, as it was a short time ago: nobody is
	// searched for in it then. DeleteHashes ends that.
	IsKept(list List) bool
}

// keepList has a list kept where the session does that.
func (a *account) keepList(list List, peers []Peer, asked time.Time) {
	if keeper, keeps := a.session.(ListKeeper); keeps {
		keeper.KeepList(list, peers, asked)
	}
}

func (a *account) isKept(list List) bool {
	keeper, keeps := a.session.(ListKeeper)
	return keeps && keeper.IsKept(list)
}

// searchContacts looks for access hashes in the contacts.
func (a *account) searchContacts(ctx context.Context, wanted *wantedHashes) error {
	if a.isKept(ContactList) {
		return nil
	}
	asked := time.Now()
	list, err := a.contacts(ctx)
	if err != nil {
		return err
	}
	if err := a.takeWanted(ctx, wanted, list.Users, nil); err != nil {
		return err
	}
	a.keepList(ContactList, nil, asked)
	return nil
}

// searchDialogs looks for access hashes in the dialogs of a folder. Of a list that is kept, it
// reads the front: there is the chat that the account has just come into, which is not
// archived.
func (a *account) searchDialogs(ctx context.Context, folder int, wanted *wantedHashes) error {
	list := DialogList
	if folder == archiveFolder {
		list = ArchiveList
	}
	kept := a.isKept(list)
	if kept && list == ArchiveList {
		return nil
	}
	asked, more := time.Now(), true
	err := dialogPages(ctx, a.api, folder, func(page *dialogs) (bool, error) {
		err := a.takeWanted(ctx, wanted, page.GetUsers(), page.GetChats())
		more = !kept && !wanted.complete()
		return more, err
	})
	if err == nil && more {
		a.keepList(list, nil, asked)
	}
	return err
}

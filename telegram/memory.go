package telegram

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tgprovision/tgprovision/provisioning"
)

// What Telegram has said is remembered for a while, in memory, for the client that it was
// said to: it is forgotten with a logout, or another login. Whoever asks for the same
// thing at the same time waits for the same answer.

// rememberedAccount is what was last heard of a client's account.
type rememberedAccount struct {
	provisioning.Account
	at time.Time
}

// rememberAccount remembers the account, as it was at a time.
func (c *conn) rememberAccount(account provisioning.Account, at time.Time) {
	c.account.Store(&rememberedAccount{account, at})
}

// forgetAccount has the account asked for again.
func (c *conn) forgetAccount() { c.account.Store(nil) }

// recentAccount returns the account, if it is remembered and not too old.
func (c *conn) recentAccount(age time.Duration) (provisioning.Account, bool) {
	remembered := c.account.Load()
	if remembered == nil || time.Since(remembered.at) >= age {
		return provisioning.Account{}, false
	}
	return remembered.Account, true
}

// recentAccount returns the account of a session, or provisioning.ErrNotLoggedIn, if
// either is remembered.
func (f *Factory) recentAccount(key sessionKey) (account provisioning.Account, ok bool, err error) {
	if c := f.liveConn(key); c != nil {
		if account, ok = c.recentAccount(f.cfg.AccountAge); ok {
			return account, true, nil
		}
	}
	if f.loggedOut.has(key) {
		return account, true, provisioning.ErrNotLoggedIn
	}
	return account, false, nil
}

// loggedOutMemory remembers who was not logged in a moment ago, up to a number of users.
type loggedOutMemory struct {
	age time.Duration

	mu     sync.Mutex
	logins int // how many there were
	// When each was looked for: lately, and before that.
	fresh, old map[sessionKey]time.Time
}

// maxLoggedOut is how many users are remembered in each half.
const maxLoggedOut = 10_000

func (a *loggedOutMemory) has(key sessionKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.fresh[key]
	if !ok {
		at, ok = a.old[key]
	}
	return ok && time.Since(at) < a.age
}

// loginsSoFar is for put: what was read before a login says nothing after it.
func (a *loggedOutMemory) loginsSoFar() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logins
}

// put remembers that somebody was not logged in at a time, unless somebody has logged in
// since the logins were counted.
func (a *loggedOutMemory) put(key sessionKey, at time.Time, logins int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.logins != logins || a.age <= 0 {
		return
	}
	if len(a.fresh) >= maxLoggedOut || a.fresh == nil {
		a.old, a.fresh = a.fresh, map[sessionKey]time.Time{}
	}
	a.fresh[key] = at
}

// loggedIn forgets that somebody was not logged in, who has just logged in.
func (a *loggedOutMemory) loggedIn(key sessionKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logins++
	delete(a.fresh, key)
	delete(a.old, key)
}

// listKind is what a list is of.
type listKind string

const (
	listOfChats    listKind = "chats"
	listOfContacts listKind = "contacts"
	listOfStickers listKind = "stickers"
)

const (
	// maxListEntries is how many entries of lists are remembered at most, of all lists
	// together: some 30 MB.
	maxListEntries = 250_000
	// listWeight is what a list counts for besides its entries.
	listWeight = 10
)

// listMemory remembers lists of many clients until they are too old. When there are too
// many, the oldest go.
type listMemory struct {
	age time.Duration
	max int // in entries

	mu      sync.Mutex
	lists   map[listKey]*list.Element
	order   list.List // of *rememberedList, the oldest first
	entries int
}

type listKey struct {
	conn *conn
	kind listKind
}

type rememberedList struct {
	key     listKey
	entries any // a slice, which nobody changes
	weight  int
	at      time.Time // when it was asked for
}

func newListMemory(age time.Duration) *listMemory {
	return &listMemory{age: age, max: maxListEntries, lists: map[listKey]*list.Element{}}
}

// get returns a list that is not too old, or nil.
func (m *listMemory) get(key listKey) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if element := m.lists[key]; element != nil {
		if l := element.Value.(*rememberedList); time.Since(l.at) < m.age {
			return l.entries
		}
	}
	return nil
}

// put remembers a list of n entries.
func (m *listMemory) put(key listKey, entries any, n int, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(m.lists[key])
	l := &rememberedList{key, entries, n + listWeight, at}
	if l.weight > m.max || m.age <= 0 {
		return
	}
	for m.entries+l.weight > m.max {
		m.remove(m.order.Front())
	}
	m.entries += l.weight
	m.lists[key] = m.order.PushBack(l)
}

// remove needs the mutex. The element may be nil.
func (m *listMemory) remove(element *list.Element) {
	if element == nil {
		return
	}
	l := m.order.Remove(element).(*rememberedList)
	m.entries -= l.weight
	delete(m.lists, l.key)
}

// forget forgets a list.
func (m *listMemory) forget(key listKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(m.lists[key])
}

// expire forgets what is too old, and what belongs to clients that have stopped.
func (m *listMemory) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for element := m.order.Front(); element != nil; {
		next := element.Next()
		if l := element.Value.(*rememberedList); time.Since(l.at) >= m.age || l.key.conn.stopped() {
			m.remove(element)
		}
		element = next
	}
}

// chatsChanged says that the list of chats has been changed by a call of this process's:
// the next one who asks for it gets a new list, also if one is being fetched just now.
func (a *active) chatsChanged() {
	a.chatChanges.Add(1)
	a.f.lists.forget(listKey{a.conn, listOfChats})
}

// getList returns a list of the client's account, which fetch gets from Telegram unless it
// is remembered. Nobody may change the slice.
func getList[T any](ctx context.Context, cl *Client, kind listKind, fetch func(context.Context, *active) ([]T, error)) ([]T, error) {
	var changes int64
	if c := cl.f.liveConn(cl.key); c != nil {
		if remembered, ok := cl.f.lists.get(listKey{c, kind}).([]T); ok {
			return remembered, nil
		}
		changes = c.chatChanges.Load()
	}
	return share(ctx, ctx, cl.f, fmt.Sprint(kind, changes, " ", cl.key), func(ctx context.Context) (entries []T, err error) {
		ctx = cl.f.withFloodBudget(ctx)
		err = cl.call(ctx, func(a *active) (err error) {
			at, changes := time.Now(), a.chatChanges.Load()
			if entries, err = fetch(ctx, a); err == nil && a.chatChanges.Load() == changes {
				cl.f.lists.put(listKey{a.conn, kind}, entries, len(entries), at)
			}
			return err
		})
		return entries, err
	})
}

// share runs a function for all who call it with the same name at the same time, each for as
// long as their patience lasts. It goes on when the first of them gives up, up to the
// deadline of that caller's ctx, or until Close.
func share[T any](patience, ctx context.Context, f *Factory, name string, run func(context.Context) (T, error)) (none T, err error) {
	for {
		answers := f.shared.DoChan(name, func() (any, error) { return detached(ctx, f, run) })
		select {
		case answer := <-answers:
			if errors.Is(answer.Err, context.DeadlineExceeded) && !over(patience) {
				continue // it was the deadline of whoever asked first
			}
			if answer.Err != nil {
				return none, answer.Err
			}
			return answer.Val.(T), nil
		case <-patience.Done():
			return none, fmt.Errorf("wait for Telegram: %w", patience.Err())
		}
	}
}

// over says whether a context has ended, or reaches its deadline in this moment: another
// context with the same deadline may have ended a little earlier.
func over(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(deadline)
}

// detached runs a function with a context that has the values and the deadline of another
// one, and ends at Close, which waits for the function.
func detached[T any](ctx context.Context, f *Factory, run func(context.Context) (T, error)) (answer T, err error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return answer, errClosed
	}
	f.work.Add(1)
	f.mu.Unlock()
	defer f.work.Done()
	defer func() {
		if v := recover(); v != nil { // which would end the process
			err = panicked(v)
		}
	}()
	deadline, limited := ctx.Deadline()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	if limited {
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return run(ctx)
}

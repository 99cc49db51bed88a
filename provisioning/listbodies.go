package provisioning

import (
	"maps"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

const (
	// longBody is how many bytes of JSON are worth keeping.
	longBody = 16 << 10
	// maxBodies is how many bytes are kept at most, in all. What they were made of takes about
	// as much.
	maxBodies = 32 << 20
	// bodyAge is for how long a body is kept.
	bodyAge = time.Minute
)

// listBodies keeps the JSON of long lists for a while, with what it was made of. A list of ten
// thousand, which a client has in memory, takes longer to encode than all else of its answer.
type listBodies struct {
	mu     sync.Mutex
	bodies map[listKey]*listBody
	bytes  int
}

// listKey names a list: that of an operation, for a user.
type listKey struct {
	operation string
	userID    id.UserID
}

// listBody is the JSON of a list.
type listBody struct {
	of   any // a madeOf
	json encodedJSON
}

// madeOf is what the JSON of a list is made of: its entries, and what is known of some of them.
type madeOf[E, K, V comparable] struct {
	entries []E
	known   map[K]V
}

// equal says whether two lists have the same JSON.
func (m madeOf[E, K, V]) equal(other madeOf[E, K, V]) bool {
	return slices.Equal(m.entries, other.entries) && maps.Equal(m.known, other.known)
}

// clone returns a copy, which does not change when the host changes a list that it has returned.
func (m madeOf[E, K, V]) clone() madeOf[E, K, V] {
	return madeOf[E, K, V]{slices.Clone(m.entries), maps.Clone(m.known)}
}

// bodyOf returns the JSON of an operation's list: that which is kept, if it was made of the same,
// else that of what build returns.
func bodyOf[E, K, V comparable](l *listBodies, op *operation, of madeOf[E, K, V], build func() any) encodedJSON {
	key := listKey{op.rt.operation, op.userID}
	l.mu.Lock()
	kept := l.bodies[key]
	l.mu.Unlock()
	if kept != nil && kept.of.(madeOf[E, K, V]).equal(of) {
		return kept.json
	}
	encoded := encode(build())
	if len(encoded) >= longBody {
		l.keep(key, &listBody{of.clone(), encoded})
	}
	return encoded
}

// keep keeps a body in place of another one, unless there are too many.
func (l *listBodies) keep(key listKey, body *listBody) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(key, l.bodies[key])
	if l.bytes+len(body.json) > maxBodies {
		return
	}
	if l.bodies == nil {
		l.bodies = map[listKey]*listBody{}
	}
	l.bodies[key] = body
	l.bytes += len(body.json)
	time.AfterFunc(bodyAge, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(key, body)
	})
}

// drop drops a body, if it is kept. It needs the mutex.
func (l *listBodies) drop(key listKey, body *listBody) {
	if body != nil && l.bodies[key] == body {
		delete(l.bodies, key)
		l.bytes -= len(body.json)
	}
}

package memorystore

import (
	"container/heap"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// overhead is what a session takes beside its id and data: the entry, its slots
// in the map and in the queue, its order, and what allocation rounds up.
const overhead = 160

// An entry is a session, or a list of a user's sessions. It is in the map and the queue of its
// shard, or in neither of them. A million take 64 bytes each, and more with every field.
type entry struct {
	id      string
	data    []byte // replaced, never overwritten: Load hands it out
	expires int64  // by Store.now
	place   int    // in queue

	// ties are, of a list, what it has to do with its sessions, nil where core does not
	// say; of a session those of the list that names it, if any.
	ties *ties
}

// size returns how many bytes an entry counts for.
func (e *entry) size() int64 { return size(e.id, e.data) }

// size returns how many bytes an entry with that id and those data counts for.
func size(id string, data []byte) int64 {
	return int64(len(id)) + int64(len(data)) + overhead
}

func (e *entry) record() store.Record { return store.Record{ID: e.id, Data: e.data, Shared: true} }

func (e *entry) liveAt(now int64) bool { return now < e.expires }

// A shard is the part of the sessions that one lock guards.
type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
	queue   queue
	most    int // entries since the memory was last fitted to them

	newest, oldest *entry // by their use, see order; nil for none
}

// init empties the shard. All methods of a shard but snapshot are called with its lock held,
// or before anybody else has the store.
func (sh *shard) init() {
	sh.entries = make(map[string]*entry)
	sh.queue = queue{}
	sh.most = 0
	sh.newest, sh.oldest = nil, nil
}

// add adds an entry, whose id is not in use.
func (sh *shard) add(id string, data []byte, expires int64) *entry {
	e := &entry{id: strings.Clone(id), data: data, expires: expires} // id may be a piece of a large header
	sh.entries[e.id] = e
	heap.Push(&sh.queue, e)
	sh.most = max(sh.most, len(sh.entries))
	return e
}

// remove takes an entry out of the map, the queue and the order.
func (sh *shard) remove(e *entry) {
	delete(sh.entries, e.id)
	sh.unlink(e)
	heap.Remove(&sh.queue, e.place)
	sh.fit()
}

// fit gives memory back: neither a map nor a slice shrinks on its own. It copies
// at most an eighth of what the shard held.
func (sh *shard) fit() {
	const few = 64 // not worth it
	if sh.most <= few || len(sh.entries) > sh.most/8 {
		return
	}
	entries := make(map[string]*entry, len(sh.entries))
	for _, at := range sh.queue.slots {
		entries[at.id] = at.entry
	}
	sh.entries = entries
	sh.queue = queue{slices.Clone(sh.queue.slots), slices.Clone(sh.queue.orders)}
	sh.most = len(entries)
}

// setExpiry changes when an entry expires. One that lives longer stays where it is in the
// queue until it comes to the front: sessions in use are extended again and again.
func (sh *shard) setExpiry(e *entry, expires int64) {
	before := e.expires
	if e.expires = expires; expires >= before { // which the queue's is no later than
		return
	}
	if at := &sh.queue.slots[e.place]; expires < at.due {
		at.due = expires
		heap.Fix(&sh.queue, e.place)
	}
}

// front returns the entry of the queue to look at next, if one is due. It is to be removed
// if it has expired, and goes back to where it belongs in the queue otherwise.
func (sh *shard) front(now int64) (e *entry, expired bool) {
	if len(sh.queue.slots) == 0 {
		return nil, false
	}
	first := &sh.queue.slots[0]
	switch e = first.entry; {
	case now < first.due:
		return nil, false
	case e.liveAt(now):
		first.due = e.expires
		heap.Fix(&sh.queue, 0)
		return e, false
	}
	return e, true
}

// coldest returns the entry that was used least recently, or nil. It is never that
// of keep.
func (sh *shard) coldest(keep string) *entry {
	if e := sh.oldest; e == nil || e.id != keep {
		return e
	}
	return sh.order(sh.oldest).newer
}

// An order is when an entry was used, in a store that evicts: used orders the entries of all
// shards, the rest those of one.
type order struct {
	used         uint64 // 0: it is not to be evicted
	newer, older *entry // nil at the ends
}

// order returns that of an entry, in a shard with an entry that was used.
func (sh *shard) order(e *entry) *order { return &sh.queue.orders[e.place] }

// use notes that e was used, last of all.
func (sh *shard) use(e *entry, used uint64) {
	if sh.queue.orders == nil {
		sh.queue.orders = make([]order, len(sh.queue.slots), cap(sh.queue.slots))
	}
	sh.unlink(e)
	*sh.order(e) = order{used: used, older: sh.newest}
	if sh.newest == nil {
		sh.oldest = e
	} else {
		sh.order(sh.newest).newer = e
	}
	sh.newest = e
}

// unlink takes e out of those that may be evicted.
func (sh *shard) unlink(e *entry) {
	if sh.queue.orders == nil || sh.order(e).used == 0 {
		return
	}
	o := *sh.order(e)
	*sh.order(e) = order{}
	if o.newer == nil {
		sh.newest = o.older
	} else {
		sh.order(o.newer).older = o.older
	}
	if o.older == nil {
		sh.oldest = o.newer
	} else {
		sh.order(o.older).newer = o.newer
	}
}

// snapshot returns copies of all entries.
func (sh *shard) snapshot() []entry {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	entries := make([]entry, len(sh.queue.slots))
	for i, at := range sh.queue.slots {
		entries[i] = *at.entry
	}
	return entries
}

// index returns which shard has the session with an id. No client knows the seed, so none can
// fill one shard.
func (s *Store) index(id string) uint64 {
	return maphash.String(s.seed, id) % uint64(len(s.shards))
}

func (s *Store) shard(id string) *shard { return &s.shards[s.index(id)] }

// A queue is a heap of entries by when they are due.
type queue struct {
	slots  []slot
	orders []order // of the same places, once an entry was used in a store that evicts
}

// A slot is the place of an entry in a queue.
type slot struct {
	due int64 // no later than the entry expires, by Store.now
	*entry
}

func (q *queue) Len() int           { return len(q.slots) }
func (q *queue) Less(i, j int) bool { return q.slots[i].due < q.slots[j].due }
func (q *queue) Swap(i, j int) {
	q.slots[i], q.slots[j] = q.slots[j], q.slots[i]
	q.slots[i].place, q.slots[j].place = i, j
	if q.orders != nil {
		q.orders[i], q.orders[j] = q.orders[j], q.orders[i]
	}
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(q.slots)
	q.slots = append(grown(q.slots), slot{e.expires, e})
	if q.orders != nil {
		q.orders = append(grown(q.orders), order{})
	}
}

// grown returns a slice with room for one more, and with less to spare than append would
// give it: of a million sessions that were megabytes.
func grown[T any](s []T) []T {
	if len(s) < cap(s) {
		return s
	}
	return append(make([]T, 0, len(s)+len(s)/8+8), s...)
}

func (q *queue) Pop() any {
	last := len(q.slots) - 1
	e := q.slots[last].entry
	q.slots[last] = slot{}
	q.slots = q.slots[:last]
	if q.orders != nil {
		q.orders = q.orders[:last]
	}
	return e
}

package memorystore

import (
	"container/heap"
	"slices"
	"strings"
	"sync"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// overhead is what a session takes beside its id and data: the entry, its slots
// in the map and in the queue, and what allocation rounds up.
const overhead = 160

// An entry is a session, or a list of a user's sessions. It is in the map, the queue and the ring of its shard,
// or in none of them.
type entry struct {
	id      string
	data    []byte // replaced, never overwritten: Load hands it out
	expires int64  // by Store.now
	place   int    // in queue

	// used orders entries of different shards, the ring those of one. Both are
	// kept up only where the store evicts.
	used       uint64
	prev, next *entry

	list *entry // of a session: the list that names it, if any
	ties *ties  // of a list: what it has to do with its sessions; nil where core does not say
}

func (e *entry) size() int64 { return size(e.id, e.data) }

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
	ring    entry // ring.next is the entry used last, ring.prev the one to evict
	most    int   // entries since the memory was last fitted to them
}

func (sh *shard) init() {
	sh.entries = make(map[string]*entry)
	sh.queue = nil
	sh.ring.prev, sh.ring.next = &sh.ring, &sh.ring
	sh.most = 0
}

func (sh *shard) add(id string, data []byte, expires int64) *entry {
	e := &entry{id: strings.Clone(id), data: data, expires: expires} // id may be a piece of a large header
	sh.entries[e.id] = e
	heap.Push(&sh.queue, e)
	sh.most = max(sh.most, len(sh.entries))
	return e
}

func (sh *shard) remove(e *entry) {
	delete(sh.entries, e.id)
	heap.Remove(&sh.queue, e.place)
	e.unlink()
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
	for _, e := range sh.queue {
		entries[e.id] = e
	}
	sh.entries = entries
	sh.queue = slices.Clone(sh.queue)
	sh.most = len(entries)
}

func (sh *shard) setExpiry(e *entry, expires int64) {
	e.expires = expires
	heap.Fix(&sh.queue, e.place)
}

// expired returns the entry to remove next, or nil.
func (sh *shard) expired(now int64) *entry {
	if len(sh.queue) > 0 && !sh.queue[0].liveAt(now) {
		return sh.queue[0]
	}
	return nil
}

// coldest returns the entry that was used least recently, or nil. It is never that
// of keep.
func (sh *shard) coldest(keep string) *entry {
	e := sh.ring.prev
	if e != &sh.ring && e.id == keep {
		e = e.prev
	}
	if e == &sh.ring {
		return nil
	}
	return e
}

func (sh *shard) toFront(e *entry) {
	e.unlink()
	e.prev, e.next = &sh.ring, sh.ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() {
	if e.next == nil {
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}

// snapshot returns copies of all entries.
func (sh *shard) snapshot() []entry {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	entries := make([]entry, len(sh.queue))
	for i, e := range sh.queue {
		entries[i] = *e
	}
	return entries
}

// A queue is a heap of entries by expiry.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].expires < q[j].expires }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

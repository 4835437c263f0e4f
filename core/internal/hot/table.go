// Package hot remembers what was worked out a moment ago for a key that comes again and
// again: a visitor's browser sends several requests in a row, with the same cookie and
// for the same record.
//
// Nothing follows from what a [Table] remembers but how long something takes. It may
// forget at any time, and whoever asks it can work out again what it forgot.
package hot

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// places is how many values a Table has room for.
const places = 1 << 12

// maxPart is the part of a Table's bytes that one value may take.
const maxPart = 16

// A Value is what a Table remembers. Many goroutines may read it at once, so nobody
// writes to it once a Table has it.
type Value[T any] interface {
	*T

	// Hot returns the key that leads to the value, and how many bytes the value keeps
	// in memory.
	Hot() (key string, size int)
}

// A Table remembers values by their keys, in a limited number of bytes. Which key goes
// to which place follows from a hash under a seed that no client knows, and a value is
// found by its whole key. It is safe for use by many goroutines at once, and to look
// something up takes no lock.
type Table[T any, V Value[T]] struct {
	seed  maphash.Seed
	most  int
	rooms atomic.Pointer[[places]room[T]] // nil until something is to be remembered

	mu   sync.Mutex // guards changes of what is remembered, and what follows
	size int        // of all values
	hand int        // the place that was looked at last for something to forget
}

// A room is the place of one value.
type room[T any] struct {
	value atomic.Pointer[T]

	// asked is the hash of the key that asked for the place last. A key gets it that asks
	// twice in a row: where more keys are in use than there are places, as with a walk over all
	// sessions, those that come once do not push out those that come often.
	asked atomic.Uint64
}

// NewTable returns a Table that keeps at most that many bytes in memory.
func NewTable[T any, V Value[T]](most int) *Table[T, V] {
	return &Table[T, V]{seed: maphash.MakeSeed(), most: most}
}

// Get returns the value of a key, or nil.
func (t *Table[T, V]) Get(key string) V {
	rooms := t.rooms.Load()
	if rooms == nil {
		return nil
	}
	v := V(rooms[t.hash(key)%places].value.Load())
	if v == nil {
		return nil
	}
	if is, _ := v.Hot(); is != key {
		return nil
	}
	return v
}

// Wants reports whether the value of a key is to be remembered: whether it is already, or
// nobody else has asked for its place since this was asked about it last.
func (t *Table[T, V]) Wants(key string) bool {
	rooms := t.rooms.Load()
	if rooms == nil {
		t.rooms.CompareAndSwap(nil, new([places]room[T]))
		rooms = t.rooms.Load()
	}
	hash := t.hash(key)
	r := &rooms[hash%places]
	if r.asked.Load() == hash {
		return true
	}
	r.asked.Store(hash)
	return false
}

// Put remembers a value, unless it is too large. Others are forgotten for it.
func (t *Table[T, V]) Put(v V) {
	key, size := v.Hot()
	if size > t.most/maxPart {
		t.Drop(key)
		return
	}
	rooms := t.rooms.Load()
	if rooms == nil {
		return
	}
	place := t.hash(key) % places
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(&rooms[place], v)
	for t.size > t.most {
		if t.hand = (t.hand + 1) % places; t.hand != int(place) { //nolint:gosec // there are 4096
			t.set(&rooms[t.hand], nil)
		}
	}
}

// Drop forgets the value of a key.
func (t *Table[T, V]) Drop(key string) {
	rooms := t.rooms.Load()
	if rooms == nil {
		return
	}
	r := &rooms[t.hash(key)%places]
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := V(r.value.Load()); v != nil {
		if is, _ := v.Hot(); is == key {
			t.set(r, nil)
		}
	}
}

// Clear forgets all.
func (t *Table[T, V]) Clear() {
	rooms := t.rooms.Load()
	if rooms == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rooms {
		t.set(&rooms[i], nil)
	}
}

// set makes v, which may be nil, what is in a room. The caller holds the lock.
func (t *Table[T, V]) set(r *room[T], v V) {
	if before := V(r.value.Load()); before != nil {
		_, size := before.Hot()
		t.size -= size
	}
	if v != nil {
		_, size := v.Hot()
		t.size += size
	}
	r.value.Store(v)
}

func (t *Table[T, V]) hash(key string) uint64 { return maphash.String(t.seed, key) }

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

// places is how many values a Table has room for: a power of two.
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
	hand Place      // the place that was looked at last for something to forget
}

// A Place is where a Table has, or would have, the value of a key: a hash of it.
type Place uint64

// nowhere is the place of all keys in a Table that remembers nothing yet.
const nowhere Place = 0

// A room has room for one value.
type room[T any] struct {
	value atomic.Pointer[T]

	// asked is the Place of the key that asked for the room last. A key gets it that asks
	// twice in a row: where more keys are in use than there are rooms, as with a walk over all
	// sessions, those that come once do not push out those that come often.
	asked atomic.Uint64
}

// NewTable returns a Table that keeps at most that many bytes in memory.
func NewTable[T any, V Value[T]](most int) *Table[T, V] {
	return &Table[T, V]{seed: maphash.MakeSeed(), most: most}
}

// Get returns the value of a key, or nil, and where it is or would be.
func (t *Table[T, V]) Get(key string) (V, Place) {
	rooms := t.rooms.Load()
	if rooms == nil {
		return nil, nowhere
	}
	at := t.place(key)
	v := V(rooms[at%places].value.Load())
	if v == nil {
		return nil, at
	}
	if is, _ := v.Hot(); is != key {
		return nil, at
	}
	return v, at
}

// Wants reports whether the value of the key that Get was given is to be remembered:
// whether nobody else has asked for its place since this was asked about it last.
func (t *Table[T, V]) Wants(at Place) bool {
	if at == nowhere { // a Table that nobody needs takes no memory
		t.rooms.CompareAndSwap(nil, new([places]room[T]))
		return false
	}
	r := &t.rooms.Load()[at%places]
	if r.asked.Load() == uint64(at) {
		return true
	}
	r.asked.Store(uint64(at))
	return false
}

// Put remembers a value, unless it is too large. Others are forgotten for it. at is what
// Get returned for its key.
func (t *Table[T, V]) Put(at Place, v V) {
	key, size := v.Hot()
	if size > t.most/maxPart {
		t.Drop(key)
		return
	}
	rooms := t.rooms.Load()
	if rooms == nil || at == nowhere {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(&rooms[at%places], v)
	for t.size > t.most {
		if t.hand = (t.hand + 1) % places; t.hand != at%places {
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
	r := &rooms[t.place(key)%places]
	if r.value.Load() == nil { // most keys are not remembered, and need no lock
		return
	}
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

// place returns the place of a key.
func (t *Table[T, V]) place(key string) Place { return Place(maphash.String(t.seed, key) | 1<<63) }

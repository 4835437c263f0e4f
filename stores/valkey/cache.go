package valkeystore

import (
	"hash/maphash"
	"sync"
	"time"
)

// With client-side caching, the message that a key changed comes over the
// connection like any other, so for a moment the client would still serve what
// this process has just overwritten. Therefore what it wrote is read from the
// server until nothing older can be in the cache.

// writes remembers which keys this process wrote, for as long as the cache may
// have something older.
type writes struct {
	life   time.Duration
	seed   maphash.Seed
	shards [64]writesShard
}

type writesShard struct {
	mu    sync.Mutex
	until map[string]time.Time
	sweep time.Time // when to look for keys that are over
}

func newWrites(cacheTTL time.Duration) *writes {
	// Twice: a read that was sent before the write may be answered after it.
	return &writes{life: 2 * cacheTTL, seed: maphash.MakeSeed()}
}

func (w *writes) shard(key string) *writesShard {
	return &w.shards[maphash.String(w.seed, key)%uint64(len(w.shards))]
}

func (w *writes) note(key string) {
	now, sh := time.Now(), w.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.until == nil {
		sh.until = make(map[string]time.Time)
	}
	if now.After(sh.sweep) {
		for k, t := range sh.until {
			if now.After(t) {
				delete(sh.until, k)
			}
		}
		sh.sweep = now.Add(w.life)
	}
	sh.until[key] = now.Add(w.life)
}

func (w *writes) recently(key string) bool {
	sh := w.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	until, ok := sh.until[key]
	return ok && time.Now().Before(until)
}

// writing notes a write, before it is sent and again when it was answered:
// whoever reads in between goes to the server, and so does who reads later.
func (s *Store) writing(key string) (done func()) {
	if s.own == nil {
		return func() {}
	}
	s.own.note(key)
	return func() { s.own.note(key) }
}

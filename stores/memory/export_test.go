package memorystore

import "fmt"

// Overhead is what a session counts for beside its id and data.
const Overhead = overhead

// Held returns how many sessions are in memory, expired or not.
func (s *Store) Held() (n int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += len(sh.entries)
		sh.mu.Unlock()
	}
	return n
}

// Check tells whether everything that is kept about the sessions agrees.
func (s *Store) Check() error {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		defer s.shards[i].mu.Unlock()
	}
	sessions, bytes := 0, int64(0)
	for i := range s.shards {
		sh := &s.shards[i]
		if len(sh.queue) != len(sh.entries) {
			return fmt.Errorf("shard %d has %d sessions and %d in the queue", i, len(sh.entries), len(sh.queue))
		}
		for place, e := range sh.queue {
			if e.place != place || sh.entries[e.id] != e || s.shard(e.id) != sh {
				return fmt.Errorf("shard %d has an entry out of place", i)
			}
			if e.expires < sh.queue[(place-1)/2].expires {
				return fmt.Errorf("shard %d has a queue out of order", i)
			}
			sessions++
			bytes += e.size()
		}
		ring := 0
		for e := sh.ring.next; e != &sh.ring; e = e.next {
			if e.next.prev != e || e.next != &sh.ring && e.next.used > e.used {
				return fmt.Errorf("shard %d has a ring out of order", i)
			}
			ring++
		}
		want := 0
		if s.limited && s.opts.AtLimit == EvictLeastRecentlyUsed {
			want = len(sh.entries)
		}
		if ring != want {
			return fmt.Errorf("shard %d has %d entries in the ring, want %d", i, ring, want)
		}
	}
	if !s.limited {
		return nil
	}
	if s.quota.sessions != sessions || s.quota.bytes != bytes {
		return fmt.Errorf("%d sessions of %d bytes are counted, there are %d of %d",
			s.quota.sessions, s.quota.bytes, sessions, bytes)
	}
	if sessions > s.opts.MaxSessions || bytes > s.opts.MaxBytes {
		return fmt.Errorf("%d sessions of %d bytes are above the limits", sessions, bytes)
	}
	return nil
}

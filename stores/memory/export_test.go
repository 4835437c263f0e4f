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

// Check reports whether everything that is kept about the sessions agrees.
func (s *Store) Check() error {
	for _, part := range []*Store{s, s.lists} {
		for i := range part.shards {
			part.shards[i].mu.Lock()
			defer part.shards[i].mu.Unlock()
		}
	}
	sessions, bytes, err := s.check()
	if err != nil {
		return err
	}
	lists, more, err := s.lists.check()
	if err != nil {
		return fmt.Errorf("lists: %w", err)
	}
	if err := s.checkTies(); err != nil {
		return err
	}
	if bytes += more; !s.limited {
		return nil
	}
	if s.quota.sessions != sessions || s.quota.bytes != bytes {
		return fmt.Errorf("%d sessions and lists of %d bytes are counted, there are %d and %d of %d",
			s.quota.sessions, s.quota.bytes, sessions, lists, bytes)
	}
	if sessions > s.opts.MaxSessions || bytes > s.opts.MaxBytes {
		return fmt.Errorf("%d sessions of %d bytes are above the limits", sessions, bytes)
	}
	return nil
}

func (s *Store) check() (records int, bytes int64, err error) {
	for i := range s.shards {
		sh := &s.shards[i]
		if len(sh.queue) != len(sh.entries) {
			return 0, 0, fmt.Errorf("shard %d has %d sessions and %d in the queue", i, len(sh.entries), len(sh.queue))
		}
		for place, e := range sh.queue {
			if e.place != place || sh.entries[e.id] != e || s.shard(e.id) != sh {
				return 0, 0, fmt.Errorf("shard %d has an entry out of place", i)
			}
			if e.expires < sh.queue[(place-1)/2].expires {
				return 0, 0, fmt.Errorf("shard %d has a queue out of order", i)
			}
			records++
			bytes += e.size()
		}
		ring := 0
		for e := sh.ring.next; e != &sh.ring; e = e.next {
			if e.next.prev != e || e.next != &sh.ring && e.next.used > e.used {
				return 0, 0, fmt.Errorf("shard %d has a ring out of order", i)
			}
			ring++
		}
		want := 0
		switch {
		case s.owner != nil && s.limited && s.owner.opts.AtLimit == DropLeastRecentlyUsed:
			for _, e := range sh.queue {
				if e.ties != nil && e.ties.n == 0 {
					want++
				}
			}
		case s.limited && s.opts.AtLimit == DropLeastRecentlyUsed:
			want = len(sh.entries)
		}
		if ring != want {
			return 0, 0, fmt.Errorf("shard %d has %d entries in the ring, want %d", i, ring, want)
		}
	}
	return records, bytes, nil
}

// checkTies reports whether each list knows how many sessions have it.
func (s *Store) checkTies() error {
	tied := make(map[*entry]int)
	for i := range s.shards {
		for _, e := range s.shards[i].queue {
			if e.list != nil {
				tied[e.list]++
			}
		}
	}
	var fixed int64
	for i := range s.lists.shards {
		for _, list := range s.lists.shards[i].queue {
			switch {
			case list.ties == nil:
				fixed += list.size()
			case list.ties.n != tied[list]:
				return fmt.Errorf("a list has %d ties, want %d", list.ties.n, tied[list])
			}
		}
	}
	if s.limited && s.quota.fixed != fixed {
		return fmt.Errorf("%d bytes cannot be evicted, want %d", s.quota.fixed, fixed)
	}
	return nil
}

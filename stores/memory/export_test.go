package memorystore

import (
	"errors"
	"fmt"
)

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
		if len(sh.queue.slots) != len(sh.entries) {
			return 0, 0, fmt.Errorf("shard %d has %d sessions and %d in the queue", i, len(sh.entries), len(sh.queue.slots))
		}
		if n := len(sh.queue.orders); n != 0 && n != len(sh.queue.slots) {
			return 0, 0, fmt.Errorf("shard %d has %d orders for %d places", i, n, len(sh.queue.slots))
		}
		for place, e := range sh.queue.slots {
			if e.place != place || sh.entries[e.id] != e.entry || s.shard(e.id) != sh {
				return 0, 0, fmt.Errorf("shard %d has an entry out of place", i)
			}
			if e.due < sh.queue.slots[(place-1)/2].due || e.due > e.expires {
				return 0, 0, fmt.Errorf("shard %d has a queue out of order", i)
			}
			records++
			bytes += e.size()
		}
		used := 0
		for e, newer := sh.newest, (*entry)(nil); e != nil; e, newer = sh.order(e).older, e {
			if o := sh.order(e); o.newer != newer || o.used == 0 || newer != nil && o.used > sh.order(newer).used || o.older == nil && sh.oldest != e {
				return 0, 0, fmt.Errorf("shard %d has its entries out of the order of their use", i)
			}
			used++
		}
		want := 0
		switch {
		case s.owner != nil && s.limited && s.owner.opts.AtLimit == DropLeastRecentlyUsed:
			for _, e := range sh.queue.slots {
				if e.ties != nil && e.ties.n == 0 {
					want++
				}
			}
		case s.limited && s.opts.AtLimit == DropLeastRecentlyUsed:
			want = len(sh.entries)
		}
		if used != want {
			return 0, 0, fmt.Errorf("shard %d has %d entries to evict, want %d", i, used, want)
		}
	}
	return records, bytes, nil
}

// checkTies reports whether each list knows how many sessions have it.
func (s *Store) checkTies() error {
	tied := make(map[*ties]int)
	for i := range s.shards {
		for _, e := range s.shards[i].queue.slots {
			if e.ties != nil {
				tied[e.ties]++
			}
		}
	}
	var fixed int64
	for i := range s.lists.shards {
		for _, list := range s.lists.shards[i].queue.slots {
			switch {
			case list.ties == nil:
				fixed += list.size()
			case list.ties.n != tied[list.ties]:
				return fmt.Errorf("a list has %d ties, want %d", list.ties.n, tied[list.ties])
			case list.ties.list != list.entry:
				return errors.New("a list has the ties of another one")
			}
		}
	}
	if s.limited && s.quota.fixed != fixed {
		return fmt.Errorf("%d bytes cannot be evicted, want %d", s.quota.fixed, fixed)
	}
	return nil
}

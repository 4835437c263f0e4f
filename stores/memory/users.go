package memorystore

import (
	"context"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// newLists returns the store of the lists of users' sessions. It has its own
// records, and what they take counts against the limit of all.
func (s *Store) newLists() *Store {
	o := s.opts
	o.AtLimit = RefuseNew // room is made of sessions
	lists := newPart(o, s.quota)
	lists.owner, lists.start, lists.limited = s, s.start, s.limited
	return lists
}

// A ties is what a list has to do with the sessions that it names: it goes with the
// last of them. The lock of the list's shard guards it, which is taken after that of a
// session's.
type ties struct {
	list   *entry
	n      int   // sessions that live and have it as their list, and writes of it under way
	linger int64 // until when it is needed without any of them, by Store.now
}

// hold notes what a list that was written, of that size before, says of its sessions.
// The list stays until tie. The caller holds the lock of its shard.
func (s *Store) hold(list *entry, rec store.Record, before, now int64) {
	switch {
	case s.owner == nil:
		return
	case rec.Sessions == nil && list.ties == nil:
		s.fix(list.size() - before)
		return
	case rec.Sessions == nil:
		return
	case list.ties == nil:
		list.ties = &ties{list: list}
		s.fix(-before)
	}
	list.ties.n++
	list.ties.linger = end(now, rec.Linger)
	s.shard(list.id).unlink(list)
}

// tie ties a list that was written to those of its sessions that live. One that does
// not has ended: it was stored before the list named it.
func (s *Store) tie(list *entry, sessions []string) {
	if s.owner == nil || sessions == nil {
		return
	}
	for _, id := range sessions {
		s.owner.tieTo(list, id)
	}
	sh := s.shard(list.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.loosen(sh, list)
}

// tieTo makes list that of a session.
func (s *Store) tieTo(list *entry, id string) {
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[id]
	if e == nil || !e.liveAt(s.now()) || e.ties == list.ties {
		return
	}
	s.untie(e)
	e.ties = list.ties
	lists := s.lists.shard(list.id)
	lists.mu.Lock()
	defer lists.mu.Unlock()
	list.ties.n++
}

// untie ends what a session has to do with its list. The caller holds the lock of the
// session's shard.
func (s *Store) untie(e *entry) {
	if e.ties == nil {
		return
	}
	list := e.ties.list
	e.ties = nil
	sh := s.lists.shard(list.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.lists.loosen(sh, list)
}

// loosen takes one tie from a list of the locked shard. One that has none goes as soon
// as it is not needed, and is evicted like a session until then.
func (s *Store) loosen(sh *shard, list *entry) {
	list.ties.n--
	if list.ties.n > 0 || sh.entries[list.id] != list {
		return
	}
	if list.ties.linger <= s.now() {
		s.drop(sh, list)
		return
	}
	sh.setExpiry(list, min(list.expires, list.ties.linger))
	if s.limited && s.owner.opts.AtLimit == DropLeastRecentlyUsed {
		sh.use(list, s.owner.uses.Add(1))
	}
}

// fix counts bytes of lists that no eviction frees.
func (s *Store) fix(bytes int64) {
	if !s.limited {
		return
	}
	s.quota.mu.Lock()
	defer s.quota.mu.Unlock()
	s.quota.fixed += bytes
}

// UserIndex implements [store.UserIndexer].
func (s *Store) UserIndex() store.Store { return s.lists }

// Inspect implements [store.UserIndexer].
func (s *Store) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if err := s.refuse(ctx, "inspect"); err != nil {
		return nil, err
	}
	var (
		found = make([]store.Record, 0, len(ids))
		seen  = make(map[string]bool, len(ids))
	)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if rec, ok := s.inspect(id); ok {
			found = append(found, rec)
		}
	}
	return found, nil
}

// inspect returns a live record with the life that is left to it. That is no use of it.
func (s *Store) inspect(id string) (store.Record, bool) {
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, now := sh.entries[id], s.now()
	if e == nil || !e.liveAt(now) {
		return store.Record{}, false
	}
	rec := e.record()
	rec.TTL = time.Duration(e.expires - now)
	return rec, true
}

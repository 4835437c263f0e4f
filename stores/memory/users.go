package memorystore

import (
	"context"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
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

// UserIndex implements [core.UserIndexer].
func (s *Store) UserIndex() core.Store { return s.lists }

// Inspect implements [core.UserIndexer].
func (s *Store) Inspect(ctx context.Context, ids []string) ([]core.Record, error) {
	if err := s.refuse(ctx, "inspect"); err != nil {
		return nil, err
	}
	var (
		found = make([]core.Record, 0, len(ids))
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

func (s *Store) inspect(id string) (core.Record, bool) {
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, now := sh.entries[id], s.now()
	if e == nil || !e.liveAt(now) {
		return core.Record{}, false
	}
	rec := e.record()
	rec.TTL = time.Duration(e.expires - now)
	return rec, true
}

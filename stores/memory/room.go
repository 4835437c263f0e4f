package memorystore

import (
	"errors"
	"math"
	"sync"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A quota counts what the store holds, where it has limits.
type quota struct {
	mu       sync.Mutex
	sessions int   // without lists, which count for bytes alone
	bytes    int64 // of sessions and lists
	fixed    int64 // of the bytes, those that no eviction frees: lists of which core does not say which sessions they name
}

// errNoRoom says that take failed. It does not leave the package.
var errNoRoom = errors.New("cloakroom: memory store: no room")

// take counts sessions and bytes that come, or go, and reports whether they are
// within the limits. What goes always is.
func (s *Store) take(sessions int, bytes int64) bool {
	if !s.limited {
		return true
	}
	if s.owner != nil {
		sessions = 0
	}
	q := s.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	if sessions > 0 && q.sessions+sessions > s.opts.MaxSessions || bytes > 0 && q.bytes+bytes > s.opts.MaxBytes {
		return false
	}
	q.sessions += sessions
	q.bytes += bytes
	return true
}

// fits reports whether so many bytes are within the limit when all sessions are gone.
func (q *quota) fits(bytes, limit int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return bytes <= limit-q.fixed
}

// lacks reports whether there is no room for so many bytes, as opposed to one session.
func (q *quota) lacks(bytes, limit int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return bytes > limit-q.bytes
}

// inRoom calls try until it returns something else than errNoRoom, and makes
// room in between, but not by the session keep, which needs it. What has more bytes
// than the limit is not tried: nobody is evicted for it.
func (s *Store) inRoom(verb, keep string, bytes int64, try func() error) error {
	if bytes > s.opts.MaxBytes {
		return failure(verb, "full", store.ErrFull)
	}
	for {
		err := try()
		if !errors.Is(err, errNoRoom) {
			return err
		}
		if !s.makeRoom(keep, bytes) {
			return failure(verb, "full", store.ErrFull)
		}
	}
}

// makeRoom removes some expired sessions and lists or, where there are none, the
// session or the list without a session that was used least recently, if it may, that
// is not keep, and there would be room for so many bytes without any other. It reports
// whether it removed any, or has to look again.
func (s *Store) makeRoom(keep string, bytes int64) bool {
	if s.owner != nil {
		return s.owner.makeRoomIn(s, keep, bytes)
	}
	return s.makeRoomIn(s, keep, bytes)
}

// makeRoomIn is makeRoom of the store of the sessions, where keep is in a part of it.
func (s *Store) makeRoomIn(kept *Store, keep string, bytes int64) bool {
	var (
		coldest *shard
		in      *Store
		used    uint64 = math.MaxUint64
		keepIn         = func(part *Store) string {
			if part == kept {
				return keep
			}
			return ""
		}
	)
	for _, part := range []*Store{s.lists, s} {
		now := part.now()
		for i := range part.shards {
			sh := &part.shards[i]
			sh.mu.Lock()
			looked := part.dropExpired(sh, now, batch)
			if e := sh.coldest(keepIn(part)); e != nil && sh.order(e).used < used && (part == s || s.quota.lacks(bytes, s.opts.MaxBytes)) {
				coldest, in, used = sh, part, sh.order(e).used
			}
			sh.mu.Unlock()
			if looked > 0 {
				return true
			}
		}
	}
	if coldest == nil || kept == s && !s.quota.fits(bytes, s.opts.MaxBytes) {
		return false
	}
	coldest.mu.Lock()
	defer coldest.mu.Unlock()
	if e := coldest.coldest(keepIn(in)); e != nil {
		in.drop(coldest, e)
	}
	return true
}

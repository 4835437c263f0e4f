package vault

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

// A Recent remembers when something last happened to an id, for a limited
// number of ids. It may forget; it does not invent. It is safe for use by many
// goroutines at once.
type Recent struct {
	seed   maphash.Seed
	groups uint64 // of a shard
	shards [16]recentShard
}

// A recentShard has its slots in groups of ways. Within a group a newer id takes
// the place of the oldest. The slots are made when the shard is first used.
type recentShard struct {
	mu    sync.Mutex
	slots []recentSlot
}

// ways is how many ids have to meet in a group before one of them is forgotten.
const ways = 4

// A recentSlot is what is remembered of one id.
type recentSlot struct {
	hash    uint64
	note    Note
	claimed time.Time // when somebody set out to make it happen again; zero for nobody
}

// A Note is when something happened, and what life the store was asked for then,
// where that matters. The zero value is none.
type Note struct {
	At   time.Time
	Life record.Lifespan
}

// Within reports whether it happened less than d ago.
func (n Note) Within(now time.Time, d time.Duration) bool {
	return !n.At.IsZero() && now.Sub(n.At) < d && now.Sub(n.At) > -d
}

// Over reports whether the session that was given that life then must have ended
// since.
func (n Note) Over(now time.Time) bool {
	return n.Life.Idle > 0 && now.Sub(n.At) >= n.Life.Left(n.At)
}

// ByDeadline reports whether it would be the absolute timeout that ended it.
func (n Note) ByDeadline() bool { return n.Life.Left(n.At) < n.Life.Idle }

// NewRecent returns a Recent for about size ids.
func NewRecent(size int) *Recent {
	const shards = len(Recent{}.shards)
	return &Recent{seed: maphash.MakeSeed(), groups: uint64(max(1, size/shards/ways))} //nolint:gosec // a few thousand
}

// lookup locks the shard of an id and returns the slot that has it, or else the
// one to take for it, which then has another hash.
func (r *Recent) lookup(id string) (*recentShard, *recentSlot, uint64) {
	hash := maphash.String(r.seed, id)
	shard := &r.shards[hash%uint64(len(r.shards))]
	shard.mu.Lock()
	if shard.slots == nil {
		shard.slots = make([]recentSlot, r.groups*ways)
	}
	group := shard.slots[hash/uint64(len(r.shards))%r.groups*ways:][:ways]
	oldest := &group[0]
	for i := range group {
		if group[i].hash == hash {
			return shard, &group[i], hash
		}
		if group[i].age().Before(oldest.age()) {
			oldest = &group[i]
		}
	}
	return shard, oldest, hash
}

// age returns when the slot was last of use.
func (s *recentSlot) age() time.Time {
	if s.claimed.After(s.note.At) {
		return s.claimed
	}
	return s.note.At
}

// Put notes that it happened to id now.
func (r *Recent) Put(id string, now time.Time, life record.Lifespan) {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	*slot = recentSlot{hash: hash, note: Note{now, life}}
}

// Forget forgets id.
func (r *Recent) Forget(id string) {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if slot.hash == hash {
		*slot = recentSlot{}
	}
}

// Last returns what was noted of id, the zero value for nothing.
func (r *Recent) Last(id string) Note {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if slot.hash != hash {
		return Note{}
	}
	return slot.note
}

// Within reports whether it happened to id less than d ago.
func (r *Recent) Within(id string, now time.Time, d time.Duration) bool {
	return r.Last(id).Within(now, d)
}

// PutAfter does what Put does, unless something was noted of id since Last
// returned before. It reports whether it did.
func (r *Recent) PutAfter(id string, before Note, now time.Time, life record.Lifespan) bool {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if slot.hash == hash && slot.note != before {
		return false
	}
	*slot = recentSlot{hash: hash, note: Note{now, life}}
	return true
}

// Claim reports whether the caller is the one to make it happen to id again: it
// did not within the last interval, and nobody else claimed to be at it since
// then. Whoever claims it calls Put when it is done, or Release.
func (r *Recent) Claim(id string, now time.Time, interval time.Duration) bool {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if slot.hash != hash {
		*slot = recentSlot{hash: hash}
	}
	if slot.note.Within(now, interval) || (Note{At: slot.claimed}).Within(now, interval) {
		return false
	}
	slot.claimed = now
	return true
}

// Release gives a claim back, because it came to nothing.
func (r *Recent) Release(id string) {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if slot.hash == hash {
		slot.claimed = time.Time{}
	}
}

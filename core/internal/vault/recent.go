package vault

import (
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

// A Recent remembers when something last happened to an id, for a limited
// number of ids. It may forget; it does not invent. It is safe for use by many
// goroutines at once.
type Recent struct {
	seed   maphash.Seed
	start  time.Time // from which its slots count
	first  int       // how many slots a shard begins with
	most   int       // and has at most
	shards [shards]recentShard
}

// A recentShard has its slots in groups of ways. Within a group a newer id takes
// the place of the oldest. The groups are made when the shard is first used, and
// become twice as many when an id would have to go to which it happened a moment ago.
type recentShard struct {
	mu     sync.Mutex
	groups []recentGroup
	claims map[uint64]time.Time // when somebody set out to make it happen again, by the hash of the id
}

const (
	shards = 16

	// ways is how many ids have to meet in a group before one of them is forgotten.
	ways = 8

	// moment is how long an id is not to be forgotten while there may be more slots.
	moment = time.Minute
)

// A recentGroup are the slots that an id may be in. What is looked at in all of them stands
// together: a table that is larger than the caches costs as much as it has lines to read.
type recentGroup struct {
	hashes [ways]uint64        // odd; 0: the slot is free
	at     [ways]time.Duration // since the start
	lives  [ways]recentLife
}

// A recentLife is the life of a Note, in half of the room.
type recentLife struct {
	idle     time.Duration
	deadline int64 // Unix ns; 0: none
}

// A recentSlot is one of a group.
type recentSlot struct {
	*recentGroup // nil: none
	i            int
}

// A Note is when something happened, and what life the store was asked for then,
// where that matters. The zero value is none.
type Note struct {
	At   time.Time
	Life record.Lifespan
}

// Within reports whether it happened less than d ago.
func (n Note) Within(now time.Time, d time.Duration) bool {
	return !n.At.IsZero() && now.Sub(n.At).Abs() < d
}

// Over reports whether the session that was given that life then must have ended
// since.
func (n Note) Over(now time.Time) bool {
	return n.Life.Idle > 0 && now.Sub(n.At) >= n.Life.Left(n.At)
}

// ByDeadline reports whether it would be the absolute timeout that ended it.
func (n Note) ByDeadline() bool { return n.Life.Left(n.At) < n.Life.Idle }

// NewRecent returns a Recent for about size ids, and for up to most of them when so many
// come within a moment. Both are powers of two, and 128 at least. now is the time by the
// clock of its callers.
func NewRecent(now time.Time, size, most int) *Recent {
	return &Recent{seed: maphash.MakeSeed(), start: now, first: size / shards, most: most / shards}
}

// lookup locks the shard of an id, and returns the slot that has it, if any.
func (r *Recent) lookup(id string) (shard *recentShard, slot recentSlot, hash uint64) {
	hash = maphash.String(r.seed, id) | 1
	shard = &r.shards[hash>>1%shards]
	shard.mu.Lock()
	if shard.groups == nil {
		shard.groups = make([]recentGroup, r.first/ways)
	}
	group := shard.group(hash)
	if i := slices.Index(group.hashes[:], hash); i >= 0 {
		slot = recentSlot{group, i}
	}
	return shard, slot, hash
}

// group returns the group of an id.
func (s *recentShard) group(hash uint64) *recentGroup {
	return &s.groups[int(hash>>5)&(len(s.groups)-1)] //nolint:gosec // of the hash some bits are enough, and their number is a power of two
}

// oldest returns a slot of a group which is free, or else that in which it happened first.
func (g *recentGroup) oldest() (i int) {
	if i = slices.Index(g.hashes[:], 0); i >= 0 {
		return i
	}
	i = 0
	for j, at := range g.at {
		if at < g.at[i] {
			i = j
		}
	}
	return i
}

// room returns the slot to take for an id that has none.
func (r *Recent) room(shard *recentShard, hash uint64, at time.Duration) recentSlot {
	for {
		group := shard.group(hash)
		i := group.oldest()
		if group.hashes[i] == 0 || at-group.at[i] >= moment || len(shard.groups)*ways >= r.most {
			return recentSlot{group, i}
		}
		shard.grow()
	}
}

// grow makes twice as many slots.
func (s *recentShard) grow() {
	before := s.groups
	s.groups = make([]recentGroup, 2*len(before))
	for g := range before {
		from := &before[g]
		for i, hash := range from.hashes {
			if hash != 0 { // there is a free one: what shared a group may be apart now, and nothing else
				to := s.group(hash)
				j := to.oldest()
				to.hashes[j], to.at[j], to.lives[j] = hash, from.at[i], from.lives[i]
			}
		}
	}
}

// put notes that it happened to the id with that hash, which has a slot or none.
func (r *Recent) put(shard *recentShard, slot recentSlot, hash uint64, now time.Time, life record.Lifespan) {
	at := now.Sub(r.start)
	if slot.recentGroup == nil {
		slot = r.room(shard, hash, at)
	}
	note := recentLife{idle: life.Idle}
	if !life.Deadline.IsZero() {
		note.deadline = nanos(life.Deadline)
	}
	slot.hashes[slot.i], slot.at[slot.i], slot.lives[slot.i] = hash, at, note
	delete(shard.claims, hash)
}

// lastNano is the last time that has Unix nanoseconds, in the year 2262.
var lastNano = time.Unix(0, math.MaxInt64)

// nanos returns a time in Unix nanoseconds. What comes after lastNano is taken for it.
func nanos(t time.Time) int64 {
	if t.After(lastNano) {
		return math.MaxInt64
	}
	return t.UnixNano()
}

// note returns what a slot says; nothing for none.
func (r *Recent) note(slot recentSlot) (n Note) {
	if slot.recentGroup == nil {
		return n
	}
	life := slot.lives[slot.i]
	n.At, n.Life.Idle = r.start.Add(slot.at[slot.i]), life.idle
	if life.deadline != 0 {
		n.Life.Deadline = time.Unix(0, life.deadline)
	}
	return n
}

// Put notes that it happened to id now.
func (r *Recent) Put(id string, now time.Time, life record.Lifespan) {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	r.put(shard, slot, hash, now, life)
}

// Forget forgets id.
func (r *Recent) Forget(id string) {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if slot.recentGroup != nil {
		slot.hashes[slot.i] = 0
	}
	delete(shard.claims, hash)
}

// Last returns what was noted of id, the zero value for nothing.
func (r *Recent) Last(id string) Note {
	shard, slot, _ := r.lookup(id)
	defer shard.mu.Unlock()
	return r.note(slot)
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
	if slot.recentGroup != nil && r.note(slot) != before {
		return false
	}
	r.put(shard, slot, hash, now, life)
	return true
}

// Claim reports whether the caller is the one to make it happen to id again: it
// did not within the last interval, and nobody else claimed to be at it since
// then. Whoever claims it calls Put when it is done, or Release.
func (r *Recent) Claim(id string, now time.Time, interval time.Duration) bool {
	shard, slot, hash := r.lookup(id)
	defer shard.mu.Unlock()
	if r.note(slot).Within(now, interval) || (Note{At: shard.claims[hash]}).Within(now, interval) {
		return false
	}
	if shard.claims == nil {
		shard.claims = make(map[uint64]time.Time)
	}
	shard.claims[hash] = now
	return true
}

// Release gives a claim back, because it came to nothing.
func (r *Recent) Release(id string) {
	shard, _, hash := r.lookup(id)
	defer shard.mu.Unlock()
	delete(shard.claims, hash)
}

package vault

import (
	"hash/maphash"
	"math"
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
// the place of the oldest. The slots are made when the shard is first used, and
// become twice as many when an id would have to go to which it happened a moment ago.
type recentShard struct {
	mu     sync.Mutex
	slots  []recentSlot
	claims map[uint64]time.Time // when somebody set out to make it happen again, by the hash of the id
}

const (
	shards = 16

	// ways is how many ids have to meet in a group before one of them is forgotten.
	ways = 8

	// moment is how long an id is not to be forgotten while there may be more slots.
	moment = time.Minute
)

// A recentSlot is what is remembered of one id: a Note, in half of the room.
type recentSlot struct {
	hash     uint64        // odd; 0: the slot is free
	at       time.Duration // since the start
	idle     time.Duration
	deadline int64 // Unix ns; 0: none
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

// lookup locks the shard of an id, and returns the slot that has it, or nil.
func (r *Recent) lookup(id string) (shard *recentShard, slot *recentSlot, hash uint64) {
	hash = maphash.String(r.seed, id) | 1
	shard = &r.shards[hash>>1%shards]
	shard.mu.Lock()
	if shard.slots == nil {
		shard.slots = make([]recentSlot, r.first)
	}
	group := shard.group(hash)
	for i := range group {
		if group[i].hash == hash {
			return shard, &group[i], hash
		}
	}
	return shard, nil, hash
}

// group returns the slots that an id may be in.
func (s *recentShard) group(hash uint64) []recentSlot {
	groups := len(s.slots) / ways                        // a power of two
	return s.slots[int(hash>>5)&(groups-1)*ways:][:ways] //nolint:gosec // of the hash some bits are enough
}

// oldest returns the slot of a group which is free, or in which it happened first.
func oldest(group []recentSlot) *recentSlot {
	first := &group[0]
	for i := range group {
		if slot := &group[i]; slot.hash == 0 {
			return slot
		} else if slot.at < first.at {
			first = slot
		}
	}
	return first
}

// room returns the slot to take for an id that has none.
func (r *Recent) room(shard *recentShard, hash uint64, at time.Duration) *recentSlot {
	slot := oldest(shard.group(hash))
	for slot.hash != 0 && at-slot.at < moment && len(shard.slots) < r.most {
		shard.grow()
		slot = oldest(shard.group(hash))
	}
	return slot
}

// grow makes twice as many slots.
func (s *recentShard) grow() {
	before := s.slots
	s.slots = make([]recentSlot, 2*len(before))
	for i := range before {
		if hash := before[i].hash; hash != 0 {
			*oldest(s.group(hash)) = before[i] // there is a free one: what shared a group may be apart now, and nothing else
		}
	}
}

// put notes that it happened to the id with that hash, which has a slot, or nil.
func (r *Recent) put(shard *recentShard, slot *recentSlot, hash uint64, now time.Time, life record.Lifespan) {
	at := now.Sub(r.start)
	if slot == nil {
		slot = r.room(shard, hash, at)
	}
	*slot = recentSlot{hash: hash, at: at, idle: life.Idle}
	if !life.Deadline.IsZero() {
		slot.deadline = nanos(life.Deadline)
	}
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
func (r *Recent) note(slot *recentSlot) (n Note) {
	if slot == nil {
		return n
	}
	n.At, n.Life.Idle = r.start.Add(slot.at), slot.idle
	if slot.deadline != 0 {
		n.Life.Deadline = time.Unix(0, slot.deadline)
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
	if slot != nil {
		*slot = recentSlot{}
	}
	delete(shard.claims, hash)
}

// Last returns what was noted of id, the zero value for nothing.
func (r *Recent) Last(id string) Note {
	shard, slot, _ := r.lookup(id)
	if slot == nil {
		shard.mu.Unlock()
		return Note{}
	}
	found := *slot
	shard.mu.Unlock()
	return r.note(&found)
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
	if slot != nil && r.note(slot) != before {
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

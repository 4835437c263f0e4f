package core

import (
	"hash/maphash"
	"sync"
	"time"
)

// A recent remembers when something last happened to an id, for a limited
// number of ids. It may forget; it does not invent.
type recent struct {
	seed   maphash.Seed
	groups uint64 // of a shard
	shards [16]recentShard
}

type recentShard struct {
	mu    sync.Mutex
	slots []recentSlot // in groups of ways; within a group a newer id takes the place of the oldest. Made when first used
}

// ways is how many ids have to meet in a group before one of them is forgotten.
const ways = 4

type recentSlot struct {
	hash uint64
	at   time.Time
	life lifespan // what the store was asked for, where that matters
}

// newRecent returns a recent for about size ids.
func newRecent(size int) *recent {
	const shards = len(recent{}.shards)
	return &recent{seed: maphash.MakeSeed(), groups: uint64(max(1, size/shards/ways))} //nolint:gosec // a few thousand
}

// slot returns the slot of id, in its shard, which it locks: the one that has it,
// or else the one to take for it.
func (r *recent) slot(id string) (*recentShard, *recentSlot, uint64) {
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
		if group[i].at.Before(oldest.at) {
			oldest = &group[i]
		}
	}
	return shard, oldest, hash
}

// put notes that it happened to id now.
func (r *recent) put(id string, now time.Time, life lifespan) {
	shard, slot, hash := r.slot(id)
	defer shard.mu.Unlock()
	*slot = recentSlot{hash, now, life}
}

// last returns what was noted of id, the zero value for nothing.
func (r *recent) last(id string) recentSlot {
	shard, slot, hash := r.slot(id)
	defer shard.mu.Unlock()
	if slot.hash != hash {
		return recentSlot{}
	}
	return *slot
}

// replace does what put does, unless something was noted of id since last
// returned before.
func (r *recent) replace(id string, before recentSlot, now time.Time, life lifespan) bool {
	shard, slot, hash := r.slot(id)
	defer shard.mu.Unlock()
	if slot.hash == hash && *slot != before {
		return false
	}
	*slot = recentSlot{hash, now, life}
	return true
}

// within tells whether it happened to id less than d ago.
func (r *recent) within(id string, now time.Time, d time.Duration) bool {
	return r.last(id).within(now, d)
}

// ended tells whether the session that was extended then must have ended since.
func (s recentSlot) ended(now time.Time) bool {
	return s.life.idle > 0 && now.Sub(s.at) >= s.life.from(s.at)
}

// cause tells which of its timeouts that was.
func (s recentSlot) cause() Cause {
	if s.life.from(s.at) < s.life.idle {
		return CauseAbsolute
	}
	return CauseIdle
}

func (s recentSlot) within(now time.Time, d time.Duration) bool {
	return !s.at.IsZero() && now.Sub(s.at) < d && now.Sub(s.at) > -d
}

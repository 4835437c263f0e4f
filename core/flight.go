package core

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A request under way is activity, however long it takes: an upload, a stream. So
// the requests that have a session are kept in lists, and as long as there are any,
// a timer extends the sessions of those that have been under way for long. An
// ordinary request pays for its place in a list, and no more.

// flights are the requests under way.
type flights struct {
	shards [8]flightShard
	within atomic.Int64 // the next sweep comes within so many ns; 0: none will. Read without mu by each request
	mu     sync.Mutex   // guards what follows, and changes of within
	due    time.Time    // when the next sweep comes
	timer  *time.Timer
}

// A flightShard is one list, in no particular order.
type flightShard struct {
	mu       sync.Mutex
	sessions []*sessionState
	_        [32]byte // keeps the shards in cache lines of their own
}

// A flight is the place of a request's session in a list.
type flight struct {
	shard uint8 // which list
	place int32 // in the list, from 1; 0: it is not there. The lock of the shard guards it
}

const (
	sweepBatch    = 16 // sessions that are extended at once
	sweepFraction = 4  // a session is looked after at least so often in its life
)

// shardOf returns the list for a request, which goes by where the request is in
// memory.
func shardOf(x *Exchange) uint8 {
	at := reflect.ValueOf(x).Pointer()
	return uint8((at>>9 ^ at>>13) % uintptr(len(flights{}.shards))) //nolint:gosec // there are eight
}

// enter notes that the request of s is under way, whose session has that life. It is
// for requests of net/http, which end in any case: their contexts do.
func (f *flights) enter(s *Session, life record.Lifespan, now time.Time) {
	x := s.x
	if x.r == nil || x.passive || x.jar != nil { // no cookie can go out while it is under way
		return
	}
	at, shard := &s.flight, &f.shards[s.flight.shard]
	shard.mu.Lock()
	if at.place == 0 {
		shard.sessions = append(shard.sessions, s.sessionState)
		at.place = int32(len(shard.sessions)) //nolint:gosec // there are not that many requests
	}
	shard.mu.Unlock()
	if x.ended.Load() { // while another goroutine of the request found the session
		f.leave(x)
		return
	}
	f.schedule(x.m, now, x.m.sweepInterval(life.Left(now)))
}

// leave notes that a request has ended, whether it is in a list or not.
func (f *flights) leave(x *Exchange) {
	s := x.session.Load()
	if s == nil || x.r == nil || x.passive { // it has never been in one
		return
	}
	shard := &f.shards[s.flight.shard]
	shard.mu.Lock()
	shard.remove(s.sessionState)
	shard.mu.Unlock()
}

// remove takes a session off the list, and puts the last one in its place. The caller
// holds the lock.
func (l *flightShard) remove(s *sessionState) {
	if s.flight.place == 0 {
		return
	}
	last := len(l.sessions) - 1
	moved := l.sessions[last]
	l.sessions[s.flight.place-1], moved.flight.place = moved, s.flight.place
	l.sessions[last], s.flight.place = nil, 0
	l.sessions = l.sessions[:last]
}

// sweepInterval returns how often a session with that life is extended while a
// request of it is under way: often enough for a sweep to come too late once.
func (m *Manager) sweepInterval(life time.Duration) time.Duration {
	interval := min(m.touchInterval(life), life/sweepFraction)
	if interval == 0 { // EveryRequest: it is one request
		interval = min(maxTouchInterval, life/touchFraction)
	}
	return max(interval, time.Millisecond)
}

// schedule has the next sweep after that time, unless there is one before.
func (f *flights) schedule(m *Manager, now time.Time, interval time.Duration) {
	if within := f.within.Load(); within == 0 || within > int64(interval) {
		f.reschedule(m, now, interval)
	}
}

// reschedule is schedule where the sweep that was asked for last may come too late.
func (f *flights) reschedule(m *Manager, now time.Time, interval time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := now.Add(interval)
	if f.within.Load() != 0 && !f.due.After(due) {
		return
	}
	f.due = due
	f.within.Store(int64(interval))
	if f.timer != nil {
		f.timer.Stop()
	}
	f.timer = time.AfterFunc(interval, func() { f.sweep(m) })
}

// sweep extends the sessions of requests that have been under way for long.
func (f *flights) sweep(m *Manager) {
	defer func() {
		if recover() != nil { // by the app's doing: it would end the process, and not one request
			m.cfg.Logger.Error("cloakroom: extending the sessions of requests under way panicked; the next sweep tries again")
		}
	}()
	f.within.Store(0)
	now := m.cfg.Now()
	var due []func() error
	again := time.Duration(0)
	for _, s := range f.underWay() {
		x := s.x
		// Whoever has the lock may be waiting for the store, and the sessions of all other
		// requests must not wait for that.
		if !x.mu.TryLock() {
			again = shorter(again, time.Second)
			continue
		}
		key, base, lives := s.key, s.base, s.standing == state.Live
		x.unlock()
		if !lives {
			continue
		}
		last := m.extended.Last(key)
		life := last.Life
		if life.Idle == 0 {
			life = m.lifespan(base)
		}
		left := life.Left(now)
		if left <= 0 { // the absolute timeout has ended it
			continue
		}
		interval := m.sweepInterval(left)
		again = shorter(again, interval)
		if m.extended.Claim(key, now, interval) {
			due = append(due, func() error { return m.extendUnderWay(x, key) })
		}
	}
	if again > 0 {
		f.schedule(m, now, again)
	}
	for len(due) > 0 {
		n := min(len(due), sweepBatch)
		async.Together(due[:n]...) // what fails is due again at the next sweep
		due = due[n:]
	}
}

// extendUnderWay gives the session of a request that has been under way for long its
// life again, by what the store has of it now: its max age may be another one, and a
// record under an id that was given up is to end.
func (m *Manager) extendUnderWay(x *Exchange, key string) error {
	limit := m.detach(x.ctx)
	defer limit.stop()
	return m.claimed(key, func() error {
		now := m.cfg.Now()
		doc, err := m.loadLive(store.BypassCache(limit), key, x.cookie.MaxAge)
		if err != nil {
			return err
		}
		if err := m.extend(limit, key, m.lifespan(doc), record.Lifespan{}, now); err != nil {
			return err
		}
		m.notify(limit, Event{Kind: EventExtended, User: m.userOf(doc), Handle: m.handleIn(doc)})
		return nil
	})
}

// shorter returns the shorter of two intervals, where 0 for the first is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// underWay returns the sessions in all lists, and drops those whose clients have
// gone or whose handlers ended in an unusual way.
func (f *flights) underWay() (all []*sessionState) {
	for i := range f.shards {
		shard := &f.shards[i]
		shard.mu.Lock()
		for _, s := range slices.Backward(shard.sessions) { // whoever takes the place of one that is removed was here before
			if s.x.ctx.Err() != nil {
				shard.remove(s)
			} else {
				all = append(all, s)
			}
		}
		shard.mu.Unlock()
	}
	return all
}

package memorystore

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

const (
	// batch is how many sessions are looked at while a lock is held, and removed if they
	// have expired: some 5 microseconds.
	batch = 8

	// A round looks at so many sessions in a row, some 600 microseconds, and then rests for
	// as long as that and more. So it takes less than half of a processor, also where a
	// million sessions expire at once: requests are not to find it busy.
	stint = 1 << 10
	rest  = time.Millisecond
)

// A sweeper removes expired sessions in rounds. A round is started by a timer,
// which is set while there are sessions, and runs in the timer's goroutine.
type sweeper struct {
	mu     sync.Mutex
	timer  *time.Timer
	set    atomic.Bool    // whether a round is to come
	rounds sync.WaitGroup // those to come or under way
}

// sweepLater sets the timer unless it is set.
func (s *Store) sweepLater() {
	w := &s.sweeper
	if w.set.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set.Load() || s.closed.Load() {
		return
	}
	w.set.Store(true)
	w.rounds.Add(1)
	store := weak.Make(s) // a timer alone does not keep a store alive
	w.timer = time.AfterFunc(s.opts.SweepInterval, func() {
		if s := store.Value(); s != nil {
			defer s.sweeper.rounds.Done()
			s.sweepRound()
		}
	})
}

// sweepRound is one round, which sets the timer for the next one if there are sessions.
func (s *Store) sweepRound() {
	left := stint
	s.sweep(s.closed.Load, func() {
		if left -= batch; left > 0 {
			runtime.Gosched()
			return
		}
		left = stint
		time.Sleep(rest)
	})
	// A session that is created after this finds no timer set, and sets it.
	s.sweeper.set.Store(false)
	if !s.empty() {
		s.sweepLater()
	}
}

// sweep removes all expired sessions. It goes round the shards and calls pause after each
// batch, which lets go of the processor: a lock that is taken again at once would keep
// out those who wait for it.
func (s *Store) sweep(stop func() bool, pause func()) {
	for again := true; again; {
		again = false
		for i := range s.shards {
			if stop() {
				return
			}
			sh := &s.shards[i]
			sh.mu.Lock()
			looked := s.dropExpired(sh, s.now(), batch)
			sh.mu.Unlock()
			if looked > 0 {
				pause()
			}
			again = again || looked == batch
		}
	}
}

// dropExpired looks at up to most sessions of a locked shard that were due, removes those
// that have expired, and returns how many it looked at.
func (s *Store) dropExpired(sh *shard, now int64, most int) (looked int) {
	for looked < most {
		e, expired := sh.front(now)
		if e == nil {
			break
		}
		if expired {
			s.drop(sh, e)
		}
		looked++
	}
	return looked
}

// empty reports whether there are no sessions.
func (s *Store) empty() bool {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n := len(sh.entries)
		sh.mu.Unlock()
		if n > 0 {
			return false
		}
	}
	return true
}

// stopSweeping returns when no round is under way and none will come. The store
// is closed before.
func (s *Store) stopSweeping() {
	w := &s.sweeper
	w.mu.Lock()
	if w.timer != nil && w.timer.Stop() {
		w.rounds.Done()
	}
	w.timer = nil
	w.mu.Unlock()
	w.rounds.Wait()
}

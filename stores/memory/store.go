package memorystore

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Store keeps sessions in memory. It is made by [New], and may be used
// by many goroutines at once.
//
// What it returns as errors are the sentinels of [store.Store] and
// [*store.Error] with Store "memory": of Class "canceled" or "timeout" when
// the context is done, "full" with [store.ErrFull] when a limit is reached,
// and "closed" with [net.ErrClosed] after [Store.Close]. A failed call has
// changed nothing.
type Store struct {
	opts    Options
	start   time.Time // what now counts from
	limited bool
	seed    maphash.Seed
	shards  *[256]shard   // a pointer, so that no verb of package fmt follows it
	uses    atomic.Uint64 // orders what was used, across shards
	quota   *quota        // of the sessions and the lists
	lists   *Store        // the lists of users' sessions; nil in the store of these
	owner   *Store        // in that, the store of the sessions
	closed  atomic.Bool
	sweeper sweeper
	watches watches // who is told what happens
}

var _ interface {
	store.Store
	store.Replacer
	store.UpdateLoader
	store.Remover
	store.Lister
	store.Counter
	store.Clearer
	store.UserIndexer
	store.Watcher
	store.Pinger
} = (*Store)(nil)

// New returns an empty store. It panics where an option is not valid, with a
// message that says which and why.
func New(o Options) *Store {
	if err := o.check(); err != nil {
		panic(err)
	}
	s := newPart(o, new(quota))
	s.lists = s.newLists()
	return s
}

// newPart returns a store that counts what it holds against a quota: that of the sessions,
// or that of their lists.
func newPart(o Options, q *quota) *Store {
	s := &Store{
		quota:   q,
		limited: o.MaxSessions > 0 || o.MaxBytes > 0,
		opts:    o.withDefaults(),
		start:   time.Now(),
		seed:    maphash.MakeSeed(),
		shards:  new([256]shard),
	}
	if o.Now != nil {
		s.start = o.Now()
	}
	for i := range s.shards {
		s.shards[i].init()
	}
	return s
}

// Load implements [store.Store]. It returns the stored bytes themselves, without
// a copy.
func (s *Store) Load(ctx context.Context, id string) (store.Record, error) {
	now := s.now() // once, and without the lock: it takes as long as the rest
	if err := s.refuseFor(s.errAt(ctx, now), "load"); err != nil {
		return store.Record{}, err
	}
	sh := s.shard(id)
	sh.mu.Lock()
	e := sh.entries[id]
	if e == nil || !e.liveAt(now) {
		sh.mu.Unlock()
		return store.Record{}, store.ErrNotFound
	}
	s.use(sh, e)
	data := e.data
	sh.mu.Unlock()
	return store.Record{ID: e.id, Data: data, Shared: true}, nil
}

// Create implements [store.Store]. At a limit it returns [store.ErrFull] in a
// [*store.Error], or evicts: see [AtLimit].
func (s *Store) Create(ctx context.Context, rec store.Record) error {
	if err := s.refuse(ctx, "create"); err != nil {
		return err
	}
	data, sh := own(rec), s.shard(rec.ID)
	var written *entry
	err := s.inRoom("create", "", size(rec.ID, data), func() error {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		now := s.now()
		if s.live(sh, rec.ID, now) != nil {
			return store.ErrExists
		}
		if !s.take(1, size(rec.ID, data)) {
			return errNoRoom
		}
		written = sh.add(rec.ID, data, end(now, rec.TTL))
		s.use(sh, written)
		s.hold(written, rec, 0, now)
		return nil
	})
	if err == nil {
		s.sweepLater()
		s.tie(written, rec.Sessions)
	}
	return err
}

// Update implements [store.Store]. At MaxBytes, a session that grows may be
// refused as Create refuses a new one.
func (s *Store) Update(ctx context.Context, old, next store.Record) error {
	_, err := s.UpdateOrLoad(ctx, old, next)
	return err
}

// UpdateOrLoad implements [store.UpdateLoader].
func (s *Store) UpdateOrLoad(ctx context.Context, old, next store.Record) (newest store.Record, err error) {
	if err := s.refuse(ctx, "update"); err != nil {
		return store.Record{}, err
	}
	data, sh := own(next), s.shard(old.ID)
	var written *entry
	err = s.inRoom("update", old.ID, size(old.ID, data), func() error {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		now := s.now()
		e := s.live(sh, old.ID, now)
		if e == nil {
			return store.ErrNotFound
		}
		s.use(sh, e)
		if !bytes.Equal(e.data, old.Data) {
			newest = e.record()
			return store.ErrConflict
		}
		if !s.take(0, int64(len(data)-len(e.data))) {
			return errNoRoom
		}
		before := e.size()
		e.data = data
		if next.TTL != store.KeepTTL {
			sh.setExpiry(e, end(now, next.TTL))
		}
		s.watches.tellOf(e.id)
		written = e
		s.hold(written, next, before, now)
		return nil
	})
	if err == nil {
		s.tie(written, next.Sessions)
	}
	return newest, err
}

// Replace implements [store.Replacer]. It needs room for one more session, so at
// a limit it may be refused as Create is.
func (s *Store) Replace(ctx context.Context, old, retired, next store.Record) error {
	if err := s.refuse(ctx, "replace"); err != nil {
		return err
	}
	retiredData, nextData := own(retired), own(next)
	i, j := s.index(old.ID), s.index(next.ID)
	from, to := &s.shards[i], &s.shards[j]
	err := s.inRoom("replace", old.ID, size(old.ID, retiredData)+size(next.ID, nextData), func() error {
		first, second := &s.shards[min(i, j)].mu, &s.shards[max(i, j)].mu // in the order of all who lock two
		first.Lock()
		defer first.Unlock()
		if second != first {
			second.Lock()
			defer second.Unlock()
		}
		now := s.now()
		e := s.live(from, old.ID, now)
		switch {
		case e == nil:
			return store.ErrNotFound
		case !bytes.Equal(e.data, old.Data):
			return store.ErrConflict
		case s.live(to, next.ID, now) != nil:
			return store.ErrExists
		}
		s.use(from, e)
		if !s.take(1, size(next.ID, nextData)+int64(len(retiredData)-len(e.data))) {
			return errNoRoom
		}
		e.data = retiredData
		from.setExpiry(e, end(now, retired.TTL))
		s.watches.tellOf(e.id)
		s.use(to, to.add(next.ID, nextData, end(now, next.TTL)))
		return nil
	})
	if err == nil {
		s.sweepLater()
	}
	return err
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if err := s.refuse(ctx, "touch"); err != nil {
		return err
	}
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := s.now()
	e := s.live(sh, id, now)
	if e == nil {
		return store.ErrNotFound
	}
	sh.setExpiry(e, end(now, ttl))
	s.watches.tellOf(e.id)
	s.use(sh, e)
	return nil
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := s.refuse(ctx, "delete"); err != nil {
		return err
	}
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.entries[id]; e != nil {
		s.drop(sh, e)
	}
	return nil
}

// Remove implements [store.Remover].
func (s *Store) Remove(ctx context.Context, old store.Record) error {
	if err := s.refuse(ctx, "remove"); err != nil {
		return err
	}
	sh := s.shard(old.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := s.live(sh, old.ID, s.now())
	switch {
	case e == nil:
		return store.ErrNotFound
	case !bytes.Equal(e.data, old.Data):
		return store.ErrConflict
	}
	s.drop(sh, e)
	return nil
}

// All implements [store.Lister]. It copies the references of one of 256 parts of
// the sessions at a time, and holds no lock while the body of the loop runs.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := s.refuse(ctx, "list"); err != nil {
			yield(store.Record{}, err)
			return
		}
		for i := range s.shards {
			for _, e := range s.shards[i].snapshot() {
				if err := s.refuse(ctx, "list"); err != nil {
					yield(store.Record{}, err)
					return
				}
				if e.liveAt(s.now()) && !yield(e.record(), nil) {
					return
				}
			}
		}
	}
}

// Count implements [store.Counter].
func (s *Store) Count(ctx context.Context) (int, error) {
	s.sweep(func() bool { return ctx.Err() != nil }, runtime.Gosched)
	if err := s.refuse(ctx, "count"); err != nil {
		return 0, err
	}
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.dropExpired(sh, s.now(), math.MaxInt)
		n += len(sh.entries)
		sh.mu.Unlock()
	}
	return n, nil
}

// Clear implements [store.Clearer]. A session that is created meanwhile may
// remain.
func (s *Store) Clear(ctx context.Context) error {
	if err := s.refuse(ctx, "clear"); err != nil {
		return err
	}
	s.clear()
	return nil
}

// Ping implements [store.Pinger].
func (s *Store) Ping(ctx context.Context) error { return s.refuse(ctx, "ping") }

// Close drops all sessions. Every later call but Close returns an error. It
// waits for a sweep under way and always returns nil.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.stopSweeping()
	s.clear()
	if s.lists != nil {
		return s.lists.Close()
	}
	return nil
}

// clear drops all that is stored when its shard is reached.
func (s *Store) clear() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, at := range sh.queue.slots {
			s.forget(at.entry)
		}
		sh.init()
		sh.mu.Unlock()
	}
	s.watches.tell()
}

// own returns the data of a record to keep: a copy, or the data itself where nobody will
// write to it and there is not much memory behind it that would be kept with it. It has
// no room behind it, which an append of whoever loads it would write to.
func own(rec store.Record) []byte {
	const most = 8 // an eighth of its length
	if data := rec.Data; rec.Shared && cap(data)-len(data) <= len(data)/most {
		return slices.Clip(data)
	}
	return slices.Clip(bytes.Clone(rec.Data))
}

// live returns the entry of id, or nil. It removes an expired one, so that the
// id is free.
func (s *Store) live(sh *shard, id string, now int64) *entry {
	e := sh.entries[id]
	if e != nil && !e.liveAt(now) {
		s.drop(sh, e)
		return nil
	}
	return e
}

// drop removes an entry of a shard whose lock the caller holds.
func (s *Store) drop(sh *shard, e *entry) {
	sh.remove(e)
	s.watches.tellOf(e.id)
	s.forget(e)
}

// forget counts an entry as gone, and frees its list or what a list holds. The caller
// holds the lock of its shard.
func (s *Store) forget(e *entry) {
	s.take(-1, -e.size())
	if s.owner == nil {
		s.untie(e)
		return
	}
	if e.ties == nil {
		s.fix(-e.size())
	}
	e.data = nil // sessions may still lead to it
}

// use notes that e was used.
func (s *Store) use(sh *shard, e *entry) {
	if s.limited && s.opts.AtLimit == DropLeastRecentlyUsed {
		sh.use(e, s.uses.Add(1))
	}
}

// Format implements [fmt.Formatter]: no verb prints what is stored.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("memorystore.Store")) }

package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// full is a mapstore under a lock that makes several verbs one step, with all
// optional abilities made of the five verbs. The broken stores start from it.
type full struct {
	mu    sync.Mutex
	skew  time.Duration   // how far the clock is put forward
	ids   map[string]bool // all ids that were ever in use
	inner *mapstore.Store
	lists *full

	watchMu sync.Mutex
	watches []*fullWatch
}

// lock locks the store and returns the five verbs.
func (f *full) lock() *mapstore.Store {
	f.mu.Lock()
	if f.inner == nil {
		f.ids = make(map[string]bool)
		f.inner = &mapstore.Store{Now: func() time.Time { return time.Now().Add(f.skew) }}
	}
	return f.inner
}

// put stores rec whether or not there is something: what no store may do.
func (f *full) put(rec store.Record) {
	s := f.lock()
	defer f.mu.Unlock()
	f.ids[rec.ID] = true
	s.Delete(context.Background(), rec.ID)
	s.Create(context.Background(), rec)
}

// blindly does what do does with all expired records alive again.
func (f *full) blindly(do func(s *mapstore.Store)) {
	s := f.lock()
	defer f.mu.Unlock()
	f.skew = -time.Minute
	defer func() { f.skew = 0 }()
	do(s)
}

func (f *full) Load(ctx context.Context, id string) (store.Record, error) {
	s := f.lock()
	defer f.mu.Unlock()
	return s.Load(ctx, id)
}

func (f *full) Create(ctx context.Context, rec store.Record) error {
	s := f.lock()
	defer f.mu.Unlock()
	f.ids[rec.ID] = true
	return s.Create(ctx, rec)
}

func (f *full) Update(ctx context.Context, old, next store.Record) error {
	s := f.lock()
	defer f.mu.Unlock()
	return f.tell(written(next), old.ID, s.Update(ctx, old, next))
}

func (f *full) Touch(ctx context.Context, id string, ttl time.Duration) error {
	s := f.lock()
	defer f.mu.Unlock()
	return f.tell("touch", id, s.Touch(ctx, id, ttl))
}

func (f *full) Delete(ctx context.Context, id string) error {
	s := f.lock()
	defer f.mu.Unlock()
	return f.tell("delete", id, s.Delete(ctx, id))
}

func (f *full) Remove(ctx context.Context, old store.Record) error {
	s := f.lock()
	defer f.mu.Unlock()
	return f.tell("remove", old.ID, s.Remove(ctx, old))
}

func (f *full) Replace(ctx context.Context, old, retired, next store.Record) error {
	s := f.lock()
	defer f.mu.Unlock()
	f.ids[next.ID] = true
	if _, err := s.Load(ctx, next.ID); err == nil {
		return store.ErrExists
	}
	if err := f.tell("replace", old.ID, s.Update(ctx, old, retired)); err != nil {
		return err
	}
	return s.Create(context.WithoutCancel(ctx), next)
}

func (f *full) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	s := f.lock()
	defer f.mu.Unlock()
	err := f.tell(written(next), old.ID, s.Update(ctx, old, next))
	if errors.Is(err, store.ErrConflict) {
		newest, _ := s.Load(context.WithoutCancel(ctx), old.ID)
		return newest, err
	}
	return store.Record{}, err
}

func (f *full) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(store.Record{}, err)
			return
		}
		for _, rec := range f.records() {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func (f *full) records() []store.Record {
	s := f.lock()
	defer f.mu.Unlock()
	var recs []store.Record
	for id := range f.ids {
		if rec, err := s.Load(context.Background(), id); err == nil {
			recs = append(recs, rec)
		}
	}
	return recs
}

func (f *full) Count(ctx context.Context) (int, error) {
	return len(f.records()), ctx.Err()
}

func (f *full) Clear(ctx context.Context) error {
	for _, rec := range f.records() {
		s := f.lock()
		err := s.Delete(ctx, rec.ID)
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return f.tell("clear", "", ctx.Err())
}

func (f *full) Ping(ctx context.Context) error { return ctx.Err() }

func (f *full) UserIndex() store.Store {
	f.lock()
	defer f.mu.Unlock()
	if f.lists == nil {
		f.lists = new(full)
	}
	return f.lists
}

func (f *full) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	s := f.lock()
	defer f.mu.Unlock()
	for _, rec := range s.Records() {
		if slices.Contains(ids, rec.ID) {
			found = append(found, rec)
		}
	}
	return found, ctx.Err()
}

// careful looks at the context at each step of a walk.
type careful struct{ *full }

func (s careful) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for rec, err := range s.full.All(ctx) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// broken is full but for the verbs that are set.
type broken struct {
	*full
	load         func(context.Context, string) (store.Record, error)
	create       func(context.Context, store.Record) error
	update       func(ctx context.Context, old, next store.Record) error
	touch        func(context.Context, string, time.Duration) error
	delete       func(context.Context, string) error
	remove       func(context.Context, store.Record) error
	replace      func(ctx context.Context, old, retired, next store.Record) error
	updateOrLoad func(ctx context.Context, old, next store.Record) (store.Record, error)
	all          func(context.Context) iter.Seq2[store.Record, error]
	count        func(context.Context) (int, error)
	clear        func(context.Context) error
	ping         func(context.Context) error
	inspect      func(context.Context, []string) ([]store.Record, error)
	userIndex    func() store.Store
	watch        func(changed func(ids ...string)) store.Watch
}

func (b *broken) Load(ctx context.Context, id string) (store.Record, error) {
	if b.load != nil {
		return b.load(ctx, id)
	}
	return b.full.Load(ctx, id)
}

func (b *broken) Create(ctx context.Context, rec store.Record) error {
	if b.create != nil {
		return b.create(ctx, rec)
	}
	return b.full.Create(ctx, rec)
}

func (b *broken) Update(ctx context.Context, old, next store.Record) error {
	if b.update != nil {
		return b.update(ctx, old, next)
	}
	return b.full.Update(ctx, old, next)
}

func (b *broken) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if b.touch != nil {
		return b.touch(ctx, id, ttl)
	}
	return b.full.Touch(ctx, id, ttl)
}

func (b *broken) Delete(ctx context.Context, id string) error {
	if b.delete != nil {
		return b.delete(ctx, id)
	}
	return b.full.Delete(ctx, id)
}

func (b *broken) Remove(ctx context.Context, old store.Record) error {
	if b.remove != nil {
		return b.remove(ctx, old)
	}
	return b.full.Remove(ctx, old)
}

func (b *broken) Replace(ctx context.Context, old, retired, next store.Record) error {
	if b.replace != nil {
		return b.replace(ctx, old, retired, next)
	}
	return b.full.Replace(ctx, old, retired, next)
}

func (b *broken) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	if b.updateOrLoad != nil {
		return b.updateOrLoad(ctx, old, next)
	}
	return b.full.UpdateOrLoad(ctx, old, next)
}

func (b *broken) All(ctx context.Context) iter.Seq2[store.Record, error] {
	if b.all != nil {
		return b.all(ctx)
	}
	return b.full.All(ctx)
}

func (b *broken) Count(ctx context.Context) (int, error) {
	if b.count != nil {
		return b.count(ctx)
	}
	return b.full.Count(ctx)
}

func (b *broken) Clear(ctx context.Context) error {
	if b.clear != nil {
		return b.clear(ctx)
	}
	return b.full.Clear(ctx)
}

func (b *broken) Ping(ctx context.Context) error {
	if b.ping != nil {
		return b.ping(ctx)
	}
	return b.full.Ping(ctx)
}

func (b *broken) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if b.inspect != nil {
		return b.inspect(ctx, ids)
	}
	return b.full.Inspect(ctx, ids)
}

func (b *broken) UserIndex() store.Store {
	if b.userIndex != nil {
		return b.userIndex()
	}
	return b.full.UserIndex()
}

// peek returns the live record of id, with no lock held afterwards: the first
// half of a check that is not atomic.
func (f *full) peek(id string) (store.Record, bool) {
	rec, err := f.Load(context.Background(), id)
	return rec, err == nil
}

func same(a, b store.Record) bool { return bytes.Equal(a.Data, b.Data) }

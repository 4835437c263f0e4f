package core_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Stores for tests, around another one.

// live counts the sessions in a store, without what stands under ids that were
// given up.
func live(st *mapstore.Store) (n int) {
	for _, rec := range st.Records() {
		if !bytes.Contains(rec.Data, []byte(`"retired":`)) {
			n++
		}
	}
	return n
}

// An updateLoader is a store that brings the newest record along with a conflict.
type updateLoader struct{ store.Store }

func (s *updateLoader) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	err := s.Update(ctx, old, next)
	if !errors.Is(err, store.ErrConflict) {
		return store.Record{}, err
	}
	newest, err := s.Load(ctx, old.ID)
	if err != nil {
		return store.Record{}, err
	}
	return newest, store.ErrConflict
}

// A sentTwice is a store that does every update twice and tells how the second
// one ended.
type sentTwice struct {
	updateLoader
	updates int
}

func (s *sentTwice) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	s.updates++
	if newest, err := s.updateLoader.UpdateOrLoad(ctx, old, next); err != nil {
		return newest, err
	}
	return s.updateLoader.UpdateOrLoad(ctx, old, next)
}

// removeFrom is Remove for a store around another one.
func removeFrom(ctx context.Context, st store.Store, old store.Record) error {
	if remover, ok := st.(store.Remover); ok {
		return remover.Remove(ctx, old)
	}
	return errors.ErrUnsupported
}

// A replacer is a store that renews an id in one step.
type replacer struct {
	store.Store
	mu sync.Mutex
}

func (s *replacer) Replace(ctx context.Context, old, retired, next store.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Create(ctx, next); err != nil {
		return err
	}
	err := s.Update(ctx, old, retired)
	if err != nil {
		_ = s.Delete(ctx, next.ID)
	}
	return err
}

// A faultyStore fails on demand.
type faultyStore struct {
	store.Store

	mu      sync.Mutex
	once    map[string]outage
	then    func()
	always  error
	hanging string
}

// failOnce makes the next call of a verb fail.
func (s *faultyStore) failOnce(verb string, o outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once = map[string]outage{verb: o}
}

// afterwards calls f when the call that failOnce spoke of was made, before it
// returns.
func (s *faultyStore) afterwards(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.then = f
}

// down makes all calls fail.
func (s *faultyStore) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = err
}

// hang makes all calls of a verb wait until their context is done.
func (s *faultyStore) hang(verb string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging = verb
}

// heal ends what down and hang began.
func (s *faultyStore) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always, s.hanging = nil, ""
}

func (s *faultyStore) call(ctx context.Context, verb string, do func() error) error {
	s.mu.Lock()
	always, hanging := s.always, s.hanging == verb
	o, failing := s.once[verb]
	then := s.then
	if failing {
		delete(s.once, verb)
		s.then = nil
	}
	s.mu.Unlock()
	switch {
	case always != nil:
		return always
	case hanging:
		<-ctx.Done()
		return ctx.Err()
	case !failing:
		return do()
	}
	if o.applied {
		if err := do(); err != nil {
			return err
		}
	}
	if then != nil {
		then()
	}
	return o.err
}

func (s *faultyStore) Load(ctx context.Context, id string) (rec store.Record, err error) {
	err = s.call(ctx, "load", func() (err error) { rec, err = s.Store.Load(ctx, id); return err })
	return rec, err
}

func (s *faultyStore) Create(ctx context.Context, rec store.Record) error {
	return s.call(ctx, "create", func() error { return s.Store.Create(ctx, rec) })
}

func (s *faultyStore) Update(ctx context.Context, old, next store.Record) error {
	return s.call(ctx, "update", func() error { return s.Store.Update(ctx, old, next) })
}

func (s *faultyStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.call(ctx, "touch", func() error { return s.Store.Touch(ctx, id, ttl) })
}

func (s *faultyStore) Delete(ctx context.Context, id string) error {
	return s.call(ctx, "delete", func() error { return s.Store.Delete(ctx, id) })
}

func (s *faultyStore) Remove(ctx context.Context, old store.Record) error {
	if _, ok := s.Store.(store.Remover); !ok {
		return errors.ErrUnsupported
	}
	return s.call(ctx, "delete", func() error { return removeFrom(ctx, s.Store, old) })
}

func (s *faultyStore) Replace(ctx context.Context, old, retired, next store.Record) error {
	inner, ok := s.Store.(store.Replacer)
	if !ok {
		return errors.ErrUnsupported
	}
	return s.call(ctx, "replace", func() error { return inner.Replace(ctx, old, retired, next) })
}

// observerFunc makes an Observer of a function.
type observerFunc func(core.Event)

func (f observerFunc) Observe(_ context.Context, e core.Event) { f(e) }

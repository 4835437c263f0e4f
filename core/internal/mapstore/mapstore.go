// Package mapstore is the smallest store that keeps the contract of
// [store.Store]: one mutex and one map. Core's own tests run on it, and it is the
// reference that package storetest is tested with. Of the optional abilities it has
// [store.Remover] alone, and it never removes an expired record by itself.
package mapstore

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Store keeps records in a map. The zero value is an empty store.
type Store struct {
	// Now is the store's clock. The default is time.Now. It is not to be
	// changed once the store is in use.
	Now func() time.Time

	mu      sync.Mutex
	records map[string]record
}

type record struct {
	data    []byte // never overwritten in place: Load hands it out
	expires time.Time
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, id string) (store.Record, error) {
	defer s.lock()()
	if err := failed(ctx, "load"); err != nil {
		return store.Record{}, err
	}
	r, ok := s.live(id)
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return store.Record{ID: id, Data: r.data, Shared: true}, nil
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, rec store.Record) error {
	defer s.lock()()
	if err := failed(ctx, "create"); err != nil {
		return err
	}
	if _, ok := s.live(rec.ID); ok {
		return store.ErrExists
	}
	s.put(rec)
	return nil
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, old, next store.Record) error {
	defer s.lock()()
	if err := failed(ctx, "update"); err != nil {
		return err
	}
	r, ok := s.live(old.ID)
	if !ok {
		return store.ErrNotFound
	}
	if !bytes.Equal(r.data, old.Data) {
		return store.ErrConflict
	}
	if next.TTL == store.KeepTTL {
		next.TTL = r.expires.Sub(s.now())
	}
	s.put(next)
	return nil
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	defer s.lock()()
	if err := failed(ctx, "touch"); err != nil {
		return err
	}
	r, ok := s.live(id)
	if !ok {
		return store.ErrNotFound
	}
	r.expires = s.now().Add(ttl)
	s.records[id] = r
	return nil
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, id string) error {
	defer s.lock()()
	if err := failed(ctx, "delete"); err != nil {
		return err
	}
	delete(s.records, id)
	return nil
}

// Remove implements [store.Remover].
func (s *Store) Remove(ctx context.Context, old store.Record) error {
	defer s.lock()()
	if err := failed(ctx, "remove"); err != nil {
		return err
	}
	r, ok := s.live(old.ID)
	if !ok {
		return store.ErrNotFound
	}
	if !bytes.Equal(r.data, old.Data) {
		return store.ErrConflict
	}
	delete(s.records, old.ID)
	return nil
}

// Records returns the live records, for tests that look at what is stored.
func (s *Store) Records() (all []store.Record) {
	defer s.lock()()
	now := s.now()
	for id, r := range s.records {
		if left := r.expires.Sub(now); left > 0 {
			all = append(all, store.Record{ID: id, Data: r.data, TTL: left})
		}
	}
	return all
}

func (s *Store) lock() (unlock func()) {
	s.mu.Lock()
	return s.mu.Unlock
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Store) live(id string) (record, bool) {
	r, ok := s.records[id]
	return r, ok && s.now().Before(r.expires)
}

func (s *Store) put(rec store.Record) {
	if s.records == nil {
		s.records = make(map[string]record)
	}
	data := slices.Clip(rec.Data)
	if !rec.Shared {
		data = bytes.Clone(rec.Data)
	}
	s.records[rec.ID] = record{data, s.now().Add(rec.TTL)}
}

// failed is asked with the lock held, so that a caller who gave up while it
// waited changes nothing.
func failed(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return &store.Error{Store: "map", Verb: verb, Outcome: store.OutcomeNotApplied, Err: err}
	}
	return nil
}

// Package mapstore is the smallest store that keeps the contract of
// [core.Store]: one mutex and one map. Core's own tests run on it, and it is the
// reference that package storetest is tested with. It has none of the optional
// abilities and never removes an expired record by itself.
package mapstore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
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

// Load implements [core.Store].
func (s *Store) Load(ctx context.Context, id string) (core.Record, error) {
	defer s.lock()()
	if err := failed(ctx, "load"); err != nil {
		return core.Record{}, err
	}
	r, ok := s.live(id)
	if !ok {
		return core.Record{}, core.ErrNotFound
	}
	return core.Record{ID: id, Data: r.data}, nil
}

// Create implements [core.Store].
func (s *Store) Create(ctx context.Context, rec core.Record) error {
	defer s.lock()()
	if err := failed(ctx, "create"); err != nil {
		return err
	}
	if _, ok := s.live(rec.ID); ok {
		return core.ErrExists
	}
	s.put(rec)
	return nil
}

// Update implements [core.Store].
func (s *Store) Update(ctx context.Context, old, next core.Record) error {
	defer s.lock()()
	if err := failed(ctx, "update"); err != nil {
		return err
	}
	r, ok := s.live(old.ID)
	if !ok {
		return core.ErrNotFound
	}
	if !bytes.Equal(r.data, old.Data) {
		return core.ErrConflict
	}
	s.put(next)
	return nil
}

// Touch implements [core.Store].
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	defer s.lock()()
	if err := failed(ctx, "touch"); err != nil {
		return err
	}
	r, ok := s.live(id)
	if !ok {
		return core.ErrNotFound
	}
	r.expires = s.now().Add(ttl)
	s.records[id] = r
	return nil
}

// Delete implements [core.Store].
func (s *Store) Delete(ctx context.Context, id string) error {
	defer s.lock()()
	if err := failed(ctx, "delete"); err != nil {
		return err
	}
	delete(s.records, id)
	return nil
}

// Records returns the live records, for tests that look at what is stored.
func (s *Store) Records() (all []core.Record) {
	defer s.lock()()
	now := s.now()
	for id, r := range s.records {
		if left := r.expires.Sub(now); left > 0 {
			all = append(all, core.Record{ID: id, Data: r.data, TTL: left})
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

func (s *Store) put(rec core.Record) {
	if s.records == nil {
		s.records = make(map[string]record)
	}
	s.records[rec.ID] = record{bytes.Clone(rec.Data), s.now().Add(rec.TTL)}
}

// failed is asked with the lock held, so that a caller who gave up while it
// waited changes nothing.
func failed(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return &core.StoreError{Store: "map", Verb: verb, Outcome: core.NotApplied, Err: err}
	}
	return nil
}

package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// errDown is what a store that is down answers.
var errDown = &store.Error{Store: "suite", Class: "down", Outcome: store.OutcomeNotApplied}

// A spy is the store of a scenario: it counts what is asked of it, knows all
// ids, and fails or waits when it is told to.
type spy struct {
	inner   store.Store
	hastens int64 // records that are created live for this part of their time only; 0: for all of it

	mu     sync.Mutex
	calls  map[string]int
	ids    map[string]bool
	before func(ctx context.Context, verb string) error            // in place of the call, where it returns an error
	after  func(ctx context.Context, verb string, err error) error // what the caller is told
}

func newSpy(inner store.Store) *spy {
	return &spy{inner: inner, calls: make(map[string]int), ids: make(map[string]bool)}
}

// able returns the store with the abilities of the inner one.
func (s *spy) able() store.Store {
	r, isReplacer := s.inner.(store.Replacer)
	u, isUpdateLoader := s.inner.(store.UpdateLoader)
	switch {
	case isReplacer && isUpdateLoader:
		return struct {
			*spy
			spyReplacer
			spyUpdateLoader
		}{s, spyReplacer{s, r}, spyUpdateLoader{s, u}}
	case isReplacer:
		return struct {
			*spy
			spyReplacer
		}{s, spyReplacer{s, r}}
	case isUpdateLoader:
		return struct {
			*spy
			spyUpdateLoader
		}{s, spyUpdateLoader{s, u}}
	}
	return s
}

type spyReplacer struct {
	s *spy
	r store.Replacer
}

func (r spyReplacer) Replace(ctx context.Context, old, retired, next store.Record) error {
	return r.s.call(ctx, "replace", next.ID, func() error { return r.r.Replace(ctx, old, retired, next) })
}

type spyUpdateLoader struct {
	s *spy
	u store.UpdateLoader
}

func (u spyUpdateLoader) UpdateOrLoad(ctx context.Context, old, next store.Record) (rec store.Record, err error) {
	err = u.s.call(ctx, "update", next.ID, func() error {
		rec, err = u.u.UpdateOrLoad(ctx, old, next)
		return err
	})
	return rec, err
}

func (s *spy) Load(ctx context.Context, id string) (rec store.Record, err error) {
	err = s.call(ctx, "load", id, func() error {
		rec, err = s.inner.Load(ctx, id)
		return err
	})
	return rec, err
}

func (s *spy) Create(ctx context.Context, rec store.Record) error {
	if s.hastens > 0 {
		rec.TTL /= time.Duration(s.hastens)
	}
	return s.call(ctx, "create", rec.ID, func() error { return s.inner.Create(ctx, rec) })
}

func (s *spy) Update(ctx context.Context, old, next store.Record) error {
	return s.call(ctx, "update", next.ID, func() error { return s.inner.Update(ctx, old, next) })
}

func (s *spy) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.call(ctx, "touch", id, func() error { return s.inner.Touch(ctx, id, ttl) })
}

func (s *spy) Delete(ctx context.Context, id string) error {
	return s.call(ctx, "delete", id, func() error { return s.inner.Delete(ctx, id) })
}

// Remove counts as a delete: which of the two a store has is its own affair.
func (s *spy) Remove(ctx context.Context, old store.Record) error {
	remover, ok := s.inner.(store.Remover)
	if !ok {
		return errors.ErrUnsupported
	}
	return s.call(ctx, "delete", old.ID, func() error { return remover.Remove(ctx, old) })
}

func (s *spy) call(ctx context.Context, verb, id string, do func() error) error {
	s.mu.Lock()
	s.calls[verb]++
	s.ids[id] = true
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, verb); err != nil {
			return err
		}
	}
	err := do()
	if after != nil {
		err = after(ctx, verb, err)
	}
	return err
}

// on sets what happens before calls; nil ends it.
func (s *spy) on(before func(ctx context.Context, verb string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// then sets what is told after calls.
func (s *spy) then(after func(ctx context.Context, verb string, err error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = after
}

// writes are the verbs that change the store.
var writes = []string{"create", "update", "replace", "touch", "delete"}

// fail makes calls fail, all of them if none is named.
func (s *spy) fail(verbs ...string) {
	s.on(func(_ context.Context, verb string) error {
		if len(verbs) == 0 || slices.Contains(verbs, verb) {
			return errDown
		}
		return nil
	})
}

// stall makes calls hang until their context is done.
func (s *spy) stall(verbs ...string) {
	s.on(func(ctx context.Context, verb string) error {
		if len(verbs) > 0 && !slices.Contains(verbs, verb) {
			return nil
		}
		<-ctx.Done()
		return &store.Error{Store: "suite", Verb: verb, Class: "timeout", Outcome: store.OutcomeNotApplied, Err: ctx.Err()}
	})
}

// heal ends fail and stall.
func (s *spy) heal() { s.on(nil) }

// forget sets the counts to zero.
func (s *spy) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// count returns how often verbs were called, all of them if none is named.
func (s *spy) count(verbs ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for verb, calls := range s.calls {
		if len(verbs) == 0 || slices.Contains(verbs, verb) {
			n += calls
		}
	}
	return n
}

// known returns all ids that were ever seen.
func (s *spy) known() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.ids))
}

// live returns how many sessions there are. Retired ones do not count.
func (s *spy) live() int {
	n := 0
	for _, id := range s.known() {
		rec, err := s.inner.Load(context.Background(), id)
		if err == nil && !bytes.Contains(rec.Data, []byte(`"retired":`)) {
			n++
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return -1
		}
	}
	return n
}

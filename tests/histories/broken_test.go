package histories

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// brokenStores break the contract of core.Store in one way each.
var brokenStores = map[string]func(*memorystore.Store) core.Store{
	"the last writer wins":            func(s *memorystore.Store) core.Store { return lastWins{slow(s)} },
	"a write is acknowledged unseen":  func(s *memorystore.Store) core.Store { return acknowledges{slow(s)} },
	"what is gone is written again":   func(s *memorystore.Store) core.Store { return revives{slow(s)} },
	"reads are behind":                func(s *memorystore.Store) core.Store { return &behind{Store: slow(s)} },
	"a delete is done later":          func(s *memorystore.Store) core.Store { return &postpones{Store: slow(s)} },
	"a lost reply is no lost command": func(s *memorystore.Store) core.Store { return guesses{slow(s)} },
}

// slow makes requests overlap. It has the five verbs only.
func slow(s *memorystore.Store) core.Store { return flaky{s, new(atomic.Int64), 1 << 40} }

type lastWins struct{ core.Store }

func (s lastWins) Update(ctx context.Context, old, next core.Record) error {
	for {
		err := s.Store.Update(ctx, old, next)
		if !errors.Is(err, core.ErrConflict) {
			return err
		}
		if old, err = s.Load(ctx, next.ID); err != nil {
			return err
		}
		old.ID = next.ID
	}
}

type acknowledges struct{ core.Store }

func (s acknowledges) Update(ctx context.Context, old, next core.Record) error {
	if rand.IntN(50) == 0 {
		return nil
	}
	return s.Store.Update(ctx, old, next)
}

type revives struct{ core.Store }

func (s revives) Update(ctx context.Context, old, next core.Record) error {
	err := s.Store.Update(ctx, old, next)
	if errors.Is(err, core.ErrNotFound) {
		return s.Create(ctx, next)
	}
	return err
}

// behind loads what was there one write before, now and then.
type behind struct {
	core.Store
	before sync.Map
}

func (s *behind) Update(ctx context.Context, old, next core.Record) error {
	err := s.Store.Update(ctx, old, next)
	if err == nil {
		s.before.Store(old.ID, old)
	}
	return err
}

func (s *behind) Load(ctx context.Context, id string) (core.Record, error) {
	if rec, ok := s.before.Load(id); ok && rand.IntN(10) == 0 {
		return rec.(core.Record), nil
	}
	return s.Store.Load(ctx, id)
}

// postpones deletes after the fifth load from then.
type postpones struct {
	core.Store
	mu    sync.Mutex
	later map[string]int
}

func (s *postpones) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.later == nil {
		s.later = make(map[string]int)
	}
	s.later[id] = 5
	return nil
}

func (s *postpones) Load(ctx context.Context, id string) (core.Record, error) {
	s.mu.Lock()
	n, ok := s.later[id]
	if ok {
		s.later[id] = n - 1
	}
	s.mu.Unlock()
	if ok && n == 0 {
		_ = s.Store.Delete(ctx, id)
	}
	return s.Store.Load(ctx, id)
}

// guesses says that a write was not applied when its reply was lost.
type guesses struct{ core.Store }

func (s guesses) Update(ctx context.Context, old, next core.Record) error {
	err := s.Store.Update(ctx, old, next)
	if err == nil && rand.IntN(50) == 0 {
		return &core.StoreError{Store: "guesses", Verb: "update", Outcome: core.NotApplied, Err: errNetwork}
	}
	return err
}

package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// brokenKeepers break one rule of an Update with KeepTTL each.
var brokenKeepers = []brokenStore{
	{"KeepTTL is no life at all", keepsAs(func(*full, store.Record) time.Duration { return 1 }), []string{
		"KeepTTL", "KeepTTLLoaded", "KeepTTLDoesNotShorten", "KeepTTLAfterLengtheningTouch", "InspectLifeAfterKeepTTL",
		"UpdateOrLoadKeepTTL", "UpdateOrLoadKeepTTLDoesNotShorten", "UpdateOrLoadKeepTTLConflict", "RemoveWrittenAfterKeepTTL",
	}},
	{"KeepTTL is for ever", keepsAs(func(*full, store.Record) time.Duration { return 1000 * time.Hour }), []string{
		"KeepTTLDoesNotLengthen", "KeepTTLAgainAndAgain", "KeepTTLAfterShorteningTouch", "RaceKeepTTLTouch", "InspectLifeAfterKeepTTL",
		"UpdateOrLoadKeepTTLDoesNotLengthen", "UpdateOrLoadKeepTTLAgainAndAgain", "RaceUpdateOrLoadKeepTTLTouch",
	}},
	{"KeepTTL adds a second", keepsAs(func(f *full, old store.Record) time.Duration { return f.left(old.ID) + time.Second }), []string{
		"KeepTTLDoesNotLengthen", "KeepTTLAgainAndAgain", "InspectLifeAfterKeepTTL",
		"UpdateOrLoadKeepTTLDoesNotLengthen", "UpdateOrLoadKeepTTLAgainAndAgain",
	}},
	{"KeepTTL takes a tenth of a second", keepsAs(func(f *full, old store.Record) time.Duration {
		return max(1, f.left(old.ID)-100*time.Millisecond)
	}), []string{"KeepTTLAgainAndAgain", "UpdateOrLoadKeepTTLAgainAndAgain"}},
	{"KeepTTL rounds to a minute", keepsAs(func(f *full, old store.Record) time.Duration {
		return max(time.Minute, f.left(old.ID).Round(time.Minute))
	}), []string{"KeepTTLDoesNotLengthen", "KeepTTLAgainAndAgain"}},
	{"KeepTTL of the same content changes no row", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		if bytes.Equal(old.Data, next.Data) {
			return errors.New("nothing was changed")
		}
		return f.Update(ctx, old, next)
	}), []string{"KeepTTLSameContent"}},
	{"KeepTTL is the life at the load", func(f *full) store.Store {
		keeps := keepsAs(func(f *full, old store.Record) time.Duration {
			if ends, ok := old.Token.(time.Time); ok {
				return max(1, time.Until(ends))
			}
			return f.left(old.ID)
		})(f).(*broken)
		keeps.load = func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			rec.Token = time.Now().Add(f.left(id))
			return rec, err
		}
		return keeps
	}, []string{"KeepTTLAfterLengtheningTouch", "KeepTTLAfterShorteningTouch"}},
	{"KeepTTL loads the life and then writes it", keepsAs(func(f *full, old store.Record) time.Duration {
		left := f.left(old.ID)
		pause()
		return max(1, left)
	}), []string{"RaceKeepTTLTouch", "RaceUpdateOrLoadKeepTTLTouch"}},
	{"KeepTTL looks and then writes", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		rec, ok := f.peek(old.ID)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !ok:
			return store.ErrNotFound
		case !same(rec, old):
			return store.ErrConflict
		}
		next.TTL = f.left(old.ID)
		pause()
		f.put(next)
		return nil
	}), []string{"RaceKeepTTL", "RaceKeepTTLDelete"}},
	{"KeepTTL creates", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		err := f.Update(ctx, old, next)
		if errors.Is(err, store.ErrNotFound) {
			next.TTL = time.Hour
			f.put(next)
		}
		return err
	}), []string{"KeepTTLUnknown", "KeepTTLDeleted", "KeepTTLExpired", "UpdateOrLoadKeepTTLExpired", "RaceKeepTTLDelete"}},
	{"KeepTTL finds expired records", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) (err error) {
		f.blindly(func(s *mapstore.Store) { err = s.Update(ctx, old, next) })
		return err
	}), []string{"KeepTTLExpired", "KeepTTLAgainAndAgain", "UpdateOrLoadKeepTTLExpired", "UpdateOrLoadKeepTTLAgainAndAgain"}},
	{"KeepTTL ignores what is stored", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		if rec, ok := f.peek(old.ID); ok {
			old = rec
		}
		return f.Update(ctx, old, next)
	}), []string{"KeepTTLConflict", "KeepTTLStale", "UpdateOrLoadKeepTTLConflict", "RaceKeepTTL"}},
	{"KeepTTL keeps the content too", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		_, err := f.Load(ctx, old.ID)
		return err
	}), []string{"KeepTTL", "KeepTTLLoaded", "UpdateOrLoadKeepTTL"}},
	{"KeepTTL is for good", func(f *full) store.Store {
		var kept sync.Map
		update := func(ctx context.Context, old, next store.Record) (store.Record, error) {
			if next.TTL == store.KeepTTL {
				kept.Store(next.ID, true)
			} else if _, ok := kept.Load(next.ID); ok {
				next.TTL = store.KeepTTL
			}
			return f.UpdateOrLoad(ctx, old, next)
		}
		return &broken{
			full:         f,
			updateOrLoad: update,
			update: func(ctx context.Context, old, next store.Record) error {
				_, err := update(ctx, old, next)
				return err
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				if _, ok := kept.Load(id); ok {
					_, err := f.Load(ctx, id)
					return err
				}
				return f.Touch(ctx, id, ttl)
			},
		}
	}, []string{"KeepTTLThenTouch", "KeepTTLThenUpdate"}},
	{"KeepTTL does not look at the context", onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		return f.Update(context.WithoutCancel(ctx), old, next)
	}), []string{"KeepTTLCancelled", "KeepTTLTimedOut"}},
}

// left returns what is left of the life of a record.
func (f *full) left(id string) time.Duration {
	for _, rec := range f.inspected([]string{id}) {
		return rec.TTL
	}
	return 1
}

// keepsAs is a store that takes another life for the one to keep.
func keepsAs(life func(f *full, old store.Record) time.Duration) func(*full) store.Store {
	return onKeepTTL(func(f *full, ctx context.Context, old, next store.Record) error {
		next.TTL = life(f, old)
		return f.Update(ctx, old, next)
	})
}

// onKeepTTL is a store that has its own way to update where the life is kept.
func onKeepTTL(update func(f *full, ctx context.Context, old, next store.Record) error) func(*full) store.Store {
	return func(f *full) store.Store {
		return &broken{
			full: f,
			update: func(ctx context.Context, old, next store.Record) error {
				if next.TTL == store.KeepTTL {
					return update(f, ctx, old, next)
				}
				return f.Update(ctx, old, next)
			},
			updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
				if next.TTL != store.KeepTTL {
					return f.UpdateOrLoad(ctx, old, next)
				}
				err := update(f, ctx, old, next)
				if errors.Is(err, store.ErrConflict) {
					newest, _ := f.peek(old.ID)
					return newest, err
				}
				return store.Record{}, err
			},
		}
	}
}

package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// brokenRemovers break one rule of store.Remover each.
var brokenRemovers = []brokenStore{
	{"Remove removes nothing", removes(func(f *full, ctx context.Context, old store.Record) error {
		_, err := f.Load(ctx, old.ID)
		return err
	}), []string{
		"Remove", "RemoveLoaded", "RemoveLoadedThenWritten", "RemoveLoadedAfterTouch", "RemoveWrittenAfterTouch", "RemoveTwice",
		"RemoveOddIDs", "RemoveThenUpdate", "RemoveThenTouch", "RemoveThenCreate", "RaceRemove", "RaceRemoveLoaded",
	}},
	{"Remove removes whatever is stored", removes(func(f *full, ctx context.Context, old store.Record) error {
		if rec, ok := f.peek(old.ID); ok {
			old = rec
		}
		return f.Remove(ctx, old)
	}), []string{
		"RemoveConflict", "RemoveConflictKeepsLife", "RemoveStale", "RemoveStaleAfterRecreation", "RemoveComparesWholeContent",
		"RemoveComparesBytesNotJSON", "RemoveOneMiB", "RaceRemoveUpdate", "ErrorsOfRemoveAreDiscreet",
	}},
	{"Remove compares the length", removesComparing(func(a, b []byte) bool { return len(a) == len(b) }), []string{"RemoveConflict", "RemoveComparesWholeContent"}},
	{"Remove compares without case", removesComparing(bytes.EqualFold), []string{"RemoveComparesWholeContent"}},
	{"Remove compares a beginning", removesComparing(bytes.HasPrefix), []string{"RemoveComparesWholeContent"}},
	{"Remove compares JSON", removesComparing(func(a, b []byte) bool { return bytes.Equal(remarshal(a), remarshal(b)) }), []string{"RemoveComparesBytesNotJSON"}},
	{"Remove compares the first 64 KiB", removesComparing(func(a, b []byte) bool {
		return bytes.Equal(a[:min(len(a), 1<<16)], b[:min(len(b), 1<<16)])
	}), []string{"RemoveOneMiB"}},
	{"Remove of a missing record is no error", removes(func(f *full, ctx context.Context, old store.Record) error {
		if err := f.Remove(ctx, old); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	}), []string{"RemoveUnknown", "RemoveDeleted", "RemoveTwice", "RemoveExpired", "RaceRemove", "RaceRemoveLoaded", "RaceRemoveCreate"}},
	{"Remove of a missing record is a conflict", removes(func(f *full, ctx context.Context, old store.Record) error {
		err := f.Remove(ctx, old)
		if errors.Is(err, store.ErrNotFound) {
			return store.ErrConflict
		}
		return err
	}), []string{"RemoveUnknown", "RemoveDeleted", "RemoveTwice", "RemoveExpired", "RaceRemove", "RaceRemoveDelete", "RaceRemoveCreate"}},
	{"Remove of other content finds nothing", removes(func(f *full, ctx context.Context, old store.Record) error {
		err := f.Remove(ctx, old)
		if errors.Is(err, store.ErrConflict) {
			return store.ErrNotFound
		}
		return err
	}), []string{"RemoveConflict", "RemoveStale", "RaceRemoveUpdate"}},
	{"Remove of other content is no error", removes(func(f *full, ctx context.Context, old store.Record) error {
		if err := f.Remove(ctx, old); !errors.Is(err, store.ErrConflict) {
			return err
		}
		return nil
	}), []string{"RemoveConflict", "RemoveStale", "RaceRemoveUpdate"}},
	{"Remove in vain shortens the life", removes(func(f *full, ctx context.Context, old store.Record) error {
		err := f.Remove(ctx, old)
		if errors.Is(err, store.ErrConflict) {
			f.Touch(ctx, old.ID, time.Millisecond)
		}
		return err
	}), []string{"RemoveConflictKeepsLife"}},
	{"Remove finds expired records", removes(func(f *full, ctx context.Context, old store.Record) (err error) {
		f.blindly(func(s *mapstore.Store) { err = s.Remove(ctx, old) })
		return err
	}), []string{"RemoveExpired"}},
	{"Remove looks and then deletes", removes(func(f *full, ctx context.Context, old store.Record) error {
		rec, ok := f.peek(old.ID)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !ok:
			return store.ErrNotFound
		case !same(rec, old):
			return store.ErrConflict
		}
		pause()
		return f.Delete(ctx, old.ID)
	}), []string{"RaceRemove", "RaceRemoveLoaded", "RaceRemoveUpdate"}},
	{"Remove deletes twice", removes(func(f *full, ctx context.Context, old store.Record) error {
		err := f.Remove(ctx, old)
		if errors.Is(err, store.ErrNotFound) {
			pause()
			f.Delete(ctx, old.ID)
		}
		return err
	}), []string{"RaceRemoveCreate"}},
	{"Remove gives way to a touch", func(f *full) store.Store {
		var touches atomic.Int64
		return &broken{
			full: f,
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				touches.Add(1)
				return f.Touch(ctx, id, ttl)
			},
			remove: func(ctx context.Context, old store.Record) error {
				before := touches.Load()
				pause()
				if touches.Load() > before {
					return store.ErrConflict
				}
				return f.Remove(ctx, old)
			},
		}
	}, []string{"RaceRemoveTouch"}},
	{"what was removed comes back", func(f *full) store.Store {
		var removed sync.Map
		restore := func(ctx context.Context, id string) {
			if rec, ok := removed.LoadAndDelete(id); ok {
				f.Create(ctx, rec.(store.Record))
			}
		}
		return &broken{
			full: f,
			remove: func(ctx context.Context, old store.Record) error {
				err := f.Remove(ctx, old)
				if err == nil {
					removed.Store(old.ID, store.Record{ID: old.ID, Data: old.Data, TTL: time.Hour})
				}
				return err
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				restore(ctx, id)
				return f.Touch(ctx, id, ttl)
			},
			update: func(ctx context.Context, old, next store.Record) error {
				restore(ctx, old.ID)
				return f.Update(ctx, old, next)
			},
		}
	}, []string{"RemoveThenUpdate", "RemoveThenTouch"}},
	{"what was removed keeps its id", func(f *full) store.Store {
		var removed sync.Map
		return &broken{
			full: f,
			remove: func(ctx context.Context, old store.Record) error {
				err := f.Remove(ctx, old)
				if err == nil {
					removed.Store(old.ID, true)
				}
				return err
			},
			create: func(ctx context.Context, rec store.Record) error {
				if _, ok := removed.Load(rec.ID); ok {
					return store.ErrExists
				}
				return f.Create(ctx, rec)
			},
		}
	}, []string{"RemoveThenCreate", "RemoveStaleAfterRecreation"}},
	{"Remove removes all records", removes(func(f *full, ctx context.Context, old store.Record) error {
		err := f.Remove(ctx, old)
		if err == nil {
			f.Clear(ctx)
		}
		return err
	}), []string{"RemoveLeavesOthersAlone", "RemoveOddIDs"}},
	{"Remove takes the id for a pattern", removes(func(f *full, ctx context.Context, old store.Record) error {
		err := f.Remove(ctx, old)
		for _, rec := range f.records() {
			if ok, _ := path.Match("*"+old.ID[len(old.ID)-1:], rec.ID); ok && err == nil {
				f.Delete(ctx, rec.ID)
			}
		}
		return err
	}), []string{"RemoveOddIDs"}},
	{"Remove is not supported but done", removes(func(f *full, ctx context.Context, old store.Record) error {
		f.Delete(ctx, old.ID)
		return errors.ErrUnsupported
	}), []string{"Remove"}},
	{"errors of Remove have the data", removes(func(f *full, ctx context.Context, old store.Record) error {
		return named(f.Remove(ctx, old), string(old.Data))
	}), []string{"ErrorsOfRemoveAreDiscreet", "RemoveUnknown", "RemoveConflict"}},
}

func removes(remove func(f *full, ctx context.Context, old store.Record) error) func(*full) store.Store {
	return func(f *full) store.Store {
		return &broken{full: f, remove: func(ctx context.Context, old store.Record) error { return remove(f, ctx, old) }}
	}
}

// removesComparing is a store whose Remove compares what is stored and what is
// expected to be by equal.
func removesComparing(equal func(stored, old []byte) bool) func(*full) store.Store {
	return removes(func(f *full, ctx context.Context, old store.Record) error {
		if rec, ok := f.peek(old.ID); ok && equal(rec.Data, old.Data) {
			old = rec
		}
		return f.Remove(ctx, old)
	})
}

package storetest_test

import (
	"context"
	"errors"
	"slices"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// createBatch is a CreateBatch of one Create for each record.
func createBatch(ctx context.Context, recs []store.Record, create func(context.Context, store.Record) error) (inUse []string, err error) {
	for _, rec := range recs {
		switch err := create(ctx, rec); {
		case errors.Is(err, store.ErrExists):
			inUse = append(inUse, rec.ID)
		case err != nil:
			return nil, err
		}
	}
	return inUse, nil
}

func (f *full) CreateBatch(ctx context.Context, recs []store.Record) (inUse []string, err error) {
	return createBatch(ctx, recs, f.Create)
}

// A brokenBatch has another CreateBatch.
type brokenBatch struct {
	*full
	batch func(ctx context.Context, recs []store.Record) ([]string, error)
}

func (b *brokenBatch) CreateBatch(ctx context.Context, recs []store.Record) ([]string, error) {
	return b.batch(ctx, recs)
}

// breakBatch returns a store whose CreateBatch does something else.
func breakBatch(batch func(f *full, ctx context.Context, recs []store.Record) ([]string, error)) func(f *full) store.Store {
	return func(f *full) store.Store {
		return &brokenBatch{f, func(ctx context.Context, recs []store.Record) ([]string, error) { return batch(f, ctx, recs) }}
	}
}

var brokenBatchCreators = []brokenStore{
	{"CreateBatch writes over what there is", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		for _, rec := range recs {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			f.put(rec)
		}
		return nil, nil
	}), []string{"CreateBatchExists", "RaceCreateBatch"}},
	{"CreateBatch says nothing of ids in use", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		_, err := f.CreateBatch(ctx, recs)
		return nil, err
	}), []string{"CreateBatchExists", "RaceCreateBatch"}},
	{"CreateBatch stops at an id in use", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		for _, rec := range recs {
			if err := f.Create(ctx, rec); errors.Is(err, store.ErrExists) {
				return []string{rec.ID}, nil
			} else if err != nil {
				return nil, err
			}
		}
		return nil, nil
	}), []string{"CreateBatchExists"}},
	{"CreateBatch fails where an id is in use", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		for _, rec := range recs {
			if err := f.Create(ctx, rec); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}), []string{"CreateBatchExists", "RaceCreateBatch"}},
	{"CreateBatch takes an expired record for one in use", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		return createBatch(ctx, recs, func(ctx context.Context, rec store.Record) error {
			var err error
			f.blindly(func(s *mapstore.Store) { _, err = s.Load(ctx, rec.ID) })
			if err == nil {
				return store.ErrExists
			}
			return f.Create(ctx, rec)
		})
	}), []string{"CreateBatchOverExpired"}},
	{"CreateBatch has room for 256", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		return f.CreateBatch(ctx, recs[:min(len(recs), 256)])
	}), []string{"CreateBatch"}},
	{"CreateBatch gives all the same life", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		recs = slices.Clone(recs)
		for i := range recs {
			recs[i].TTL = recs[len(recs)-1].TTL
		}
		return f.CreateBatch(ctx, recs)
	}), []string{"CreateBatchSetsLives", "CreateBatchForOneNanosecond"}},
	{"CreateBatch keeps the slices", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		recs = slices.Clone(recs)
		for i := range recs {
			recs[i].Shared = true
		}
		return f.CreateBatch(ctx, recs)
	}), []string{"CreateBatchKeepsNoSlice"}},
	{"CreateBatch looks at no context", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		return f.CreateBatch(context.WithoutCancel(ctx), recs)
	}), []string{"CreateBatchCancelled", "CreateBatchTimedOut"}},
	{"CreateBatch looks first and then writes", breakBatch(func(f *full, ctx context.Context, recs []store.Record) (inUse []string, err error) {
		for _, rec := range recs {
			if _, err := f.Load(ctx, rec.ID); err == nil {
				inUse = append(inUse, rec.ID)
			} else if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		pause()
		for _, rec := range recs {
			if !slices.Contains(inUse, rec.ID) {
				f.put(rec)
			}
		}
		return inUse, nil
	}), []string{"RaceCreateBatch"}},
	{"CreateBatch wants records", breakBatch(func(f *full, ctx context.Context, recs []store.Record) ([]string, error) {
		if len(recs) == 0 {
			return nil, errors.New("nothing to create")
		}
		return f.CreateBatch(ctx, recs)
	}), []string{"CreateBatchOfNone"}},
}

package interleavings

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A broken store breaks the contract of store.Store in one way, for the requests
// but not for the test.
type broken struct {
	*memorystore.Store
	load    func(ctx context.Context, id string) (store.Record, error)
	update  func(ctx context.Context, old, next store.Record) (store.Record, error)
	replace func(ctx context.Context, old, retired, next store.Record) error
	touch   func(ctx context.Context, id string, ttl time.Duration) error
	remove  func(ctx context.Context, id string) error

	removeAny bool // whatever it holds
}

func (b broken) Load(ctx context.Context, id string) (store.Record, error) {
	if b.load != nil && ctx.Value(whoKey{}) != nil {
		return b.load(ctx, id)
	}
	return b.Store.Load(ctx, id)
}

func (b broken) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	if b.update != nil {
		return b.update(ctx, old, next)
	}
	return b.Store.UpdateOrLoad(ctx, old, next)
}

func (b broken) Update(ctx context.Context, old, next store.Record) error {
	_, err := b.UpdateOrLoad(ctx, old, next)
	return err
}

func (b broken) Replace(ctx context.Context, old, retired, next store.Record) error {
	if b.replace != nil {
		return b.replace(ctx, old, retired, next)
	}
	return b.Store.Replace(ctx, old, retired, next)
}

func (b broken) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if b.touch != nil {
		return b.touch(ctx, id, ttl)
	}
	return b.Store.Touch(ctx, id, ttl)
}

func (b broken) Delete(ctx context.Context, id string) error {
	if b.remove != nil && ctx.Value(whoKey{}) != nil {
		return b.remove(ctx, id)
	}
	return b.Store.Delete(ctx, id)
}

// Remove is in two steps: no request comes in between, because of the gate.
func (b broken) Remove(ctx context.Context, old store.Record) error {
	if !b.removeAny {
		rec, err := b.Load(ctx, old.ID)
		if err != nil {
			return err
		}
		if !bytes.Equal(rec.Data, old.Data) {
			return store.ErrConflict
		}
	}
	return b.Delete(ctx, old.ID)
}

var brokenStores = map[string]func(b *broken){
	"the last writer wins": func(b *broken) {
		b.update = func(ctx context.Context, old, next store.Record) (store.Record, error) {
			newest, err := b.Store.UpdateOrLoad(ctx, old, next)
			if errors.Is(err, store.ErrConflict) {
				newest.ID = old.ID
				err = b.Store.Update(ctx, newest, next)
			}
			return store.Record{}, err
		}
	},
	"an update brings back what is gone": func(b *broken) {
		b.update = func(ctx context.Context, old, next store.Record) (store.Record, error) {
			newest, err := b.Store.UpdateOrLoad(ctx, old, next)
			if errors.Is(err, store.ErrNotFound) {
				err = b.Create(ctx, next)
			}
			return newest, err
		}
	},
	"a touch brings back what is gone": func(b *broken) {
		var mu sync.Mutex
		gone := make(map[string]store.Record)
		b.remove = func(ctx context.Context, id string) error {
			mu.Lock()
			defer mu.Unlock()
			if rec, err := b.Store.Load(ctx, id); err == nil {
				rec.ID = id
				gone[id] = rec
			}
			return b.Store.Delete(ctx, id)
		}
		b.touch = func(ctx context.Context, id string, ttl time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			if rec, ok := gone[id]; ok {
				rec.TTL = ttl
				return b.Create(ctx, rec)
			}
			return b.Store.Touch(ctx, id, ttl)
		}
	},
	"a replaced session is still there": func(b *broken) {
		b.replace = func(ctx context.Context, _, _, next store.Record) error { return b.Create(ctx, next) }
	},
	"whatever is stored is replaced": func(b *broken) {
		b.replace = func(ctx context.Context, old, retired, next store.Record) error {
			err := b.Store.Replace(ctx, old, retired, next)
			if errors.Is(err, store.ErrConflict) {
				newest, _ := b.Store.Load(ctx, old.ID)
				newest.ID = old.ID
				err = b.Store.Replace(ctx, newest, retired, next)
			}
			return err
		}
	},
	"a session is deleted whatever it is by then": func(b *broken) { b.removeAny = true },
	"a delete does nothing": func(b *broken) {
		b.remove = func(_ context.Context, _ string) error { return nil }
	},
	"what is gone can still be loaded": func(b *broken) {
		var mu sync.Mutex
		gone := make(map[string]store.Record)
		b.remove = func(ctx context.Context, id string) error {
			mu.Lock()
			defer mu.Unlock()
			if rec, err := b.Store.Load(ctx, id); err == nil {
				gone[id] = rec
			}
			return b.Store.Delete(ctx, id)
		}
		b.load = func(ctx context.Context, id string) (store.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			if rec, ok := gone[id]; ok {
				return rec, nil
			}
			return b.Store.Load(ctx, id)
		}
	},
	"a touch does nothing": func(b *broken) {
		b.touch = func(context.Context, string, time.Duration) error { return nil }
	},
	"a conflict is no error": func(b *broken) {
		b.update = func(ctx context.Context, old, next store.Record) (store.Record, error) {
			newest, err := b.Store.UpdateOrLoad(ctx, old, next)
			if errors.Is(err, store.ErrConflict) {
				err = nil
			}
			return newest, err
		}
	},
}

// TestBrokenStoresAreFound shows that this test can fail.
func TestBrokenStoresAreFound(t *testing.T) {
	for name, breaks := range brokenStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := func() openStore {
				b := &broken{Store: memory().(*memorystore.Store)}
				breaks(b)
				return b
			}
			orders, found := 0, ""
			s := setting{kind: full, processes: 2}
			if name == "a touch does nothing" {
				s.timing = due
			}
			everyOrder(t, s, pairs(ops), open, apartIn(s), func(r result) bool {
				orders++
				if r.err != nil {
					found = r.play.String() + ": " + r.order.String() + ": " + r.outcome.String()
				}
				return r.err == nil
			})
			if found == "" {
				t.Fatalf("not found in %d orders", orders)
			}
			t.Logf("found in order %d: %s", orders, found)
		})
	}
}

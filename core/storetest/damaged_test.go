package storetest_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
)

// A damageable is a store under whose ids there may be something that is no record:
// that is kept as a record whose data says so.
type damageable struct {
	full
	others sync.Map // by id
}

func (d *damageable) damage(id string) { d.others.Store(id, true) }

func (d *damageable) isDamaged(id string) bool {
	_, is := d.others.Load(id)
	return is
}

// sound returns the store as it has to be.
func (d *damageable) sound() *broken {
	f := &d.full
	return &broken{
		full: f,
		load: func(ctx context.Context, id string) (store.Record, error) {
			if d.isDamaged(id) {
				return store.Record{}, store.ErrUndecodable
			}
			return f.Load(ctx, id)
		},
		update: func(ctx context.Context, old, next store.Record) error {
			if d.isDamaged(old.ID) {
				return store.ErrConflict
			}
			return f.Update(ctx, old, next)
		},
		updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			if d.isDamaged(old.ID) {
				return store.Record{}, store.ErrConflict
			}
			return f.UpdateOrLoad(ctx, old, next)
		},
		delete: func(ctx context.Context, id string) error {
			d.others.Delete(id)
			return f.Delete(ctx, id)
		},
		remove: func(ctx context.Context, old store.Record) error {
			if d.isDamaged(old.ID) {
				return store.ErrConflict
			}
			return f.Remove(ctx, old)
		},
		replace: func(ctx context.Context, old, retired, next store.Record) error {
			if d.isDamaged(old.ID) {
				return store.ErrConflict
			}
			return f.Replace(ctx, old, retired, next)
		},
		all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) {
				for rec, err := range f.All(ctx) {
					if !d.isDamaged(rec.ID) && !yield(rec, err) {
						return
					}
				}
			}
		},
		count: func(ctx context.Context) (int, error) {
			n, err := f.Count(ctx)
			d.others.Range(func(any, any) bool { n--; return true })
			return n, err
		},
		clear: func(ctx context.Context) error {
			for rec, err := range f.All(ctx) {
				if err != nil {
					return err
				}
				if !d.isDamaged(rec.ID) {
					if err := f.Delete(ctx, rec.ID); err != nil {
						return err
					}
				}
			}
			return nil
		},
		inspect: func(ctx context.Context, ids []string) (found []store.Record, err error) {
			all, err := f.Inspect(ctx, ids)
			for _, rec := range all {
				if !d.isDamaged(rec.ID) {
					found = append(found, rec)
				}
			}
			return found, err
		},
	}
}

func TestDamagedStore(t *testing.T) {
	storetest.RunDamaged(t, func(*testing.T) (store.Store, func(string)) {
		d := new(damageable)
		return d.sound(), d.damage
	})
}

// brokenWhenDamaged break one rule each about what is no record.
var brokenWhenDamaged = []struct {
	name  string
	spoil func(d *damageable, b *broken)
	fails []string
}{
	{"Load fails", func(d *damageable, b *broken) {
		b.load = func(ctx context.Context, id string) (store.Record, error) {
			if d.isDamaged(id) {
				return store.Record{}, &store.Error{Store: "broken", Verb: "load", Class: "odd"}
			}
			return d.Load(ctx, id)
		}
	}, []string{"DamagedLoad", "DamagedCreate", "DamagedUpdate"}},
	{"Load removes what is no record", func(d *damageable, b *broken) {
		load := b.load
		b.load = func(ctx context.Context, id string) (store.Record, error) {
			rec, err := load(ctx, id)
			if errors.Is(err, store.ErrUndecodable) {
				_ = b.delete(ctx, id)
			}
			return rec, err
		}
	}, []string{"DamagedLoad"}},
	{"Create overwrites what is no record", func(d *damageable, b *broken) {
		b.create = func(ctx context.Context, rec store.Record) error {
			if d.isDamaged(rec.ID) {
				return b.delete(ctx, rec.ID)
			}
			return d.Create(ctx, rec)
		}
	}, []string{"DamagedCreate"}},
	{"the verbs with old overwrite or fail", func(d *damageable, b *broken) {
		b.update = d.Update
		b.updateOrLoad = d.UpdateOrLoad
		b.remove = d.Remove
		b.replace = d.Replace
	}, []string{"DamagedUpdate", "DamagedUpdateOrLoad", "DamagedRemove", "DamagedReplace"}},
	{"Delete leaves what is no record", func(d *damageable, b *broken) {
		b.delete = d.Delete
	}, []string{"DamagedDelete"}},
	{"walks yield what is no record", func(d *damageable, b *broken) {
		b.all, b.inspect = nil, nil
	}, []string{"DamagedList", "DamagedInspect"}},
	{"what is no record is counted, and cleared", func(d *damageable, b *broken) {
		b.count = nil
		b.clear = func(ctx context.Context) error {
			d.others.Clear()
			return d.Clear(ctx)
		}
	}, []string{"DamagedCount", "DamagedClear"}},
	{"walks fail at what is no record", func(d *damageable, b *broken) {
		b.all = func(context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) { yield(store.Record{}, store.ErrUndecodable) }
		}
		b.inspect = func(context.Context, []string) ([]store.Record, error) { return nil, store.ErrUndecodable }
	}, []string{"DamagedList", "DamagedInspect"}},
}

func TestStoresThatAreBrokenWhenDamaged(t *testing.T) {
	proven := make(map[string]bool)
	for _, b := range brokenWhenDamaged {
		failures := storetest.FailuresOfDamaged(t, func() (store.Store, func(string)) {
			d := new(damageable)
			s := d.sound()
			b.spoil(d, s)
			return s, d.damage
		})
		for _, name := range b.fails {
			proven[name] = true
			if failures[name] == "" {
				t.Errorf("%s: case %s passes", b.name, name)
			}
		}
	}
	for _, name := range storetest.DamagedCases() {
		if !proven[name] {
			t.Errorf("case %s: no broken store fails it", name)
		}
	}
}

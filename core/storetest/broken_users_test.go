package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// brokenUserIndexers break one rule of store.UserIndexer each.
var brokenUserIndexers = []brokenStore{
	{"UserIndex returns another store each time", func(f *full) store.Store {
		return &broken{full: f, userIndex: func() store.Store { return new(full) }}
	}, []string{"UserIndexIsOne", "UserIndexIsNotCleared"}},
	{"lists are kept among the sessions", func(f *full) store.Store {
		return &broken{full: f, userIndex: func() store.Store { return f }}
	}, []string{
		"UserIndexHasItsOwnIDs", "UserIndexIsNotListed", "UserIndexIsNotCounted", "UserIndexIsNotCleared", "UserIndexClearedAlone",
		"InspectNoLists",
	}},
	{"all stores share their lists", func(f *full) store.Store {
		return &broken{full: f, userIndex: func() store.Store { return sharedLists }}
	}, []string{"UserIndexOfAnotherStore"}},
	{"Clear of the lists ends the sessions", func(f *full) store.Store {
		return &broken{full: f, userIndex: func() store.Store {
			lists := f.UserIndex().(*full)
			return &broken{full: lists, clear: func(ctx context.Context) error {
				return errors.Join(lists.Clear(ctx), f.Clear(ctx))
			}}
		}}
	}, []string{"UserIndexClearedAlone"}},
	{"Clear ends the lists too", func(f *full) store.Store {
		return &broken{full: f, clear: func(ctx context.Context) error {
			return errors.Join(f.Clear(ctx), f.UserIndex().(*full).Clear(ctx))
		}}
	}, []string{"UserIndexIsNotCleared"}},
	{"Count counts the lists too", func(f *full) store.Store {
		return &broken{full: f, count: func(ctx context.Context) (int, error) {
			return len(f.records()) + len(f.UserIndex().(*full).records()), ctx.Err()
		}}
	}, []string{"UserIndexIsNotCounted"}},

	{"Inspect of nothing is of all", inspects(func(f *full, ids []string) []store.Record {
		if len(ids) == 0 {
			return f.inspected(f.allIDs())
		}
		return f.inspected(ids)
	}), []string{"InspectNone"}},
	{"Inspect returns one record", inspects(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		return found[:min(1, len(found))]
	}), []string{"InspectSome", "InspectMany", "InspectTwice", "InspectOddIDs", "InspectDeleted", "InspectExpired", "InspectUnknown"}},
	{"Inspect returns at most a hundred", inspects(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		return found[:min(100, len(found))]
	}), []string{"InspectMany"}},
	{"Inspect returns a record as often as it is asked for", inspects(func(f *full, ids []string) (found []store.Record) {
		for _, id := range ids {
			found = append(found, f.inspected([]string{id})...)
		}
		return found
	}), []string{"InspectTwice"}},
	{"Inspect takes an id for a pattern", inspects(func(f *full, ids []string) (found []store.Record) {
		return f.inspected(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return strings.ContainsAny(id, "*?[{$") }))
	}), []string{"InspectOddIDs"}},
	{"Inspect returns a record for every id", inspects(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		for _, id := range ids {
			if !slices.ContainsFunc(found, func(rec store.Record) bool { return rec.ID == id }) {
				found = append(found, store.Record{ID: id, TTL: time.Hour})
			}
		}
		return found
	}), []string{"InspectUnknown", "InspectDeleted", "InspectExpired", "InspectNoLists", "InspectShortLife"}},
	{"Inspect returns nothing where one is missing", inspects(func(f *full, ids []string) []store.Record {
		if found := f.inspected(ids); len(found) == len(ids) {
			return found
		}
		return nil
	}), []string{"InspectUnknown", "InspectDeleted", "InspectExpired"}},
	{"Inspect returns expired records", func(f *full) store.Store {
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) (found []store.Record, err error) {
			f.blindly(func(s *mapstore.Store) {
				for _, rec := range s.Records() {
					if slices.Contains(ids, rec.ID) {
						rec.TTL -= time.Minute
						found = append(found, rec)
					}
				}
			})
			return found, ctx.Err()
		}}
	}, []string{"InspectExpired", "InspectShortLife"}},
	{"Inspect answers from a cache", func(f *full) store.Store {
		var cache sync.Map
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) (found []store.Record, err error) {
			for _, id := range ids {
				rec, ok := cache.Load(id)
				if !ok {
					for _, fresh := range f.inspected([]string{id}) {
						cache.Store(id, fresh)
						rec, ok = fresh, true
					}
				}
				if ok {
					found = append(found, rec.(store.Record))
				}
			}
			return found, ctx.Err()
		}}
	}, []string{"InspectNewestContent", "InspectLifeAfterTouch", "RaceInspect"}},
	{"Inspect finds lists", func(f *full) store.Store {
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) ([]store.Record, error) {
			return append(f.inspected(ids), f.UserIndex().(*full).inspected(ids)...), ctx.Err()
		}}
	}, []string{"InspectNoLists"}},
	{"Inspect tells no life", lives(func(time.Duration) time.Duration { return 0 }), []string{"InspectSome", "InspectLife"}},
	{"Inspect says that a life is longer than it is", lives(func(d time.Duration) time.Duration { return d + time.Second }), []string{
		"InspectLife", "InspectLifeAfterTouch", "InspectLifeAfterUpdate", "InspectShortLife",
	}},
	{"Inspect says that a life is shorter than it is", lives(func(d time.Duration) time.Duration { return max(d-5*time.Second, 1) }), []string{
		"InspectLife", "InspectLifeAfterTouch", "InspectLifeAfterUpdate",
	}},
	{"Inspect tells the life that was given first", func(f *full) store.Store {
		var first sync.Map
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) ([]store.Record, error) {
			found := f.inspected(ids)
			for i := range found {
				life, _ := first.LoadOrStore(found[i].ID, found[i].TTL.Round(time.Minute))
				found[i].TTL = life.(time.Duration)
			}
			return found, ctx.Err()
		}, create: func(ctx context.Context, rec store.Record) error {
			first.Store(rec.ID, rec.TTL)
			return f.Create(ctx, rec)
		}}
	}, []string{"InspectLifeAfterTouch", "InspectLifeAfterUpdate"}},
	{"Inspect extends what it finds", func(f *full) store.Store {
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) ([]store.Record, error) {
			found := f.inspected(ids)
			for _, rec := range found {
				f.Touch(ctx, rec.ID, time.Hour)
			}
			return found, ctx.Err()
		}}
	}, []string{"InspectIsNoTouch", "InspectShortLife"}},
	{"Inspect removes what it finds", func(f *full) store.Store {
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) ([]store.Record, error) {
			found := f.inspected(ids)
			for _, rec := range found {
				f.Delete(ctx, rec.ID)
			}
			return found, ctx.Err()
		}}
	}, []string{"InspectIsNoTouch", "InspectedRecordsCanBeUpdated"}},
	{"Inspect returns data in another spelling", inspects(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		for i := range found {
			found[i].Data = append([]byte(" "), found[i].Data...)
		}
		return found
	}), []string{"InspectSome", "InspectedRecordsCanBeUpdated"}},
	{"Inspect hands out bytes that are used again", reusesBytes, []string{"InspectedBytesSurvive"}},
	{"Inspect does not look at the context", ignoresContexts, []string{"InspectCancelled", "InspectTimedOut"}},
}

var sharedLists = new(full)

func inspects(what func(f *full, ids []string) []store.Record) func(*full) store.Store {
	return func(f *full) store.Store {
		return &broken{full: f, inspect: func(ctx context.Context, ids []string) ([]store.Record, error) {
			return what(f, ids), ctx.Err()
		}}
	}
}

// lives is a store whose Inspect says something else about lives.
func lives(to func(time.Duration) time.Duration) func(*full) store.Store {
	return inspects(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		for i := range found {
			found[i].TTL = to(found[i].TTL)
		}
		return found
	})
}

func (f *full) inspected(ids []string) []store.Record {
	found, err := f.Inspect(context.Background(), ids)
	if err != nil {
		panic(err)
	}
	return found
}

func (f *full) allIDs() (ids []string) {
	for _, rec := range f.records() {
		ids = append(ids, rec.ID)
	}
	return ids
}

package storetest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// written is what full tells an update as.
func written(next store.Record) string {
	if next.TTL == store.KeepTTL {
		return "keepttl"
	}
	return "update"
}

// tell tells what a verb did to a record, or to all where there is no id, and returns err.
func (f *full) tell(verb, id string, err error) error {
	if err != nil {
		return err
	}
	f.watchMu.Lock()
	defer f.watchMu.Unlock()
	for _, w := range f.watches {
		w.tell(verb, id)
	}
	return nil
}

func (f *full) Watch(changed func(ids ...string)) store.Watch {
	return f.watchAs(&fullWatch{full: f, changed: changed})
}

func (f *full) watchAs(w *fullWatch) *fullWatch {
	f.watchMu.Lock()
	defer f.watchMu.Unlock()
	f.watches = append(f.watches, w)
	return w
}

// A fullWatch is the Watch of full. What is set besides breaks a rule.
type fullWatch struct {
	*full
	changed func(ids ...string)
	silent  func(verb, id string) bool
	inspect func(ctx context.Context, ids []string) ([]store.Record, error)
	close   func()
}

func (w *fullWatch) tell(verb, id string) {
	switch {
	case w.silent != nil && w.silent(verb, id):
	case id == "":
		w.changed()
	default:
		w.changed(id)
	}
}

func (w *fullWatch) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if w.inspect != nil {
		return w.inspect(ctx, ids)
	}
	return w.full.Inspect(ctx, ids)
}

func (w *fullWatch) Close() {
	if w.close != nil {
		w.close()
		return
	}
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	w.watches = slices.DeleteFunc(w.watches, func(other *fullWatch) bool { return other == w })
}

func (b *broken) Watch(changed func(ids ...string)) store.Watch {
	if b.watch != nil {
		return b.watch(changed)
	}
	return b.full.Watch(changed)
}

// watches is a store whose watches are what change makes of sound ones.
func watches(change func(f *full, w *fullWatch)) func(*full) store.Store {
	return func(f *full) store.Store {
		return &broken{full: f, watch: func(changed func(ids ...string)) store.Watch {
			w := &fullWatch{full: f, changed: changed}
			change(f, w)
			return f.watchAs(w)
		}}
	}
}

// untold is a store that does not tell of some verbs.
func untold(verbs ...string) func(*full) store.Store {
	return watches(func(_ *full, w *fullWatch) {
		w.silent = func(verb, _ string) bool { return slices.Contains(verbs, verb) }
	})
}

// seen is a store of whose Inspect of a Watch the result is another.
func seen(what func(f *full, ids []string) []store.Record) func(*full) store.Store {
	return watches(func(f *full, w *fullWatch) {
		w.inspect = func(ctx context.Context, ids []string) ([]store.Record, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return what(f, ids), nil
		}
	})
}

// brokenWatchers break one rule of store.Watcher each.
var brokenWatchers = []brokenStore{
	{"an update is not told", untold("update"), []string{"WatchTellsUpdate", "WatchTellsOfEach", "WatchTellsAgain"}},
	{"an update that keeps the life is not told", untold("keepttl"), []string{"WatchTellsKeepTTL"}},
	{"Touch is not told", untold("touch"), []string{"WatchTellsTouch"}},
	{"Delete is not told", untold("delete"), []string{"WatchTellsDelete", "WatchTellsOddIDs", "WatchTellsEveryWatch"}},
	{"Remove is not told", untold("remove"), []string{"WatchTellsRemove"}},
	{"Replace is not told", untold("replace"), []string{"WatchTellsReplace"}},
	{"Clear is not told", untold("clear"), []string{"WatchTellsClear"}},
	{"one record is told of, and no other", watches(func(_ *full, w *fullWatch) {
		var first sync.Map
		w.silent = func(_, id string) bool {
			if _, told := first.LoadOrStore("", id); told {
				known, _ := first.Load("")
				return known != id
			}
			return false
		}
	}), []string{"WatchTellsOfEach", "WatchTellsOddIDs"}},
	{"a record is told of once, and never again", watches(func(_ *full, w *fullWatch) {
		var told sync.Map
		w.silent = func(_, id string) bool {
			_, before := told.LoadOrStore(id, true)
			return before
		}
	}), []string{"WatchTellsAgain"}},
	{"ids are told as if letters were all small", watches(func(_ *full, w *fullWatch) {
		changed := w.changed
		w.changed = func(ids ...string) {
			for _, id := range ids {
				changed(strings.ToLower(id))
			}
		}
	}), []string{"WatchTellsOddIDs"}},
	{"a new watch takes the place of those before it", watches(func(f *full, _ *fullWatch) {
		f.watchMu.Lock()
		defer f.watchMu.Unlock()
		f.watches = nil
	}), []string{"WatchTellsEveryWatch"}},
	{"Close does not end a watch", watches(func(_ *full, w *fullWatch) { w.close = func() {} }), []string{"WatchClosedTellsNothing"}},
	{"Close ends all watches", watches(func(f *full, w *fullWatch) {
		w.close = func() {
			f.watchMu.Lock()
			defer f.watchMu.Unlock()
			f.watches = nil
		}
	}), []string{"WatchClosedLeavesOthers"}},
	{"what happens between the reading and the watching is lost", watches(func(f *full, w *fullWatch) {
		var watched sync.Map
		w.silent = func(_, id string) bool {
			_, told := watched.LoadAndDelete(id)
			return !told
		}
		w.inspect = func(ctx context.Context, ids []string) ([]store.Record, error) {
			found, err := f.Inspect(ctx, ids)
			time.Sleep(time.Millisecond)
			for _, id := range ids {
				watched.Store(id, true)
			}
			return found, err
		}
	}), []string{"RaceWatch"}},

	{"a watch reads a record once, and remembers it", watches(func(f *full, w *fullWatch) {
		var cache sync.Map
		w.inspect = func(ctx context.Context, ids []string) (found []store.Record, err error) {
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
		}
	}), []string{"WatchReadsNewestContent", "WatchReadsLife", "WatchTellsAgain", "WatchClosedLeavesOthers"}},
	{"a watch returns a record as often as it is asked for", seen(func(f *full, ids []string) (found []store.Record) {
		for _, id := range ids {
			found = append(found, f.inspected([]string{id})...)
		}
		return found
	}), []string{"WatchReads"}},
	{"a watch reads a hundred records at most", seen(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		return found[:min(100, len(found))]
	}), []string{"WatchReadsMany"}},
	{"a watch says that a life is longer than it is", seen(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		for i := range found {
			found[i].TTL += time.Second
		}
		return found
	}), []string{"WatchReadsLife"}},
	{"a watch extends what it reads", seen(func(f *full, ids []string) []store.Record {
		found := f.inspected(ids)
		for _, rec := range found {
			_ = f.Touch(context.Background(), rec.ID, time.Hour)
		}
		return found
	}), []string{"WatchIsNoTouch"}},
	{"a watch does not look at the context", watches(func(f *full, w *fullWatch) {
		w.inspect = func(_ context.Context, ids []string) ([]store.Record, error) { return f.inspected(ids), nil }
	}), []string{"WatchCancelled", "WatchTimedOut"}},
}

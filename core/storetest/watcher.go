package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Inspect of a Watch returns records, and what happens to one of them next is told. A
// store whose server cannot tell says so at the first Inspect, and its cases are skipped.
var watcherCases = []testCase{
	{"WatchReads", watchReads},
	{"WatchReadsNewestContent", watchReadsNewestContent},
	{"WatchReadsLife", watchReadsLife},
	{"WatchReadsMany", watchReadsMany},
	{"WatchIsNoTouch", watchIsNoTouch},
	{"WatchTellsUpdate", watchTells(func(c *check, rec store.Record) { c.update(rec, with(rec, c.data("next"))) })},
	{"WatchTellsKeepTTL", watchTells(func(c *check, rec store.Record) {
		c.update(rec, lasting(with(rec, c.data("next")), store.KeepTTL))
	})},
	{"WatchTellsTouch", watchTells(func(c *check, rec store.Record) {
		c.answers("Touch", c.store.Touch(c.Context(), rec.ID, time.Minute), nil)
	})},
	{"WatchTellsDelete", watchTells(func(c *check, rec store.Record) {
		c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	})},
	{"WatchTellsRemove", watchTells(func(c *check, rec store.Record) {
		remover, ok := c.store.(store.Remover)
		if !ok {
			c.Skipf("the store is no Remover")
		}
		err := remover.Remove(c.Context(), rec)
		if errors.Is(err, errors.ErrUnsupported) {
			err = c.store.Delete(c.Context(), rec.ID)
		}
		c.answers("Remove", err, nil)
	})},
	{"WatchTellsReplace", watchTells(func(c *check, rec store.Record) {
		replacer, ok := c.store.(store.Replacer)
		if !ok {
			c.Skipf("the store is no Replacer")
		}
		retired := with(rec, c.data("retired"))
		err := replacer.Replace(c.Context(), rec, retired, c.record("next"))
		if errors.Is(err, errors.ErrUnsupported) {
			err = c.store.Update(c.Context(), rec, retired)
		}
		c.answers("Replace", err, nil)
	})},
	{"WatchTellsClear", watchTells(func(c *check, _ store.Record) {
		clearer, ok := c.store.(store.Clearer)
		if !ok {
			c.Skipf("the store is no Clearer")
		}
		c.answers("Clear", clearer.Clear(c.Context()), nil)
	})},
	{"WatchTellsOfEach", watchTellsOfEach},
	{"WatchTellsAgain", watchTellsAgain},
	{"WatchTellsOddIDs", watchTellsOddIDs},
	{"WatchTellsEveryWatch", watchTellsEveryWatch},
	{"WatchClosedTellsNothing", watchClosedTellsNothing},
	{"WatchClosedLeavesOthers", watchClosedLeavesOthers},
	{"WatchCancelled", watchDone(cancelled)},
	{"WatchTimedOut", watchDone(timedOut)},
	{"RaceWatch", raceWatch},
}

// A watching is a Watch, and what it was told.
type watching struct {
	store.Watch
	c *check

	mu   sync.Mutex
	all  bool // something may have happened to any
	told map[string]bool
	news chan struct{} // has a value where there is something new
}

// watch watches the store. What is not closed by the case is, at its end.
func (c *check) watch() *watching {
	w := &watching{c: c, told: make(map[string]bool), news: make(chan struct{}, 1)}
	w.Watch = c.store.(store.Watcher).Watch(func(ids ...string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, id := range ids {
			w.told[id] = true
		}
		w.all = w.all || len(ids) == 0
		select {
		case w.news <- struct{}{}:
		default:
		}
	})
	return w
}

// inspect inspects the ids of some records, of which those wanted are there.
func (w *watching) inspect(of, want []store.Record) map[string]time.Duration {
	w.c.Helper()
	ids := make([]string, len(of))
	for i, rec := range of {
		ids[i] = rec.ID
	}
	found, err := w.Inspect(w.c.Context(), ids)
	if errors.Is(err, errors.ErrUnsupported) {
		w.Close()
		w.c.Skipf("the storage cannot tell: %v", err)
	}
	w.c.answers("Inspect of a Watch", err, nil)
	lives := make(map[string]time.Duration)
	for _, rec := range found {
		i := slices.IndexFunc(want, func(w store.Record) bool { return w.ID == rec.ID })
		_, again := lives[rec.ID]
		if i < 0 || again || rec.TTL <= 0 {
			w.c.Fatalf("Inspect of a Watch returned the record of %q with %v left, wanted: %v, returned before: %v", rec.ID, rec.TTL, i >= 0, again)
		}
		w.c.same("Inspect of a Watch", rec, want[i])
		lives[rec.ID] = rec.TTL
	}
	if len(lives) < len(want) {
		w.c.Fatalf("Inspect of a Watch returned %d records, want %d", len(lives), len(want))
	}
	return lives
}

// knows reports whether it was told that something may have happened to a record since
// the last time.
func (w *watching) knows(rec store.Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told[rec.ID] || w.all
	delete(w.told, rec.ID)
	w.all = false
	return told
}

// hears waits until it is told of a record.
func (w *watching) hears(rec store.Record) {
	w.c.Helper()
	end := time.After(w.c.patience)
	for !w.knows(rec) {
		select {
		case <-w.news:
		case <-end:
			w.c.Fatalf("a Watch was not told of %q within %v", rec.ID, w.c.patience)
		}
	}
}

// watchTells is the case that something which is done to a record is told.
func watchTells(do func(c *check, rec store.Record)) func(c *check) {
	return func(c *check) {
		w, rec := c.watch(), c.create(c.record("a"))
		defer w.Close()
		w.inspect([]store.Record{rec}, []store.Record{rec})
		w.knows(rec)
		do(c, rec)
		w.hears(rec)
	}
}

func watchReads(c *check) {
	w := c.watch()
	defer w.Close()
	a, b := c.create(c.record("a")), c.create(c.record("b"))
	gone := c.create(c.record("gone"))
	c.answers("Delete", c.store.Delete(c.Context(), gone.ID), nil)
	w.inspect(nil, nil)
	w.inspect([]store.Record{a, b, a, gone, c.record("never")}, []store.Record{a, b})
	expired := c.create(lasting(c.record("expired"), short))
	c.goes(expired)
	w.inspect([]store.Record{expired, a}, []store.Record{a})
}

func watchReadsNewestContent(c *check) {
	w, rec := c.watch(), c.create(c.record("a"))
	defer w.Close()
	for i := range 5 {
		w.inspect([]store.Record{rec}, []store.Record{rec})
		next := with(rec, c.data(fmt.Sprint("next ", i)))
		c.update(rec, next)
		rec = next
	}
	w.inspect([]store.Record{rec}, []store.Record{rec})
}

func watchReadsLife(c *check) {
	w, rec := c.watch(), c.create(c.record("a"))
	defer w.Close()
	for _, life := range []time.Duration{time.Hour, time.Minute, 2 * time.Hour} {
		start := time.Now()
		c.answers("Touch", c.store.Touch(c.Context(), rec.ID, life), nil)
		left := w.inspect([]store.Record{rec}, []store.Record{rec})[rec.ID]
		if least := life - time.Since(start) - slack; left < least || left > life+slack {
			c.Fatalf("Inspect of a Watch says that %v are left of a life of %v, %v after it began", left, life, time.Since(start))
		}
	}
}

func watchReadsMany(c *check) {
	w, recs := c.watch(), c.createMany(300)
	defer w.Close()
	w.inspect(recs, recs)
}

func watchIsNoTouch(c *check) {
	w, rec := c.watch(), c.create(lasting(c.record("a"), short))
	defer w.Close()
	ids := []string{rec.ID}
	for start := time.Now(); ; {
		found, err := w.Inspect(c.Context(), ids)
		if errors.Is(err, errors.ErrUnsupported) {
			c.Skipf("the storage cannot tell: %v", err)
		}
		c.answers("Inspect of a Watch", err, nil)
		if len(found) == 0 {
			return
		}
		if time.Since(start) > c.patience {
			c.Fatalf("a record that is inspected is still there %v after the end of its life", c.patience)
		}
	}
}

func watchTellsOfEach(c *check) {
	w, recs := c.watch(), c.createMany(50)
	defer w.Close()
	w.inspect(recs, recs)
	for i, rec := range recs {
		w.knows(rec)
		if i%2 == 0 {
			c.update(rec, with(rec, c.data("next")))
		} else {
			c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
		}
		w.hears(rec)
	}
}

func watchTellsAgain(c *check) {
	w, rec := c.watch(), c.create(c.record("a"))
	defer w.Close()
	for i := range 10 {
		w.inspect([]store.Record{rec}, []store.Record{rec})
		w.knows(rec)
		next := with(rec, c.data(fmt.Sprint("next ", i)))
		c.update(rec, next)
		w.hears(rec)
		rec = next
	}
}

func watchTellsOddIDs(c *check) {
	w := c.watch()
	defer w.Close()
	for _, id := range []string{"*", "a:b", "{a}", "ü", "a b", "A", `\`, "a%", "'", "[a]"} {
		rec := c.create(c.record(id))
		w.inspect([]store.Record{rec}, []store.Record{rec})
		w.knows(rec)
		c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
		w.hears(rec)
	}
}

func watchTellsEveryWatch(c *check) {
	a, b, rec := c.watch(), c.watch(), c.create(c.record("a"))
	defer a.Close()
	defer b.Close()
	for _, w := range []*watching{a, b} {
		w.inspect([]store.Record{rec}, []store.Record{rec})
		w.knows(rec)
	}
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	a.hears(rec)
	b.hears(rec)
}

func watchClosedTellsNothing(c *check) {
	closed, open, rec := c.watch(), c.watch(), c.create(c.record("a"))
	defer open.Close()
	for _, w := range []*watching{closed, open} {
		w.inspect([]store.Record{rec}, []store.Record{rec})
	}
	closed.Close()
	closed.knows(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	open.hears(rec)
	if closed.knows(rec) {
		c.Fatalf("a Watch was told something after it was closed")
	}
}

func watchClosedLeavesOthers(c *check) {
	unused, closed, open, rec := c.watch(), c.watch(), c.watch(), c.create(c.record("a"))
	defer open.Close()
	unused.Close()
	for _, w := range []*watching{closed, open} {
		w.inspect([]store.Record{rec}, []store.Record{rec})
	}
	closed.Close()
	open.knows(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	open.hears(rec)
	open.inspect([]store.Record{rec}, nil)
}

func watchDone(o over) func(c *check) {
	return func(c *check) {
		w, rec := c.watch(), c.create(c.record("a"))
		defer w.Close()
		ctx := o.make(c.Context())
		_, err := w.Inspect(ctx, []string{rec.ID})
		c.answers("Inspect of a Watch", err, ctx.Err())
		w.inspect([]store.Record{rec}, []store.Record{rec})
	}
}

// raceWatch has records deleted while they are inspected: whoever still saw one is told.
func raceWatch(c *check) {
	w := c.watch()
	defer w.Close()
	for _, rec := range c.createMany(60) {
		var found []store.Record
		errs := c.together(2, func(i int) (err error) {
			if i == 0 {
				found, err = w.Inspect(c.Context(), []string{rec.ID})
				return err
			}
			return c.store.Delete(c.Context(), rec.ID)
		})
		if errors.Is(errs[0], errors.ErrUnsupported) {
			c.Skipf("the storage cannot tell: %v", errs[0])
		}
		c.allAnswer("a call", errs, nil)
		if len(found) > 0 {
			w.hears(rec)
		}
	}
}

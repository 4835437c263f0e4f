package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// UserIndex returns a store for the lists, which is tested as a store of its own;
// here is what it has to do with the sessions. Inspect returns the live records of
// some ids with the life that is left to them.
var userIndexerCases = []testCase{
	{"UserIndexIsOne", userIndexIsOne},
	{"UserIndexHasItsOwnIDs", userIndexHasItsOwnIDs},
	{"UserIndexOfAnotherStore", userIndexOfAnotherStore},
	{"UserIndexIsNotListed", userIndexIsNotListed},
	{"UserIndexIsNotCounted", userIndexIsNotCounted},
	{"UserIndexIsNotCleared", userIndexIsNotCleared},
	{"UserIndexClearedAlone", userIndexClearedAlone},
	{"InspectNone", inspectNone},
	{"InspectSome", inspectSome},
	{"InspectMany", inspectMany},
	{"InspectTwice", inspectTwice},
	{"InspectOddIDs", inspectOddIDs},
	{"InspectUnknown", inspectUnknown},
	{"InspectDeleted", inspectDeleted},
	{"InspectExpired", inspectExpired},
	{"InspectNewestContent", inspectNewestContent},
	{"InspectNoLists", inspectNoLists},
	{"InspectLife", inspectLife},
	{"InspectLifeAfterTouch", inspectLifeAfterTouch},
	{"InspectLifeAfterUpdate", inspectLifeAfterUpdate},
	{"InspectLifeAfterKeepTTL", inspectLifeAfterKeepTTL},
	{"InspectShortLife", inspectShortLife},
	{"InspectIsNoTouch", inspectIsNoTouch},
	{"InspectedRecordsCanBeUpdated", inspectedRecordsCanBeUpdated},
	{"InspectedBytesSurvive", inspectedBytesSurvive},
	{"InspectCancelled", inspectDone(cancelled)},
	{"InspectTimedOut", inspectDone(timedOut)},
	{"RaceInspect", raceInspect},
}

// index is the check of the lists.
func (c *check) index() *check {
	of := *c
	of.store = c.store.(store.UserIndexer).UserIndex()
	return &of
}

// inspect inspects the ids of some records and checks that exactly those wanted are
// there. It returns what is left of their lives.
func (c *check) inspect(of, want []store.Record) map[string]time.Duration {
	c.Helper()
	ids := make([]string, len(of))
	for i, rec := range of {
		ids[i] = rec.ID
	}
	found, err := c.store.(store.UserIndexer).Inspect(c.Context(), ids)
	c.answers("Inspect", err, nil)
	left := make(map[string]store.Record)
	for _, rec := range want {
		left[rec.ID] = rec
	}
	lives := make(map[string]time.Duration)
	for _, rec := range found {
		w, ok := left[rec.ID]
		if _, again := lives[rec.ID]; again {
			c.Fatalf("Inspect returned the record of %q twice", rec.ID)
		}
		if !ok {
			c.Fatalf("Inspect returned the record of %q, which is not there or was not asked for", rec.ID)
		}
		c.same("Inspect", rec, w)
		if rec.TTL <= 0 {
			c.Fatalf("Inspect returned a live record to which %v is left", rec.TTL)
		}
		lives[rec.ID] = rec.TTL
		delete(left, rec.ID)
	}
	if len(left) > 0 {
		c.Fatalf("Inspect returned %d records, want %d", len(found), len(want))
	}
	return lives
}

func userIndexIsOne(c *check) {
	rec := c.index().create(c.record("a"))
	c.index().holds(rec)
}

func userIndexHasItsOwnIDs(c *check) {
	lists, rec := c.index(), c.create(c.record("a"))
	lists.lacks(rec)
	list := lists.create(with(rec, c.data("list")))
	c.holds(rec)
	lists.update(list, with(list, c.data("next")))
	c.holds(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	lists.holds(with(list, c.data("next")))
	c.answers("Delete of a list", lists.store.Delete(c.Context(), rec.ID), nil)
	c.create(rec)
	lists.lacks(rec)
}

func userIndexOfAnotherStore(c *check) {
	other := *c
	other.store = c.open()
	c.index().create(c.record("a"))
	other.index().lacks(c.record("a"))
}

func userIndexIsNotListed(c *check) {
	if !is[store.Lister](c.store) {
		c.Skipf("the store is no Lister")
	}
	c.index().createMany(3)
	c.lists(c.create(c.record("a")))
}

func userIndexIsNotCounted(c *check) {
	counter, ok := c.store.(store.Counter)
	if !ok {
		c.Skipf("the store is no Counter")
	}
	c.index().createMany(3)
	c.create(c.record("a"))
	n, err := counter.Count(c.Context())
	c.answers("Count", err, nil)
	if n != 1 {
		c.Fatalf("Count returned %d, want 1: lists are no sessions", n)
	}
}

func userIndexIsNotCleared(c *check) {
	clearer, ok := c.store.(store.Clearer)
	if !ok {
		c.Skipf("the store is no Clearer")
	}
	list := c.index().create(c.record("a"))
	c.answers("Clear", clearer.Clear(c.Context()), nil)
	c.index().holds(list)
}

func userIndexClearedAlone(c *check) {
	lists := c.index()
	clearer, ok := lists.store.(store.Clearer)
	if !ok {
		c.Skipf("the store of the lists is no Clearer")
	}
	rec, list := c.create(c.record("a")), lists.create(c.record("b"))
	c.answers("Clear of the lists", clearer.Clear(c.Context()), nil)
	lists.lacks(list)
	c.holds(rec)
}

func inspectNone(c *check) {
	c.create(c.record("a"))
	c.inspect(nil, nil)
}

func inspectSome(c *check) {
	recs := c.createMany(10)
	c.inspect(recs[2:7], recs[2:7])
	c.inspect(recs[:1], recs[:1])
}

// More records than core asks for at once.
func inspectMany(c *check) {
	recs := c.createMany(200)
	c.inspect(recs, recs)
}

func inspectTwice(c *check) {
	recs := c.createMany(2)
	c.inspect(append(recs, recs...), recs)
}

func inspectOddIDs(c *check) {
	var recs []store.Record
	for _, name := range []string{"*", "?", "[a]", "{a}", ":", "a b", "\x00", "é", "\U0001F9E5", "$a", strings.Repeat("x", 250)} {
		recs = append(recs, c.create(c.record(name)))
	}
	c.inspect(recs, recs)
}

func inspectUnknown(c *check) {
	recs := c.createMany(3)
	c.inspect(append(recs, c.record("unknown")), recs)
	c.inspect([]store.Record{c.record("unknown")}, nil)
}

func inspectDeleted(c *check) {
	recs := c.createMany(3)
	c.answers("Delete", c.store.Delete(c.Context(), recs[0].ID), nil)
	c.inspect(recs, recs[1:])
}

func inspectExpired(c *check) {
	recs := c.createMany(3)
	c.inspect(append(recs, c.expired("expired")), recs)
}

// What was read before may be in a cache.
func inspectNewestContent(c *check) {
	rec := c.create(c.record("a"))
	c.load(rec)
	c.inspect([]store.Record{rec}, []store.Record{rec})
	for i := range 10 {
		next := with(rec, c.data(fmt.Sprint(i)))
		c.update(rec, next)
		c.inspect([]store.Record{rec}, []store.Record{next})
		rec = next
	}
}

func inspectNoLists(c *check) {
	list := c.index().create(c.record("a"))
	c.inspect([]store.Record{list}, nil)
}

// near checks that what is left of a life that was given since start is neither
// more than is true nor much less.
func (c *check) near(left, given time.Duration, start time.Time) {
	c.Helper()
	if least := given - time.Since(start) - slack; left > given || left < least {
		c.Fatalf("Inspect says that %v is left of %v, want %v at least", left, given, least)
	}
}

func inspectLife(c *check) {
	var recs []store.Record
	start := time.Now()
	for i, life := range []time.Duration{time.Minute, long, 500 * time.Hour} {
		recs = append(recs, c.create(lasting(c.record(fmt.Sprint(i)), life)))
	}
	lives := c.inspect(recs, recs)
	for _, rec := range recs {
		c.near(lives[rec.ID], rec.TTL, start)
	}
}

func inspectLifeAfterTouch(c *check) {
	rec := c.create(c.record("a"))
	for _, life := range []time.Duration{2 * long, time.Minute} {
		start := time.Now()
		c.answers("Touch", c.store.Touch(c.Context(), rec.ID, life), nil)
		c.near(c.inspect([]store.Record{rec}, []store.Record{rec})[rec.ID], life, start)
	}
}

func inspectLifeAfterUpdate(c *check) {
	rec := c.create(c.record("a"))
	next := lasting(with(rec, c.data("second")), time.Minute)
	start := time.Now()
	c.update(rec, next)
	c.near(c.inspect([]store.Record{rec}, []store.Record{next})[rec.ID], next.TTL, start)
}

// Updates that keep the life take and add nothing.
func inspectLifeAfterKeepTTL(c *check) {
	const life = time.Minute
	start := time.Now()
	rec := c.create(lasting(c.record("a"), life))
	for i := range 20 {
		rec = c.keep(rec, fmt.Sprint(i))
	}
	c.near(c.inspect([]store.Record{rec}, []store.Record{rec})[rec.ID], life, start)
}

// A record that is about to expire is there, with a life that is not over, or is
// not.
func inspectShortLife(c *check) {
	rec := c.create(lasting(c.record("a"), short))
	for start := time.Now(); time.Since(start) < c.patience; {
		found, err := c.store.(store.UserIndexer).Inspect(c.Context(), []string{rec.ID})
		c.answers("Inspect", err, nil)
		if len(found) == 0 {
			return
		}
		if left := found[0].TTL; left <= 0 || left > short {
			c.Fatalf("Inspect says that %v is left of %v", left, short)
		}
	}
	c.Fatalf("Inspect returns a record %v after the end of its life", c.patience)
}

func inspectIsNoTouch(c *check) {
	rec := c.create(lasting(c.record("a"), short))
	other := c.create(c.record("b"))
	for start := time.Now(); time.Since(start) < short/2; time.Sleep(time.Millisecond) {
		_, err := c.store.(store.UserIndexer).Inspect(c.Context(), []string{rec.ID, other.ID})
		c.answers("Inspect", err, nil)
	}
	c.goes(rec)
	c.holds(other)
}

func inspectedRecordsCanBeUpdated(c *check) {
	recs := c.createMany(3)
	found, err := c.store.(store.UserIndexer).Inspect(c.Context(), []string{recs[0].ID, recs[1].ID, recs[2].ID})
	c.answers("Inspect", err, nil)
	for _, rec := range found {
		c.update(rec, with(rec, c.data("second")))
	}
	for i := range recs {
		c.holds(with(recs[i], c.data("second")))
	}
}

func inspectedBytesSurvive(c *check) {
	recs := c.createMany(3)
	found, err := c.store.(store.UserIndexer).Inspect(c.Context(), []string{recs[0].ID, recs[1].ID, recs[2].ID})
	c.answers("Inspect", err, nil)
	want := make(map[string]store.Record)
	for _, rec := range recs {
		want[rec.ID] = rec
		c.update(rec, with(rec, c.data("FIRST")))
	}
	for _, rec := range found {
		c.same("Inspect, earlier,", rec, want[rec.ID])
	}
}

func inspectDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record("a"))
		for _, ids := range [][]string{{rec.ID}, {c.record("unknown").ID}} {
			_, err := c.store.(store.UserIndexer).Inspect(ctx, ids)
			c.answers("Inspect, "+o.name+",", err, ctx.Err())
		}
	}
}

// What a call stored before another one began is seen by that one.
func raceInspect(c *check) {
	recs := c.createMany(callers)
	c.allAnswer("Inspect of what was just stored", c.together(callers, func(i int) error {
		rec := recs[i]
		for n := range steps {
			next := with(rec, number(n))
			if err := c.store.Update(c.Context(), rec, next); err != nil {
				return err
			}
			found, err := c.store.(store.UserIndexer).Inspect(c.Context(), []string{rec.ID})
			if err != nil {
				return err
			}
			if len(found) != 1 || string(found[0].Data) != string(next.Data) {
				return fmt.Errorf("%d records, not what was stored", len(found))
			}
			rec = next
		}
		return nil
	}), nil)
}

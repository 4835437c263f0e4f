package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// UpdateOrLoad does what Update does; together with ErrConflict it returns the
// record that is stored instead.
var updateLoaderCases = []testCase{
	{"UpdateOrLoad", updateOrLoad},
	{"UpdateOrLoadLoaded", updateOrLoadLoaded},
	{"UpdateOrLoadConflict", updateOrLoadConflict},
	{"UpdateOrLoadStale", updateOrLoadStale},
	{"UpdateOrLoadNewestSurvives", updateOrLoadNewestSurvives},
	{"UpdateOrLoadUnknown", updateOrLoadUnknown},
	{"UpdateOrLoadDeleted", updateOrLoadDeleted},
	{"UpdateOrLoadExpired", updateOrLoadExpired},
	{"UpdateOrLoadSetsLife", updateOrLoadSetsLife},
	{"UpdateOrLoadForOneNanosecond", updateOrLoadForOneNanosecond},
	{"UpdateOrLoadConflictKeepsLife", updateOrLoadConflictKeepsLife},
	{"UpdateOrLoadKeepsNoSlice", updateOrLoadKeepsNoSlice},
	{"UpdateOrLoadCancelled", updateOrLoadDone(cancelled)},
	{"UpdateOrLoadTimedOut", updateOrLoadDone(timedOut)},
	{"UpdateOrLoadKeepTTL", keepTTL(byUpdateOrLoad)},
	{"UpdateOrLoadKeepTTLConflict", updateOrLoadKeepTTLConflict},
	{"UpdateOrLoadKeepTTLExpired", keepTTLExpired(byUpdateOrLoad)},
	{"UpdateOrLoadKeepTTLDoesNotLengthen", keepTTLDoesNotLengthen(byUpdateOrLoad)},
	{"UpdateOrLoadKeepTTLDoesNotShorten", keepTTLDoesNotShorten(byUpdateOrLoad)},
	{"UpdateOrLoadKeepTTLAgainAndAgain", keepTTLAgainAndAgain(byUpdateOrLoad)},
	{"RaceUpdateOrLoad", raceUpdateOrLoad},
	{"RaceUpdateOrLoadCounter", raceUpdateOrLoadCounter},
	{"RaceUpdateOrLoadKeepTTLTouch", raceKeepTTLTouch(byUpdateOrLoad)},
}

func (c *check) updateOrLoad(old, next store.Record) (store.Record, error) {
	return c.store.(store.UpdateLoader).UpdateOrLoad(c.Context(), old, next)
}

func updateOrLoad(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	_, err := c.updateOrLoad(rec, next)
	c.answers("UpdateOrLoad", err, nil)
	c.holds(next)
}

func updateOrLoadLoaded(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	_, err := c.updateOrLoad(c.load(rec), next)
	c.answers("UpdateOrLoad", err, nil)
	c.holds(next)
}

func updateOrLoadConflict(c *check) {
	rec := c.create(c.record("a"))
	newest, err := c.updateOrLoad(with(rec, c.data("never")), with(rec, c.data("second")))
	c.answers("UpdateOrLoad of other content", err, store.ErrConflict)
	c.same("UpdateOrLoad", newest, rec)
	c.holds(rec)
	third := with(rec, c.data("third"))
	c.update(newest, third)
	c.holds(third)
}

func updateOrLoadStale(c *check) {
	rec := c.create(c.record("a"))
	stale := c.load(rec)
	second := with(rec, c.data("second"))
	c.update(rec, second)
	newest, err := c.updateOrLoad(stale, with(rec, c.data("third")))
	c.answers("UpdateOrLoad of a stale record", err, store.ErrConflict)
	c.same("UpdateOrLoad", newest, second)
	c.holds(second)
}

func updateOrLoadKeepTTLConflict(c *check) {
	rec := c.create(c.record("a"))
	newest, err := c.updateOrLoad(with(rec, c.data("never")), keeping(rec, c.data("second")))
	c.answers("UpdateOrLoad of other content with KeepTTL", err, store.ErrConflict)
	c.same("UpdateOrLoad", newest, rec)
	third := keeping(rec, c.data("third"))
	_, err = c.updateOrLoad(newest, third)
	c.answers("UpdateOrLoad with KeepTTL", err, nil)
	c.holds(third)
}

func updateOrLoadNewestSurvives(c *check) {
	rec := c.create(c.record("a"))
	newest, err := c.updateOrLoad(with(rec, c.data("never")), with(rec, c.data("second")))
	c.answers("UpdateOrLoad of other content", err, store.ErrConflict)
	c.update(rec, with(rec, c.data("FIRST")))
	c.same("UpdateOrLoad, earlier,", newest, rec)
}

func updateOrLoadUnknown(c *check) {
	rec := c.record("a")
	_, err := c.updateOrLoad(rec, with(rec, c.data("second")))
	c.answers("UpdateOrLoad of an unknown id", err, store.ErrNotFound)
	c.lacks(rec)
}

func updateOrLoadDeleted(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	_, err := c.updateOrLoad(old, with(rec, c.data("second")))
	c.answers("UpdateOrLoad after Delete", err, store.ErrNotFound)
	c.lacks(rec)
}

func updateOrLoadExpired(c *check) {
	rec := c.expired("a")
	_, err := c.updateOrLoad(with(rec, c.data("never")), with(rec, c.data("second")))
	c.answers("UpdateOrLoad of an expired record", err, store.ErrNotFound)
	_, err = c.updateOrLoad(rec, with(rec, c.data("second")))
	c.answers("UpdateOrLoad of an expired record", err, store.ErrNotFound)
	c.lacks(rec)
}

func updateOrLoadSetsLife(c *check) {
	rec := c.create(c.record("a"))
	next := lasting(with(rec, c.data("second")), short)
	_, err := c.updateOrLoad(rec, next)
	c.answers("UpdateOrLoad", err, nil)
	c.goes(next)
}

func updateOrLoadForOneNanosecond(c *check) {
	rec := c.create(c.record("a"))
	next := lasting(with(rec, c.data("second")), 1)
	_, err := c.updateOrLoad(rec, next)
	c.answers("UpdateOrLoad", err, nil)
	c.goes(next)
}

func updateOrLoadConflictKeepsLife(c *check) {
	rec := c.create(c.record("a"))
	_, err := c.updateOrLoad(with(rec, c.data("never")), lasting(with(rec, c.data("second")), short))
	c.answers("UpdateOrLoad of other content", err, store.ErrConflict)
	c.outlive(short)
	c.holds(rec)
}

func updateOrLoadKeepsNoSlice(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	given := with(rec, c.data("second"))
	_, err := c.updateOrLoad(rec, given)
	c.answers("UpdateOrLoad", err, nil)
	scrawl(given.Data)
	c.holds(next)
}

func updateOrLoadDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record("a"))
		_, err := c.store.(store.UpdateLoader).UpdateOrLoad(ctx, rec, with(rec, c.data("second")))
		c.answers("UpdateOrLoad, "+o.name+",", err, ctx.Err())
		c.holds(rec)
	}
}

func raceUpdateOrLoad(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		newest := make([]store.Record, callers)
		errs := c.together(callers, func(i int) (err error) {
			newest[i], err = c.updateOrLoad(rec, with(rec, c.data(fmt.Sprint(i))))
			return err
		})
		winner := c.oneWins("UpdateOrLoad", errs, store.ErrConflict)
		want := with(rec, c.data(fmt.Sprint(winner)))
		c.holds(want)
		for i := range newest {
			if i != winner {
				c.same("UpdateOrLoad", newest[i], want)
			}
		}
	}
}

func raceUpdateOrLoadCounter(c *check) {
	rec := c.create(with(c.record("a"), number(0)))
	c.allAnswer("adding to a counter", c.together(callers, func(int) error {
		old, err := c.store.Load(c.Context(), rec.ID)
		done := 0
		for range attempts {
			if err != nil || done == steps {
				return err
			}
			var n int
			if _, err := fmt.Sscanf(string(old.Data), "[%d]", &n); err != nil {
				return errors.New("a counter does not hold a number")
			}
			var newest store.Record
			next := with(rec, number(n+1))
			runtime.Gosched()
			newest, err = c.updateOrLoad(old, next)
			switch {
			case err == nil:
				old, done = next, done+1
			case errors.Is(err, store.ErrConflict):
				old, err = newest, nil
			}
		}
		return errNoTurn
	}), nil)
	c.holds(with(rec, number(callers*steps)))
}

// A Lister walks all live records; none is seen twice; an error ends the walk.
var listerCases = []testCase{
	{"ListNone", listNone},
	{"ListAll", listAll},
	{"ListMany", listMany},
	{"ListNewestContent", listNewestContent},
	{"ListOddIDs", listOddIDs},
	{"ListNoDeleted", listNoDeleted},
	{"ListNoExpired", listNoExpired},
	{"ListRecordsCanBeUpdated", listRecordsCanBeUpdated},
	{"ListedBytesSurvive", listedBytesSurvive},
	{"ListBreak", listBreak},
	{"ListNested", listNested},
	{"ListCancelled", listDone(cancelled)},
	{"ListTimedOut", listDone(timedOut)},
	{"ListCancelledOnTheWay", listCancelledOnTheWay},
	{"RaceList", raceList},
}

// lists walks all records and checks that they are the ones wanted.
func (c *check) lists(want ...store.Record) {
	c.Helper()
	left := make(map[string]store.Record)
	for _, rec := range want {
		left[rec.ID] = rec
	}
	seen := make(map[string]bool)
	for rec, err := range c.store.(store.Lister).All(c.Context()) {
		c.answers("All", err, nil)
		if seen[rec.ID] {
			c.Fatalf("All yielded the record of %q twice", rec.ID)
		}
		seen[rec.ID] = true
		w, ok := left[rec.ID]
		if !ok {
			c.Fatalf("All yielded the record of %q, which is not there", rec.ID)
		}
		c.same("All", rec, w)
		delete(left, rec.ID)
	}
	if len(left) > 0 {
		c.Fatalf("All yielded %d records, want %d", len(seen), len(want))
	}
}

// createMany creates n records.
func (c *check) createMany(n int) []store.Record {
	c.Helper()
	recs := make([]store.Record, n)
	for i := range recs {
		rec := c.record(fmt.Sprint(i))
		rec.Data = c.data(fmt.Sprint(i))
		recs[i] = c.create(rec)
	}
	return recs
}

func listNone(c *check) { c.lists() }

func listAll(c *check) {
	recs := c.createMany(10)
	c.lists(recs...)
	c.lists(recs...)
}

// More records than the batches in which a server hands them out.
func listMany(c *check) { c.lists(c.createMany(500)...) }

func listNewestContent(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	c.update(rec, next)
	c.lists(next)
}

func listOddIDs(c *check) {
	var recs []store.Record
	for _, name := range []string{"*", "?", "[a]", "{a}", ":", "a b", "\x00", "\u00e9", "\U0001F9E5", "a"} {
		recs = append(recs, c.create(c.record(name)))
	}
	c.lists(recs...)
}

func listNoDeleted(c *check) {
	recs := c.createMany(4)
	c.answers("Delete", c.store.Delete(c.Context(), recs[0].ID), nil)
	c.lists(recs[1:]...)
}

func listNoExpired(c *check) {
	recs := c.createMany(3)
	c.expired("b")
	c.lists(recs...)
}

func listRecordsCanBeUpdated(c *check) {
	recs := c.createMany(3)
	second := c.data("second")
	var listed []store.Record
	for rec, err := range c.store.(store.Lister).All(c.Context()) {
		c.answers("All", err, nil)
		listed = append(listed, rec)
	}
	for i, rec := range listed {
		c.update(rec, with(rec, second))
		recs[i] = with(recs[i], second)
	}
	c.lists(recs...)
}

func listedBytesSurvive(c *check) {
	recs := c.createMany(5)
	var listed []store.Record
	for rec, err := range c.store.(store.Lister).All(c.Context()) {
		c.answers("All", err, nil)
		listed = append(listed, rec)
	}
	if len(listed) != len(recs) {
		c.Fatalf("All yielded %d records, want %d", len(listed), len(recs))
	}
	want := make(map[string]store.Record)
	for _, rec := range recs {
		want[rec.ID] = rec
		c.update(rec, with(rec, c.data("FIRST")))
	}
	for _, rec := range listed {
		c.same("All, earlier,", rec, want[rec.ID])
	}
}

func listBreak(c *check) {
	recs := c.createMany(5)
	for range 3 {
		for _, err := range c.store.(store.Lister).All(c.Context()) {
			c.answers("All", err, nil)
			break
		}
	}
	c.lists(recs...)
}

// The body of the loop may use the store: All is called in order to delete what
// it finds.
func listNested(c *check) {
	c.createMany(20)
	c.allAnswer("All with other verbs in the loop", c.together(1, func(int) error {
		for rec, err := range c.store.(store.Lister).All(c.Context()) {
			if err != nil {
				return err
			}
			if err := c.store.Touch(c.Context(), rec.ID, long); err != nil {
				return err
			}
			if err := c.store.Delete(c.Context(), rec.ID); err != nil {
				return err
			}
		}
		return nil
	}), nil)
	c.lists()
}

func listDone(o over) func(*check) {
	return func(c *check) {
		c.createMany(3)
		ctx := o.make(c.Context())
		var errs []error
		for _, err := range c.store.(store.Lister).All(ctx) {
			errs = append(errs, err)
		}
		if len(errs) != 1 {
			c.Fatalf("All, %s, yielded %d times, want once with an error", o.name, len(errs))
		}
		c.answers("All, "+o.name+",", errs[0], ctx.Err())
	}
}

// A walk that is cancelled on the way says so, or had everything at hand: a part
// of the records is never taken for all.
func listCancelledOnTheWay(c *check) {
	const n = 500
	c.createMany(n)
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	seen, failed := 0, false
	for _, err := range c.store.(store.Lister).All(ctx) {
		if failed {
			c.Fatalf("All went on after an error")
		}
		if err != nil {
			c.answers("All, cancelled,", err, ctx.Err())
			failed = true
			continue
		}
		seen++
		cancel()
	}
	if !failed && seen < n {
		c.Fatalf("All, cancelled, ended after %d of %d records without an error", seen, n)
	}
}

func raceList(c *check) {
	lasting := make(map[string]bool)
	for _, rec := range c.createMany(100) {
		lasting[rec.ID] = true
	}
	var ready atomic.Bool
	c.allAnswer("All while records come and go", c.together(4, func(i int) error {
		if i > 0 {
			for n := 0; !ready.Load(); n++ {
				rec := c.record(fmt.Sprint("passing-", i, "-", n))
				if err := c.store.Create(c.Context(), rec); err != nil {
					return err
				}
				if err := c.store.Delete(c.Context(), rec.ID); err != nil {
					return err
				}
			}
			return nil
		}
		defer ready.Store(true)
		for range 5 {
			seen, found := make(map[string]bool), 0
			for rec, err := range c.store.(store.Lister).All(c.Context()) {
				if err != nil {
					return err
				}
				if seen[rec.ID] {
					return errors.New("a record was seen twice")
				}
				seen[rec.ID] = true
				if lasting[rec.ID] {
					found++
				}
			}
			if found != len(lasting) {
				return fmt.Errorf("%d of %d records were seen", found, len(lasting))
			}
		}
		return nil
	}), nil)
}

// A Counter tells how many live records there are.
var counterCases = []testCase{
	{"Count", count},
	{"CountNoExpired", countNoExpired},
	{"CountAfterUpdateAndTouch", countAfterUpdateAndTouch},
	// Standards: ASVS-8.4.1
	{"CountOwnRecordsOnly", countOwnRecordsOnly},
	{"CountCancelled", countDone(cancelled)},
	{"CountTimedOut", countDone(timedOut)},
}

func (c *check) counted(want int) {
	c.Helper()
	got, err := c.store.(store.Counter).Count(c.Context())
	c.answers("Count", err, nil)
	if got != want {
		c.Fatalf("Count returned %d, want %d", got, want)
	}
}

func count(c *check) {
	c.counted(0)
	recs := c.createMany(7)
	c.counted(7)
	for i, rec := range recs {
		c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
		c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
		c.counted(6 - i)
	}
}

func countNoExpired(c *check) {
	c.createMany(3)
	rec := c.expired("b")
	c.counted(3)
	c.create(with(rec, rec.Data))
	c.counted(4)
}

func countAfterUpdateAndTouch(c *check) {
	rec := c.create(c.record("a"))
	c.update(rec, with(rec, c.data("second")))
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	c.answers("Create of an id in use", c.store.Create(c.Context(), rec), store.ErrExists)
	c.counted(1)
}

func countOwnRecordsOnly(c *check) {
	other := c.another()
	c.createMany(3)
	other.createMany(2)
	c.counted(3)
	other.counted(2)
}

func countDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		_, err := c.store.(store.Counter).Count(ctx)
		c.answers("Count, "+o.name+",", err, ctx.Err())
	}
}

// A Clearer removes every record of this store, and nothing else.
var clearerCases = []testCase{
	{"ClearNone", clearNone},
	{"ClearRemovesAll", clearRemovesAll},
	{"ClearThenCreate", clearThenCreate},
	// Standards: ASVS-8.4.1
	{"ClearNoOtherStore", clearNoOtherStore},
	{"ClearCancelled", clearDone(cancelled)},
	{"ClearTimedOut", clearDone(timedOut)},
}

func (c *check) clear() {
	c.Helper()
	c.answers("Clear", c.store.(store.Clearer).Clear(c.Context()), nil)
}

// another returns a check of a second store with the same ids.
func (c *check) another() *check {
	d := *c
	d.store = c.open()
	return &d
}

func clearNone(c *check) { c.clear() }

func clearRemovesAll(c *check) {
	recs := c.createMany(300)
	c.clear()
	for _, rec := range recs {
		c.lacks(rec)
	}
	err := c.store.Update(c.Context(), recs[0], with(recs[0], c.data("second")))
	c.answers("Update after Clear", err, store.ErrNotFound)
}

func clearThenCreate(c *check) {
	recs := c.createMany(3)
	c.clear()
	c.create(recs[0])
	c.holds(recs[0])
	c.lacks(recs[1])
}

func clearNoOtherStore(c *check) {
	other := c.another()
	c.createMany(3)
	rec := other.create(other.record("b"))
	c.clear()
	other.holds(rec)
}

func clearDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record("a"))
		c.answers("Clear, "+o.name+",", c.store.(store.Clearer).Clear(ctx), ctx.Err())
		c.holds(rec)
	}
}

// A Pinger reports whether the storage answers.
var pingerCases = []testCase{
	{"Ping", ping},
	{"PingCancelled", pingDone(cancelled)},
	{"PingTimedOut", pingDone(timedOut)},
}

func ping(c *check) {
	c.answers("Ping", c.store.(store.Pinger).Ping(c.Context()), nil)
	c.create(c.record("a"))
	c.answers("Ping", c.store.(store.Pinger).Ping(c.Context()), nil)
}

func pingDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		c.answers("Ping, "+o.name+",", c.store.(store.Pinger).Ping(ctx), ctx.Err())
	}
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/store"
)

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

package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Remove deletes a record, but only while what is stored is still what old holds.
var removerCases = []testCase{
	{"Remove", removeOne},
	{"RemoveLoaded", removeLoaded},
	{"RemoveLoadedThenWritten", removeLoadedThenWritten},
	{"RemoveLoadedAfterTouch", removeLoadedAfterTouch},
	{"RemoveWrittenAfterTouch", removeWrittenAfterTouch},
	{"RemoveWrittenAfterKeepTTL", removeWrittenAfterKeepTTL},
	{"RemoveUnknown", removeUnknown},
	{"RemoveDeleted", removeDeleted},
	{"RemoveTwice", removeTwice},
	{"RemoveConflict", removeConflict},
	{"RemoveConflictKeepsLife", removeConflictKeepsLife},
	{"RemoveStale", removeStale},
	{"RemoveStaleAfterRecreation", removeStaleAfterRecreation},
	{"RemoveComparesWholeContent", removeComparesWholeContent},
	{"RemoveComparesBytesNotJSON", removeComparesBytesNotJSON},
	{"RemoveOneMiB", removeOneMiB},
	{"RemoveOddIDs", removeOddIDs},
	{"RemoveLeavesOthersAlone", removeLeavesOthersAlone},
	{"RemoveExpired", removeExpired},
	{"RemoveThenUpdate", removeThenUpdate},
	{"RemoveThenTouch", removeThenTouch},
	{"RemoveThenCreate", removeThenCreate},
	{"RemoveLoadedBytesSurvive", removeLoadedBytesSurvive},
	{"RemoveCancelled", removeDone(cancelled)},
	{"RemoveTimedOut", removeDone(timedOut)},
	{"RemoveInterrupted", removeInterrupted},
	{"ErrorsOfRemoveAreDiscreet", removeErrors},
	{"RaceRemove", raceRemove},
	{"RaceRemoveLoaded", raceRemoveLoaded},
	{"RaceRemoveUpdate", raceRemoveUpdate},
	{"RaceRemoveDelete", raceRemoveDelete},
	{"RaceRemoveTouch", raceRemoveTouch},
	{"RaceRemoveCreate", raceRemoveCreate},
}

func (c *check) tryRemove(ctx context.Context, old store.Record) error {
	return c.store.(store.Remover).Remove(ctx, old)
}

// remove calls Remove. It ends the case where the store answers that what it wraps
// cannot do that, as it may.
func (c *check) remove(old store.Record) error {
	c.Helper()
	err := c.tryRemove(c.Context(), old)
	c.skipRemove(err)
	return err
}

func (c *check) skipRemove(errs ...error) {
	c.Helper()
	for _, err := range errs {
		if errors.Is(err, errors.ErrUnsupported) {
			c.discreet("Remove", err)
			c.Skipf("the store cannot compare and remove in one step: %v", err)
		}
	}
}

func removeOne(c *check) {
	rec := c.create(c.record("a"))
	err := c.tryRemove(c.Context(), rec)
	if errors.Is(err, errors.ErrUnsupported) {
		c.holds(rec)
	}
	c.skipRemove(err)
	c.answers("Remove", err, nil)
	c.lacks(rec)
}

// The Token of a loaded record serves as well as its data; core also hands in
// records that it has not loaded.

func removeLoaded(c *check) {
	rec := c.create(c.record("a"))
	second := with(rec, c.data("second"))
	c.update(c.load(rec), second)
	c.answers("Remove", c.remove(c.load(second)), nil)
	c.lacks(rec)
}

func removeLoadedThenWritten(c *check) {
	rec := c.create(c.record("a"))
	second := with(rec, c.data("second"))
	c.update(c.load(rec), second)
	c.answers("Remove", c.remove(second), nil)
	c.lacks(rec)
}

// A touch changes no content, so it is no conflict.

func removeLoadedAfterTouch(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	c.answers("Remove", c.remove(old), nil)
	c.lacks(rec)
}

func removeWrittenAfterTouch(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	c.answers("Remove", c.remove(rec), nil)
	c.lacks(rec)
}

func removeWrittenAfterKeepTTL(c *check) {
	rec := c.keep(c.create(c.record("a")), "second")
	c.answers("Remove", c.remove(rec), nil)
	c.lacks(rec)
}

func removeUnknown(c *check) {
	rec := c.record("a")
	c.answers("Remove of an unknown id", c.remove(rec), store.ErrNotFound)
	c.lacks(rec)
}

func removeDeleted(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.answers("Remove after Delete", c.remove(old), store.ErrNotFound)
	c.lacks(rec)
}

func removeTwice(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Remove", c.remove(rec), nil)
	c.answers("second Remove", c.remove(rec), store.ErrNotFound)
	c.lacks(rec)
}

func removeConflict(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Remove of other content", c.remove(with(rec, c.data("never"))), store.ErrConflict)
	c.holds(rec)
	c.answers("Remove", c.remove(rec), nil)
	c.lacks(rec)
}

func removeConflictKeepsLife(c *check) {
	rec := c.create(c.record("a"))
	old := lasting(with(rec, c.data("never")), short)
	c.answers("Remove of other content", c.remove(old), store.ErrConflict)
	c.outlive(short)
	c.holds(rec)
}

func removeStale(c *check) {
	rec := c.create(c.record("a"))
	stale := c.load(rec)
	second := with(rec, c.data("second"))
	c.update(rec, second)
	c.load(rec)
	for _, old := range []store.Record{stale, rec} {
		c.answers("Remove of a stale record", c.remove(old), store.ErrConflict)
	}
	c.holds(second)
}

func removeStaleAfterRecreation(c *check) {
	rec := c.create(c.record("a"))
	stale := c.load(rec)
	c.answers("Remove", c.remove(stale), nil)
	second := c.create(with(rec, c.data("second")))
	c.answers("Remove of a stale record", c.remove(stale), store.ErrConflict)
	c.holds(second)
}

func removeComparesWholeContent(c *check) {
	rec := c.create(c.record("a"))
	for _, old := range []string{
		string(rec.Data[:len(rec.Data)-1]),
		string(rec.Data) + " ",
		" " + string(rec.Data),
		string(bytes.ToUpper(rec.Data)),
		string(bytes.Replace(rec.Data, []byte("first"), []byte("firsT"), 1)),
		`{}`,
	} {
		c.answers("Remove of "+old, c.remove(with(rec, []byte(old))), store.ErrConflict)
		c.holds(rec)
	}
}

func removeComparesBytesNotJSON(c *check) {
	rec := c.record("a")
	rec.Data = []byte(`{"a":1,"b":"x"}`)
	c.create(rec)
	for _, old := range []string{`{"b":"x","a":1}`, `{"a": 1,"b":"x"}`, `{"a":1.0,"b":"x"}`, `{"a":1,"b":"\u0078"}`} {
		c.answers("Remove of "+old, c.remove(with(rec, []byte(old))), store.ErrConflict)
		c.holds(rec)
	}
}

func removeOneMiB(c *check) {
	text := strings.Repeat("cloakroom \u2028 ", 1<<20/13)
	rec := c.record("a")
	rec.Data = c.data(text)
	c.create(rec)
	c.answers("Remove of other content", c.remove(with(rec, c.data(text+"!"))), store.ErrConflict)
	c.holds(rec)
	c.answers("Remove", c.remove(c.load(rec)), nil)
	c.lacks(rec)
}

func removeOddIDs(c *check) {
	var recs []store.Record
	for _, name := range []string{"*", "?", "[a]", "{a}", ":", "a b", "\x00", "\u00e9", "\U0001F9E5", "a"} {
		recs = append(recs, c.create(c.record(name)))
	}
	for i, rec := range recs {
		c.answers("Remove", c.remove(rec), nil)
		c.lacks(rec)
		for _, other := range recs[i+1:] {
			c.holds(other)
		}
	}
}

func removeLeavesOthersAlone(c *check) {
	a, b := c.create(c.record("a")), c.create(c.record("b"))
	c.answers("Remove", c.remove(a), nil)
	c.holds(b)
}

func removeExpired(c *check) {
	rec := c.record("a")
	loaded := c.loadBriefly(rec)
	for _, old := range []store.Record{with(rec, c.data("never")), loaded, rec} {
		c.answers("Remove of an expired record", c.remove(old), store.ErrNotFound)
	}
	c.lacks(rec)
}

// What was removed is gone for every verb, and its id is free.

func removeThenUpdate(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Remove", c.remove(rec), nil)
	for _, old := range []store.Record{old, rec} {
		err := c.store.Update(c.Context(), old, with(rec, c.data("second")))
		c.answers("Update after Remove", err, store.ErrNotFound)
	}
	c.lacks(rec)
}

func removeThenTouch(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Remove", c.remove(rec), nil)
	c.answers("Touch after Remove", c.store.Touch(c.Context(), rec.ID, long), store.ErrNotFound)
	c.lacks(rec)
}

func removeThenCreate(c *check) {
	rec := c.create(lasting(c.record("a"), short))
	err := c.remove(rec)
	for ; errors.Is(err, store.ErrNotFound); err = c.remove(rec) { // the machine was too slow
		rec = c.create(lasting(rec, 2*rec.TTL))
	}
	c.answers("Remove", err, nil)
	c.create(with(rec, rec.Data))
	c.outlive(rec.TTL)
	c.holds(rec)
}

func removeLoadedBytesSurvive(c *check) {
	rec := c.create(c.record("a"))
	loaded := c.load(rec)
	c.answers("Remove", c.remove(rec), nil)
	c.create(with(rec, c.data("FIRST")))
	c.load(rec)
	c.same("Load, earlier,", loaded, rec)
}

func removeDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record(o.name + "-remove"))
		for _, old := range []store.Record{rec, c.load(rec)} {
			err := c.tryRemove(ctx, old)
			c.skipRemove(err)
			c.answers("Remove, "+o.name+",", err, ctx.Err())
			c.holds(rec)
		}
	}
}

func removeInterrupted(c *check) {
	recs := make([]store.Record, 40)
	for i := range recs {
		recs[i] = c.create(c.record(fmt.Sprint(i)))
	}
	c.skipRemove(c.tryRemove(c.Context(), c.record("unknown")))
	errs := c.interrupted("Remove", func(ctx context.Context, i int) error {
		return c.tryRemove(ctx, recs[i])
	})
	for i, err := range errs {
		if err == nil {
			c.lacks(recs[i])
		} else if notApplied(err) {
			c.holds(recs[i])
		}
	}
}

func removeErrors(c *check) {
	c.answers("Remove of an unknown id", c.remove(c.record("unknown")), store.ErrNotFound)
	removeConflict(c)
	removeDone(cancelled)(c)
	removeDone(timedOut)(c)
}

func raceRemove(c *check)       { raceRemoves(c, func(rec store.Record) store.Record { return rec }) }
func raceRemoveLoaded(c *check) { raceRemoves(c, c.load) }

func raceRemoves(c *check, old func(store.Record) store.Record) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		from := old(rec)
		errs := c.together(callers, func(int) error { return c.tryRemove(c.Context(), from) })
		c.skipRemove(errs...)
		c.oneWins("Remove", errs, store.ErrNotFound)
		c.lacks(rec)
	}
}

// Of an update and a removal of the same content one is done, and the other one
// says what it found.
func raceRemoveUpdate(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		second := with(rec, c.data("second"))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Update(c.Context(), rec, second)
			}
			return c.tryRemove(c.Context(), rec)
		})
		c.skipRemove(errs...)
		if errs[1] == nil {
			c.answers("Update during Remove", errs[0], store.ErrNotFound)
			c.lacks(rec)
			continue
		}
		c.answers("Update during Remove", errs[0], nil)
		c.answers("Remove during Update", errs[1], store.ErrConflict)
		c.holds(second)
	}
}

func raceRemoveDelete(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Delete(c.Context(), rec.ID)
			}
			return c.tryRemove(c.Context(), rec)
		})
		c.skipRemove(errs...)
		c.answers("Delete", errs[0], nil)
		if errs[1] != nil {
			c.answers("Remove during Delete", errs[1], store.ErrNotFound)
		}
		c.lacks(rec)
	}
}

// Touches neither bring a record back nor keep it from being removed.
func raceRemoveTouch(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		var removed atomic.Bool
		errs := c.together(callers, func(i int) error {
			if i == 0 {
				defer removed.Store(true)
				stagger(round)
				return c.tryRemove(c.Context(), rec)
			}
			for ; !removed.Load(); runtime.Gosched() {
				if err := c.store.Touch(c.Context(), rec.ID, long); err != nil {
					return err
				}
			}
			return nil
		})
		c.skipRemove(errs[0])
		c.answers("Remove during Touch", errs[0], nil)
		for _, err := range errs[1:] {
			if err != nil {
				c.answers("Touch during Remove", err, store.ErrNotFound)
			}
		}
		c.lacks(rec)
	}
}

// What is created while nothing was found to remove stays.
func raceRemoveCreate(c *check) {
	for round := range rounds {
		rec := c.record(fmt.Sprint(round))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Create(c.Context(), rec)
			}
			return c.tryRemove(c.Context(), rec)
		})
		c.skipRemove(errs[1])
		c.answers("Create", errs[0], nil)
		if errs[1] == nil {
			c.lacks(rec)
			continue
		}
		c.answers("Remove during Create", errs[1], store.ErrNotFound)
		c.holds(rec)
	}
}

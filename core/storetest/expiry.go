package storetest

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A record is expired from the moment its TTL has passed, whether or not
// anything has removed it yet: every verb treats it as if it were not there.
var expiryCases = []testCase{
	// Standards: ASVS-7.3.1
	{"ExpiredLoad", expiredLoad},
	{"ExpiredCreate", expiredCreate},
	{"ExpiredCreateSameData", expiredCreateSameData},
	{"ExpiredUpdate", expiredUpdate},
	{"ExpiredUpdateLoaded", expiredUpdateLoaded},
	{"ExpiredUpdateConflict", expiredUpdateConflict},
	{"ExpiredTouch", expiredTouch},
	{"ExpiredDelete", expiredDelete},
	{"ExpiredStaleAfterRecreation", expiredStaleAfterRecreation},

	{"CreateSetsLife", livesItsTTL((*check).createFor)},
	{"UpdateSetsLife", livesItsTTL((*check).updateFor)},
	{"TouchSetsLife", livesItsTTL((*check).touchFor)},
	{"UpdateLengthensLife", lengthens((*check).extendByUpdate)},
	{"TouchLengthensLife", lengthens((*check).extendByTouch)},
	{"CreateAfterExpiryStartsNewLife", createStartsNewLife},
	{"CreateAfterDeleteStartsNewLife", createAfterDeleteStartsNewLife},

	{"CreateForOneNanosecond", ends((*check).createFor, 1)},
	{"UpdateForOneNanosecond", ends((*check).updateFor, 1)},
	{"TouchForOneNanosecond", ends((*check).touchFor, 1)},
	{"CreateForOneMillisecondAndABit", ends((*check).createFor, time.Millisecond+1)},
	{"UpdateForOneMillisecondAndABit", ends((*check).updateFor, time.Millisecond+1)},
	{"TouchForOneMillisecondAndABit", ends((*check).touchFor, time.Millisecond+1)},
	{"CreateForOddNanoseconds", lasts((*check).createFor, time.Hour+1, time.Hour+time.Millisecond-1, 90*time.Minute+999_999_999)},
	{"UpdateForOddNanoseconds", lasts((*check).updateFor, time.Hour+1, time.Hour+time.Millisecond-1, 90*time.Minute+999_999_999)},
	{"TouchForOddNanoseconds", lasts((*check).touchFor, time.Hour+1, time.Hour+time.Millisecond-1, 90*time.Minute+999_999_999)},
	{"CreateForCenturies", lasts((*check).createFor, 10*year, 100*year, math.MaxInt64)},
	{"UpdateForCenturies", lasts((*check).updateFor, 10*year, 100*year, math.MaxInt64)},
	{"TouchForCenturies", lasts((*check).touchFor, 10*year, 100*year, math.MaxInt64)},
}

const year = 365 * 24 * time.Hour

// expired returns a record that has just expired and was not loaded since.
func (c *check) expired(name string) store.Record {
	c.Helper()
	rec := c.create(lasting(c.record(name), short))
	c.outlive(short)
	return rec
}

func expiredLoad(c *check) { c.lacks(c.expired("a")) }

func expiredCreate(c *check) {
	rec := c.expired("a")
	c.holds(c.create(with(rec, c.data("second"))))
}

func expiredCreateSameData(c *check) {
	rec := c.expired("a")
	c.holds(c.create(lasting(rec, long)))
}

func expiredUpdate(c *check) {
	rec := c.expired("a")
	err := c.store.Update(c.Context(), rec, with(rec, c.data("second")))
	c.answers("Update of an expired record", err, store.ErrNotFound)
	c.lacks(rec)
}

func expiredUpdateLoaded(c *check) {
	rec := c.record("a")
	old := c.loadBriefly(rec)
	err := c.store.Update(c.Context(), old, with(rec, c.data("second")))
	c.answers("Update of an expired record", err, store.ErrNotFound)
	c.lacks(rec)
}

func expiredUpdateConflict(c *check) {
	rec := c.expired("a")
	err := c.store.Update(c.Context(), with(rec, c.data("never")), with(rec, c.data("second")))
	c.answers("Update of an expired record", err, store.ErrNotFound)
	c.lacks(rec)
}

func expiredTouch(c *check) {
	rec := c.expired("a")
	c.answers("Touch of an expired record", c.store.Touch(c.Context(), rec.ID, long), store.ErrNotFound)
	c.lacks(rec)
}

func expiredDelete(c *check) {
	rec := c.expired("a")
	c.answers("Delete of an expired record", c.store.Delete(c.Context(), rec.ID), nil)
	c.lacks(rec)
	c.holds(c.create(with(rec, c.data("second"))))
}

func expiredStaleAfterRecreation(c *check) {
	rec := c.record("a")
	stale := c.loadBriefly(rec)
	second := c.create(with(rec, c.data("second")))
	err := c.store.Update(c.Context(), stale, with(rec, c.data("third")))
	c.answers("Update of a stale record", err, store.ErrConflict)
	c.holds(second)
}

// loadBriefly creates rec, loads it and waits until it has expired.
func (c *check) loadBriefly(rec store.Record) store.Record {
	c.Helper()
	c.create(rec)
	loaded := c.load(rec)
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, short), nil)
	c.outlive(short)
	return loaded
}

// A grant gives the record with this name the life ttl and returns the record.
type grant func(c *check, name string, ttl time.Duration) store.Record

func (c *check) createFor(name string, ttl time.Duration) store.Record {
	c.Helper()
	return c.create(lasting(c.record(name), ttl))
}

func (c *check) updateFor(name string, ttl time.Duration) store.Record {
	c.Helper()
	rec := c.create(c.record(name))
	next := lasting(with(rec, c.data("second")), ttl)
	c.update(rec, next)
	return next
}

func (c *check) touchFor(name string, ttl time.Duration) store.Record {
	c.Helper()
	rec := c.create(c.record(name))
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, ttl), nil)
	return rec
}

// livesItsTTL: the life is the one asked for, no shorter and no longer. That it
// ended too early is known for sure when it was gone before ttl had passed since
// the moment before it was granted.
func livesItsTTL(give grant) func(*check) {
	return func(c *check) {
		const ttl = 3 * short
		start := time.Now()
		rec := give(c, "a", ttl)
		c.goes(rec)
		if lived := time.Since(start); lived < ttl-slack {
			c.Fatalf("a record with the life %v was gone after %v", ttl, lived)
		}
	}
}

// ends: a life below the store's unit is rounded up, and is neither an error nor
// without end.
func ends(give grant, ttl time.Duration) func(*check) {
	return func(c *check) { c.goes(give(c, "a", ttl)) }
}

// lasts: lives of odd length and very long ones are neither errors nor short.
func lasts(give grant, ttls ...time.Duration) func(*check) {
	return func(c *check) {
		for i, ttl := range ttls {
			rec := give(c, fmt.Sprint(i), ttl)
			time.Sleep(2 * time.Millisecond) // more than nothing
			c.holds(rec)
		}
	}
}

// lengthens: the life is counted anew from Update and Touch on. Where the
// machine was too slow to extend the record in time, a longer first life is
// tried.
func lengthens(extend func(c *check, rec store.Record) (store.Record, error)) func(*check) {
	return func(c *check) {
		for ttl := 4 * short; ; ttl *= 2 {
			start := time.Now()
			rec := c.create(lasting(c.record(ttl.String()), ttl))
			next, err := extend(c, rec)
			if errors.Is(err, store.ErrNotFound) && time.Since(start) > ttl-slack && ttl < time.Minute {
				continue
			}
			c.answers("extending a record", err, nil)
			c.outlive(ttl)
			c.holds(next)
			return
		}
	}
}

func (c *check) extendByUpdate(rec store.Record) (store.Record, error) {
	next := with(rec, c.data("second"))
	return next, c.store.Update(c.Context(), rec, next)
}

func (c *check) extendByTouch(rec store.Record) (store.Record, error) {
	return rec, c.store.Touch(c.Context(), rec.ID, long)
}

func createStartsNewLife(c *check) {
	rec := c.expired("a")
	c.create(lasting(rec, long))
	c.outlive(short)
	c.holds(rec)
}

func createAfterDeleteStartsNewLife(c *check) {
	rec := c.create(lasting(c.record("a"), short))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.create(lasting(rec, long))
	c.outlive(short)
	c.holds(rec)
}

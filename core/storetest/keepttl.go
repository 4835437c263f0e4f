package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Update with KeepTTL replaces the content as any Update does, and leaves the life
// that the record has as it is.
var keepTTLCases = []testCase{
	{"KeepTTL", keepTTL(byUpdate)},
	{"KeepTTLLoaded", keepTTLLoaded},
	{"KeepTTLSameContent", keepTTLSameContent},
	{"KeepTTLUnknown", keepTTLUnknown},
	{"KeepTTLDeleted", keepTTLDeleted},
	{"KeepTTLExpired", keepTTLExpired(byUpdate)},
	{"KeepTTLConflict", keepTTLConflict},
	{"KeepTTLStale", keepTTLStale},
	{"KeepTTLDoesNotLengthen", keepTTLDoesNotLengthen(byUpdate)},
	{"KeepTTLDoesNotShorten", keepTTLDoesNotShorten(byUpdate)},
	{"KeepTTLAgainAndAgain", keepTTLAgainAndAgain(byUpdate)},
	{"KeepTTLAfterLengtheningTouch", keepTTLAfterLengtheningTouch},
	{"KeepTTLAfterShorteningTouch", keepTTLAfterShorteningTouch},
	{"KeepTTLThenTouch", keepTTLThenTouch},
	{"KeepTTLThenUpdate", keepTTLThenUpdate},
	{"KeepTTLCancelled", keepTTLDone(cancelled)},
	{"KeepTTLTimedOut", keepTTLDone(timedOut)},
	{"RaceKeepTTL", raceKeepTTL},
	{"RaceKeepTTLTouch", raceKeepTTLTouch(byUpdate)},
	{"RaceKeepTTLDelete", raceKeepTTLDelete},
}

// An updater is Update, or another verb that does what Update does.
type updater func(c *check, old, next store.Record) error

func byUpdate(c *check, old, next store.Record) error {
	return c.store.Update(c.Context(), old, next)
}

func byUpdateOrLoad(c *check, old, next store.Record) error {
	_, err := c.updateOrLoad(old, next)
	return err
}

// keeping returns rec with other data and the life that it has.
func keeping(rec store.Record, data []byte) store.Record {
	return store.Record{ID: rec.ID, Data: data, TTL: store.KeepTTL}
}

// keep makes the store hold other data in place of old, and returns what it holds.
func (c *check) keep(old store.Record, text string) store.Record {
	c.Helper()
	next := keeping(old, c.data(text))
	c.answers("Update with KeepTTL", c.store.Update(c.Context(), old, next), nil)
	return next
}

func keepTTL(update updater) func(*check) {
	return func(c *check) {
		rec, other := c.create(c.record("a")), c.create(c.record("b"))
		next := keeping(rec, c.data("second"))
		c.answers("Update with KeepTTL", update(c, rec, next), nil)
		c.holds(next)
		c.holds(other)
	}
}

func keepTTLLoaded(c *check) {
	rec := c.create(c.record("a"))
	for i := range 3 {
		c.holds(c.keep(c.load(rec), fmt.Sprint(i)))
	}
}

// A database may count no row as changed where what it holds is what it held.
func keepTTLSameContent(c *check) {
	rec := c.create(c.record("a"))
	for range 2 {
		c.holds(c.keep(c.load(rec), "first"))
	}
	stale := with(rec, c.data("never"))
	c.answers("Update of other content with KeepTTL and the same", c.store.Update(c.Context(), stale, keeping(rec, stale.Data)), store.ErrConflict)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.answers("Update after Delete with KeepTTL and the same", c.store.Update(c.Context(), rec, keeping(rec, rec.Data)), store.ErrNotFound)
}

func keepTTLUnknown(c *check) {
	rec := c.record("a")
	err := c.store.Update(c.Context(), rec, keeping(rec, c.data("second")))
	c.answers("Update of an unknown id with KeepTTL", err, store.ErrNotFound)
	c.lacks(rec)
}

func keepTTLDeleted(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	err := c.store.Update(c.Context(), old, keeping(rec, c.data("second")))
	c.answers("Update after Delete with KeepTTL", err, store.ErrNotFound)
	c.lacks(rec)
}

func keepTTLExpired(update updater) func(*check) {
	return func(c *check) {
		rec := c.record("a")
		loaded := c.loadBriefly(rec)
		for _, old := range []store.Record{rec, loaded, with(rec, c.data("never"))} {
			err := update(c, old, keeping(rec, c.data("second")))
			c.answers("Update of an expired record with KeepTTL", err, store.ErrNotFound)
		}
		c.lacks(rec)
	}
}

func keepTTLConflict(c *check) {
	rec := c.create(c.record("a"))
	err := c.store.Update(c.Context(), with(rec, c.data("never")), keeping(rec, c.data("second")))
	c.answers("Update of other content with KeepTTL", err, store.ErrConflict)
	c.outlive(short)
	c.holds(rec)
}

func keepTTLStale(c *check) {
	rec := c.create(c.record("a"))
	stale := c.load(rec)
	second := c.keep(rec, "second")
	err := c.store.Update(c.Context(), stale, keeping(rec, c.data("third")))
	c.answers("Update of a stale record with KeepTTL", err, store.ErrConflict)
	c.holds(second)
}

// inTime calls do with a record that lives for ttl, and tells whether the record
// lived until do was done. Where the machine was too slow for that, a longer life is
// tried.
func (c *check) inTime(do func(rec store.Record) error) (ttl time.Duration, rec store.Record) {
	c.Helper()
	for ttl = 4 * short; ; ttl *= 2 {
		start := time.Now()
		rec = c.create(lasting(c.record(ttl.String()), ttl))
		err := do(rec)
		if errors.Is(err, store.ErrNotFound) && time.Since(start) > ttl-slack && ttl < time.Minute {
			continue
		}
		c.answers("Update with KeepTTL", err, nil)
		return ttl, rec
	}
}

func keepTTLDoesNotLengthen(update updater) func(*check) {
	return func(c *check) {
		ttl, rec := c.inTime(func(rec store.Record) error {
			return update(c, rec, keeping(rec, c.data("second")))
		})
		c.outlive(ttl)
		c.lacks(rec)
	}
}

func keepTTLDoesNotShorten(update updater) func(*check) {
	return func(c *check) {
		rec := c.create(c.record("a"))
		next := keeping(rec, c.data("second"))
		c.answers("Update with KeepTTL", update(c, rec, next), nil)
		c.outlive(short)
		c.holds(next)
	}
}

// However often a record is written, it ends when it would have ended.
func keepTTLAgainAndAgain(update updater) func(*check) {
	return func(c *check) {
		const ttl = 4 * short
		start := time.Now()
		rec := c.create(lasting(c.record("a"), ttl))
		for n := 0; time.Since(start) < c.patience; n++ {
			next := keeping(rec, c.data(fmt.Sprint(n)))
			err := update(c, rec, next)
			if err == nil {
				rec = next
				continue
			}
			c.answers("Update again and again with KeepTTL", err, store.ErrNotFound)
			if lived := time.Since(start); lived < ttl-slack {
				c.Fatalf("a record with the life %v was gone after %v and %d updates that keep it", ttl, lived, n)
			}
			c.lacks(rec)
			return
		}
		c.Fatalf("a record with the life %v is still there after %v of updates that keep it", ttl, c.patience)
	}
}

// The life is the one that the record has when it is written, not when it was loaded
// or created.

func keepTTLAfterLengtheningTouch(c *check) {
	var next store.Record
	ttl, _ := c.inTime(func(rec store.Record) error {
		old, err := c.store.Load(c.Context(), rec.ID)
		if err != nil {
			return err
		}
		if err := c.store.Touch(c.Context(), rec.ID, long); err != nil {
			return err
		}
		next = keeping(rec, c.data("second"))
		return c.store.Update(c.Context(), old, next)
	})
	c.outlive(ttl)
	c.holds(next)
}

func keepTTLAfterShorteningTouch(c *check) {
	ttl, rec := c.inTime(func(rec store.Record) error {
		if err := c.store.Touch(c.Context(), rec.ID, long); err != nil {
			return err
		}
		old, err := c.store.Load(c.Context(), rec.ID)
		if err != nil {
			return err
		}
		if err := c.store.Touch(c.Context(), rec.ID, rec.TTL); err != nil {
			return err
		}
		return c.store.Update(c.Context(), old, keeping(rec, c.data("second")))
	})
	c.outlive(ttl)
	c.lacks(rec)
}

// A later life counts again.

func keepTTLThenTouch(c *check) {
	rec := c.keep(c.create(c.record("a")), "second")
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, short), nil)
	c.goes(rec)
}

func keepTTLThenUpdate(c *check) {
	rec := c.keep(c.create(c.record("a")), "second")
	c.update(rec, lasting(with(rec, c.data("third")), short))
	c.goes(rec)
}

func keepTTLDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record("a"))
		err := c.store.Update(ctx, rec, keeping(rec, c.data("second")))
		c.answers("Update with KeepTTL, "+o.name+",", err, ctx.Err())
		c.holds(rec)
	}
}

func raceKeepTTL(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		errs := c.together(callers, func(i int) error {
			return c.store.Update(c.Context(), rec, keeping(rec, c.data(fmt.Sprint(i))))
		})
		winner := c.oneWins("Update with KeepTTL", errs, store.ErrConflict)
		c.holds(with(rec, c.data(fmt.Sprint(winner))))
	}
}

// A life that is given at the same moment is not lost.
func raceKeepTTLTouch(update updater) func(*check) {
	return func(c *check) {
		recs := make([]store.Record, rounds)
		for round := range recs {
			rec := c.create(c.record(fmt.Sprint(round)))
			recs[round] = rec
			errs := c.together(2, func(i int) error {
				if i == 0 {
					stagger(round)
					return c.store.Touch(c.Context(), rec.ID, short)
				}
				return update(c, rec, keeping(rec, c.data("second")))
			})
			c.answers("Touch", errs[0], nil)
			if errs[1] != nil { // on a slow machine the short life is over
				c.answers("Update with KeepTTL during Touch", errs[1], store.ErrNotFound)
			}
		}
		c.outlive(short)
		for _, rec := range recs {
			c.lacks(rec)
		}
	}
}

func raceKeepTTLDelete(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Delete(c.Context(), rec.ID)
			}
			return c.store.Update(c.Context(), rec, keeping(rec, c.data("second")))
		})
		c.answers("Delete", errs[0], nil)
		if errs[1] != nil {
			c.answers("Update with KeepTTL during Delete", errs[1], store.ErrNotFound)
		}
		c.lacks(rec)
	}
}

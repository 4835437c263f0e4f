package storetest

import (
	"errors"
	"fmt"
	"runtime"

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

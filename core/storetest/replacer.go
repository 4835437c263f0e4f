package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Replace creates next and puts retired in the place of old, both or neither.
var replacerCases = []testCase{
	{"Replace", replaceBoth},
	{"ReplaceLoaded", replaceLoaded},
	{"ReplaceLoadedAfterTouch", replaceLoadedAfterTouch},
	{"ReplaceAgainAndAgain", replaceAgainAndAgain},
	{"ReplaceUnknown", replaceUnknown},
	{"ReplaceDeleted", replaceDeleted},
	{"ReplaceConflict", replaceConflict},
	{"ReplaceStale", replaceStale},
	{"ReplaceExists", replaceExists},
	{"ReplaceLeavesOthersAlone", replaceLeavesOthersAlone},
	{"ReplaceExpired", replaceExpired},
	{"ReplaceOverExpiredNext", replaceOverExpiredNext},
	{"ReplaceSetsLifeOfRetired", replaceSetsLifeOfRetired},
	{"ReplaceSetsLifeOfNext", replaceSetsLifeOfNext},
	{"ReplaceLengthensLife", lengthens((*check).extendByReplace)},
	{"ReplaceForOneNanosecond", replaceForOneNanosecond},
	{"ReplaceConflictKeepsLife", replaceConflictKeepsLife},
	{"ReplaceKeepsNoSlice", replaceKeepsNoSlice},
	{"ReplaceLoadedBytesSurvive", replaceLoadedBytesSurvive},
	{"ReplaceCancelled", replaceDone(cancelled)},
	{"ReplaceTimedOut", replaceDone(timedOut)},
	{"RaceReplace", raceReplace},
	{"RaceReplaceUpdate", raceReplaceUpdate},
	{"RaceReplaceDelete", raceReplaceDelete},
	{"RaceReplaceCreate", raceReplaceCreate},
	{"RaceReplaceCrosswise", raceReplaceCrosswise},
	{"RaceReplaceIsOneStep", raceReplaceIsOneStep},
}

// A renewal is what Replace is given.
type renewal struct{ old, retired, next store.Record }

// renewal creates a record and returns it with what shall become of it.
func (c *check) renewal(name string) renewal {
	c.Helper()
	old := c.create(c.record(name))
	return renewal{
		old:     old,
		retired: with(old, c.data("retired")),
		next:    with(c.record(name+"-next"), c.data("next")),
	}
}

func (c *check) tryReplace(ctx context.Context, r renewal) error {
	return c.store.(store.Replacer).Replace(ctx, r.old, r.retired, r.next)
}

// replace calls Replace. It ends the case where the store answers that it cannot
// change these two records together, as it may.
func (c *check) replace(r renewal) error {
	c.Helper()
	err := c.tryReplace(c.Context(), r)
	c.skipUnsupported(err)
	return err
}

func (c *check) skipUnsupported(errs ...error) {
	c.Helper()
	for _, err := range errs {
		if errors.Is(err, errors.ErrUnsupported) {
			c.discreet("Replace", err)
			c.Skipf("the store cannot change these two records together: %v", err)
		}
	}
}

// replaced checks that both writes of r were done.
func (c *check) replaced(r renewal) {
	c.Helper()
	c.holds(r.retired)
	c.holds(r.next)
}

// notReplaced checks that neither was.
func (c *check) notReplaced(r renewal) {
	c.Helper()
	c.holds(r.old)
	c.lacks(r.next)
}

func replaceBoth(c *check) {
	r := c.renewal("a")
	err := c.tryReplace(c.Context(), r)
	if errors.Is(err, errors.ErrUnsupported) {
		c.notReplaced(r)
	}
	c.skipUnsupported(err)
	c.answers("Replace", err, nil)
	c.replaced(r)
}

func replaceLoaded(c *check) {
	r := c.renewal("a")
	r.old = c.load(r.old)
	c.answers("Replace", c.replace(r), nil)
	c.replaced(r)
	second := with(r.next, c.data("second"))
	c.update(c.load(r.next), second)
	c.holds(second)
}

func replaceLoadedAfterTouch(c *check) {
	r := c.renewal("a")
	r.old = c.load(r.old)
	c.answers("Touch", c.store.Touch(c.Context(), r.old.ID, 2*long), nil)
	c.answers("Replace", c.replace(r), nil)
	c.replaced(r)
}

func replaceAgainAndAgain(c *check) {
	r := c.renewal("a")
	for i := range 5 {
		c.answers("Replace", c.replace(r), nil)
		c.replaced(r)
		r = renewal{
			old:     r.next,
			retired: with(r.next, c.data("retired")),
			next:    with(c.record(fmt.Sprint("next-", i)), c.data("next again")),
		}
	}
}

func replaceUnknown(c *check) {
	old := c.record("a")
	r := renewal{old, with(old, c.data("retired")), c.record("next")}
	c.answers("Replace of an unknown id", c.replace(r), store.ErrNotFound)
	c.lacks(r.old)
	c.lacks(r.next)
}

func replaceDeleted(c *check) {
	r := c.renewal("a")
	r.old = c.load(r.old)
	c.answers("Delete", c.store.Delete(c.Context(), r.old.ID), nil)
	c.answers("Replace after Delete", c.replace(r), store.ErrNotFound)
	c.lacks(r.old)
	c.lacks(r.next)
}

func replaceConflict(c *check) {
	r := c.renewal("a")
	stored := r.old
	r.old = with(r.old, c.data("never"))
	c.answers("Replace of other content", c.replace(r), store.ErrConflict)
	c.holds(stored)
	c.lacks(r.next)
}

func replaceStale(c *check) {
	r := c.renewal("a")
	r.old = c.load(r.old)
	second := with(r.old, c.data("second"))
	c.update(c.load(r.old), second)
	c.answers("Replace of a stale record", c.replace(r), store.ErrConflict)
	c.holds(second)
	c.lacks(r.next)
}

func replaceExists(c *check) {
	r := c.renewal("a")
	other := c.create(with(r.next, c.data("other")))
	c.answers("Replace by an id in use", c.replace(r), store.ErrExists)
	c.holds(r.old)
	c.holds(other)
}

func replaceLeavesOthersAlone(c *check) {
	r, other := c.renewal("a"), c.create(c.record("b"))
	c.answers("Replace", c.replace(r), nil)
	c.holds(other)
}

func replaceExpired(c *check) {
	r := c.renewal("a")
	c.answers("Touch", c.store.Touch(c.Context(), r.old.ID, short), nil)
	c.outlive(short)
	c.answers("Replace of an expired record", c.replace(r), store.ErrNotFound)
	c.lacks(r.old)
	c.lacks(r.next)
}

func replaceOverExpiredNext(c *check) {
	r := c.renewal("a")
	c.create(lasting(with(r.next, c.data("other")), short))
	c.outlive(short)
	c.answers("Replace by an id that expired", c.replace(r), nil)
	c.replaced(r)
}

func replaceSetsLifeOfRetired(c *check) {
	r := c.renewal("a")
	r.retired.TTL = short
	c.answers("Replace", c.replace(r), nil)
	c.goes(r.retired)
	c.holds(r.next)
}

func replaceSetsLifeOfNext(c *check) {
	r := c.renewal("a")
	r.next.TTL = short
	c.answers("Replace", c.replace(r), nil)
	c.goes(r.next)
	c.holds(r.retired)
}

func (c *check) extendByReplace(rec store.Record) (store.Record, error) {
	next := store.Record{ID: rec.ID + "-next", Data: c.data("next"), TTL: long}
	retired := with(rec, c.data("retired"))
	return retired, c.replace(renewal{rec, retired, next})
}

func replaceForOneNanosecond(c *check) {
	r := c.renewal("a")
	r.retired.TTL, r.next.TTL = 1, 1
	c.answers("Replace", c.replace(r), nil)
	c.goes(r.retired)
	c.goes(r.next)
}

func replaceConflictKeepsLife(c *check) {
	r := c.renewal("a")
	stored := r.old
	r.old, r.retired.TTL = with(r.old, c.data("never")), short
	c.answers("Replace of other content", c.replace(r), store.ErrConflict)
	c.outlive(short)
	c.holds(stored)
}

func replaceKeepsNoSlice(c *check) {
	r := c.renewal("a")
	given := r
	given.retired.Data, given.next.Data = c.data("retired"), c.data("next")
	c.answers("Replace", c.replace(given), nil)
	scrawl(given.retired.Data)
	scrawl(given.next.Data)
	c.replaced(r)
}

func replaceLoadedBytesSurvive(c *check) {
	r := c.renewal("a")
	r.retired.Data = c.data("FIRST")
	loaded := c.load(r.old)
	c.answers("Replace", c.replace(r), nil)
	c.same("Load, earlier,", loaded, r.old)
}

func replaceDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		r := c.renewal("a")
		err := c.tryReplace(ctx, r)
		c.skipUnsupported(err)
		c.answers("Replace, "+o.name+",", err, ctx.Err())
		c.notReplaced(r)
	}
}

func raceReplace(c *check) {
	for round := range rounds {
		r := c.renewal(fmt.Sprint(round))
		nexts := make([]store.Record, callers)
		for i := range nexts {
			nexts[i] = c.record(fmt.Sprint(round, "-next-", i))
		}
		errs := c.together(callers, func(i int) error {
			return c.tryReplace(c.Context(), renewal{r.old, r.retired, nexts[i]})
		})
		c.skipUnsupported(errs...)
		winner := c.oneWins("Replace", errs, store.ErrConflict)
		c.holds(r.retired)
		for i, next := range nexts {
			if i == winner {
				c.holds(next)
			} else {
				c.lacks(next)
			}
		}
	}
}

func raceReplaceUpdate(c *check) {
	for round := range rounds {
		r := c.renewal(fmt.Sprint(round))
		second := with(r.old, c.data("second"))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Update(c.Context(), r.old, second)
			}
			return c.tryReplace(c.Context(), r)
		})
		c.skipUnsupported(errs...)
		if c.oneWins("Update or Replace", errs, store.ErrConflict) == 0 {
			c.holds(second)
			c.lacks(r.next)
		} else {
			c.replaced(r)
		}
	}
}

func raceReplaceDelete(c *check) {
	for round := range rounds {
		r := c.renewal(fmt.Sprint(round))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Delete(c.Context(), r.old.ID)
			}
			return c.tryReplace(c.Context(), r)
		})
		c.skipUnsupported(errs...)
		c.answers("Delete", errs[0], nil)
		c.lacks(r.old)
		if errs[1] == nil {
			c.holds(r.next)
		} else {
			c.answers("Replace during Delete", errs[1], store.ErrNotFound)
			c.lacks(r.next)
		}
	}
}

func raceReplaceCreate(c *check) {
	for round := range rounds {
		r := c.renewal(fmt.Sprint(round))
		other := with(r.next, c.data("other"))
		errs := c.together(2, func(i int) error {
			if i == 0 {
				stagger(round)
				return c.store.Create(c.Context(), other)
			}
			return c.tryReplace(c.Context(), r)
		})
		c.skipUnsupported(errs...)
		if c.oneWins("Create or Replace", errs, store.ErrExists) == 0 {
			c.holds(r.old)
			c.holds(other)
		} else {
			c.replaced(r)
		}
	}
}

// Two calls that need the same two records the other way round do not wait for
// each other.
func raceReplaceCrosswise(c *check) {
	a, b := c.create(c.record("a")), c.create(c.record("b"))
	ab := renewal{a, with(a, c.data("retired")), with(b, c.data("next"))}
	ba := renewal{b, with(b, c.data("retired")), with(a, c.data("next"))}
	errs := c.together(callers, func(i int) error {
		r := ab
		if i%2 == 1 {
			r = ba
		}
		for range 10 * rounds {
			if err := c.tryReplace(c.Context(), r); !errors.Is(err, store.ErrExists) {
				return err
			}
		}
		return store.ErrExists
	})
	c.skipUnsupported(errs...)
	c.allAnswer("Replace crosswise", errs, store.ErrExists)
	c.holds(a)
	c.holds(b)
}

// Who sees that old was retired sees next as well, and the other way round.
func raceReplaceIsOneStep(c *check) {
	for round := range rounds {
		r := c.renewal(fmt.Sprint(round))
		var ready atomic.Bool
		errs := c.together(3, func(i int) error {
			first, second := r.retired, r.next
			switch i {
			case 0:
				defer ready.Store(true)
				stagger(round)
				return c.tryReplace(c.Context(), r)
			case 1:
				first, second = second, first
			}
			for ; !ready.Load(); runtime.Gosched() {
				saw, err := c.has(first)
				if err != nil {
					return err
				}
				if !saw {
					continue
				}
				if saw, err := c.has(second); err != nil || !saw {
					return errors.Join(errors.New("one half was seen without the other"), err)
				}
			}
			return nil
		})
		c.skipUnsupported(errs...)
		c.allAnswer("Replace and Load", errs, nil)
	}
}

// has reports whether the store has exactly rec.
func (c *check) has(rec store.Record) (bool, error) {
	got, err := c.store.Load(c.Context(), rec.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return string(got.Data) == string(rec.Data), err
}

package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// All verbs may be called by many goroutines at once, for the same id too, and
// each is atomic in the storage.
var raceCases = []testCase{
	// Standards: ASVS-15.4.2
	{"RaceCreate", raceCreate},
	{"RaceCreateOverExpired", raceCreateOverExpired},
	// Standards: ASVS-15.4.2
	{"RaceUpdate", raceUpdate},
	{"RaceUpdateLoaded", raceUpdateLoaded},
	{"RaceCounter", raceCounter},
	{"RaceCounterWritten", raceCounterWritten},
	{"RaceCounterTouched", raceCounterTouched},
	{"RaceManyCounters", raceManyCounters},
	{"RaceLoadSeesWholeRecords", raceLoadSeesWholeRecords},
	{"RaceDelete", raceDelete},
	{"RaceUpdateDelete", raceUpdateDelete},
	{"RaceTouchDelete", raceTouchDelete},
	{"RaceCreateDelete", raceCreateDelete},
}

const (
	rounds  = 15
	callers = 8
)

// stagger delays one of two callers a little, differently in each round, so that
// now the one comes first and now the other.
func stagger(round int) { time.Sleep(time.Duration(round%5) * 100 * time.Microsecond) }

func raceCreate(c *check) {
	for round := range rounds {
		rec := c.record(fmt.Sprint(round))
		errs := c.together(callers, func(i int) error {
			return c.store.Create(c.Context(), with(rec, c.data(fmt.Sprint(i))))
		})
		winner := c.oneWins("Create", errs, store.ErrExists)
		c.holds(with(rec, c.data(fmt.Sprint(winner))))
	}
}

func raceCreateOverExpired(c *check) {
	var recs []store.Record
	for round := range rounds {
		recs = append(recs, c.create(lasting(c.record(fmt.Sprint(round)), short)))
	}
	c.outlive(short)
	for _, rec := range recs {
		errs := c.together(callers, func(i int) error {
			return c.store.Create(c.Context(), with(rec, c.data(fmt.Sprint(i))))
		})
		winner := c.oneWins("Create", errs, store.ErrExists)
		c.holds(with(rec, c.data(fmt.Sprint(winner))))
	}
}

func raceUpdate(c *check)       { raceUpdates(c, func(rec store.Record) store.Record { return rec }) }
func raceUpdateLoaded(c *check) { raceUpdates(c, c.load) }

func raceUpdates(c *check, old func(store.Record) store.Record) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		from := old(rec)
		errs := c.together(callers, func(i int) error {
			return c.store.Update(c.Context(), from, with(rec, c.data(fmt.Sprint(i))))
		})
		winner := c.oneWins("Update", errs, store.ErrConflict)
		c.holds(with(rec, c.data(fmt.Sprint(winner))))
	}
}

// add replaces the number that the record of id holds by the next one, again and
// again until no other caller comes in between.
func (c *check) add(id string, old func(store.Record) store.Record) error {
	for range attempts {
		rec, err := c.store.Load(c.Context(), id)
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscanf(string(rec.Data), "[%d]", &n); err != nil {
			return errors.New("a counter does not hold a number")
		}
		next := store.Record{ID: id, Data: number(n + 1), TTL: long}
		runtime.Gosched() // a fast store would let each caller finish before the next begins
		if err := c.store.Update(c.Context(), old(rec), next); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errNoTurn
}

func number(n int) []byte { return fmt.Appendf(nil, "[%d]", n) }

func asLoaded(rec store.Record) store.Record { return rec }

func asWritten(rec store.Record) store.Record {
	rec.Token = nil
	return rec
}

const (
	steps = 25

	// attempts is far above callers * steps: each ErrConflict is due to a write
	// of another caller.
	attempts = 10_000
)

var errNoTurn = fmt.Errorf("a caller met ErrConflict %d times without anybody else's write", attempts)

func (c *check) counts(old func(store.Record) store.Record) {
	c.Helper()
	rec := c.create(with(c.record("a"), number(0)))
	c.allAnswer("adding to a counter", c.together(callers, func(int) error {
		for range steps {
			if err := c.add(rec.ID, old); err != nil {
				return err
			}
		}
		return nil
	}), nil)
	c.holds(with(rec, number(callers*steps)))
}

func raceCounter(c *check)        { c.counts(asLoaded) }
func raceCounterWritten(c *check) { c.counts(asWritten) }

func raceCounterTouched(c *check) {
	rec := c.create(with(c.record("a"), number(0)))
	var ready atomic.Bool
	c.allAnswer("adding to a counter that is touched", c.together(4, func(i int) error {
		if i == 0 {
			defer ready.Store(true)
			for range 2 * steps {
				if err := c.add(rec.ID, asLoaded); err != nil {
					return err
				}
			}
			return nil
		}
		for ; !ready.Load(); runtime.Gosched() {
			if err := c.store.Touch(c.Context(), rec.ID, long); err != nil {
				return err
			}
		}
		return nil
	}), nil)
	c.holds(with(rec, number(2*steps)))
}

func raceManyCounters(c *check) {
	recs := make([]store.Record, callers)
	for i := range recs {
		recs[i] = c.create(with(c.record(fmt.Sprint(i)), number(0)))
	}
	c.allAnswer("adding to many counters", c.together(callers, func(i int) error {
		for step := range steps {
			if err := c.add(recs[(i+step)%len(recs)].ID, asLoaded); err != nil {
				return err
			}
		}
		return nil
	}), nil)
	for _, rec := range recs {
		c.holds(with(rec, number(steps)))
	}
}

func raceLoadSeesWholeRecords(c *check) {
	var texts []string
	whole := make(map[string]bool)
	for i := range 5 {
		text := string(c.data(strings.Repeat(string(rune('a'+i)), 1+3000*i)))
		texts, whole[text] = append(texts, text), true
	}
	rec := c.create(with(c.record("a"), []byte(texts[0])))
	var ready atomic.Bool
	c.allAnswer("Load during updates", c.together(4, func(i int) error {
		if i == 0 {
			defer ready.Store(true)
			for step := range 4 * steps {
				old, next := texts[step%len(texts)], texts[(step+1)%len(texts)]
				if err := c.store.Update(c.Context(), with(rec, []byte(old)), with(rec, []byte(next))); err != nil {
					return err
				}
				runtime.Gosched()
			}
			return nil
		}
		for ; !ready.Load(); runtime.Gosched() {
			got, err := c.store.Load(c.Context(), rec.ID)
			if err != nil {
				return err
			}
			if !whole[string(got.Data)] {
				return errors.New("the record is one that was never written")
			}
		}
		return nil
	}), nil)
}

func raceDelete(c *check) {
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		c.allAnswer("simultaneous Delete", c.together(callers, func(int) error {
			return c.store.Delete(c.Context(), rec.ID)
		}), nil)
		c.lacks(rec)
	}
}

// Whoever updates or touches while the record is deleted never brings it back.

func raceUpdateDelete(c *check) {
	var n atomic.Int64
	c.staysDeleted("Update", func(rec store.Record) error {
		old, err := c.store.Load(c.Context(), rec.ID)
		if err != nil {
			return err
		}
		runtime.Gosched() // so that Delete comes in between
		return c.store.Update(c.Context(), old, with(rec, c.data(fmt.Sprint(n.Add(1)))))
	})
}

func raceTouchDelete(c *check) {
	c.staysDeleted("Touch", func(rec store.Record) error {
		return c.store.Touch(c.Context(), rec.ID, long)
	})
}

func (c *check) staysDeleted(verb string, write func(store.Record) error) {
	c.Helper()
	for round := range rounds {
		rec := c.create(c.record(fmt.Sprint(round)))
		var deleted atomic.Bool
		errs := c.together(callers, func(i int) error {
			if i == 0 {
				defer deleted.Store(true)
				stagger(round)
				return c.store.Delete(c.Context(), rec.ID)
			}
			for ; !deleted.Load(); runtime.Gosched() {
				err := write(rec)
				if err != nil && !errors.Is(err, store.ErrConflict) {
					return err
				}
			}
			return nil
		})
		c.answers("Delete", errs[0], nil)
		for _, err := range errs[1:] {
			if err != nil {
				c.answers(verb+" during Delete", err, store.ErrNotFound)
			}
		}
		c.lacks(rec)
	}
}

func raceCreateDelete(c *check) {
	for round := range rounds {
		rec := c.record(fmt.Sprint(round))
		var created atomic.Int32
		errs := c.together(callers, func(i int) error {
			if i%2 == 0 {
				return c.store.Delete(c.Context(), rec.ID)
			}
			err := c.store.Create(c.Context(), rec)
			if err == nil {
				created.Add(1)
			}
			return err
		})
		for i, err := range errs {
			if i%2 == 0 || err == nil {
				c.answers("Delete during Create", err, nil)
			} else {
				c.answers("Create during Delete", err, store.ErrExists)
			}
		}
		if created.Load() == 0 {
			c.Fatalf("none of %d calls to Create succeeded", callers/2)
		}
		c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
		c.lacks(rec)
	}
}

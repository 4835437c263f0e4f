package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Every verb gives up when ctx is done and returns an error that matches
// ctx.Err(); where ctx is done already, nothing is changed. A *Error tells
// whether a write may have been applied.
var contextCases = []testCase{
	{"CancelledLoad", loadDone(cancelled)},
	{"CancelledCreate", createDone(cancelled)},
	{"CancelledUpdate", updateDone(cancelled)},
	{"CancelledTouch", touchDone(cancelled)},
	{"CancelledDelete", deleteDone(cancelled)},
	{"TimedOutLoad", loadDone(timedOut)},
	{"TimedOutCreate", createDone(timedOut)},
	{"TimedOutUpdate", updateDone(timedOut)},
	{"TimedOutTouch", touchDone(timedOut)},
	{"TimedOutDelete", deleteDone(timedOut)},
	{"InterruptedLoad", interruptedLoad},
	{"InterruptedCreate", interruptedCreate},
	{"InterruptedUpdate", interruptedUpdate},
	{"InterruptedDelete", interruptedDelete},
}

func loadDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record(o.name + "-load"))
		for _, id := range []string{rec.ID, c.record(o.name + "-load-unknown").ID} {
			_, err := c.store.Load(ctx, id)
			c.answers("Load, "+o.name+",", err, ctx.Err())
		}
	}
}

func createDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.record(o.name + "-create")
		c.answers("Create, "+o.name+",", c.store.Create(ctx, rec), ctx.Err())
		c.lacks(rec)
		c.create(rec)
		c.answers("Create, "+o.name+",", c.store.Create(ctx, rec), ctx.Err())
		c.holds(rec)
	}
}

func updateDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record(o.name + "-update"))
		next := with(rec, c.data("second"))
		c.answers("Update, "+o.name+",", c.store.Update(ctx, rec, next), ctx.Err())
		c.holds(rec)
		c.answers("Update, "+o.name+",", c.store.Update(ctx, c.load(rec), next), ctx.Err())
		c.holds(rec)
	}
}

func touchDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record(o.name + "-touch"))
		c.answers("Touch, "+o.name+",", c.store.Touch(ctx, rec.ID, short), ctx.Err())
		c.outlive(short)
		c.holds(rec)
	}
}

func deleteDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		rec := c.create(c.record(o.name + "-delete"))
		c.answers("Delete, "+o.name+",", c.store.Delete(ctx, rec.ID), ctx.Err())
		c.holds(rec)
	}
}

// interrupted makes calls whose contexts end some time before, during or after
// them. It checks the errors and returns them.
func (c *check) interrupted(verb string, call func(ctx context.Context, i int) error) []error {
	c.Helper()
	errs := make([]error, 40)
	for i := range errs {
		ctx, cancel := context.WithTimeout(c.Context(), time.Duration(i)*25*time.Microsecond)
		errs[i] = call(ctx, i)
		if errs[i] != nil {
			<-ctx.Done() // a server's reply may time out a moment earlier
			c.answers(verb+", interrupted,", errs[i], ctx.Err())
		}
		cancel()
	}
	return errs
}

// notApplied reports whether err promises that the call had no effect.
func notApplied(err error) bool {
	var failure *store.Error
	return errors.As(err, &failure) && failure.Outcome == store.OutcomeNotApplied
}

func interruptedLoad(c *check) {
	rec := c.create(c.record("a"))
	c.interrupted("Load", func(ctx context.Context, _ int) error {
		_, err := c.store.Load(ctx, rec.ID)
		return err
	})
	c.holds(rec)
}

func interruptedCreate(c *check) {
	name := func(i int) store.Record { return c.record(fmt.Sprint(i)) }
	errs := c.interrupted("Create", func(ctx context.Context, i int) error {
		return c.store.Create(ctx, name(i))
	})
	for i, err := range errs {
		if err == nil {
			c.holds(name(i))
		} else if notApplied(err) {
			c.lacks(name(i))
		}
	}
}

func interruptedUpdate(c *check) {
	recs := make([]store.Record, 40)
	for i := range recs {
		recs[i] = c.create(c.record(fmt.Sprint(i)))
	}
	second := c.data("second")
	errs := c.interrupted("Update", func(ctx context.Context, i int) error {
		return c.store.Update(ctx, recs[i], with(recs[i], second))
	})
	for i, err := range errs {
		if err == nil {
			c.holds(with(recs[i], second))
		} else if notApplied(err) {
			c.holds(recs[i])
		}
	}
}

func interruptedDelete(c *check) {
	recs := make([]store.Record, 40)
	for i := range recs {
		recs[i] = c.create(c.record(fmt.Sprint(i)))
	}
	errs := c.interrupted("Delete", func(ctx context.Context, i int) error {
		return c.store.Delete(ctx, recs[i].ID)
	})
	for i, err := range errs {
		if err == nil {
			c.lacks(recs[i])
		} else if notApplied(err) {
			c.holds(recs[i])
		}
	}
}

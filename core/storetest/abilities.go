package storetest

import (
	"github.com/cloakroom-go/cloakroom/core/store"
)

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

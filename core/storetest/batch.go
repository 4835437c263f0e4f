package storetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// CreateBatch does with each record what Create does.
var batchCreatorCases = []testCase{
	{"CreateBatch", createBatch},
	{"CreateBatchOfNone", createBatchOfNone},
	{"CreateBatchExists", createBatchExists},
	{"CreateBatchOverExpired", createBatchOverExpired},
	{"CreateBatchSetsLives", createBatchSetsLives},
	{"CreateBatchForOneNanosecond", createBatchForOneNanosecond},
	{"CreateBatchKeepsNoSlice", createBatchKeepsNoSlice},
	{"CreateBatchCancelled", createBatchDone(cancelled)},
	{"CreateBatchTimedOut", createBatchDone(timedOut)},
	{"RaceCreateBatch", raceCreateBatch},
}

// batch is how many records are created at once: more than a statement of most stores has.
const batch = 300

func (c *check) records(n int) (recs []store.Record) {
	for i := range n {
		rec := c.record(fmt.Sprint("batch-", i))
		rec.Data = c.data(fmt.Sprint("of batch ", i))
		recs = append(recs, rec)
	}
	return recs
}

func (c *check) tryBatch(ctx context.Context, recs []store.Record) (inUse []string, err error) {
	return c.store.(store.BatchCreator).CreateBatch(ctx, recs)
}

// createBatch creates records, and checks that the ids of others were in use.
func (c *check) createBatch(recs []store.Record, others ...store.Record) {
	c.Helper()
	inUse, err := c.tryBatch(c.Context(), recs)
	c.answers("CreateBatch", err, nil)
	var want []string
	for _, rec := range others {
		want = append(want, rec.ID)
	}
	slices.Sort(want)
	slices.Sort(inUse)
	if !slices.Equal(inUse, want) {
		c.Fatalf("CreateBatch says of %d ids that they are in use, want %d, and those", len(inUse), len(want))
	}
}

func createBatch(c *check) {
	recs := c.records(batch)
	c.createBatch(recs)
	for _, rec := range []store.Record{recs[0], recs[batch/2], recs[batch-1]} {
		c.holds(rec)
	}
	second := with(recs[1], c.data("second"))
	c.update(c.load(recs[1]), second)
	c.holds(second)
}

func createBatchOfNone(c *check) { c.createBatch(nil) }

func createBatchExists(c *check) {
	recs := c.records(batch)
	first, second := c.create(with(recs[3], c.data("other"))), c.create(with(recs[batch-1], c.data("other")))
	c.createBatch(recs, first, second)
	c.holds(first)
	c.holds(second)
	c.holds(recs[2])
	c.holds(recs[4])
	c.createBatch(recs[:2], recs[:2]...)
}

func createBatchOverExpired(c *check) {
	recs := c.records(10)
	c.create(lasting(with(recs[3], c.data("other")), short))
	c.outlive(short)
	c.createBatch(recs)
	for _, rec := range recs {
		c.holds(rec)
	}
}

func createBatchSetsLives(c *check) {
	recs := c.records(10)
	recs[3].TTL = short
	c.createBatch(recs)
	c.goes(recs[3])
	c.holds(recs[2])
	c.holds(recs[4])
}

func createBatchForOneNanosecond(c *check) {
	recs := c.records(2)
	recs[0].TTL = 1
	c.createBatch(recs)
	c.goes(recs[0])
	c.holds(recs[1])
}

func createBatchKeepsNoSlice(c *check) {
	recs := c.records(3)
	given := slices.Clone(recs)
	for i := range given {
		given[i].Data = slices.Clone(given[i].Data)
	}
	c.createBatch(given)
	for i := range given {
		scrawl(given[i].Data)
	}
	for _, rec := range recs {
		c.holds(rec)
	}
}

func createBatchDone(o over) func(*check) {
	return func(c *check) {
		ctx := o.make(c.Context())
		recs := c.records(3)
		_, err := c.tryBatch(ctx, recs)
		c.answers("CreateBatch, "+o.name+",", err, ctx.Err())
		for _, rec := range recs {
			c.lacks(rec)
		}
	}
}

// Of many who create the same records, each record is one's.
func raceCreateBatch(c *check) {
	recs := c.records(20)
	lost := make([][]string, callers)
	errs := c.together(callers, func(i int) (err error) {
		lost[i], err = c.tryBatch(c.Context(), recs)
		return err
	})
	c.allAnswer("CreateBatch", errs, nil)
	for _, rec := range recs {
		winners := callers
		for _, ids := range lost {
			if slices.Contains(ids, rec.ID) {
				winners--
			}
		}
		if winners != 1 {
			c.Fatalf("%d callers have created a record, want 1", winners)
		}
		c.holds(rec)
	}
}

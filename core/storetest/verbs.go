package storetest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cloakroom-go/cloakroom/core/store"
)

var storeCases = slices.Concat(
	verbCases, expiryCases, keepTTLCases, idCases, dataCases, sliceCases, contextCases, raceCases,
)

var verbCases = []testCase{
	{"LoadUnknown", loadUnknown},
	{"CreateThenLoad", createThenLoad},
	{"CreateManyRecords", createManyRecords},
	// Standards: ASVS-7.2.3
	{"CreateTwice", createTwice},
	{"CreateTwiceSameData", createTwiceSameData},
	{"CreateTwiceKeepsLife", createTwiceKeepsLife},
	{"CreateAfterUpdate", createAfterUpdate},
	{"CreateAfterDelete", createAfterDelete},

	{"UpdateReplacesContent", updateReplacesContent},
	{"UpdateAgainAndAgain", updateAgainAndAgain},
	{"UpdateUnknown", updateUnknown},
	// Standards: ASVS-7.4.1
	{"UpdateDeleted", updateDeleted},
	{"UpdateDeletedLoaded", updateDeletedLoaded},
	{"UpdateConflict", updateConflict},
	{"UpdateConflictKeepsLife", updateConflictKeepsLife},
	{"UpdateComparesWholeContent", updateComparesWholeContent},
	{"UpdateComparesBytesNotJSON", updateComparesBytesNotJSON},
	{"UpdateLeavesOthersAlone", updateLeavesOthersAlone},
	{"UpdateLoaded", updateLoaded},
	{"UpdateLoadedTwice", updateLoadedTwice},
	{"UpdateLoadedThenWritten", updateLoadedThenWritten},
	{"UpdateStale", updateStale},
	{"UpdateStaleAfterRecreation", updateStaleAfterRecreation},
	{"UpdateLoadedAfterTouch", updateLoadedAfterTouch},
	{"UpdateWrittenAfterTouch", updateWrittenAfterTouch},

	{"TouchUnknown", touchUnknown},
	{"TouchDeleted", touchDeleted},
	{"TouchKeepsData", touchKeepsData},
	{"TouchKeepsUpdatedData", touchKeepsUpdatedData},
	{"TouchLeavesOthersAlone", touchLeavesOthersAlone},

	{"DeleteRemoves", deleteRemoves},
	{"DeleteWhateverItHolds", deleteWhateverItHolds},
	{"DeleteUnknown", deleteUnknown},
	{"DeleteTwice", deleteTwice},
	{"DeleteLeavesOthersAlone", deleteLeavesOthersAlone},

	// Standards: ASVS-16.2.5
	{"ErrorsOfLoadAreDiscreet", loadErrors},
	{"ErrorsOfCreateAreDiscreet", createErrors},
	{"ErrorsOfUpdateAreDiscreet", updateErrors},
	{"ErrorsOfTouchAreDiscreet", touchErrors},
}

// Load returns the record of id, or ErrNotFound when there is none.

func loadUnknown(c *check) { c.lacks(c.record("a")) }

func createThenLoad(c *check) {
	rec := c.create(c.record("a"))
	c.holds(rec)
	c.holds(rec)
}

func createManyRecords(c *check) {
	var recs []store.Record
	for i := range 50 {
		rec := c.record(fmt.Sprint(i))
		rec.Data = c.data(fmt.Sprint(i))
		recs = append(recs, c.create(rec))
	}
	for _, rec := range recs {
		c.holds(rec)
	}
}

// Create returns ErrExists, and changes nothing, when a live record has that id.

func createTwice(c *check) {
	rec := c.create(c.record("a"))
	err := c.store.Create(c.Context(), with(rec, c.data("second")))
	c.answers("Create of an id in use", err, store.ErrExists)
	c.holds(rec)
}

func createTwiceSameData(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Create of an id in use", c.store.Create(c.Context(), rec), store.ErrExists)
	c.holds(rec)
}

func createTwiceKeepsLife(c *check) {
	rec := c.create(c.record("a"))
	err := c.store.Create(c.Context(), lasting(rec, short))
	c.answers("Create of an id in use", err, store.ErrExists)
	c.outlive(short)
	c.holds(rec)
}

func createAfterUpdate(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	c.update(rec, next)
	c.answers("Create of an id in use", c.store.Create(c.Context(), rec), store.ErrExists)
	c.holds(next)
}

func createAfterDelete(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.holds(c.create(with(rec, c.data("second"))))
}

// Update replaces the content only while what is stored is still what old holds.

func updateReplacesContent(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	c.update(rec, next)
	c.holds(next)
}

func updateAgainAndAgain(c *check) {
	rec := c.create(c.record("a"))
	for i := range 20 {
		next := with(rec, c.data(string(bytes.Repeat([]byte("x"), 300*(i%3)+i))))
		c.update(rec, next)
		c.holds(next)
		rec = next
	}
}

func updateUnknown(c *check) {
	rec := c.record("a")
	err := c.store.Update(c.Context(), rec, with(rec, c.data("second")))
	c.answers("Update of an unknown id", err, store.ErrNotFound)
	c.lacks(rec)
}

func updateDeleted(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	err := c.store.Update(c.Context(), rec, with(rec, c.data("second")))
	c.answers("Update after Delete", err, store.ErrNotFound)
	c.lacks(rec)
}

func updateDeletedLoaded(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	err := c.store.Update(c.Context(), old, with(rec, c.data("second")))
	c.answers("Update after Delete", err, store.ErrNotFound)
	c.lacks(rec)
}

func updateConflict(c *check) {
	rec := c.create(c.record("a"))
	old := with(rec, c.data("never"))
	err := c.store.Update(c.Context(), old, with(rec, c.data("second")))
	c.answers("Update of other content", err, store.ErrConflict)
	c.holds(rec)
}

func updateConflictKeepsLife(c *check) {
	rec := c.create(c.record("a"))
	old := with(rec, c.data("never"))
	err := c.store.Update(c.Context(), old, lasting(with(rec, c.data("second")), short))
	c.answers("Update of other content", err, store.ErrConflict)
	c.outlive(short)
	c.holds(rec)
}

func updateComparesWholeContent(c *check) {
	rec := c.create(c.record("a"))
	for _, old := range []string{
		string(rec.Data[:len(rec.Data)-1]),
		string(rec.Data) + " ",
		" " + string(rec.Data),
		string(bytes.ToUpper(rec.Data)),
		string(bytes.Replace(rec.Data, []byte("first"), []byte("firsT"), 1)),
		`{}`,
	} {
		err := c.store.Update(c.Context(), with(rec, []byte(old)), with(rec, c.data("second")))
		c.answers("Update of "+old, err, store.ErrConflict)
		c.holds(rec)
	}
}

func updateComparesBytesNotJSON(c *check) {
	rec := c.record("a")
	rec.Data = []byte(`{"a":1,"b":"x"}`)
	c.create(rec)
	for _, old := range []string{`{"b":"x","a":1}`, `{"a": 1,"b":"x"}`, `{"a":1.0,"b":"x"}`, `{"a":1,"b":"\u0078"}`} {
		err := c.store.Update(c.Context(), with(rec, []byte(old)), with(rec, c.data("second")))
		c.answers("Update of "+old, err, store.ErrConflict)
		c.holds(rec)
	}
}

func updateLeavesOthersAlone(c *check) {
	a, b := c.create(c.record("a")), c.create(c.record("b"))
	c.update(a, with(a, c.data("second")))
	c.holds(b)
}

// The Token of a loaded record, handed back as part of old, serves as well as
// its data; core also hands in records that it has not loaded.

func updateLoaded(c *check) {
	rec := c.create(c.record("a"))
	for i := range 5 {
		next := with(rec, c.data(fmt.Sprint(i)))
		c.update(c.load(rec), next)
		c.holds(next)
	}
}

func updateLoadedTwice(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	next := with(rec, c.data("second"))
	c.update(old, next)
	err := c.store.Update(c.Context(), old, with(rec, c.data("third")))
	c.answers("Update of a record that was updated", err, store.ErrConflict)
	c.holds(next)
}

func updateLoadedThenWritten(c *check) {
	rec := c.create(c.record("a"))
	second, third := with(rec, c.data("second")), with(rec, c.data("third"))
	c.update(c.load(rec), second)
	c.update(second, third)
	c.holds(third)
}

func updateStale(c *check) {
	rec := c.create(c.record("a"))
	stale := c.load(rec)
	next := with(rec, c.data("second"))
	c.update(rec, next)
	c.load(rec)
	err := c.store.Update(c.Context(), stale, with(rec, c.data("third")))
	c.answers("Update of a stale record", err, store.ErrConflict)
	c.holds(next)
}

func updateStaleAfterRecreation(c *check) {
	rec := c.create(c.record("a"))
	stale := c.load(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	second := c.create(with(rec, c.data("second")))
	err := c.store.Update(c.Context(), stale, with(rec, c.data("third")))
	c.answers("Update of a stale record", err, store.ErrConflict)
	c.holds(second)
}

// A touch changes no content, so it is no conflict.

func updateLoadedAfterTouch(c *check) {
	rec := c.create(c.record("a"))
	old := c.load(rec)
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	next := with(rec, c.data("second"))
	c.update(old, next)
	c.holds(next)
}

func updateWrittenAfterTouch(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	next := with(rec, c.data("second"))
	c.update(rec, next)
	c.holds(next)
}

// Touch never rewrites the data and never brings a record back.

func touchUnknown(c *check) {
	rec := c.record("a")
	c.answers("Touch of an unknown id", c.store.Touch(c.Context(), rec.ID, long), store.ErrNotFound)
	c.lacks(rec)
}

func touchDeleted(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.answers("Touch after Delete", c.store.Touch(c.Context(), rec.ID, long), store.ErrNotFound)
	c.lacks(rec)
}

func touchKeepsData(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	c.holds(rec)
}

func touchKeepsUpdatedData(c *check) {
	rec := c.create(c.record("a"))
	c.load(rec)
	next := with(rec, c.data("second"))
	c.update(rec, next)
	c.answers("Touch", c.store.Touch(c.Context(), rec.ID, 2*long), nil)
	c.holds(next)
}

func touchLeavesOthersAlone(c *check) {
	a, b := c.create(c.record("a")), c.create(c.record("b"))
	c.answers("Touch", c.store.Touch(c.Context(), a.ID, short), nil)
	c.outlive(short)
	c.holds(b)
}

// Delete removes the record of id, whatever it holds; none is no error.

func deleteRemoves(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.lacks(rec)
}

func deleteWhateverItHolds(c *check) {
	rec := c.create(c.record("a"))
	c.load(rec)
	c.update(rec, with(rec, c.data("second")))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.lacks(rec)
}

func deleteUnknown(c *check) {
	c.answers("Delete of an unknown id", c.store.Delete(c.Context(), c.record("a").ID), nil)
}

func deleteTwice(c *check) {
	rec := c.create(c.record("a"))
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.answers("second Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.lacks(rec)
}

func deleteLeavesOthersAlone(c *check) {
	a, b := c.create(c.record("a")), c.create(c.record("b"))
	c.answers("Delete", c.store.Delete(c.Context(), a.ID), nil)
	c.holds(b)
}

// The text of an error never contains an id or data. The words of check look at
// every error that is wanted; these cases see to it that each of them is met.

func loadErrors(c *check) {
	c.lacks(c.record("a"))
	loadDone(cancelled)(c)
	loadDone(timedOut)(c)
}

func createErrors(c *check) {
	createTwice(c)
	createDone(cancelled)(c)
	createDone(timedOut)(c)
}

func updateErrors(c *check) {
	rec := c.record("unknown")
	err := c.store.Update(c.Context(), rec, with(rec, c.data("second")))
	c.answers("Update of an unknown id", err, store.ErrNotFound)
	updateConflict(c)
	updateDone(cancelled)(c)
	updateDone(timedOut)(c)
}

func touchErrors(c *check) {
	c.answers("Touch of an unknown id", c.store.Touch(c.Context(), c.record("unknown").ID, long), store.ErrNotFound)
	touchDone(cancelled)(c)
	touchDone(timedOut)(c)
}

package storetest

import (
	"errors"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// RunDamaged tests what a store makes of something that is no record and stands
// under the id of one: another program put it there, or somebody who repaired
// something by hand. It is for a storage where that can be.
//
// Open returns a store as it does for [Run], and a function that puts something
// that is no record in the place of the record of an id. It is called once for
// each kind of thing that a store is to be tested with.
func RunDamaged(t *testing.T, open func(t *testing.T) (s store.Store, damage func(id string))) {
	t.Helper()
	for _, tc := range damagedCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, damage := open(t)
			if !tc.has(s) {
				t.Skipf("%T has not the ability", s)
			}
			tc.run(&damaged{newCheck(t, func() store.Store { return s }, patience), damage})
		})
	}
}

// A damaged is a check whose store has something that is no record.
type damaged struct {
	*check
	damage func(id string)
}

type damagedCase struct {
	name string
	has  func(store.Store) bool
	run  func(c *damaged)
}

var damagedCases = []damagedCase{
	{"DamagedLoad", is[store.Store], damagedLoad},
	{"DamagedCreate", is[store.Store], damagedCreate},
	{"DamagedUpdate", is[store.Store], damagedUpdate},
	{"DamagedDelete", is[store.Store], damagedDelete},
	{"DamagedUpdateOrLoad", is[store.UpdateLoader], damagedUpdateOrLoad},
	{"DamagedReplace", is[store.Replacer], damagedReplace},
	{"DamagedRemove", is[store.Remover], damagedRemove},
	{"DamagedList", is[store.Lister], damagedList},
	{"DamagedCount", is[store.Counter], damagedCount},
	{"DamagedClear", is[store.Clearer], damagedClear},
	{"DamagedInspect", is[store.UserIndexer], damagedInspect},
}

// record creates a record and damages it. It returns what there was.
func (c *damaged) record() store.Record {
	c.Helper()
	rec := c.create(c.check.record("a"))
	c.damage(rec.ID)
	return rec
}

// stays checks that what is no record is still there.
func (c *damaged) stays(rec store.Record) {
	c.Helper()
	_, err := c.store.Load(c.Context(), rec.ID)
	c.answers("Load of what is no record", err, store.ErrUndecodable)
}

func damagedLoad(c *damaged) {
	other := c.create(c.check.record("other"))
	rec := c.record()
	for range 3 {
		c.stays(rec)
	}
	c.holds(other)
}

func damagedCreate(c *damaged) {
	rec := c.record()
	c.answers("Create over what is no record", c.store.Create(c.Context(), rec), store.ErrExists)
	c.stays(rec)
}

func damagedUpdate(c *damaged) {
	rec := c.record()
	c.answers("Update of what is no record", c.store.Update(c.Context(), rec, with(rec, c.data("next"))), store.ErrConflict)
	c.stays(rec)
}

func damagedDelete(c *damaged) {
	rec := c.record()
	c.answers("Delete of what is no record", c.store.Delete(c.Context(), rec.ID), nil)
	c.lacks(rec)
	c.create(rec)
}

func damagedUpdateOrLoad(c *damaged) {
	rec := c.record()
	newest, err := c.store.(store.UpdateLoader).UpdateOrLoad(c.Context(), rec, with(rec, c.data("next")))
	c.answers("UpdateOrLoad of what is no record", err, store.ErrConflict)
	if newest.Data != nil {
		c.Fatalf("UpdateOrLoad returned the data %s of what is no record", brief(newest.Data))
	}
	c.stays(rec)
}

func damagedReplace(c *damaged) {
	rec, next := c.record(), c.check.record("next")
	err := c.store.(store.Replacer).Replace(c.Context(), rec, with(rec, c.data("retired")), next)
	if errors.Is(err, errors.ErrUnsupported) {
		c.Skipf("the store cannot change both in one step: %v", err)
	}
	c.answers("Replace of what is no record", err, store.ErrConflict)
	c.stays(rec)
	c.lacks(next)
}

func damagedRemove(c *damaged) {
	rec := c.record()
	err := c.remove(rec)
	c.answers("Remove of what is no record", err, store.ErrConflict)
	c.stays(rec)
}

func damagedList(c *damaged) {
	rec, other := c.record(), c.create(c.check.record("other"))
	c.lists(other)
	c.stays(rec)
}

func damagedCount(c *damaged) {
	rec := c.record()
	c.counted(0)
	c.create(c.check.record("other"))
	c.counted(1)
	c.stays(rec)
}

func damagedClear(c *damaged) {
	rec, other := c.record(), c.create(c.check.record("other"))
	c.clear()
	c.lacks(other)
	c.stays(rec)
}

func damagedInspect(c *damaged) {
	rec, other := c.record(), c.create(c.check.record("other"))
	c.inspect([]store.Record{rec, other}, []store.Record{other})
	c.inspect([]store.Record{rec}, nil)
	c.stays(rec)
}

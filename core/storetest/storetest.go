// Package storetest reports whether a store keeps the contract of [store.Store].
// This is all that a store's own tests need:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return newStore(t) })
//	}
//
// Every case tests a sentence of the contract and nothing else. The optional
// abilities, such as [store.Replacer], are found by type assertion as core finds
// them; those that the store does not have are skipped by name, and a line of
// the log (go test -v) tells which were exercised. What a [store.UserIndexer] returns
// as the store of the lists is tested like any store. Where another program can put
// something into the storage that is no record, [RunDamaged] tests that too.
//
// The cases use the real clock with lives of some 50 ms and wait for a record to
// be gone by asking, so a store may count in units of up to 10 ms and a slow
// machine makes the suite slow but not fail. Much of what the contract promises
// is about races: run the suite with -race, and often. It may miss a fault; it
// does not blame a store that has none.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Run tests the stores that open returns.
//
// Open is called many times, by several goroutines at once. Each call returns an
// empty store that shares no records with the others: on a server that is used
// by others too, one with a key prefix, table or database of its own. Ids are
// random, so a prefix that was used by an earlier run does no harm as long as
// its records are gone. What has to be closed or dropped is registered with
// t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	probe := open(t)
	var have, lack []string
	for _, g := range groups[1:] {
		if g.has(probe) {
			have = append(have, g.name)
		} else {
			lack = append(lack, g.name)
		}
	}
	t.Logf("storetest: optional abilities exercised: %s; not offered by %T: %s", list(have), probe, list(lack))
	runGroups(t, probe, groups, open)
	if indexer, ok := probe.(store.UserIndexer); ok {
		t.Run("UserIndex", func(t *testing.T) {
			runGroups(t, indexer.UserIndex(), groupsOfIndex, func(t *testing.T) store.Store {
				return open(t).(store.UserIndexer).UserIndex()
			})
		})
	}
}

func runGroups(t *testing.T, probe store.Store, groups []group, open func(t *testing.T) store.Store) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			if !g.has(probe) {
				t.Skipf("%T is no store.%s", probe, g.name)
			}
			for _, tc := range g.cases {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					tc.run(newCheck(t, func() store.Store { return open(t) }, patience))
				})
			}
		})
	}
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// A group is an interface of the contract with its cases. There are groups at
// all because the end of a group waits for its parallel cases: a caller may
// close the store's client with a defer.
type group struct {
	name  string
	has   func(store.Store) bool
	cases []testCase
}

type testCase struct {
	name string
	run  func(c *check)
}

var groups = []group{
	{"Store", is[store.Store], storeCases},
	{"Replacer", is[store.Replacer], replacerCases},
	{"UpdateLoader", is[store.UpdateLoader], updateLoaderCases},
	{"Remover", is[store.Remover], removerCases},
	{"BatchCreator", is[store.BatchCreator], batchCreatorCases},
	{"Lister", is[store.Lister], listerCases},
	{"Counter", is[store.Counter], counterCases},
	{"Clearer", is[store.Clearer], clearerCases},
	{"UserIndexer", is[store.UserIndexer], userIndexerCases},
	{"Watcher", is[store.Watcher], watcherCases},
	{"Pinger", is[store.Pinger], pingerCases},
}

// groupsOfIndex are what the store of the lists of a UserIndexer is tested with: what
// core uses it for.
var groupsOfIndex = []group{
	{"Store", is[store.Store], storeCases},
	{"UpdateLoader", is[store.UpdateLoader], updateLoaderCases},
	{"BatchCreator", is[store.BatchCreator], batchCreatorCases},
	{"Clearer", is[store.Clearer], clearerCases},
}

func is[Ability any](s store.Store) bool {
	_, ok := s.(Ability)
	return ok
}

const (
	long  = time.Hour             // the life of a record that has to be there
	short = 50 * time.Millisecond // of one whose end is awaited
	slack = 20 * time.Millisecond // twice the coarsest unit of time a store may have

	// patience is how long an expired record may go on being served. The
	// contract says: not at all. A busy server deserves some leniency, and only
	// a store that fails waits for so long.
	patience = 10 * time.Second
)

// A check is one run of a case: a store, and the words to say what is expected
// of it.
type check struct {
	testing.TB
	store    store.Store
	open     func() store.Store // another store that shares nothing with this one
	mark     string             // part of every id and all data of this run
	patience time.Duration
}

func newCheck(t testing.TB, open func() store.Store, patience time.Duration) *check {
	return &check{TB: t, store: open(), open: open, mark: strings.ToLower(rand.Text()), patience: patience}
}

// record returns a record that lives long, with an id of its own for each name.
func (c *check) record(name string) store.Record {
	return store.Record{ID: c.mark + "-" + name, Data: c.data("first"), TTL: long}
}

// data returns JSON that contains the text.
func (c *check) data(text string) []byte {
	return []byte(`{"cookie":{"path":"/"},"mark":"` + c.mark + `","text":"` + text + `"}`)
}

// with returns rec with other data and a long life.
func with(rec store.Record, data []byte) store.Record {
	return store.Record{ID: rec.ID, Data: data, TTL: long}
}

// lasting returns rec with another life.
func lasting(rec store.Record, ttl time.Duration) store.Record {
	rec.TTL = ttl
	return rec
}

// create creates rec and returns it.
func (c *check) create(rec store.Record) store.Record {
	c.Helper()
	c.answers("Create", c.store.Create(c.Context(), rec), nil)
	return rec
}

// update makes the store hold next instead of old.
func (c *check) update(old, next store.Record) {
	c.Helper()
	c.answers("Update", c.store.Update(c.Context(), old, next), nil)
}

// load returns what the store holds under the id of rec.
func (c *check) load(rec store.Record) store.Record {
	c.Helper()
	got, err := c.store.Load(c.Context(), rec.ID)
	c.answers("Load", err, nil)
	return got
}

// holds checks that the store has exactly rec.
func (c *check) holds(rec store.Record) {
	c.Helper()
	c.same("Load", c.load(rec), rec)
}

// same checks that a record that the store returned is want.
func (c *check) same(verb string, got, want store.Record) {
	c.Helper()
	if got.ID != want.ID {
		c.Fatalf("%s returned the record of %q, want %q", verb, got.ID, want.ID)
	}
	if !bytes.Equal(got.Data, want.Data) {
		c.Fatalf("%s returned the data %s, want %s", verb, brief(got.Data), brief(want.Data))
	}
}

// lacks checks that there is no record with the id of rec.
func (c *check) lacks(rec store.Record) {
	c.Helper()
	_, err := c.store.Load(c.Context(), rec.ID)
	c.answers("Load", err, store.ErrNotFound)
}

// answers checks that a verb returned want, which is nil or matched by got, and
// that the error does not mean something else too or tell what it must not.
func (c *check) answers(verb string, got, want error) {
	c.Helper()
	if want == nil {
		if got != nil {
			c.Fatalf("%s returned the error %q, want none", verb, got)
		}
		return
	}
	if !errors.Is(got, want) {
		c.Fatalf("%s returned %v, want an error that matches %q", verb, got, want)
	}
	for _, other := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrFull, store.ErrUndecodable} {
		if other != want && errors.Is(got, other) { //nolint:errorlint // both are sentinels
			c.Fatalf("%s returned an error that matches both %q and %q", verb, want, other)
		}
	}
	c.discreet(verb, got)
}

// discreet checks that no text of err, or of an error in it, contains an id or
// data: all of them contain the mark.
func (c *check) discreet(verb string, err error) {
	c.Helper()
	if err == nil {
		return
	}
	if strings.Contains(strings.ToLower(err.Error()), c.mark) {
		c.Fatalf("%s returned an error with an id or data in its text: %q", verb, err)
	}
	switch err := err.(type) { //nolint:errorlint // walks the chain itself
	case interface{ Unwrap() error }:
		c.discreet(verb, err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			c.discreet(verb, e)
		}
	}
}

// outlive returns when whatever was given the life ttl before is expired. It
// does not load those records, which a store may take as an occasion to remove
// them: it waits for one that was created last.
func (c *check) outlive(ttl time.Duration) {
	c.Helper()
	canary := c.create(lasting(c.record("canary-"+rand.Text()), ttl))
	time.Sleep(ttl)
	c.goes(canary)
	time.Sleep(slack) // the canary may live on another server of the store
}

// goes waits until the record is gone.
func (c *check) goes(rec store.Record) {
	c.Helper()
	for start := time.Now(); time.Since(start) < c.patience; time.Sleep(5 * time.Millisecond) {
		_, err := c.store.Load(c.Context(), rec.ID)
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		c.answers("Load", err, nil)
	}
	c.Fatalf("a record is still there %v after the end of its life", c.patience)
}

// together calls do in n goroutines at once and returns what they returned.
func (c *check) together(n int, do func(i int) error) []error {
	c.Helper()
	var (
		errs  = make([]error, n)
		start = make(chan struct{})
		done  = make(chan struct{})
		wg    sync.WaitGroup
	)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(6 * c.patience):
		c.Fatalf("calls made at the same time did not return within %v", 6*c.patience)
	}
	return errs
}

// oneWins checks that one of the errors is nil and all others match lost, and
// returns which one is nil.
func (c *check) oneWins(verb string, errs []error, lost error) int {
	c.Helper()
	winner := -1
	for i, err := range errs {
		if err != nil {
			c.answers(verb, err, lost)
			continue
		}
		if winner >= 0 {
			c.Fatalf("%s succeeded more than once in %d simultaneous calls, want once", verb, len(errs))
		}
		winner = i
	}
	if winner < 0 {
		c.Fatalf("%s succeeded in none of %d simultaneous calls, want once", verb, len(errs))
	}
	return winner
}

// allAnswer checks all errors as answers does.
func (c *check) allAnswer(verb string, errs []error, want error) {
	c.Helper()
	for _, err := range errs {
		c.answers(verb, err, want)
	}
}

// over is a context that was done before the call.
type over struct {
	name string
	make func(context.Context) context.Context
}

var (
	cancelled = over{"cancelled", func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx
	}}
	timedOut = over{"timed out", func(ctx context.Context) context.Context {
		ctx, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
		cancel()
		return ctx
	}}
)

// brief returns data for a message.
func brief(data []byte) string {
	const most = 200
	if len(data) > most {
		return string(data[:most]) + "..."
	}
	return string(data)
}

// Package vault is a store that speaks documents in place of bytes. It seals and
// opens records, tells a failure of the storage from an answer of it, finds out
// what became of a write of which the store could not tell, and makes the writes
// of one process to one record wait for each other.
//
// A [Vault] knows nothing of requests, cookies or users. Package core has one for
// the sessions and one for the lists of users.
package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/hot"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// ErrUnknownOutcome says that the store did not tell whether a write was applied,
// and that looking at what is stored did not settle it.
var ErrUnknownOutcome = errors.New("cloakroom: store did not tell whether the session was saved")

// errRetired says that a record is sealed under a key that was retired. It counts as
// one that cannot be decoded.
var errRetired = fmt.Errorf("%w: it is sealed under a retired key", record.ErrUndecodable)

// rememberDamaged is how many records are remembered that cannot be decoded.
const rememberDamaged = 1 << 10

// Options are what a Vault goes by. All but the keys are required.
type Options struct {
	Store store.Store
	Keys  []*seal.Key      // the first seals, all open; empty: nothing is sealed
	Now   func() time.Time // the clock

	Former  []*seal.Key // open as well, and seal nothing
	Retired []*seal.Key // open nothing: what is sealed under one of them counts as gone

	// Hot is how many bytes of records are remembered with what was read in them; 0:
	// none.
	Hot int

	// Failed is told of each failure of the storage.
	Failed func(ctx context.Context, err error)

	// Called is told of each call of the storage, how long it took and what it returned;
	// nil: nobody is.
	Called func(ctx context.Context, verb string, took time.Duration, err error)

	// Damaged is told of a record that cannot be decoded, once for each record
	// within Remember.
	Damaged  func(ctx context.Context)
	Remember time.Duration

	// Gone is told of a record that is sealed under a retired key, in the same way.
	Gone func(ctx context.Context)

	// Leftover is told of a record that is of no use and could not be deleted. It
	// ends by itself.
	Leftover func(ctx context.Context, err error)
}

// A Vault loads and stores documents. It is safe for use by many goroutines at
// once.
type Vault struct {
	Options

	replacer     store.Replacer
	updateLoader store.UpdateLoader
	remover      store.Remover

	opening []*seal.Key // Keys and Former
	parser  record.Parser
	turns   turns
	damaged *Recent
	hot     *hot.Table[record.Document, *record.Document] // nil: none
}

// New returns a Vault over a store.
func New(o Options) *Vault {
	v := &Vault{Options: o, opening: slices.Concat(o.Keys, o.Former), damaged: NewRecent(o.Now(), rememberDamaged, rememberDamaged)}
	v.replacer, _ = o.Store.(store.Replacer)
	v.updateLoader, _ = o.Store.(store.UpdateLoader)
	v.remover, _ = o.Store.(store.Remover)
	if o.Hot > 0 {
		v.hot = hot.NewTable[record.Document](o.Hot)
	}
	return v
}

// Seal returns the bytes that stand for a text under key in the store.
func (v *Vault) Seal(key string, text []byte) []byte {
	if len(v.Keys) == 0 {
		return text
	}
	return v.Keys[0].Seal(key, text)
}

// Read makes a document of a record that the store returned. configured is the
// max age that Config gives to cookies.
func (v *Vault) Read(rec store.Record, configured time.Duration) (*record.Document, error) {
	text := rec.Data
	if len(v.Keys) > 0 || seal.IsSealed(text) {
		var err error
		switch text, err = seal.Open(v.opening, rec.ID, rec.Data); {
		case errors.Is(err, seal.ErrDamaged):
			return nil, record.ErrUndecodable
		case err != nil && seal.IsUnder(v.Retired, rec.Data):
			return nil, errRetired
		case err != nil:
			return nil, err
		}
	}
	return v.parser.Parse(rec, text, configured)
}

// Reread makes a document of one that this process has just written, for another
// request.
func (v *Vault) Reread(doc *record.Document, configured time.Duration) *record.Document {
	again, err := v.parser.Parse(doc.Record, doc.Text, configured)
	if err != nil {
		panic("cloakroom: a record that was just written cannot be read")
	}
	return again
}

// Load returns what the store has under key. A record that cannot be read is left
// where it is.
func (v *Vault) Load(ctx context.Context, key string, configured time.Duration) (*record.Document, error) {
	call := v.Call(ctx, "load")
	rec, err := v.Store.Load(ctx, key)
	if err == nil && isOfAnother(rec, key) {
		err = &store.Error{Store: "session", Verb: "load", Class: "store returned another record"}
	}
	var doc *record.Document
	if err = call.End(err); err == nil {
		rec.ID = key
		doc, err = v.readLoaded(rec, configured)
	}
	if err != nil {
		err = v.unreadable(ctx, key, err)
	}
	return doc, err
}

// unreadable tells of a record that cannot be read, if that is why a load failed, and
// returns the error of the load.
func (v *Vault) unreadable(ctx context.Context, key string, err error) error {
	switch {
	case errors.Is(err, errRetired):
		v.report(ctx, key, v.Gone)
	case errors.Is(err, record.ErrUndecodable):
		v.report(ctx, key, v.Damaged)
		return record.ErrUndecodable // whoever found out
	}
	return err
}

// isOfAnother reports whether a store that was asked for a key says that what it
// returns is of another one.
func isOfAnother(rec store.Record, key string) bool { return rec.ID != "" && rec.ID != key }

// report tells of a record that cannot be decoded.
func (v *Vault) report(ctx context.Context, key string, tell func(context.Context)) {
	now := v.Now()
	if v.damaged.Within(key, now, v.Remember) {
		return
	}
	v.damaged.Put(key, now, record.Lifespan{})
	tell(ctx)
}

// Touch gives the record under key that life.
func (v *Vault) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return v.Call(ctx, "touch").End(v.Store.Touch(ctx, key, ttl))
}

// Delete deletes what is stored under key, whatever that is. It is for a record
// that nobody else knows, or that nobody else may change: [Vault.Remove] is for all
// others.
func (v *Vault) Delete(ctx context.Context, key string) error {
	defer v.forget(key)
	return v.Call(ctx, "delete").End(v.Store.Delete(ctx, key))
}

// Take waits until no other write of this process to key is under way. The caller
// leaves the turn when it is done.
func (v *Vault) Take(ctx context.Context, key string) (*Turn, error) { return v.turns.take(ctx, key) }

// Leave ends a turn.
func (v *Vault) Leave(key string, turn *Turn) { v.turns.leave(key, turn) }

// A Call is one call of the store that is under way.
type Call struct {
	vault *Vault
	ctx   context.Context
	verb  string
	began time.Time // zero where nobody is told
}

// Call notes that a verb of the store begins. The caller ends it with what the store
// returned.
func (v *Vault) Call(ctx context.Context, verb string) (c Call) {
	c.vault, c.ctx, c.verb = v, ctx, verb
	if v.Called != nil {
		c.began = time.Now()
	}
	return c
}

// End is [Vault.Check] for what the store answered, and tells how long that took.
func (c Call) End(err error) error {
	if err == nil && c.vault.Called == nil {
		return nil
	}
	return c.end(err)
}

// end is End where there is something to tell.
func (c Call) end(err error) error {
	var took time.Duration
	if c.vault.Called != nil {
		took = time.Since(c.began)
	}
	err = c.vault.Check(c.ctx, c.verb, err)
	if c.vault.Called != nil {
		c.vault.Called(c.ctx, c.verb, took, err)
	}
	return err
}

// Check passes on what a store answered to a verb, and makes a [store.Error] of
// any other error.
func (v *Vault) Check(ctx context.Context, verb string, err error) error {
	switch {
	case err == nil,
		errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists),
		errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrUndecodable),
		errors.Is(err, errors.ErrUnsupported):
		return err
	}
	var failure *store.Error
	if !errors.As(err, &failure) {
		failure = &store.Error{Store: "session", Verb: verb, Err: err}
		if errors.Is(err, store.ErrFull) {
			failure.Outcome = store.OutcomeNotApplied
		}
		err = failure
	}
	v.Failed(ctx, err)
	return err
}

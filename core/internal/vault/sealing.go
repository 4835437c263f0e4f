package vault

import (
	"context"
	"errors"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How records are brought from one key to another, outside of any request.

// A Sealing says under what a record is sealed, as it says itself: whether it can be
// opened is another question.
type Sealing int

// What a record may be sealed under.
const (
	UnderFirst   Sealing = iota // the key that seals; or it is not sealed, and there are no keys
	UnderAnother                // another one that opens
	UnderRetired                // one of Options.Retired
	UnderUnknown                // one that the Vault does not have
	Unsealed                    // nothing, though there are keys
)

// SealingOf returns under what a record is sealed.
func (v *Vault) SealingOf(rec store.Record) Sealing {
	switch {
	case !seal.IsSealed(rec.Data) && len(v.Keys) == 0:
		return UnderFirst
	case !seal.IsSealed(rec.Data):
		return Unsealed
	case len(v.Keys) > 0 && seal.IsUnder(v.Keys[:1], rec.Data):
		return UnderFirst
	case seal.IsUnder(v.opening, rec.Data):
		return UnderAnother
	case seal.IsUnder(v.Retired, rec.Data):
		return UnderRetired
	}
	return UnderUnknown
}

// Reseal puts records under the first key that are under another one, all at once, and
// returns how many it wrote. The text and the life of a record stay as they are. One that
// somebody writes meanwhile, or that ends, is theirs. complete adds to a record what a
// store is told of it beside its data.
func (v *Vault) Reseal(ctx context.Context, recs []store.Record, complete func(rec *store.Record, text []byte)) (written int, err error) {
	wrote := make([]bool, len(recs))
	calls := make([]func() error, len(recs))
	for i, rec := range recs {
		calls[i] = func() (err error) {
			wrote[i], err = v.resealOne(ctx, rec, complete)
			return err
		}
	}
	err = errors.Join(async.Together(calls...)...)
	for _, done := range wrote {
		if done {
			written++
		}
	}
	return written, err
}

func (v *Vault) resealOne(ctx context.Context, old store.Record, complete func(rec *store.Record, text []byte)) (wrote bool, err error) {
	for v.SealingOf(old) == UnderAnother {
		text, err := seal.Open(v.opening, old.ID, old.Data)
		if err != nil {
			return false, nil //nolint:nilerr // it is damaged, and stays so
		}
		next := store.Record{ID: old.ID, Data: v.Seal(old.ID, text), TTL: store.KeepTTL, Shared: true}
		complete(&next, text)
		switch err = v.Call(ctx, "update").End(v.Store.Update(ctx, old, next)); {
		case err == nil:
			v.forget(old.ID)
			return true, nil
		case errors.Is(err, store.ErrNotFound):
			return false, nil
		case !errors.Is(err, store.ErrConflict):
			return false, err
		}
		call := v.Call(ctx, "load")
		old, err = v.Store.Load(store.BypassCache(ctx), next.ID)
		switch err = call.End(err); {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrUndecodable):
			return false, nil
		case err != nil:
			return false, err
		}
		old.ID = next.ID
	}
	return false, nil
}

package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// ErrLate says that a record may be created yet, at any time, and that its id is
// to be used no more. It is an [ErrUnknownOutcome].
var ErrLate = fmt.Errorf("%w, and it may be saved later under an id that is not used", ErrUnknownOutcome)

// errNotYet says that a write was not applied so far, and is to be sent again.
var errNotYet = errors.New("not applied")

// Create stores a new record. Where the store could not tell, and does not have
// it, the record may be stored yet, at any time: after a logout it would be a
// session that comes back. So it is given up, with [ErrLate], and the next attempt
// takes another id, unless somebody was shown this one.
func (v *Vault) Create(ctx context.Context, next *record.Document, shown bool) error {
	send := func() error { return v.Call(ctx, "create").End(v.Store.Create(ctx, next.Record)) }
	err := send()
	if !isUnknown(err) {
		return err
	}
	return v.settle(ctx, err, next, send, func(stored *record.Document) error {
		switch {
		case stored == nil && shown:
			return errNotYet
		case stored == nil:
			return fmt.Errorf("%w: %w", ErrLate, err)
		case stored.Meta.Token == next.Meta.Token:
			return nil
		}
		return ErrUnknownOutcome
	})
}

// Update puts next in the place of old. With [store.ErrConflict] it may return
// what is stored.
func (v *Vault) Update(ctx context.Context, old, next *record.Document, configured time.Duration) (newer *record.Document, err error) {
	send := func() (err error) {
		newer, err = v.sendUpdate(ctx, old, next, configured)
		return err
	}
	err = send()
	if isUnknown(err) {
		err = v.settle(ctx, err, next, send, func(stored *record.Document) error {
			switch {
			case stored == nil:
				return store.ErrNotFound
			case stored.Meta.Token == next.Meta.Token:
				return nil
			case bytes.Equal(stored.Text, old.Text):
				return errNotYet
			}
			return ErrUnknownOutcome
		})
	}
	if newer != nil && errors.Is(err, store.ErrConflict) && newer.Meta.Token == next.Meta.Token {
		newer, err = nil, nil // what is in the way is next: the driver sent it twice
	}
	if err == nil {
		v.wrote(next)
	}
	return newer, err
}

// sendUpdate is one attempt of Update.
func (v *Vault) sendUpdate(ctx context.Context, old, next *record.Document, configured time.Duration) (newer *record.Document, err error) {
	if v.updateLoader == nil {
		return nil, v.Call(ctx, "update").End(v.Store.Update(ctx, old.Record, next.Record))
	}
	call := v.Call(ctx, "update")
	rec, err := v.updateLoader.UpdateOrLoad(ctx, old.Record, next.Record)
	if err = call.End(err); err == nil {
		return nil, nil
	}
	if errors.Is(err, store.ErrConflict) && !isOfAnother(rec, next.Record.ID) {
		rec.ID = next.Record.ID
		newer, _ = v.Read(rec, configured) // nil: it will be loaded, which tells why
	}
	return newer, err
}

// Replace stores next and puts retired in the place of old, in one step where the
// store can. With [store.ErrConflict] it may return what is stored.
func (v *Vault) Replace(ctx context.Context, old, retired, next *record.Document, shown bool, configured time.Duration) (newer *record.Document, err error) {
	if v.replacer != nil {
		if err := v.replaceAtOnce(ctx, old, retired, next); !errors.Is(err, errors.ErrUnsupported) {
			v.forget(old.Record.ID)
			return nil, err
		}
	}
	if err := v.Create(ctx, next, shown); err != nil {
		return nil, err
	}
	kept := *retired // the caller's may be on its stack, where a store replaces at once
	newer, err = v.Update(ctx, old, &kept, configured)
	if err != nil {
		v.Withdraw(ctx, next)
	}
	return newer, err
}

// replaceAtOnce is Replace with the store's own verb for it.
func (v *Vault) replaceAtOnce(ctx context.Context, old, retired, next *record.Document) error {
	send := func() error {
		return v.Call(ctx, "replace").End(v.replacer.Replace(ctx, old.Record, retired.Record, next.Record))
	}
	err := send()
	if !isUnknown(err) {
		return err
	}
	return v.settle(ctx, err, next, send, func(stored *record.Document) error {
		switch {
		case stored == nil:
			return errNotYet // sent again, it tells what became of old
		case stored.Meta.Token == next.Meta.Token:
			return nil
		}
		return store.ErrExists
	})
}

// Overwrite stores next under its id, whatever is there, except where keeps says of what is
// there that it does as well. keeps may be nil. It is for a note of which the newest counts.
func (v *Vault) Overwrite(ctx context.Context, next *record.Document, keeps func(stored *record.Document) bool) error {
	key := next.Record.ID
	for {
		stored, err := v.Load(store.BypassCache(ctx), key, 0)
		switch {
		case errors.Is(err, store.ErrNotFound):
			err = v.Create(ctx, next, true)
		case errors.Is(err, record.ErrUndecodable):
			if err = v.Delete(ctx, key); err == nil {
				continue
			}
		case err == nil && keeps != nil && keeps(stored):
			return nil
		case err == nil:
			_, err = v.Update(ctx, stored, next, 0)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound):
			return err
		case ctx.Err() != nil:
			return v.Check(ctx, "update", ctx.Err())
		}
	}
}

// Withdraw deletes a record that is of no use: nobody was given its id, or it is a
// tombstone. Where that fails, the record ends by itself.
func (v *Vault) Withdraw(ctx context.Context, doc *record.Document) {
	if err := v.Delete(ctx, doc.Record.ID); err != nil {
		v.Leftover(ctx, err)
	}
}

// Remove deletes a record while it is what is stored. Where the store cannot do
// that in one step, tombstone takes the place of the record first, so that no
// other write comes in between; one that is left over is no failure. It returns
// [store.ErrConflict], and perhaps what is stored, where that is something else, and
// [store.ErrNotFound] where there is nothing. After an unknown outcome it may be called again.
func (v *Vault) Remove(ctx context.Context, doc, tombstone *record.Document, configured time.Duration) (newer *record.Document, err error) {
	if v.remover != nil {
		err := v.Call(ctx, "remove").End(v.remover.Remove(ctx, doc.Record))
		v.forget(doc.Record.ID)
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	if newer, err = v.Update(ctx, doc, tombstone, configured); err != nil {
		return newer, err
	}
	v.Withdraw(ctx, tombstone) // the session has ended
	return nil, nil
}

// isUnknown reports whether a store did not say whether it did a write.
func isUnknown(err error) bool {
	if err == nil {
		return false
	}
	var failure *store.Error
	return errors.As(err, &failure) && failure.Outcome == store.OutcomeUnknown
}

// isClassed reports whether a store said why a read failed. Where it did not, there is
// nothing to hope for from asking again.
func isClassed(err error) bool {
	var failure *store.Error
	return errors.As(err, &failure) && failure.Class != ""
}

// settle finds out what became of a write to the id of next of which the store
// could not tell, as err says. judge looks at what is stored, nil for nothing, and
// decides. Sending the same bytes again is safe, because the store applies them
// only to the state that they were made for. What it then answers may be about the
// first copy, which came after all, so that is looked at too. Where the second copy
// is refused, the first one may come yet.
func (v *Vault) settle(ctx context.Context, err error, next *record.Document, send func() error, judge func(stored *record.Document) error) error {
	var (
		backoff async.Backoff
		resent  = false
		cause   = err
	)
	for {
		var failure *store.Error
		failed := errors.As(err, &failure)
		unknown := failed && failure.Outcome == store.OutcomeUnknown
		if failed { // an answer would be taken for one about this write
			cause = err
		}
		switch {
		case err == nil, !unknown && !resent:
			return err
		case unknown && !backoff.Pause(ctx):
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
		}
		stored, loadErr := v.Load(ctx, next.Record.ID, 0)
		switch {
		case loadErr == nil:
		case errors.Is(loadErr, store.ErrNotFound):
			stored = nil
		case errors.Is(loadErr, record.ErrUndecodable), !isClassed(loadErr):
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
		case !unknown:
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, loadErr)
		default:
			continue // the store is still not well; err stays what it was
		}
		switch verdict := judge(stored); {
		case errors.Is(verdict, errNotYet) && unknown:
			err, resent = send(), true
		case errors.Is(verdict, errNotYet) && !failed:
			return err
		case errors.Is(verdict, ErrLate):
			return verdict
		case errors.Is(verdict, errNotYet), errors.Is(verdict, ErrUnknownOutcome):
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
		default:
			return verdict
		}
	}
}

package core

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What an operator asks of a store as a whole: what is in it, to this configuration, and
// that it is sealed under the key that is in use now.

// A Survey says what the records of a store are to the [Config] of a Manager.
type Survey struct {
	Sessions Tally
	Lists    Tally // of users' sessions; zero where the store keeps none, or cannot walk them

	// Of Sessions.Readable:
	SignedIn int // the session of a user
	Express  int // made by an Express app, and not written here yet
	Retired  int // what is left for a moment where an id was given up, and no session any more

	// HashedIDs are the sessions whose id has the form of those that [Config].HashIDs
	// makes, whether or not they can be read.
	HashedIDs int
}

// A Tally says of how many records something is so.
type Tally struct {
	Looked   int // how many were looked at: all of the following, but for FormerKey
	Readable int

	FormerKey int // of Readable: sealed under another key than the first: see [Manager.Reseal]

	RetiredKey  int // sealed under one of [Config].RetiredSealKeys: a session counts as gone
	UnknownKey  int // sealed under a key that Config does not have: requests fail with [ErrUnknownSealKey]
	Unsealed    int // not sealed, though there are [Config].SealKeys: counts as gone
	Undecodable int // damaged, or what another program put there: counts as gone
}

// Survey looks at up to most sessions and as many lists, at all of them where most is 0,
// and changes nothing. The error matches [errors.ErrUnsupported] where the store cannot
// list.
func (m *Manager) Survey(ctx context.Context, most int) (s Survey, err error) {
	for rec, err := range m.walk(ctx, m.sessions, most) {
		if err != nil {
			return s, err
		}
		if isHash(rec.ID) {
			s.HashedIDs++
		}
		doc, err := s.Sessions.add(m.sessions, rec)
		switch {
		case err != nil:
			continue
		case doc.Meta.IsRetired():
			s.Retired++
			continue
		case !doc.Meta.Present:
			s.Express++
		}
		if m.userOf(doc) != "" {
			s.SignedIn++
		}
	}
	if m.lists == nil {
		return s, nil
	}
	for rec, err := range m.walk(ctx, m.lists.vault, most) {
		if errors.Is(err, errors.ErrUnsupported) {
			break
		}
		if err != nil {
			return s, err
		}
		if doc, err := s.Lists.add(m.lists.vault, rec); err == nil {
			if _, err := decodeList(doc); err != nil {
				s.Lists.Readable--
				s.Lists.Undecodable++
			}
		}
	}
	return s, nil
}

// add counts a record, and returns what is read in it.
func (t *Tally) add(v *vault.Vault, rec store.Record) (*record.Document, error) {
	t.Looked++
	doc, err := v.Read(rec, 0)
	sealing := v.SealingOf(rec)
	switch {
	case err == nil:
		t.Readable++
		if sealing == vault.UnderAnother {
			t.FormerKey++
		}
	case sealing == vault.UnderRetired:
		t.RetiredKey++
	case sealing == vault.UnderUnknown:
		t.UnknownKey++
	case sealing == vault.Unsealed:
		t.Unsealed++
	default:
		t.Undecodable++
	}
	return doc, err
}

// hashSize is how long an id is that [Manager.storeKey] has made.
const hashSize = 43

// isHash reports whether an id has the form of one that storeKey has made a hash of.
func isHash(id string) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(id) == hashSize
}

// walk walks up to most records of a store, all of them where most is 0.
func (m *Manager) walk(ctx context.Context, v *vault.Vault, most int) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		lister, ok := v.Store.(store.Lister)
		if !ok {
			yield(store.Record{}, errNoLister)
			return
		}
		n := 0
		for rec, err := range lister.All(ctx) {
			if err != nil {
				yield(store.Record{}, v.Check(ctx, "list", err))
				return
			}
			if n++; !yield(rec, nil) || n == most {
				return
			}
		}
	}
}

// errNoLister says that the store cannot be walked.
var errNoLister = fmt.Errorf("cloakroom: store cannot list sessions: %w", errors.ErrUnsupported)

// Resealed says how far [Manager.Reseal] has come, in sessions and lists.
type Resealed struct {
	Looked     int // that were looked at
	Written    int // that another key had sealed, and now the first has
	Retired    int // sessions under one of [Config].RetiredSealKeys: they count as gone, and were left alone
	Unreadable int // that no key opens, or that are not sealed: they were left alone
}

// Reseal seals anew, under the first of [Config].SealKeys, what another of them has
// sealed: sessions, and the lists of users' sessions, which may also be under one of
// RetiredSealKeys. It yields how far it has come, now and then and at the end. When it
// has ended without an error, and every instance of the app seals under the first key,
// the others are not needed any more.
//
// It may run beside the app. No session gets another life, and no change of a request is
// lost. Where it fails or is stopped, the next call does what is left. The error matches
// [errors.ErrUnsupported] where the store cannot list, and is a [*ConfigError] where there
// is nothing to seal with, or the sessions are in their cookies.
func (m *Manager) Reseal(ctx context.Context) iter.Seq2[Resealed, error] {
	return func(yield func(Resealed, error) bool) {
		if len(m.sealKeys) == 0 || m.cfg.Sealed != nil {
			yield(Resealed{}, &ConfigError{"SealKeys", "is empty, or there is a Sealed: no record is sealed by a key"})
			return
		}
		var r Resealed
		goOn, err := m.reseal(ctx, m.sessions, &r, yield, func(*store.Record, []byte) {})
		if m.lists != nil && goOn && err == nil {
			goOn, err = m.reseal(ctx, m.lists.vault, &r, yield, m.describeList)
			if errors.Is(err, errors.ErrUnsupported) { // nothing is known of lists but by their users
				err = nil
			}
		}
		if goOn {
			yield(r, err)
		}
	}
}

// resealYield is how many records are looked at before Reseal says how far it has come.
const resealYield = 512

// reseal seals anew what a vault has, a batch at a time. complete adds to a record what a store
// is told of it beside its data. It reports whether the caller of Reseal wants to go on.
func (m *Manager) reseal(ctx context.Context, v *vault.Vault, r *Resealed, yield func(Resealed, error) bool, complete func(*store.Record, []byte)) (goOn bool, err error) {
	batch := make([]store.Record, 0, endBatch)
	flush := func() error {
		n, err := v.Reseal(ctx, batch, complete)
		r.Written += n
		batch = batch[:0]
		return err
	}
	for rec, err := range m.walk(ctx, v, 0) {
		if err != nil {
			return true, err
		}
		r.Looked++
		switch v.SealingOf(rec) {
		case vault.UnderFirst:
		case vault.UnderAnother:
			batch = append(batch, rec)
		case vault.UnderRetired:
			r.Retired++
		default:
			r.Unreadable++
		}
		if len(batch) == endBatch {
			if err := flush(); err != nil {
				return true, err
			}
		}
		if r.Looked%resealYield == 0 && !yield(*r, nil) {
			return false, nil
		}
	}
	return true, flush()
}

// describeList tells a store which sessions a list names.
func (m *Manager) describeList(rec *store.Record, text []byte) {
	if l, ok := roster.Decode(text, nil); ok {
		rec.Sessions, rec.Linger = l.Keys(), l.Linger(m.cfg.Now())
	}
}

package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// The steps of a commit that write a record. Each is an attempt that is made again,
// on top of what is stored by then, until it succeeds or cannot: see insist.
//
//	create   a record under an id of its own
//	replace  a record under the next id, and the old one becomes a retired one
//	write    a record in the place of the one that is stored
//
// Where the session gets into the list of a user, enter.go does what create and replace do.
// To take a value is no step: take.go writes a record in which nothing else is changed.

const (
	retiredLife = time.Minute // how long a given-up id is known as one
	maxIDs      = 3           // how many ids are tried for a session
)

// A final error ends the attempts of insist, whatever it wraps: an error of the app may wrap
// one that insist would try again after.
type final struct{ error }

// Unwrap returns the error itself.
func (f final) Unwrap() error { return f.error }

// isFinal reports whether an attempt is not to be made again.
func isFinal(err error) bool {
	var end final
	return errors.As(err, &end)
}

// insist makes attempts until one succeeds. An attempt that lost a race returns
// [store.ErrConflict] and, where it knows, what is stored instead: the changes are
// made again on top of that. One whose id is in use is made again with another id.
func (s *Session) insist(op *operation, attempt func() (newer *record.Document, err error)) error {
	var backoff async.Backoff
	for {
		newer, err := attempt()
		switch {
		case err == nil:
			s.idsTried = 0
			return nil
		case isFinal(err):
			return err
		case errors.Is(err, store.ErrConflict):
			if err := s.replay(op, newer); err != nil {
				return err
			}
		case errors.Is(err, store.ErrNotFound):
			return s.lost(op, state.Gone)
		case errors.Is(err, store.ErrExists):
			s.nextID = ""
			if s.idsTried++; s.idsTried == maxIDs {
				return ErrInvalidID
			}
		case errors.Is(err, vault.ErrLate) && backoff.Pause(op):
			s.nextID = ""
		default:
			return err
		}
	}
}

// replay puts the changes on top of the record that won, which is newer, or
// looked up, past any cache, if that is nil.
func (s *Session) replay(op *operation, newer *record.Document) error {
	if err := op.Err(); err != nil {
		return conflict(err)
	}
	if newer == nil {
		var err error
		newer, err = s.x.m.sessions.Load(store.BypassCache(op), s.key, s.x.cookie.MaxAge)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrUndecodable) {
			return s.lost(op, state.Gone)
		} else if err != nil {
			return err
		}
	}
	if newer.Meta.IsRetired() {
		if err := s.followRotation(op, newer); err != nil {
			return err
		}
		return s.lost(op, retiredStanding(newer))
	}
	s.rebase(newer)
	s.x.m.notify(op, Event{Kind: EventReplayed})
	return nil
}

// conflict returns the error of a commit that did not get its turn within
// Config.StoreTimeout, where err says so.
func conflict(err error) error { return fmt.Errorf("%w: %w", store.ErrConflict, err) }

// rebase puts the changes of this request on top of a newer record, or on top of
// nothing.
func (s *Session) rebase(newer *record.Document) {
	s.base = newer
	s.changes.Rebase(newer, s.callFunc, errPanicked)
}

// adopt notes that the store has what s holds, as d.
func (s *Session) adopt(op *operation, d *record.Document, deed state.Deed, kind EventKind) {
	s.become(state.Live)
	s.base, s.key = d, d.Record.ID
	signedIn, newLife, rotated := s.login != nil, s.changes.AgeSet, s.renewal == state.RotateID
	s.forget()
	s.deed, s.proven = max(s.deed, deed), true
	s.noteLife(d)
	if newLife { // the requests under way may have to be looked after more often
		m, now := s.x.m, s.x.m.cfg.Now()
		m.flights.schedule(m, now, m.sweepInterval(m.lifespan(d).Left(now)))
	}
	event := s.event(kind)
	if rotated && kind == EventRenewed {
		event.Cause = CauseRotate
	}
	s.x.m.notify(op, event)
	if signedIn {
		s.notify(op, EventSignedIn)
		s.turned = true
	}
}

// noteLife notes that what was written as d gave the session its whole life, unless
// it kept the life that was left.
func (s *Session) noteLife(d *record.Document) {
	if d.Record.TTL == store.KeepTTL {
		return
	}
	s.lifeGiven = true
	s.x.m.extended.Put(d.Record.ID, s.x.m.cfg.Now(), s.x.m.lifespan(d))
}

// canIssue returns why no cookie for id can be set or, where arrival says that this counts,
// will arrive, or nil. It is asked before a record is stored that nobody could use.
func (x *Exchange) canIssue(id string, arrival bool) error {
	switch {
	case x.headersOut():
		return ErrHeadersSent
	case x.needsHTTPS():
		return ErrInsecure
	case x.jar == nil && !x.m.keys.Load().signer.Fits(x.m.cfg.Cookie.Name, id):
		return ErrCookieTooLarge
	case arrival && x.r != nil && errors.Is(x.r.Context().Err(), context.DeadlineExceeded):
		// A timeout handler around us has answered already; it throws the
		// cookie away.
		return fmt.Errorf("cloakroom: session not stored, its cookie would be lost: %w", x.r.Context().Err())
	}
	return nil
}

// create stores a new session.
func (s *Session) create(op *operation) error {
	if s.standing == state.MovedOn {
		s.beginOwn()
	}
	if err := s.enterEpoch(op); err != nil {
		return err
	}
	if s.login != nil && s.x.m.lists != nil {
		return s.enter(op)
	}
	return s.insist(op, func() (*record.Document, error) {
		next, err := s.prepare(nil)
		if err != nil {
			return nil, err
		}
		if err := s.x.m.sessions.Create(op, next, s.shown); err != nil {
			return nil, err
		}
		s.issued(op, next, EventCreated)
		return nil, nil
	})
}

// beginOwn forgets the session that moved on under a SignIn: it begins one of its
// own, with what this request changed and nothing else.
func (s *Session) beginOwn() {
	s.login.Handle, s.login.was = "", "" // the other session has them
	s.rebase(nil)
}

// prepare makes the record for the next id, on top of base.
func (s *Session) prepare(base *record.Document) (*record.Document, error) {
	if s.nextID == "" {
		if s.standing != state.Live && s.renewal == state.KeepID && s.id != "" && s.idsTried == 0 {
			s.nextID = s.id // it was told, and is not stored yet
		} else {
			id, err := s.newID()
			if err != nil {
				return nil, err
			}
			s.nextID = id
		}
	}
	// Regenerate may be a logout, which has to be done also where nobody hears of it.
	logout := s.standing == state.Live && s.renewal == state.RegenerateID && s.login == nil
	if err := s.x.canIssue(s.nextID, !logout); err != nil {
		return nil, err
	}
	if s.renewal == state.RegenerateID {
		base = nil
	}
	return s.encode(base, s.x.m.storeKey(s.nextID), s.x.m.cfg.Now())
}

// issued notes that the session is stored under its next id.
func (s *Session) issued(op *operation, next *record.Document, kind EventKind) {
	if s.standing == state.Live {
		s.x.m.giveUp(s.key)
	}
	s.id = s.nextID
	if s.rare != nil {
		s.rare.followed = false
	}
	if s.x.m.cfg.GenerateID != nil { // which may repeat an id that this process ended before: it lives again
		s.x.m.givenUp.Forget(next.Record.ID)
	}
	if s.standing != state.Live && !s.x.ended.Load() { // else it is known as one under way
		s.x.m.flights.enter(s, s.x.m.lifespan(next), s.x.m.cfg.Now())
	}
	s.adopt(op, next, state.Created, kind)
}

// replace gives the session its next id: the new record is stored first, then the
// old one is turned into a retired one, which fails when another request changed it
// meanwhile. So no change is lost, and no client is ever given an id while the old
// one still works.
func (s *Session) replace(op *operation) error {
	if s.x.m.lists != nil && s.user() != "" {
		return s.enter(op)
	}
	if err := s.enterEpoch(op); err != nil {
		return err
	}
	turn, err := s.takeTurn(op)
	if err != nil {
		return err
	}
	defer s.x.m.sessions.Leave(s.key, turn)
	if s.renewal == state.RegenerateID && s.login == nil { // it may be a logout
		if err := s.refuseEarlier(op); err != nil {
			return err
		}
	}
	return s.insist(op, func() (*record.Document, error) {
		if s.login != nil && s.x.m.userOf(s.base) != s.login.was { // by Express, meanwhile
			return nil, final{store.ErrConflict}
		}
		next, err := s.prepare(s.base)
		if err != nil {
			return nil, err
		}
		retired := s.retire(next)
		newer, err := s.x.m.sessions.Replace(op, s.base, &retired, next, s.shown, s.x.cookie.MaxAge)
		if err == nil {
			s.issued(op, next, EventRenewed)
		}
		return newer, err
	})
}

// write stores the changes, on top of whatever other requests stored by now.
func (s *Session) write(op *operation, explicit bool) error {
	m, loaded := s.x.m, s.base
	if s.x.jar != nil { // what is stored goes out with the answer, or is lost
		if err := s.x.canIssue(s.id, true); err != nil {
			return err
		}
	}
	turn, err := s.takeTurn(op)
	if err != nil {
		return err
	}
	defer m.sessions.Leave(s.key, turn)
	return s.insist(op, func() (*record.Document, error) {
		now := m.cfg.Now()
		if err := s.keepListed(op, now); err != nil {
			return nil, final{err} // what is written says for how long the list has it
		}
		// On top of a newer record the changes may be none any more, or need another step.
		if s.base != loaded && state.Next(s.stepInputs(explicit)) != state.Write {
			s.forget() // another request did the same
			return nil, nil
		}
		if s.rarities().taking != nil && s.isTaken() {
			s.forget() // likewise
			return nil, nil
		}
		deed := state.Rewritten
		if s.modified() || s.isCookieDue() {
			deed = state.Changed
		}
		next, err := s.encode(s.base, s.key, now)
		if err != nil {
			return nil, err
		}
		newLife, before := s.changes.AgeSet, vault.Note{}
		if newLife {
			before = m.extended.Last(s.key)
		}
		newer, err := m.sessions.Update(op, s.base, next, s.x.cookie.MaxAge)
		if err != nil {
			return newer, err
		}
		turn.Wrote(next)
		kind := EventSaved
		if s.rarities().binding != nil {
			kind = EventBound
		}
		// An extension that was under way may have given it its former life.
		stretched := newLife && m.extended.Last(s.key) != before
		s.adopt(op, next, deed, kind)
		s.touched = stretched
		return nil, nil
	})
}

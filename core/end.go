package core

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How a session ends by this request's doing. Nothing here reports success unless
// the session has ended, wherever other requests took it by renewing its id.

// maxHops is how many renewals of a session are followed, of all that may have
// happened while one request was under way.
const maxHops = 8

// Destroy ends the session, at once and for good: no request that is under way
// can bring it back, and a renewal by another request does not save it. The browser
// is told to delete the cookie with whatever response follows. Other genuine
// sessions that came with the request, by a second cookie of the same name, end as
// well. Destroy does not depend on the request's context; a client that hangs up
// cannot stop its own logout.
//
// It returns nil only where the session has ended. It returns [ErrSessionGone] where
// the id had been given up before the request came, so that the session may live
// under another one. When the store fails, Destroy returns the error, and the commit
// tries again, unless that took the whole Config.StoreTimeout or somebody else had
// ended the session before, and fails the response if it cannot. Until then the
// session takes no changes, as after a Destroy that succeeded.
func (s *Session) Destroy(ctx context.Context) error {
	if err, ended := s.endable(); ended {
		return err
	}
	return s.operate(ctx, OpDestroy, s.end)
}

// SignOut ends the session, at once and for good, as Destroy does. Other than
// after Destroy the visitor has a new and empty session, which is stored if
// something is put into it: a message for the next page, for instance. Where somebody
// else had ended the session a moment before, SignOut returns nil and the visitor has
// that empty session too.
func (s *Session) SignOut(ctx context.Context) error {
	if err, ended := s.endable(); ended {
		return err
	}
	return s.operate(ctx, OpDestroy, func(op *operation) error {
		err := s.end(op)
		switch {
		case s.standing == state.Ended:
			s.startAnew(state.SignedOut)
		case s.standing == state.Gone && err == nil:
			s.startAnew(state.Fresh)
			s.ticket = state.NoTicket // the browser may have the cookie of a newer session, which is not deleted
		}
		return err
	})
}

// endable reports whether the session has ended as far as it can, and with what
// result.
func (s *Session) endable() (err error, ended bool) { //nolint:revive // the error is a result, and nil is one too
	if !s.lock() {
		return ErrReentered, true
	}
	defer s.x.unlock()
	switch s.standing {
	case state.Unavailable:
		return ErrDegraded, true
	case state.Ended:
		return nil, true
	}
	return nil, false
}

// startAnew makes an empty session of one that has ended. What it is then is fresh, or signed
// out where the browser's cookie has to be deleted.
func (s *Session) startAnew(as state.Standing) {
	s.become(as)
	s.id, s.nextID, s.key, s.base = "", "", "", nil
	s.deed = state.NotWritten
	s.changes = record.Changes{}
	s.listing = nil // of the session that ended
}

// end ends the session, and the others that came with the request.
func (s *Session) end(op *operation) error {
	if s.standing == state.SignedOut { // that ended all of them, and nothing is stored in its place yet
		s.forget()
		s.startAnew(state.Ended)
		return nil
	}
	forgotten := s.forgetPredecessor(op)
	if s.standing == state.Ended {
		return forgotten
	}
	var (
		m     = s.x.m
		event = s.event(EventDestroyed)
		ended = s.standing == state.Ending // it may have been this request that ended it
		other atomic.Bool                  // one of the other sessions was ended
	)
	// The session of the request, and those that other genuine cookies of it lead to, end at
	// once, in as many calls: each may have to be followed over several ids.
	calls := []func() error{func() error {
		if s.standing == state.MovedOn && s.base == nil {
			return ErrSessionGone // its id was given up before, and nobody is told what came after it
		}
		did, err := m.endSession(op, s.key, s.base, s)
		ended = ended || did
		return err
	}}
	for _, key := range s.otherKeys() {
		calls = append(calls, func() error {
			did, err := m.endSession(op, key, nil, s)
			if did {
				other.Store(true)
			}
			return err
		})
	}
	errs := async.Together(calls...)
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrSessionGone) {
			return s.endLater(op, err)
		}
	}
	if forgotten != nil { // the session here has ended, and the logout is not done
		return s.endLater(op, forgotten)
	}
	// The store has answered for all of them. What is left to decide is what the request's own
	// session is now: it goes by that whether the browser is told to drop its cookie.
	switch {
	case s.standing == state.Gone: // somebody else was first, and the browser may have a newer cookie
	case errs[0] != nil: // ErrSessionGone: it lives, or lived, under an id that nobody here was shown
		_ = s.lost(op, state.MovedOn)
	case !ended && s.base != nil: // somebody else was first, likewise
		_ = s.lost(op, state.Gone)
	default:
		s.become(state.Ended)
		if ended || other.Load() {
			s.turned = true
			m.notify(op, event)
		}
	}
	s.base = nil
	if s.rare != nil {
		s.rare.failure = nil
	}
	s.forget()
	return errors.Join(errs...)
}

// endLater notes that the store failed while the session was being ended. The
// commit tries again, unless the store had all the time that there is. One that is gone has
// ended, and stays gone: the commit would have the browser drop its cookie, which may be a
// newer one.
func (s *Session) endLater(op *operation, err error) error {
	s.forget()
	if s.standing == state.Gone {
		return err
	}
	s.become(state.Ending)
	if op.Err() != nil {
		s.needRarities().failure = err
	}
	return err
}

// otherKeys returns what the store calls the other sessions that genuine cookies of
// the request lead to.
func (s *Session) otherKeys() (keys []string) {
	var found [ticket.MaxEnded]candidate
	n, _ := s.x.candidates(found[:])
	for _, c := range found[:n] {
		if key := s.x.m.storeKey(c.id); key != s.key && key != s.origin {
			keys = append(keys, key)
		}
	}
	return keys
}

// endSession ends the session that is stored under key, as doc where that is known,
// wherever its renewals took it. It reports whether this call ended it, as opposed
// to a session that had ended already. by makes the tombstone.
func (m *Manager) endSession(ctx context.Context, key string, doc *record.Document, by *Session) (ended bool, err error) {
	if key == "" {
		return false, nil
	}
	var (
		known = false // it was seen while it lived, so that it may be followed
		noted = false // of a sealed session: there is a note of its end
	)
	for hops := 0; ; {
		if doc == nil {
			doc, err = m.sessions.Load(store.BypassCache(ctx), key, by.x.cookie.MaxAge)
			switch {
			case known && !noted && m.ends != nil && errors.Is(err, store.ErrNotFound): // it is in a cookie that came with another request, and ends all the same
				err := m.ends.endUnseen(ctx, key, time.Time{})
				if noted = errors.Is(err, store.ErrConflict); noted {
					continue // it has moved on, or has ended
				}
				return err == nil, err
			case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrUndecodable):
				return false, nil
			case err != nil:
				return false, err
			}
		}
		if doc.Meta.IsRetired() {
			sealed := doc.Meta.Retired.Next
			next, ok := m.keys.Load().openSuccessor(key, sealed)
			switch {
			case sealed == nil: // it was about to be deleted
				return false, nil
			case !ok || !known || hops == maxHops:
				return false, ErrSessionGone
			}
			m.giveUp(key)
			key, doc, noted = next, nil, false
			hops++
			continue
		}
		known = true
		tombstone := by.tombstone(doc)
		newer, err := m.sessions.Remove(ctx, doc, &tombstone, by.x.cookie.MaxAge)
		switch {
		case err == nil:
			m.giveUp(key)
			return true, nil
		case errors.Is(err, store.ErrNotFound):
			return false, nil
		case !errors.Is(err, store.ErrConflict) || ctx.Err() != nil:
			return false, err
		}
		doc = newer // nil: it is looked up
	}
}

package core

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What becomes of requests with the old id when an id is renewed by the clock and not for a
// reason: see [Session.Rotate]. They are led to the session for a moment, and never given
// its new id, so whoever has the old one and is not the visitor has nothing afterwards.

// rotatedLife is for how long a request with an id that was rotated is led to the session.
const rotatedLife = 10 * time.Second

// rotated returns the session that a request with a retired id is led to, or nil where it
// is led nowhere. key is what the store calls the retired record, which is doc.
func (m *Manager) rotated(ctx context.Context, key string, doc *record.Document, configured time.Duration) (*record.Document, error) {
	for range maxHops {
		retired := doc.Meta.Retired
		if age := m.cfg.Now().Sub(retired.At.Time()); !retired.Rotated || age >= rotatedLife || age < -clockSkew {
			return nil, nil
		}
		next, ok := m.keys.Load().openSuccessor(key, retired.Next)
		if !ok {
			return nil, nil
		}
		var err error
		doc, err = m.sessions.Load(store.BypassCache(ctx), next, configured)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrUndecodable):
			return nil, nil
		case err != nil:
			return nil, err
		case m.isLive(doc):
			return doc, nil
		case !doc.Meta.IsRetired(): // its absolute timeout has passed
			return nil, nil
		}
		key = next
	}
	return nil, nil
}

// loadRotated returns the session that is stored under key, or that a request with it is
// led to, and ErrSessionGone where there is none.
func (m *Manager) loadRotated(ctx context.Context, key string, configured time.Duration) (*record.Document, error) {
	doc, err := m.sessions.Load(ctx, key, configured)
	if err == nil && doc.Meta.IsRetired() {
		doc, err = m.rotated(ctx, key, doc, configured)
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrUndecodable), err == nil && (doc == nil || !m.isLive(doc)):
		return nil, ErrSessionGone
	}
	return doc, err
}

// foundRotated makes s the session that was rotated before the request came. key is what
// the store called it before. It reports false where the request may not have it.
func (s *Session) foundRotated(id, key string, doc *record.Document, now time.Time) bool {
	if !s.found(id, doc.Record.ID, doc) {
		return false
	}
	s.origin = key
	s.needRarities().followed = true
	s.attend(nil, s.x.m.extended.Last(s.key), now)
	return true
}

// followRotation goes on with the session where another request rotated it meanwhile, and
// returns errRestanding then: the step is decided anew. retired is what is stored under
// the id that this request has. It returns nil where there is nothing to go on with, or
// where this request renews the id for a reason.
func (s *Session) followRotation(op *operation, retired *record.Document) error {
	if s.renewal > state.RotateID {
		return nil
	}
	doc, err := s.x.m.rotated(op, s.key, retired, s.x.cookie.MaxAge)
	if doc == nil || err != nil {
		return err
	}
	s.goOnUnder(doc)
	s.rebase(doc)
	s.x.m.notify(op, Event{Kind: EventReplayed})
	return errRestanding
}

// goOnUnder goes on with the session as it is stored under the id that another request
// has rotated it to. Where this one was to rotate it as well, that was done.
func (s *Session) goOnUnder(doc *record.Document) {
	s.renewal, s.nextID = state.KeepID, ""
	s.key = doc.Record.ID
	s.needRarities().followed = true
}

// isRotated reports whether another request has rotated the session, so that this one need
// not. A request that renews the id for a reason finds that the session has moved on: it
// was never shown the id that there is now.
func (s *Session) isRotated(how state.Renewal) bool {
	if !s.rarities().followed || s.standing != state.Live {
		return false
	}
	if how > state.RotateID {
		s.become(state.MovedOn)
	}
	return how == state.RotateID
}

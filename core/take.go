package core

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// How a value is taken out of a session, by one request of all in the world: see [Key.Take].

// A cut takes something out of the value of a key: it returns what that is and what is
// left, nil for nothing. nil takes the whole value.
type cut func(value json.RawMessage) (taken, left json.RawMessage)

// of cuts a value.
func (c cut) of(value json.RawMessage) (taken, left json.RawMessage) {
	if c == nil {
		return value, nil
	}
	return c(value)
}

// take takes something out of a key in the store and returns it, or nil.
func (s *Session) take(ctx context.Context, key string, c cut) (value json.RawMessage, err error) {
	err = s.operate(ctx, OpTake, func(op *operation) (err error) {
		if err := s.takeable(); err != nil {
			return err
		}
		mine := s.changes.Get(key)
		if s.base == nil || s.changes.Cleared || mine != nil && mine.Absolute { // made by this request: nobody else has it
			var left json.RawMessage
			value, left = c.of(s.changes.Value(s.base, key))
			s.changes.Set(key, left)
			return nil
		}
		value, err = s.takeStored(op, key, c)
		for hops := 0; errors.Is(err, errRestanding) && s.standing == state.Live && hops < maxHops; hops++ { // it was rotated
			value, err = s.takeStored(op, key, c)
		}
		if errors.Is(err, ErrUnknownOutcome) {
			s.needRarities().failure = err
		}
		if errors.Is(err, errRestanding) {
			return ErrSessionGone
		}
		return err
	})
	if err == nil && c == nil { // else it is a piece of the value, which has no life of its own
		value, _ = s.living(value)
	}
	return value, err
}

// takeable returns why nothing can be taken from the session, or nil.
func (s *Session) takeable() error {
	if s.x.jar != nil {
		return errSealedTake
	}
	switch s.standing {
	case state.Unavailable:
		return ErrDegraded
	case state.Locked:
		return ErrUnproven
	case state.Ended, state.Ending, state.Gone, state.MovedOn:
		return ErrSessionGone
	}
	return s.rarities().failure
}

// takeStored is take for a key that others may take from as well.
func (s *Session) takeStored(op *operation, key string, c cut) (value json.RawMessage, err error) {
	m, seen := s.x.m, s.base
	has := func(d *record.Document) bool {
		taken, _ := c.of(d.Get(key))
		return taken != nil
	}
	turn, err := s.takeTurn(op)
	if err != nil {
		return nil, err
	}
	defer m.sessions.Leave(s.key, turn)
	if s.base != seen && !has(s.base) && has(seen) {
		// Somebody has taken it, or what this process wrote last is older than
		// what another one put there.
		if err := s.replay(op, nil); err != nil {
			return nil, err
		}
	}
	err = s.insist(op, func() (*record.Document, error) {
		value, _ = c.of(s.changes.Value(s.base, key))
		taken, left := c.of(s.base.Get(key))
		if taken == nil { // nobody else can have it
			s.takeChanged(key, c)
			return nil, nil
		}
		now := m.cfg.Now()
		if err := s.keepListed(op, now); err != nil {
			return nil, final{err} // what is written says for how long the list has it
		}
		next, err := s.encodeOnly(key, left, now)
		if err != nil {
			return nil, err
		}
		newer, err := m.sessions.Update(op, s.base, next, s.x.cookie.MaxAge)
		if err != nil {
			return newer, err
		}
		turn.Wrote(next)
		s.takeChanged(key, c)
		s.rebase(next)
		s.deed, s.proven = max(s.deed, state.Changed), true
		s.noteLife(next)
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// takeChanged takes something out of what this request has made of a key.
func (s *Session) takeChanged(key string, c cut) {
	switch {
	case c == nil:
		s.changes.Set(key, nil)
	case s.changes.Decides(key): // what others make of the rest of the value still counts
		s.changes.Update(s.base, key, func(value json.RawMessage) (json.RawMessage, error) {
			_, left := c(value)
			return left, nil
		}, s.callFunc)
	}
}

// encodeOnly returns the record with that value of a key, nil for none, and with no other
// change.
func (s *Session) encodeOnly(key string, value json.RawMessage, now time.Time) (*record.Document, error) {
	others := s.changes
	defer func() { s.changes = others }()
	s.changes = record.Changes{}
	s.changes.Set(key, value)
	return s.encode(s.base, s.key, now)
}

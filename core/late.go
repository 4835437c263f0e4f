package core

import (
	"errors"
	"log/slog"
	"strings"
)

// What becomes of changes that were made when the headers of the response were out. They are
// stored when the handler returns, where the session has its cookie already: the client has
// its answer, so a failure can only be logged.

// saveLate stores what was changed after the headers were out.
func (x *Exchange) saveLate() {
	s := x.session.Load()
	if s == nil || !x.isLoaded() || !s.lock() {
		return
	}
	due := s.isLateChangeDue()
	x.unlock()
	if !due {
		return
	}
	var unsaved []string
	err := s.operate(x.ctx, OpCommit, func(op *operation) error {
		if !s.isLateChangeDue() { // another goroutine was first
			return nil
		}
		err := s.run(op, false)
		unsaved = s.changes.Names()
		return err
	})
	switch {
	case err == nil, errors.Is(err, ErrReentered):
	case errors.Is(err, ErrHeadersSent):
		x.drop("after the first byte of the response, when the cookie of a new session could no longer be set", unsaved...)
	default:
		x.logFailure(slog.LevelError, "cloakroom: changes made after the first byte of the response could not be saved", err)
		x.m.notify(x.ctx, Event{Kind: EventDropped, Err: err})
	}
}

// isLateChangeDue reports whether there is something to save although the headers
// are out. The caller holds the lock.
func (s *Session) isLateChangeDue() bool {
	return !s.x.hijacked && s.x.err == nil && (s.touched || s.modified())
}

// drop tells that changes were dropped, and of which keys.
func (x *Exchange) drop(why string, keys ...string) {
	x.log(slog.LevelWarn, "cloakroom: changes to a session were dropped, made "+why, slog.String("keys", strings.Join(keys, ", ")))
	x.m.notify(x.ctx, Event{Kind: EventDropped})
}

package memorystore

import (
	"context"
	"errors"
	"math"
	"net"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Whether a call is to be done, and what time it is.

// errAt is ctx.Err() at a time by Store.now. The contexts of package core have no clock of
// their own, and are told what it is.
func (s *Store) errAt(ctx context.Context, now int64) error {
	if told, ok := ctx.(interface{ ErrAt(now time.Time) error }); ok && s.opts.Now == nil {
		return told.ErrAt(s.start.Add(time.Duration(now)))
	}
	return ctx.Err()
}

// refuse returns an error when the call is not to be done at all.
func (s *Store) refuse(ctx context.Context, verb string) error { return s.refuseFor(ctx.Err(), verb) }

// refuseFor is refuse for a context with that error.
func (s *Store) refuseFor(err error, verb string) error {
	if err != nil {
		class := "canceled"
		if errors.Is(err, context.DeadlineExceeded) {
			class = "timeout"
		}
		return failure(verb, class, err)
	}
	if s.closed.Load() {
		return failure(verb, "closed", net.ErrClosed)
	}
	return nil
}

func failure(verb, class string, err error) error {
	return &store.Error{Store: "memory", Verb: verb, Outcome: store.OutcomeNotApplied, Class: class, Err: err}
}

// now is the time since the store was made. Package time takes the monotonic
// clock for that, and a call of Since costs half of what Now costs.
func (s *Store) now() int64 {
	if s.opts.Now != nil {
		return int64(s.opts.Now().Sub(s.start))
	}
	return int64(time.Since(s.start))
}

// end returns the time after ttl, or the end of time.
func end(now int64, ttl time.Duration) int64 {
	if t := now + int64(ttl); t >= now {
		return t
	}
	return math.MaxInt64
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// attempts is how often a call is made that gave way to others, or met connections that
// had been closed or were lost under it.
const attempts = 30

// call does something with a connection of the pool, once more where it was not done for
// the sake of another call, or where it may be done twice and lost its connection. What
// fn returns as an error is a sentinel of package store, or the driver's.
//
// The connection comes first, as nothing else tells a call that waited for one in vain
// from a call that was sent.
func call[T any](ctx context.Context, s *Store, verb string, fn func(ctx context.Context, c *sql.Conn) (T, error)) (result T, err error) {
	for n := 1; ; n++ {
		if err := s.refuse(ctx, verb); err != nil {
			return result, err
		}
		var again bool
		result, again, err = timely(ctx, s, verb, fn)
		if !again || n == attempts {
			return result, err
		}
		if err := s.pause(ctx, verb, n); err != nil {
			return result, err
		}
	}
}

// A querier is a connection, or the pool, which takes one for a statement.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// read is call for one statement that changes nothing: nobody has to know whether one
// that was given up had a connection, so the pool may take it, which costs less. What
// fails in a way that a connection may have to do with is left to call.
func read[T any](ctx context.Context, s *Store, verb string, fn func(ctx context.Context, q querier) (T, error)) (result T, err error) {
	if s.punctual || ctx.Done() == nil {
		if err := s.refuse(ctx, verb); err != nil {
			return result, err
		}
		result, err = fn(ctx, s.db)
		if err == nil || isAnswer(err) {
			return result, err
		}
		if f, again := s.failure(ctx, verb, sent, err); !again && f.Class != unexplained {
			return result, f
		}
	}
	return call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) (T, error) { return fn(ctx, c) })
}

// timely returns when ctx is done, even if the driver does not.
func timely[T any](ctx context.Context, s *Store, verb string, fn func(context.Context, *sql.Conn) (T, error)) (result T, again bool, err error) {
	if s.punctual || ctx.Done() == nil {
		return once(ctx, s, verb, fn)
	}
	type answer struct {
		result T
		again  bool
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		a.result, a.again, a.err = once(ctx, s, verb, fn)
		done <- a
	}()
	select {
	case a := <-done:
		return a.result, a.again, a.err
	case <-ctx.Done():
		return result, false, &store.Error{Store: s.name(), Verb: verb, Class: contextClass(ctx.Err()), Err: ctx.Err()}
	}
}

func once[T any](ctx context.Context, s *Store, verb string, fn func(context.Context, *sql.Conn) (T, error)) (result T, again bool, err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		f, again := s.failure(ctx, verb, connecting, err)
		return result, again, f
	}
	defer c.Close() //nolint:errcheck // gives it back to the pool
	result, err = fn(ctx, c)
	if err == nil || isAnswer(err) {
		return result, false, err
	}
	f, again := s.failure(ctx, verb, sent, err)
	if f.Class == unexplained && repeats(verb, err) && ctx.Err() == nil {
		again = c.PingContext(ctx) != nil // it is the connection
	}
	return result, again, f
}

// isAnswer reports whether an error is what the contract lets a verb answer, and no failure.
func isAnswer(err error) bool {
	var f *store.Error
	return err == store.ErrNotFound || err == store.ErrExists || err == store.ErrConflict || errors.As(err, &f) //nolint:errorlint // what this package returned itself
}

// pause lets those go on to whom a call gave way.
func (s *Store) pause(ctx context.Context, verb string, n int) error {
	const longest = 20 * time.Millisecond
	d := min(time.Duration(n)*time.Millisecond, longest)
	timer := time.NewTimer(jitter(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return s.refuse(ctx, verb)
	}
}

package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
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

// row asks for one row and scans it, and returns sql.ErrNoRows where there is none. It asks
// the driver itself, unless that wants its statements prepared: for each query that may be
// given up, package sql starts a goroutine which closes the rows then. The drivers end by
// themselves, and the rows are closed here.
func row(ctx context.Context, c *sql.Conn, query string, args []any, dest ...sql.Scanner) error {
	err := c.Raw(func(conn any) error {
		q, ok := conn.(driver.QueryerContext)
		if !ok {
			return driver.ErrSkip
		}
		named := make([]driver.NamedValue, len(args))
		for i, a := range args {
			named[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
		}
		rows, err := q.QueryContext(ctx, query, named)
		if err != nil {
			return err
		}
		return scan(rows, dest)
	})
	if err != driver.ErrSkip { //nolint:errorlint // as drivers have to return it
		return err
	}
	pointers := make([]any, len(dest))
	for i, d := range dest {
		pointers[i] = d
	}
	return c.QueryRowContext(ctx, query, args...).Scan(pointers...)
}

// scan scans the first row and closes all.
func scan(rows driver.Rows, dest []sql.Scanner) error {
	values := make([]driver.Value, len(dest))
	err := rows.Next(values)
	for i := 0; i < len(dest) && err == nil; i++ {
		err = dest[i].Scan(values[i]) // copies what the driver may use again
	}
	closed := rows.Close() // a statement may still fail when it is committed
	switch {
	case err == nil:
		return closed
	case errors.Is(err, io.EOF):
		return cmp.Or(closed, sql.ErrNoRows)
	}
	return err
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

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// All implements [store.Lister]. It is one statement for every 200 sessions, in the
// order of their ids, and keeps nothing open between them.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for last := ""; ; {
			recs, err := call(ctx, s, "list", func(ctx context.Context, c *sql.Conn) ([]store.Record, error) {
				return records(c.QueryContext(ctx, s.say.page, []byte(last)))
			})
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			for _, rec := range recs {
				if !yield(rec, nil) {
					return
				}
			}
			if len(recs) < pageSize {
				return
			}
			last = recs[len(recs)-1].ID
		}
	}
}

// records reads ids and data.
func records(rows *sql.Rows, err error) (recs []store.Record, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var id, data []byte
		if err := rows.Scan(&id, &data); err != nil {
			return nil, err
		}
		recs = append(recs, store.Record{ID: string(id), Data: data})
	}
	return recs, rows.Err()
}

// Count implements [store.Counter]. It looks at all rows.
func (s *Store) Count(ctx context.Context) (int, error) {
	return call(ctx, s, "count", func(ctx context.Context, c *sql.Conn) (n int, err error) {
		return n, c.QueryRowContext(ctx, s.say.count).Scan(&n)
	})
}

// Clear implements [store.Clearer]. It removes a thousand rows at a time, in the order of
// their ids. A session that is created meanwhile may remain.
func (s *Store) Clear(ctx context.Context) error {
	for last := []byte{}; last != nil; {
		next, err := call(ctx, s, "clear", func(ctx context.Context, c *sql.Conn) (bound []byte, err error) {
			err = c.QueryRowContext(ctx, s.say.bound, last).Scan(&bound)
			if errors.Is(err, sql.ErrNoRows) {
				_, err = c.ExecContext(ctx, s.say.clearUp, last)
				return nil, err
			}
			if err == nil {
				_, err = c.ExecContext(ctx, s.say.clear, last, bound)
			}
			return bound, err
		})
		if err != nil {
			return err
		}
		last = next
	}
	return nil
}

// UserIndex implements [store.UserIndexer]: a store on the table beside that of the
// sessions, with "_users" behind its name.
func (s *Store) UserIndex() store.Store { return s.lists }

// Inspect implements [store.UserIndexer]. It is one statement for every 256 sessions.
func (s *Store) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	const verb = "inspect"
	if err := s.refuse(ctx, verb); err != nil {
		return nil, err
	}
	var all []store.Record
	for some := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(ids))), mostIDs) {
		recs, err := call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) ([]store.Record, error) {
			return s.inspect(ctx, c, some)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, recs...)
	}
	return all, nil
}

func (s *Store) inspect(ctx context.Context, c *sql.Conn, ids []string) (recs []store.Record, _ error) {
	list, args := s.listed(ids)
	rows, err := c.QueryContext(ctx, s.text.of(`SELECT id, data, {left} FROM {t} WHERE id IN `+list+` AND expires > {now}`), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var id, data []byte
		var left int64
		if err := rows.Scan(&id, &data, &left); err != nil {
			return nil, err
		}
		if left > 0 {
			recs = append(recs, store.Record{ID: string(id), Data: data, TTL: s.idiom.duration(left)})
		}
	}
	return recs, rows.Err()
}

// mostIDs is how many ids one statement names.
const mostIDs = 256

// listed returns a list of ids for a statement, and its parameters. It is of few
// lengths, as databases and drivers keep what they know of a statement by its text.
func (s *Store) listed(ids []string) (list string, args []any) {
	n := 1
	for n < len(ids) {
		n *= 4
	}
	for i := range n {
		args = append(args, []byte(ids[min(i, len(ids)-1)]))
	}
	return "(" + strings.Repeat("?, ", n-1) + "?)", args
}

// duration returns a number of units, or as much as can be said.
func (i idiom) duration(n int64) time.Duration {
	const most = 1<<63 - 1
	if n > most/int64(i.unit) {
		return most
	}
	return time.Duration(n) * i.unit
}

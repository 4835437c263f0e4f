package sqlstore

import (
	"context"
	"database/sql"
	"iter"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// How many records one statement creates, and one transaction of SQLite, which waits for
// the disk once. A statement of more than a few megabytes is too large for many servers, also
// where each of its records is not.
const (
	mostInBatch       = 256
	mostInTransaction = 1024
	mostBytes         = 1 << 20
)

// CreateBatch implements [store.BatchCreator]. In PostgreSQL and MySQL it is one statement
// for every 256 records, and in SQLite a transaction for every 1024; for fewer where they are more
// than a megabyte. Where an id is in use, MySQL takes a transaction for those of that statement, with
// one to three statements for each.
func (s *Store) CreateBatch(ctx context.Context, recs []store.Record) (inUse []string, err error) {
	const verb = "create batch"
	for _, rec := range recs {
		if err := s.tooLong(verb, rec.ID); err != nil {
			return nil, err
		}
	}
	most := mostInBatch
	if s.opts.Dialect == SQLite {
		most = mostInTransaction
	}
	for some := range batches(recs, most) {
		taken, err := call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) ([]string, error) {
			switch s.opts.Dialect {
			case PostgreSQL:
				return s.insertOrTell(ctx, c, some)
			case MySQL:
				return s.insertOrRetreat(ctx, c, some)
			default:
				return s.insertEach(ctx, c, some)
			}
		})
		if err != nil {
			return nil, err
		}
		inUse = append(inUse, taken...)
	}
	return inUse, nil
}

// batches takes records apart: so many in each, and no more than mostBytes where these are
// several.
func batches(recs []store.Record, most int) iter.Seq[[]store.Record] {
	return func(yield func([]store.Record) bool) {
		for len(recs) > 0 {
			n, size := 0, 0
			for n < min(most, len(recs)) && (n == 0 || size+len(recs[n].Data) <= mostBytes) {
				size += len(recs[n].Data)
				n++
			}
			if !yield(recs[:n]) {
				return
			}
			recs = recs[n:]
		}
	}
}

// rows returns as many rows of parameters as there are records, and the parameters.
func (s *Store) rows(recs []store.Record) (values string, args []any) {
	row := s.text.replace.Replace("(?, ?, {after}, {after})")
	for _, rec := range recs {
		life := s.idiom.life(rec.TTL)
		args = append(args, []byte(rec.ID), bytesOf(rec.Data), life, life)
	}
	return strings.TrimSuffix(strings.Repeat(row+", ", len(recs)), ", "), args
}

// insertOrTell has PostgreSQL say which of the records were created.
func (s *Store) insertOrTell(ctx context.Context, c *sql.Conn, recs []store.Record) (inUse []string, _ error) {
	values, args := s.rows(recs)
	created, err := due(c.QueryContext(ctx, s.text.of(`INSERT INTO {t} AS s (id, data, expires, due) VALUES `+values+`
	ON CONFLICT (id) DO UPDATE SET data = excluded.data, expires = excluded.expires, due = excluded.due WHERE s.expires <= {now}
	RETURNING s.id`), args...))
	if err != nil || len(created) == len(recs) {
		return nil, err
	}
	done := make(map[string]bool, len(created))
	for _, id := range created {
		done[id] = true
	}
	for _, rec := range recs {
		if !done[rec.ID] {
			inUse = append(inUse, rec.ID)
		}
	}
	return inUse, nil
}

// insertOrRetreat has MySQL create all records or none, and then goes on one by one.
func (s *Store) insertOrRetreat(ctx context.Context, c *sql.Conn, recs []store.Record) (inUse []string, _ error) {
	values, args := s.rows(recs)
	_, err := c.ExecContext(ctx, s.text.of(`INSERT INTO {t} (id, data, expires, due) VALUES `+values), args...)
	if n, ok := field(err, "Number"); !ok || n != duplicateKey {
		return nil, err
	}
	return s.insertEach(ctx, c, recs)
}

// insertEach creates one record after the other, in a transaction: where that is done again
// for the sake of another call, none of the records is there by its own doing.
func (s *Store) insertEach(ctx context.Context, c *sql.Conn, recs []store.Record) (inUse []string, err error) {
	err = s.transact(ctx, c, func() error {
		for _, rec := range recs {
			created, err := s.do.create(ctx, c, rec)
			if err != nil {
				return err
			}
			if !created {
				inUse = append(inUse, rec.ID)
			}
		}
		return nil
	})
	return inUse, err
}

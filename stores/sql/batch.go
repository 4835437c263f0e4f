package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// How many records one statement creates, and one transaction of SQLite, which waits for
// the disk once.
const (
	mostInBatch       = 256
	mostInTransaction = 1024
)

// CreateBatch implements [store.BatchCreator]. In PostgreSQL and MySQL it is one statement
// for every 256 records, and in SQLite a transaction for every 1024. Where an id is in use, MySQL takes one
// or two statements for each of those 256.
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
	for some := range slices.Chunk(recs, most) {
		taken, err := call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) ([]string, error) {
			switch s.opts.Dialect {
			case PostgreSQL:
				return s.insertOrTell(ctx, c, some)
			case MySQL:
				return s.insertOrRetreat(ctx, c, some)
			}
			var taken []string
			return taken, s.transact(ctx, c, func() (err error) {
				taken, err = s.insertEach(ctx, c, some)
				return err
			})
		})
		if err != nil {
			return nil, err
		}
		inUse = append(inUse, taken...)
	}
	return inUse, nil
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

func (s *Store) insertEach(ctx context.Context, c *sql.Conn, recs []store.Record) (inUse []string, _ error) {
	for _, rec := range recs {
		created, err := s.do.create(ctx, c, rec)
		if err != nil {
			return nil, err
		}
		if !created {
			inUse = append(inUse, rec.ID)
		}
	}
	return inUse, nil
}

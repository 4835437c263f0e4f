package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// postgres are the verbs that are one statement in PostgreSQL.
type postgres struct{ *Store }

func (p postgres) create(ctx context.Context, c *sql.Conn, rec store.Record) (bool, error) {
	life := p.idiom.life(rec.TTL)
	return changed(c.ExecContext(ctx, p.say.create, []byte(rec.ID), bytesOf(rec.Data), life, life, life, life))
}

func (p postgres) update(ctx context.Context, c *sql.Conn, old, next store.Record) ([]byte, error) {
	if next.TTL == store.KeepTTL {
		return found(ctx, c, p.say.keep, []byte(old.ID), bytesOf(old.Data), bytesOf(next.Data))
	}
	return found(ctx, c, p.say.update, []byte(old.ID), bytesOf(old.Data), p.idiom.life(next.TTL), bytesOf(next.Data))
}

func (p postgres) touch(ctx context.Context, c *sql.Conn, id string, ttl time.Duration) error {
	life := p.idiom.life(ttl)
	return must(changed(c.ExecContext(ctx, p.say.touch, []byte(id), life, life)))
}

func (p postgres) remove(ctx context.Context, c *sql.Conn, old store.Record) error {
	_, err := found(ctx, c, p.say.remove, []byte(old.ID), bytesOf(old.Data))
	return err
}

func (p postgres) replace(ctx context.Context, c *sql.Conn, old, retired, next store.Record) error {
	var live, same, done sql.Null[bool]
	id, nextID := []byte(old.ID), []byte(next.ID)
	life, nextLife := p.idiom.life(retired.TTL), p.idiom.life(next.TTL)
	err := row(ctx, c, p.say.replace, []any{
		id, nextID, bytesOf(old.Data), nextID, id,
		nextID, bytesOf(next.Data), nextLife, nextLife, nextLife, nextLife, bytesOf(retired.Data), life, life,
	}, &live, &same, &done)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	}
	switch {
	case !live.V:
		return store.ErrNotFound
	case !same.V:
		return store.ErrConflict
	case !done.V:
		return store.ErrExists
	}
	return nil
}

// found returns what a statement says that changes a record where it holds what is
// asked for: whether it is live, whether it was changed, and else what it holds.
func found(ctx context.Context, c *sql.Conn, statement string, args ...any) (newest []byte, err error) {
	var live, done sql.Null[bool]
	var other sql.Null[[]byte]
	err = row(ctx, c, statement, args, &live, &done, &other)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, store.ErrNotFound
	case err != nil:
		return nil, err
	case !live.V:
		return nil, store.ErrNotFound
	case !done.V:
		return other.V, store.ErrConflict
	}
	return nil, nil
}

// changed reports whether a statement changed a record.
func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// must returns an error where there was no record to be changed.
func must(changed bool, err error) error {
	if err == nil && !changed {
		return store.ErrNotFound
	}
	return err
}

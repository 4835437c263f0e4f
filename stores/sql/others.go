package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// others are the verbs of the dialects that cannot change a record and tell what there
// is instead in one statement, which are MySQL and SQLite.
type others struct{ *Store }

// tries is how often a write is sent that found something else, although what is there
// then is what it looked for: another call has put it back in between.
const tries = 20

func (o others) create(ctx context.Context, c *sql.Conn, rec store.Record) (bool, error) {
	id, data, life := []byte(rec.ID), bytesOf(rec.Data), o.idiom.life(rec.TTL)
	if o.opts.Dialect == SQLite {
		return changed(c.ExecContext(ctx, o.say.create, id, data, life, life, life, life))
	}
	for range 2 {
		_, err := c.ExecContext(ctx, o.say.create, id, data, life, life)
		if n, ok := field(err, "Number"); !ok || n != duplicateKey {
			return err == nil, err
		}
		// Somebody's mistake, for ids are random, or a record that has expired and
		// was not removed yet.
		if done, err := changed(c.ExecContext(ctx, o.say.overwrite, data, life, life, id)); done || err != nil {
			return done, err
		} // else it is live, or was removed meanwhile
	}
	return false, nil
}

const duplicateKey = 1062

func (o others) update(ctx context.Context, c *sql.Conn, old, next store.Record) ([]byte, error) {
	id, was, data := []byte(old.ID), bytesOf(old.Data), bytesOf(next.Data)
	if next.TTL == store.KeepTTL {
		return o.inPlaceOf(ctx, c, old, o.say.keep, data, id, was)
	}
	life := o.idiom.life(next.TTL)
	return o.inPlaceOf(ctx, c, old, o.say.update, data, life, life, id, was)
}

func (o others) remove(ctx context.Context, c *sql.Conn, old store.Record) error {
	_, err := o.inPlaceOf(ctx, c, old, o.say.remove, []byte(old.ID), bytesOf(old.Data))
	return err
}

// inPlaceOf makes a write to the live record that holds what old does. Where there is
// none, it returns what is stored instead.
func (o others) inPlaceOf(ctx context.Context, c *sql.Conn, old store.Record, statement string, args ...any) (newest []byte, err error) {
	for range tries {
		if done, err := changed(c.ExecContext(ctx, statement, args...)); done || err != nil {
			return nil, err
		}
		newest, err := o.load(ctx, c, old.ID)
		switch {
		case err != nil:
			return nil, err
		case !bytes.Equal(newest, old.Data):
			return newest, store.ErrConflict
		}
	}
	return nil, &store.Error{Store: o.name(), Verb: "update", Outcome: store.OutcomeNotApplied, Class: "row is changed too often"}
}

// touch looks again where MySQL says that nothing was changed: it counts rows that have
// another content than before, unless the driver is set to count those it found.
func (o others) touch(ctx context.Context, c *sql.Conn, id string, ttl time.Duration) error {
	life := o.idiom.life(ttl)
	done, err := changed(c.ExecContext(ctx, o.say.touch, life, life, []byte(id)))
	if done || err != nil || o.opts.Dialect == SQLite {
		return must(done, err)
	}
	var one int
	err = c.QueryRowContext(ctx, o.say.exists, []byte(id)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

func (o others) replace(ctx context.Context, c *sql.Conn, old, retired, next store.Record) error {
	return o.transact(ctx, c, func() error {
		live, same, taken, err := o.look(ctx, c, old, next.ID)
		if err != nil {
			return err
		}
		if err := replaced(live, same, !taken); err != nil {
			return err
		}
		created, err := o.create(ctx, c, next)
		switch {
		case err != nil:
			return err
		case !created: // by another call, meanwhile
			return store.ErrExists
		}
		life := o.idiom.life(retired.TTL)
		_, err = c.ExecContext(ctx, o.say.retire, bytesOf(retired.Data), life, life, []byte(old.ID))
		return err
	})
}

// look locks both records that Replace needs, in the order of their ids, and reports
// whether old is live and holds the same, and whether the next id is in use.
func (o others) look(ctx context.Context, c *sql.Conn, old store.Record, nextID string) (live, same, taken bool, err error) {
	rows, err := c.QueryContext(ctx, o.say.lock, []byte(old.ID), []byte(nextID))
	if err != nil {
		return false, false, false, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var id, data []byte
		var lives bool
		if err := rows.Scan(&id, &data, &lives); err != nil {
			return false, false, false, err
		}
		if string(id) == old.ID {
			live, same = lives, bytes.Equal(data, old.Data)
		}
		if string(id) == nextID {
			taken = lives
		}
	}
	return live, same, taken, rows.Err()
}

// transact does what fn does with a connection as one step, or nothing where fn returns
// an error.
func (s *Store) transact(ctx context.Context, c *sql.Conn, fn func() error) error {
	for _, statement := range begin[s.opts.Dialect] {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return undone{err}
		}
	}
	err := fn()
	if err == nil {
		if s.opts.Dialect == SQLite { // commits without a wait, and is not to be given up in the middle
			ctx = context.WithoutCancel(ctx)
		}
		if _, err = c.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
	} else if !isAnswer(err) {
		err = undone{err}
	}
	if _, rollback := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); rollback != nil {
		_ = c.Raw(func(any) error { return driver.ErrBadConn }) // the pool is not to use it again
	}
	return err
}

// begin are the statements that begin a transaction. In MySQL it sees what others have
// committed and locks no gaps, which would make calls wait for each other that need
// different rows. In SQLite one that only writes later fails where another writes
// meanwhile, so it takes the lock at once.
var begin = map[Dialect][]string{
	PostgreSQL: {"BEGIN"},
	MySQL:      {"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"},
	SQLite:     {"BEGIN IMMEDIATE"},
}

// undone is a failure within a transaction that was not committed.
type undone struct{ error }

func (u undone) Unwrap() error { return u.error }

package sqlstore

import (
	"bytes"
	"cmp"
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
		// was not removed yet. Two that look first do not both ask for its lock.
		if err := o.live(ctx, c, rec.ID); !errors.Is(err, store.ErrNotFound) {
			return false, err
		}
		if done, err := changed(c.ExecContext(ctx, o.say.overwrite, data, life, life, id)); done || err != nil {
			return done, err
		} // else it is live, or was removed meanwhile
	}
	return false, nil
}

const duplicateKey = 1062

func (o others) update(ctx context.Context, c *sql.Conn, old, next store.Record) ([]byte, error) {
	id, was, data := []byte(old.ID), bytesOf(old.Data), bytesOf(next.Data)
	switch {
	case next.TTL == store.KeepTTL && bytes.Equal(was, data): // MySQL would change no row, and not tell whether there is one
		return o.compare(ctx, c, old)
	case next.TTL == store.KeepTTL:
		return o.inPlaceOf(ctx, c, "update", old, o.say.keep, data, id, was)
	}
	life := o.idiom.life(next.TTL)
	return o.inPlaceOf(ctx, c, "update", old, o.say.update, data, life, life, id, was)
}

func (o others) remove(ctx context.Context, c *sql.Conn, old store.Record) error {
	_, err := o.inPlaceOf(ctx, c, "remove", old, o.say.remove, []byte(old.ID), bytesOf(old.Data))
	return err
}

// inPlaceOf makes a write to the live record that holds what old does. Where there is
// none, it returns what is stored instead.
func (o others) inPlaceOf(ctx context.Context, c *sql.Conn, verb string, old store.Record, statement string, args ...any) (newest []byte, err error) {
	for range tries {
		if done, err := changed(c.ExecContext(ctx, statement, args...)); done || err != nil {
			return nil, err
		}
		if newest, err = o.compare(ctx, c, old); err != nil {
			return newest, err
		}
	}
	return nil, o.restless(verb)
}

// compare returns nothing where the live record holds what old does, and else what it holds.
func (o others) compare(ctx context.Context, c *sql.Conn, old store.Record) (newest []byte, err error) {
	newest, err = o.load(ctx, c, old.ID)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(newest, old.Data):
		return newest, store.ErrConflict
	}
	return nil, nil
}

// touch looks again where MySQL says that nothing was changed: it counts rows that have
// another content than before, unless the driver is set to count those it found.
func (o others) touch(ctx context.Context, c *sql.Conn, id string, ttl time.Duration) error {
	life := o.idiom.life(ttl)
	done, err := changed(c.ExecContext(ctx, o.say.touch, life, life, []byte(id)))
	if done || err != nil || o.opts.Dialect == SQLite {
		return must(done, err)
	}
	return o.live(ctx, c, id)
}

// live returns nil where there is a live record.
func (o others) live(ctx context.Context, c *sql.Conn, id string) error {
	var one int
	err := c.QueryRowContext(ctx, o.say.exists, []byte(id)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// replace changes the two records in the order of their ids, so that two calls that need
// the same two do not wait for each other.
func (o others) replace(ctx context.Context, c *sql.Conn, old, retired, next store.Record) error {
	id, was, life := []byte(old.ID), bytesOf(old.Data), o.idiom.life(retired.TTL)
	retire := func() error {
		done, err := changed(c.ExecContext(ctx, o.say.update, bytesOf(retired.Data), life, life, id, was))
		if err == nil && !done {
			err = errUnchanged
		}
		return err
	}
	create := func() error {
		created, err := o.create(ctx, c, next)
		if err == nil && !created {
			err = store.ErrExists
		}
		return err
	}
	first, second := retire, create
	if next.ID < old.ID {
		first, second = create, retire
	}
	for range tries {
		err := o.transact(ctx, c, func() error {
			err := first()
			if err == nil || errors.Is(err, store.ErrExists) { // unless old says otherwise
				err = cmp.Or(second(), err)
			}
			return err
		})
		if !errors.Is(err, errUnchanged) {
			return err
		}
		if _, err := o.compare(ctx, c, old); err != nil {
			return err
		}
	}
	return o.restless("replace")
}

// errUnchanged says within a transaction that there is no live record that holds what
// old does.
var errUnchanged = errors.New("unchanged")

func (o others) restless(verb string) error {
	return &store.Error{Store: o.name(), Verb: verb, Outcome: store.OutcomeNotApplied, Class: "row is changed too often"}
}

// transact does what fn does with a connection as one step, or nothing where fn returns
// an error.
func (s *Store) transact(ctx context.Context, c *sql.Conn, fn func() error) error {
	begin := "BEGIN"
	if s.opts.Dialect == SQLite {
		begin = "BEGIN IMMEDIATE" // one that takes the lock only later fails where another writes meanwhile
	}
	if _, err := c.ExecContext(ctx, begin); err != nil {
		return undone{err}
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

// undone is a failure within a transaction that was not committed.
type undone struct{ error }

func (u undone) Unwrap() error { return u.error }

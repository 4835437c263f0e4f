package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Store keeps sessions in a table. It is made by [New], and may be used by many
// goroutines at once.
//
// What it returns as errors are the sentinels of [store.Store] and [*store.Error] with
// the dialect as Store. One of these matches [ErrSchema] where the tables are missing,
// and [store.ErrFull] where the disk is full.
type Store struct {
	db       *sql.DB
	opts     Options
	idiom    idiom
	do       verbs
	text     text
	say      *statements
	lists    *Store // the lists of users' sessions; nil in the store of these
	punctual bool   // the driver returns when a context is done
	honest   bool   // the driver says that a connection is bad only where it has sent nothing
	close    func()
	rounds   *sync.WaitGroup // of sweeping
}

var _ interface {
	store.Store
	store.Replacer
	store.BatchCreator
	store.UpdateLoader
	store.Remover
	store.Lister
	store.Counter
	store.Clearer
	store.UserIndexer
	store.Pinger
} = (*Store)(nil)

// verbs are what the dialects do by different statements.
type verbs interface {
	// create reports whether there was room for the record.
	create(ctx context.Context, c *sql.Conn, rec store.Record) (bool, error)
	// update puts next in the place of old, or returns what is stored instead.
	update(ctx context.Context, c *sql.Conn, old, next store.Record) (newest []byte, err error)
	touch(ctx context.Context, c *sql.Conn, id string, ttl time.Duration) error
	remove(ctx context.Context, c *sql.Conn, old store.Record) error
	replace(ctx context.Context, c *sql.Conn, old, retired, next store.Record) error
}

// New returns a store on the app's pool, which stays the app's. It does not call the
// database: see [Migrate] for the tables. It starts a goroutine that removes expired
// sessions, which [Store.Close] ends, unless Options.SweepInterval is [NeverSweep].
// The error says which option is not valid.
func New(db *sql.DB, o Options) (*Store, error) {
	o, err := o.open(db)
	if err != nil {
		return nil, err
	}
	s := newStore(db, o, o.Table)
	s.lists = newStore(db, o, o.Table+usersSuffix)
	s.sweepInRounds()
	return s, nil
}

// What makes the names of the other tables.
const (
	usersSuffix = "_users"
	metaSuffix  = "_meta"
)

func newStore(db *sql.DB, o Options, table string) *Store {
	pkg := driverPackage(db)
	s := &Store{
		db:       db,
		opts:     o,
		idiom:    idioms[o.Dialect],
		text:     newText(o.Dialect, table, o.Table+metaSuffix),
		punctual: keepsDeadlines(pkg),
		honest:   pkg != pkgPQ,
		close:    func() {},
		rounds:   new(sync.WaitGroup),
	}
	s.say = newStatements(s.text)
	s.do = others{s}
	if o.Dialect == PostgreSQL {
		s.do = postgres{s}
	}
	return s
}

func (s *Store) name() string { return string(s.opts.Dialect) }

// longestID is how many bytes of an id a table keeps.
const longestID = 512

// tooLong returns an error where an id is longer than a table keeps, which a database
// may be set to cut off.
func (s *Store) tooLong(verb, id string) error {
	if len(id) <= longestID {
		return nil
	}
	return &store.Error{Store: s.name(), Verb: verb, Outcome: store.OutcomeNotApplied, Class: fmt.Sprintf("id is longer than %d bytes", longestID)}
}

// bytesOf returns data as a parameter: to a driver, nil would be NULL.
func bytesOf(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// Load implements [store.Store]. It is one statement, as the others are, unless they
// say more.
func (s *Store) Load(ctx context.Context, id string) (store.Record, error) {
	data, err := call(ctx, s, "load", func(ctx context.Context, c *sql.Conn) ([]byte, error) {
		return s.load(ctx, c, id)
	})
	if err != nil {
		return store.Record{}, err
	}
	return store.Record{ID: id, Data: data}, nil
}

func (s *Store) load(ctx context.Context, c *sql.Conn, id string) ([]byte, error) {
	var data sql.Null[[]byte]
	err := row(ctx, c, s.say.load, []any{[]byte(id)}, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	return data.V, err
}

// Create implements [store.Store]. In MySQL it is two statements where an id is in use.
func (s *Store) Create(ctx context.Context, rec store.Record) error {
	const verb = "create"
	if err := s.tooLong(verb, rec.ID); err != nil {
		return err
	}
	_, err := call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) (none struct{}, err error) {
		created, err := s.do.create(ctx, c, rec)
		if err == nil && !created {
			err = store.ErrExists
		}
		return none, err
	})
	return err
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, old, next store.Record) error {
	_, err := s.UpdateOrLoad(ctx, old, next)
	return err
}

// UpdateOrLoad implements [store.UpdateLoader]. In PostgreSQL it is one statement; in
// the others a second one looks where the first has not found what old holds.
func (s *Store) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	newest, err := call(ctx, s, "update", func(ctx context.Context, c *sql.Conn) (answer[[]byte], error) {
		data, err := s.do.update(ctx, c, old, next)
		return settle(data, err)
	})
	if err == nil {
		err = newest.err
	}
	if err != store.ErrConflict || newest.value == nil { //nolint:errorlint // as it was returned
		return store.Record{}, err
	}
	return store.Record{ID: old.ID, Data: newest.value}, err
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	_, err := call(ctx, s, "touch", func(ctx context.Context, c *sql.Conn) (none struct{}, err error) {
		return none, s.do.touch(ctx, c, id, ttl)
	})
	return err
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, id string) error {
	_, err := call(ctx, s, "delete", func(ctx context.Context, c *sql.Conn) (sql.Result, error) {
		return c.ExecContext(ctx, s.say.delete, []byte(id))
	})
	return err
}

// Remove implements [store.Remover]. It takes as many statements as UpdateOrLoad.
func (s *Store) Remove(ctx context.Context, old store.Record) error {
	_, err := call(ctx, s, "remove", func(ctx context.Context, c *sql.Conn) (none struct{}, err error) {
		return none, s.do.remove(ctx, c, old)
	})
	return err
}

// Replace implements [store.Replacer]. In PostgreSQL it is one statement, and in the
// others a transaction.
func (s *Store) Replace(ctx context.Context, old, retired, next store.Record) error {
	const verb = "replace"
	if err := s.tooLong(verb, next.ID); err != nil {
		return err
	}
	_, err := call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) (none struct{}, err error) {
		return none, s.do.replace(ctx, c, old, retired, next)
	})
	return err
}

// Ping implements [store.Pinger]. It also looks whether the tables are those of this
// version, and returns an error that matches [ErrSchema] where they are not.
func (s *Store) Ping(ctx context.Context) error {
	const verb = "ping"
	version, err := call(ctx, s, verb, func(ctx context.Context, c *sql.Conn) (version int, err error) {
		err = c.QueryRowContext(ctx, s.say.ping).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		return version, err
	})
	if err == nil && version != schemaVersion {
		return &store.Error{Store: s.name(), Verb: verb, Outcome: store.OutcomeNotApplied, Class: fmt.Sprintf("tables are of version %d, not %d", version, schemaVersion), Err: ErrSchema}
	}
	return err
}

// Close stops the removal of expired sessions and waits for what it has under way. The
// pool stays open: it is the app's. It always returns nil.
func (s *Store) Close() error {
	s.close()
	s.rounds.Wait()
	return nil
}

// Format implements [fmt.Formatter]: no verb prints what a store holds, nor how it
// reaches its database.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("sqlstore.Store")) }

// An answer is what a verb returns together with an answer of the contract.
type answer[T any] struct {
	value T
	err   error
}

// settle makes an answer of the contract a result, so that what comes with it is kept.
func settle[T any](value T, err error) (answer[T], error) {
	if err == nil || isAnswer(err) {
		return answer[T]{value, err}, nil
	}
	return answer[T]{}, err
}

// jitter returns a time between half of d and d.
func jitter(d time.Duration) time.Duration {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return d/2 + time.Duration(binary.LittleEndian.Uint64(b[:])%uint64(d/2+1)) //nolint:gosec // less than d
}

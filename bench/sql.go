package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	ginpostgres "github.com/gin-contrib/sessions/postgres"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

// poolSize is how many connections everybody has.
const poolSize = 16

func openPool(url string) (*sql.DB, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, errors.New("POSTGRESQL_URL cannot be used")
	}
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	return db, nil
}

// newFile returns the name of a file of SQLite in a folder of its own, and what removes
// that.
func newFile() (name string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "cloakroom-bench-")
	return filepath.Join(dir, "sessions.db"), func() { _ = os.RemoveAll(dir) }, err
}

// openFile returns a pool as everybody has it who wants that nothing is lost: one
// connection writes at a time.
func openFile(name string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// openSQLStore opens a store of Cloakroom on PostgreSQL, or on a file.
func openSQLStore(ctx context.Context, s *servers, st string) (store.Store, func(), error) {
	if st == sqliteS {
		name, remove, err := newFile()
		if err != nil {
			return nil, nil, err
		}
		kept, err := sqlitestore.Open(ctx, name, sqlitestore.Options{})
		if err != nil {
			remove()
			return nil, nil, err
		}
		return kept, func() { _ = kept.Close(); remove() }, nil
	}
	db, err := openPool(s.postgresql)
	if err != nil {
		return nil, nil, err
	}
	o := sqlstore.Options{Table: "cloakroom_bench", SweepInterval: sqlstore.NeverSweep}
	if err := sqlstore.Migrate(ctx, db, o); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	kept, err := sqlstore.New(db, o)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return kept, func() { _ = kept.Close(); _ = db.Close() }, nil
}

// sqlRecords is the driver as its manual has it, with the table and the statements of the
// store: the database's clock decides what has expired, and nothing is overwritten that
// was not read.
type sqlRecords struct {
	db                             *sql.DB
	load, insert, update, toDelete string
	life                           int64 // in the units of the table
	tells                          bool  // update returns what became of it
}

// floorRecords is the table of the floor.
const floorRecords = "floor_records"

func openSQLFloor(st string) func(context.Context, *servers) (*app, error) {
	return func(ctx context.Context, s *servers) (*app, error) {
		r := sqlRecords{
			load:     `SELECT data FROM floor_records WHERE id = $1 AND expires > {now}`,
			insert:   `INSERT INTO floor_records (id, data, expires, due) VALUES ($1, $2, {now} + {life}, {now} + {life})`,
			toDelete: `DELETE FROM floor_records WHERE id = $1`,
		}
		var (
			remove = nothing
			says   *strings.Replacer
			err    error
		)
		if st == sqliteS {
			r.life = floorLife * 1000
			r.update = `UPDATE floor_records SET data = $4, expires = {now} + {life}, due = min(due, {now} + {life}) WHERE id = $1 AND data = $2 AND expires > {now}`
			says = strings.NewReplacer("{now}", "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)", "{life}", "$3")
			var name string
			if name, remove, err = newFile(); err != nil {
				return nil, err
			}
			r.db, err = openFile(name)
		} else { // locks the row, and judges it when it has the lock
			r.life, r.tells = floorLife*1_000_000, true
			r.update = `WITH l AS MATERIALIZED (SELECT id, data, expires FROM floor_records WHERE id = $1 FOR UPDATE),
				j AS MATERIALIZED (SELECT id, NULLIF(data, $2) AS other, expires > {now} AS live, {now} + {life} AS until FROM l),
				u AS (UPDATE floor_records AS s SET data = $4, expires = j.until, due = LEAST(s.due, j.until) FROM j
					WHERE s.id = j.id AND j.other IS NULL AND j.live RETURNING 1)
				SELECT live, EXISTS (SELECT 1 FROM u), other FROM j`
			says = strings.NewReplacer("{now}", "clock_timestamp()", "{life}", "CAST($3 AS bigint) * interval '1 microsecond'")
			r.db, err = openPool(s.postgresql)
		}
		if err != nil {
			remove()
			return nil, err
		}
		closed := func() { _ = r.db.Close(); remove() }
		if err := sqlstore.Migrate(ctx, r.db, sqlstore.Options{Table: floorRecords}); err != nil {
			closed()
			return nil, err
		}
		for _, text := range []*string{&r.load, &r.insert, &r.update, &r.toDelete} {
			*text = says.Replace(*text)
		}
		return floorApp(r, closed), nil
	}
}

func (r sqlRecords) get(ctx context.Context, id string) (record []byte, err error) {
	err = r.db.QueryRowContext(ctx, r.load, []byte(id)).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return record, err
}

func (r sqlRecords) latest(ctx context.Context, id string) ([]byte, error) { return r.get(ctx, id) }

func (r sqlRecords) create(ctx context.Context, id string, record []byte) error {
	_, err := r.db.ExecContext(ctx, r.insert, []byte(id), record, r.life)
	return err
}

func (r sqlRecords) set(ctx context.Context, id string, old, record []byte) error {
	if r.tells {
		var live, done bool
		var other []byte
		err := r.db.QueryRowContext(ctx, r.update, []byte(id), old, r.life, record).Scan(&live, &done, &other)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !done {
			err = errNoSession
		}
		return err
	}
	result, err := r.db.ExecContext(ctx, r.update, []byte(id), old, r.life, record)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errNoSession, err)
	}
	return nil
}

func (r sqlRecords) move(ctx context.Context, old, id string, record []byte) error {
	if err := r.create(ctx, id, record); err != nil {
		return err
	}
	_, err := r.db.ExecContext(ctx, r.toDelete, []byte(old))
	return err
}

// sqlSubjects are the libraries that keep sessions in SQL. No cleanup runs meanwhile.
func sqlSubjects() []subject {
	open := func(idle time.Duration, with func(context.Context, *servers, *scs.SessionManager) (func(), error)) func(context.Context, *servers) (*app, error) {
		return func(ctx context.Context, s *servers) (*app, error) {
			m := scs.New()
			m.IdleTimeout = idle
			closed, err := with(ctx, s, m)
			if err != nil {
				return nil, err
			}
			return scsApp(m, closed), nil
		}
	}
	return []subject{
		{scsName + " with pgxstore", onHTTP, postgresS, open(0, scsPGX)},
		{scsName + " with postgresstore", onHTTP, postgresS, open(0, scsPostgres)},
		{scsIdleName + ", postgresstore", onHTTP, postgresS, open(time.Hour, scsPostgres)},
		{ginLibrary, onGin, postgresS, openGinPostgres},
		{scsName + " with sqlite3store", onHTTP, sqliteS, open(0, scsSQLite)},
		{scsIdleName + ", sqlite3store", onHTTP, sqliteS, open(time.Hour, scsSQLite)},
	}
}

// The table as the documentation of both stores for PostgreSQL has it.
const scsTable = `CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)`

func scsPostgres(ctx context.Context, s *servers, m *scs.SessionManager) (func(), error) {
	db, err := openPool(s.postgresql)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, scsTable); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	m.Store = postgresstore.NewWithCleanupInterval(db, 0)
	return func() { _ = db.Close() }, nil
}

func scsPGX(ctx context.Context, s *servers, m *scs.SessionManager) (func(), error) {
	config, err := pgxpool.ParseConfig(s.postgresql)
	if err != nil {
		return nil, errors.New("POSTGRESQL_URL cannot be used")
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, scsTable); err != nil {
		pool.Close()
		return nil, err
	}
	m.Store = pgxstore.NewWithCleanupInterval(pool, 0)
	return pool.Close, nil
}

func scsSQLite(ctx context.Context, _ *servers, m *scs.SessionManager) (func(), error) {
	name, remove, err := newFile()
	if err != nil {
		return nil, err
	}
	db, err := openFile(name)
	if err == nil {
		_, err = db.ExecContext(ctx, `CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL)`)
	}
	if err != nil {
		remove()
		return nil, err
	}
	m.Store = sqlite3store.NewWithCleanupInterval(db, 0)
	return func() { _ = db.Close(); remove() }, nil
}

func openGinPostgres(_ context.Context, s *servers) (*app, error) {
	db, err := openPool(s.postgresql)
	if err != nil {
		return nil, err
	}
	st, err := ginpostgres.NewStore(db, []byte(secret))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return ginContrib(st, func() { _ = db.Close() }), nil
}

func postgreSQLVersion(ctx context.Context, s *servers) (f fact, err error) {
	db, err := openPool(s.postgresql)
	if err != nil {
		return f, err
	}
	defer db.Close()
	var version string
	err = db.QueryRowContext(ctx, "SHOW server_version").Scan(&version)
	version, _, _ = strings.Cut(version, " ")
	return fact{"PostgreSQL", version}, err
}

package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres", which is refused

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

func record(id, text string) store.Record {
	return store.Record{ID: id, Data: []byte(`{"text":"` + text + `"}`), TTL: time.Hour}
}

// fails checks that a call failed with a class, and what that says of the storage.
func fails(t *testing.T, what string, err error, outcome store.Outcome, class string, is error) {
	t.Helper()
	var f *store.Error
	if !errors.As(err, &f) || f.Outcome != outcome || !strings.HasPrefix(f.Class, class) || is != nil && !errors.Is(err, is) {
		t.Errorf("%s: %v, want a store.Error with outcome %d, class %q and %v in it", what, err, outcome, class, is)
	}
}

// exec runs a statement that has to succeed.
func exec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statement string,
) {
	t.Helper()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// each runs a test on every database, in parallel.
func each(t *testing.T, all []sqlenv.Database, do func(t *testing.T, d sqlenv.Database, db *sql.DB)) {
	for _, d := range all {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			do(t, d, d.Open(t))
		})
	}
}

// serverDatabases are the databases that are servers.
var serverDatabases = []sqlenv.Database{sqlenv.PostgreSQL, sqlenv.OldPostgreSQL, sqlenv.MariaDB, sqlenv.NewMariaDB, sqlenv.MySQL}

func TestMissingTablesAreAnErrorThatSaysWhatToDo(t *testing.T) {
	each(t, sqlenv.Databases, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		s, err := sqlstore.New(db, sqlstore.Options{Table: "missing", SweepInterval: sqlstore.NeverSweep})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		_, err = s.Load(ctx, "a")
		fails(t, "Load", err, store.OutcomeNotApplied, "table is missing", sqlstore.ErrSchema)
		fails(t, "Create", s.Create(ctx, record("a", "x")), store.OutcomeNotApplied, "table is missing", sqlstore.ErrSchema)
		fails(t, "Update", s.Update(ctx, record("a", "x"), record("a", "y")), store.OutcomeNotApplied, "table is missing", sqlstore.ErrSchema)
		fails(t, "Replace", s.Replace(ctx, record("a", "x"), record("a", "y"), record("b", "z")), store.OutcomeNotApplied, "table is missing", sqlstore.ErrSchema)
		fails(t, "Ping", s.Ping(ctx), store.OutcomeNotApplied, "table is missing", sqlstore.ErrSchema)
		_, err = s.Sweep(ctx)
		fails(t, "Sweep", err, store.OutcomeNotApplied, "table is missing", sqlstore.ErrSchema)
	})
}

func TestTenInstancesMigrateAtOnce(t *testing.T) {
	each(t, sqlenv.Databases, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db), SweepInterval: sqlstore.NeverSweep}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := sqlstore.Migrate(t.Context(), db, o); err != nil {
					t.Errorf("Migrate: %v", err)
				}
			})
		}
		wg.Wait()
		s := sqlenv.Store(t, db, o) // once more
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		exec(t, db, "UPDATE "+o.Table+"_meta SET version = 2")
		fails(t, "Ping with tables of a later version", s.Ping(t.Context()), store.OutcomeNotApplied, "tables are of version 2, not 1", sqlstore.ErrSchema)
		if err := sqlstore.Migrate(t.Context(), db, o); !errors.Is(err, sqlstore.ErrSchema) {
			t.Errorf("Migrate with tables of a later version: %v, want ErrSchema", err)
		}
	})
}

func TestTheSchemaIsWhatMigrateMakes(t *testing.T) {
	each(t, sqlenv.Databases, func(t *testing.T, d sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db), Dialect: d.Dialect, SweepInterval: sqlstore.NeverSweep}
		schema, err := sqlstore.Schema(o)
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(strings.TrimSpace(schema), ";\n") {
			exec(t, db, strings.TrimSuffix(statement, ";"))
		}
		s, err := sqlstore.New(db, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Ping(t.Context()), s.Create(t.Context(), record("a", "x"))); err != nil {
			t.Errorf("on the tables of Schema: %v", err)
		}
	})
}

// TestSweep: what has expired goes, what lives on stays and is not looked at again
// before its time.
//
// Standards: ASVS-14.2.7
func TestSweep(t *testing.T) {
	each(t, sqlenv.Databases, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db)}
		s := sqlenv.Store(t, db, o)
		ctx := t.Context()
		const expired, extended, live = 600, 300, 5
		short := func(id string) store.Record {
			rec := record(id, "x")
			rec.TTL = time.Millisecond
			return rec
		}
		for i := range expired {
			if err := s.Create(ctx, short("expired"+strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		for i := range extended { // its first life was to end at once
			id := "extended" + strconv.Itoa(i)
			rec := record(id, "x")
			rec.TTL = time.Minute
			if err := errors.Join(s.Create(ctx, rec), s.Touch(ctx, id, 2*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range live {
			if err := s.Create(ctx, record("live"+strconv.Itoa(i), "x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.UserIndex().Create(ctx, short("list")); err != nil {
			t.Fatal(err)
		}
		makeDue(t, db, s, o.Table, extended)
		if n, err := s.Sweep(ctx); err != nil || n != expired+1 {
			t.Errorf("Sweep removed %d, %v, want %d", n, err, expired+1)
		}
		if n := count(t, db, o.Table); n != extended+live {
			t.Errorf("%d rows are left, want %d", n, extended+live)
		}
		if n, err := s.Count(ctx); err != nil || n != extended+live {
			t.Errorf("%d sessions live, %v, want %d", n, err, extended+live)
		}
		if n := count(t, db, o.Table+" WHERE due < expires"); n != 0 {
			t.Errorf("%d rows would be looked at before their time", n)
		}
	})
}

// makeDue lets the first lives of the extended sessions be over.
func makeDue(t *testing.T, db *sql.DB, s *sqlstore.Store, table string, want int) {
	t.Helper()
	if n := count(t, db, table+" WHERE due < expires"); n != want {
		t.Fatalf("%d sessions live longer than they are looked at, want %d", n, want)
	}
	rec := record("epoch", "x") // has a time that is over, as this database writes it
	rec.TTL = time.Nanosecond
	if err := s.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	var over any
	if err := db.QueryRowContext(t.Context(), "SELECT due FROM "+table+" ORDER BY due LIMIT 1").Scan(&over); err != nil {
		t.Fatal(err)
	}
	if b, ok := over.([]byte); ok {
		over = string(b)
	}
	mark := "?"
	if strings.Contains(fmt.Sprintf("%T", db.Driver()), "stdlib") {
		mark = "$1"
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE "+table+" SET due = "+mark+" WHERE due < expires", over); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "epoch"); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *sql.DB, from string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+from).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Of several stores on one table, what has expired is removed without being asked for.
func TestRoundsOfSweeping(t *testing.T) {
	each(t, sqlenv.Databases, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db), SweepInterval: 20 * time.Millisecond}
		s := sqlenv.Store(t, db, o)
		for range 2 {
			sqlenv.Store(t, db, o)
		}
		rec := record("a", "x")
		rec.TTL = time.Millisecond
		if err := s.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		servers.Await(t, "a round", func() error {
			if n := count(t, db, o.Table); n > 0 {
				return fmt.Errorf("%d rows are left", n)
			}
			return nil
		})
	})
}

// What waits for a lock is judged by the time when it has it: here the one who has it
// changes nothing, so that the row looks as it did before the wait.
//
// Standards: ASVS-7.3.1
func TestExpiryIsJudgedAfterTheWait(t *testing.T) {
	for name, verb := range map[string]func(ctx context.Context, s *sqlstore.Store, rec store.Record) error{
		"Touch": func(ctx context.Context, s *sqlstore.Store, rec store.Record) error {
			return s.Touch(ctx, rec.ID, time.Hour)
		},
		"Update": func(ctx context.Context, s *sqlstore.Store, rec store.Record) error {
			return s.Update(ctx, rec, record(rec.ID, "y"))
		},
		"Remove": func(ctx context.Context, s *sqlstore.Store, rec store.Record) error { return s.Remove(ctx, rec) },
		"Replace": func(ctx context.Context, s *sqlstore.Store, rec store.Record) error {
			return s.Replace(ctx, rec, record(rec.ID, "y"), record("next", "z"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, serverDatabases, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
				o := sqlstore.Options{Table: sqlenv.Table(t, db)}
				s := sqlenv.Store(t, db, o)
				rec := record("a", "x")
				rec.TTL = 300 * time.Millisecond
				if err := s.Create(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer tx.Rollback()
				rows, err := tx.QueryContext(t.Context(), "SELECT data FROM "+o.Table+" FOR UPDATE")
				if err != nil {
					t.Fatal(err)
				}
				_ = rows.Close()
				result := make(chan error, 1)
				go func() { result <- verb(t.Context(), s, rec) }()
				servers.Await(t, "the end of the life", func() error {
					if _, err := s.Load(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
						return errors.New("it lives")
					}
					return nil
				})
				if err := tx.Rollback(); err != nil {
					t.Fatal(err)
				}
				if err := <-result; !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s: %v, want ErrNotFound", name, err)
				}
				if _, err := s.Load(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Load: %v: the session is alive again", err)
				}
			})
		})
	}
}

// A call that gets no connection in time has done nothing, and says so. One that waits
// for a lock may be done, or not.
func TestACallIsGivenUpInTime(t *testing.T) {
	each(t, serverDatabases, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db)}
		s := sqlenv.Store(t, db, o)
		old, next := record("a", "x"), record("a", "y")
		if err := s.Create(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		exec(t, tx, "UPDATE "+o.Table+" SET due = expires")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err = s.Update(ctx, old, next)
		var f *store.Error
		if !errors.As(err, &f) || !errors.Is(err, context.DeadlineExceeded) || f.Class != "timeout" {
			t.Errorf("Update behind a lock: %v, want DeadlineExceeded", err)
		}

		db.SetMaxOpenConns(1) // which the transaction has
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		fails(t, "Create without a connection", s.Create(ctx, record("b", "x")), store.OutcomeNotApplied, "timeout", context.DeadlineExceeded)
		again, cancelAgain := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancelAgain()
		_, err = s.Load(again, "a")
		if !errors.As(err, &f) || !errors.Is(err, context.DeadlineExceeded) || f.Class != "timeout" {
			t.Errorf("Load without a connection: %v, want DeadlineExceeded", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(16)
		if _, err := s.Load(t.Context(), "b"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Load of what was not sent: %v, want ErrNotFound", err)
		}
		if _, err := s.Load(t.Context(), "a"); err != nil {
			t.Errorf("Load afterwards: %v", err)
		}
	})
}

// A connection that the server ends while a write waits leaves it open whether that was
// done. A load is done again, as often as it meets connections that are gone.
func TestConnectionsThatTheServerEnds(t *testing.T) {
	each(t, []sqlenv.Database{sqlenv.PostgreSQL, sqlenv.OldPostgreSQL}, func(t *testing.T, d sqlenv.Database, db *sql.DB) {
		admin := d.Open(t)
		o := sqlstore.Options{Table: sqlenv.Table(t, admin)}
		s := sqlenv.Store(t, db, o)
		old := record("a", "x")
		if err := s.Create(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		tx, err := admin.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		exec(t, tx, "SELECT 1 FROM "+o.Table+" FOR UPDATE")
		result := make(chan error, 1)
		go func() { result <- s.Update(t.Context(), old, record("a", "y")) }()
		waiting := "query LIKE '%\"" + o.Table + "\"%' AND pid <> pg_backend_pid()"
		servers.Await(t, "a write that waits", func() error {
			if count(t, admin, "pg_stat_activity WHERE wait_event_type = 'Lock' AND "+waiting) == 0 {
				return errors.New("none does")
			}
			return nil
		})
		exec(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "+waiting)
		fails(t, "Update whose connection was ended", <-result, store.OutcomeUnknown, "server is shutting down", nil)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}

		for range 8 { // connections that are idle
			if _, err := s.Load(t.Context(), "a"); err != nil {
				t.Fatalf("Load: %v", err)
			}
		}
		exec(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "+waiting)
		for range 8 {
			if _, err := s.Load(t.Context(), "a"); err != nil {
				t.Errorf("Load over connections that were ended: %v", err)
			}
		}
		if err := s.Update(t.Context(), old, record("a", "z")); err != nil {
			t.Errorf("Update afterwards: %v", err)
		}
	})
}

// A server that ends a connection because nobody used it says so to the next call, which
// is done again over another one. The drivers often see it in time: here they do not look.
func TestConnectionsThatWereIdleForTooLong(t *testing.T) {
	for _, tt := range []struct {
		d                   sqlenv.Database
		settings, own, live string
	}{
		{sqlenv.MySQL, "?wait_timeout=1&checkConnLiveness=false", "SELECT CONNECTION_ID()", "information_schema.processlist WHERE id = "},
		{sqlenv.MariaDB, "?wait_timeout=1&checkConnLiveness=false", "SELECT CONNECTION_ID()", "information_schema.processlist WHERE id = "},
		{sqlenv.PostgreSQL, "&idle_session_timeout=100", "SELECT pg_backend_pid()", "pg_stat_activity WHERE pid = "},
		{sqlenv.OldPostgreSQL, "&idle_session_timeout=100", "SELECT pg_backend_pid()", "pg_stat_activity WHERE pid = "},
	} {
		t.Run(tt.d.Name, func(t *testing.T) {
			t.Parallel()
			admin := tt.d.Open(t)
			o := sqlstore.Options{Table: sqlenv.Table(t, admin)}
			if err := sqlenv.Store(t, admin, o).Create(t.Context(), record("a", "x")); err != nil {
				t.Fatal(err)
			}
			db := sqlenv.Open(t, tt.d.Driver, tt.d.DSN(t)+tt.settings)
			db.SetMaxOpenConns(1)
			o.SweepInterval = sqlstore.NeverSweep
			s, err := sqlstore.New(db, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			for verb, call := range map[string]func() error{
				"load":   func() error { _, err := s.Load(t.Context(), "a"); return err },
				"touch":  func() error { return s.Touch(t.Context(), "a", time.Hour) },
				"delete": func() error { return s.Delete(t.Context(), "b") },
			} {
				var id int
				servers.Await(t, "a connection that is not ended yet", func() error {
					return db.QueryRowContext(t.Context(), tt.own).Scan(&id)
				})
				servers.Await(t, "the end of the connection", func() error {
					if count(t, admin, tt.live+strconv.Itoa(id)) > 0 {
						return errors.New("it is there")
					}
					return nil
				})
				if err := call(); err != nil {
					t.Errorf("%s: %v", verb, err)
				}
			}
		})
	}
}

// What may only be read says so, and is still read.
func TestReadOnlyDatabase(t *testing.T) {
	for _, tt := range []struct {
		d    sqlenv.Database
		more string // behind the DSN
	}{
		{sqlenv.PostgreSQL, "&default_transaction_read_only=on"},
		{sqlenv.MariaDB, "?tx_read_only=1"},
		{sqlenv.MySQL, "?transaction_read_only=1"},
	} {
		t.Run(tt.d.Name, func(t *testing.T) {
			db := tt.d.Open(t)
			o := sqlstore.Options{Table: sqlenv.Table(t, db)}
			s := sqlenv.Store(t, db, o)
			if err := s.Create(t.Context(), record("a", "x")); err != nil {
				t.Fatal(err)
			}
			o.SweepInterval = sqlstore.NeverSweep
			r, err := sqlstore.New(sqlenv.Open(t, tt.d.Driver, tt.d.DSN(t)+tt.more), o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Load(t.Context(), "a"); err != nil {
				t.Errorf("Load: %v", err)
			}
			fails(t, "Create", r.Create(t.Context(), record("b", "x")), store.OutcomeNotApplied, "database is read-only", nil)
			fails(t, "Update", r.Update(t.Context(), record("a", "x"), record("a", "y")), store.OutcomeNotApplied, "database is read-only", nil)
			fails(t, "Replace", r.Replace(t.Context(), record("a", "x"), record("a", "y"), record("b", "z")), store.OutcomeNotApplied, "database is read-only", nil)
		})
	}
}

// A file that may not grow refuses what needs more room. What is there is read, and ends.
func TestFullDisk(t *testing.T) {
	const pages = 40 // of 4 KiB
	db := sqlenv.Open(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "sessions.db")+"?_pragma=journal_mode(WAL)&_pragma=max_page_count("+strconv.Itoa(pages)+")")
	db.SetMaxOpenConns(1)
	s := sqlenv.Store(t, db, sqlstore.Options{Table: "sessions"})
	ctx, first := t.Context(), record("first", "x")
	large := record("large", strings.Repeat("x", pages*4096))
	if err := s.Create(ctx, first); err != nil {
		t.Fatal(err)
	}
	fails(t, "Create", s.Create(ctx, large), store.OutcomeNotApplied, "disk is full", store.ErrFull)
	fails(t, "Update", s.Update(ctx, first, store.Record{ID: "first", Data: large.Data, TTL: time.Hour}), store.OutcomeNotApplied, "disk is full", store.ErrFull)
	fails(t, "Replace", s.Replace(ctx, first, record("first", "y"), large), store.OutcomeNotApplied, "disk is full", store.ErrFull)
	if got, err := s.Load(ctx, "first"); err != nil || string(got.Data) != string(first.Data) {
		t.Errorf("Load: %v, want what was stored before", err)
	}
	if _, err := s.Load(ctx, "large"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load of what was refused: %v, want ErrNotFound", err)
	}
	if err := s.Remove(ctx, first); err != nil {
		t.Errorf("Remove: %v: nobody could log out", err)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(servers.FreePort(t)))
	for driver, dsn := range map[string]string{"pgx": "postgres://user@" + addr + "/db?sslmode=disable", "mysql": "user@tcp(" + addr + ")/db"} {
		s, err := sqlstore.New(sqlenv.Open(t, driver, dsn), sqlstore.Options{SweepInterval: sqlstore.NeverSweep})
		if err != nil {
			t.Fatal(err)
		}
		fails(t, driver, s.Create(t.Context(), record("a", "x")), store.OutcomeNotApplied, "connection failed", nil)
	}
}

func TestAUserWhoMayNot(t *testing.T) {
	d := sqlenv.PostgreSQL
	db := d.Open(t)
	o := sqlstore.Options{Table: sqlenv.Table(t, db), SweepInterval: sqlstore.NeverSweep}
	sqlenv.Store(t, db, o)
	role := "r" + o.Table
	exec(t, db, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		exec(t, db, "DROP OWNED BY "+role)
		exec(t, db, "DROP ROLE "+role)
	})
	s, err := sqlstore.New(sqlenv.Open(t, d.Driver, strings.Replace(d.DSN(t), "postgres@", role+"@", 1)), o)
	if err != nil {
		t.Fatal(err)
	}
	fails(t, "Create", s.Create(t.Context(), record("a", "x")), store.OutcomeNotApplied, "not permitted to this user", nil)

	// The privileges that docs/sql.md names are enough.
	exec(t, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+o.Table+", "+o.Table+"_users, "+o.Table+"_meta TO "+role)
	a, b := record("a", "x"), record("b", "z")
	_, sweep := s.Sweep(t.Context())
	if err := errors.Join(s.Ping(t.Context()), s.Create(t.Context(), a), s.Replace(t.Context(), a, record("a", "y"), b),
		s.Remove(t.Context(), b), sweep, s.Clear(t.Context())); err != nil {
		t.Errorf("with all privileges: %v", err)
	}
}

func TestLibPQIsRefused(t *testing.T) {
	db := sqlenv.Open(t, "postgres", sqlenv.PostgreSQL.DSN(t))
	if _, err := sqlstore.New(db, sqlstore.Options{}); err == nil || !strings.Contains(err.Error(), "github.com/jackc/pgx/v5/stdlib") {
		t.Errorf("New with lib/pq: %v, want an error that says what to take", err)
	}
	s := sqlenv.Store(t, db, sqlstore.Options{AllowLibPQ: true})
	if err := s.Create(t.Context(), record("a", "x")); err != nil {
		t.Errorf("Create with lib/pq, which was allowed: %v", err)
	}
}

// Transactions that give way to each other are done again, and nobody hears of it. Where
// every statement is one of those, the contract holds as well.
func TestSerializable(t *testing.T) {
	d := sqlenv.PostgreSQL
	db := sqlenv.Open(t, d.Driver, d.DSN(t)+"&default_transaction_isolation=serializable")
	if soak.For(t) > 0 {
		storetest.Run(t, sqlenv.Stores(t, db, sqlstore.Options{}))
		return
	}
	s := sqlenv.Store(t, db, sqlstore.Options{})
	counted(t, s)
}

// counted has several goroutines count together.
func counted(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	const writers, each = 8, 20
	ctx := t.Context()
	if err := s.Create(ctx, store.Record{ID: "n", Data: []byte("0"), TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				rec, err := s.Load(ctx, "n")
				for err == nil {
					n, _ := strconv.Atoi(string(rec.Data))
					next := store.Record{ID: "n", Data: []byte(strconv.Itoa(n + 1)), TTL: time.Hour}
					newest, failed := s.UpdateOrLoad(ctx, rec, next)
					if failed == nil {
						break
					}
					if !errors.Is(failed, store.ErrConflict) {
						err = failed
					}
					rec = newest
				}
				if err != nil {
					t.Errorf("counting: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if rec, err := s.Load(ctx, "n"); err != nil || string(rec.Data) != strconv.Itoa(writers*each) {
		t.Errorf("counted %s, %v, want %d", rec.Data, err, writers*each)
	}
}

// MySQL's driver counts changed rows or found ones, and sends parameters apart or in the
// statement: the store does not mind.
func TestSettingsOfMySQLsDriver(t *testing.T) {
	for _, d := range []sqlenv.Database{sqlenv.MariaDB, sqlenv.MySQL} {
		t.Run(d.Name, func(t *testing.T) { settingsOfMySQLsDriver(t, d) })
	}
}

func settingsOfMySQLsDriver(t *testing.T, d sqlenv.Database) {
	for _, setting := range []string{"clientFoundRows=true&interpolateParams=true", "clientFoundRows=true", "interpolateParams=true"} {
		t.Run(setting, func(t *testing.T) {
			db := sqlenv.Open(t, d.Driver, d.DSN(t)+"?"+setting)
			if soak.For(t) > 0 {
				storetest.Run(t, sqlenv.Stores(t, db, sqlstore.Options{}))
				return
			}
			s := sqlenv.Store(t, db, sqlstore.Options{})
			counted(t, s)
			ctx, rec := t.Context(), record("a", "x")
			if err := s.Create(ctx, rec); err != nil {
				t.Errorf("Create: %v", err)
			}
			if err := s.Create(ctx, rec); !errors.Is(err, store.ErrExists) {
				t.Errorf("Create of what is there: %v, want ErrExists", err)
			}
			if err := s.Touch(ctx, "missing", time.Hour); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Touch of what is not there: %v, want ErrNotFound", err)
			}
		})
	}
}

// A statement that has returned its row may fail when it is committed. PostgreSQL looks at
// a deferred constraint only then.
func TestAWriteThatFailsAtItsCommitIsNoSuccess(t *testing.T) {
	each(t, []sqlenv.Database{sqlenv.PostgreSQL, sqlenv.OldPostgreSQL}, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db)}
		s := sqlenv.Store(t, db, o)
		if err := s.Create(t.Context(), record("a", "x")); err != nil {
			t.Fatal(err)
		}
		exec(t, db, `CREATE FUNCTION `+o.Table+`_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$`)
		defer exec(t, db, `DROP FUNCTION `+o.Table+`_refuse() CASCADE`)
		exec(t, db, `CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE OR DELETE ON `+o.Table+` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION `+o.Table+`_refuse()`)
		const class = "refused by the server (code 23514)"
		fails(t, "Update", s.Update(t.Context(), record("a", "x"), record("a", "y")), store.OutcomeNotApplied, class, nil)
		fails(t, "Replace", s.Replace(t.Context(), record("a", "x"), record("a", "y"), record("b", "z")), store.OutcomeNotApplied, class, nil)
		fails(t, "Remove", s.Remove(t.Context(), record("a", "x")), store.OutcomeNotApplied, class, nil)
		if got, err := s.Load(t.Context(), "a"); err != nil || string(got.Data) != string(record("a", "x").Data) {
			t.Errorf("Load: %s, %v, want what was there before", got.Data, err)
		}
	})
}

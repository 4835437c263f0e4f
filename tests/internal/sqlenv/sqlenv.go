// Package sqlenv opens stores on the databases that the environment names.
package sqlenv

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"   // the driver "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

func init() {
	_ = mysql.SetLogger(&mysql.NopLogger{}) // it says of each connection that it is lost
}

// A Database is one that tests run on.
type Database struct {
	Name    string // for a subtest
	Driver  string
	Env     string // the variable that says how it is reached; "" for a file
	Dialect sqlstore.Dialect
}

// PostgreSQL is the newest one, and OldPostgreSQL the oldest that is tested; MariaDB is the
// oldest.
var (
	PostgreSQL    = Database{"PostgreSQL", "pgx", "POSTGRESQL_URL", sqlstore.PostgreSQL}
	OldPostgreSQL = Database{"old PostgreSQL", "pgx", "POSTGRESQL_OLD_URL", sqlstore.PostgreSQL}
	MariaDB       = Database{"MariaDB", "mysql", "MARIADB_DSN", sqlstore.MySQL}
	NewMariaDB    = Database{"new MariaDB", "mysql", "MARIADB_NEW_DSN", sqlstore.MySQL}
	MySQL         = Database{"MySQL", "mysql", "MYSQL_DSN", sqlstore.MySQL}
	SQLite        = Database{"SQLite", "sqlite", "", sqlstore.SQLite}
)

// Databases are all of them.
var Databases = []Database{PostgreSQL, OldPostgreSQL, MariaDB, NewMariaDB, MySQL, SQLite}

// DSN returns how the database is reached, or skips the test where there is none. Where CI
// is set, that is a failure, but not for MySQL: no release of Debian has it, and what is to
// become one may be in pieces for a day.
func (d Database) DSN(tb testing.TB) string {
	tb.Helper()
	if d == MySQL && os.Getenv(d.Env) == "" {
		tb.Skipf("NO SERVER: %s is not set (scripts/servers.sh sets it where MySQL can be had), so this is NOT TESTED", d.Env)
	}
	if d.Env == "" {
		return "file:" + filepath.Join(tb.TempDir(), "sessions.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)"
	}
	return servers.Env(tb, d.Env)
}

// Open returns a pool that is closed when the test is over.
func (d Database) Open(tb testing.TB) *sql.DB {
	tb.Helper()
	db := Open(tb, d.Driver, d.DSN(tb))
	if d == SQLite {
		db.SetMaxOpenConns(1) // as the documentation says
	}
	return db
}

// Open returns a pool that is closed when the test is over.
func Open(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatalf("sql.Open: %v", err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Table returns the name of a table that nobody else has, and that is dropped when the
// test is over, with those beside it.
func Table(tb testing.TB, db *sql.DB) string {
	tb.Helper()
	name := "t_" + strings.ToLower(rand.Text()[:16])
	tb.Cleanup(func() {
		for _, suffix := range []string{"", "_users", "_meta"} {
			if _, err := db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+name+suffix); err != nil {
				tb.Errorf("DROP TABLE: %v", err)
			}
		}
	})
	return name
}

// Store returns a store on the table that the options name, or on one of its own. It
// makes the table, and does not sweep unless the options say when.
func Store(tb testing.TB, db *sql.DB, o sqlstore.Options) *sqlstore.Store {
	tb.Helper()
	if o.Table == "" {
		o.Table = Table(tb, db)
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = sqlstore.NeverSweep
	}
	if err := sqlstore.Migrate(tb.Context(), db, o); err != nil {
		tb.Fatalf("Migrate: %v", err)
	}
	s, err := sqlstore.New(db, o)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Stores returns a function that returns empty stores on one database, for a test with
// many subtests: a table takes longer to make than most of them do, so they use it one
// after the other.
func Stores(tb testing.TB, db *sql.DB, o sqlstore.Options) func(t *testing.T) store.Store {
	var (
		mu   sync.Mutex
		idle []*sqlstore.Store
	)
	return func(t *testing.T) store.Store {
		mu.Lock()
		defer mu.Unlock()
		if len(idle) == 0 {
			idle = append(idle, Store(tb, db, o))
		}
		last := len(idle) - 1
		s := idle[last]
		idle = idle[:last]
		t.Cleanup(func() {
			for _, part := range []store.Store{s, s.UserIndex()} {
				if err := part.(store.Clearer).Clear(context.Background()); err != nil {
					t.Errorf("Clear: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			idle = append(idle, s)
		})
		return s
	}
}

// Verb returns the verb of package store that a statement of a store on a server is for.
// What MySQL needs a transaction for has "begin" and "commit" around it; everything else
// is "other".
func Verb(statement string) string {
	begins := func(with string) bool { return strings.HasPrefix(statement, with) }
	has := func(part string) bool { return strings.Contains(statement, part) }
	switch {
	case statement == "BEGIN", statement == "COMMIT":
		return strings.ToLower(statement)
	case begins("SELECT data FROM"):
		return "load"
	case begins("SELECT id, data, "):
		return "inspect"
	case begins("INSERT INTO"):
		return "create"
	case has("DELETE FROM") && (has("USING j") || has(" AND data = ")):
		return "remove"
	case begins("DELETE FROM") && has("WHERE id = "):
		return "delete"
	case has("INSERT INTO"):
		return "replace"
	case has(" SET data = "):
		return "update"
	case has(" SET expires = "):
		return "touch"
	}
	return "other"
}

// Through returns how a server is reached by way of another address, such as that of a
// proxy.
func (d Database) Through(tb testing.TB, addr func(server string) string) (dsn string) {
	tb.Helper()
	if d.Dialect == sqlstore.MySQL {
		c, err := mysql.ParseDSN(d.DSN(tb))
		if err != nil {
			tb.Fatalf("the DSN of %s cannot be parsed", d.Name)
		}
		c.Addr = addr(c.Addr)
		return c.FormatDSN()
	}
	u, err := url.Parse(d.DSN(tb))
	if err != nil {
		tb.Fatalf("the URL of %s cannot be parsed", d.Name)
	}
	u.Host = addr(u.Host)
	return u.String()
}

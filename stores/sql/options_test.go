package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

// closed is a connector without a database.
type closed struct{}

func (closed) Connect(context.Context) (driver.Conn, error) { return nil, errors.New("no database") }
func (closed) Driver() driver.Driver                        { return closed{} }
func (closed) Open(string) (driver.Conn, error)             { return nil, errors.New("no database") }

func TestInvalidOptionsAreRefused(t *testing.T) {
	db := sql.OpenDB(closed{})
	defer db.Close()
	for _, tt := range []struct {
		name string
		db   *sql.DB
		o    sqlstore.Options
		want string
	}{
		{"no pool", nil, sqlstore.Options{}, "the pool is nil"},
		{"unknown driver", db, sqlstore.Options{}, "set Options.Dialect"},
		{"unknown dialect", db, sqlstore.Options{Dialect: "oracle"}, "Options.Dialect is not valid"},
		{"quote in the table", db, sqlstore.Options{Dialect: sqlstore.MySQL, Table: "a`b"}, "Options.Table is not valid"},
		{"two schemas", db, sqlstore.Options{Dialect: sqlstore.MySQL, Table: "a.b.c"}, "Options.Table is not valid"},
		{"long table", db, sqlstore.Options{Dialect: sqlstore.MySQL, Table: strings.Repeat("a", 51)}, "Options.Table is not valid"},
		{"schema in SQLite", db, sqlstore.Options{Dialect: sqlstore.SQLite, Table: "a.b"}, "has no schemas"},
		{"negative interval", db, sqlstore.Options{Dialect: sqlstore.SQLite, SweepInterval: -time.Second}, "want 0 (one minute), more, or NeverSweep"},
		{"seconds without a unit", db, sqlstore.Options{Dialect: sqlstore.SQLite, SweepInterval: 30}, "write 30 * time.Second"},
	} {
		if s, err := sqlstore.New(tt.db, tt.o); s != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: New returned %v, want an error with %q", tt.name, err, tt.want)
		}
		if err := sqlstore.Migrate(t.Context(), tt.db, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Migrate returned %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	if _, err := sqlstore.Schema(sqlstore.Options{}); err == nil {
		t.Error("Schema of an unknown dialect: no error")
	}
}

func TestClosingEndsTheSweeper(t *testing.T) {
	db := sql.OpenDB(closed{})
	defer db.Close()
	s, err := sqlstore.New(db, sqlstore.Options{Dialect: sqlstore.PostgreSQL})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is left of it, the end of this package's tests finds
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

package sql

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// file returns how processes share a file, and a store on it.
func file(t *testing.T) (settings, *sqlitestore.Store) {
	t.Helper()
	s := settings{File: filepath.Join(t.TempDir(), "sessions.db")}
	st, err := sqlitestore.Open(t.Context(), s.File, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return s, st
}

// table returns how processes share a table of a database, and a store on it.
func table(t *testing.T, d sqlenv.Database) (settings, *sqlstore.Store) {
	t.Helper()
	db := d.Open(t)
	s := settings{Driver: d.Driver, DSN: d.DSN(t), Table: sqlenv.Table(t, db)}
	return s, sqlenv.Store(t, db, sqlstore.Options{Table: s.Table})
}

// TestThreeProcesses has three processes of one app, each by another framework, on one
// database, and on one file.
//
// Standards: ASVS-8.3.2
func TestThreeProcesses(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		s, st := file(t)
		promises.Together(t, promises.Setup{Store: s}, st)
	})
	for _, d := range soak.Some(t, []sqlenv.Database{sqlenv.PostgreSQL, sqlenv.MariaDB}) {
		t.Run(d.Name, func(t *testing.T) {
			s, st := table(t, d)
			promises.Together(t, promises.Setup{Store: s, Private: true}, st)
		})
	}
}

// TestUsersOfThreeProcesses does the same for the sessions of a user.
//
// Standards: ASVS-7.1.2, ASVS-7.4.2, ASVS-7.4.3, WSTG-SESS-11
func TestUsersOfThreeProcesses(t *testing.T) {
	for _, d := range soak.Some(t, []sqlenv.Database{sqlenv.MariaDB, sqlenv.PostgreSQL}) {
		t.Run(d.Name, func(t *testing.T) {
			s, _ := table(t, d)
			promises.Users(t, promises.Setup{Store: s}, false)
		})
	}
	if soak.For(t) > 0 {
		t.Run("file", func(t *testing.T) {
			s, _ := file(t)
			promises.Users(t, promises.Setup{Store: s}, false)
		})
	}
}

// TestOutage kills a database under three processes.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := servers.StartPostgreSQL(t)
	migrated(t, "pgx", server.URL())
	promises.Outage(t, server, promises.Setup{Store: settings{Driver: "pgx", DSN: server.URL()}})
}

func TestOutageOfMariaDB(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	migrated(t, "mysql", server.DSN())
	promises.Outage(t, server, promises.Setup{Store: settings{Driver: "mysql", DSN: server.DSN()}})
}

func migrated(t *testing.T, driver, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sqlstore.Migrate(ctx, sqlenv.Open(t, driver, dsn), sqlstore.Options{}); err != nil {
		t.Fatal(err)
	}
}

// TestOutageOfAFile has a process that does not let go of the file: nothing can be
// changed then, and what is there can be read.
func TestOutageOfAFile(t *testing.T) {
	if soak.For(t) == 0 {
		t.Skip("takes long, and the stores of servers have outages as well: make soak")
	}
	s, _ := file(t)
	promises.Outage(t, &holder{t: t, db: sqlenv.Open(t, "sqlite", "file:"+s.File)}, promises.Setup{Store: s})
}

// A holder has the lock of a file from Kill to Start.
type holder struct {
	t    *testing.T
	db   *sql.DB
	conn *sql.Conn
}

func (h *holder) Kill() {
	var err error
	if h.conn, err = h.db.Conn(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	servers.Await(h.t, "the lock of the file", func() error {
		_, err := h.conn.ExecContext(h.t.Context(), "BEGIN IMMEDIATE")
		return err
	})
}

func (h *holder) Start() {
	exec(h.t, h.conn, "ROLLBACK")
	_ = h.conn.Close()
}

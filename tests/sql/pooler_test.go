package sql

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// pooler starts a PgBouncer in front of PostgreSQL, with two connections to it, and
// returns how a client reaches that.
func pooler(t *testing.T, mode string) string {
	t.Helper()
	program := servers.Env(t, "PGBOUNCER")
	at, err := url.Parse(sqlenv.PostgreSQL.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	port, dir := strconv.Itoa(servers.FreePort(t)), t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user = nobody" // it refuses to run as root
	}
	ini := fmt.Sprintf(`[databases]
postgres = host=%s port=%s dbname=postgres user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 2
max_client_conn = 200
%s
`, at.Hostname(), at.Port(), at.User.Username(), port, mode, user)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) { // nobody may read it
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	servers.Run(t, addr, program, file)
	return "postgres://" + at.User.Username() + "@" + addr + "/postgres?sslmode=disable"
}

// Behind a pooler that gives a connection to another client after each transaction, or
// each statement, the store works with the setting of pgx that docs/sql.md names, and
// without it says what is missing.
func TestPooler(t *testing.T) {
	direct := sqlenv.PostgreSQL.Open(t)
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dsn := pooler(t, mode)
			o := sqlstore.Options{Table: sqlenv.Table(t, direct), SweepInterval: sqlstore.NeverSweep}
			sqlenv.Store(t, direct, o) // the table
			db := sqlenv.Open(t, "pgx", dsn+"&default_query_exec_mode=exec")
			s, err := sqlstore.New(db, o)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			counted(t, s)
			a, b := record("a", "x"), record("b", "z")
			if err := errors.Join(s.Create(t.Context(), a), s.Replace(t.Context(), a, record("a", "y"), b), s.Remove(t.Context(), b)); err != nil {
				t.Errorf("renewing and ending a session: %v", err)
			}
			if mode == "transaction" && soak.For(t) > 0 {
				storetest.Run(t, sqlenv.Stores(t, db, sqlstore.Options{}))
			}

			named, err := sqlstore.New(sqlenv.Open(t, "pgx", dsn), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := atOnce(t, named); err != nil {
				fails(t, "a call with statements prepared by name", err, store.OutcomeNotApplied, "prepared statement", nil)
			} else {
				t.Log("this version of PgBouncer knows statements that are prepared by name")
			}
		})
	}
}

// atOnce loads a session over many connections until that fails.
func atOnce(t *testing.T, s *sqlstore.Store) (failed error) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if _, err := s.Load(t.Context(), "n"); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}

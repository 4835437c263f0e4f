// Package histories has clients do things to a session at random, by way of
// several processes of an app and a network that fails, writes down what they
// were answered, and asks a checker of linearizability whether that is what one
// session would have answered: model_test.go says what that is.
package histories

import (
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/cloakroom-go/cloakroom/core/adaptertest" // core then panics where it meets what cannot occur
	"github.com/cloakroom-go/cloakroom/internal/suite"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/process"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

func TestMain(m *testing.M) {
	process.Run(newProcess)
	suite.Main(m)
}

// together is how many sessions are visited at once.
const together = 3

// run records histories, as many as are to be, or for as long.
func run(t *testing.T, f fleet, many int, meanwhile func()) {
	t.Helper()
	long := soak.For(t)
	var (
		sum   figures
		mu    sync.Mutex
		seeds atomic.Uint64
		all   sync.WaitGroup
		began = time.Now()
	)
	for range together {
		all.Go(func() {
			for {
				seed := seeds.Add(1)
				if long == 0 && seed > uint64(many) || long > 0 && time.Since(began) > long || t.Failed() {
					return
				}
				figures, err := visit(t, f, seed)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				sum.add(figures)
				mu.Unlock()
			}
		})
	}
	over := make(chan struct{})
	var side sync.WaitGroup
	if meanwhile != nil {
		side.Go(func() {
			for every := time.NewTicker(time.Second); ; {
				select {
				case <-over:
					every.Stop()
					return
				case <-every.C:
					meanwhile()
				}
			}
		})
	}
	all.Wait()
	close(over)
	side.Wait()
	if sum.undecided > 1+sum.histories/10 {
		t.Errorf("of %d histories the checker came to no end with %d: is something slow, that there are so many unknown outcomes?", sum.histories, sum.undecided)
	}
	t.Logf("%d histories of %d operations in %v: %d changes acknowledged and none lost, %d outcomes unknown, %d refused; the longest took %v; %d undecided",
		sum.histories, sum.operations, time.Since(began).Round(time.Millisecond), sum.acknowledged, sum.unknowns, sum.failed, sum.longest.Round(time.Millisecond), sum.undecided)
}

func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		name string
		all  bool // it has the optional abilities
	}{{"all abilities", true}, {"five verbs", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := flaky{memorystore.New(memorystore.Options{}), new(atomic.Int64), 30}
			fleet := newMemoryFleet(t, store)
			if tt.all {
				fleet = newMemoryFleet(t, flakyAll{store})
			}
			run(t, fleet, 60, nil)
			t.Logf("%d faults of the store", store.faults.Load())
		})
	}
}

func TestValkey(t *testing.T) {
	t.Parallel()
	testValkey(t, []string{valkeyenv.Addr(t)})
}

func TestValkeyCluster(t *testing.T) {
	t.Parallel()
	testValkey(t, valkeyenv.ClusterAddrs(t))
}

func testValkey(t *testing.T, addrs []string) {
	s := settings{Valkey: addrs, Prefix: valkeyenv.Prefix()}
	f := newProcessFleet(t, s, faultproxy.New(t), addrs, map[string]bool{"GET": true, "SET": true, "EVALSHA": true, "DEL": true, "PEXPIRE": true}, 30)
	run(t, f, 24, f.kill)
	t.Log(f)
}

func TestMongo(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(mongoenv.URI(t))
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Mongo: u.String(), Collection: mongoenv.Collection(t, mongoenv.Client(t))}
	f := newProcessFleet(t, s, faultproxy.NewMongo(t), []string{u.Host}, map[string]bool{"find": true, "insert": true, "update": true, "delete": true}, 60)
	run(t, f, 12, f.kill)
	t.Log(f)
}

// TestPostgreSQL has the server end all connections of the app, beside the kills of
// processes and the faults of the network.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	f, db, table := newFleetOfSQL(t, sqlenv.PostgreSQL, faultproxy.NewPostgreSQL, "&application_name=")
	run(t, f, 24, func() {
		f.kill()
		if _, err := db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", table); err != nil {
			t.Errorf("ending the connections: %v", err)
		}
		f.faults.Add(1)
	})
	t.Log(f)
}

// TestMariaDB has faults in the middle of transactions, beside the kills of processes.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	f, _, _ := newFleetOfSQL(t, sqlenv.MariaDB, faultproxy.NewMySQL, "")
	run(t, f, 24, f.kill)
	t.Log(f)
}

// newFleetOfSQL starts processes on a table behind a proxy. What is named after the table
// is a parameter behind the DSN.
func newFleetOfSQL(t *testing.T, d sqlenv.Database, newProxy func(tb testing.TB, verb func(statement string) string) *faultproxy.Proxy, named string) (f *processFleet, db *sql.DB, table string) {
	t.Helper()
	db = d.Open(t)
	table = sqlenv.Table(t, db)
	proxy := newProxy(t, sqlenv.Verb)
	s := settings{Driver: d.Driver, DSN: d.Through(t, proxy.Addr), Table: table}
	if named != "" {
		s.DSN += named + table
	}
	sqlenv.Store(t, db, sqlstore.Options{Table: table})
	statements := map[string]bool{"load": true, "create": true, "update": true, "touch": true, "remove": true, "replace": true, "begin": true, "commit": true}
	return newProcessFleet(t, s, proxy, nil, statements, 60), db, table
}

// TestPostgreSQLIsKilled kills the server, beside processes, and starts it again.
func TestPostgreSQLIsKilled(t *testing.T) {
	t.Parallel()
	server := servers.StartPostgreSQL(t)
	s := settings{Driver: sqlenv.PostgreSQL.Driver, DSN: server.URL(), Table: "sessions"}
	sqlenv.Store(t, sqlenv.Open(t, s.Driver, s.DSN), sqlstore.Options{Table: s.Table})
	f := startProcesses(t, s)
	run(t, f, 12, func() {
		f.kill()
		server.Kill()
		server.Start()
		f.faults.Add(1)
	})
	t.Log(f)
}

// TestFile kills processes that share a file.
func TestFile(t *testing.T) {
	t.Parallel()
	f := startProcesses(t, settings{File: filepath.Join(t.TempDir(), "sessions.db")})
	run(t, f, 24, f.kill)
	t.Log(f)
}

// TestTheCheckerFails runs histories on stores that break their contract, and on apps
// that break what the model says.
func TestTheCheckerFails(t *testing.T) {
	for name, open := range brokenStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustFail(t, newMemoryFleet(t, open(memorystore.New(memorystore.Options{}))))
		})
	}
	for name, broken := range brokenApps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newMemoryFleet(t, slow(memorystore.New(memorystore.Options{})))
			for i, app := range f {
				f[i] = broken(app)
			}
			mustFail(t, f)
		})
	}
}

// mustFail runs histories until one is not allowed.
func mustFail(t *testing.T, f fleet) {
	t.Helper()
	const most = 1000
	var e *illegal
	for seed := uint64(1); seed <= most; seed++ {
		if _, err := visit(t, f, seed); errors.As(err, &e) {
			t.Logf("found in history %d", seed)
			return
		}
	}
	t.Errorf("not found in %d histories", most)
}

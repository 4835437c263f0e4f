package sql

import (
	"strings"
	"testing"

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

// A wired is a database with what understands its protocol.
type wired struct {
	sqlenv.Database
	proxy   func(tb testing.TB, verb func(statement string) string) *faultproxy.Proxy
	subject promises.Subject
}

// eachWired runs a test over a network to each kind of server.
func eachWired(t *testing.T, do func(t *testing.T, d wired)) {
	for _, d := range []wired{
		{sqlenv.PostgreSQL, faultproxy.NewPostgreSQL, promises.PostgreSQL},
		{sqlenv.MariaDB, faultproxy.NewMySQL, promises.MySQL},
	} {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			do(t, d)
		})
	}
}

func (d wired) network(t *testing.T) *promises.Network {
	t.Helper()
	proxy, direct := d.proxy(t, sqlenv.Verb), d.Open(t)
	o := sqlstore.Options{Table: sqlenv.Table(t, direct), SweepInterval: sqlstore.NeverSweep}
	n := &promises.Network{Proxy: proxy, Direct: sqlenv.Store(t, direct, o)}
	through, err := sqlstore.New(sqlenv.Open(t, d.Driver, d.Through(t, proxy.Addr)), o)
	if err != nil {
		t.Fatal(err)
	}
	n.Through = through
	return n
}

// TestFaultMatrix does every fault to every statement about a session.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	eachWired(t, func(t *testing.T, d wired) { promises.Matrix(t, d.network, d.subject) })
}

// TestFaultMatrixOfUsers does what may happen to a write to every call about a user.
func TestFaultMatrixOfUsers(t *testing.T) {
	if soak.For(t) == 0 {
		t.Skip("takes long, and TestFaultMatrixOfUsers of tests/memory shows what is not the database's: make soak")
	}
	t.Parallel()
	eachWired(t, func(t *testing.T, d wired) {
		promises.UserMatrix(t, d.network, promises.UserSubject{
			Load: "load", Create: "create", Update: "update", Delete: "delete", Inspect: "inspect",
			IsOfList: func(c faultproxy.Command) bool { return len(c) > 1 && strings.Contains(c[1], "_users") },
		})
	})
}

func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	eachWired(t, func(t *testing.T, d wired) { d.network(t).ExactlyOnce(t, 20, "load", "create", "update") })
}

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

func newNetwork(t *testing.T) *promises.Network {
	t.Helper()
	d, proxy := sqlenv.PostgreSQL, faultproxy.NewPostgreSQL(t, sqlenv.Verb)
	direct := d.Open(t)
	o := sqlstore.Options{Table: sqlenv.Table(t, direct), SweepInterval: sqlstore.NeverSweep}
	n := &promises.Network{Proxy: proxy, Direct: sqlenv.Store(t, direct, o)}
	through, err := sqlstore.New(sqlenv.Open(t, d.Driver, sqlenv.Through(t, d.DSN(t), proxy.Addr)), o)
	if err != nil {
		t.Fatal(err)
	}
	n.Through = through
	return n
}

// TestFaultMatrix does every fault to every statement about a session.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, newNetwork, promises.PostgreSQL)
}

// TestFaultMatrixOfUsers does what may happen to a write to every call about a user.
func TestFaultMatrixOfUsers(t *testing.T) {
	if soak.For(t) == 0 {
		t.Skip("takes long, and TestFaultMatrixOfUsers of tests/memory shows what is not the database's: make soak")
	}
	t.Parallel()
	promises.UserMatrix(t, newNetwork, promises.UserSubject{
		Load: "load", Create: "create", Update: "update", Delete: "delete", Inspect: "inspect",
		IsOfList: func(c faultproxy.Command) bool { return len(c) > 1 && strings.Contains(c[1], `_users"`) },
	})
}

func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	newNetwork(t).ExactlyOnce(t, 20, "load", "create", "update")
}

package sql

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core/storetest"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

// TestStore runs on what differs most, and in its long form on all databases.
func TestStore(t *testing.T) {
	all := sqlenv.Databases
	if soak.For(t) == 0 {
		all = []sqlenv.Database{sqlenv.PostgreSQL, sqlenv.MariaDB} // stores/sqlite has the third
	}
	for _, d := range all {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, sqlenv.Stores(t, d.Open(t), sqlstore.Options{}))
		})
	}
}

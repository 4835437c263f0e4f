package sql

import (
	"testing"

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

// Standards: ASVS-7.4.1, ASVS-7.4.2
func TestEndsAreTold(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		s, here := file(t)
		elsewhere, err := sqlitestore.Open(t.Context(), s.File, sqlitestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer elsewhere.Close()
		promises.Ends(t, here, elsewhere)
		promises.EndsAtRandom(t, here, elsewhere, 50, 800)
	})
	for _, d := range []sqlenv.Database{sqlenv.PostgreSQL, sqlenv.MariaDB} {
		t.Run(d.Name, func(t *testing.T) {
			s, here := table(t, d)
			elsewhere := sqlenv.Store(t, d.Open(t), sqlstore.Options{Table: s.Table})
			promises.Ends(t, here, elsewhere)
			promises.EndsAtRandom(t, here, elsewhere, 50, 800)
		})
	}
}

package sql

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core/storetest"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

func TestStore(t *testing.T) {
	for _, d := range sqlenv.Databases {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, sqlenv.Stores(t, d.Open(t), sqlstore.Options{}))
		})
	}
}

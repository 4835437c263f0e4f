package sql

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

// Where a batch gave way to another call in the middle, and is done again, it does not find
// what it has created itself before.
func TestABatchThatIsDoneAgainFindsNothingOfItsOwn(t *testing.T) {
	each(t, []sqlenv.Database{sqlenv.MariaDB, sqlenv.NewMariaDB, sqlenv.MySQL}, func(t *testing.T, _ sqlenv.Database, db *sql.DB) {
		table := sqlenv.Table(t, db)
		s := sqlenv.Store(t, db, sqlstore.Options{Table: table})
		db.SetMaxOpenConns(1) // which the variable is of
		there := record("b", "x")
		if err := s.Create(t.Context(), there); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "SET @met = 0")
		exec(t, db, fmt.Sprintf(`CREATE TRIGGER %s_gives_way BEFORE INSERT ON %[1]s FOR EACH ROW
			IF NEW.id = 'c' THEN
				SET @met = @met + 1;
				IF @met = 1 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'deadlock'; END IF;
			END IF`, table))
		inUse, err := s.CreateBatch(t.Context(), []store.Record{record("a", "y"), record("b", "y"), record("c", "y")})
		if err != nil || !slices.Equal(inUse, []string{there.ID}) {
			t.Errorf("in use are %v, %v, want the one that was there before", inUse, err)
		}
		met := 0
		if err := db.QueryRowContext(t.Context(), "SELECT @met").Scan(&met); err != nil || met < 2 {
			t.Errorf("the batch was done %d times: %v", met, err)
		}
	})
}

// What each record of a batch may be, all of them may be: a server takes no more than a few
// megabytes at once.
func TestABatchOfLargeRecordsIsNoLargeStatement(t *testing.T) {
	each(t, []sqlenv.Database{sqlenv.MariaDB, sqlenv.NewMariaDB}, func(t *testing.T, d sqlenv.Database, _ *sql.DB) {
		db := sqlenv.Open(t, d.Driver, d.DSN(t)+"?interpolateParams=true")
		s := sqlenv.Store(t, db, sqlstore.Options{})
		recs := make([]store.Record, 250)
		for i := range recs {
			recs[i] = record(strconv.Itoa(i), strings.Repeat("x", 80_000))
		}
		inUse, err := s.CreateBatch(t.Context(), recs)
		if err != nil || len(inUse) > 0 {
			t.Errorf("%d are in use: %v", len(inUse), err)
		}
		if n, err := s.Count(t.Context()); err != nil || n != len(recs) {
			t.Errorf("%d records are there, want %d: %v", n, len(recs), err)
		}
	})
}

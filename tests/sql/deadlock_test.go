package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// A renewal that the database ends for a deadlock with a transaction of somebody else is
// done again, and nobody hears of it.
func TestADeadlockIsDoneAgain(t *testing.T) {
	each(t, serverDatabases, func(t *testing.T, d sqlenv.Database, db *sql.DB) {
		o := sqlstore.Options{Table: sqlenv.Table(t, db)}
		s := sqlenv.Store(t, db, o)
		for n := range 5 { // on a busy machine the other one may be the victim
			if crossed(t, d, db, s, o.Table, strconv.Itoa(n)) {
				return
			}
		}
		t.Error("the database never ended the renewal")
	})
}

// crossed lets a renewal have what a transaction waits for, while it waits for what that
// has. It reports whether the renewal was the one that had to give way.
func crossed(t *testing.T, d sqlenv.Database, db *sql.DB, s *sqlstore.Store, table, n string) bool {
	t.Helper()
	const later = "CURRENT_TIMESTAMP + INTERVAL '24' HOUR"
	ctx := t.Context()
	old, retired, next := record("a"+n, "x"), record("a"+n, "y"), record("b"+n, "z")
	if err := s.Create(ctx, old); err != nil {
		t.Fatal(err)
	}
	insert := func(id string) string { // lives for long enough, whatever the time zone
		return fmt.Sprintf("INSERT INTO %s (id, data, expires, due) VALUES (%s, %s, %s, %s)", table, literal(d, id), literal(d, "{}"), later, later)
	}
	other, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback()
	if d.Dialect == sqlstore.PostgreSQL { // who looks first gives way there
		exec(t, other, "SET LOCAL deadlock_timeout = '10s'")
	}
	exec(t, other, insert(next.ID))
	for i := range 20 { // who has done less gives way in MySQL
		exec(t, other, insert(next.ID+"-"+strconv.Itoa(i)))
	}
	done := make(chan error, 1)
	go func() { done <- s.Replace(ctx, old, retired, next) }()
	servers.Await(t, "a renewal that has its first lock", func() error {
		free := 0
		err := db.QueryRowContext(ctx, fmt.Sprintf("SELECT 1 FROM %s WHERE id = %s FOR UPDATE SKIP LOCKED", table, literal(d, old.ID))).Scan(&free)
		if !errors.Is(err, sql.ErrNoRows) {
			return errors.Join(errors.New("it has not"), err)
		}
		return nil
	})
	_, err = other.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("UPDATE %s SET due = expires WHERE id = %s", table, literal(d, old.ID)))
	gaveWay := err == nil // else this one had to
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("a renewal in a deadlock: %v, want that it is done again", err)
	}
	for _, want := range []store.Record{retired, next} {
		if got, err := s.Load(ctx, want.ID); err != nil || string(got.Data) != string(want.Data) {
			t.Errorf("after a deadlock %s holds %s, %v, want %s", want.ID, got.Data, err, want.Data)
		}
	}
	return gaveWay
}

// literal returns an id as a statement has it.
func literal(d sqlenv.Database, id string) string {
	if d.Dialect == sqlstore.PostgreSQL {
		return "CAST('" + id + "' AS bytea)"
	}
	return "'" + strings.ReplaceAll(id, "'", "''") + "'"
}

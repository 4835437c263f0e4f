//go:build mattn && cgo

package sql

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

func openMattn(t *testing.T) *sql.DB {
	t.Helper()
	db := sqlenv.Open(t, "sqlite3", "file:"+filepath.Join(t.TempDir(), "sessions.db")+"?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=5000")
	db.SetMaxOpenConns(1)
	return db
}

// TestMattn is a test of its own because it needs a compiler for C, and minutes for it.
func TestMattn(t *testing.T) { storetest.Run(t, sqlenv.Stores(t, openMattn(t), sqlstore.Options{})) }

// The driver waits for a lock longer than it may. The store does not.
func TestMattnIsLeftBehind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	dsn := "file:" + file + "?_journal_mode=WAL&_busy_timeout=3000"
	db := sqlenv.Open(t, "sqlite3", dsn)
	s := sqlenv.Store(t, db, sqlstore.Options{Table: "sessions"})
	other, err := sqlenv.Open(t, "sqlite3", dsn).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, other, "BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = s.Create(ctx, record("a", "x")) // the lock is held until after it has returned
	fails(t, "Create behind a lock", err, store.OutcomeUnknown, "timeout", context.DeadlineExceeded)
	exec(t, other, "ROLLBACK")
	_ = other.Close()
	if _, err := s.Load(t.Context(), "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load: %v, want ErrNotFound", err)
	}
}

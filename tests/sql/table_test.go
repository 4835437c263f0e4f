package sql

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

// To a framework all stores are the same, so one runs the table on each.
func TestAdapters(t *testing.T) {
	all := frameworks.All()
	t.Run("PostgreSQL", func(t *testing.T) {
		table := sqlenv.Stores(t, sqlenv.PostgreSQL.Open(t), sqlstore.Options{})
		runTable(t, soak.Some(t, all), table)
	})
	t.Run("file", func(t *testing.T) {
		runTable(t, soak.Some(t, all[1:]), files(t))
	})
}

func runTable(t *testing.T, all []frameworks.Named, empty func(t *testing.T) store.Store) {
	for _, fw := range all {
		t.Run(fw.Name, func(t *testing.T) {
			fw.Except = map[string]string{"G1: 64 clients x 50 increments over 3 processes on one session are 3200": "takes long; TestThreeProcesses does it with real processes"}
			adaptertest.Run(t, fw.Framework, empty)
		})
	}
}

// files returns a function that returns empty stores in files. They are used one after
// the other.
func files(t *testing.T) func(t *testing.T) store.Store {
	var (
		mu   sync.Mutex
		idle []*sqlitestore.Store
	)
	return func(sub *testing.T) store.Store {
		mu.Lock()
		defer mu.Unlock()
		if len(idle) == 0 {
			s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "sessions.db"), sqlitestore.Options{Durability: sqlitestore.SyncChanges})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			idle = append(idle, s)
		}
		last := len(idle) - 1
		s := idle[last]
		idle = idle[:last]
		sub.Cleanup(func() {
			for _, part := range []store.Store{s, s.UserIndex()} {
				if err := part.(store.Clearer).Clear(context.Background()); err != nil {
					sub.Errorf("Clear: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			idle = append(idle, s)
		})
		return s
	}
}

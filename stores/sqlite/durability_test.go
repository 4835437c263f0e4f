package sqlitestore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

// TestDurability looks for what the connection that writes waits for the disk: with
// SyncChanges not for what may be lost, and with SyncAll for everything.
func TestDurability(t *testing.T) {
	for _, d := range []Durability{SyncAll, SyncChanges} {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "sessions.db"), Options{Durability: d, SweepInterval: sqlstore.NeverSweep})
		if err != nil {
			t.Fatal(err)
		}
		record := func(id, text string) store.Record {
			return store.Record{ID: id, Data: []byte(text), TTL: time.Hour}
		}
		keep := record("a", "3")
		keep.TTL = store.KeepTTL
		for _, step := range []struct {
			verb    string
			do      func(context.Context) error
			relaxed bool // with SyncChanges
		}{
			{"create", func(ctx context.Context) error { return s.Create(ctx, record("a", "1")) }, true},
			{"update", func(ctx context.Context) error { return s.Update(ctx, record("a", "1"), record("a", "2")) }, false},
			{"touch", func(ctx context.Context) error { return s.Touch(ctx, "a", time.Hour) }, true},
			{"update that keeps the life", func(ctx context.Context) error { return s.Update(ctx, record("a", "2"), keep) }, false},
			{"create another", func(ctx context.Context) error { return s.Create(ctx, record("b", "1")) }, true},
			{"replace", func(ctx context.Context) error {
				return s.Replace(ctx, record("a", "3"), record("a", "4"), record("c", "1"))
			}, false},
			{"touch", func(ctx context.Context) error { return s.Touch(ctx, "a", time.Hour) }, true},
			{"remove", func(ctx context.Context) error { return s.Remove(ctx, record("b", "1")) }, false},
			{"touch", func(ctx context.Context) error { return s.Touch(ctx, "a", time.Hour) }, true},
			{"delete", func(ctx context.Context) error { return s.Delete(ctx, "a") }, false},
		} {
			if err := step.do(t.Context()); err != nil {
				t.Errorf("%s: %v", step.verb, err)
			}
			if want := step.relaxed && d == SyncChanges; s.w.relaxed != want {
				t.Errorf("durability %d: %s waits for the disk: %v, want %v", d, step.verb, !s.w.relaxed, !want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

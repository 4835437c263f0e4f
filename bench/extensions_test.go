//go:build !race

// One goroutine sends 400,000 requests: the race detector takes long and finds nothing.

package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const extensions = "extensions of a thousand loads"

// A touchCounter counts the extensions.
type touchCounter struct {
	*memorystore.Store
	touches atomic.Int64
}

// Touch implements [store.Store].
func (c *touchCounter) Touch(ctx context.Context, id string, ttl time.Duration) error {
	c.touches.Add(1)
	return c.Store.Touch(ctx, id, ttl)
}

func TestGateExtensions(t *testing.T) {
	const sessions, passes = 100_000, 3
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	now.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	kept := &touchCounter{Store: memorystore.New(memorystore.Options{Now: clock})}
	defer kept.Close()
	m, err := core.New(core.Config{Store: kept, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	a := &app{handler: cloakroomHTTP(m), close: nothing}
	cookies := make([]string, sessions)
	for i := range cookies {
		if cookies[i], err = a.newSession(manySessions); err != nil {
			t.Fatal(err)
		}
	}
	now.Add(int64(time.Hour)) // each is due
	v := a.visitor()
	visit := func() (extended int) {
		before := kept.touches.Load()
		for _, cookie := range cookies {
			now.Add(int64(time.Minute / (passes * sessions)))
			v.ask(manySessions.path, cookie)
			if status := v.send(); status != http.StatusOK {
				t.Fatalf("%s answers %d %q", manySessions.path, status, v.body())
			}
		}
		return int(kept.touches.Load() - before)
	}
	if n := visit(); n != sessions {
		t.Fatalf("%d of %d sessions were extended that were due", n, sessions)
	}
	again := 0
	for range passes - 1 {
		again += visit()
	}
	const loads = (passes - 1) * sessions
	where := line(extensions, subject{library: libraryName, on: onHTTP, store: memory})
	if got, most := (again*1000+loads-1)/loads, readGate(t)[where][manySessions.name]; got > most {
		t.Errorf("%s: %d %s, want at most %d", where, got, extensions, most)
	}
	t.Logf("of %d loads %d extended again", loads, again)
}

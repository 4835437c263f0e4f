package core

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

// BenchmarkRequestUnderWay is what an ordinary request pays for being known as one
// that is under way.
func BenchmarkRequestUnderWay(b *testing.B) {
	m, err := New(Config{Store: new(mapstore.Store), Secrets: []string{"a secret of more than thirty-two bytes"}})
	if err != nil {
		b.Fatal(err)
	}
	var (
		r    = httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
		life = record.Lifespan{Idle: m.cfg.IdleTimeout}
		now  = time.Now()
	)
	bench := func(next func() bool) {
		x := m.newExchange(r.Context(), r)
		s := x.ensureSession()
		for next() {
			m.flights.enter(s, life, now)
			m.flights.leave(x)
		}
	}
	b.Run("one at a time", func(b *testing.B) {
		b.ReportAllocs()
		bench(b.Loop)
	})
	b.Run("beside others", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) { bench(pb.Next) })
	})
	m.flights.mu.Lock()
	defer m.flights.mu.Unlock()
	m.flights.timer.Stop()
}

package core_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A startedLoad is a store that tells when it is asked for a session, and lets others
// go on before it answers, without making an order with what they do.
type startedLoad struct {
	*userStore
	started chan struct{}
}

func (s *startedLoad) Load(ctx context.Context, id string) (store.Record, error) {
	close(s.started)
	for range 10_000 {
		runtime.Gosched()
	}
	return s.userStore.Load(ctx, id)
}

// The race detector looks on: the load notes that it lists the session while the
// request ends.
func TestALazyLoadMayListItsSessionWhileTheRequestEnds(t *testing.T) {
	t.Parallel()
	for range 20 {
		st := newUserStore()
		cookie := ada(t, process(t, st, func(c *core.Config) { c.IdleTimeout = time.Hour }))
		slow := &startedLoad{st, make(chan struct{})}
		m := process(t, slow, func(c *core.Config) { c.Lazy, c.IdleTimeout = true, 100*time.Hour })
		done := make(chan struct{})
		serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			go func() { defer close(done); core.FromContext(r.Context()).User() }()
			<-slow.started
		})
		<-done
	}
}

package core_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// Absolute timeouts at both ends: centuries, as somebody sets it for "never", and one
// that passes under a request.

func TestALongRequestKeepsASessionThatMayLiveForCenturies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Minute, 290*365*24*time.Hour })
		cookie := anonymous(t, m)
		serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Minute)
			counter.Set(core.FromContext(r.Context()), 2)
		})
		if got := counter.Get(load(t, m, cookie)); got != 2 {
			t.Errorf("the session has %d, want 2", got)
		}
	})
}

func TestATouchBesideAWriteKeepsASessionThatMayLiveForCenturies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, newUserStore(), func(c *core.Config) { c.AbsoluteTimeout = 290 * 365 * 24 * time.Hour })
		cookie := ada(t, m)
		w := serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			other := load(t, m, cookie)
			other.Set("n", 1)
			commit(t, m, other, cookie)
			core.FromContext(r.Context()).Touch()
		})
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("the response is that of a visitor without a session: %v", w.Header())
		}
	})
}

func TestASessionThatEndedUnderARequestIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		m := process(t, new(mapstore.Store), func(c *core.Config) {
			c.IdleTimeout, c.AbsoluteTimeout = time.Minute, time.Minute
			c.Now = func() time.Time { looks.Add(1); return time.Now() }
		})
		cookie := anonymous(t, m)
		serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {
			time.Sleep(time.Minute)
			before := looks.Load()
			time.Sleep(10 * time.Second)
			if n := looks.Load() - before; n > 100 {
				t.Errorf("the clock was read %d times in ten seconds", n)
			}
		})
	})
}

package core_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Many requests under way, and what they are to each other.

// isLive reports whether the session of a cookie is there.
func isLive(t *testing.T, m *core.Manager, cookie string) bool {
	t.Helper()
	return load(t, m, cookie).Status() == core.StatusLoaded
}

// during serves a request in a goroutine, whose handler takes that long.
func during(t *testing.T, all *sync.WaitGroup, m *core.Manager, cookie string, takes time.Duration) {
	all.Go(func() {
		serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) { time.Sleep(takes) })
	})
}

func TestARequestThatEndsLeavesTheOthersUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout = 15 * time.Minute })
		var all sync.WaitGroup
		var long []string
		for i := range 60 {
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, i) })
			if i%3 == 0 {
				during(t, &all, m, cookie, time.Second)
				continue
			}
			long = append(long, cookie)
			during(t, &all, m, cookie, time.Hour)
		}
		time.Sleep(time.Hour - time.Second)
		for i, cookie := range long {
			if !isLive(t, m, cookie) {
				t.Errorf("the session of long request %d has ended while it is under way", i)
			}
		}
		all.Wait()
	})
}

func TestALongRequestKeepsItsSessionWhileShortOnesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout = 15 * time.Minute })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		other := visitor(t, m, func(s *core.Session) { counter.Set(s, 2) })
		serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {
			for range 120 {
				time.Sleep(30 * time.Second)
				serve(m, requestWith(t.Context(), other), func(http.ResponseWriter, *http.Request) {})
			}
		})
		if !isLive(t, m, cookie) {
			t.Error("its session has ended while it was under way")
		}
	})
}

// Sessions whose lives are shorter have to be looked after more often. That neither
// makes the others wait nor is it forgotten for them.
func TestLongRequestsKeepSessionsOfDifferentLives(t *testing.T) {
	lived := func(life time.Duration) func(*core.Session) {
		return func(s *core.Session) { counter.Set(s, 1); _ = s.SetMaxAge(life) }
	}
	t.Run("at the same time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout = 24 * time.Hour })
			var all sync.WaitGroup
			cookies := make(map[time.Duration]string)
			for _, life := range []time.Duration{12 * time.Hour, 20 * time.Second, time.Hour} {
				cookies[life] = visitor(t, m, lived(life))
				during(t, &all, m, cookies[life], 2*time.Hour)
			}
			time.Sleep(2*time.Hour - time.Second)
			for life, cookie := range cookies {
				if !isLive(t, m, cookie) {
					t.Errorf("the session with a life of %v has ended", life)
				}
			}
			all.Wait()
		})
	})
	t.Run("each that comes has a shorter one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := process(t, new(mapstore.Store), func(c *core.Config) {
				c.IdleTimeout, c.TouchInterval = 15*time.Minute, 14*time.Minute
			})
			long := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			var all sync.WaitGroup
			during(t, &all, m, long, time.Hour)
			time.Sleep(3 * time.Minute) // its session is looked after within 15/4 minutes
			for life := 800 * time.Second; life > 60*time.Second; life -= 10 * time.Second {
				other := visitor(t, m, lived(life))
				during(t, &all, m, other, 0)
				time.Sleep(life/20 - 10*time.Millisecond) // just before it would be due
			}
			if !isLive(t, m, long) {
				t.Error("the session has ended while its request was under way")
			}
			all.Wait()
		})
	})
}

// A slowStore takes its time for an update.
type slowStore struct {
	store.Store
	takes time.Duration
}

func (s slowStore) Update(ctx context.Context, old, next store.Record) error {
	time.Sleep(s.takes)
	return s.Store.Update(ctx, old, next)
}

// A session cannot be looked at while its request stores it. It is its turn a moment later.
func TestALongRequestThatStoresItsSessionWhenItIsLookedAfterKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, slowStore{new(mapstore.Store), 2 * time.Second}, func(c *core.Config) { c.IdleTimeout = 15 * time.Minute })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			time.Sleep(44 * time.Second) // the session is looked after each 45 seconds
			counter.Set(s, 2)
			if err := s.Save(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		})
		if !isLive(t, m, cookie) {
			t.Error("its session has ended while it was under way")
		}
	})
}

// What a process remembers of its sessions is bounded. That of a request under way may
// be among what it forgets for others.
func TestALongRequestKeepsASessionThatManyOthersMadeForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) {
			c.IdleTimeout, c.TouchInterval = 15*time.Minute, 14*time.Minute
		})
		var all sync.WaitGroup
		var long []string
		for i := range 20 {
			long = append(long, visitor(t, m, func(s *core.Session) { counter.Set(s, i) }))
			during(t, &all, m, long[i], time.Hour)
		}
		time.Sleep(time.Minute)
		for range 6000 {
			visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			time.Sleep(25 * time.Millisecond)
		}
		time.Sleep(55 * time.Minute)
		for i, cookie := range long {
			if !isLive(t, m, cookie) {
				t.Errorf("the session of long request %d has ended while it is under way", i)
			}
		}
		all.Wait()
	})
}

// A sealed session has no place where its life could be extended while the request is
// under way. Nothing is tried.
func TestALongRequestLeavesASealedSessionAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends, log := observed(new(mapstore.Store)), new(stageLog)
		m := process(t, nil, func(c *core.Config) {
			c.Store, c.Sealed = nil, &core.SealedCookie{Ends: ends}
			c.IdleTimeout, c.Logger = 15*time.Minute, slog.New(slog.NewTextHandler(log, nil))
		})
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			counter.Get(core.FromContext(r.Context()))
			ends.took()
			time.Sleep(time.Hour)
			if verbs := ends.verbs(); verbs != "" {
				t.Errorf("the store of ends was asked for %s", verbs)
			}
		})
		if strings.Contains(log.String(), "under way") {
			t.Errorf("the log says\n%s", log.String())
		}
	})
}

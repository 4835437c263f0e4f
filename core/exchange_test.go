package core_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What happens around a handler: the middleware mounted twice, requests that are served
// again, panics, and what comes after the answer.

// panics serves a request as serve does, and returns what the handler's panic was.
func panics(m *core.Manager, w http.ResponseWriter, r *http.Request, h http.HandlerFunc) (v any) {
	defer func() { v = recover() }()
	m.Handler(h).ServeHTTP(w, r)
	return nil
}

// What a handler began stays known in the request's context. Who serves such a request once
// more, when it is over, begins anew.
func TestARequestThatIsServedAgainHasASessionOfItsOwn(t *testing.T) {
	st := new(mapstore.Store)
	m := process(t, st)
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	var again *http.Request
	serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) { again = r })
	serve(m, again, func(_ http.ResponseWriter, r *http.Request) { counter.Set(core.FromContext(r.Context()), 2) })
	if got := counter.Get(load(t, m, cookie)); got != 2 {
		t.Errorf("what the second one stored is %d, want 2", got)
	}
}

func TestTheMiddlewareMountedTwice(t *testing.T) {
	type key struct{}
	log := new(stageLog)
	m := process(t, new(mapstore.Store), func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	var h http.HandlerFunc
	inner := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r) }))
	between := func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "kept")))
	}

	t.Run("leaves the context between alone", func(*testing.T) {
		h = func(_ http.ResponseWriter, r *http.Request) {
			if got := r.Context().Value(key{}); got != "kept" {
				t.Errorf("what the middleware between put into the context is %v", got)
			}
		}
		serve(m, requestWith(t.Context(), cookie), between)
	})
	t.Run("needs no session", func(*testing.T) {
		h = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }
		if w := serve(m, requestWith(t.Context(), ""), between); w.Body.String() != "hello" {
			t.Errorf("the answer is %q", w.Body)
		}
	})
	t.Run("ends the session with the outer one", func(*testing.T) {
		var s *core.Session
		h = func(_ http.ResponseWriter, r *http.Request) { s = core.FromContext(r.Context()) }
		serve(m, requestWith(t.Context(), cookie), between)
		s.Set("n", 1)
		if log.count("after the handler returned") != 1 {
			t.Errorf("a change that came too late is not told of:\n%s", log.String())
		}
	})
}

func TestAPathOutsideOfTheCookiesAsksTheStoreNothing(t *testing.T) {
	st := observed(new(mapstore.Store))
	m := process(t, st, func(c *core.Config) { c.Cookie.Path = "/app" })
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	st.took()
	st.failWith("load", errors.New("down"))
	w := serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {})
	if verbs := st.verbs(); w.Code != http.StatusOK || verbs != "" {
		t.Errorf("status %d, and the store was asked for %q", w.Code, verbs)
	}
}

func TestAChangeAfterTheFirstByteThatIsStoredIsNoFailure(t *testing.T) {
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		core.FromContext(r.Context()).Set("n", 1)
	})
	st.reads(cookie, true)
	if said := st.log.String(); said != "" || st.events.count(core.EventDropped) != 0 {
		t.Errorf("the log has %q, and the Observer was told that something was dropped: %d times", said, st.events.count(core.EventDropped))
	}
}

// A handler that panics in another way than by leaving the session's error page alone is
// heard of, also where that page was sent already.
func TestAPanicAfterTheErrorPageGoesOn(t *testing.T) {
	bug := errors.New("a bug of the app")
	m := process(t, &failing{Store: new(mapstore.Store), fails: true})
	for _, tt := range []struct{ panics, want any }{{bug, bug}, {http.ErrAbortHandler, nil}} {
		w := httptest.NewRecorder()
		got := panics(m, w, requestWith(t.Context(), ""), func(w http.ResponseWriter, r *http.Request) {
			counter.Set(core.FromContext(r.Context()), 1)
			_, _ = io.WriteString(w, "hello")
			panic(tt.panics)
		})
		if got != tt.want || w.Code != http.StatusServiceUnavailable {
			t.Errorf("panic %v: it goes on as %v with status %d", tt.panics, got, w.Code)
		}
	}
}

// FromContext gives up a handler whose session cannot be loaded. What it has done to the
// answer so far decides what the client gets.
func TestALoadThatFailsInTheHandler(t *testing.T) {
	lazy := func(c *core.Config) { c.Lazy = true }
	newDown := func(t *testing.T) (*stageStore, string) {
		st := observed(new(mapstore.Store))
		cookie := visitor(t, process(t, st), func(s *core.Session) { counter.Set(s, 1) })
		st.failWith("load", errors.New("down"))
		return st, cookie
	}
	t.Run("before the answer: none of its headers stays", func(t *testing.T) {
		st, cookie := newDown(t)
		w := serve(process(t, st, lazy), requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Page", "for ada")
			core.FromContext(r.Context())
		})
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("X-Page") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("status %d with the headers %v", w.Code, w.Header())
		}
	})
	t.Run("in the middle of the answer: it ends as half of one", func(t *testing.T) {
		st, cookie := newDown(t)
		got := panics(process(t, st, lazy), httptest.NewRecorder(), requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			core.FromContext(r.Context())
		})
		if got != http.ErrAbortHandler { //nolint:errorlint // it is what a handler panics with
			t.Errorf("the panic goes on as %v", got)
		}
	})
	t.Run("after its error page: that stays", func(t *testing.T) {
		st, cookie := newDown(t)
		w := httptest.NewRecorder()
		got := panics(process(t, st, lazy), w, requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
			core.Lookup(r.Context())
			_, _ = io.WriteString(w, "hello")
			core.FromContext(r.Context())
		})
		if got != nil || w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "hello") {
			t.Errorf("status %d, %q, and the panic goes on as %v", w.Code, w.Body, got)
		}
	})
	t.Run("with another Manager inside: the page is of the one that failed", func(t *testing.T) {
		st, cookie := newDown(t)
		page := func(text string) func(*core.Config) {
			return func(c *core.Config) {
				c.Lazy = true
				c.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { _, _ = io.WriteString(w, text) }
			}
		}
		outer := process(t, st, page("outer"))
		inner := process(t, new(mapstore.Store), page("inner"), func(c *core.Config) { c.Cookie.Name = "other" })
		w := serve(outer, requestWith(t.Context(), cookie), inner.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			outer.FromContext(r.Context())
		})).ServeHTTP)
		if w.Body.String() != "outer" {
			t.Errorf("the page is %q", w.Body)
		}
	})
}

func TestAfterAPanicASessionTakesNoChanges(t *testing.T) {
	log := new(stageLog)
	m := process(t, new(mapstore.Store), func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	var s *core.Session
	panics(m, httptest.NewRecorder(), requestWith(t.Context(), ""), func(_ http.ResponseWriter, r *http.Request) {
		s = core.FromContext(r.Context())
		panic("bug")
	})
	s.Set("n", 1)
	if log.count("after the handler returned") != 1 {
		t.Errorf("a change that came too late is not told of:\n%s", log.String())
	}
}

func TestAfterAPanicASessionIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout = 15 * time.Minute })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		other := visitor(t, m, func(s *core.Session) { counter.Set(s, 2) })
		var all sync.WaitGroup
		during(t, &all, m, other, time.Hour)
		panics(m, httptest.NewRecorder(), requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) { panic("bug") })
		all.Wait()
		if isLive(t, m, cookie) {
			t.Error("a request that panicked keeps its session")
		}
	})
}

// The page of whoever recovers from a panic may depend on the session as well.
func TestThePageAfterAPanicVariesByTheSession(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*core.Config)
		fails  bool
		ask    func(ctx context.Context)
		want   string
	}{
		"of a handler that asked for its session": {ask: func(ctx context.Context) { core.FromContext(ctx) }, want: "Cookie"},
		"of one that did not":                     {ask: func(context.Context) {}},
		"of one that was told of a load that failed": {
			change: func(c *core.Config) { c.Lazy = true }, fails: true,
			ask: func(ctx context.Context) { _, _ = core.Load(ctx) }, want: "Cookie",
		},
	} {
		st := observed(new(mapstore.Store))
		m := process(t, store.Store(st), func(c *core.Config) {
			if tt.change != nil {
				tt.change(c)
			}
		})
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		if tt.fails {
			st.failWith("load", errors.New("down"))
		}
		w := httptest.NewRecorder()
		panics(m, w, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			tt.ask(r.Context())
			panic("bug")
		})
		if got := w.Header().Get("Vary"); got != tt.want {
			t.Errorf("%s: Vary is %q, want %q", name, got, tt.want)
		}
	}
}

package core_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// One request has one error page, however often the middleware is around its handler.
func TestTheErrorHandlerIsCalledOnceWhereTheMiddlewareIsMountedTwice(t *testing.T) {
	t.Parallel()
	errDown := &store.Error{Store: "test", Outcome: store.OutcomeNotApplied, Class: "down"}
	for _, tt := range []struct {
		name   string
		fails  string
		lazy   bool
		handle func(w http.ResponseWriter, r *http.Request)
	}{
		{"the commit, at the first byte", "commit", false, func(w http.ResponseWriter, r *http.Request) {
			counter.Set(core.FromContext(r.Context()), 2)
			_, _ = io.WriteString(w, "of the handler")
		}},
		{"the commit, after the handler", "commit", false, func(_ http.ResponseWriter, r *http.Request) {
			counter.Set(core.FromContext(r.Context()), 2)
		}},
		{"the load", "load", false, func(http.ResponseWriter, *http.Request) {}},
		{"the load, once somebody asks", "load", true, func(w http.ResponseWriter, r *http.Request) {
			counter.Set(core.FromContext(r.Context()), 2)
			_, _ = io.WriteString(w, "of the handler")
		}},
		{"the load, which the handler looks at", "load", true, func(w http.ResponseWriter, r *http.Request) {
			_, _ = core.Lookup(r.Context())
			_, _ = io.WriteString(w, "of the handler")
		}},
		{"the load, which the handler looks at without an answer", "load", true, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = core.Lookup(r.Context())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := &faultyStore{Store: new(mapstore.Store)}
			cookie := visitor(t, process(t, st), func(s *core.Session) { counter.Set(s, 1) })
			called := 0
			m := process(t, st, func(c *core.Config) {
				c.Lazy = tt.lazy
				c.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
					called++
					w.WriteHeader(http.StatusTeapot)
					_, _ = io.WriteString(w, "the error page")
				}
			})
			if tt.fails == "load" {
				st.failOnce("load", outage{err: errDown})
			}
			handler := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.fails == "commit" {
					st.down(errDown)
				}
				tt.handle(w, r)
			}))
			w := httptest.NewRecorder()
			m.Handler(handler).ServeHTTP(w, requestWith(context.Background(), cookie))
			if called != 1 || w.Code != http.StatusTeapot || w.Body.String() != "the error page" {
				t.Errorf("the ErrorHandler was called %d times; the answer is %d, %q", called, w.Code, w.Body)
			}
		})
	}
}

// An answer tells once that its cookie is signed by the first secret now.
func TestACookieThatIsSignedAnewIsToldOnceForEachAnswer(t *testing.T) {
	t.Parallel()
	const oldSecret, newSecret = "the former secret, of 32 bytes..", "the present secret, of 32 bytes."
	st := newStage(t, core.Config{Secrets: []string{oldSecret}, Cookie: core.Cookie{MaxAge: time.Hour}})
	cookie := st.visit("", func(s *core.Session) { counter.Set(s, 1) }).cookie
	st = st.restarted(core.Config{Secrets: []string{newSecret, oldSecret}, Cookie: core.Cookie{MaxAge: time.Hour}})
	a := st.visit(cookie, func(s *core.Session) {
		for range 2 {
			if _, err := s.UpgradeHeader(context.Background()); err != nil {
				t.Error(err)
			}
			st.clock.advance(time.Second) // the cookie has a second less to live
		}
	})
	if n := st.events.count(core.EventReissued); n != 1 || a.setCookie == "" {
		t.Errorf("it was told %d times; Set-Cookie %q", n, a.setCookie)
	}
}

package monitoring

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	echov4 "github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	echov4session "github.com/cloakroom-go/cloakroom/echosession"
	echov5session "github.com/cloakroom-go/cloakroom/echov5session"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A watchedStore counts what it is asked for sessions, and can be down.
type watchedStore struct {
	*memorystore.Store
	down  atomic.Bool
	asked atomic.Int32 // for sessions
}

func (s *watchedStore) Load(ctx context.Context, id string) (store.Record, error) {
	s.asked.Add(1)
	return s.Store.Load(ctx, id)
}

// Ping makes a probe something else than a load.
func (s *watchedStore) Ping(context.Context) error {
	if s.down.Load() {
		return errors.New("down")
	}
	return nil
}

// In each framework, a probe answers by the wrapper that the framework has for handlers of
// net/http. It asks for no session, also where its client sends the cookie of one, and where
// the middleware is around all routes.
func TestProbesInTheFrameworks(t *testing.T) {
	isProbe := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/readyz") }
	for name, mount := range map[string]func(m *core.Manager, ready *core.Probe) http.Handler{
		"net/http": func(m *core.Manager, ready *core.Probe) http.Handler {
			app, mux := http.NewServeMux(), http.NewServeMux()
			app.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { core.FromContext(r.Context()).Set("n", 1) })
			mux.Handle("/", m.Handler(app))
			mux.Handle("GET /readyz", ready)
			return mux
		},
		"Gin": func(m *core.Manager, ready *core.Probe) http.Handler {
			gin.SetMode(gin.TestMode)
			r := gin.New()
			r.GET("/readyz", gin.WrapH(ready)) // above Use
			r.Use(ginsession.Use(m))
			r.GET("/", func(c *gin.Context) { ginsession.Get(c).Set("n", 1) })
			return r
		},
		"Echo v4": func(m *core.Manager, ready *core.Probe) http.Handler {
			e := echov4.New()
			e.Use(echov4session.Use(m))
			e.GET("/readyz", echov4.WrapHandler(ready))
			e.GET("/", func(c echov4.Context) error {
				echov4session.Get(c).Set("n", 1)
				return c.NoContent(http.StatusOK)
			})
			return e
		},
		"Echo v5": func(m *core.Manager, ready *core.Probe) http.Handler {
			e := echov5.New()
			e.Use(echov5session.Use(m))
			e.GET("/readyz", echov5.WrapHandler(ready))
			e.GET("/", func(c *echov5.Context) error {
				echov5session.Get(c).Set("n", 1)
				return c.NoContent(http.StatusOK)
			})
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := &watchedStore{Store: memorystore.New(memorystore.Options{})}
			defer st.Close()
			m, err := core.New(core.Config{
				Store: st, Secrets: []string{strings.Repeat("s", 32)}, TouchInterval: core.EveryRequest, Skip: isProbe,
			})
			if err != nil {
				t.Fatal(err)
			}
			ready := &core.Probe{Check: m.Ping}
			server := httptest.NewServer(mount(m, ready))
			defer server.Close()
			cookie := ""
			get := func(path, want string) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Cookie", cookie)
				res, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				if got := res.Status + " " + string(body); got != want {
					t.Errorf("%s: %q, want %q", path, got, want)
				}
				if set := res.Header.Get("Set-Cookie"); set != "" {
					if path != "/" {
						t.Errorf("%s sets a cookie", path)
					}
					cookie, _, _ = strings.Cut(set, ";")
				}
			}
			get("/", "200 OK ")
			if cookie == "" {
				t.Fatal("there is no session")
			}
			before := st.asked.Load()
			get("/readyz", "200 OK ok\n")
			st.down.Store(true)
			get("/readyz", "503 Service Unavailable unavailable\n")
			st.down.Store(false)
			ready.Drain()
			get("/readyz", "503 Service Unavailable shutting down\n")
			if n := st.asked.Load() - before; n != 0 {
				t.Errorf("the probes had %d sessions loaded", n)
			}
			get("/", "200 OK ")
			if st.asked.Load() == before {
				t.Error("a page has no session loaded: this counts in the wrong place")
			}
		})
	}
}

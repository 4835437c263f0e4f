package adaptertest_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
)

// A framework of one's own: handlers return what they answer, and middleware
// wraps handlers.
type (
	ownHandler    func(w http.ResponseWriter, r *http.Request) error
	ownMiddleware func(ownHandler) ownHandler
)

// ownSessions is its adapter.
func ownSessions(m *core.Manager) ownMiddleware {
	return func(next ownHandler) ownHandler {
		return func(w http.ResponseWriter, r *http.Request) (err error) {
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err = next(w, r); err != nil {
					http.Error(w, "failed", http.StatusInternalServerError)
				}
			})).ServeHTTP(w, r)
			return nil
		}
	}
}

// ownRecovery is its middleware against panics.
func ownRecovery(next ownHandler) ownHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		defer func() {
			if v := recover(); v != nil {
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				http.Error(w, "panicked", http.StatusInternalServerError)
			}
		}()
		return next(w, r)
	}
}

// serveOwn builds an app with that framework.
func serveOwn(_ testing.TB, app adaptertest.App) http.Handler {
	wrap := func(use []adaptertest.Middleware, h ownHandler) http.Handler {
		for i := len(use) - 1; i >= 0; i-- {
			if use[i].Session != nil {
				h = ownSessions(use[i].Session)(h)
			} else if use[i].Recover {
				h = ownRecovery(h)
			}
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				http.Error(w, "failed", http.StatusInternalServerError)
			}
		})
	}
	mux := http.NewServeMux()
	for _, g := range app.Groups {
		for _, route := range g.Routes {
			h := func(w http.ResponseWriter, r *http.Request) error {
				ctx := r.Context()
				return route.Handler(&adaptertest.Context{
					Request: r, Writer: w,
					Get:    func() *core.Session { return core.FromContext(ctx) },
					Lookup: func() (*core.Session, bool) { return core.Lookup(ctx) },
					Load:   func() (*core.Session, error) { return core.Load(ctx) },
				})
			}
			pattern := g.Prefix + route.Path
			if route.Method != "" {
				pattern = route.Method + " " + pattern
			}
			mux.Handle(pattern, wrap(g.Use, h))
		}
	}
	return wrap(app.Use, func(w http.ResponseWriter, r *http.Request) error {
		mux.ServeHTTP(w, r)
		return nil
	})
}

// The whole test of an adapter: a function that builds apps with the framework
// (here one of the reader's own), and one line that runs the table.
func ExampleRun() {
	TestAdapter := func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Framework{Serve: serveOwn}, nil)
	}
	_ = TestAdapter
	// In a file that ends in _test.go it is
	//
	//	func TestAdapter(t *testing.T) {
	//		adaptertest.Run(t, adaptertest.Framework{Serve: serveOwn}, nil)
	//	}
}

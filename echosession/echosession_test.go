package echosession_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/echosession"
)

func TestAdapter(t *testing.T) {
	adaptertest.Run(t, adaptertest.Framework{Serve: serve, Gzip: true, Guards: true}, nil)
}

func TestAdapterWithSealedCookies(t *testing.T) {
	adaptertest.RunSealed(t, adaptertest.Framework{Serve: serve, Gzip: true, Guards: true})
}

func serve(_ testing.TB, app adaptertest.App) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(mount(app.Use)...)
	for _, g := range app.Groups {
		for _, r := range g.Routes {
			h := func(c echo.Context) error { return r.Handler(neutral(c)) }
			if r.Method == "" {
				e.Any(g.Prefix+r.Path, h, mount(g.Use)...)
			} else {
				e.Add(r.Method, g.Prefix+r.Path, h, mount(g.Use)...)
			}
		}
	}
	return e
}

func mount(use []adaptertest.Middleware) (all []echo.MiddlewareFunc) {
	for _, mw := range use {
		switch {
		case mw.Session != nil:
			all = append(all, echosession.Use(mw.Session))
		case mw.Guard != nil && mw.Guard.Proof:
			all = append(all, echosession.RequireProof(mw.Guard.MaxAge, mw.Guard.Page))
		case mw.Guard != nil && mw.Guard.MaxAge != 0:
			all = append(all, echosession.RequireRecentSignIn(mw.Guard.MaxAge, mw.Guard.Page))
		case mw.Guard != nil:
			all = append(all, echosession.RequireUser(mw.Guard.Page))
		case mw.Recover:
			all = append(all, middleware.Recover())
		case mw.Gzip:
			all = append(all, middleware.Gzip())
		}
	}
	return all
}

func neutral(c echo.Context) *adaptertest.Context {
	return &adaptertest.Context{
		Request: c.Request(), Writer: c.Response(),
		Get:    func() *core.Session { return echosession.Get(c) },
		Lookup: func() (*core.Session, bool) { return echosession.Lookup(c) },
		Load:   func() (*core.Session, error) { return echosession.Load(c) },

		TellExpiry: func() error { return echosession.TellExpiry(c) },
		ReturnPath: func(otherwise string) string { return echosession.ReturnPath(c, otherwise) },

		String: c.String, JSON: c.JSON, NoContent: c.NoContent, Redirect: c.Redirect, File: c.File,
		Fail: func(status int) error { return echo.NewHTTPError(status) },
	}
}

const views echosession.Key[int] = "views"

func increment(n int) int { return n + 1 }

// A visitor is a client with a cookie jar, of an app whose sessions are kept in
// store.
type visitor struct {
	t      *testing.T
	url    string
	client *http.Client
}

func visit(t *testing.T, h http.Handler) *visitor {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, srv.URL, &http.Client{Jar: jar}}
}

// get checks an answer and returns how many cookies it sets.
func (v *visitor) get(path string, status int, body string) (cookies int) {
	v.t.Helper()
	res, err := v.client.Get(v.url + path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status || strings.TrimSpace(string(text)) != body {
		v.t.Fatalf("%s: %d %q (%v), want %d %q", path, res.StatusCode, text, err, status, body)
	}
	return len(res.Cookies())
}

// A failing store is down whenever it is told so.
type failing struct {
	store.Store
	down atomic.Bool
}

func (s *failing) Load(ctx context.Context, id string) (store.Record, error) {
	if s.down.Load() {
		return store.Record{}, &store.Error{Store: "test", Verb: "load", Outcome: store.OutcomeNotApplied}
	}
	return s.Store.Load(ctx, id)
}

func (s *failing) Create(ctx context.Context, rec store.Record) error {
	if s.down.Load() {
		return &store.Error{Store: "test", Verb: "create", Outcome: store.OutcomeNotApplied}
	}
	return s.Store.Create(ctx, rec)
}

func config(st store.Store) echosession.Config {
	return echosession.Config{
		Store:   st,
		Secrets: []string{strings.Repeat("s", 32)},
	}
}

// count is a handler that counts.
func count(c echo.Context) error {
	return c.JSON(http.StatusOK, views.Update(echosession.Get(c), increment))
}

func newEcho(st store.Store) *echo.Echo {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(echosession.New(config(st)))
	e.GET("/count", count)
	return e
}

func TestTheErrorHandlerGetsTheError(t *testing.T) {
	st := &failing{Store: adaptertest.NewStore()}
	seen := make(chan error, 1)
	e := newEcho(st)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		seen <- err
		e.DefaultHTTPErrorHandler(err, c)
	}
	v := visit(t, e)
	v.get("/count", http.StatusOK, "1")
	st.down.Store(true)
	const page = `{"message":"Service Unavailable"}`
	v.get("/count", http.StatusServiceUnavailable, page) // the load
	var failure *store.Error
	if err := <-seen; !errors.As(err, &failure) || failure.Verb != "load" {
		t.Errorf("the HTTPErrorHandler gets %v, want the store's error", err)
	}
	visit(t, e).get("/count", http.StatusServiceUnavailable, page) // the commit
	if err := <-seen; !errors.As(err, &failure) || failure.Verb != "create" {
		t.Errorf("the HTTPErrorHandler gets %v, want the store's error", err)
	}
}

func TestTheErrorHandlerUsesTheSession(t *testing.T) {
	e := newEcho(adaptertest.NewStore())
	e.HTTPErrorHandler = func(_ error, c echo.Context) {
		_ = c.JSON(http.StatusTeapot, views.Update(echosession.Get(c), increment))
	}
	e.GET("/error", func(c echo.Context) error {
		views.Update(echosession.Get(c), increment)
		return errors.New("the handler failed")
	})
	v := visit(t, e)
	if n := v.get("/error", http.StatusTeapot, "2"); n != 1 {
		t.Errorf("the error page sets %d cookies, want one", n)
	}
	v.get("/count", http.StatusOK, "3")
	if n := v.get("/error", http.StatusTeapot, "5"); n != 0 {
		t.Errorf("the second error page sets %d cookies, want none", n)
	}
	v.get("/count", http.StatusOK, "6")
}

func TestARecoveredPanicKeepsTheHandlersError(t *testing.T) {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	seen := make(chan error, 1)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		seen <- err
		e.DefaultHTTPErrorHandler(err, c)
	}
	boom := errors.New("boom")
	e.Use(middleware.Recover(), echosession.New(config(adaptertest.NewStore())))
	e.GET("/", func(c echo.Context) error {
		views.Update(echosession.Get(c), increment)
		panic(boom)
	})
	if n := visit(t, e).get("/", http.StatusInternalServerError, `{"message":"Internal Server Error"}`); n != 0 {
		t.Errorf("the error page sets %d cookies, want none", n)
	}
	if err := <-seen; !errors.Is(err, boom) {
		t.Errorf("the HTTPErrorHandler gets %v, want what the handler panicked with", err)
	}
}

func TestWrapMiddleware(t *testing.T) {
	m, err := core.New(config(adaptertest.NewStore()))
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	e.Use(echo.WrapMiddleware(m.Handler))
	e.GET("/count", count)
	e.GET("/nothing", func(c echo.Context) error {
		views.Update(echosession.Get(c), increment)
		return nil
	})
	e.GET("/error", func(c echo.Context) error {
		views.Update(echosession.Get(c), increment)
		return echo.NewHTTPError(http.StatusTeapot, "no coffee")
	})
	v := visit(t, e)
	for path, want := range map[string]struct {
		status int
		body   string
	}{"/count": {200, "1"}, "/nothing": {200, ""}, "/error": {418, `{"message":"no coffee"}`}} {
		v := visit(t, e)
		if n := v.get(path, want.status, want.body); n != 1 {
			t.Errorf("%s sets %d cookies, want one", path, n)
		}
		v.get("/count", http.StatusOK, "2")
	}
	v.get("/count", http.StatusOK, "1")
}

func TestInsideOfWrappedMiddleware(t *testing.T) {
	e := echo.New()
	e.Use(echosession.New(config(adaptertest.NewStore())), echo.WrapMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Inner", "yes")
			next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	}))
	e.GET("/count", count)
	v := visit(t, e)
	if n := v.get("/count", http.StatusOK, "1"); n != 1 {
		t.Errorf("%d cookies are set, want one", n)
	}
	v.get("/count", http.StatusOK, "2")
}

func TestTheSchemeOfAnUntrustedClientDoesNotCount(t *testing.T) {
	e := newEcho(adaptertest.NewStore())
	req := httptest.NewRequest(http.MethodGet, "/count", nil)
	for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Url-Scheme"} {
		req.Header.Set(name, "https")
	}
	req.Header.Set("X-Forwarded-Ssl", "on")
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	if cookies := rec.Result().Cookies(); len(cookies) != 1 || cookies[0].Secure {
		t.Errorf("cookies: %v, want one that is not Secure", cookies)
	}
}

func TestNewPanicsNamingTheField(t *testing.T) {
	for field, cfg := range map[string]echosession.Config{
		"Store":           {Secrets: []string{strings.Repeat("s", 32)}},
		"Secrets":         {Store: adaptertest.NewStore()},
		"Cookie.SameSite": {Store: adaptertest.NewStore(), Secrets: []string{strings.Repeat("s", 32)}, Cookie: echosession.Cookie{SameSite: http.SameSiteNoneMode}},
		"IdleTimeout":     {Store: adaptertest.NewStore(), Secrets: []string{strings.Repeat("s", 32)}, IdleTimeout: -1},
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				var wrong *echosession.ConfigError
				if !errors.As(err, &wrong) || wrong.Field != field || !strings.Contains(err.Error(), "Config."+field) {
					t.Errorf("New panics with %v, want an error that names Config.%s", err, field)
				}
			}()
			echosession.New(cfg)
		}()
	}
}

func TestGetWithoutTheMiddleware(t *testing.T) {
	e := echo.New()
	e.GET("/", func(c echo.Context) (err error) {
		if _, ok := echosession.Lookup(c); ok {
			t.Error("Lookup finds a session")
		}
		if _, err := echosession.Load(c); !errors.Is(err, echosession.ErrNoSession) {
			t.Errorf("Load returns %v, want ErrNoSession", err)
		}
		defer func() {
			panicked, _ := recover().(error)
			if !errors.Is(panicked, echosession.ErrNoSession) || !strings.Contains(panicked.Error(), "middleware") {
				t.Errorf("Get panics with %v, want it to say that the middleware is missing", panicked)
			}
			err = c.String(http.StatusOK, "ok")
		}()
		echosession.Get(c)
		return nil
	})
	visit(t, e).get("/", http.StatusOK, "ok")
}

// The HTTPErrorHandler has the floor when the middleware has returned. What it
// does to the session is stored too, or the client is told that it was not.
func TestAnErrorHandlerWhoseChangesCannotBeStored(t *testing.T) {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(echosession.New(echosession.Config{
		Store: adaptertest.NewStore(), Secrets: []string{"0123456789abcdef0123456789abcdef"}, MaxKeys: 1,
	}))
	e.HTTPErrorHandler = func(_ error, c echo.Context) {
		echosession.Get(c).Flash("error", "Payment failed.")
		_ = c.String(http.StatusPaymentRequired, "payment failed")
	}
	e.GET("/", func(c echo.Context) error {
		echosession.Get(c).Set("cart", 1)
		return echo.NewHTTPError(http.StatusPaymentRequired)
	})
	server := httptest.NewServer(e)
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusInternalServerError || strings.Contains(string(body), "payment") {
		t.Errorf("status %d, body %q; want the error page: two keys are one too many", res.StatusCode, body)
	}
}

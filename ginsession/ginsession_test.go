package ginsession_test

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

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/ginsession"
)

func init() { gin.SetMode(gin.TestMode) }

func TestAdapter(t *testing.T) {
	adaptertest.Run(t, adaptertest.Framework{Guards: true, Serve: serve}, nil)
}

func TestAdapterWithSealedCookies(t *testing.T) {
	adaptertest.RunSealed(t, adaptertest.Framework{Guards: true, Serve: serve})
}

func serve(_ testing.TB, app adaptertest.App) http.Handler {
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(middleware(app.Use)...)
	for _, g := range app.Groups {
		group := e.Group(g.Prefix, middleware(g.Use)...)
		for _, r := range g.Routes {
			h := func(c *gin.Context) {
				if err := r.Handler(neutral(c)); err != nil && !c.Writer.Written() {
					_ = c.AbortWithError(http.StatusInternalServerError, err) // returns what it was given
				}
			}
			if r.Method == "" {
				group.Any(r.Path, h)
			} else {
				group.Handle(r.Method, r.Path, h)
			}
		}
	}
	return e
}

func middleware(use []adaptertest.Middleware) (all []gin.HandlerFunc) {
	for _, mw := range use {
		switch {
		case mw.Session != nil:
			all = append(all, ginsession.Use(mw.Session))
		case mw.Guard != nil && mw.Guard.Proof:
			all = append(all, ginsession.RequireProof(mw.Guard.MaxAge, mw.Guard.Page))
		case mw.Guard != nil && mw.Guard.MaxAge != 0:
			all = append(all, ginsession.RequireRecentSignIn(mw.Guard.MaxAge, mw.Guard.Page))
		case mw.Guard != nil:
			all = append(all, ginsession.RequireUser(mw.Guard.Page))
		case mw.Recover:
			all = append(all, gin.RecoveryWithWriter(io.Discard))
		}
	}
	return all
}

func neutral(c *gin.Context) *adaptertest.Context {
	return &adaptertest.Context{
		Request: c.Request, Writer: c.Writer,
		Get:    func() *core.Session { return ginsession.Get(c) },
		Lookup: func() (*core.Session, bool) { return ginsession.Lookup(c) },
		Load:   func() (*core.Session, error) { return ginsession.Load(c) },

		TellExpiry: func() error { ginsession.TellExpiry(c); return nil },
		ReturnPath: func(otherwise string) string { return ginsession.ReturnPath(c, otherwise) },

		String:    func(status int, text string) error { c.String(status, "%s", text); return nil },
		JSON:      func(status int, v any) error { c.JSON(status, v); return nil },
		NoContent: func(status int) error { c.Status(status); return nil },
		Redirect:  func(status int, location string) error { c.Redirect(status, location); return nil },
		File:      func(name string) error { c.File(name); return nil },
		Fail: func(status int) error {
			_ = c.AbortWithError(status, errors.New("failed")) // returns what it was given
			return nil
		},
	}
}

const views ginsession.Key[int] = "views"

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

func config(st store.Store) ginsession.Config {
	return ginsession.Config{
		Store:   st,
		Secrets: []string{strings.Repeat("s", 32)},
	}
}

func TestHandleContext(t *testing.T) {
	e := gin.New()
	e.Use(ginsession.New(config(adaptertest.NewStore())))
	e.GET("/from", func(c *gin.Context) {
		views.Update(ginsession.Get(c), increment)
		c.Request.URL.Path = "/to"
		e.HandleContext(c)
		views.Update(ginsession.Get(c), increment) // the session is still there, and takes it
	})
	e.GET("/to", func(c *gin.Context) {
		c.String(http.StatusOK, "%d", views.Update(ginsession.Get(c), increment))
	})
	v := visit(t, e)
	if n := v.get("/from", http.StatusOK, "2"); n != 1 {
		t.Errorf("the first visit sets %d cookies, want one", n)
	}
	if n := v.get("/to", http.StatusOK, "4"); n != 0 {
		t.Errorf("the second visit sets %d cookies, want none", n)
	}
	if n := v.get("/from", http.StatusOK, "6"); n != 0 {
		t.Errorf("the third visit sets %d cookies, want none", n)
	}
	v.get("/to", http.StatusOK, "8")
}

func TestHandleContextWhenTheCommitFails(t *testing.T) {
	st := &failing{Store: adaptertest.NewStore()}
	e := gin.New()
	e.Use(ginsession.New(config(st)))
	e.GET("/from", func(c *gin.Context) {
		c.Request.URL.Path = "/to"
		e.HandleContext(c)
	})
	e.GET("/to", func(c *gin.Context) { c.String(http.StatusOK, "%d", views.Update(ginsession.Get(c), increment)) })
	st.down.Store(true)
	if n := visit(t, e).get("/from", http.StatusServiceUnavailable, "Service Unavailable"); n != 0 {
		t.Errorf("the error page sets %d cookies", n)
	}
}

func TestAbortIsStoredLikeAnyOtherAnswer(t *testing.T) {
	for name, abort := range map[string]func(*gin.Context){
		"AbortWithStatus":     func(c *gin.Context) { c.AbortWithStatus(http.StatusForbidden) },
		"AbortWithStatusJSON": func(c *gin.Context) { c.AbortWithStatusJSON(http.StatusForbidden, gin.H{}) },
		"AbortWithError":      func(c *gin.Context) { _ = c.AbortWithError(http.StatusForbidden, errors.New("no")) },
		"Abort":               func(c *gin.Context) { c.Status(http.StatusForbidden); c.Abort() },
	} {
		e := gin.New()
		e.Use(ginsession.New(config(adaptertest.NewStore())))
		e.GET("/views", func(c *gin.Context) { c.String(http.StatusOK, "%d", views.Get(ginsession.Get(c))) })
		e.Use(func(c *gin.Context) {
			views.Update(ginsession.Get(c), increment)
			abort(c)
		})
		e.GET("/guarded", func(*gin.Context) { t.Errorf("%s: the handler runs", name) })
		v := visit(t, e)
		body := ""
		if name == "AbortWithStatusJSON" {
			body = "{}"
		}
		if n := v.get("/guarded", http.StatusForbidden, body); n != 1 {
			t.Errorf("%s: %d cookies are set, want one", name, n)
		}
		v.get("/views", http.StatusOK, "1")
	}
}

// TestErrorsReachErrorMiddleware has a middleware outside that renders
// c.Errors, as apps do: it gets ours, and what it writes does not spoil the
// error page that was sent.
func TestErrorsReachErrorMiddleware(t *testing.T) {
	st := &failing{Store: adaptertest.NewStore()}
	seen := make(chan error, 1)
	e := gin.New()
	e.Use(func(c *gin.Context) {
		c.Next()
		if err := c.Errors.Last(); err != nil {
			seen <- err
			if !c.Writer.Written() {
				c.JSON(http.StatusInternalServerError, gin.H{"error": "sorry"})
			}
		}
	})
	e.Use(ginsession.New(config(st)))
	e.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "%d", views.Update(ginsession.Get(c), increment)) })
	e.GET("/own", func(c *gin.Context) {
		views.Update(ginsession.Get(c), increment)
		_ = c.Error(errors.New("the app's own"))
	})
	v := visit(t, e)
	v.get("/", http.StatusOK, "1")
	st.down.Store(true)
	v.get("/", http.StatusServiceUnavailable, "Service Unavailable") // the load
	var failure *store.Error
	if err := <-seen; !errors.As(err, &failure) || failure.Verb != "load" {
		t.Errorf("c.Errors has %v, want the store's error", err)
	}
	visit(t, e).get("/", http.StatusServiceUnavailable, "Service Unavailable") // the commit
	if err := <-seen; !errors.As(err, &failure) || failure.Verb != "create" {
		t.Errorf("c.Errors has %v, want the store's error", err)
	}
	st.down.Store(false)
	if n := visit(t, e).get("/own", http.StatusInternalServerError, `{"error":"sorry"}`); n != 1 {
		t.Errorf("the app's own error page sets %d cookies, want one", n)
	}
	<-seen
}

func TestNoRouteHasASession(t *testing.T) {
	e := gin.New()
	e.Use(ginsession.New(config(adaptertest.NewStore())))
	e.NoRoute(func(c *gin.Context) {
		c.String(http.StatusNotFound, "%d", views.Update(ginsession.Get(c), increment))
	})
	v := visit(t, e)
	v.get("/missing", http.StatusNotFound, "1")
	v.get("/missing", http.StatusNotFound, "2")
}

func TestCopyInAGoroutine(t *testing.T) {
	e := gin.New()
	e.Use(ginsession.New(config(adaptertest.NewStore())))
	e.GET("/", func(c *gin.Context) {
		done := make(chan int)
		cp := c.Copy()
		go func() { done <- views.Update(ginsession.Get(cp), increment) }()
		<-done
		c.String(http.StatusOK, "%d", views.Update(ginsession.Get(c), increment))
	})
	v := visit(t, e)
	v.get("/", http.StatusOK, "2")
	v.get("/", http.StatusOK, "4")
}

func TestStream(t *testing.T) {
	e := gin.New()
	e.Use(ginsession.New(config(adaptertest.NewStore())))
	e.GET("/stream", func(c *gin.Context) {
		views.Update(ginsession.Get(c), increment)
		n := 0
		c.Stream(func(w io.Writer) bool {
			n++
			c.SSEvent("n", n)
			return n < 3
		})
	})
	e.GET("/views", func(c *gin.Context) { c.String(http.StatusOK, "%d", views.Get(ginsession.Get(c))) })
	v := visit(t, e)
	if n := v.get("/stream", http.StatusOK, "event:n\ndata:1\n\nevent:n\ndata:2\n\nevent:n\ndata:3"); n != 1 {
		t.Errorf("the stream sets %d cookies, want one", n)
	}
	v.get("/views", http.StatusOK, "1")
}

func TestTheContextOfGinHasTheSession(t *testing.T) {
	e := gin.New()
	e.ContextWithFallback = true
	e.Use(ginsession.New(config(adaptertest.NewStore())))
	e.GET("/", func(c *gin.Context) {
		c.JSON(http.StatusOK, core.FromContext(c) == ginsession.Get(c))
	})
	visit(t, e).get("/", http.StatusOK, "true")
}

func TestNewPanicsNamingTheField(t *testing.T) {
	for field, cfg := range map[string]ginsession.Config{
		"Store":           {Secrets: []string{strings.Repeat("s", 32)}},
		"Secrets":         {Store: adaptertest.NewStore()},
		"Cookie.SameSite": {Store: adaptertest.NewStore(), Secrets: []string{strings.Repeat("s", 32)}, Cookie: ginsession.Cookie{SameSite: http.SameSiteNoneMode}},
		"IdleTimeout":     {Store: adaptertest.NewStore(), Secrets: []string{strings.Repeat("s", 32)}, IdleTimeout: -1},
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				var wrong *ginsession.ConfigError
				if !errors.As(err, &wrong) || wrong.Field != field || !strings.Contains(err.Error(), "Config."+field) {
					t.Errorf("New panics with %v, want an error that names Config.%s", err, field)
				}
			}()
			ginsession.New(cfg)
		}()
	}
}

func TestGetWithoutTheMiddleware(t *testing.T) {
	e := gin.New()
	e.GET("/", func(c *gin.Context) {
		if _, ok := ginsession.Lookup(c); ok {
			t.Error("Lookup finds a session")
		}
		if _, err := ginsession.Load(c); !errors.Is(err, ginsession.ErrNoSession) {
			t.Errorf("Load returns %v, want ErrNoSession", err)
		}
		defer func() {
			err, _ := recover().(error)
			if !errors.Is(err, ginsession.ErrNoSession) || !strings.Contains(err.Error(), "middleware") {
				t.Errorf("Get panics with %v, want it to say that the middleware is missing", err)
			}
			c.String(http.StatusOK, "ok")
		}()
		ginsession.Get(c)
	})
	visit(t, e).get("/", http.StatusOK, "ok")
}

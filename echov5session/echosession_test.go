package echosession_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/echov5session"
)

func TestAdapter(t *testing.T) {
	adaptertest.Run(t, adaptertest.Framework{Serve: serve, Gzip: true}, nil)
}

func serve(_ testing.TB, app adaptertest.App) http.Handler {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Use(mount(app.Use)...)
	for _, g := range app.Groups {
		for _, r := range g.Routes {
			h := func(c *echo.Context) error { return r.Handler(neutral(c)) }
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
		case mw.Recover:
			all = append(all, middleware.Recover())
		case mw.Gzip:
			all = append(all, middleware.Gzip())
		}
	}
	return all
}

func neutral(c *echo.Context) *adaptertest.Context {
	return &adaptertest.Context{
		Request: c.Request(), Writer: c.Response(),
		Get:    func() *core.Session { return echosession.Get(c) },
		Lookup: func() (*core.Session, bool) { return echosession.Lookup(c) },
		Load:   func() (*core.Session, error) { return echosession.Load(c) },

		String: c.String, JSON: c.JSON, NoContent: c.NoContent, Redirect: c.Redirect,
		File: func(name string) error { return c.FileFS(filepath.Base(name), os.DirFS(filepath.Dir(name))) },
		Fail: func(status int) error { return echo.NewHTTPError(status, http.StatusText(status)) },
	}
}

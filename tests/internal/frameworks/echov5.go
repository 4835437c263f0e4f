package frameworks

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
	echov5session "github.com/cloakroom-go/cloakroom/echov5session"
)

func serveEchoV5(_ testing.TB, app adaptertest.App) http.Handler {
	return EchoV5With(app, echov5session.Use)
}

// EchoV5With serves an app by Echo v5, with sessions by any middleware.
func EchoV5With(app adaptertest.App, sessions func(*core.Manager) echo.MiddlewareFunc) *echo.Echo {
	use := func(list []adaptertest.Middleware) (all []echo.MiddlewareFunc) {
		for _, mw := range list {
			switch {
			case mw.Session != nil:
				all = append(all, sessions(mw.Session))
			case mw.Guard != nil && mw.Guard.Proof:
				all = append(all, echov5session.RequireProof(mw.Guard.MaxAge, mw.Guard.Page))
			case mw.Guard != nil && mw.Guard.MaxAge != 0:
				all = append(all, echov5session.RequireRecentSignIn(mw.Guard.MaxAge, mw.Guard.Page))
			case mw.Guard != nil:
				all = append(all, echov5session.RequireUser(mw.Guard.Page))
			case mw.Recover:
				all = append(all, middleware.Recover())
			case mw.Gzip:
				all = append(all, middleware.Gzip())
			}
		}
		return all
	}
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Use(use(app.Use)...)
	for _, g := range app.Groups {
		for _, r := range g.Routes {
			h := func(c *echo.Context) error { return r.Handler(fromEchoV5(c)) }
			if r.Method == "" {
				e.Any(g.Prefix+r.Path, h, use(g.Use)...)
			} else {
				e.Add(r.Method, g.Prefix+r.Path, h, use(g.Use)...)
			}
		}
	}
	return e
}

func fromEchoV5(c *echo.Context) *adaptertest.Context {
	return &adaptertest.Context{
		Request: c.Request(), Writer: c.Response(),
		Get:    func() *core.Session { return echov5session.Get(c) },
		Lookup: func() (*core.Session, bool) { return echov5session.Lookup(c) },
		Load:   func() (*core.Session, error) { return echov5session.Load(c) },

		TellExpiry: func() error { return echov5session.TellExpiry(c) },
		ReturnPath: func(otherwise string) string { return echov5session.ReturnPath(c, otherwise) },

		String: c.String, JSON: c.JSON, NoContent: c.NoContent, Redirect: c.Redirect,
		File: func(name string) error { return c.FileFS(filepath.Base(name), os.DirFS(filepath.Dir(name))) },
		Fail: func(status int) error { return echo.NewHTTPError(status, http.StatusText(status)) },
	}
}

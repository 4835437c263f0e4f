package frameworks

import (
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/echosession"
)

func serveEcho(_ testing.TB, app adaptertest.App) http.Handler {
	return EchoWith(app, echosession.Use)
}

// EchoWith serves an app by Echo v4, with sessions by any middleware.
func EchoWith(app adaptertest.App, sessions func(*core.Manager) echo.MiddlewareFunc) *echo.Echo {
	use := func(list []adaptertest.Middleware) (all []echo.MiddlewareFunc) {
		for _, mw := range list {
			switch {
			case mw.Session != nil:
				all = append(all, sessions(mw.Session))
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
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(use(app.Use)...)
	for _, g := range app.Groups {
		for _, r := range g.Routes {
			h := func(c echo.Context) error { return r.Handler(fromEcho(c)) }
			if r.Method == "" {
				e.Any(g.Prefix+r.Path, h, use(g.Use)...)
			} else {
				e.Add(r.Method, g.Prefix+r.Path, h, use(g.Use)...)
			}
		}
	}
	return e
}

func fromEcho(c echo.Context) *adaptertest.Context {
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

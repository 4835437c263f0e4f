package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/cloakroom-go/cloakroom/echosession"
)

// newEcho mounts the app on Echo.
func newEcho(a *app) http.Handler {
	e := echo.New()
	e.Use(
		middleware.RecoverWithConfig(middleware.RecoverConfig{
			LogErrorFunc: func(_ echo.Context, err error, _ []byte) error { return fmt.Errorf("%w: panic: %w", errBroken, err) },
		}),
		echosession.Use(a.sessions), // a handler has its session by echosession.Get(c), or core.FromContext
	)
	for _, route := range a.routes() {
		e.Add(route.method, route.path, func(c echo.Context) error {
			return a.serve(route, c.Response(), c.Request())
		})
	}
	e.GET("/static/*", echo.WrapHandler(static()))
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		switch {
		case errors.Is(err, echo.ErrNotFound):
			err = errNotFound
		case errors.Is(err, echo.ErrMethodNotAllowed):
			err = errMethod
		}
		a.fail(c.Response(), c.Request(), err)
	}
	return e
}

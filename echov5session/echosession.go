// Package echosession gives apps with Echo v5 server-side sessions. It is the
// adapter of Cloakroom for Echo: all that there is to configure is in [Config],
// and all that a handler can do with a session is in [Session] and [Key]. The
// adapter for Echo v4 has the same name and lives in the module
// github.com/cloakroom-go/cloakroom/echosession.
//
//	const views echosession.Key[int] = "views"
//
//	e := echo.New()
//	e.Use(echosession.New(echosession.Config{
//		Store:   memorystore.New(memorystore.Options{}),
//		Secrets: []string{os.Getenv("SESSION_SECRET")},
//	}))
//	e.GET("/", func(c *echo.Context) error {
//		n := views.Update(echosession.Get(c), func(n int) int { return n + 1 })
//		return c.String(http.StatusOK, fmt.Sprintf("Number of views: %d\n", n))
//	})
//
// A session that cannot be loaded or saved is an [echo.HTTPError] (503) for
// Echo's HTTPErrorHandler, unless Config.ErrorHandler answers it.
package echosession

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
)

// New returns the middleware. It panics on an invalid Config, with a message
// that says which field and why; [core.New] and [Use] give the error instead.
func New(cfg Config) echo.MiddlewareFunc {
	m, err := core.New(cfg)
	if err != nil {
		panic(err)
	}
	return Use(m)
}

// Use returns the middleware for a Manager that the app keeps, because it also
// uses it outside of requests.
func Use(m *core.Manager) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) (err error) {
			r := c.Request()
			r.Pattern = cmp.Or(r.Pattern, c.Path()) // which the log says
			if m.ServeBinding(c.Response(), r) {
				return nil
			}
			x, err := m.Begin(r)
			if err != nil {
				return fail(m, c, err, nil)
			}
			c.SetRequest(x.Request(r))
			if x.Skipped() {
				return next(c)
			}
			inner := c.Response()
			w := x.Writer(inner) // the error page is the HTTPErrorHandler's, after the handler
			c.SetResponse(w)
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				if w.Err() != nil {
					restore(c, x, inner) // the error page of the recovery has to get through
				}
				aborted, _ := v.(error)
				if w.Err() == nil || !errors.Is(aborted, http.ErrAbortHandler) { // httputil.ReverseProxy panics so when a write fails
					x.Panicked(w, v)
				}
				err = respond(m, c, x, w, inner, w.Err(), nil)
			}()
			handlerErr := next(c)
			if handlerErr != nil && !w.Began() {
				// What renders the error may still use the session, but it does
				// not have to write through w: commit here what there is.
				err = x.Commit(w.Header())
				// After this function the HTTPErrorHandler has the floor, and
				// nobody is left to answer for it.
				w.Failer = m
			} else {
				err = x.Finish(w.Header())
			}
			if err == nil {
				err = w.Err()
			}
			if err != nil {
				return respond(m, c, x, w, inner, err, handlerErr)
			}
			return handlerErr
		}
	}
}

// respond makes the error the response in place of what the handler wrote, of
// which nothing left.
func respond(m *core.Manager, c *echo.Context, x *core.Exchange, w *core.Writer, inner http.ResponseWriter, err, handlerErr error) error {
	restore(c, x, inner)
	if m.Config().ErrorHandler == nil {
		return fail(m, c, err, handlerErr)
	}
	w.Failer = page{m, c} // by w, so that the middleware that is mounted twice sends it once
	w.Fail(err)
	return nil
}

// A page sends the error page of Config.ErrorHandler by Echo's response, which so knows of it.
type page struct {
	m *core.Manager
	c *echo.Context
}

// Fail implements [core.Failer].
func (p page) Fail(_ http.ResponseWriter, _ *http.Request, err error) {
	p.m.Fail(p.c.Response(), p.c.Request(), err)
}

// restore undoes what the handler did to the response.
func restore(c *echo.Context, x *core.Exchange, inner http.ResponseWriter) {
	c.SetResponse(inner)
	if res, err := echo.UnwrapResponse(inner); err == nil { // it takes an informational response for the answer
		res.Committed, res.Status, res.Size = false, http.StatusOK, 0
	}
	_ = x.Commit(inner.Header()) // it failed, keeps failing, and takes back what was set since
}

// fail returns the error for the HTTPErrorHandler, unless Config.ErrorHandler
// answers.
func fail(m *core.Manager, c *echo.Context, err, handlerErr error) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if m.Config().ErrorHandler != nil {
		m.Fail(c.Response(), c.Request(), err)
		return nil
	}
	status := core.HTTPStatus(err)
	return echo.NewHTTPError(status, http.StatusText(status)).Wrap(errors.Join(err, handlerErr))
}

// Get returns the session of the request. Behind the middleware there is
// always one. Elsewhere, and where Config.Skip or Cookie.Path left the request
// alone, it panics and names the reason; [Lookup] does not.
//
// With Config.Lazy it loads the session and, where that fails, abandons the
// handler by a panic that the middleware turns into the error page. A goroutine
// that the handler started calls [Load]: nobody would recover the panic there, and
// it would end the process.
//
// It is [core.FromContext] for the request's context, where a session is found
// too: by a handler's callees, for instance.
func Get(c *echo.Context) *Session { return core.FromContext(c.Request().Context()) }

// Lookup returns the session of the request and whether there is one. It never
// panics.
func Lookup(c *echo.Context) (*Session, bool) { return core.Lookup(c.Request().Context()) }

// Load returns the session of the request or the reason why there is none:
// [ErrNoSession], or the store's error where Config.Lazy is set.
func Load(c *echo.Context) (*Session, error) { return core.Load(c.Request().Context()) }

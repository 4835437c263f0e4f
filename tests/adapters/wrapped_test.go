package adapters

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	echov5 "github.com/labstack/echo/v5"
	middlewarev5 "github.com/labstack/echo/v5/middleware"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/echosession"
	echov5session "github.com/cloakroom-go/cloakroom/echov5session"
	"github.com/cloakroom-go/cloakroom/ginsession"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// TestEchoWrapMiddleware runs the table over the middleware of net/http in Echo.
func TestEchoWrapMiddleware(t *testing.T) {
	// Echo takes an informational response for the answer, and drops the status
	// of the one that follows. An adapter can mend that, a wrapped one cannot.
	const why = "Echo drops the status that follows an informational response"
	except := map[string]string{
		"103 by the handler: gives way when the commit fails":                       why,
		"a reverse proxy whose upstream sends 103: gives way when the commit fails": why,
	}
	t.Run("v4", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Framework{Gzip: true, Except: except, Serve: func(_ testing.TB, app adaptertest.App) http.Handler {
			return frameworks.EchoWith(app, func(m *core.Manager) echo.MiddlewareFunc { return echo.WrapMiddleware(m.Handler) })
		}}, newStore)
	})
	t.Run("v5", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Framework{Gzip: true, Except: except, Serve: func(_ testing.TB, app adaptertest.App) http.Handler {
			return frameworks.EchoV5With(app, func(m *core.Manager) echov5.MiddlewareFunc { return echov5.WrapMiddleware(m.Handler) })
		}}, newStore)
	})
}

// A visitor counts: the app answers with how often they came.
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
	return &visitor{t, srv.URL, &http.Client{Jar: jar, Timeout: 20 * time.Second}}
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

// counts checks that the session lasts.
func (v *visitor) counts(path string) {
	v.t.Helper()
	for i := range 3 {
		if n := v.get(path, http.StatusOK, fmt.Sprint(i+1)); (n == 1) != (i == 0) {
			v.t.Fatalf("%s: visit %d sets %d cookies", path, i+1, n)
		}
	}
}

func manager(t *testing.T) *core.Manager {
	t.Helper()
	m, err := core.New(core.Config{Store: newStore(t), StoreTimeout: servers.Patience, Secrets: []string{strings.Repeat("s", 32)}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func next(n int) int { return n + 1 }

func TestManagerHandlerAroundGin(t *testing.T) {
	e := gin.New()
	e.Use(gin.RecoveryWithWriter(io.Discard))
	e.GET("/string", func(c *gin.Context) { c.String(http.StatusOK, "%d", visits.Update(ginsession.Get(c), next)) })
	e.GET("/json", func(c *gin.Context) {
		c.JSON(http.StatusOK, visits.Update(core.FromContext(c.Request.Context()), next))
	})
	e.GET("/status", func(c *gin.Context) {
		visits.Update(ginsession.Get(c), next)
		c.Status(http.StatusNoContent)
	})
	h := manager(t).Handler(e)
	visit(t, h).counts("/string")
	visit(t, h).counts("/json")
	if n := visit(t, h).get("/status", http.StatusNoContent, ""); n != 1 {
		t.Errorf("204 sets %d cookies, want one", n)
	}
}

func TestManagerHandlerAroundEcho(t *testing.T) {
	e := echo.New()
	e.GET("/json", func(c echo.Context) error { return c.JSON(http.StatusOK, visits.Update(echosession.Get(c), next)) })
	visit(t, manager(t).Handler(e)).counts("/json")

	e5 := echov5.New()
	e5.GET("/json", func(c *echov5.Context) error { return c.JSON(http.StatusOK, visits.Update(echov5session.Get(c), next)) })
	visit(t, manager(t).Handler(e5)).counts("/json")
}

// TestEchoMiddleware mounts what Echo brings, on either side of the sessions.
func TestEchoMiddleware(t *testing.T) {
	v4 := []echo.MiddlewareFunc{
		middleware.Recover(), middleware.Gzip(), middleware.Secure(), middleware.RequestID(), middleware.BodyLimit("1M"),
		middleware.ContextTimeout(time.Minute), middleware.CORS(), middleware.BodyDump(func(echo.Context, []byte, []byte) {}),
		middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
			HandleError: true, LogStatus: true,
			LogValuesFunc: func(echo.Context, middleware.RequestLoggerValues) error { return nil },
		}),
	}
	v5 := []echov5.MiddlewareFunc{
		middlewarev5.Recover(), middlewarev5.Gzip(), middlewarev5.Secure(), middlewarev5.RequestID(), middlewarev5.BodyLimit(1 << 20),
		middlewarev5.ContextTimeout(time.Minute), middlewarev5.BodyDump(func(*echov5.Context, []byte, []byte, error) {}),
		middlewarev5.RequestLoggerWithConfig(middlewarev5.RequestLoggerConfig{
			HandleError: true, LogStatus: true,
			LogValuesFunc: func(*echov5.Context, middlewarev5.RequestLoggerValues) error { return nil },
		}),
	}
	for _, inside := range []bool{false, true} {
		e := echo.New()
		e.Logger.SetOutput(io.Discard)
		e5 := echov5.New()
		if inside {
			e.Use(echosession.Use(manager(t)))
			e5.Use(echov5session.Use(manager(t)))
		}
		e.Use(v4...)
		e5.Use(v5...)
		if !inside {
			e.Use(echosession.Use(manager(t)))
			e5.Use(echov5session.Use(manager(t)))
		}
		e.GET("/count", func(c echo.Context) error { return c.JSON(http.StatusOK, visits.Update(echosession.Get(c), next)) })
		e.GET("/error", func(c echo.Context) error {
			visits.Update(echosession.Get(c), next)
			return echo.NewHTTPError(http.StatusTeapot, "no coffee")
		})
		e5.GET("/count", func(c *echov5.Context) error { return c.JSON(http.StatusOK, visits.Update(echov5session.Get(c), next)) })
		e5.GET("/error", func(c *echov5.Context) error {
			visits.Update(echov5session.Get(c), next)
			return echov5.NewHTTPError(http.StatusTeapot, "no coffee")
		})
		for _, h := range []http.Handler{e, e5} {
			visit(t, h).counts("/count")
			v := visit(t, h)
			if n := v.get("/error", http.StatusTeapot, `{"message":"no coffee"}`); n != 1 {
				t.Errorf("inside: %v: an error sets %d cookies, want one", inside, n)
			}
			v.get("/count", http.StatusOK, "2")
		}
	}
}

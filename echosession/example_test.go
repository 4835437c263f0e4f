package echosession_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/echosession"
)

// A typed key: name and type, declared once.
const visits echosession.Key[int] = "visits"

func ExampleNew() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store:   adaptertest.NewStore(), // an app takes memorystore.New(memorystore.Options{}), for one
		Secrets: []string{"a secret of 32 random bytes or more"},
	}))
	e.GET("/", func(c echo.Context) error {
		n := visits.Update(echosession.Get(c), func(n int) int { return n + 1 })
		return c.String(http.StatusOK, fmt.Sprintf("Number of views: %d", n))
	})

	browse(e, "/", "/", "/")
	// Output:
	// Number of views: 1
	// Number of views: 2
	// Number of views: 3
}

// With a Manager the app can use its sessions outside of requests too.
func ExampleUse() {
	m, err := core.New(echosession.Config{
		Store:   adaptertest.NewStore(),
		Secrets: []string{"a secret of 32 random bytes or more"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := echo.New()
	e.Use(echosession.Use(m))
	e.GET("/healthz", func(c echo.Context) error {
		if err := m.Ping(c.Request().Context()); err != nil {
			return c.String(http.StatusServiceUnavailable, "no sessions")
		}
		return c.String(http.StatusOK, "ok")
	})

	browse(e, "/healthz")
	// Output: ok
}

func ExampleGet() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store:   adaptertest.NewStore(),
		Secrets: []string{"a secret of 32 random bytes or more"},
	}))
	e.GET("/login", func(c echo.Context) error {
		s := echosession.Get(c)
		if err := s.Renew(); err != nil { // a new id, so that the one before login is worth nothing
			return err
		}
		s.Set("user", "ann")
		return c.String(http.StatusOK, "welcome")
	})
	e.GET("/me", func(c echo.Context) error {
		user, ok := echosession.Get(c).Get("user").(string)
		if !ok {
			return c.String(http.StatusUnauthorized, "who are you?")
		}
		return c.String(http.StatusOK, "you are "+user)
	})
	e.GET("/logout", func(c echo.Context) error {
		if err := echosession.Get(c).Destroy(c.Request().Context()); err != nil {
			return err
		}
		return c.String(http.StatusOK, "bye")
	})

	browse(e, "/me", "/login", "/me", "/logout", "/me")
	// Output:
	// who are you?
	// welcome
	// you are ann
	// bye
	// who are you?
}

// browse asks for one path after the other, as a browser does, and prints the
// answers.
func browse(h http.Handler, paths ...string) {
	var cookies []*http.Cookie
	for _, path := range paths {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		for _, c := range cookies {
			if c.MaxAge >= 0 {
				req.AddCookie(c)
			}
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if set := rec.Result().Cookies(); len(set) > 0 {
			cookies = set
		}
		fmt.Println(strings.TrimSpace(rec.Body.String()))
	}
}

package ginsession_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/ginsession"
)

// A typed key: name and type, declared once.
const visits ginsession.Key[int] = "visits"

func ExampleNew() {
	r := gin.New()
	r.Use(ginsession.New(ginsession.Config{
		Store:   adaptertest.NewStore(), // an app takes memorystore.New(memorystore.Options{}), for one
		Secrets: []string{"a secret of 32 random bytes or more"},
	}))
	r.GET("/", func(c *gin.Context) {
		n := visits.Update(ginsession.Get(c), func(n int) int { return n + 1 })
		c.String(http.StatusOK, "Number of views: %d", n)
	})

	browse(r, "/", "/", "/")
	// Output:
	// Number of views: 1
	// Number of views: 2
	// Number of views: 3
}

// With a Manager the app can use its sessions outside of requests too.
func ExampleUse() {
	m, err := core.New(ginsession.Config{
		Store:   adaptertest.NewStore(),
		Secrets: []string{"a secret of 32 random bytes or more"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := gin.New()
	r.Use(ginsession.Use(m))
	r.GET("/healthz", func(c *gin.Context) {
		if err := m.Ping(c.Request.Context()); err != nil {
			c.String(http.StatusServiceUnavailable, "no sessions")
			return
		}
		c.String(http.StatusOK, "ok")
	})

	browse(r, "/healthz")
	// Output: ok
}

func ExampleGet() {
	r := gin.New()
	r.Use(ginsession.New(ginsession.Config{
		Store:   adaptertest.NewStore(),
		Secrets: []string{"a secret of 32 random bytes or more"},
	}))
	r.GET("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.Renew(); err != nil { // a new id, so that the one before login is worth nothing
			c.AbortWithStatus(http.StatusInternalServerError)
			return
		}
		s.Set("user", "ann")
		c.String(http.StatusOK, "welcome")
	})
	r.GET("/me", func(c *gin.Context) {
		user, ok := ginsession.Get(c).Get("user").(string)
		if !ok {
			c.String(http.StatusUnauthorized, "who are you?")
			return
		}
		c.String(http.StatusOK, "you are %s", user)
	})
	r.GET("/logout", func(c *gin.Context) {
		if err := ginsession.Get(c).Destroy(c.Request.Context()); err != nil {
			c.AbortWithStatus(http.StatusServiceUnavailable)
			return
		}
		c.String(http.StatusOK, "bye")
	})

	browse(r, "/me", "/login", "/me", "/logout", "/me")
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

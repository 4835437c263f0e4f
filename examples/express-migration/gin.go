package main

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/ginsession"
)

const (
	views ginsession.Key[int]      = "views"
	user  ginsession.Key[string]   = "user"
	cart  ginsession.Key[[]string] = "cart"
)

// newGin returns the app as it will be. It has all the routes; the proxy decides
// which of them are asked for here.
func newGin(st store.Store, secret string) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(ginsession.New(ginsession.Config{
		ShareWithExpress: true,
		Store:            st,
		Secrets:          []string{secret},
		TrustedProxies:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}))

	r.GET("/", func(c *gin.Context) {
		s := ginsession.Get(c)
		n := views.Update(s, func(n int) int { return n + 1 })
		who, what := user.Get(s), strings.Join(cart.Get(s), " ")
		if who == "" {
			who = "nobody"
		}
		if what == "" {
			what = "empty"
		}
		c.String(http.StatusOK, "Gin: view %d, user %s, cart %s\n", n, who, what)
	})
	r.POST("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.Renew(); err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		user.Set(s, c.PostForm("user"))
		c.String(http.StatusOK, "Gin: hello, %s\n", user.Get(s))
	})
	r.POST("/cart", func(c *gin.Context) {
		items := cart.Update(ginsession.Get(c), func(items []string) []string {
			return append(items, c.PostForm("item"))
		})
		c.String(http.StatusOK, "Gin: cart %s\n", strings.Join(items, " "))
	})
	r.POST("/logout", func(c *gin.Context) {
		if err := ginsession.Get(c).Destroy(c.Request.Context()); err != nil {
			_ = c.AbortWithError(http.StatusServiceUnavailable, err)
			return
		}
		c.String(http.StatusOK, "Gin: goodbye\n")
	})
	return r
}

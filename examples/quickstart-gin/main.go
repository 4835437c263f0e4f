// Command quickstart-gin counts a visitor's views, and logs in and out.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const views ginsession.Key[int] = "views"

func main() {
	r := gin.Default()
	r.Use(ginsession.New(ginsession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // 32 random bytes or more, the same on every instance
	}))

	r.GET("/", func(c *gin.Context) {
		n := views.Update(ginsession.Get(c), func(n int) int { return n + 1 })
		c.String(http.StatusOK, "Number of views: %d\n", n)
	})
	r.POST("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.SignIn(c.Request.Context(), c.PostForm("user")); err != nil { // under a new id: the old one may be known to others
			_ = c.AbortWithError(http.StatusBadRequest, err)
			return
		}
		c.String(http.StatusOK, "Hello, %s!\n", s.User())
	})
	r.GET("/me", ginsession.RequireUser(ginsession.SignInPage{}), func(c *gin.Context) { // 401; Path leads browsers to a page
		c.String(http.StatusOK, "You are %s.\n", ginsession.Get(c).User())
	})
	r.GET("/password", ginsession.RequireRecentSignIn(10*time.Minute, ginsession.SignInPage{}), func(c *gin.Context) {
		c.String(http.StatusOK, "Choose a new one, %s.\n", ginsession.Get(c).User())
	})
	r.POST("/logout", func(c *gin.Context) {
		if err := ginsession.Get(c).SignOut(c.Request.Context()); err != nil {
			_ = c.AbortWithError(http.StatusServiceUnavailable, err)
			return
		}
		c.String(http.StatusOK, "Goodbye!\n")
	})

	log.Fatal(r.Run("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}

// Command quickstart-api is an API for clients that keep no cookies: it logs in and out,
// with the session in a header.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

func main() {
	r := gin.Default()
	r.Use(ginsession.New(ginsession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // 32 random bytes or more, the same on every instance
		Header:  &ginsession.Header{},                  // Authorization: Bearer ..., for those who send it
	}))

	r.POST("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.SignIn(c.Request.Context(), c.PostForm("user")); err != nil {
			_ = c.AbortWithError(http.StatusBadRequest, err)
			return
		}
		c.JSON(http.StatusOK, gin.H{"user": s.User()}) // and Session-Token in the header
	})
	r.GET("/me", func(c *gin.Context) {
		s := ginsession.Get(c)
		if s.User() == "" {
			c.Header("WWW-Authenticate", s.Challenge())
			c.JSON(http.StatusUnauthorized, gin.H{"error": "Log in first."})
			return
		}
		c.JSON(http.StatusOK, gin.H{"user": s.User(), "by": s.CarriedBy().String()})
	})
	r.POST("/logout", func(c *gin.Context) {
		if err := ginsession.Get(c).SignOut(c.Request.Context()); err != nil {
			_ = c.AbortWithError(http.StatusServiceUnavailable, err)
			return
		}
		c.Status(http.StatusNoContent) // and an empty Session-Token
	})

	log.Fatal(r.Run("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}

// Command quickstart-echo counts a visitor's views, and logs in and out.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"

	"github.com/cloakroom-go/cloakroom/echosession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	views echosession.Key[int]    = "views"
	user  echosession.Key[string] = "user"
)

func main() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store: memorystore.New(),
		// A random secret will do as long as the sessions end with the process.
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())},
	}))

	e.GET("/", func(c echo.Context) error {
		n := views.Update(echosession.Get(c), func(n int) int { return n + 1 })
		return c.String(http.StatusOK, fmt.Sprintf("Number of views: %d\n", n))
	})
	e.POST("/login", func(c echo.Context) error {
		s := echosession.Get(c)
		if err := s.Renew(); err != nil { // a new id: the old one may be known to others
			return err
		}
		user.Set(s, c.FormValue("user"))
		return c.String(http.StatusOK, fmt.Sprintf("Hello, %s!\n", user.Get(s)))
	})
	e.GET("/me", func(c echo.Context) error {
		name := user.Get(echosession.Get(c))
		if name == "" {
			return c.String(http.StatusUnauthorized, "Log in first.\n")
		}
		return c.String(http.StatusOK, fmt.Sprintf("You are %s.\n", name))
	})
	e.POST("/logout", func(c echo.Context) error {
		if err := echosession.Get(c).Destroy(c.Request().Context()); err != nil {
			return err
		}
		return c.String(http.StatusOK, "Goodbye!\n")
	})

	log.Fatal(e.Start("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}

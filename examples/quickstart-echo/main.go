// Command quickstart-echo counts a visitor's views, and logs in and out.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v5"

	echosession "github.com/cloakroom-go/cloakroom/echov5session"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const views echosession.Key[int] = "views"

func main() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // 32 random bytes or more, the same on every instance
	}))

	e.GET("/", func(c *echo.Context) error {
		n := views.Update(echosession.Get(c), func(n int) int { return n + 1 })
		return c.String(http.StatusOK, fmt.Sprintf("Number of views: %d\n", n))
	})
	e.POST("/login", func(c *echo.Context) error {
		s := echosession.Get(c)
		if err := s.SignIn(c.Request().Context(), c.FormValue("user")); err != nil { // under a new id: the old one may be known to others
			return echo.ErrBadRequest.Wrap(err)
		}
		return c.String(http.StatusOK, fmt.Sprintf("Hello, %s!\n", s.User()))
	})
	e.GET("/me", func(c *echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprintf("You are %s.\n", echosession.Get(c).User()))
	}, echosession.RequireUser(echosession.SignInPage{})) // 401; Path leads browsers to a page
	e.GET("/password", func(c *echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprintf("Choose a new one, %s.\n", echosession.Get(c).User()))
	}, echosession.RequireRecentSignIn(10*time.Minute, echosession.SignInPage{}))
	e.POST("/logout", func(c *echo.Context) error {
		if err := echosession.Get(c).SignOut(c.Request().Context()); err != nil {
			return err
		}
		return c.String(http.StatusOK, "Goodbye!\n")
	})

	log.Fatal(e.Start("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}

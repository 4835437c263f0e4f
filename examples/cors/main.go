// Command cors is an API whose page is on another host of the same site, app.example.com
// beside api.example.com: three middlewares, in the order that lets all of them do their work.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/cloakroom-go/cloakroom/core"
	echosession "github.com/cloakroom-go/cloakroom/echov5session"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const origin = "https://app.example.com"

const try = `listening on http://%[1]s; what a browser sends for a page of https://app.example.com:

curl -si -X OPTIONS -H 'Origin: https://app.example.com' -H 'Access-Control-Request-Method: POST' http://%[1]s/login  # Access-Control-Allow-Credentials: true
curl -si -c jar -H 'Origin: https://app.example.com' -d user=bob http://%[1]s/login                            # Access-Control-Allow-Origin: https://app.example.com
curl -s --compressed -b jar -H 'Origin: https://app.example.com' http://%[1]s/me                               # {"user":"bob"}
curl -si -H 'Accept-Encoding: gzip' -b jar -H 'Origin: https://app.example.com' -o - http://%[1]s/me | head -n 12  # Content-Encoding: gzip
curl -si -H 'Origin: https://app.example.com' http://%[1]s/me                                                  # Access-Control-Allow-Origin: https://app.example.com
curl -si -b jar -H 'Origin: https://evil.example' -d user=eve http://%[1]s/login                               # 403 Forbidden
`

func main() {
	e := echo.New()
	e.Use(
		// 1. A preflight has no cookies, and is answered here. All else has its headers from here
		// on, a 401 or a 503 of the session too: without them the page could not read these.
		middleware.CORSWithConfig(middleware.CORSConfig{
			AllowOrigins:     []string{origin}, // by name: with credentials there is no star
			AllowCredentials: true,             // the page says fetch(url, {credentials: "include"})
			AllowMethods:     []string{"GET", "POST"},
			AllowHeaders:     []string{"Content-Type"},
			MaxAge:           600,
		}),
		// 2. CORS only says who may read. What a page of another site sends, with bob's cookie or
		// without, is refused here.
		protection(),
		// 3. Around the sessions or within them: a session is stored, and its cookie set, before the
		// first byte is compressed in either order. Leave out pages that hold a secret, such as a
		// token of a form, beside something that the request brought: their length tells of it.
		middleware.Gzip(),
		// 4. Next to the handlers.
		echosession.New(echosession.Config{
			Store:   memorystore.New(memorystore.Options{}),
			Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
			// SameSite=Lax is right: app.example.com and api.example.com are one site. A page of another
			// site needs SameSite=None with Secure, and browsers that still take such cookies.
		}),
	)

	e.POST("/login", func(c *echo.Context) error {
		s := echosession.Get(c)
		if err := s.SignIn(c.Request().Context(), c.FormValue("user")); err != nil {
			return echo.NewHTTPError(core.HTTPStatus(err), "Try again.").Wrap(err)
		}
		return c.JSON(http.StatusOK, map[string]string{"user": s.User()})
	})
	e.GET("/me", func(c *echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"user": echosession.Get(c).User()})
	}, echosession.RequireUser(echosession.SignInPage{}))

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal(http.ListenAndServe(addr, e))
}

func protection() echo.MiddlewareFunc {
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin(origin); err != nil {
		log.Fatal(err)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if err := p.Check(c.Request()); err != nil {
				return echo.NewHTTPError(http.StatusForbidden, "This request came from another site.").Wrap(err)
			}
			return next(c)
		}
	}
}

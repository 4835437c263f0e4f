// Command sign-in has a page for users who are signed in, and the form that leads to it: who
// opens the page is led to the form, and from there back to the page.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/labstack/echo/v5"
	"golang.org/x/crypto/bcrypt"

	"github.com/cloakroom-go/cloakroom/core"
	echosession "github.com/cloakroom-go/cloakroom/echov5session"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `http://%[1]s/orders in a browser, as bob with the password "correct horse"; or:

curl -si http://%[1]s/orders                                       # 401 Unauthorized
curl -si -H 'Accept: text/html' http://%[1]s/orders                # Location: /login?return_to=%%2Forders
curl -si -c jar -d user=bob -d password=guess http://%[1]s/login   # 401 Unauthorized
curl -si -c jar -d user=bob -d 'password=correct horse' 'http://%[1]s/login?return_to=/orders'  # Location: /orders
curl -s -b jar http://%[1]s/orders                                 # The orders of bob
curl -si -b jar -c jar -X POST http://%[1]s/logout                 # Location: /login
curl -si -b jar http://%[1]s/orders                                # 401 Unauthorized
`

// Without an action the form posts to the address that it was led to, return_to and all.
const form = `<!doctype html><title>Sign in</title><form method="post">
<label>Name <input name="user" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button></form>`

const orders = `<!doctype html><title>Orders</title><p>The orders of %s</p>
<form method="post" action="/logout"><button>Sign out</button></form>`

var (
	accounts = map[string][]byte{"bob": hash("correct horse")} // a table of your database
	nobodys  = hash(rand.Text())
)

func hash(password string) []byte {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		log.Fatal(err)
	}
	return h
}

func main() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
	}))

	// The form is outside of what is guarded: it is for those who are not signed in.
	e.GET("/login", func(c *echo.Context) error { return c.HTML(http.StatusOK, form) })
	e.POST("/login", login)
	e.POST("/logout", func(c *echo.Context) error { // by POST, which no link and no image of another site can make
		if err := echosession.Get(c).SignOut(c.Request().Context()); err != nil {
			return err // a logout that failed must not look like one
		}
		return c.Redirect(http.StatusSeeOther, "/login")
	})

	private := e.Group("", echosession.RequireUser(echosession.SignInPage{Path: "/login"}))
	private.GET("/orders", func(c *echo.Context) error {
		return c.HTML(http.StatusOK, fmt.Sprintf(orders, echosession.Get(c).User()))
	})

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal(http.ListenAndServe(addr, e))
}

func login(c *echo.Context) error {
	s, user := echosession.Get(c), c.FormValue("user")
	stored, known := accounts[user]
	if !known {
		user, stored = "nobody", nobodys // who guesses names waits as long as for a wrong password
	}
	// The attempt begins before the password is read where that can change: a login that is
	// under way while it does, and while all sessions are ended, then fails.
	attempt, err := s.BeginSignIn(c.Request().Context(), user)
	if err != nil {
		return echo.NewHTTPError(core.HTTPStatus(err), "Try again.").Wrap(err)
	}
	if bcrypt.CompareHashAndPassword(stored, []byte(c.FormValue("password"))) != nil {
		return c.HTML(http.StatusUnauthorized, form+"<p>Name and password do not go together.")
	}
	if err := attempt.SignIn(c.Request().Context(), "password"); err != nil { // under a new id
		return echo.NewHTTPError(core.HTTPStatus(err), "Try again.").Wrap(err)
	}
	return c.Redirect(http.StatusSeeOther, echosession.ReturnPath(c, "/orders")) // never to another site
}

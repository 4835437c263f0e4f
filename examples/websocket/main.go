// Command websocket is a chat of one: what is sent comes back, until the session ends, by
// whomever. The connection is then closed with code 1008.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
	echosession "github.com/cloakroom-go/cloakroom/echov5session"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `http://%[1]s in two tabs of a browser: sign out in one, and see the other.
`

const page = `<!doctype html><title>Chat of one</title>
<form method="post" action="/login"><button>Sign in as bob</button></form>
<form method="post" action="/logout"><button>Sign out</button></form>
<input id="line" placeholder="Say something"><pre id="log"></pre>
<script>
const log = text => { document.getElementById("log").append(text + "\n") }
const socket = new WebSocket("/socket")
socket.onmessage = event => log(event.data)
socket.onclose = event => log(event.code === 1008 ? "You are signed out." : "Not connected.")
document.getElementById("line").onchange = event => { socket.send(event.target.value); event.target.value = "" }
</script>`

func main() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
	}))
	e.GET("/", func(c *echo.Context) error { return c.HTML(http.StatusOK, page) })
	e.POST("/login", func(c *echo.Context) error {
		if err := echosession.Get(c).SignIn(c.Request().Context(), "bob"); err != nil {
			return echo.NewHTTPError(core.HTTPStatus(err), "Try again.").Wrap(err)
		}
		return c.Redirect(http.StatusSeeOther, "/")
	})
	e.POST("/logout", func(c *echo.Context) error {
		if err := echosession.Get(c).SignOut(c.Request().Context()); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, "/")
	})
	e.GET("/socket", socket, echosession.RequireUser(echosession.SignInPage{})) // 401 before there is a connection

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal(http.ListenAndServe(addr, e))
}

func socket(c *echo.Context) error {
	s := echosession.Get(c)
	// Accept refuses pages of other origins, whose WebSocket would come with bob's cookie. It
	// takes the connection over: what was changed in the session is stored by then, and later
	// changes by s.Save.
	conn, err := websocket.Accept(c.Response(), c.Request(), nil)
	if err != nil {
		return nil // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()

	// The request's context says nothing of a connection that was taken over.
	ctx, done := context.WithCancel(context.Background())
	defer done()
	ended := s.Ended(ctx)
	go func() {
		select {
		case <-ended:
			_ = conn.Close(websocket.StatusPolicyViolation, "signed out") // which ends the Read below
		case <-ctx.Done():
		}
	}()

	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return nil
		}
		if err := conn.Write(ctx, kind, append([]byte(s.User()+": "), message...)); err != nil {
			return nil
		}
	}
}

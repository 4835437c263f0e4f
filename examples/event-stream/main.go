// Command event-stream tells a page the time for as long as its user is signed in: a logout
// in another tab, on another device or by an operator ends the stream.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `listening on http://%[1]s; the third command ends by itself when the last one was given:

curl -s -c phone -d user=bob http://%[1]s/login                  # Hello, bob!
curl -s -c laptop -d user=bob http://%[1]s/login                 # Hello, bob!
curl -sN -b phone http://%[1]s/events &                          # event:time
curl -s -b laptop -X POST http://%[1]s/logout-everywhere         # Goodbye!
`

func main() {
	gin.SetMode(gin.ReleaseMode)
	sessions, err := core.New(core.Config{
		Store:   memorystore.New(memorystore.Options{}),                                 // tells an end at once, as Valkey does; others within PollInterval
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
		Passive: func(r *http.Request) bool { return r.URL.Path == "/events" },          // an open page is no activity: IdleTimeout goes on
	})
	if err != nil {
		log.Fatal(err)
	}
	r := gin.New()
	r.Use(gin.Recovery(), ginsession.Use(sessions))

	r.POST("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.SignIn(c.Request.Context(), c.PostForm("user")); err != nil {
			_ = c.AbortWithError(core.HTTPStatus(err), err)
			return
		}
		c.String(http.StatusOK, "Hello, %s!\n", s.User())
	})
	signedIn := ginsession.RequireUser(ginsession.SignInPage{}) // after a 401 EventSource does not try again
	r.POST("/logout-everywhere", signedIn, func(c *gin.Context) {
		if err := sessions.RevokeUser(c.Request.Context(), ginsession.Get(c).User()); err != nil {
			_ = c.AbortWithError(core.HTTPStatus(err), err)
			return
		}
		c.String(http.StatusOK, "Goodbye!\n")
	})

	r.GET("/events", signedIn, stream)

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal((&http.Server{Addr: addr, Handler: r, WriteTimeout: 30 * time.Second}).ListenAndServe())
}

// stream sends an event now and then. A server that is shut down waits for streams: let
// RegisterOnShutdown end them.
func stream(c *gin.Context) {
	ended := ginsession.Get(c).Ended(c.Request.Context())
	c.Header("X-Accel-Buffering", "no") // nginx passes on what comes, when it comes
	control := http.NewResponseController(c.Writer)
	news := time.NewTicker(20 * time.Second) // often enough for the proxies in between
	defer news.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second)) // for each message, in place of WriteTimeout
		c.SSEvent("time", time.Now().Format(time.RFC3339))
		c.Writer.Flush()
		if len(c.Errors) > 0 { // it could not be written
			return
		}
		select {
		case <-news.C:
		case <-ended:
			c.SSEvent("signed-out", "") // for the page to say so
			return                      // EventSource asks again by itself, and gets a 401, or the events of a new login
		case <-c.Request.Context().Done(): // the browser is gone
			return
		}
	}
}

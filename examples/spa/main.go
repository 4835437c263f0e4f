// Command spa is a page that is one file, and the JSON API behind it. The session is in a
// cookie that no script can read; the page knows who is signed in because it asks.
package main

import (
	"cmp"
	"crypto/rand"
	_ "embed"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `http://%[1]s in a browser; or:

curl -si http://%[1]s/api/session                                                    # 401 Unauthorized
curl -s -c jar -H 'Content-Type: application/json' -d '{"user":"bob"}' http://%[1]s/api/session  # {"user":"bob"}
curl -s -b jar -H 'Content-Type: application/json' -d '{"text":"buy milk"}' http://%[1]s/api/notes  # ["buy milk"]
curl -s -b jar http://%[1]s/api/notes                                                # ["buy milk"]
curl -si -b jar -X DELETE http://%[1]s/api/session                                   # 204 No Content
curl -si -b jar http://%[1]s/api/notes                                               # 401 Unauthorized
`

//go:embed index.html
var index []byte

const notes ginsession.Key[[]string] = "notes"

func main() {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/", func(c *gin.Context) { c.Data(http.StatusOK, "text/html; charset=utf-8", index) }) // needs no session, so it is in front of the middleware

	api := r.Group("/api", ginsession.New(ginsession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
	}))
	// The session as a resource: sign in, who am I, sign out.
	api.POST("/session", func(c *gin.Context) {
		var in struct{ User string }
		if err := c.BindJSON(&in); err != nil {
			return // answered 400
		}
		s := ginsession.Get(c)
		if err := s.SignIn(c.Request.Context(), in.User); err != nil {
			fail(c, err)
			return
		}
		c.JSON(http.StatusOK, gin.H{"user": s.User()})
	})

	my := api.Group("", ginsession.RequireUser(ginsession.SignInPage{})) // without a Path: 401, and the page shows its form
	my.GET("/session", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"user": ginsession.Get(c).User()}) })
	my.DELETE("/session", func(c *gin.Context) {
		if err := ginsession.Get(c).SignOut(c.Request.Context()); err != nil {
			fail(c, err) // the page must not say "signed out"
			return
		}
		c.Status(http.StatusNoContent)
	})
	my.GET("/notes", func(c *gin.Context) { c.JSON(http.StatusOK, append([]string{}, notes.Get(ginsession.Get(c))...)) })
	my.POST("/notes", func(c *gin.Context) {
		var in struct{ Text string }
		if err := c.BindJSON(&in); err != nil {
			return
		}
		// Two tabs that add a note at once both do.
		c.JSON(http.StatusOK, notes.Update(ginsession.Get(c), func(all []string) []string { return append(all, in.Text) }))
	})

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	// A page of another site can send JSON, too, if it calls it text.
	log.Fatal(http.ListenAndServe(addr, http.NewCrossOriginProtection().Handler(r)))
}

func fail(c *gin.Context, err error) {
	c.AbortWithStatusJSON(core.HTTPStatus(err), gin.H{"error": "Try again."})
	_ = c.Error(err)
}

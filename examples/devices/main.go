// Command devices shows users where they are signed in, and lets them end one of these
// sessions, or all but the one that asks.
package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `listening on http://%[1]s; three devices of bob:

curl -s -c phone -A Phone -d user=bob http://%[1]s/login     # Hello, bob!
curl -s -c tablet -A Tablet -d user=bob http://%[1]s/login   # Hello, bob!
curl -s -c laptop -A Laptop -d user=bob http://%[1]s/login   # Hello, bob!
curl -s -b laptop http://%[1]s/devices                       # "device":"Phone"
curl -si -b laptop -X DELETE "http://%[1]s/devices/$(curl -s -b phone http://%[1]s/me)"  # 204 No Content
curl -si -b phone http://%[1]s/me                            # 401 Unauthorized
curl -si -b laptop -X DELETE http://%[1]s/devices            # 204 No Content
curl -si -b tablet http://%[1]s/me                           # 401 Unauthorized
curl -si -b laptop http://%[1]s/me                           # 200 OK
`

func main() {
	gin.SetMode(gin.ReleaseMode)
	// The Manager does what is not about one request: it lists and ends sessions.
	sessions, err := core.New(core.Config{
		Store:              memorystore.New(memorystore.Options{}),
		Secrets:            []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
		MaxSessionsPerUser: 10,                                                                     // one more login ends the one that was not used for longest
	})
	if err != nil {
		log.Fatal(err)
	}
	r := gin.New()
	r.Use(gin.Recovery(), ginsession.Use(sessions))

	r.POST("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.SignIn(c.Request.Context(), c.PostForm("user")); err != nil {
			fail(c, err)
			return
		}
		c.String(http.StatusOK, "Hello, %s!\n", s.User())
	})

	my := r.Group("/", ginsession.RequireUser(ginsession.SignInPage{}))
	my.GET("/me", func(c *gin.Context) { c.String(http.StatusOK, ginsession.Get(c).Handle()) })
	my.GET("/devices", func(c *gin.Context) {
		devices := []gin.H{}
		// The request's context, and not c, tells which of the sessions is the current one.
		for d, err := range sessions.Sessions(c.Request.Context(), ginsession.Get(c).User()) {
			if err != nil {
				fail(c, err)
				return
			}
			devices = append(devices, gin.H{ // a handle names a session and leads into none
				"handle": d.Handle, "current": d.Current, "device": d.Device, "network": d.Network.String(), "since": d.CreatedAt, "seen": d.LastSeen,
			})
		}
		c.JSON(http.StatusOK, devices)
	})
	my.DELETE("/devices/:handle", func(c *gin.Context) {
		// The user comes from the session: a handle of somebody else is not found.
		if err := sessions.Revoke(c.Request.Context(), ginsession.Get(c).User(), c.Param("handle")); err != nil {
			fail(c, err)
			return
		}
		c.Status(http.StatusNoContent)
	})
	my.DELETE("/devices", func(c *gin.Context) { // "log out everywhere else"; RevokeUser is "everywhere"
		if err := sessions.RevokeOthers(c.Request.Context(), ginsession.Get(c)); err != nil {
			fail(c, err)
			return
		}
		c.Status(http.StatusNoContent)
	})

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal(r.Run(addr))
}

func fail(c *gin.Context, err error) {
	status := core.HTTPStatus(err)
	if errors.Is(err, ginsession.ErrNotFound) {
		status = http.StatusNotFound
	}
	_ = c.AbortWithError(status, err)
}

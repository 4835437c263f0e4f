// Command demo is a small page that shows what a session is: it counts visits,
// remembers a name after a login, and forgets it after a logout.
//
// It listens on 127.0.0.1, at the port in PORT or 8080, and keeps its sessions
// in memory: they end with the process.
package main

import (
	"cmp"
	"crypto/rand"
	_ "embed"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	views ginsession.Key[int]       = "views"
	user  ginsession.Key[string]    = "user"
	since ginsession.Key[time.Time] = "since"
)

//go:embed page.html
var page string

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8080"))
	if err != nil {
		log.Fatalf("demo: %v; choose another port with PORT", err)
	}
	fmt.Printf("Open http://%s in a browser. Ctrl-C ends it.\n", listener.Addr())
	server := &http.Server{
		Handler:           newApp(cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.Serve(listener))
}

// newApp returns the whole app.
func newApp(secret string) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.SetHTMLTemplate(template.Must(template.New("page").Parse(page)))
	r.Use(ginsession.New(ginsession.Config{
		Store:   memorystore.New(),
		Secrets: []string{secret},
	}))
	r.GET("/", showPage)
	r.POST("/login", login)
	r.POST("/logout", logout)
	return http.NewCrossOriginProtection().Handler(r) // no other site may post our forms
}

func showPage(c *gin.Context) {
	s := ginsession.Get(c)
	c.HTML(http.StatusOK, "page", gin.H{
		"Views":    views.Update(s, func(n int) int { return n + 1 }),
		"User":     user.Get(s),
		"Since":    since.Get(s),
		"Messages": s.Flashes("info"),
	})
}

func login(c *gin.Context) {
	s := ginsession.Get(c)
	name := strings.TrimSpace(c.PostForm("user"))
	switch {
	case name == "":
		s.Flash("info", "Tell me a name to log in with.")
	case len(name) > 100:
		s.Flash("info", "That name is too long.")
	default:
		if err := s.Renew(); err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		user.Set(s, name)
		since.Set(s, time.Now().Round(time.Second))
		s.Flash("info", "You are logged in, with a new session id.")
	}
	c.Redirect(http.StatusSeeOther, "/")
}

func logout(c *gin.Context) {
	s := ginsession.Get(c)
	if err := s.Regenerate(); err != nil { // ends the old session; the new one carries the message
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	s.Flash("info", "You are logged out. The old session is gone for good.")
	c.Redirect(http.StatusSeeOther, "/")
}

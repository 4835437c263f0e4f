// Command gin-migration moves an app from gin-contrib/sessions to Cloakroom with nobody
// logged out: it starts the former app, the new one, which takes its sessions over, and a
// proxy in front of both. A number that is typed is the share of the browsers, in percent,
// that the proxy moves to the new app with their next request; who has moved stays there.
// SHARE is the share at the start, 0 without it. It listens on PORT, or on 8080.
//
//	curl -c jar -b jar http://127.0.0.1:8080/                       # the former app: nobody, 1 views
//	curl -c jar -b jar -d user=bob http://127.0.0.1:8080/login      # the former app: bob, 1 views
//	# type 100
//	curl -c jar -b jar http://127.0.0.1:8080/                       # the new app: bob, 2 views
package main

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/takeover"
)

const (
	formerName = "mysession" // of the former cookie
	newName    = "shop"
)

func main() {
	log.SetFlags(0)
	gin.SetMode(gin.ReleaseMode)
	share, _ := strconv.Atoi(os.Getenv("SHARE"))
	formerKey := []byte(rand.Text() + rand.Text()) // yours is in the former app's settings
	p := &proxy{former: forward(serve(formerApp(formerKey))), now: forward(serve(newApp(formerKey)))}
	p.share.Store(int64(share))
	go func() {
		for typed := bufio.NewScanner(os.Stdin); typed.Scan(); {
			if n, err := strconv.Atoi(typed.Text()); err == nil {
				p.share.Store(int64(n))
				log.Printf("%d %% of the browsers move", n)
			}
		}
	}()
	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Printf("listening on http://%s", addr)
	log.Fatal(http.ListenAndServe(addr, p))
}

// formerApp is the app as it was.
func formerApp(key []byte) http.Handler {
	store := cookie.NewStore(key)
	store.Options(sessions.Options{Path: "/", MaxAge: 30 * 24 * 3600, HttpOnly: true})
	r := gin.New()
	r.Use(sessions.Sessions(formerName, store))
	answer := func(c *gin.Context, s sessions.Session) {
		user, _ := s.Get("user").(string)
		n, _ := s.Get("views").(int)
		c.String(http.StatusOK, "the former app: %s, %d views\n", cmp.Or(user, "nobody"), n)
	}
	r.GET("/", func(c *gin.Context) {
		s := sessions.Default(c)
		n, _ := s.Get("views").(int)
		s.Set("views", n+1)
		_ = s.Save()
		answer(c, s)
	})
	r.POST("/login", func(c *gin.Context) {
		s := sessions.Default(c)
		s.Set("user", c.PostForm("user"))
		_ = s.Save()
		answer(c, s)
	})
	r.POST("/logout", func(c *gin.Context) {
		s := sessions.Default(c)
		s.Clear()
		s.Options(sessions.Options{Path: "/", MaxAge: -1})
		_ = s.Save()
		answer(c, s)
	})
	return r
}

const views ginsession.Key[int] = "views"

// newApp is the same app with Cloakroom.
func newApp(formerKey []byte) http.Handler {
	r := gin.New()
	r.Use(ginsession.New(ginsession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())},
		Cookie:  ginsession.Cookie{Name: newName},
		Predecessor: ginsession.Predecessor{
			Source: takeover.Gorilla{
				Name: formerName, KeyPairs: [][]byte{formerKey},
				User: func(v map[string]any) string { user, _ := v["user"].(string); return user },
			},
			Until:  time.Now().Add(31 * 24 * time.Hour), // a date, in an app that is restarted
			Linked: true,                                // for as long as both run
		},
	}))
	answer := func(c *gin.Context, s *ginsession.Session) {
		c.String(http.StatusOK, "the new app: %s, %d views\n", cmp.Or(s.User(), "nobody"), views.Get(s))
	}
	r.GET("/", func(c *gin.Context) {
		s := ginsession.Get(c)
		views.Update(s, func(n int) int { return n + 1 })
		answer(c, s)
	})
	r.POST("/login", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.SignIn(c.Request.Context(), c.PostForm("user")); err != nil {
			_ = c.AbortWithError(http.StatusBadRequest, err)
			return
		}
		answer(c, s)
	})
	r.POST("/logout", func(c *gin.Context) {
		s := ginsession.Get(c)
		if err := s.SignOut(c.Request.Context()); err != nil {
			_ = c.AbortWithError(http.StatusServiceUnavailable, err)
			return
		}
		answer(c, s)
	})
	return r
}

// A proxy moves a share of the browsers to the new app. A browser that has its cookie has
// moved.
type proxy struct {
	former, now http.Handler
	share       atomic.Int64
	came        atomic.Int64 // requests of browsers that have not moved
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie(newName); err == nil || p.moves() {
		p.now.ServeHTTP(w, r)
		return
	}
	p.former.ServeHTTP(w, r)
}

// moves reports whether a browser moves now: as many of a hundred as the share says.
func (p *proxy) moves() bool {
	n, share := p.came.Add(1), p.share.Load()
	return n*share/100 > (n-1)*share/100
}

// serve starts a server and returns where it is.
func serve(h http.Handler) *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(l, h)) }()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

// forward keeps the host that the browser asked for.
func forward(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}}
}

// Package consumer tests what a user gets who has never seen the repository:
// the modules of the work tree, packed as a module proxy serves them, are
// fetched with go get into empty modules elsewhere, where neither go.work nor
// a replace directive helps.
//
// The result depends on files that the go command does not see these tests
// depend on: run them with -count=1.
package consumer

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"testing"
	"time"
)

const ginApp = `package main

import (
	"net/http"

	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/gin-gonic/gin"
)

const views ginsession.Key[int] = "views"

func main() {
	r := gin.New()
	r.Use(ginsession.New(ginsession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{"0123456789abcdef0123456789abcdef"},
	}))
	r.GET("/", func(c *gin.Context) {
		s := ginsession.Get(c)
		n := views.Update(s, func(n int) int { return n + 1 })
		c.String(http.StatusOK, "Number of views: %d\n", n)
	})
	serve(r)
}
`

// echoApp leaves open: the folder of the adapter, the version of Echo, and what
// that version hands to a handler.
const echoApp = `package main

import (
	"fmt"
	"net/http"

	echosession "github.com/cloakroom-go/cloakroom/%s"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/labstack/echo/%s"
)

const views echosession.Key[int] = "views"

func main() {
	e := echo.New()
	e.Use(echosession.New(echosession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{"0123456789abcdef0123456789abcdef"},
	}))
	e.GET("/", func(c %s) error {
		s := echosession.Get(c)
		n := views.Update(s, func(n int) int { return n + 1 })
		return c.String(http.StatusOK, fmt.Sprintf("Number of views: %%d\n", n))
	})
	serve(e)
}
`

// serveFile is the second file of each app. It prints the address that it was
// given.
const serveFile = `package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
)

func serve(h http.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())
	log.Fatal(http.Serve(l, h))
}
`

func TestApp(t *testing.T) {
	gin := regexp.MustCompile(`/gin-gonic/|/ginsession$`)
	echo := regexp.MustCompile(`/labstack/|/echo(v\d+)?session$`)
	p := newProxy(t)

	for _, tt := range []struct {
		adapter string
		app     string
		foreign *regexp.Regexp // what the app's module graph must not hold
	}{
		{"ginsession", ginApp, echo},
		{"echosession", fmt.Sprintf(echoApp, "echosession", "v4", "echo.Context"), gin},
		{"echov5session", fmt.Sprintf(echoApp, "echov5session", "v5", "*echo.Context"), gin},
	} {
		t.Run(tt.adapter, func(t *testing.T) {
			u := p.newUser(t)
			u.goCommand(t, "get", p.at(tt.adapter), p.at("stores/memory"))
			for _, m := range u.graph(t) {
				if tt.foreign.MatchString(m) {
					t.Errorf("the module graph of an app with %s holds %s", tt.adapter, m)
				}
			}

			u.writeFile(t, "main.go", tt.app)
			u.writeFile(t, "serve.go", serveFile)
			u.goCommand(t, "build", "-o", "app", ".")
			url := "http://" + u.start(t, "app") + "/"

			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
			for n := 1; n <= 3; n++ {
				if got, want := get(t, browser, url), fmt.Sprintf("Number of views: %d\n", n); got != want {
					t.Errorf("visit %d: got %q, want %q", n, got, want)
				}
			}
			other := &http.Client{Timeout: 10 * time.Second}
			if got, want := get(t, other, url), "Number of views: 1\n"; got != want {
				t.Errorf("first visit of another browser: got %q, want %q", got, want)
			}
		})
	}
}

// What needs no framework and no driver brings none along.
func TestGraph(t *testing.T) {
	p := newProxy(t)
	for _, tt := range []struct {
		pkg  string
		want []string
	}{
		{"core", []string{root}},
		{"stores/memory", []string{root, root + "/stores/memory"}},
	} {
		t.Run(tt.pkg, func(t *testing.T) {
			u := p.newUser(t)
			u.goCommand(t, "get", p.at(tt.pkg))
			if got := u.graph(t); !slices.Equal(got, tt.want) {
				t.Errorf("modules in the graph of a user of %s: got %q, want %q", tt.pkg, got, tt.want)
			}
		})
	}
}

// Command rotation changes the secret that signs the cookies, while it runs and with nobody
// logged out: its secrets are the lines of a file, which it reads again on SIGHUP.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `listening on http://%[1]s with the secrets in %[2]s:

curl -s -c jar -d user=bob http://%[1]s/login      # Hello, bob!
# 1. A new secret, second: all instances verify it.
openssl rand -base64 32 >>%[2]s; kill -HUP %[3]d
# 2. In front: it signs, and a cookie is signed anew when its visitor comes.
(tail -n 1 %[2]s; head -n 1 %[2]s) >s; cp s %[2]s; kill -HUP %[3]d
curl -si -b jar -c jar http://%[1]s/me             # Set-Cookie: sid=
# 3. When this has not grown for as long as your cookies live, the old one goes.
curl -s http://%[1]s/by-old-secrets                # 1
head -n 1 %[2]s >s; cp s %[2]s; kill -HUP %[3]d
curl -s -b jar http://%[1]s/me                     # You are bob.
`

func main() {
	gin.SetMode(gin.ReleaseMode)
	file := cmp.Or(os.Getenv("SECRETS_FILE"), "secrets")
	secrets, err := readSecrets(file)
	if err != nil {
		log.Fatalf("%v\nMake it: openssl rand -base64 32 >%s", err, file)
	}
	old := new(byOldSecrets)
	sessions, err := core.New(core.Config{
		Store:    memorystore.New(memorystore.Options{}),
		Secrets:  secrets,
		Observer: old,
	})
	if err != nil {
		log.Fatal(err)
	}

	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
			secrets, err := readSecrets(file)
			if err == nil {
				err = sessions.SetSecrets(secrets) // from the next request on; those under way are not disturbed
			}
			if err != nil {
				log.Printf("the secrets stay as they are: %v", err)
			}
		}
	}()

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
	r.GET("/me", ginsession.RequireUser(ginsession.SignInPage{}), func(c *gin.Context) {
		c.String(http.StatusOK, "You are %s.\n", ginsession.Get(c).User())
	})
	r.GET("/by-old-secrets", func(c *gin.Context) { // in an app: a metric, which otelsession has
		c.String(http.StatusOK, "%d\n", old.requests.Load())
	})

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr, file, os.Getpid())
	log.Fatal(r.Run(addr))
}

// readSecrets returns the lines of a file: the first signs, all verify.
func readSecrets(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	return strings.Fields(string(text)), err
}

// byOldSecrets counts requests whose cookie was signed by a secret that is not the first.
type byOldSecrets struct{ requests atomic.Int64 }

func (o *byOldSecrets) Observe(_ context.Context, e core.Event) {
	if e.Kind == core.EventOldSecret {
		o.requests.Add(1)
	}
}

// Command handler-tests is a cart with one handler, and main_test.go is how you test it: with
// visitors who are signed in already, and a clock that you turn.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `listening on http://%[1]s; go test ./handler-tests is what this is about:

curl -si -d item=coat http://%[1]s/cart               # 401 Unauthorized
curl -s -c jar -d user=bob http://%[1]s/login         # Hello, bob!
curl -s -b jar -d item=coat http://%[1]s/cart         # bob has coat
`

const cart core.Key[[]string] = "cart"

// An app gets what it needs: main opens the real things, a test opens what suits it.
type app struct{ sessions *core.Manager }

func newApp(st store.Store, secret string, now func() time.Time) (*app, error) {
	sessions, err := core.New(core.Config{Store: st, Secrets: []string{secret}, IdleTimeout: time.Hour, Now: now})
	return &app{sessions}, err
}

// handler is the whole of the app, middleware included, as main serves it and tests call it.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if err := s.SignIn(r.Context(), r.PostFormValue("user")); err != nil {
			http.Error(w, "Try again.", core.HTTPStatus(err))
			return
		}
		fmt.Fprintf(w, "Hello, %s!\n", s.User())
	})
	mux.Handle("POST /cart", core.RequireUser(core.SignInPage{}).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		items := cart.Update(s, func(items []string) []string { return append(items, r.PostFormValue("item")) })
		fmt.Fprintf(w, "%s has %s\n", s.User(), strings.Join(items, ", "))
	}))
	return a.sessions.Handler(mux)
}

func main() {
	a, err := newApp(memorystore.New(memorystore.Options{}), cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text()), nil)
	if err != nil {
		log.Fatal(err)
	}
	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal(http.ListenAndServe(addr, a.handler()))
}

// Command step-up asks for the password again before money is sent: being signed in is not
// enough there, it has to be bob who is at the keyboard now.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const try = `listening on http://%[1]s; with RECENT=5s a login is old soon:

curl -s -c jar -d user=bob http://%[1]s/login                     # Hello, bob!
curl -s -b jar http://%[1]s/balance                               # bob has 100 coins.
curl -s -b jar -d coins=5 http://%[1]s/transfer                   # bob sends "5" coins.
# After %[2]v:
curl -s -b jar http://%[1]s/balance                               # bob has 100 coins.
curl -si -b jar -d coins=5 http://%[1]s/transfer                  # 401
curl -si -b jar -H 'Accept: text/html' http://%[1]s/transfer      # Location: /login?return_to=%%2Ftransfer
curl -s -b jar -c jar -d user=bob http://%[1]s/login              # Hello, bob!
curl -s -b jar -d coins=5 http://%[1]s/transfer                   # bob sends "5" coins.
`

func main() {
	recent, err := time.ParseDuration(cmp.Or(os.Getenv("RECENT"), "10m"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := core.New(core.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
	})
	if err != nil {
		log.Fatal(err)
	}

	page := core.SignInPage{Path: "/login"}
	signedIn := core.RequireUser(page)
	justNow := core.RequireRecentSignIn(recent, page) // one round trip to the store, which knows of every revocation

	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Sign in</title><form method="post"><input name="user"><button>Sign in</button></form>`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		// The same user again is the same session, under a new id, with a new time of sign-in.
		// AuthenticatedBy says later what it was that was asked for.
		if err := s.SignIn(r.Context(), r.PostFormValue("user"), "password"); err != nil {
			http.Error(w, "Try again.", core.HTTPStatus(err))
			return
		}
		if to := core.ReturnPath(r, ""); to != "" {
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		fmt.Fprintf(w, "Hello, %s!\n", s.User())
	})
	mux.Handle("GET /balance", signedIn.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s has 100 coins.\n", core.FromContext(r.Context()).User())
	}))
	// The form asks as well as what it posts to: nobody fills it in for nothing.
	mux.Handle("GET /transfer", justNow.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Transfer</title><form method="post"><input name="coins"><button>Send</button></form>`)
	}))
	mux.Handle("POST /transfer", justNow.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s sends %q coins.\n", core.FromContext(r.Context()).User(), r.PostFormValue("coins"))
	}))

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr, recent)
	log.Fatal(http.ListenAndServe(addr, sessions.Handler(mux)))
}

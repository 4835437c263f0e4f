// Command quickstart-nethttp counts a visitor's views, and logs in and out.
package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	views core.Key[int]    = "views"
	user  core.Key[string] = "user"
)

func main() {
	sessions, err := core.New(core.Config{
		Store: memorystore.New(),
		// A random secret will do as long as the sessions end with the process.
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())},
	})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		n := views.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
		fmt.Fprintf(w, "Number of views: %d\n", n)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if err := s.Renew(); err != nil { // a new id: the old one may be known to others
			http.Error(w, "Login failed.", http.StatusInternalServerError)
			return
		}
		user.Set(s, r.PostFormValue("user"))
		fmt.Fprintf(w, "Hello, %s!\n", user.Get(s))
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		name := user.Get(core.FromContext(r.Context()))
		if name == "" {
			http.Error(w, "Log in first.", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "You are %s.\n", name)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).Destroy(r.Context()); err != nil {
			http.Error(w, "Logout failed. Try again.", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "Goodbye!")
	})

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Printf("listening on http://%s", addr)
	log.Fatal(http.ListenAndServe(addr, sessions.Handler(mux)))
}

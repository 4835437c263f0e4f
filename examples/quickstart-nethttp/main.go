// Command quickstart-nethttp counts a visitor's views, and logs in and out.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const views core.Key[int] = "views"

func main() {
	sessions, err := core.New(core.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // 32 random bytes or more, the same on every instance
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
		if err := s.SignIn(r.Context(), r.PostFormValue("user")); err != nil { // under a new id: the old one may be known to others
			http.Error(w, "Login failed.", http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "Hello, %s!\n", s.User())
	})
	mux.Handle("GET /me", core.RequireUser(core.SignInPage{}).HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // 401; Path leads browsers to a page
		fmt.Fprintf(w, "You are %s.\n", core.FromContext(r.Context()).User())
	}))
	mux.Handle("GET /password", core.RequireRecentSignIn(10*time.Minute, core.SignInPage{}).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Choose a new one, %s.\n", core.FromContext(r.Context()).User())
	}))
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignOut(r.Context()); err != nil {
			http.Error(w, "Logout failed. Try again.", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "Goodbye!")
	})

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	log.Printf("listening on http://%s", addr)
	log.Fatal(http.ListenAndServe(addr, sessions.Handler(mux)))
}

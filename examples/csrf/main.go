// Command csrf keeps other sites from acting as its users, with what Go has for that: a
// browser says where a request comes from, and http.CrossOriginProtection looks at that. No
// form needs a token.
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

const try = `listening on http://%[1]s; what a browser adds to a form of this site, of another, and of a friend:

curl -s -c jar -d user=bob http://%[1]s/login                                                             # Hello, bob!
curl -s -b jar -d to=ann -H 'Sec-Fetch-Site: same-origin' http://%[1]s/transfer                           # bob pays "ann".
curl -si -b jar -d to=eve -H 'Sec-Fetch-Site: cross-site' http://%[1]s/transfer                           # 403 Forbidden
curl -si -b jar -d to=eve -H 'Sec-Fetch-Site: same-site' http://%[1]s/transfer                            # 403 Forbidden
curl -si -b jar -d to=eve -H 'Origin: https://evil.example' http://%[1]s/transfer                         # 403 Forbidden
curl -s -b jar -d to=ann -H 'Sec-Fetch-Site: cross-site' -H 'Origin: https://admin.example' http://%[1]s/transfer  # bob pays "ann".
curl -s -b jar -d to=ann http://%[1]s/transfer                                                            # bob pays "ann".
`

func main() {
	sessions, err := core.New(core.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())}, // yours is the same on every instance
	})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if err := s.SignIn(r.Context(), r.PostFormValue("user")); err != nil {
			http.Error(w, "Try again.", core.HTTPStatus(err))
			return
		}
		fmt.Fprintf(w, "Hello, %s!\n", s.User())
	})
	// A GET is let through from anywhere, as links are: it must change nothing.
	mux.Handle("POST /transfer", core.RequireUser(core.SignInPage{}).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s pays %q.\n", core.FromContext(r.Context()).User(), r.PostFormValue("to"))
	}))

	// The cookie's SameSite=Lax keeps it out of a form of another site already. This is for what
	// Lax lets pass: another host of your own domain ("same-site"), and browsers that have no Lax.
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin("https://admin.example"); err != nil { // a site of yours that may; for that its cookie has to come along
		log.Fatal(err)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "This request came from another site. Open the page here, and try again.", http.StatusForbidden)
	}))

	// Outermost: what is refused reaches neither the store nor a handler. A client that says
	// nothing of where its request comes from is no browser, and passes.
	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	fmt.Printf(try, addr)
	log.Fatal(http.ListenAndServe(addr, protection.Handler(sessions.Handler(mux))))
}

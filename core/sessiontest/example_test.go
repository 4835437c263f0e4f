package sessiontest_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
)

// An app tests that its sessions are bound to their browsers, and that a copy of all
// cookies is worth nothing when the bound cookie has ended.
func ExampleBrowser() {
	now := time.Now()
	clock := func() time.Time { return now }
	m, err := core.New(core.Config{
		Store:   new(mapstore.Store),
		Secrets: []string{"a secret of 32 random bytes or more"},
		Cookie:  core.Cookie{Name: "__Host-sid", Secure: core.SecureAlways},
		Bind:    &core.Bind{},
		Now:     clock,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "ann"); err != nil {
			panic(err)
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "user %q, %v", s.User(), s.Binding())
	})

	b := sessiontest.NewBrowser(sessiontest.Serve(m.Handler(mux)))
	b.Now = clock
	show := func(res *http.Response, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		fmt.Println(string(body))
	}
	show(b.PostForm("https://app.test/login", nil)) // the first page comes before it is bound
	show(b.Get("https://app.test/"))

	thief := b.Copy()
	now = now.Add(11 * time.Minute)
	show(b.Get("https://app.test/"))
	show(thief.Get("https://app.test/"))
	fmt.Println(b.History())
	// Output:
	// user "ann", unbound
	// user "ann", bound
	// user "ann", bound
	// user "", unproven
	// [registration: 200 refresh: 403 refresh with proof: 200]
}

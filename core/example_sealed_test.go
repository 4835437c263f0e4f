package core_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
)

// Two instances of an app without a store: what a visitor has is in the cookie.
func ExampleSealedCookie() {
	const theme core.Key[string] = "theme"
	instance := func() *core.Manager {
		m, err := core.New(core.Config{Sealed: &core.SealedCookie{}, Secrets: exampleSecrets})
		if err != nil {
			fmt.Println(err)
		}
		return m
	}
	one, other := instance(), instance()
	handler := http.NewServeMux()
	handler.Handle("/dark", one.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		theme.Set(core.FromContext(r.Context()), "dark")
		fmt.Fprintln(w, "lights out")
	})))
	handler.Handle("/", other.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, theme.Get(core.FromContext(r.Context())))
	})))

	visitor := browse(handler)
	defer visitor.server.Close()
	visitor.get("/dark")
	visitor.get("/")
	// Output:
	// /dark: lights out
	// /: dark
}

// What does not fit into a cookie is an error of the commit, which says what to look at.
func ExampleCookieSizeError() {
	m, err := core.New(core.Config{
		Sealed: &core.SealedCookie{}, Secrets: exampleSecrets,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			var size *core.CookieSizeError
			if errors.As(err, &size) {
				fmt.Fprintf(w, "at most %d bytes; the largest key is %q with %d", size.Max, size.Largest[0].Key, size.Largest[0].Bytes)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	visitor := browse(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		s.Set("theme", "dark")
		s.Set("cart", strings.Repeat("tea, ", 1000))
	})))
	defer visitor.server.Close()
	visitor.get("/")
	// Output: /: at most 3072 bytes; the largest key is "cart" with 5009
}

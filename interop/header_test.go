package interop

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

// TestATokenInAHeaderIsTheCookieOfExpress has a client without cookies use one session on
// both sides: by a bearer token here, and by the same token as a cookie at Express, which
// reads nothing else.
func TestATokenInAHeaderIsTheCookieOfExpress(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		there, here := start(t, express, db, settings{}), startByHeader(t, db)
		token := ""
		do := func(s side, method, path, body string) reply {
			t.Helper()
			v := newVisitor(t) // who has no cookies, each time
			if s.express {
				v.header.Set("Cookie", "connect.sid="+token)
			} else {
				v.header.Set("Authorization", "Bearer "+token)
			}
			r := v.do(s, method, path, body)
			if told := r.header["Session-Token"]; len(told) > 0 {
				token = told[0]
			}
			for _, line := range r.header["Set-Cookie"] {
				c, err := http.ParseSetCookie(line)
				if err != nil || !s.express {
					t.Fatalf("%s sets a cookie (%v)", s.name, err)
				}
				token = c.Value
			}
			return r
		}
		expect := func(s side, key, want string) {
			t.Helper()
			if got := do(s, "GET", "/get/"+key, ""); got.body != want {
				t.Errorf("%s: %s is %q, want %q", s.name, key, got.body, want)
			}
		}

		do(here, "PUT", "/set/cart", `"coat"`)
		first := token
		expect(there, "cart", `"coat"`)
		do(there, "PUT", "/set/cart", `"hat"`)
		expect(here, "cart", `"hat"`)
		if token != first || first == "" {
			t.Errorf("the token is another, or none, after a change at Express")
		}

		do(there, "POST", "/login/bob", "") // a new id
		second := token
		expect(here, "user", `"bob"`)
		if second == first {
			t.Error("the token is the same after a login at Express")
		}
		do(here, "POST", "/login/ann", "")
		expect(there, "user", `"ann"`)

		last := token
		do(here, "POST", "/logout", "")
		if token != "" {
			t.Error("the logout left the token")
		}
		for _, old := range []string{first, second, last} {
			token = old
			if r := do(there, "GET", "/get/user", ""); r.status != http.StatusNotFound {
				t.Errorf("Express knows an ended session: %d", r.status)
			}
		}
	})
}

// startByHeader starts the app on Gin for clients without cookies alone.
func startByHeader(t *testing.T, db database) side {
	t.Helper()
	s := settings{}.on(db)
	store, closeStore, err := openStore(t.Context(), s.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeStore)
	cfg := s.config(store)
	cfg.Header = &core.Header{Only: core.AlwaysHeader}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handlers[ginV1](m))
	t.Cleanup(server.Close)
	return side{name: ginV1, url: server.URL, manager: m}
}

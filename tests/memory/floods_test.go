package memory

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// A flooded is an app whose store has room for some two hundred sessions.
type flooded struct {
	t   *testing.T
	url string
}

func newFlooded(t *testing.T, at memorystore.AtLimit) *flooded {
	t.Helper()
	st := memorystore.New(memorystore.Options{MaxBytes: 150_000, AtLimit: at})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := core.New(core.Config{Store: st, Secrets: suite.Hide("a secret of an app that is flooded"), StoreTimeout: servers.Patience})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	handle := func(path string, do func(r *http.Request, s *core.Session) (any, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			text, err := do(r, core.FromContext(r.Context()))
			if err != nil {
				w.WriteHeader(core.HTTPStatus(err))
				return
			}
			_, _ = fmt.Fprint(w, text)
		})
	}
	handle("/in", func(r *http.Request, s *core.Session) (any, error) {
		return "in", s.SignIn(r.Context(), r.FormValue("user"))
	})
	handle("/out", func(r *http.Request, s *core.Session) (any, error) { return "out", s.SignOut(r.Context()) })
	handle("/out-everywhere", func(r *http.Request, s *core.Session) (any, error) {
		if s.User() == "" {
			return nil, errors.New("nobody is signed in")
		}
		return "out", m.RevokeUser(r.Context(), s.User())
	})
	handle("/me", func(_ *http.Request, s *core.Session) (any, error) { return s.User(), nil })
	handle("/cart", func(_ *http.Request, s *core.Session) (any, error) {
		s.Flash("info", "In your cart.")
		return "cart", nil
	})
	srv := httptest.NewServer(m.Handler(mux))
	t.Cleanup(srv.Close)
	return &flooded{t, srv.URL}
}

// browser returns a client with cookies of its own.
func (f *flooded) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// get asks for a page and returns what it says, or its status.
func (f *flooded) get(c *http.Client, path string) string {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return string(text)
}

// entersAndLeaves has somebody sign in on two devices, and log out everywhere.
func (f *flooded) entersAndLeaves(name string) {
	f.t.Helper()
	phone, laptop := f.browser(), f.browser()
	for _, device := range []*http.Client{phone, laptop} {
		if got := f.get(device, "/in?user="+name); got != "in" {
			f.t.Fatalf("a login after the flood: %s", got)
		}
		if got := f.get(device, "/me"); got != name {
			f.t.Fatalf("after the login: %s", got)
		}
	}
	if got := f.get(phone, "/out-everywhere"); got != "out" {
		f.t.Fatalf("log out everywhere: %s", got)
	}
	if got := f.get(laptop, "/me"); got != "" {
		f.t.Fatalf("the other device is still signed in: %s", got)
	}
}

// Whoever floods the app with sessions, users or logouts locks nobody out.
//
// Standards: ASVS-15.2.2
func TestNobodyIsLockedOutByAFlood(t *testing.T) {
	floods := map[string]func(f *flooded, i int){
		"of visitors": func(f *flooded, _ int) { f.get(f.browser(), "/cart") },
		"of logins":   func(f *flooded, i int) { f.get(f.browser(), fmt.Sprint("/in?user=robot-", i)) },
		"of logins of one user": func(f *flooded, _ int) {
			f.get(f.browser(), "/in?user=robot")
		},
		"of logins that log out": func(f *flooded, i int) {
			b := f.browser()
			f.get(b, fmt.Sprint("/in?user=robot-", i))
			f.get(b, "/out")
		},
		"of logins that log out everywhere": func(f *flooded, i int) {
			b := f.browser()
			f.get(b, fmt.Sprint("/in?user=robot-", i))
			f.get(b, "/out-everywhere")
		},
		"of logins over and over": func(f *flooded, i int) {
			b := f.browser()
			for range 3 {
				f.get(b, fmt.Sprint("/in?user=robot-", i%10))
			}
		},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlooded(t, memorystore.DropLeastRecentlyUsed)
			f.entersAndLeaves("ada")
			for i := range 1000 {
				flood(f, i)
				if i%200 == 199 {
					f.entersAndLeaves(fmt.Sprint("ada-", i))
				}
			}
			f.entersAndLeaves("ada")
		})
	}
}

// Where nobody is evicted, what logged out takes no room.
func TestWhoLoggedOutTakesNoRoom(t *testing.T) {
	t.Parallel()
	f := newFlooded(t, memorystore.RefuseNew)
	for i := range 1000 {
		b := f.browser()
		if got := f.get(b, fmt.Sprint("/in?user=robot-", i)); got != "in" {
			t.Fatalf("login %d: %s", i, got)
		}
		if got := f.get(b, "/out"); got != "out" {
			t.Fatalf("logout %d: %s", i, got)
		}
	}
	f.entersAndLeaves("ada")
}

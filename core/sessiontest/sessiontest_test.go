package sessiontest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
)

const (
	user  core.Key[string] = "user"
	views core.Key[int]    = "views"
)

// app is what is tested: it tells who is logged in, and logs out.
func app(m *core.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		views.Update(s, func(n int) int { return n + 1 })
		if name, err := user.Lookup(s); err == nil {
			_, _ = fmt.Fprintf(w, "You are %s.", name)
			return
		}
		http.Error(w, "Log in first.", http.StatusUnauthorized)
	})
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if err := s.Renew(); err != nil {
			panic(err)
		}
		user.Set(s, "alice")
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).Destroy(r.Context()); err != nil {
			panic(err)
		}
	})
	return m.Handler(mux)
}

func newManager(t testing.TB, cfg core.Config) *core.Manager {
	t.Helper()
	cfg.Store = &mapstore.Store{}
	cfg.Secrets = []string{"0123456789abcdef0123456789abcdef"}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAHandlerSeesTheSessionOfTheCookie(t *testing.T) {
	for name, cfg := range map[string]core.Config{
		"by default":       {},
		"Secure always":    {Cookie: core.Cookie{Name: "__Host-sid", Secure: core.SecureAlways}},
		"with sealed data": {SealKeys: []string{"0123456789abcdef0123456789abcdef"}, HashIDs: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, cfg)

			r := httptest.NewRequest("GET", "https://example.com/me", nil)
			r.AddCookie(sessiontest.Cookie(t, m, func(s *core.Session) { user.Set(s, "bob") }))
			w := httptest.NewRecorder()
			app(m).ServeHTTP(w, r)

			if got, want := w.Body.String(), "You are bob."; got != want {
				t.Errorf("body %q, want %q", got, want)
			}
			if got := views.Get(sessiontest.Session(t, m, r, w.Result())); got != 1 {
				t.Errorf("the handler left %d views, want 1", got)
			}
		})
	}
}

func TestAnEmptySessionIsASessionToo(t *testing.T) {
	m := newManager(t, core.Config{})
	r := httptest.NewRequest("GET", "/me", nil)
	r.AddCookie(sessiontest.Cookie(t, m, func(*core.Session) {}))
	w := httptest.NewRecorder()
	app(m).ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", w.Code)
	}
	if got := sessiontest.Session(t, m, r, w.Result()).Status(); got != core.StatusLoaded {
		t.Errorf("status of the session: %v, want loaded", got)
	}
}

func TestSessionFollowsTheCookieThatTheResponseSets(t *testing.T) {
	m := newManager(t, core.Config{})
	for _, visitor := range []struct {
		name   string
		cookie bool
	}{{"who is new", false}, {"who has a session", true}} {
		t.Run(visitor.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/login", nil)
			if visitor.cookie {
				r.AddCookie(sessiontest.Cookie(t, m, func(s *core.Session) { views.Set(s, 3) }))
			}
			w := httptest.NewRecorder()
			app(m).ServeHTTP(w, r)
			if got := user.Get(sessiontest.Session(t, m, r, w.Result())); got != "alice" {
				t.Errorf("user is %q after the login, want alice", got)
			}
		})
	}
}

func TestAfterALogoutThereIsNoSession(t *testing.T) {
	m := newManager(t, core.Config{})
	r := httptest.NewRequest("POST", "/logout", nil)
	r.AddCookie(sessiontest.Cookie(t, m, func(s *core.Session) { user.Set(s, "bob") }))
	w := httptest.NewRecorder()
	app(m).ServeHTTP(w, r)
	if got := sessiontest.Session(t, m, r, w.Result()).Status(); got != core.StatusNew {
		t.Errorf("status of the session: %v, want new", got)
	}
}

// A test of a handler, with a visitor who is logged in.
func Example() {
	var t testing.TB = exampleT{} // the test's own
	m, err := core.New(core.Config{Store: &mapstore.Store{}, Secrets: []string{"0123456789abcdef0123456789abcdef"}})
	if err != nil {
		panic(err)
	}

	r := httptest.NewRequest("GET", "/me", nil)
	r.AddCookie(sessiontest.Cookie(t, m, func(s *core.Session) { user.Set(s, "bob") }))
	w := httptest.NewRecorder()
	app(m).ServeHTTP(w, r)

	fmt.Println(w.Body)
	fmt.Println(views.Get(sessiontest.Session(t, m, r, w.Result())))
	// Output:
	// You are bob.
	// 1
}

// An exampleT stands for the *testing.T that an Example does not have.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                  {}
func (exampleT) Context() context.Context { return context.Background() }
func (exampleT) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func TestSealedCookies(t *testing.T) {
	m, err := core.New(core.Config{Sealed: new(core.SealedCookie), Secrets: []string{"a secret of more than thirty-two bytes"}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/me", http.NoBody)
	r.AddCookie(sessiontest.Cookie(t, m, func(s *core.Session) { user.Set(s, "bob") }))
	w := httptest.NewRecorder()
	m.Handler(app(m)).ServeHTTP(w, r)
	if body := w.Body.String(); body != "You are bob." {
		t.Errorf("the handler says %q", body)
	}
	if s := sessiontest.Session(t, m, r, w.Result()); user.Get(s) != "bob" || views.Get(s) != 1 {
		t.Errorf("it left %q and %d", user.Get(s), views.Get(s))
	}
}

func TestTheSessionOfAClientWithoutCookies(t *testing.T) {
	m := newManager(t, core.Config{Header: &core.Header{}})
	r := httptest.NewRequest("POST", "https://example.com/login", nil)
	r.Header.Set("Authorization", "Bearer "+sessiontest.Cookie(t, m, func(s *core.Session) { views.Set(s, 7) }).Value)
	w := httptest.NewRecorder()
	app(m).ServeHTTP(w, r)
	s := sessiontest.Session(t, m, r, w.Result())
	if user.Get(s) != "alice" || views.Get(s) != 7 {
		t.Errorf("after the login %q has %d views", user.Get(s), views.Get(s))
	}

	r = httptest.NewRequest("GET", "https://example.com/me", nil)
	token, err := s.Token()
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w = httptest.NewRecorder()
	app(m).ServeHTTP(w, r)
	if got := views.Get(sessiontest.Session(t, m, r, w.Result())); got != 8 {
		t.Errorf("the handler left %d views, want 8", got)
	}

	r.Method, r.URL.Path = "POST", "/logout"
	w = httptest.NewRecorder()
	app(m).ServeHTTP(w, r)
	if s := sessiontest.Session(t, m, r, w.Result()); s.Status() != core.StatusNew {
		t.Errorf("after the logout the session is %v", s.Status())
	}
}

package takeover_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// What cookie-session kept in its cookie goes on in one of ours, without a store: the
// browser's old cookies are deleted.
func TestCookieSessionIsTakenOverIntoASealedCookie(t *testing.T) {
	for name, user := range map[string]func(map[string]any) string{
		"nobody is signed in": nil,
		"of a user":           func(v map[string]any) string { name, _ := v["user"].(string); return name },
	} {
		t.Run(name, func(t *testing.T) {
			sessions, err := core.New(core.Config{
				Sealed:      new(core.SealedCookie),
				Secrets:     []string{"a secret of 32 random bytes or more"},
				Predecessor: core.Predecessor{Source: takeover.CookieSession{Keys: []string{"open-key-of-a-test-1"}, User: user}, Until: time.Now().AddDate(0, 1, 0)},
			})
			if err != nil {
				t.Fatal(err)
			}
			visit := func(want core.Status, cookies ...*http.Cookie) []*http.Cookie {
				t.Helper()
				r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
				for _, c := range cookies {
					r.AddCookie(c)
				}
				w := httptest.NewRecorder()
				sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					s := core.FromContext(r.Context())
					if s.Status() != want || s.Get("user") != "bob" || s.Get("n") != 42 {
						t.Errorf("%v: %v, %v; want %v", s.Status(), s.Get("user"), s.Get("n"), want)
					}
					if user != nil && s.User() != "bob" {
						t.Errorf("it is %q's", s.User())
					}
				})).ServeHTTP(w, r)
				return w.Result().Cookies()
			}
			set := visit(core.StatusTakenOver,
				&http.Cookie{Name: "session", Value: "eyJ1c2VyIjoiYm9iIiwibiI6NDIsInBhc3Nwb3J0Ijp7InVzZXIiOjd9LCJ1bmkiOiJTY2hsw7xzc2VsIPCflJEiLCJiaWciOjkwMDcxOTkyNTQ3NDA5OTF9"},
				&http.Cookie{Name: "session.sig", Value: "l-jDdXWG7KtecBWX10kvZIFZg3Q"})
			var ours *http.Cookie
			deleted := map[string]bool{}
			for _, c := range set {
				if c.MaxAge < 0 {
					deleted[c.Name] = true
				} else {
					ours = c
				}
			}
			if ours == nil || ours.Name != "sid" || !deleted["session"] || !deleted["session.sig"] {
				t.Fatalf("the response sets %v", set)
			}
			visit(core.StatusLoaded, ours)
		})
	}
}

// Package sessiontest helps to test handlers that use sessions: it makes the
// cookie of a session that holds what the test wants, and reads what a handler
// left behind. All goes through the real Manager and its store.
//
//	r := httptest.NewRequest("GET", "/me", nil)
//	r.AddCookie(sessiontest.Cookie(t, m, func(s *core.Session) { user.Set(s, "bob") }))
//	w := httptest.NewRecorder()
//	handler.ServeHTTP(w, r)
//
// The value of that cookie is a token as well, for a client without cookies:
//
//	r.Header.Set("Authorization", "Bearer "+cookie.Value)
//
// m is the app's Manager, or one made by core.New from the same Config: the same
// store, secrets and name.
package sessiontest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

// Cookie stores a new session that holds what fill puts into it, and returns
// its cookie as a browser would send it. It fails the test where that is not
// possible.
func Cookie(t testing.TB, m *core.Manager, fill func(*core.Session)) *http.Cookie {
	t.Helper()
	s, err := m.Load(t.Context(), "")
	if err != nil {
		t.Fatalf("sessiontest: make a session: %v", err)
	}
	fill(s)
	if err := s.Save(t.Context()); err != nil {
		t.Fatalf("sessiontest: store the session: %v", err)
	}
	header, err := m.Commit(t.Context(), s, true)
	if err != nil {
		t.Fatalf("sessiontest: store the session: %v", err)
	}
	cookie, err := http.ParseSetCookie(header)
	if err != nil {
		t.Fatalf("sessiontest: the session has no cookie: %v", err)
	}
	return &http.Cookie{Name: cookie.Name, Value: cookie.Value} //nolint:gosec // for a Cookie header, which has no attributes
}

// Session returns the session that the browser, or a client without cookies, has after the response to r: as
// it is in the store now, to be read. Its status is StatusLoaded, or another
// where the visitor has no session (any more).
func Session(t testing.TB, m *core.Manager, r *http.Request, response *http.Response) *core.Session {
	t.Helper()
	name, value := m.Config().Cookie.Name, ""
	if c, err := r.Cookie(name); err == nil {
		value = c.Value
	}
	for _, c := range response.Cookies() {
		if c.Name == name {
			value = c.Value
			if c.MaxAge < 0 {
				value = ""
			}
		}
	}
	if h := m.Config().Header; h != nil {
		if token := strings.TrimPrefix(r.Header.Get(h.Request), "Bearer "); strings.HasPrefix(token, "s%3A") {
			value = token
		}
		if tokens, told := response.Header[h.Response]; told {
			value = tokens[0]
		}
	}
	s, err := m.Load(t.Context(), value)
	if err != nil {
		t.Fatalf("sessiontest: load the session: %v", err)
	}
	return s
}

package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A test has an app of its own, and so shares no session with any other. Its store is a
// real one, in memory.
func newTestApp(t *testing.T, now func() time.Time) *app {
	t.Helper()
	st := memorystore.New(memorystore.Options{Now: now})
	t.Cleanup(func() { _ = st.Close() })
	a, err := newApp(st, strings.Repeat("a secret for tests", 2), now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// add asks for the handler, and returns its answer and the session that it left.
func (a *app) add(t *testing.T, item string, cookies ...*http.Cookie) (*httptest.ResponseRecorder, *core.Session) {
	t.Helper()
	r := httptest.NewRequest("POST", "/cart", strings.NewReader(url.Values{"item": {item}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.handler().ServeHTTP(w, r)
	return w, sessiontest.Session(t, a.sessions, r, w.Result())
}

// bob is signed in, and has what fill puts into his session.
func (a *app) bob(t *testing.T, fill func(*core.Session)) *http.Cookie {
	t.Helper()
	return sessiontest.Cookie(t, a.sessions, func(s *core.Session) {
		if err := s.SignIn(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		if fill != nil {
			fill(s)
		}
	})
}

func TestAnItemGoesIntoTheCart(t *testing.T) {
	a := newTestApp(t, nil)
	cookie := a.bob(t, func(s *core.Session) { cart.Set(s, []string{"coat"}) })
	answer, left := a.add(t, "hat", cookie)
	if got, want := answer.Body.String(), "bob has coat, hat\n"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	if got := cart.Get(left); !slices.Equal(got, []string{"coat", "hat"}) {
		t.Errorf("the session has %q", got)
	}
}

func TestACartIsForUsers(t *testing.T) {
	a := newTestApp(t, nil)
	answer, left := a.add(t, "scarf")
	if answer.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", answer.Code)
	}
	if left.Status() != core.StatusNew {
		t.Errorf("who was refused has a session: %v", left.Status())
	}
}

func TestAfterAnHourBobSignsInAgain(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	a := newTestApp(t, func() time.Time { return now })
	cookie := a.bob(t, nil)
	now = now.Add(time.Hour - time.Minute)
	if answer, _ := a.add(t, "hat", cookie); answer.Code != http.StatusOK {
		t.Errorf("status %d within the hour, want 200", answer.Code)
	}
	now = now.Add(time.Hour + time.Second) // since the request before
	if answer, _ := a.add(t, "hat", cookie); answer.Code != http.StatusUnauthorized {
		t.Errorf("status %d after it, want 401", answer.Code)
	}
}

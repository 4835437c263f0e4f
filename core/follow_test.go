package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// A library that keeps sessions in cookies makes a new one with each change. A session
// that ended here does not come back from one that it has followed.
func TestASessionThatEndedHereDoesNotComeBackFromALaterCookie(t *testing.T) {
	for name, end := range map[string]func(st *stage){
		"by its timeout": func(st *stage) { st.clock.advance(2 * time.Hour) },
		"by the limit": func(st *stage) {
			for range 2 {
				_ = st.logIn("", "bob")
			}
			st.clock.advance(2 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := &oldSide{}
			st, _ := newUserStage(t, taking(old, linked, func(c *core.Config) {
				c.IdleTimeout, c.MaxSessionsPerUser = time.Hour, 2
			}))
			saved := func(n int) predecessor.Session {
				s := of("bob", map[string]any{"n": n})
				s.SavedAt = st.clock.Now()
				return s
			}
			a, _ := st.sees(old.has("first", saved(1)))
			later := old.has("later", saved(2))
			if _, s := st.sees(a.cookie + "; " + later); s.user != "bob" {
				t.Fatalf("it does not follow: user %q", s.user)
			}
			st.clock.advance(time.Minute)
			end(st)
			for _, cookie := range []string{a.cookie + "; " + later, later} {
				if _, s := st.sees(cookie); s.user != "" {
					t.Errorf("it has ended, and is %q's again", s.user)
				}
			}
			next := old.has("next", saved(3)) // who goes on at the old side comes again
			if _, s := st.sees(next); s.user != "bob" {
				t.Errorf("what is newer is %q's", s.user)
			}
		})
	}
}

// A process that dies between any two steps of following a later cookie leaves a session
// that the next request brings up to date.
func TestAProcessThatDiesWhileFollowingLogsNobodyOut(t *testing.T) {
	for after := range 5 {
		t.Run(fmt.Sprintf("after %d calls", after), func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				old := &oldSide{}
				m := p.outside(before(old), linked)
				value, err := arrive(m, old.has("first", of("ada", map[string]any{"n": 1})))
				if err != nil || value == "" {
					p.t.Fatalf("the first request: %v", err)
				}
				both := m.Config().Cookie.Name + "=" + value + "; " + old.has("later", of("ada", map[string]any{"n": 5}))
				p.dies, p.after = "one", after
				p.comes("one", both, p.process("one", before(old), linked))
				p.check = func() {
					if _, err := arrive(m, both); err != nil {
						p.t.Fatal(err)
					}
					if s := load(p.t, m, value); s.User() != "ada" || s.Get("n") != 5 {
						p.t.Errorf("the next request: user %q, n %v", s.User(), s.Get("n"))
					}
				}
			})
		})
	}
}

// Whoever has a copy of an old cookie finds it worthless after the logout that it came to,
// also where the session that ended was made here.
func TestALogoutRefusesTheOldCookieThatCameWithIt(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	ours := st.logIn("", "carol")
	saved := func(user string) predecessor.Session {
		s := of(user, nil)
		s.SavedAt = st.clock.Now().Add(-time.Minute)
		return s
	}
	came, elsewhere := old.has("came", saved("bob")), old.has("elsewhere", saved("carol"))
	st.visit(ours+"; "+came, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for cookie, want := range map[string]string{came: "", elsewhere: "carol"} {
		if _, s := st.sees(cookie); s.user != want {
			t.Errorf("%s: user %q, want %q", cookie, s.user, want)
		}
	}
}

// Where the former library's store fails, the logout is not done, but the session here
// has ended.
func TestALogoutEndsTheSessionHereThoughTheOldStoreFails(t *testing.T) {
	t.Parallel()
	old := &oldSide{stored: true}
	st, _ := newUserStage(t, taking(old))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	old.fails(errors.New("it is down"))
	b := st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err == nil {
			t.Error("SignOut: nil, though the old session lives")
		}
	})
	if b.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", b.status)
	}
	if _, s := st.sees(a.cookie); s.user != "" {
		t.Errorf("the session here is still %q's", s.user)
	}
	old.fails(nil)
	c := st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if c.status != http.StatusOK || len(old.sessions) != 0 {
		t.Errorf("once more: status %d, %d old sessions", c.status, len(old.sessions))
	}
}

// A hanging side is an old one whose store does not answer at a logout.
type hanging struct{ *oldSide }

// Forget implements [predecessor.Source].
func (hanging) Forget(ctx context.Context, _ *http.Request) ([]*http.Cookie, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestALogoutDoesNotSpendAllItsTimeOnTheOldStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &oldSide{stored: true}
		st := new(mapstore.Store)
		m := process(t, st, func(c *core.Config) {
			c.Predecessor = core.Predecessor{Source: hanging{old}, Until: time.Now().AddDate(1, 0, 0)}
		})
		r := requestWith(t.Context(), "")
		r.Header.Set("Cookie", old.has("token", of("bob", nil)))
		ours := browser(t, serve(m, r, func(http.ResponseWriter, *http.Request) {}).Header().Get("Set-Cookie"), "")
		if s := load(t, m, ours); s.User() != "bob" {
			t.Fatalf("user %q", s.User())
		}
		r.Header.Add("Cookie", "sid="+ours)
		serve(m, r, func(_ http.ResponseWriter, r *http.Request) {
			if err := core.FromContext(r.Context()).SignOut(r.Context()); err == nil {
				t.Error("SignOut: nil")
			}
		})
		if s := load(t, m, ours); s.User() != "" {
			t.Errorf("the session here is still %q's", s.User())
		}
	})
}

// What an old instance saves again, unchanged, does not undo what was changed here since.
func TestFollowingUndoesNothingThatWasChangedHere(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		old := &oldSide{stored: stored}
		st, _ := newUserStage(t, taking(old, linked))
		cookie := old.has("token", of("bob", map[string]any{"n": 1, "colour": "red", "size": "s"}))
		a, _ := st.sees(cookie)
		st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
			s.Set("colour", "blue")
			s.Delete("cart")
		})
		cookie = old.has("token", of("bob", map[string]any{"n": 2, "colour": "red"}))
		for range 2 {
			st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
				if s.Get("n") != 2 || s.Has("size") || s.User() != "bob" {
					t.Errorf("stored %v: what changed there: n %v, size %v, user %q", stored, s.Get("n"), s.Get("size"), s.User())
				}
				if s.Get("colour") != "blue" || s.Has("cart") {
					t.Errorf("stored %v: what changed here is undone: colour %v, cart %v", stored, s.Get("colour"), s.Get("cart"))
				}
			})
		}
		cookie = old.has("token", of("bob", map[string]any{"n": 2, "colour": "green"}))
		st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
			if s.Get("colour") != "green" {
				t.Errorf("stored %v: what changed there as well is %v here", stored, s.Get("colour"))
			}
		})
	}
}

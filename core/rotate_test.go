package core_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// rotates gives the session of a cookie another id and returns the cookie that there is
// then.
func (st *stage) rotates(cookie string) string {
	st.t.Helper()
	a := st.visit(cookie, func(s *core.Session) {
		if err := s.Rotate(); err != nil {
			st.t.Errorf("Rotate: %v", err)
		}
	})
	if a.status != http.StatusOK || a.cookie == cookie || a.cookie == "" {
		st.t.Fatalf("Rotate: status %d, the cookie is another: %v", a.status, a.cookie != cookie)
	}
	return a.cookie
}

// everyKind runs a test with and without lists of users, and with hashed ids.
func everyKind(t *testing.T, cfg core.Config, test func(t *testing.T, st *stage)) {
	t.Helper()
	t.Run("listed", func(t *testing.T) {
		t.Parallel()
		st, _ := newUserStage(t, cfg)
		test(t, st)
	})
	t.Run("not listed", func(t *testing.T) { t.Parallel(); test(t, newStage(t, cfg)) })
	cfg.HashIDs = true
	t.Run("hashed", func(t *testing.T) { t.Parallel(); test(t, newStage(t, cfg)) })
}

func TestARequestWithAnIdThatWasRotatedAMomentAgoStillCounts(t *testing.T) {
	t.Parallel()
	everyKind(t, core.Config{Rolling: true, Cookie: core.Cookie{MaxAge: time.Hour}}, func(t *testing.T, st *stage) {
		before := st.logIn("", "ada")
		st.visit(before, func(s *core.Session) { counter.Set(s, 1); colour.Set(s, "red") })
		after := st.rotates(before)
		st.clock.advance(9 * time.Second)
		a := st.visit(before, func(s *core.Session) {
			if s.User() != "ada" || counter.Get(s) != 1 || s.Status() != core.StatusLoaded {
				t.Errorf("it reads %q, %d, %v", s.User(), counter.Get(s), s.Status())
			}
			counter.Update(s, func(n int) int { return n + 1 })
			if got, err := colour.Take(t.Context(), s); got != "red" || err != nil {
				t.Errorf("it takes %q, %v", got, err)
			}
			if err := errors.Join(s.Check(t.Context()), s.Reload(t.Context()), s.RequireRecentSignIn(t.Context(), time.Hour)); err != nil {
				t.Error(err)
			}
			counter.Update(s, func(n int) int { return n + 10 })
			if err := s.SetMaxAge(2 * time.Hour); err != nil {
				t.Error(err)
			}
		})
		if a.status != http.StatusOK || a.setCookie != "" {
			t.Errorf("status %d, cookie %v; want 200 and none", a.status, a.setCookie != "")
		}
		st.visit(after, func(s *core.Session) {
			if counter.Get(s) != 11 || colour.Get(s) != "" {
				t.Errorf("what it changed did not land: %d, %q", counter.Get(s), colour.Get(s))
			}
		})
	})
}

func TestWhatWasUnderWayWhenTheIdWasRotatedLands(t *testing.T) {
	t.Parallel()
	everyKind(t, core.Config{}, func(t *testing.T, st *stage) {
		before := st.logIn("", "ada")
		st.visit(before, func(s *core.Session) { counter.Set(s, 1); colour.Set(s, "red") })
		var after string
		a := st.visit(before, func(slow *core.Session) {
			counter.Update(slow, func(n int) int { return n + 1 })
			after = st.rotatesBeside(before)
			st.clock.advance(9 * time.Second)
			if got, err := colour.Take(t.Context(), slow); got != "red" || err != nil {
				t.Errorf("it takes %q, %v", got, err)
			}
			if err := errors.Join(slow.Check(t.Context()), slow.Save(t.Context())); err != nil {
				t.Error(err)
			}
			counter.Update(slow, func(n int) int { return n + 10 })
		})
		if a.status != http.StatusOK || a.setCookie != "" {
			t.Errorf("status %d, cookie %v; want 200 and none", a.status, a.setCookie != "")
		}
		st.visit(after, func(s *core.Session) {
			if counter.Get(s) != 12 || colour.Get(s) != "" || s.User() != "ada" {
				t.Errorf("%d, %q, %q", counter.Get(s), colour.Get(s), s.User())
			}
		})
	})
}

// rotatesBeside rotates the id by another request that came with the same cookie.
func (st *stage) rotatesBeside(cookie string) (after string) {
	st.t.Helper()
	st.beside(cookie, func(s *core.Session) error {
		if err := s.Rotate(); err != nil {
			return err
		}
		line, err := st.Commit(st.t.Context(), s, false)
		after, _, _ = strings.Cut(line, ";")
		return err
	})
	return after
}

// The old id is worth nothing when the moment is over, and each step that gives rights
// ends it at once: whoever planted or stole it has nothing.
//
// Standards: ASVS-7.2.4, WSTG-SESS-03
func TestARotatedIdLeadsNowhereWhereRightsChangedOrTimePassed(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(st *stage, cookie string) string{
		"ten seconds pass": func(st *stage, cookie string) string { st.clock.advance(10 * time.Second); return cookie },
		"a sign-in":        func(st *stage, cookie string) string { return st.logIn(cookie, "eve") },
		"a renewal": func(st *stage, cookie string) string {
			return st.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
		},
		"a renewal after another rotation": func(st *stage, cookie string) string {
			return st.visit(st.rotates(cookie), func(s *core.Session) { _ = s.Renew() }).cookie
		},
		"a regeneration": func(st *stage, cookie string) string {
			return st.visit(cookie, func(s *core.Session) { _ = s.Regenerate(); s.Set("x", 1) }).cookie
		},
		"a logout": func(st *stage, cookie string) string {
			st.visit(cookie, func(s *core.Session) { _ = s.SignOut(context.Background()) })
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyKind(t, core.Config{}, func(t *testing.T, st *stage) {
				planted := st.logIn("", "ada")
				st.visit(planted, func(s *core.Session) { counter.Set(s, 1) })
				then(st, st.rotates(planted))
				st.visit(planted, func(s *core.Session) {
					if s.User() != "" || counter.Get(s) != 0 || s.Status() != core.StatusUnknown {
						t.Errorf("the old id leads to a session of %q: %v", s.User(), s.Status())
					}
				})
				if a := st.visit(planted, func(s *core.Session) { counter.Set(s, 2) }); a.status == http.StatusOK && a.cookie == planted {
					t.Error("it is stored under the old id")
				}
			})
		})
	}
}

func TestARequestThatSignsInOrRenewsIsNoRotation(t *testing.T) {
	t.Parallel()
	for name, also := range map[string]func(s *core.Session) error{
		"renews":   func(s *core.Session) error { return s.Renew() },
		"signs in": func(s *core.Session) error { return s.SignIn(context.Background(), "ada") },
	} {
		for _, rotateFirst := range []bool{true, false} {
			st := newStage(t, core.Config{})
			planted := st.signIn()
			st.visit(planted, func(s *core.Session) {
				calls := []func(s *core.Session) error{(*core.Session).Rotate, also}
				if !rotateFirst {
					calls[0], calls[1] = calls[1], calls[0]
				}
				for _, call := range calls {
					if err := call(s); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
			st.visit(planted, func(s *core.Session) {
				if s.Has("user") || s.User() != "" {
					t.Errorf("%s, rotating first %v: the old id leads to the session", name, rotateFirst)
				}
			})
		}
	}
}

// Whoever comes with the old id is never given the new one, and can make none of it.
//
// Standards: ASVS-7.2.4
func TestARotatedIdIsNotGoodForAnother(t *testing.T) {
	t.Parallel()
	everyKind(t, core.Config{Rolling: true}, func(t *testing.T, st *stage) {
		before := st.logIn("", "ada")
		st.visit(before, func(s *core.Session) { counter.Set(s, 1) })
		after := st.rotates(before)
		for name, verb := range map[string]func(s *core.Session) error{
			"Renew":      (*core.Session).Renew,
			"Regenerate": (*core.Session).Regenerate,
		} {
			if a := st.visit(before, func(s *core.Session) {
				if err := verb(s); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}); a.status != http.StatusConflict || a.setCookie != "" {
				t.Errorf("%s: status %d, cookie %v; want 409 and none", name, a.status, a.setCookie != "")
			}
		}
		if a := st.visit(before, func(s *core.Session) {
			if err := s.Rotate(); err != nil {
				t.Error(err)
			}
			counter.Update(s, func(n int) int { return n + 1 })
		}); a.status != http.StatusOK || a.setCookie != "" {
			t.Errorf("Rotate: status %d, cookie %v; want 200 and none", a.status, a.setCookie != "")
		}
		own := st.logIn(before, "eve")
		st.visit(own, func(s *core.Session) {
			if s.User() != "eve" || counter.Get(s) != 0 {
				t.Errorf("a sign-in begins a session of its own: %q, %d", s.User(), counter.Get(s))
			}
		})
		st.visit(after, func(s *core.Session) {
			if s.User() != "ada" || counter.Get(s) != 2 {
				t.Errorf("the session is that of %q, %d", s.User(), counter.Get(s))
			}
		})
	})
}

func TestTwoRequestsThatRotateAnIdRotateItOnce(t *testing.T) {
	t.Parallel()
	everyKind(t, core.Config{}, func(t *testing.T, st *stage) {
		before := st.logIn("", "ada")
		var after string
		a := st.visit(before, func(s *core.Session) {
			if err := s.Rotate(); err != nil {
				t.Error(err)
			}
			counter.Set(s, 5)
			after = st.rotatesBeside(before)
		})
		if a.status != http.StatusOK || a.setCookie != "" {
			t.Errorf("status %d, cookie %v; want 200 and none", a.status, a.setCookie != "")
		}
		st.visit(after, func(s *core.Session) {
			if counter.Get(s) != 5 || s.User() != "ada" {
				t.Errorf("%d, %q", counter.Get(s), s.User())
			}
		})
	})
}

func TestALogoutWithARotatedIdEndsTheSession(t *testing.T) {
	t.Parallel()
	everyKind(t, core.Config{}, func(t *testing.T, st *stage) {
		before := st.logIn("", "ada")
		after := st.rotates(before)
		a := st.visit(before, func(s *core.Session) {
			if err := s.SignOut(t.Context()); err != nil {
				t.Errorf("SignOut: %v", err)
			}
		})
		if a.status != http.StatusOK || a.cookie != "" {
			t.Errorf("status %d, the browser has a cookie: %v", a.status, a.cookie != "")
		}
		if user := st.userOf(after); user != "" {
			t.Errorf("the session of %q lives", user)
		}
	})
}

func TestARotationIsFollowedOverSeveral(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	first := st.logIn("", "ada")
	last := st.rotates(st.rotates(st.rotates(first)))
	st.visit(first, func(s *core.Session) { counter.Set(s, 7) })
	st.visit(last, func(s *core.Session) {
		if counter.Get(s) != 7 {
			t.Errorf("%d, want 7", counter.Get(s))
		}
	})
}

func TestAnOutageWhileARotationIsFollowedIsNoLogout(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	before := st.logIn("", "ada")
	a := st.visit(before, func(s *core.Session) {
		counter.Set(s, 1)
		st.rotatesBeside(before)
		st.store.failWith("load", errRefused)
	})
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", a.status)
	}
}

func TestARotatedTokenGetsNoOther(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Header: &core.Header{}})
	var token string
	st.asBearer("", func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		err := errors.Join(s.SignIn(r.Context(), "ada"), s.Save(r.Context()))
		var none error
		if token, none = s.Token(); err != nil || none != nil {
			t.Errorf("SignIn: %v, %v", err, none)
		}
	})
	rotated := st.asBearer(token, func(_ http.ResponseWriter, r *http.Request) { _ = core.FromContext(r.Context()).Rotate() })
	if next := rotated.Header.Get("Session-Token"); next == "" || next == token {
		t.Errorf("Rotate: the response has another token: %v", next != "")
	}
	late := st.asBearer(token, func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if _, err := s.Token(); s.User() != "ada" || !errors.Is(err, core.ErrNotStored) {
			t.Errorf("a request with the old token is of %q; Token: %v", s.User(), err)
		}
	})
	if _, told := late.Header["Session-Token"]; told {
		t.Error("a request with the old token is told another")
	}
}

// Nobody can be led from one sealed cookie to another.
func TestARotationOfASealedSessionIsARenewal(t *testing.T) {
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	before := st.signIn()
	after := st.rotates(before)
	st.reads(after, true)
	st.reads(before, false)
}

// Whoever asked for another id, and reloads after somebody else rotated the session, has
// the old id, and is given none.
//
// Standards: ASVS-7.2.4
func TestAReloadThatFollowsARotationIsGivenNoID(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(s *core.Session) error{
		"Rotate":     (*core.Session).Rotate,
		"Renew":      (*core.Session).Renew,
		"Regenerate": (*core.Session).Regenerate,
		"SignIn":     func(s *core.Session) error { return s.SignIn(context.Background(), "eve") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyKind(t, core.Config{}, func(t *testing.T, st *stage) {
				before := st.logIn("", "ada")
				st.visit(before, func(s *core.Session) { counter.Set(s, 1) })
				var after string
				a := st.visit(before, func(s *core.Session) {
					if err := ask(s); err != nil {
						t.Error(err)
					}
					after = st.rotatesBeside(before)
					if err := s.Reload(t.Context()); err != nil && !errors.Is(err, core.ErrSessionGone) {
						t.Error(err)
					}
				})
				if name != "SignIn" && a.setCookie != "" {
					t.Error("it is given an id")
				}
				st.visit(a.cookie, func(s *core.Session) {
					if name == "SignIn" && (s.User() != "eve" || counter.Get(s) != 0) {
						t.Errorf("a sign-in begins a session of its own: %q, %d", s.User(), counter.Get(s))
					}
				})
				st.clock.advance(11 * time.Second)
				if user := st.userOf(after); user != "ada" {
					t.Errorf("the session is that of %q", user)
				}
			})
		})
	}
}

func TestARotatedSessionHasNoTokenForWhoHasTheOldID(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	before := st.logIn("", "ada")
	st.rotates(before)
	st.visit(before, func(s *core.Session) {
		if err := errors.Join(s.Rotate(), s.Save(t.Context())); err != nil {
			t.Error(err)
		}
		if _, err := s.Token(); !errors.Is(err, core.ErrNotStored) {
			t.Errorf("Token: %v", err)
		}
	})
}

// The first byte looks whether the cookie may be sent again, and finds that the id was
// rotated in another process.
func TestWhatIsChangedAfterTheFirstByteLandsThoughTheIDWasRotated(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{Rolling: true})
	other := newStage(t, core.Config{Store: backing, Rolling: true})
	other.clock.follow(st.clock)
	before := st.logIn("", "ada")
	var after string
	a := st.request(before, func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		after = other.rotatesBeside(before)
		_, _ = w.Write([]byte("x"))
		counter.Set(s, 1)
	})
	if a.setCookie != "" {
		t.Error("the browser, which has a newer cookie, is sent the old one")
	}
	st.visit(after, func(s *core.Session) {
		if counter.Get(s) != 1 {
			t.Error("the change is lost")
		}
	})
}

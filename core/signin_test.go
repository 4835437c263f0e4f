package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// newUserStage is a stage whose store keeps lists of users' sessions.
func newUserStage(t testing.TB, cfg core.Config) (*stage, *userStore) {
	t.Helper()
	backing := newUserStore()
	cfg.Store = backing
	st := newStage(t, cfg)
	backing.sessions.Now = st.clock.Now
	backing.index.(*mapstore.Store).Now = st.clock.Now
	return st, backing
}

// logIn signs a user in from a browser that has a cookie, and returns the one that
// it has then.
func (st *stage) logIn(cookie, user string, methods ...string) string {
	st.t.Helper()
	a := st.visit(cookie, func(s *core.Session) {
		if err := s.SignIn(context.Background(), user, methods...); err != nil {
			st.t.Errorf("SignIn: %v", err)
		}
	})
	if a.status != http.StatusOK || a.cookie == "" || a.cookie == cookie {
		st.t.Fatalf("sign-in: status %d, the cookie is another: %v", a.status, a.cookie != cookie)
	}
	return a.cookie
}

// userOf returns who is signed in with a cookie.
func (st *stage) userOf(cookie string) (user string) {
	st.t.Helper()
	st.visit(cookie, func(s *core.Session) { user = s.User() })
	return user
}

// listOf returns the sessions of a user.
func (st *stage) listOf(user string) []core.Info {
	st.t.Helper()
	all, err := walk(st.Sessions(context.Background(), user))
	if err != nil {
		st.t.Fatalf("Sessions: %v", err)
	}
	return all
}

// Standards: ASVS-7.2.4, NIST-5.1-issue, WSTG-SESS-03
func TestSignInGivesANewIDAndKeepsTheDataOfTheVisitor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		begin func(st *stage) string
		keeps bool
	}{
		{"a visitor without a session", func(*stage) string { return "" }, false},
		{"a visitor with a session", func(st *stage) string {
			return st.visit("", func(s *core.Session) { counter.Set(s, 7) }).cookie
		}, true},
		{"the same user again", func(st *stage) string {
			cookie := st.logIn("", "ada")
			st.visit(cookie, func(s *core.Session) { counter.Set(s, 7) })
			return cookie
		}, true},
		{"another user", func(st *stage) string {
			cookie := st.logIn("", "bob")
			st.visit(cookie, func(s *core.Session) { counter.Set(s, 7) })
			return cookie
		}, false},
	}
	for _, listed := range []bool{true, false} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, listed %v", tt.name, listed), func(t *testing.T) {
				t.Parallel()
				st := newStage(t, core.Config{})
				if listed {
					st, _ = newUserStage(t, core.Config{})
				}
				before := tt.begin(st)
				a := st.visit(before, func(s *core.Session) {
					counter.Set(s, 1)
					if err := s.SignIn(t.Context(), "ada"); err != nil {
						t.Fatal(err)
					}
					colour.Set(s, "red")
					if s.User() != "ada" {
						t.Errorf("User is %q before the commit", s.User())
					}
				})
				if before != "" && st.userOf(before) != "" {
					t.Error("the old id still leads to a session")
				}
				st.visit(a.cookie, func(s *core.Session) {
					if s.User() != "ada" || colour.Get(s) != "red" {
						t.Errorf("user %q, colour %q", s.User(), colour.Get(s))
					}
					want := 1 // set before SignIn, which belongs to what there was
					if !tt.keeps && before != "" {
						want = 0
					}
					if got := counter.Get(s); got != want {
						t.Errorf("counter is %d, want %d", got, want)
					}
				})
			})
		}
	}
}

// Standards: ASVS-7.5.3, NIST-5.1-level, NIST-5.2-timeouts
func TestSignInRecordsWhenAndHow(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{AbsoluteTimeout: 10 * time.Hour, IdleTimeout: 5 * time.Hour})
	cookie := st.visit("", func(s *core.Session) {
		if s.User() != "" || !s.AuthenticatedAt().IsZero() || s.AuthenticatedBy() != nil {
			t.Errorf("a visitor is %q, signed in at %v", s.User(), s.AuthenticatedAt())
		}
		counter.Set(s, 1)
	}).cookie
	st.clock.advance(4 * time.Hour)
	check := func(when string, s *core.Session, at time.Time, by ...string) {
		t.Helper()
		if !s.AuthenticatedAt().Equal(at) || !slices.Equal(s.AuthenticatedBy(), by) || s.User() != "ada" {
			t.Errorf("%s: %q signed in at %v by %v, want %v by %v", when, s.User(), s.AuthenticatedAt(), s.AuthenticatedBy(), at, by)
		}
	}
	first := st.clock.Now()
	cookie = st.visit(cookie, func(s *core.Session) {
		if err := s.SignIn(t.Context(), "ada", "password"); err != nil {
			t.Fatal(err)
		}
		check("before the commit", s, first, "password")
	}).cookie
	st.clock.advance(4 * time.Hour)
	cookie = st.visit(cookie, func(s *core.Session) {
		check("hours later", s, first, "password")
		counter.Set(s, 2)
		_ = s.Renew()
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		check("after a renewal", s, first, "password")
		if !s.CreatedAt().Equal(first) {
			t.Errorf("the session counts from %v, want the sign-in at %v", s.CreatedAt(), first)
		}
	})
	st.clock.advance(time.Hour)
	second := st.clock.Now()
	cookie = st.logIn(cookie, "ada", "password", "totp")
	st.clock.advance(4 * time.Hour)
	st.visit(cookie, func(s *core.Session) { check("after signing in again", s, second, "password", "totp") })
	st.clock.advance(4 * time.Hour)
	st.visit(cookie, func(s *core.Session) {
		check("beyond the absolute timeout of the first sign-in", s, second, "password", "totp")
	})
	st.clock.advance(2 * time.Hour)
	if st.userOf(cookie) != "" {
		t.Error("the session outlived the absolute timeout, counted from the sign-in")
	}
}

func TestSignInActsAtTheCommit(t *testing.T) {
	t.Parallel()
	for name, undo := range map[string]func(s *core.Session){
		"Discard":    (*core.Session).Discard,
		"Regenerate": func(s *core.Session) { _ = s.Regenerate() },
		"a panic":    func(*core.Session) { panic(http.ErrAbortHandler) },
		"Destroy":    func(s *core.Session) { _ = s.Destroy(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, _ := newUserStage(t, core.Config{})
			cookie := st.visit("", func(s *core.Session) { counter.Set(s, 1) }).cookie
			a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
				defer func() { _ = recover() }()
				st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					s := st.FromContext(r.Context())
					if err := s.SignIn(r.Context(), "ada"); err != nil {
						t.Errorf("SignIn: %v", err)
					}
					undo(s)
				})).ServeHTTP(w, r)
			})
			if a.cookie != "" && st.userOf(a.cookie) != "" || st.userOf(cookie) != "" {
				t.Error("somebody is signed in")
			}
			if all := st.listOf("ada"); len(all) != 0 {
				t.Errorf("%d sessions are listed", len(all))
			}
		})
	}
	t.Run("nothing is stored before", func(t *testing.T) {
		t.Parallel()
		st, backing := newUserStage(t, core.Config{})
		s, err := st.Load(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SignIn(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if n := len(backing.sessions.Records()); n != 0 {
			t.Errorf("%d records", n)
		}
	})
}

func TestNobodyOutsideCanChangeTheMethodsOfASignIn(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	methods := []string{"password", "totp"}
	check := func(when string, s *core.Session) {
		t.Helper()
		by := s.AuthenticatedBy()
		if !slices.Equal(by, []string{"password", "totp"}) {
			t.Errorf("%s: by %q", when, by)
		}
		for i := range by {
			by[i] = "forged"
		}
	}
	a := st.visit("", func(s *core.Session) {
		if err := s.SignIn(t.Context(), "ada", methods...); err != nil {
			t.Error(err)
		}
		methods[0] = "forged"
		check("after SignIn", s)
		check("and again", s)
	})
	for range 2 {
		st.visit(a.cookie, func(s *core.Session) {
			check("later", s)
			check("and again", s)
		})
	}
}

func TestSignInRefusesNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(s *core.Session) error{
		"an empty name":        func(s *core.Session) error { return s.SignIn(context.Background(), "") },
		"a name of 256 bytes":  func(s *core.Session) error { return s.SignIn(context.Background(), strings.Repeat("a", 256)) },
		"a name that is bytes": func(s *core.Session) error { return s.SignIn(context.Background(), "a\xff") },
		"an empty method":      func(s *core.Session) error { return s.SignIn(context.Background(), "ada", "") },
		"a long method": func(s *core.Session) error {
			return s.SignIn(context.Background(), "ada", strings.Repeat("m", 65))
		},
		"nine methods": func(s *core.Session) error {
			return s.SignIn(context.Background(), "ada", slices.Repeat([]string{"pwd"}, 9)...)
		},
	} {
		st, _ := newUserStage(t, core.Config{})
		a := st.visit("", func(s *core.Session) {
			if err := try(s); !errors.Is(err, core.ErrInvalidUser) || core.HTTPStatus(err) != http.StatusInternalServerError {
				t.Errorf("%s: %v", name, err)
			}
		})
		if a.setCookie != "" {
			t.Errorf("%s: there is a session", name)
		}
	}
	st, _ := newUserStage(t, core.Config{})
	eight := slices.Repeat([]string{strings.Repeat("m", 64)}, 8)
	st.visit(st.logIn("", "ada", eight...), func(s *core.Session) {
		if got := s.AuthenticatedBy(); !slices.Equal(got, eight) {
			t.Errorf("of eight methods of 64 bytes there are %q", got)
		}
	})
	for _, name := range []string{"a", strings.Repeat("ü", 127), "a\x00b\"\\<\u2028>"} {
		if got := st.userOf(st.logIn("", name)); got != name {
			t.Errorf("%q is read as %q", name, got)
		}
		if all := st.listOf(name); len(all) != 1 {
			t.Errorf("%q has %d sessions", name, len(all))
		}
	}
}

func TestSignInNeedsTheHeaders(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	st.request("", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		_, _ = w.Write([]byte("begun"))
		if err := s.SignIn(r.Context(), "ada"); !errors.Is(err, core.ErrHeadersSent) {
			t.Errorf("SignIn after the first byte: %v", err)
		}
		if s.User() != "" {
			t.Errorf("the user is %q", s.User())
		}
	})
	st.visit("", func(s *core.Session) {
		_ = s.Destroy(context.Background())
		if err := s.SignIn(context.Background(), "ada"); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("SignIn after Destroy: %v", err)
		}
	})
	a := st.visit("", func(s *core.Session) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.SignIn(gone, "ada"); !errors.Is(err, context.Canceled) || s.User() != "" {
			t.Errorf("SignIn of a visitor who hung up: %v, user %q", err, s.User())
		}
	})
	if a.setCookie != "" {
		t.Error("a visitor who hung up has a session")
	}
	id := st.idOf(st.logIn("", "bob"))
	err := st.Edit(t.Context(), id, func(s *core.Session) error { return s.SignIn(t.Context(), "ada") })
	if !errors.Is(err, core.ErrHeadersSent) {
		t.Errorf("SignIn in Edit: %v", err)
	}
}

// Standards: ASVS-7.4.1, NIST-5.1-logout, WSTG-SESS-06
func TestSignOutEndsTheSessionAndLeavesAnEmptyOne(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	cookie := st.logIn("", "ada")
	a := st.visit(cookie, func(s *core.Session) {
		counter.Set(s, 1)
		if err := s.SignOut(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st.stored(st.idOfNothing(cookie)) != "" {
			t.Error("the session is stored after SignOut")
		}
		if s.User() != "" || s.Has("counter") || !s.AuthenticatedAt().IsZero() {
			t.Error("something is left of it")
		}
	})
	if a.cookie != "" || !strings.Contains(a.setCookie, "Max-Age=0") {
		t.Errorf("Set-Cookie is %q, want a deletion", a.setCookie)
	}
	if st.userOf(cookie) != "" {
		t.Error("the old cookie still leads to the session")
	}

	cookie = st.logIn("", "ada")
	a = st.visit(cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Flash("info", "Goodbye!")
	})
	if a.cookie == "" || a.cookie == cookie {
		t.Fatal("the message has no session of its own")
	}
	st.visit(a.cookie, func(s *core.Session) {
		if got := s.Flashes("info"); len(got) != 1 || s.User() != "" {
			t.Errorf("messages %q, user %q", got, s.User())
		}
	})
	if st.userOf(cookie) != "" {
		t.Error("the old cookie still leads to the session")
	}
	if all := st.listOf("ada"); len(all) != 0 {
		t.Errorf("%d sessions are listed after SignOut", len(all))
	}
}

// idOfNothing returns the id that a cookie carries.
func (st *stage) idOfNothing(cookie string) string {
	_, value, _ := strings.Cut(cookie, "=")
	id, _, ok := core.Verify([]string{stageSecret}, value)
	if !ok {
		st.t.Fatal("the cookie is not genuine")
	}
	return id
}

func TestSignOutThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	st := newStage(t, core.Config{})
	cookie := st.logIn("", "ada")
	st.store.failWith("delete", down)
	a := st.visit(cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); !errors.Is(err, down) {
			t.Errorf("SignOut: %v", err)
		}
	})
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", a.status)
	}
	a = st.visit(cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err == nil {
			t.Error("SignOut succeeded")
		}
		st.store.failWith("delete", nil)
	})
	if a.status != http.StatusOK || a.cookie != "" {
		t.Errorf("status %d, Set-Cookie %q; want the logout done at the commit", a.status, a.setCookie)
	}
	if st.userOf(cookie) != "" {
		t.Error("the session lives")
	}
}

// What a SignOut has ended needs no ending: neither the session nor the others that came with
// the request.
func TestSignOutAndDestroyAfterASignOutDoNotAskTheStore(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	for verb, again := range map[string]func(*core.Session, context.Context) error{"SignOut": (*core.Session).SignOut, "Destroy": (*core.Session).Destroy} {
		one, two := st.logIn("", "ada"), st.logIn("", "ada")
		a := st.visit(one+"; "+two, func(s *core.Session) {
			if err := s.SignOut(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Set("n", 1)
			st.store.took()
			st.store.failWith("load", refused)
			defer st.store.failWith("load", nil)
			if err := again(s, t.Context()); err != nil || s.Has("n") {
				t.Errorf("%s: %v, and something is left: %v", verb, err, s.Has("n"))
			}
		})
		if a.status != http.StatusOK || !strings.Contains(a.setCookie, "Max-Age=0") || st.store.verbs() != "" {
			t.Errorf("%s: status %d, Set-Cookie %q; want a deletion, and no call of the store", verb, a.status, a.setCookie)
		}
		if st.userOf(one) != "" || st.userOf(two) != "" {
			t.Errorf("%s: a session lives", verb)
		}
	}
}

// A session that somebody else has ended is not ended again at the commit: the browser may
// have the cookie of a newer one, which would be deleted.
func TestSignOutThatFailsAfterTheSessionIsGoneDeletesNoCookie(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.logIn("", "ada")
	a := st.visit(cookie, func(s *core.Session) {
		if err := st.store.Store.Delete(t.Context(), st.idOfNothing(cookie)); err != nil {
			t.Fatal(err)
		}
		s.Set("n", 1)
		if err := s.Save(t.Context()); !errors.Is(err, core.ErrSessionGone) {
			t.Fatalf("Save: %v", err)
		}
		st.store.failWith("delete", refused)
		if err := s.SignOut(t.Context()); !errors.Is(err, refused) {
			t.Errorf("SignOut: %v", err)
		}
		st.store.failWith("delete", nil)
	})
	if a.status != http.StatusOK || a.setCookie != "" {
		t.Errorf("status %d, Set-Cookie %q, want none", a.status, a.setCookie)
	}
}

// What is left of a session whose end failed is that it ends at the commit. Nobody
// is told that anything else was done.
func TestAfterASignOutThatFailedTheSessionTakesNoMoreVerbs(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.logIn("", "ada")
	a := st.visit(cookie, func(s *core.Session) {
		st.store.failWith("delete", refused)
		_ = s.SignOut(t.Context())
		st.store.failWith("delete", nil)
		for verb, err := range map[string]error{
			"SignIn": s.SignIn(t.Context(), "bob"), "Regenerate": s.Regenerate(), "Renew": s.Renew(), "SetMaxAge": s.SetMaxAge(time.Hour),
		} {
			if !errors.Is(err, core.ErrSessionGone) {
				t.Errorf("%s returned %v, want ErrSessionGone", verb, err)
			}
		}
		s.Set("late", true)
	})
	if a.status != http.StatusOK || a.cookie != "" || st.userOf(cookie) != "" {
		t.Errorf("status %d, Set-Cookie %q; want the logout done at the commit", a.status, a.setCookie)
	}
	if got := st.log.count("changes to a session were dropped, made after Destroy or SignOut failed"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, st.log)
	}
}

func TestSignOutDeletesTheCookieOnErrorPages(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	cookie := st.logIn("", "ada")
	a := st.visit(cookie, func(s *core.Session) {
		_ = s.SignOut(t.Context())
		s.Set("cookie", 1) // which makes the commit fail
	})
	if a.status != http.StatusInternalServerError || !strings.Contains(a.setCookie, "Max-Age=0") {
		t.Errorf("status %d, Set-Cookie %q", a.status, a.setCookie)
	}
}

// Standards: ASVS-7.5.1, ASVS-7.5.3
func TestRequireRecentSignIn(t *testing.T) {
	t.Parallel()
	const most = 10 * time.Minute
	for _, tt := range []struct {
		name  string
		begin func(st *stage) string
		then  func(st *stage)
		want  error
	}{
		{"nobody", func(st *stage) string { return st.signIn() }, nil, core.ErrSignInTooOld},
		{"a moment before", nil, func(st *stage) { st.clock.advance(most - 1) }, nil},
		{"as long ago as it may not be", nil, func(st *stage) { st.clock.advance(most) }, core.ErrSignInTooOld},
		{"longer ago", nil, func(st *stage) { st.clock.advance(most + 1) }, core.ErrSignInTooOld},
		{"by a clock that is ahead a little", nil, func(st *stage) { st.clock.advance(-time.Minute) }, nil},
		{"by a clock that is far ahead", nil, func(st *stage) { st.clock.advance(-time.Minute - 1) }, core.ErrSignInTooOld},
		{"renewed since", func(st *stage) string {
			cookie := st.logIn("", "ada")
			st.clock.advance(most)
			return st.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
		}, nil, core.ErrSignInTooOld},
	} {
		st, _ := newUserStage(t, core.Config{})
		begin := tt.begin
		if begin == nil {
			begin = func(st *stage) string { return st.logIn("", "ada") }
		}
		cookie := begin(st)
		if tt.then != nil {
			tt.then(st)
		}
		st.visit(cookie, func(s *core.Session) {
			if err := s.RequireRecentSignIn(t.Context(), most); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		})
	}
	if got := core.HTTPStatus(core.ErrSignInTooOld); got != http.StatusUnauthorized {
		t.Errorf("the status is %d", got)
	}
	st, _ := newUserStage(t, core.Config{})
	st.visit(st.logIn("", "ada"), func(s *core.Session) { // whoever is sent to log in for that never gets there
		for _, maxAge := range []time.Duration{600, time.Second - 1} {
			if err := s.RequireRecentSignIn(t.Context(), maxAge); !errors.Is(err, core.ErrMaxAgeTooShort) {
				t.Errorf("%v: %v, want ErrMaxAgeTooShort", maxAge, err)
			}
		}
	})
}

// Standards: ASVS-8.3.2
func TestRequireRecentSignInAsksTheStorageItself(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{})
	var fresh []bool
	backing.Store = loadFunc{backing.sessions, func(ctx context.Context) { fresh = append(fresh, store.BypassesCache(ctx)) }}
	cookie := st.logIn("", "ada")
	fresh = nil
	st.visit(cookie, func(s *core.Session) {
		if err := s.RequireRecentSignIn(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
		if err := st.RevokeUser(t.Context(), "ada"); err != nil {
			t.Error(err)
		}
		if err := s.RequireRecentSignIn(t.Context(), time.Hour); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("after a revocation: %v", err)
		}
	})
	if want := []bool{false, true, true}; !slices.Equal(fresh, want) {
		t.Errorf("reads past the cache: %v, want %v", fresh, want)
	}
	st.visit("", func(s *core.Session) {
		_ = s.SignIn(t.Context(), "ada")
		if err := s.RequireRecentSignIn(t.Context(), time.Second); err != nil {
			t.Errorf("right after SignIn: %v", err)
		}
	})
}

// A loadFunc is a store that tells of each Load.
type loadFunc struct {
	store.Store
	tell func(context.Context)
}

func (s loadFunc) Load(ctx context.Context, id string) (store.Record, error) {
	s.tell(ctx)
	return s.Store.Load(ctx, id)
}

// Standards: ASVS-7.5.2
func TestTheHandleIsPublicAndStays(t *testing.T) {
	t.Parallel()
	for _, hashed := range []bool{false, true} {
		st, _ := newUserStage(t, core.Config{HashIDs: hashed})
		handle := func(cookie string) (h string) {
			st.visit(cookie, func(s *core.Session) { h = s.Handle() })
			return h
		}
		if got := handle(""); got != "" {
			t.Errorf("a session that is not stored has the handle %q", got)
		}
		anonymous := st.signIn()
		first := handle(anonymous)
		ada := st.logIn(anonymous, "ada")
		again := st.logIn(ada, "ada")
		if handle(again) != first || first == "" {
			t.Errorf("the handle was %q and is %q", first, handle(again))
		}
		renewed := st.visit(again, func(s *core.Session) { _ = s.Renew() }).cookie
		if handle(renewed) != first {
			t.Error("Renew changed the handle")
		}
		bob := st.logIn(renewed, "bob")
		if handle(bob) == first || handle(bob) == "" {
			t.Error("the session of another user has the handle of the one before it")
		}
		if strings.Contains(st.idOf(bob), handle(bob)) || len(handle(bob)) >= len(st.idOf(bob)) {
			t.Error("the handle tells the id")
		}
		forged := st.name + "=" + core.Sign(stageSecret, handle(bob))
		if st.userOf(forged) != "" {
			t.Error("the handle leads to the session")
		}
	}
}

func TestExpressSaysWhoseSessionItIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, record, user string
	}{
		{"userId", `{"cookie":{},"userId":42}`, "42"},
		{"userId", `{"cookie":{},"userId":"ada"}`, "ada"},
		{"passport.user", `{"cookie":{},"passport":{"user":"ada"}}`, "ada"},
		{"passport.user", `{"cookie":{},"passport":{"user":7,"x":{}}}`, "7"},
		{"passport.user", `{"cookie":{},"passport":{}}`, ""},
		{"passport.user", `{"cookie":{}}`, ""},
		{"passport.user", `{"cookie":{},"passport":"ada"}`, ""},
		{"userId", `{"cookie":{},"userId":1.5}`, ""},
		{"userId", `{"cookie":{},"userId":null}`, ""},
		{"userId", `{"cookie":{},"userId":{"id":1}}`, ""},
		{"userId", `{"cookie":{},"userId":""}`, ""},
	} {
		st, backing := newUserStage(t, core.Config{UserKey: tt.key, ShareWithExpress: true})
		rec := store.Record{ID: "made by Express", Data: []byte(tt.record), TTL: time.Hour}
		if err := backing.sessions.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		cookie := st.put2(rec.ID)
		st.visit(cookie, func(s *core.Session) {
			if s.User() != tt.user || !s.AuthenticatedAt().IsZero() {
				t.Errorf("%s: user %q at %v, want %q", tt.record, s.User(), s.AuthenticatedAt(), tt.user)
			}
		})
		if tt.user == "" {
			continue
		}
		// It was seen, so it is listed, and can be ended.
		all := st.listOf(tt.user)
		if len(all) != 1 || !all[0].CreatedAt.IsZero() || all[0].Device != "" {
			t.Errorf("%s: listed as %+v", tt.record, all)
			continue
		}
		if err := st.Revoke(t.Context(), tt.user, all[0].Handle); err != nil {
			t.Errorf("%s: Revoke: %v", tt.record, err)
		}
		if st.userOf(cookie) != "" {
			t.Errorf("%s: it lives on", tt.record)
		}
	}
}

// put2 returns the cookie for an id.
func (st *stage) put2(id string) string { return "connect.sid=" + core.Sign(stageSecret, id) }

func TestWithUserKeySignInTellsExpress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key    string
		before string
		number bool // the handler sets the key as a number
		want   string
	}{
		{"userId", `{"cookie":{}}`, false, `"userId":"42"`},
		{"userId", `{"cookie":{},"userId":42}`, false, `"userId":42`},
		{"userId", `{"cookie":{}}`, true, `"userId":42`},
		{"passport.user", `{"cookie":{}}`, false, `"passport":{"user":"42"}`},
		{"passport.user", `{"cookie":{},"passport":{"kept":1}}`, false, `"passport":{"kept":1,"user":"42"}`},
		{"passport.user", `{"cookie":{},"passport":{"kept":1,"user":41}}`, false, `"passport":{"user":"42"}`},
	} {
		st, backing := newUserStage(t, core.Config{UserKey: tt.key, ShareWithExpress: true})
		rec := store.Record{ID: "made by Express", Data: []byte(tt.before), TTL: time.Hour}
		if err := backing.sessions.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		st.name = "connect.sid"
		a := st.visit(st.put2(rec.ID), func(s *core.Session) {
			if err := s.SignIn(t.Context(), "42"); err != nil {
				t.Fatal(err)
			}
			if tt.number {
				s.Set("userId", 42)
			}
		})
		stored, err := backing.sessions.Load(t.Context(), st.idOf(a.cookie))
		if err != nil || !strings.Contains(string(stored.Data), tt.want) {
			t.Errorf("%s: stored %s, %v; want %s", tt.before, stored.Data, err, tt.want)
		}
		if st.userOf(a.cookie) != "42" {
			t.Errorf("%s: the user is %q", tt.before, st.userOf(a.cookie))
		}
	}
}

func TestUserKeyIsSetBySignInAlone(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(s *core.Session){
		"Set":            func(s *core.Session) { s.Set("userId", "eve") },
		"Renew and Set":  func(s *core.Session) { _ = s.Renew(); s.Set("userId", "eve") },
		"Regenerate":     func(s *core.Session) { _ = s.Regenerate(); s.Set("userId", "ada") },
		"SignIn and Set": func(s *core.Session) { _ = s.SignIn(context.Background(), "ada"); s.Set("userId", "eve") },
		"SignIn and Delete": func(s *core.Session) {
			_ = s.SignIn(context.Background(), "ada")
			s.Delete("userId")
		},
		"Update": func(s *core.Session) {
			core.Key[string]("userId").Update(s, func(string) string { return "eve" })
		},
	} {
		st, _ := newUserStage(t, core.Config{UserKey: "userId"})
		for _, cookie := range []string{"", st.signIn(), st.logIn("", "ada")} {
			was := st.userOf(cookie)
			a := st.visit(cookie, do)
			if a.status != http.StatusInternalServerError {
				t.Errorf("%s: status %d, want 500", name, a.status)
			}
			if got := st.userOf(cookie); got != was {
				t.Errorf("%s: the user was %q and is %q", name, was, got)
			}
		}
	}
	// A logout in Express counts here too, and in a handler.
	st, _ := newUserStage(t, core.Config{UserKey: "userId"})
	cookie := st.logIn("", "ada")
	st.visit(cookie, func(s *core.Session) { s.Delete("userId") })
	st.visit(cookie, func(s *core.Session) {
		if s.User() != "" || !s.AuthenticatedAt().IsZero() {
			t.Errorf("%q is signed in, since %v", s.User(), s.AuthenticatedAt())
		}
	})
	if all := st.listOf("ada"); len(all) != 0 {
		t.Errorf("%d sessions are listed", len(all))
	}
}

// A session that Express made is in the list as soon as it has a new id, and not
// only when that is used.
func TestARenewedSessionOfExpressStaysListed(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{UserKey: "userId", Passive: func(*http.Request) bool { return true }})
	rec := store.Record{ID: "made by Express", Data: []byte(`{"cookie":{},"userId":"ada"}`), TTL: time.Hour}
	if err := backing.sessions.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	cookie := st.visit("sid="+core.Sign(stageSecret, rec.ID), func(s *core.Session) { _ = s.Renew() }).cookie
	st.logIn("", "ada") // which tidies up
	if all := st.listOf("ada"); len(all) != 2 {
		t.Errorf("%d sessions are listed, want 2", len(all))
	}
	if err := st.RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if st.userOf(cookie) != "" {
		t.Error("it lives on")
	}
}

func TestWithUserKeySignInStaysWhateverElseIsForgotten(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(s *core.Session) error{
		"Clear":  func(s *core.Session) error { s.Clear(); return nil },
		"Reload": func(s *core.Session) error { return s.Reload(context.Background()) },
	} {
		for _, key := range []string{"userId", "passport.user", ""} {
			st, _ := newUserStage(t, core.Config{UserKey: key})
			a := st.visit(st.signIn(), func(s *core.Session) {
				_ = s.SignIn(t.Context(), "ada")
				if err := do(s); err != nil {
					t.Error(err)
				}
			})
			if a.status != http.StatusOK || st.userOf(a.cookie) != "ada" {
				t.Errorf("%s, %q: status %d, user %q", name, key, a.status, st.userOf(a.cookie))
			}
		}
	}
}

func TestASessionInWhichExpressSignedInSomebodyElseIsListed(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{UserKey: "userId"})
	put := func(user string) {
		_ = backing.sessions.Delete(t.Context(), "made by Express")
		rec := store.Record{ID: "made by Express", Data: []byte(`{"cookie":{},"userId":"` + user + `"}`), TTL: time.Hour}
		if err := backing.sessions.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	cookie := "sid=" + core.Sign(stageSecret, "made by Express")
	for _, user := range []string{"bob", "ada"} {
		put(user)
		st.visit(cookie, nil)
		if all := st.listOf(user); len(all) != 1 {
			t.Errorf("%s: %d sessions are listed, want 1", user, len(all))
		}
	}
}

// An Express app that does not renew its ids may make a session another user's, or
// nobody's, and give it back. Whoever looks at the list meanwhile must not make it
// forget the session: nothing would say that it has to be put there again.
func TestASessionThatExpressGivesBackIsStillListed(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(st *stage, backing *userStore) (cookie string){
		"made by Express": func(st *stage, backing *userStore) string {
			rec := store.Record{ID: "made by Express", Data: []byte(`{"cookie":{},"userId":"ada"}`), TTL: time.Hour}
			if err := backing.sessions.Create(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			return "sid=" + core.Sign(stageSecret, rec.ID)
		},
		"made by SignIn": func(st *stage, _ *userStore) string { return st.logIn("", "ada") },
	} {
		for _, meanwhile := range []string{`"bob"`, "null"} {
			for _, stays := range []int{1, 200} { // how many visits it is not hers
				st, backing := newUserStage(t, core.Config{UserKey: "userId", IdleTimeout: time.Hour, MaxSessionsPerUser: 2, AtUserLimit: core.DropOldest})
				cookie := begin(st, backing)
				st.visit(cookie, nil)
				give := func(user string) {
					old := backing.sessions.Records()[0]
					data := regexp.MustCompile(`"userId":("\w+"|null)`).ReplaceAll(old.Data, []byte(`"userId":`+user))
					if err := backing.sessions.Update(t.Context(), old, store.Record{ID: old.ID, Data: data, TTL: time.Hour}); err != nil {
						t.Fatal(err)
					}
				}
				give(meanwhile)
				for n := range stays {
					st.clock.advance(50 * time.Minute)
					st.visit(cookie, func(s *core.Session) { counter.Set(s, n) })
					if all := st.listOf("ada"); len(all) != 0 {
						t.Fatalf("%s, then %s: listed as %+v", name, meanwhile, all)
					}
				}
				give(`"ada"`)
				st.visit(cookie, nil)
				if all := st.listOf("ada"); len(all) != 1 {
					t.Errorf("%s, then %s for %d visits: %d sessions are listed, want 1", name, meanwhile, stays, len(all))
				}
				if err := st.RevokeUser(t.Context(), "ada"); err != nil {
					t.Fatal(err)
				}
				if st.userOf(cookie) != "" {
					t.Errorf("%s, then %s for %d visits: it lives on after RevokeUser", name, meanwhile, stays)
				}
			}
		}
	}
}

// Such a session does not count when there are too many.
func TestASessionThatExpressMadeAnothersTakesNoPlace(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{UserKey: "userId", MaxSessionsPerUser: 1, AtUserLimit: core.RefuseNew})
	st.logIn("", "ada")
	old := backing.sessions.Records()[0]
	data := []byte(strings.Replace(string(old.Data), `"userId":"ada"`, `"userId":"bob"`, 1))
	if err := backing.sessions.Update(t.Context(), old, store.Record{ID: old.ID, Data: data, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	cookie := st.logIn("", "ada")
	if a := st.visit("", func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") }); a.status != http.StatusForbidden {
		t.Errorf("one too many: status %d, want 403", a.status)
	}
	if all := st.listOf("ada"); len(all) != 1 || st.userOf(cookie) != "ada" {
		t.Errorf("%d sessions are listed, want 1", len(all))
	}
}

func TestTheHandleOfASessionThatExpressMadeStays(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{UserKey: "userId"})
	for _, rec := range []store.Record{
		{ID: "made by Express", Data: []byte(`{"cookie":{},"userId":"ada"}`), TTL: time.Hour},
		{ID: "changed by Express", Data: []byte(`{"cookie":{},"userId":"bob","__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8","user":{"name":"ada","handle":"x"}}}`), TTL: time.Hour},
	} {
		if err := backing.sessions.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		var handle, user string
		cookie := "sid=" + core.Sign(stageSecret, rec.ID)
		for range 2 {
			cookie = st.visit(cookie, func(s *core.Session) {
				handle, user = s.Handle(), s.User()
				_ = s.Renew()
			}).cookie
			st.visit(cookie, func(s *core.Session) {
				if s.Handle() != handle || s.User() != user {
					t.Errorf("%s: after Renew the handle is another, or the user: %q", rec.ID, s.User())
				}
				if !s.AuthenticatedAt().IsZero() || s.AuthenticatedBy() != nil {
					t.Errorf("%s: authenticated at %v", rec.ID, s.AuthenticatedAt())
				}
			})
		}
		if all := st.listOf(user); len(all) != 1 || all[0].Handle != handle || !all[0].CreatedAt.IsZero() {
			t.Errorf("%s: listed as %+v", rec.ID, all)
		}
		st.visit(cookie, func(s *core.Session) { _ = s.Renew() })
		if err := st.Revoke(t.Context(), user, handle); err != nil {
			t.Errorf("%s: Revoke by the handle that it had before a renewal: %v", rec.ID, err)
		}
		if all := st.listOf(user); len(all) != 0 {
			t.Errorf("%s: it lives on as %+v", rec.ID, all)
		}
	}
}

package core_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// These tests are about sealed cookies that come again and again, of which a process
// remembers what is in them. Nothing may follow from that.

// remembers reports whether the process remembers what is in a cookie.
func (st *stage) remembers(cookie string) bool {
	return core.Remembers(st.Manager, strings.TrimPrefix(cookie, st.name+"="))
}

// warm has a sealed session come so often that it is remembered.
func (st *stage) warm(cookie string) {
	st.t.Helper()
	for range 4 {
		st.reads(cookie, true)
	}
	if !st.remembers(cookie) {
		st.t.Fatal("the process does not remember the cookie, so this test shows nothing")
	}
}

// Standards: ASVS-7.2.1, ASVS-11.2.2
func TestASealedCookieThatComesOftenGoesWithTheSecretThatSealedIt(t *testing.T) {
	const other = "the next secret, of thirty-two bytes or more"
	st := newSealedFleet(t, false).process(core.Config{})
	cookie := st.signIn()
	st.warm(cookie)
	if err := st.SetSecrets([]string{other}); err != nil {
		t.Fatal(err)
	}
	if st.remembers(cookie) {
		t.Error("what the former secrets sealed is remembered")
	}
	st.reads(cookie, false)
	if err := st.SetSecrets([]string{other, stageSecret}); err != nil {
		t.Fatal(err)
	}
	var a answer
	for range 4 {
		if a = st.visit(cookie, nil); a.setCookie == "" {
			t.Fatal("a cookie under the former secret is not sealed anew under the first, however often it comes")
		}
	}
	st.warm(a.cookie)
	if err := st.SetSecrets([]string{other}); err != nil {
		t.Fatal(err)
	}
	st.reads(cookie, false)
	st.reads(a.cookie, true)
}

// Standards: ASVS-7.4.1, ASVS-7.4.2, ASVS-11.7.2
func TestASealedCookieThatComesOftenEnds(t *testing.T) {
	for name, end := range map[string]func(one, other *stage, cookie string){
		"SignOut here": func(one, _ *stage, cookie string) {
			one.visit(cookie, func(s *core.Session) { _ = s.SignOut(one.t.Context()) })
		},
		"Renew here": func(one, _ *stage, cookie string) {
			one.visit(cookie, func(s *core.Session) { _ = s.Renew() })
		},
		"Destroy after Save here": func(one, _ *stage, cookie string) {
			one.visit(cookie, func(s *core.Session) {
				s.Set("n", 1)
				_ = s.Save(one.t.Context())
				_ = s.Destroy(one.t.Context())
			})
		},
		"Destroy elsewhere": func(_, other *stage, cookie string) {
			other.visit(cookie, func(s *core.Session) { _ = s.Destroy(other.t.Context()) })
		},
		"RevokeUser elsewhere": func(_, other *stage, _ string) {
			if err := other.RevokeUser(other.t.Context(), "ada"); err != nil {
				other.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newSealedFleet(t, true)
			one, other := f.process(core.Config{}), f.process(core.Config{})
			cookie := one.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(t.Context(), "ada") }).cookie
			one.warm(cookie)
			end(one, other, cookie)
			one.reads(cookie, false)
			if one.remembers(cookie) {
				t.Error("the cookie of a session that has ended is remembered")
			}
			one.reads(cookie, false)
		})
	}
}

// Standards: ASVS-7.3.1, ASVS-7.3.2, ASVS-11.7.2
func TestATimeoutEndsASealedCookieThatComesOften(t *testing.T) {
	for name, cfg := range map[string]core.Config{
		"idle":     {IdleTimeout: time.Hour, Passive: func(*http.Request) bool { return true }},
		"absolute": {IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			f := newSealedFleet(t, false)
			st := f.process(cfg)
			cookie := st.signIn()
			f.clock.advance(30 * time.Minute)
			if a := st.visit(cookie, nil); name == "absolute" {
				cookie = a.cookie
			} else if a.setCookie != "" {
				t.Error("what is no activity extends the session")
			}
			f.clock.advance(30*time.Minute - time.Millisecond)
			st.warm(cookie)
			f.clock.advance(time.Millisecond)
			st.reads(cookie, false)
			if st.remembers(cookie) {
				t.Error("the cookie of a session that is over is remembered")
			}
		})
	}
}

// Standards: ASVS-9.2.3
func TestASealedCookieThatComesOftenIsWorthNothingElsewhere(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{CookieFor: func(r *http.Request) core.Cookie {
		if r == nil {
			return core.Cookie{}
		}
		return core.Cookie{Path: "/" + r.URL.Query().Get("path")}
	}})
	cookie := st.signIn()
	st.warm(cookie)
	for what, edit := range map[string]func(*http.Request){
		"at another host":    func(r *http.Request) { r.Host = "example.com" },
		"under another path": func(r *http.Request) { r.URL.RawQuery, r.URL.Path = "path=admin", "/admin" },
	} {
		for range 3 {
			st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
				if core.FromContext(r.Context()).Status() == core.StatusLoaded {
					t.Errorf("%s it is worth something", what)
				}
			}, edit)
		}
	}
	st.warm(cookie)
}

// Standards: ASVS-9.1.1
func TestNoForgeryPassesForASealedCookieThatComesOften(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{})
	cookie := st.signIn()
	st.warm(cookie)
	for i := len("sid="); i < len(cookie); i++ {
		forged := cookie[:i] + string(cookie[i]^1) + cookie[i+1:]
		if s, err := st.Load(t.Context(), strings.TrimPrefix(forged, "sid=")); err != nil || s.Status() == core.StatusLoaded {
			t.Fatalf("with another byte %d it leads to a session: %v", i, err)
		}
	}
	st.warm(cookie)
}

// What a process remembers it hands out to many requests.
func TestWhatAHandlerDoesToAValueOfASealedCookieStaysInItsRequest(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{})
	const data core.Key[[]byte] = "data"
	cookie := st.visit("", func(s *core.Session) { s.Set("user", "ada"); data.Set(s, []byte("data")); s.Set("list", []string{"a"}) }).cookie
	st.warm(cookie)
	for range 3 {
		st.visit(cookie, func(s *core.Session) {
			if got, list := string(data.Get(s)), s.Get("list"); got != "data" || fmt.Sprint(list) != "[a]" {
				t.Errorf("it holds %q and %v", got, list)
			}
			scrawl(data.Get(s))
			s.Get("list").([]any)[0] = "b"
			s.Set("user", "eve") // which goes out in another cookie, and into no other request
		})
	}
	st.reads(cookie, true)
}

// A process that remembers and one that was just started answer the same, whatever
// came before.
func TestAProcessThatRemembersSealedCookiesAnswersAsANewOne(t *testing.T) {
	f := newSealedFleet(t, false)
	cfg := core.Config{IdleTimeout: time.Hour, TouchInterval: 10 * time.Minute}
	warm := f.process(cfg)
	cookie := warm.signIn()
	warm.warm(cookie)
	n := 0
	for i := range 60 {
		if i%7 == 3 {
			f.clock.advance(11 * time.Minute)
		}
		reader := warm
		if i%2 == 1 {
			reader = f.process(cfg)
		}
		a := reader.visit(cookie, func(s *core.Session) {
			if got := counter.Get(s); got != n || s.Status() != core.StatusLoaded {
				t.Errorf("step %d: the counter is %d, and the session %v; want %d", i, got, s.Status(), n)
			}
			if i%3 != 0 {
				n = counter.Update(s, func(n int) int { return n + 1 })
			}
		})
		if (i%3 != 0) && a.setCookie == "" {
			t.Fatalf("step %d: a change sets no cookie", i)
		}
		cookie = a.cookie
		if cookie == "" {
			t.Fatalf("step %d: the cookie is gone", i)
		}
	}
}

// The browser's next cookie is known before it comes, and the one before it is not.
func TestWhatIsSealedForASessionThatCameIsRemembered(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{})
	first := st.signIn()
	if st.remembers(first) {
		t.Error("a cookie is remembered of a visitor who came once")
	}
	st.warm(first)
	next := st.visit(first, func(s *core.Session) { s.Set("n", 1) }).cookie
	if st.remembers(first) || !st.remembers(next) {
		t.Errorf("the former cookie is remembered: %v, the next: %v; want the next alone", st.remembers(first), st.remembers(next))
	}
	st.visit(first, func(s *core.Session) {
		if s.Status() != core.StatusLoaded || s.Has("n") {
			t.Error("the former cookie is not good for what is in it")
		}
	})
	st.visit(next, func(s *core.Session) {
		if !s.Has("n") {
			t.Error("the next cookie has not what was changed")
		}
	})
}

func TestManyRequestsUseASealedCookieThatComesOften(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{})
	value := strings.TrimPrefix(st.signIn(), "sid=")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			own := value
			for i := range 30 {
				s, err := st.Load(context.Background(), own)
				if err != nil || s.Status() != core.StatusLoaded || s.Get("user") != "ada" {
					t.Errorf("the session is %v, %v", s.Status(), err)
					return
				}
				if g%2 == 0 {
					if got := counter.Update(s, func(n int) int { return n + 1 }); got != i+1 {
						t.Errorf("the counter is %d, want %d", got, i+1)
					}
				}
				line, err := st.Commit(context.Background(), s, false)
				if err != nil {
					t.Error(err)
				}
				if line != "" {
					own, _, _ = strings.Cut(strings.TrimPrefix(line, "sid="), ";")
				}
			}
		})
	}
	wg.Wait()
}

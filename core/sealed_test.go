package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A sealedFleet is the processes of an app whose sessions are in sealed cookies.
type sealedFleet struct {
	t     *testing.T
	clock *stageClock
	ends  *stageStore // nil where nothing is known of sessions that ended
}

func newSealedFleet(t *testing.T, withEnds bool) *sealedFleet {
	f := &sealedFleet{t: t, clock: newStageClock()}
	if withEnds {
		f.ends = &stageStore{Store: &mapstore.Store{Now: f.clock.Now}, ids: map[string]bool{}, data: map[string]bool{}, touching: make(chan struct{}, 100)}
	}
	return f
}

// process returns one more process.
func (f *sealedFleet) process(cfg core.Config) *stage {
	f.t.Helper()
	sealed := core.SealedCookie{}
	if cfg.Sealed != nil {
		sealed = *cfg.Sealed
	}
	if f.ends != nil {
		sealed.Ends = f.ends
	}
	cfg.Sealed = &sealed
	st := newStage(f.t, cfg)
	st.clock.follow(f.clock)
	return st
}

// reads fails unless the session of a cookie is there, or is not.
func (st *stage) reads(cookie string, want bool) {
	st.t.Helper()
	a := st.visit(cookie, func(s *core.Session) {
		if got := s.Status() == core.StatusLoaded && s.Get("user") == "ada"; got != want {
			st.t.Errorf("the session is there: %v (%v), want %v", got, s.Status(), want)
		}
	})
	if a.status != http.StatusOK {
		st.t.Errorf("status %d", a.status)
	}
}

func TestASealedSessionIsInItsCookie(t *testing.T) {
	f := newSealedFleet(t, false)
	one, other := f.process(core.Config{}), f.process(core.Config{})
	cookie := one.signIn()
	if strings.Contains(cookie, "ada") || !strings.HasPrefix(cookie, "sid=1.") {
		t.Errorf("the cookie is %q", cookie)
	}
	if read := other.visit(cookie, func(s *core.Session) { s.Get("user") }); read.setCookie != "" {
		t.Errorf("a read sets %q", read.setCookie)
	}
	changed := other.visit(cookie, func(s *core.Session) { s.Set("n", 1); s.Delete("user") })
	one.visit(changed.cookie, func(s *core.Session) {
		if s.Has("user") || s.Get("n") != 1 {
			t.Errorf("after a change it holds %v and %v", s.Get("user"), s.Get("n"))
		}
	})
	if a := one.visit("", nil); a.setCookie != "" {
		t.Errorf("a visitor who is passing through gets %q", a.setCookie)
	}
}

// What is kept of what Cloakroom promises, without a store of ends and with one. In a
// process of its own each session that it ended is known to have, so the copies are
// tried in another.
//
// Standards: ASVS-7.4.1, ASVS-9.1.1
func TestWhatASealedCookieKeeps(t *testing.T) {
	for _, promise := range []struct {
		name          string
		without, with bool // kept
		kept          func(one, other *stage) bool
	}{
		{"G1: two requests at once that change different keys both count", false, false, func(one, other *stage) bool {
			cookie := one.signIn()
			one.visit(cookie, func(s *core.Session) { s.Set("a", 1) })
			last := other.visit(cookie, func(s *core.Session) { s.Set("b", 1) })
			both := false
			one.visit(last.cookie, func(s *core.Session) { both = s.Has("a") && s.Has("b") })
			return both
		}},
		{"G2: the browser's cookie is gone after a logout", true, true, func(one, _ *stage) bool {
			return one.visit(one.signIn(), func(s *core.Session) { _ = s.Destroy(one.t.Context()) }).cookie == ""
		}},
		{"G2: the process that ended a session refuses a copy", true, true, func(one, _ *stage) bool {
			cookie := one.signIn()
			one.visit(cookie, func(s *core.Session) { _ = s.Destroy(one.t.Context()) })
			return !one.has(cookie)
		}},
		{"G2: all processes refuse a copy after Destroy", false, true, func(one, other *stage) bool {
			cookie := one.signIn()
			one.visit(cookie, func(s *core.Session) { _ = s.Destroy(one.t.Context()) })
			return !other.has(cookie)
		}},
		{"G2: all processes refuse a copy after SignOut", false, true, func(one, other *stage) bool {
			cookie := one.signIn()
			one.visit(cookie, func(s *core.Session) { _ = s.SignOut(one.t.Context()) })
			return !other.has(cookie)
		}},
		{"G2: all processes refuse the former cookie after Renew", false, true, func(one, other *stage) bool {
			cookie := one.signIn()
			one.visit(cookie, func(s *core.Session) { _ = s.Renew() })
			return !other.has(cookie)
		}},
		{"G2: all processes refuse the former cookie after Regenerate", false, true, func(one, other *stage) bool {
			cookie := one.signIn()
			one.visit(cookie, func(s *core.Session) { _ = s.Regenerate() })
			return !other.has(cookie)
		}},
		{"G2: a logout takes earlier cookies of the session with it", false, true, func(one, other *stage) bool {
			earlier := one.signIn()
			later := one.visit(earlier, func(s *core.Session) { s.Set("n", 1) })
			one.visit(later.cookie, func(s *core.Session) { _ = s.Destroy(one.t.Context()) })
			return !other.has(earlier) && !other.has(later.cookie)
		}},
		{"G2: a renewal beside it does not save a session from its logout", false, true, func(one, other *stage) bool {
			cookie, renewed := one.signIn(), ""
			one.visit(cookie, func(s *core.Session) {
				a := other.visit(cookie, func(s *core.Session) { _ = s.Renew() })
				renewed = a.cookie
				if err := s.Destroy(one.t.Context()); err != nil {
					one.t.Errorf("Destroy: %v", err)
				}
			})
			return !other.has(renewed)
		}},
		{"G2: RevokeUser ends the sessions of a user", false, true, func(one, other *stage) bool {
			cookie := one.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(one.t.Context(), "ada") }).cookie
			return other.RevokeUser(one.t.Context(), "ada") == nil && !one.has(cookie)
		}},
		{"G4: an id that ended is not used again", true, true, func(one, _ *stage) bool {
			cookie := one.signIn()
			id := one.idOf(cookie)
			one.visit(cookie, func(s *core.Session) { _ = s.Destroy(one.t.Context()) })
			return one.idOf(one.visit(cookie, func(s *core.Session) { s.Set("n", 1) }).cookie) != id
		}},
		{"G5: a cookie of which a byte was changed is none", true, true, func(one, _ *stage) bool {
			cookie := one.signIn()
			return !one.has(cookie[:40]+string(cookie[40]^1)+cookie[41:]) && !one.has(cookie[:len(cookie)-1])
		}},
		{"G8: a session ends by its idle timeout", true, true, func(one, _ *stage) bool {
			cookie := one.signIn()
			one.clock.advance(24*time.Hour - time.Millisecond)
			lived := one.has(cookie)
			one.clock.advance(time.Millisecond)
			return lived && !one.has(cookie)
		}},
	} {
		for _, with := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/with ends %v", promise.name, with), func(t *testing.T) {
				f := newSealedFleet(t, with)
				want := promise.without
				if with {
					want = promise.with
				}
				if got := promise.kept(f.process(core.Config{}), f.process(core.Config{})); got != want {
					t.Errorf("kept: %v, want %v", got, want)
				}
			})
		}
	}
}

// has reports whether a cookie leads to a session.
func (st *stage) has(cookie string) (has bool) {
	st.t.Helper()
	if a := st.visit(cookie, func(s *core.Session) { has = s.Status() == core.StatusLoaded }); a.status != http.StatusOK {
		st.t.Errorf("status %d", a.status)
	}
	return has
}

// Nothing is known of a request in which a copy was used, so its answer may come after
// that to a logout. It does not help.
//
// Standards: ASVS-7.4.1
func TestWithEndsALateAnswerBringsNoSealedSessionBack(t *testing.T) {
	f := newSealedFleet(t, true)
	one, other := f.process(core.Config{}), f.process(core.Config{})
	cookie := one.signIn()
	late := other.visit(cookie, func(s *core.Session) {
		s.Set("n", 1)
		one.visit(cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) })
	})
	if late.cookie == cookie {
		t.Fatal("the late answer sets no cookie, so this test shows nothing")
	}
	one.reads(late.cookie, false)
	other.reads(late.cookie, false)
}

// In one process a request that is late does not even get an answer.
func TestInOneProcessASealedSessionThatEndedTakesNoChanges(t *testing.T) {
	for name, end := range map[string]func(*core.Session) error{
		"Destroy": func(s *core.Session) error { return s.Destroy(context.Background()) },
		"Renew":   (*core.Session).Renew,
	} {
		t.Run(name, func(t *testing.T) {
			st := newSealedFleet(t, false).process(core.Config{})
			cookie := st.signIn()
			a := st.visit(cookie, func(s *core.Session) {
				s.Set("n", 1)
				st.servesBeside(cookie, func(s *core.Session) { _ = end(s) })
			})
			if a.status != http.StatusConflict || a.setCookie != "" {
				t.Errorf("status %d, cookie %q; want 409 and none", a.status, a.setCookie)
			}
			a = st.visit(cookie, func(s *core.Session) {
				s.Get("n")
				if s.Status() == core.StatusLoaded {
					t.Error("the session is there yet")
				}
			})
			if a.setCookie != "" {
				t.Errorf("a read sets %q", a.setCookie)
			}
		})
	}
}

// servesBeside serves a request of the same process, while another one is under way.
func (st *stage) servesBeside(cookie string, fn func(*core.Session)) {
	st.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, st.server.URL, http.NoBody)
	if err != nil {
		st.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fn(core.FromContext(r.Context())) })).ServeHTTP(w, r)
}

// Standards: ASVS-7.4.1, ASVS-7.4.2
func TestRevokeUserEndsSealedSessionsAndSignInsThatWereBegunBefore(t *testing.T) {
	f := newSealedFleet(t, true)
	one, other := f.process(core.Config{}), f.process(core.Config{})
	signIn := func(st *stage, user string) string {
		return st.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(t.Context(), user, "password") }).cookie
	}
	cookie, bobs := signIn(one, "ada"), signIn(one, "bob")
	a := one.visit("", func(s *core.Session) {
		s.Set("user", "ada")
		attempt, err := s.BeginSignIn(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		if err := other.RevokeUser(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if err := attempt.SignIn(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Save(t.Context()); !errors.Is(err, core.ErrRevoked) {
			t.Errorf("a sign-in that was begun before: %v, want ErrRevoked", err)
		}
	})
	if a.setCookie != "" {
		t.Errorf("it sets %q", a.setCookie)
	}
	one.reads(cookie, false)
	one.reads(bobs, true)
	again := signIn(one, "ada")
	other.reads(again, true)
	again = other.visit(again, func(s *core.Session) {
		if s.User() != "ada" || len(s.AuthenticatedBy()) != 1 {
			t.Errorf("%q by %v", s.User(), s.AuthenticatedBy())
		}
		s.Set("n", 1)
	}).cookie
	again = other.visit(again, func(s *core.Session) { _ = s.Renew() }).cookie
	one.reads(again, true)
	if err := one.RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	other.reads(again, false)
	if n := one.events.count(core.EventRevoked); n != 1 {
		t.Errorf("the Observer was told of %d revocations by this process, want 1", n)
	}
}

func TestRevokeUserSignsTheRequestOut(t *testing.T) {
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	cookie := st.visit("", func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") }).cookie
	a := st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
		if err := st.RevokeUser(r.Context(), "ada"); err != nil {
			t.Error(err)
		}
		if user := core.FromContext(r.Context()).User(); user != "" {
			t.Errorf("it is %q's yet", user)
		}
	})
	if a.cookie != "" {
		t.Errorf("the browser has %q", a.cookie)
	}
}

func TestEndsAreAskedOnceARequest(t *testing.T) {
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	cookie := st.signIn()
	f.ends.took()
	for name, visit := range map[string]struct {
		fn   func(*core.Session)
		want string
	}{
		"a read":   {func(s *core.Session) { s.Get("user") }, "load"},
		"a change": {func(s *core.Session) { s.Set("n", 1) }, "load"},
		"a logout": {func(s *core.Session) { _ = s.Destroy(t.Context()) }, "load create"},
	} {
		st.visit(cookie, visit.fn)
		if got := f.ends.verbs(); got != visit.want {
			t.Errorf("%s: %q, want %q", name, got, visit.want)
		}
		cookie = st.signIn()
		f.ends.took()
	}
	if st.visit("", func(s *core.Session) { s.Get("n") }); len(f.ends.took()) > 0 {
		t.Error("they are asked for a visitor without a cookie")
	}
	if st.visit("sid=1.forged", func(s *core.Session) { s.Get("n") }); len(f.ends.took()) > 0 {
		t.Error("they are asked for a forged cookie")
	}
}

// Nothing in the ends leads into a session, or tells whose it was.
func TestEndsHoldNothingOfASession(t *testing.T) {
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	cookie := st.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(t.Context(), "ada-lovelace") }).cookie
	id := st.idOf(cookie)
	st.visit(cookie, func(s *core.Session) { _ = s.Renew() })
	_ = st.RevokeUser(t.Context(), "ada-lovelace")
	for key := range f.ends.seen() {
		if strings.Contains(key, id) || strings.Contains(key, "lovelace") {
			t.Errorf("a key is %q", key)
		}
	}
	for _, call := range f.ends.took() {
		if strings.Contains(call.data, id) || strings.Contains(call.data, "ada") {
			t.Errorf("it was given %s", call.data)
		}
		if call.verb == "create" && (call.ttl < 30*24*time.Hour || call.ttl > 30*24*time.Hour+time.Hour) {
			t.Errorf("an end lives for %v, want the 30 days of the session, and an hour for clocks", call.ttl)
		}
	}
}

// Standards: ASVS-16.5.2
func TestAnOutageOfTheEndsIsAnOutage(t *testing.T) {
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	cookie := st.signIn()
	down := &store.Error{Store: "ends", Class: "connection failed", Outcome: store.OutcomeNotApplied}
	f.ends.failWith("load", down)
	if a := st.visit(cookie, func(*core.Session) { t.Error("the handler runs") }); a.status != http.StatusServiceUnavailable || a.setCookie != "" {
		t.Errorf("a request: status %d, cookie %q", a.status, a.setCookie)
	}
	f.ends.failWith("load", nil)
	f.ends.failWith("create", down)
	for name, fn := range map[string]func(*core.Session){
		"a logout":  func(s *core.Session) { _ = s.Destroy(t.Context()) },
		"a renewal": func(s *core.Session) { _ = s.Renew() },
	} {
		if a := st.visit(cookie, fn); a.status != http.StatusServiceUnavailable || a.setCookie != "" {
			t.Errorf("%s: status %d, cookie %q", name, a.status, a.setCookie)
		}
	}
	f.ends.failWith("create", nil)
	st.reads(cookie, true)
	if err := st.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	f.ends.failWith("load", down)
	if err := st.Ping(t.Context()); err == nil {
		t.Error("Ping does not tell that the ends are down")
	}
}

// Standards: ASVS-9.2.3
func TestASealedCookieIsWorthNothingElsewhere(t *testing.T) {
	f := newSealedFleet(t, false)
	home := f.process(core.Config{})
	value := strings.TrimPrefix(home.signIn(), "sid=")
	st := f.process(core.Config{Cookie: core.Cookie{Name: "other"}})
	st.reads("other="+value, false)
	f.process(core.Config{Cookie: core.Cookie{Path: "/"}}).reads("sid="+value, true)
	f.process(core.Config{Secrets: []string{"another secret of thirty-two bytes or more"}}).reads("sid="+value, false)
	for host, want := range map[string]bool{"127.0.0.1:80": true, "127.0.0.1": true, "example.com": false, "127.0.0.1.example.com": false} {
		home.request("sid="+value, func(_ http.ResponseWriter, r *http.Request) {
			if got := core.FromContext(r.Context()).Status() == core.StatusLoaded; got != want {
				t.Errorf("at %s the session is there: %v, want %v", host, got, want)
			}
		}, func(r *http.Request) { r.Host = host })
	}
	// One of another path would come here where it is below.
	below := f.process(core.Config{CookieFor: func(r *http.Request) core.Cookie {
		if r == nil {
			return core.Cookie{}
		}
		return core.Cookie{Path: "/" + r.URL.Query().Get("path")}
	}})
	below.request("sid="+value, func(_ http.ResponseWriter, r *http.Request) {
		if core.FromContext(r.Context()).Status() == core.StatusLoaded {
			t.Error("it is worth something under another path")
		}
	}, func(r *http.Request) { r.URL.RawQuery, r.URL.Path = "path=admin", "/admin" })
	// With a Domain the host of the request does not count.
	wide := f.process(core.Config{Cookie: core.Cookie{Domain: "Example.com"}})
	cookie := ""
	for _, host := range []string{"a.example.com", "b.example.com"} {
		a := wide.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			if cookie != "" && s.Status() != core.StatusLoaded {
				t.Errorf("at %s it is not there", host)
			}
			s.Set("n", host)
		}, func(r *http.Request) { r.Host = host })
		cookie = a.cookie
	}
	home.reads(cookie, false)
}

// A cookie has room for 255 bytes of its host. What is longer counts as far as that.
func TestASealedCookieOfAVeryLongHostIsKnownByItsBeginning(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{})
	host := strings.Repeat("a", 255)
	cookie := st.at(host+".example.com", "", func(s *core.Session) { s.Set("user", "ada") })
	for at, want := range map[string]bool{
		host + ".example.com": true, host + ".example.org": true, host: true,
		host[:254]: false, "b" + host[1:] + ".example.com": false,
	} {
		st.at(at, cookie, func(s *core.Session) {
			if got := s.Get("user") == "ada"; got != want {
				t.Errorf("at a host of %d bytes that begins with %q the session is there: %v, want %v", len(at), at[:1], got, want)
			}
		})
	}
	short := st.at("app", "", func(s *core.Session) { s.Set("user", "ada") })
	st.at("app.example.com", short, func(s *core.Session) {
		if s.Get("user") != nil {
			t.Error("a cookie of a host counts for another one that begins like it")
		}
	})
}

// Standards: ASVS-11.2.2
func TestTheSecretsOfSealedCookiesAreRotated(t *testing.T) {
	const second = "the next secret, of thirty-two bytes or more"
	f := newSealedFleet(t, false)
	st := f.process(core.Config{})
	cookie := st.signIn()
	if err := st.SetSecrets([]string{second, stageSecret}); err != nil {
		t.Fatal(err)
	}
	a := st.visit(cookie, func(s *core.Session) { s.Get("user") })
	if a.setCookie == "" {
		t.Fatal("a cookie under the former secret is not sent again")
	}
	f.process(core.Config{Secrets: []string{second}}).reads(a.cookie, true)
	f.process(core.Config{Secrets: []string{second}}).reads(cookie, false)
	var wrong *core.ConfigError
	if err := st.SetSecrets([]string{"short"}); !errors.As(err, &wrong) || wrong.Field != "Secrets" {
		t.Errorf("a short secret: %v", err)
	}
}

// A session is extended by the cookie that goes out again, once in a TouchInterval.
func TestASealedSessionIsExtendedByItsCookie(t *testing.T) {
	f := newSealedFleet(t, false)
	cfg := core.Config{IdleTimeout: time.Hour, TouchInterval: time.Minute}
	st := f.process(cfg)
	cookie := st.signIn()
	f.clock.advance(59 * time.Second)
	if a := st.visit(cookie, func(s *core.Session) { s.Get("user") }); a.setCookie != "" {
		t.Error("it is sent again before the interval is over")
	}
	f.clock.advance(time.Second)
	first := st.visit(cookie, nil)
	if first.setCookie == "" {
		t.Fatal("it is not sent again when the interval is over")
	}
	if again := st.visit(cookie, nil); again.setCookie != "" {
		t.Error("it is sent again by a request that came at the same time")
	}
	f.clock.advance(59*time.Minute + 30*time.Second)
	st.reads(cookie, false)
	f.process(cfg).reads(first.cookie, true)

	passive := f.process(core.Config{IdleTimeout: time.Hour, Passive: func(*http.Request) bool { return true }})
	cookie = passive.signIn()
	f.clock.advance(30 * time.Minute)
	if a := passive.visit(cookie, nil); a.setCookie != "" {
		t.Error("what is no activity extends it")
	}
	changed := passive.visit(cookie, func(s *core.Session) { s.Set("n", 1) })
	f.clock.advance(30 * time.Minute)
	passive.reads(changed.cookie, false)
}

func TestASealedSessionEndsByItsAbsoluteTimeout(t *testing.T) {
	f := newSealedFleet(t, false)
	st := f.process(core.Config{})
	if got := st.Config().AbsoluteTimeout; got != 30*24*time.Hour {
		t.Errorf("the default is %v, want 30 days", got)
	}
	cookie := st.signIn()
	for range 60 {
		f.clock.advance(12*time.Hour - time.Second)
		if a := st.visit(cookie, nil); a.cookie != "" {
			cookie = a.cookie
		}
	}
	st.reads(cookie, true)
	f.clock.advance(time.Minute)
	st.reads(cookie, false)
	long := f.process(core.Config{Cookie: core.Cookie{MaxAge: 90 * 24 * time.Hour}})
	if got := long.Config().AbsoluteTimeout; got != 90*24*time.Hour {
		t.Errorf("with a longer Cookie.MaxAge it is %v, want as long", got)
	}
}

// Times are off by what clocks differ, and nothing else is.
func TestSealedSessionsOfProcessesWhoseClocksDiffer(t *testing.T) {
	f := newSealedFleet(t, true)
	cfg := core.Config{IdleTimeout: time.Hour, TouchInterval: time.Minute}
	st, ahead := f.process(cfg), f.process(cfg)
	ahead.clock.source = nil
	ahead.clock.set(f.clock.Now().Add(5 * time.Minute))
	cookie := st.signIn()
	ahead.reads(cookie, true)
	late := ahead.signIn()
	st.reads(late, true)
	f.clock.advance(time.Hour + 4*time.Minute)
	st.reads(cookie, false)
	st.reads(late, true)
	f.clock.advance(2 * time.Minute)
	st.reads(late, false)

	cookie = ahead.signIn()
	ahead.visit(cookie, func(s *core.Session) { _ = s.Destroy(t.Context()) })
	st.reads(cookie, false)
	// The end is known for longer than the session could live by any of the clocks.
	user := st.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(t.Context(), "ada") }).cookie
	if err := ahead.RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	st.reads(user, false)
}

// Standards: ASVS-15.2.2
func TestASealedSessionThatIsTooLargeFailsAndNamesItsLargestKeys(t *testing.T) {
	f := newSealedFleet(t, false)
	var got error
	st := f.process(core.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		got = err
		w.WriteHeader(core.HTTPStatus(err))
	}})
	cookie := st.signIn()
	a := st.visit(cookie, func(s *core.Session) {
		s.Set("cart", strings.Repeat("secret things ", 250))
		s.Set("theme", "dark")
	})
	var size *core.CookieSizeError
	if a.status != http.StatusInternalServerError || a.setCookie != "" || !errors.As(got, &size) || !errors.Is(got, core.ErrCookieTooLarge) {
		t.Fatalf("status %d, cookie %q, error %v", a.status, a.setCookie, got)
	}
	if size.Max != 3072 || size.Size <= 3072 || len(size.Largest) != 3 || size.Largest[0] != (core.KeySize{Key: "cart", Bytes: 3509}) {
		t.Errorf("%+v", size)
	}
	if text := got.Error(); strings.Contains(text, "things") || !strings.Contains(text, `"cart" (3509 bytes), "theme" (14 bytes)`) {
		t.Errorf("it says %q", text)
	}
	st.reads(cookie, true)
}

// The limit is that of browsers, to the byte: name and value together.
func TestASealedCookieIsExactlyAsLargeAsItMayBe(t *testing.T) {
	for _, most := range []int{0, 512, 4096} {
		f := newSealedFleet(t, false)
		st := f.process(core.Config{Sealed: &core.SealedCookie{MaxBytes: most}})
		if most == 0 {
			most = 3072
		}
		largest := 0
		for n := most * 3 / 4; n > 0 && largest == 0; n-- {
			a := st.visit("", func(s *core.Session) { s.Set("n", strings.Repeat("x", n)) })
			if a.status == http.StatusOK {
				largest = len(a.cookie) - len("=")
			}
		}
		if largest > most || largest < most-1 { // base64 has no length of 4n+1
			t.Errorf("of %d bytes it takes %d", most, largest)
		}
	}
}

func TestOfTwentyRequestsAtOnceEachGetsASealedCookieThatIsGood(t *testing.T) {
	for _, with := range []bool{false, true} {
		f := newSealedFleet(t, with)
		st := f.process(core.Config{})
		const n core.Key[int] = "n"
		handler := st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			n.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
		}))
		cookie := st.signIn()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, st.server.URL, http.NoBody)
				r.Header.Set("Cookie", cookie)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				res := http.Response{Header: w.Header()}
				if len(res.Cookies()) != 1 {
					t.Errorf("status %d, cookies %v", w.Code, res.Cookies())
					return
				}
				r.Header.Set("Cookie", "sid="+res.Cookies()[0].Value)
				st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if got := n.Get(core.FromContext(r.Context())); got != 1 {
						t.Errorf("n is %d, want 1: no request sees the others", got)
					}
				})).ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		wg.Wait()
	}
}

func TestWhatComesTooLateForASealedCookieIsAnError(t *testing.T) {
	f := newSealedFleet(t, false)
	st := f.process(core.Config{})
	cookie := st.signIn()
	st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		_, _ = w.Write([]byte("x"))
		s.Set("n", 1)
		if err := s.Save(r.Context()); !errors.Is(err, core.ErrHeadersSent) {
			t.Errorf("Save after the first byte: %v", err)
		}
		s.Set("n", 2)
	})
	if n := st.log.count("changes to a session were dropped"); n == 0 {
		t.Errorf("the log does not tell:\n%s", st.log)
	}
}

// What Save said is stored goes out with the error page, too: there is no other place
// where it would be.
func TestWhatSaveSealedGoesOutWithTheErrorPage(t *testing.T) {
	for name, fail := range map[string]func(*core.Session){
		"a panic":         func(*core.Session) { panic("by the handler") },
		"a commit failed": func(s *core.Session) { s.Set("f", func() {}) },
	} {
		t.Run(name, func(t *testing.T) {
			st := newSealedFleet(t, false).process(core.Config{})
			cookie := st.signIn()
			sessions := st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				s.Set("saved", 1)
				if err := s.Save(r.Context()); err != nil {
					t.Error(err)
				}
				fail(s)
			}))
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, st.server.URL, http.NoBody)
			r.Header.Set("Cookie", cookie)
			func() {
				defer func() {
					if recover() != nil {
						w.WriteHeader(http.StatusInternalServerError)
					}
				}()
				sessions.ServeHTTP(w, r)
			}()
			res := w.Result()
			if w.Code != http.StatusInternalServerError || len(res.Cookies()) != 1 {
				t.Fatalf("status %d, cookies %v", w.Code, res.Cookies())
			}
			st.visit("sid="+res.Cookies()[0].Value, func(s *core.Session) {
				if s.Get("saved") != 1 {
					t.Error("what was saved is not in it")
				}
			})
		})
	}
}

func TestWhatNeedsAStoreIsUnsupported(t *testing.T) {
	ctx := t.Context()
	st := newSealedFleet(t, false).process(core.Config{})
	cookie := st.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(ctx, "ada") }).cookie
	first := func(yield func(func(error) bool)) (err error) {
		yield(func(e error) bool { err = e; return false })
		return err
	}
	st.visit(cookie, func(s *core.Session) {
		for name, err := range map[string]error{
			"Take":         func() error { _, err := core.Key[string]("user").Take(ctx, s); return err }(),
			"Token":        func() error { _, err := s.Token(); return err }(),
			"BeginSignIn":  func() error { _, err := s.BeginSignIn(ctx, "ada"); return err }(),
			"RevokeUser":   st.RevokeUser(ctx, "ada"),
			"RevokeOthers": st.RevokeOthers(ctx, s),
			"Revoke":       st.Revoke(ctx, "ada", s.Handle()),
			"Clear":        st.Clear(ctx),
			"Edit":         st.Edit(ctx, s.ID(), func(*core.Session) error { return nil }),
			"Count":        func() error { _, err := st.Count(ctx); return err }(),
			"All": first(func(stop func(error) bool) {
				for _, err := range st.All(ctx) {
					if !stop(err) {
						return
					}
				}
			}),
			"Sessions": first(func(stop func(error) bool) {
				for _, err := range st.Sessions(ctx, "ada") {
					if !stop(err) {
						return
					}
				}
			}),
		} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.Check(ctx); err != nil {
			t.Errorf("Check: %v", err)
		}
		if err := s.RequireRecentSignIn(ctx, time.Minute); err != nil {
			t.Errorf("RequireRecentSignIn: %v", err)
		}
		if err := s.Reload(ctx); err != nil || s.Get("user") != "ada" {
			t.Errorf("Reload: %v", err)
		}
		if err := st.Ping(ctx); err != nil {
			t.Errorf("Ping: %v", err)
		}
		now := st.clock.Now()
		if got, err := s.ExpiresAt(ctx); err != nil || !got.Idle.Equal(now.Add(24*time.Hour)) || !got.Absolute.Equal(now.Add(30*24*time.Hour)) {
			t.Errorf("ExpiresAt: %v, %v", got, err)
		}
	})
}

func TestWhatCannotBeSetTogetherWithSealed(t *testing.T) {
	var none *mapstore.Store
	for field, cfg := range map[string]core.Config{
		"Store":              {Store: new(mapstore.Store)},
		"Sealed.MaxBytes":    {Sealed: &core.SealedCookie{MaxBytes: 4097}},
		"Sealed.Ends":        {Sealed: &core.SealedCookie{Ends: none}},
		"Secrets":            {Secrets: []string{"shorter than 32 bytes"}},
		"HashIDs":            {HashIDs: true},
		"SealKeys":           {SealKeys: []string{stageSecret}},
		"RetiredSealKeys":    {RetiredSealKeys: []string{stageSecret}},
		"MaxSessionsPerUser": {MaxSessionsPerUser: 3},
		"AtUserLimit":        {AtUserLimit: core.RefuseNew},
		"UserKey":            {UserKey: "userId"},
		"Header":             {Header: new(core.Header)},
		"ShareWithExpress":   {ShareWithExpress: true},
		"Predecessor.Linked": {Predecessor: core.Predecessor{Linked: true}},
	} {
		if cfg.Sealed == nil {
			cfg.Sealed = new(core.SealedCookie)
		}
		if cfg.Secrets == nil {
			cfg.Secrets = []string{stageSecret}
		}
		_, err := core.New(cfg)
		var wrong *core.ConfigError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for most, fits := range map[int]bool{-1: false, 511: false, 512: true, 4096: true} {
		_, err := core.New(core.Config{Sealed: &core.SealedCookie{MaxBytes: most}, Secrets: []string{stageSecret}})
		if (err == nil) != fits {
			t.Errorf("Sealed.MaxBytes of %d: %v", most, err)
		}
	}
	m, err := core.New(core.Config{Sealed: new(core.SealedCookie), Secrets: []string{stageSecret}})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", m.Config()); !strings.Contains(text, "{MaxBytes:3072 Ends:<nil>}") || strings.Contains(text, stageSecret) {
		t.Errorf("it prints %s", text)
	}
}

// A request without a host does not free a sealed cookie of its own.
//
// Standards: ASVS-9.2.3
func TestARequestWithoutAHostDoesNotFreeASealedCookieOfItsHost(t *testing.T) {
	for _, host := range []string{"", ":80", ".", ".:80"} {
		st := newSealedFleet(t, false).process(core.Config{})
		cookie := st.signIn() // at 127.0.0.1
		at := func(cookie, host string, fn func(*core.Session)) (loaded bool, now string) {
			w := st.at(host, cookie, func(s *core.Session) {
				loaded = s.Status() == core.StatusLoaded
				fn(s)
			})
			return loaded, w
		}
		loaded, freed := at(cookie, host, func(s *core.Session) { s.Set("n", 1) })
		if loaded {
			t.Errorf("at host %q the session of another is there", host)
		}
		if loaded, _ := at(freed, "other.example.com", func(s *core.Session) { s.Get("n") }); loaded {
			t.Errorf("what was set at host %q is good at all hosts", host)
		}
	}
}

func TestASealedSessionThatEndedTwiceOverCanBeDestroyed(t *testing.T) {
	f := newSealedFleet(t, true)
	one, other := f.process(core.Config{StoreTimeout: 2 * time.Second}), f.process(core.Config{})
	cookie := one.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SignIn(t.Context(), "ada") }).cookie
	f.ends.took()
	start := time.Now()
	a := one.visit(cookie, func(s *core.Session) {
		// A second click on "log out everywhere", in another process.
		other.visit(cookie, func(s *core.Session) {
			if err := s.SignOut(t.Context()); err != nil {
				t.Error(err)
			}
			if err := other.RevokeUser(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
		})
		if err := s.SignOut(t.Context()); err != nil {
			t.Errorf("SignOut of a session that has ended: %v", err)
		}
	})
	if calls := len(f.ends.took()); calls > 30 {
		t.Errorf("the ends were called %d times in %v", calls, time.Since(start))
	}
	if a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
}

func TestALowerIdleTimeoutCountsForSealedSessionsThatAreThere(t *testing.T) {
	f := newSealedFleet(t, false)
	before, after := f.process(core.Config{IdleTimeout: 20 * 24 * time.Hour}), f.process(core.Config{IdleTimeout: 30 * time.Minute})
	cookie := before.signIn()
	cookie = after.visit(cookie, func(s *core.Session) { s.Get("user") }).cookie
	f.clock.advance(31 * time.Minute)
	after.reads(cookie, false)
}

// at serves a request at a host, and returns the cookie that the client has then.
func (st *stage) at(host, cookie string, fn func(*core.Session)) string {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Host = host
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fn(core.FromContext(r.Context())) })).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return cookie
}

// An old session that its library stored after the user's sessions were ended is taken over
// into the epoch that there is now, or it would end at the next request.
func TestASessionTakenOverAfterARevocationIsThereAtTheNextRequest(t *testing.T) {
	f := newSealedFleet(t, true)
	old := &oldSide{}
	st := f.process(taking(old))
	if err := st.RevokeUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	s := of("bob", nil)
	s.SavedAt = f.clock.Now().Add(time.Hour) // the user logged in again on an instance with the old library
	f.clock.advance(2 * time.Hour)
	a, first := st.sees(old.has("token", s))
	if first.user != "bob" || a.cookie == "" {
		t.Fatalf("it is not taken over: %+v", first)
	}
	if _, s := st.sees(a.cookie); s.user != "bob" {
		t.Errorf("at the next request it is %q's", s.user)
	}
	if err := st.RevokeUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if _, s := st.sees(a.cookie); s.user != "" {
		t.Errorf("revoked again, and %q's", s.user)
	}
}

// What Manager.Load changes of a session that came with its host stays good at that host alone.
func TestAChangeByManagerLoadDoesNotFreeASealedCookieOfItsHost(t *testing.T) {
	st := newSealedFleet(t, false).process(core.Config{})
	cookie := st.signIn()
	s, err := st.Load(t.Context(), cookie[len("sid="):])
	if err != nil {
		t.Fatal(err)
	}
	s.Set("n", 1)
	line, err := st.Commit(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := http.ParseSetCookie(line)
	if err != nil {
		t.Fatal(err)
	}
	st.at("other.example.com", "sid="+c.Value, func(s *core.Session) {
		if s.Status() == core.StatusLoaded {
			t.Error("it is there at another host")
		}
	})
	st.reads("sid="+c.Value, true)
}

// A stopped store lets a test stop the loads with some numbers.
type stoppedStore struct {
	store.Store
	mu    sync.Mutex
	loads int
	gates map[int]func()
}

func (g *stoppedStore) Load(ctx context.Context, id string) (store.Record, error) {
	g.mu.Lock()
	g.loads++
	gate := g.gates[g.loads]
	g.mu.Unlock()
	if gate != nil {
		gate()
	}
	return g.Store.Load(ctx, id)
}

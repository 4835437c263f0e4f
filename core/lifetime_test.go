package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// lives reports whether a cookie still leads to its session, without touching it:
// by Edit, which loads and stores nothing when nothing changes.
func (st *stage) lives(id string) bool {
	st.t.Helper()
	err := st.Edit(context.Background(), id, func(*core.Session) error { return nil })
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		st.t.Fatal(err)
	}
	return err == nil
}

// Standards: ASVS-7.2.1, ASVS-7.3.1, NIST-5.1-limits
func TestIdleTimeoutHoldsToTheNanosecond(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{-1, 0, 1} {
		st := newStage(t, core.Config{IdleTimeout: time.Hour})
		cookie := st.signIn()
		st.clock.advance(time.Hour + offset)
		want := core.StatusLoaded
		if offset >= 0 {
			want = core.StatusUnknown
		}
		st.visit(cookie, func(s *core.Session) {
			if s.Status() != want {
				t.Errorf("at the limit %+d ns: %v, want %v", offset, s.Status(), want)
			}
		})
	}
}

// Standards: ASVS-7.3.2, NIST-5.2-timeouts
func TestActivityExtendsTheIdleTimeAndNotTheAbsolute(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{-1, 0, 1} {
		st := newStage(t, core.Config{IdleTimeout: time.Hour, AbsoluteTimeout: 3 * time.Hour})
		cookie := st.signIn()
		for range 5 {
			st.clock.advance(30 * time.Minute)
			st.visit(cookie, func(s *core.Session) {
				if s.Status() != core.StatusLoaded {
					t.Fatal("activity does not extend the session")
				}
			})
		}
		st.clock.advance(30*time.Minute + offset)
		want := core.StatusLoaded
		if offset >= 0 {
			want = core.StatusUnknown
		}
		st.visit(cookie, func(s *core.Session) {
			if s.Status() != want {
				t.Errorf("at the absolute limit %+d ns: %v, want %v", offset, s.Status(), want)
			}
		})
	}
}

// A store whose records outlive their life, as when an Express app shares it or
// the store's clock was set back, does not stretch the absolute timeout.
//
// Standards: ASVS-7.3.2, ASVS-16.3.1, NIST-5.1-limits
func TestTheAbsoluteTimeoutIsCheckedWhenASessionIsRead(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{-1, 0, 1} {
		st := newStage(t, core.Config{IdleTimeout: 2 * time.Hour, AbsoluteTimeout: 2 * time.Hour})
		cookie := st.signIn()
		id := st.idOf(cookie)
		if err := st.store.Store.Touch(t.Context(), id, 24*time.Hour); err != nil { // what Express would do
			t.Fatal(err)
		}
		st.clock.advance(2*time.Hour + offset)
		want := offset < 0
		if got := st.lives(id); got != want {
			t.Errorf("%+d ns: Edit finds it: %v", offset, got)
		}
		events := st.events.count(core.EventExpired)
		st.visit(cookie, func(s *core.Session) {
			if got := s.Status() == core.StatusLoaded; got != want {
				t.Errorf("%+d ns: session is %v", offset, s.Status())
			}
		})
		if got := st.events.count(core.EventExpired) - events; (got == 1) == want {
			t.Errorf("%+d ns: %d events", offset, got)
		}
	}
}

func TestASessionThatPassesItsDeadlineUnderTheRequest(t *testing.T) {
	t.Parallel()
	for _, rolling := range []bool{false, true} {
		for _, maxAge := range []time.Duration{0, time.Hour} {
			st := newStage(t, core.Config{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour, Rolling: rolling, Cookie: core.Cookie{MaxAge: maxAge}})
			cookie := st.signIn()
			st.clock.advance(time.Hour - time.Second)
			a := st.visit(cookie, func(s *core.Session) {
				if s.Status() != core.StatusLoaded {
					t.Errorf("session is %v", s.Status())
				}
				st.clock.advance(2 * time.Second)
			})
			if a.status != http.StatusOK || a.setCookie != "" {
				t.Errorf("rolling %v, max age %v, a reader: status %d, Set-Cookie %q; want none of any kind", rolling, maxAge, a.status, a.setCookie)
			}

			cookie = st.signIn()
			st.clock.advance(time.Hour - time.Second)
			a = st.visit(cookie, func(s *core.Session) {
				s.Set("n", 1)
				st.clock.advance(2 * time.Second)
			})
			if a.status != http.StatusConflict || a.setCookie != "" {
				t.Errorf("rolling %v, max age %v, a writer: status %d, Set-Cookie %q", rolling, maxAge, a.status, a.setCookie)
			}
		}
	}
}

func TestNoLifeInTheStoreIsLongerThanWhatWasAsked(t *testing.T) {
	t.Parallel()
	const own = 5 * time.Minute
	st := newStage(t, core.Config{TouchInterval: core.EveryRequest, AbsoluteTimeout: 8 * time.Hour})
	deadline := st.clock.Now().Add(8 * time.Hour)
	cookie := st.visit("", func(s *core.Session) { s.Set("user", "ada"); _ = s.SetMaxAge(own) }).cookie
	handlers := []func(*core.Session){
		nil,
		func(s *core.Session) { s.Set("n", st.clock.Now().Unix()) },
		func(s *core.Session) { s.Touch() },
		func(s *core.Session) { _ = s.Save(context.Background()) },
		func(s *core.Session) { _ = s.Renew() },
		func(s *core.Session) { core.Key[int]("n").Update(s, func(n int) int { return n + 1 }) },
		func(s *core.Session) { s.Flash("info", "x"); s.Clear(); s.Set("user", "ada") },
	}
	ended := false
	for i := 0; !ended; i++ {
		st.clock.advance(4*time.Minute + 59*time.Second)
		cookie = st.visit(cookie, func(s *core.Session) {
			if s.Status() != core.StatusLoaded {
				if st.clock.Now().Before(deadline) {
					t.Fatalf("visit %d: session is %v before its deadline", i, s.Status())
				}
				ended = true
			} else if f := handlers[i%len(handlers)]; f != nil {
				f(s)
			}
		}).cookie
		for _, c := range st.store.took() {
			retired := strings.Contains(c.data, `"retired":`) // no session, and at most a minute
			switch {
			case retired && (c.ttl > time.Minute || strings.Contains(c.data, `"ada"`)):
				t.Errorf("retired: %s for %v", c.data, c.ttl)
			case c.ttl > own:
				t.Errorf("visit %d: %s for %v", i, c.verb, c.ttl)
			case c.ttl < 0:
				t.Errorf("visit %d: %s for %v", i, c.verb, c.ttl)
			case !retired && c.ttl > 0 && st.clock.Now().Add(c.ttl).After(deadline):
				t.Errorf("visit %d: %s outlives the absolute deadline by %v", i, c.verb, st.clock.Now().Add(c.ttl).Sub(deadline))
			}
		}
		if i > 200 {
			t.Fatal("the session does not end")
		}
	}
}

// Standards: NIST-5.1.1-expiry
func TestACookieDoesNotOutliveTheAbsoluteDeadline(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{AbsoluteTimeout: time.Hour, Cookie: core.Cookie{MaxAge: 50 * time.Minute}})
	cookie := st.signIn()
	st.clock.advance(40 * time.Minute)
	a := st.visit(cookie, func(s *core.Session) { s.Set("n", 1) })
	if !strings.Contains(a.setCookie, "; Expires=Sat, 21 Nov 2026 09:29:14 GMT; Max-Age=1200;") {
		t.Errorf("Set-Cookie %q, want the 20 minutes that are left", a.setCookie)
	}
}

// Standards: ASVS-7.3.1
func TestHowOftenAReaderExtendsTheSession(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		cfg      core.Config
		own      time.Duration // SetMaxAge
		interval time.Duration // what is to be in force
	}{
		{"a minute by default", core.Config{}, 0, time.Minute},
		{"1/20 of a short idle timeout", core.Config{IdleTimeout: 10 * time.Minute}, 0, 30 * time.Second},
		{"1/20 of the session's own shorter life", core.Config{}, 5 * time.Minute, 15 * time.Second},
		{"no more than a minute for its own longer life", core.Config{}, 30 * 24 * time.Hour, time.Minute},
		{"as was set", core.Config{TouchInterval: 5 * time.Minute}, 0, 5 * time.Minute},
		{"as was set, but 1/20 of its own shorter life", core.Config{TouchInterval: 5 * time.Minute}, 10 * time.Minute, 30 * time.Second},
		{"as was set, for its own longer life", core.Config{TouchInterval: 5 * time.Minute}, 30 * 24 * time.Hour, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, tt.cfg)
			cookie := st.visit("", func(s *core.Session) {
				s.Set("user", "ada")
				if tt.own > 0 {
					_ = s.SetMaxAge(tt.own)
				}
			}).cookie
			st.store.took()
			for round := range 2 { // a third would find the cookie of a max age of its own due, which is a write
				st.clock.advance(tt.interval - 1)
				st.visit(cookie, nil)
				if got := st.store.verbs(); got != "load" {
					t.Errorf("round %d, one nanosecond before: %s", round, got)
				}
				st.clock.advance(1)
				st.visit(cookie, nil)
				if got := st.store.verbs(); got != "load touch" {
					t.Errorf("round %d, at the interval: %s", round, got)
				}
			}
			// A write is an extension.
			st.clock.advance(tt.interval - 1)
			st.visit(cookie, func(s *core.Session) { s.Set("n", 1) })
			st.store.took()
			st.clock.advance(tt.interval - 1)
			st.visit(cookie, nil)
			if got := st.store.verbs(); got != "load" {
				t.Errorf("after a write: %s", got)
			}
		})
	}
}

func TestEveryRequestExtendsEachTime(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{TouchInterval: core.EveryRequest})
	cookie := st.signIn()
	st.store.took()
	for range 3 {
		st.visit(cookie, nil)
		if got := st.store.verbs(); got != "load touch" {
			t.Errorf("store was asked to %s", got)
		}
	}
}

func TestAFailedExtensionIsTriedAgain(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	st.clock.advance(2 * time.Minute)
	st.store.failWith("touch", &store.Error{Store: "test", Verb: "touch", Class: "down"})
	if a := st.visit(cookie, nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d", a.status)
	}
	st.store.failWith("touch", nil)
	st.store.took()
	if a := st.visit(cookie, nil); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	if got := st.store.verbs(); got != "load touch" {
		t.Errorf("store was asked to %s", got)
	}
}

// Standards: NIST-5.2-timeouts
func TestPassiveRequestsAreNoActivity(t *testing.T) {
	t.Parallel()
	passive := true
	st := newStage(t, core.Config{
		IdleTimeout: time.Hour, TouchInterval: core.EveryRequest, Rolling: true, Cookie: core.Cookie{MaxAge: time.Hour},
		Passive: func(*http.Request) bool { return passive },
	})
	cookie := st.signIn()
	st.store.took()
	for range 3 {
		st.clock.advance(15 * time.Minute)
		if a := st.visit(cookie, nil); a.setCookie != "" {
			t.Errorf("a passive request gets %q", a.setCookie)
		}
		if got := st.store.verbs(); got != "load" {
			t.Errorf("a passive request: %s", got)
		}
	}
	// Touch says that it is activity after all.
	st.visit(cookie, func(s *core.Session) { s.Touch() })
	if got := st.store.verbs(); got != "load touch" {
		t.Errorf("Touch: %s", got)
	}
	st.clock.advance(time.Hour - 1)
	passive = false
	if a := st.visit(cookie, nil); a.setCookie == "" {
		t.Error("an active request gets no rolling cookie")
	}
	passive = true
	st.clock.advance(time.Hour)
	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusUnknown {
			t.Errorf("session is %v", s.Status())
		}
	})
}

func TestTouchExtendsAlsoWhenItWasDoneAMomentAgo(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{IdleTimeout: time.Hour, TouchInterval: time.Hour - 1})
	cookie := st.signIn()
	st.clock.advance(time.Second)
	st.store.took()
	st.visit(cookie, func(s *core.Session) { s.Touch() })
	if got := st.store.verbs(); got != "load touch" {
		t.Errorf("Touch: %s", got)
	}
	st.visit(cookie, func(s *core.Session) { s.Touch(); s.Discard() })
	if got := st.store.verbs(); got != "load" {
		t.Errorf("Touch and Discard: %s", got)
	}
	st.visit("", func(s *core.Session) { s.Touch() })
	if got := st.store.verbs(); got != "" {
		t.Errorf("Touch of a session that is not stored: %s", got)
	}
}

func TestTouchAfterDiscardExtendsAndWritesNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Resave: true, SaveUninitialized: true})
	discard := func(s *core.Session) {
		s.Set("n", 1)
		s.Discard()
		s.Touch()
	}
	st.visit("", discard)
	if got := st.store.verbs(); got != "" {
		t.Errorf("a new session: %s, want no calls", got)
	}
	cookie := st.signIn()
	st.store.took()
	st.visit(cookie, discard)
	if got := st.store.verbs(); got != "load touch" {
		t.Errorf("calls: %s, want load touch", got)
	}
}

// Standards: ASVS-7.3.2, NIST-5.2-timeouts
func TestRenewKeepsTheCreationTimeAndRegenerateRestartsIt(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{AbsoluteTimeout: 10 * time.Hour, IdleTimeout: 10 * time.Hour})
	born := st.clock.Now()
	var savedAt time.Time
	cookie := st.visit("", func(s *core.Session) {
		if !s.CreatedAt().IsZero() {
			t.Errorf("a new session was created at %v", s.CreatedAt())
		}
		s.Set("user", "ada")
		_ = s.Save(t.Context())
		savedAt = s.CreatedAt()
	}).cookie
	if !savedAt.Equal(born) {
		t.Errorf("after Save: created at %v, want %v", savedAt, born)
	}

	st.clock.advance(4 * time.Hour)
	cookie = st.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
	st.clock.advance(time.Hour)
	renewed := st.visit(cookie, func(s *core.Session) {
		if !s.CreatedAt().Equal(born) {
			t.Errorf("after Renew: created at %v, want %v", s.CreatedAt(), born)
		}
	}).cookie

	again := st.clock.Now()
	regenerated := st.visit(renewed, func(s *core.Session) {
		_ = s.Regenerate()
		if !s.CreatedAt().IsZero() {
			t.Errorf("to be regenerated: created at %v", s.CreatedAt())
		}
	}).cookie
	st.clock.advance(9*time.Hour + 59*time.Minute) // past the first deadline, before the second
	st.visit(regenerated, func(s *core.Session) {
		if s.Status() != core.StatusLoaded || !s.CreatedAt().Equal(again) {
			t.Errorf("after Regenerate: %v, created at %v, want %v", s.Status(), s.CreatedAt(), again)
		}
	})
}

func TestTheCreationTimeIsTheSameInEveryRequest(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{AbsoluteTimeout: time.Hour})
	st.clock.advance(123_456_789) // not a whole millisecond
	var first time.Time
	cookie := st.visit("", func(s *core.Session) {
		s.Set("n", 1)
		_ = s.Save(t.Context())
		first = s.CreatedAt()
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		if !s.CreatedAt().Equal(first) {
			t.Errorf("created at %v, and %v in the next request", first, s.CreatedAt())
		}
	})
	for _, c := range st.store.took() {
		if c.verb == "create" && st.clock.Now().Add(c.ttl).After(first.Add(time.Hour)) {
			t.Errorf("life of %v in the store is longer than until the deadline", c.ttl)
		}
	}
}

func TestASessionBornInExpressGetsACreationTimeAtItsFirstWrite(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{AbsoluteTimeout: time.Hour, IdleTimeout: time.Hour})
	cookie := st.put("express", `{"cookie":{"originalMaxAge":null,"expires":null},"user":"bob"}`)
	st.clock.advance(50 * time.Minute)
	st.visit(cookie, func(s *core.Session) {
		if !s.CreatedAt().IsZero() {
			t.Errorf("created at %v", s.CreatedAt())
		}
	})
	st.clock.advance(50 * time.Minute)
	first := st.clock.Now()
	st.visit(cookie, func(s *core.Session) { s.Set("n", 1) })
	st.clock.advance(time.Hour - 1)
	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusLoaded || !s.CreatedAt().Equal(first) {
			t.Errorf("%v, created at %v, want %v", s.Status(), s.CreatedAt(), first)
		}
	})
	st.clock.advance(1)
	st.visit(cookie, func(s *core.Session) {
		if s.Status() == core.StatusLoaded {
			t.Error("it outlives the absolute timeout that began with the first write")
		}
	})
}

func TestWhoseMaxAgeCounts(t *testing.T) {
	t.Parallel()
	maxAgeOf := func(a answer) string {
		_, rest, ok := strings.Cut(a.setCookie, "; Max-Age=")
		if !ok {
			return "browser"
		}
		seconds, _, _ := strings.Cut(rest, ";")
		return seconds
	}
	change := func(n int) func(*core.Session) { return func(s *core.Session) { s.Set("n", n) } }
	config := func(maxAge time.Duration) core.Config { return core.Config{Cookie: core.Cookie{MaxAge: maxAge}} }

	t.Run("a hardened Config reaches live sessions", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, config(24*time.Hour))
		a := st.visit("", change(1))
		if got := maxAgeOf(a); got != "86400" {
			t.Errorf("at first: %s", got)
		}
		hardened := st.restarted(config(10 * time.Minute))
		st.store.took()
		b := hardened.visit(a.cookie, change(2))
		if got := maxAgeOf(b); got != "600" {
			t.Errorf("under the new Config: %s", got)
		}
		for _, c := range st.store.took() {
			if c.ttl > 10*time.Minute {
				t.Errorf("%s for %v", c.verb, c.ttl)
			}
		}
		// And it stays so, however often it is written.
		for n := range 3 {
			if got := maxAgeOf(hardened.visit(a.cookie, change(n))); got != "600" {
				t.Errorf("later: %s", got)
			}
		}
		for n := range 2 {
			if got := maxAgeOf(hardened.restarted(config(0)).visit(a.cookie, change(10+n))); got != "browser" && got != "" {
				t.Errorf("without a max age: %s", got)
			}
		}
	})

	t.Run("what a handler set is the session's own", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, config(0))
		a := st.visit("", func(s *core.Session) { s.Set("n", 1); _ = s.SetMaxAge(30 * 24 * time.Hour) })
		if got := maxAgeOf(a); got != "2592000" {
			t.Errorf("remember me: %s", got)
		}
		if got := maxAgeOf(st.restarted(config(time.Minute)).visit(a.cookie, change(2))); got != "2592000" {
			t.Errorf("under another Config: %s", got)
		}
		st.clock.advance(20 * 24 * time.Hour)
		b := st.visit(a.cookie, func(s *core.Session) {
			if s.Status() != core.StatusLoaded {
				t.Errorf("after 20 days: %v", s.Status())
			}
			_ = s.SetMaxAge(0)
		})
		if got := b.setCookie; got != "" {
			t.Errorf("SetMaxAge(0) sets %q, which no browser needs", got)
		}
		st.clock.advance(25 * time.Hour)
		st.visit(a.cookie, func(s *core.Session) {
			if s.Status() == core.StatusLoaded {
				t.Error("after SetMaxAge(0) the idle timeout of Config does not count")
			}
		})
	})

	t.Run("what Express changed is the session's own", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, config(time.Hour))
		a := st.visit("", change(1))
		id := st.idOf(a.cookie)
		rewrite := func(from, to string) {
			t.Helper()
			record := st.stored(id)
			changed := strings.Replace(record, from, to, 1)
			if changed == record {
				t.Fatalf("%s is not in %s", from, record)
			}
			if err := st.store.Store.Update(t.Context(), store.Record{ID: id, Data: []byte(record)}, store.Record{ID: id, Data: []byte(changed), TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		// It loses a millisecond now and then, which is no change.
		rewrite(`"originalMaxAge":3600000`, `"originalMaxAge":3599990`)
		if got := maxAgeOf(st.restarted(config(30*time.Minute)).visit(a.cookie, change(2))); got != "1800" {
			t.Errorf("after the loss of 10 ms: %s, want Config's 1800", got)
		}
		rewrite(`"originalMaxAge":3599990`, `"originalMaxAge":7200000`)
		for n := range 2 {
			if got := maxAgeOf(st.visit(a.cookie, change(3+n))); got != "7200" {
				t.Errorf("after a change in Express: %s", got)
			}
		}
		if got := maxAgeOf(st.restarted(config(time.Minute)).visit(a.cookie, change(9))); got != "7200" {
			t.Errorf("under another Config: %s", got)
		}
	})

	t.Run("Regenerate drops it, Renew keeps it", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, config(time.Hour))
		a := st.visit("", func(s *core.Session) { s.Set("n", 1); _ = s.SetMaxAge(5 * time.Minute) })
		b := st.visit(a.cookie, func(s *core.Session) { _ = s.Renew() })
		if got := maxAgeOf(b); got != "300" {
			t.Errorf("Renew: %s", got)
		}
		c := st.visit(b.cookie, func(s *core.Session) { _ = s.Regenerate() })
		if got := maxAgeOf(c); got != "3600" {
			t.Errorf("Regenerate: %s", got)
		}
		d := st.visit(c.cookie, func(s *core.Session) { _ = s.Regenerate(); _ = s.SetMaxAge(2 * time.Minute) })
		if got := maxAgeOf(d); got != "120" {
			t.Errorf("Regenerate and SetMaxAge: %s", got)
		}
	})

	t.Run("less than a second is refused, and negative is none", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, config(time.Hour))
		a := st.visit("", func(s *core.Session) {
			s.Set("n", 1)
			if err := s.SetMaxAge(3600); !errors.Is(err, core.ErrMaxAgeTooShort) { // of time.Second, it was meant to be
				t.Errorf("3600 ns: %v, want ErrMaxAgeTooShort", err)
			}
		})
		if got := maxAgeOf(a); got != "3600" {
			t.Errorf("3600 ns: max age %s, want that of the Config", got)
		}
		if got := maxAgeOf(st.visit("", func(s *core.Session) { s.Set("n", 1); _ = s.SetMaxAge(-time.Hour) })); got != "browser" {
			t.Errorf("negative: %s", got)
		}
	})

	t.Run("attributes come from the Config, not from the record", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, config(0))
		cookie := st.put("express", `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z","httpOnly":false,"path":"/old","domain":"old.test","sameSite":"none"},"n":0}`)
		a := st.visit(cookie, change(1))
		if !strings.HasSuffix(a.setCookie, "; Path=/; Expires=Sat, 21 Nov 2026 08:30:14 GMT; Max-Age=60; HttpOnly; SameSite=Lax") {
			t.Errorf("Set-Cookie %q", a.setCookie)
		}
		if got := st.stored("express"); !strings.Contains(got, `"httpOnly":false,"path":"/old","domain":"old.test","sameSite":"none"`) {
			t.Errorf("attributes for Express were changed: %s", got)
		}
	})
}

// Time limits of an assurance level hold whatever a handler asks for.
//
// Standards: NIST-5.2-aal
func TestAnAssuranceLevelLimitsAMaxAgeOfItsOwn(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for _, tt := range []struct {
		aal            int
		idle, absolute time.Duration // what a session that is to be remembered for a year gets
	}{
		{0, 365 * 24 * time.Hour, 365 * 24 * time.Hour},
		{1, month, month},
		{2, time.Hour, 24 * time.Hour},
		{3, 15 * time.Minute, 12 * time.Hour},
	} {
		t.Run(fmt.Sprintf("AAL %d", tt.aal), func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{AAL: tt.aal, TouchInterval: core.EveryRequest})
			remember := func(s *core.Session) {
				s.Set("user", "ada")
				if err := s.SetMaxAge(365 * 24 * time.Hour); err != nil {
					t.Error(err)
				}
			}
			lives := func(cookie string) bool {
				lives := false
				st.visit(cookie, func(s *core.Session) { lives = s.Status() == core.StatusLoaded })
				return lives
			}

			idle := st.visit("", remember).cookie
			st.clock.advance(tt.idle - time.Millisecond)
			if !lives(idle) {
				t.Errorf("it ends before it was idle for %v", tt.idle)
			}
			if tt.idle < tt.absolute {
				st.clock.advance(tt.idle)
				if lives(idle) {
					t.Errorf("it lives after it was idle for %v", tt.idle)
				}
			}

			busy := st.visit("", remember).cookie
			for left := tt.absolute - time.Millisecond; left > 0; left -= tt.idle / 2 {
				st.clock.advance(min(left, tt.idle/2))
				if !lives(busy) {
					t.Fatalf("it ends %v before %v, however active", left, tt.absolute)
				}
			}
			st.clock.advance(time.Millisecond)
			if tt.aal > 0 && lives(busy) {
				t.Errorf("it lives after %v", tt.absolute)
			}
		})
	}
}

func TestRollingSendsTheCookieWithEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, maxAge := range []time.Duration{0, time.Hour} {
		st := newStage(t, core.Config{Rolling: true, Cookie: core.Cookie{MaxAge: maxAge}})
		if a := st.visit("", nil); a.setCookie != "" {
			t.Errorf("a visitor without a session gets %q", a.setCookie)
		}
		cookie := st.signIn()
		st.clock.advance(30 * time.Minute)
		a := st.request(cookie, func(http.ResponseWriter, *http.Request) {}) // does not ask for the session
		want := ""
		if maxAge > 0 {
			want = "; Expires=" + st.clock.Now().Add(maxAge).Format(http.TimeFormat) + "; Max-Age=3600"
		}
		if a.cookie != cookie || !strings.HasPrefix(a.setCookie, cookie+"; Path=/"+want+"; HttpOnly") {
			t.Errorf("max age %v: %q", maxAge, a.setCookie)
		}
	}
}

func TestTheResponseOfAnUntouchedSessionHasNoHeaderOfOurs(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	a := st.request(cookie, func(http.ResponseWriter, *http.Request) {})
	if got := fmt.Sprint(a.header["Set-Cookie"], a.header["Vary"], a.header["Cache-Control"]); got != "[] [] []" {
		t.Errorf("Set-Cookie, Vary, Cache-Control: %s", got)
	}
}

func TestWhenAnIdThatWasGivenUpWasExtendedIsForgotten(t *testing.T) {
	t.Parallel()
	everyKind(t, core.Config{}, func(t *testing.T, st *stage) {
		cookie := st.signIn()
		for range 3 {
			old := st.idOf(cookie)
			if !st.Remembers(old) {
				t.Fatal("it is not known when the session got its life")
			}
			cookie = st.rotates(cookie)
			if st.Remembers(old) {
				t.Error("an id that was given up still takes the room of one that lives")
			}
		}
		last := st.idOf(cookie)
		st.visit(cookie, func(s *core.Session) {
			if err := s.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if st.Remembers(last) {
			t.Error("a session that has ended still takes the room of one that lives")
		}
	})
}

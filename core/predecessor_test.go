package core_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// An oldSide is what an app had before: sessions by the value of a cookie. What stands
// behind a ~ in the value is another spelling of the same.
type oldSide struct {
	cookie string // its name; "old" if empty
	weak   bool   // there is something to say of its keys
	stored bool   // the sessions are in a store, and end there

	mu       sync.Mutex
	sessions map[string]predecessor.Session
	err      error // of the store
	asked    int
}

// has puts a session there and returns its cookie.
func (o *oldSide) has(value string, s predecessor.Session) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sessions == nil {
		o.sessions = make(map[string]predecessor.Session)
	}
	if s.Key == nil {
		s.Key = []byte("the key of " + value)
	}
	s.Stored = o.stored
	s.Version = fmt.Appendf(nil, "%x", sha256.Sum256(fmt.Append(nil, s.Values, s.SavedAt)))
	o.sessions[value] = s
	return o.CookieNames()[0] + "=" + value
}

// of is a session of a user.
func of(user string, values map[string]any) predecessor.Session {
	all := map[string]any{"cart": "a book"}
	if user != "" {
		all["user"] = user
	}
	maps.Copy(all, values)
	return predecessor.Session{User: user, Values: all}
}

func (o *oldSide) ends(value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sessions, value)
}

func (o *oldSide) fails(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *oldSide) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.asked
	o.asked = 0
	return n
}

// CookieNames implements [predecessor.Source].
func (o *oldSide) CookieNames() []string {
	if o.cookie == "" {
		return []string{"old"}
	}
	return []string{o.cookie}
}

// Find implements [predecessor.Source].
func (o *oldSide) Find(_ context.Context, r *http.Request) (predecessor.Session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	if o.err != nil {
		return predecessor.Session{}, o.err
	}
	for _, c := range r.CookiesNamed(o.CookieNames()[0]) {
		value, _, _ := strings.Cut(c.Value, "~")
		if s, ok := o.sessions[value]; ok {
			return s, nil
		}
	}
	return predecessor.Session{}, predecessor.ErrNone
}

// Forget implements [predecessor.Source].
func (o *oldSide) Forget(_ context.Context, r *http.Request) (cookies []*http.Cookie, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range r.CookiesNamed(o.CookieNames()[0]) {
		if o.stored {
			delete(o.sessions, c.Value)
		}
		cookies = []*http.Cookie{{Name: c.Name, Path: "/shop", Domain: "shop.example", MaxAge: -1}}
	}
	return cookies, o.err
}

// Warnings implements [predecessor.Warner].
func (o *oldSide) Warnings() []string {
	if o.weak {
		return []string{"a key is short"}
	}
	return nil
}

// taking is a Config that takes the sessions of the old side over for a year.
func taking(o *oldSide, change ...func(*core.Config)) core.Config {
	cfg := core.Config{Predecessor: core.Predecessor{Source: o, Until: newStageClock().Now().AddDate(1, 0, 0)}}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func linked(c *core.Config) { c.Predecessor.Linked = true }

// seen is what a handler sees of a session.
type seen struct {
	status core.Status
	user   string
	cart   any
	id     string
}

// sees lets a handler look.
func (st *stage) sees(cookie string) (a answer, s seen) {
	st.t.Helper()
	a = st.visit(cookie, func(got *core.Session) {
		s = seen{status: got.Status(), user: got.User(), cart: got.Get("cart")}
		if s.cart != nil {
			s.id = got.ID()
		}
	})
	return a, s
}

func TestASessionOfThePredecessorGoesOnHere(t *testing.T) {
	for _, stored := range []bool{true, false} {
		old := &oldSide{stored: stored}
		st, _ := newUserStage(t, taking(old))
		cookie := old.has("token-of-bob", of("bob", map[string]any{"n": int64(math.MaxInt64), "at": time.Unix(0, 0).UTC()}))
		a := st.visit(cookie, func(s *core.Session) {
			if s.Status() != core.StatusTakenOver || s.User() != "bob" || s.Get("cart") != "a book" || s.Get("n") != int(math.MaxInt64) {
				t.Errorf("%v, user %q", s.Status(), s.User())
			}
			if s.ID() == "token-of-bob" {
				t.Error("the old id goes on")
			}
			s.Set("more", 1)
		})
		if a.status != http.StatusOK || !strings.Contains(a.setCookie, "SameSite=Lax") || !strings.Contains(a.setCookie, "HttpOnly") {
			t.Fatalf("status %d, cookie %q", a.status, a.setCookie)
		}
		old.times()
		st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
			if s.Status() != core.StatusLoaded || s.User() != "bob" || s.Get("more") != 1 {
				t.Errorf("then: %v, user %q, %v", s.Status(), s.User(), s.Get("more"))
			}
		})
		if n := old.times(); n != 0 {
			t.Errorf("a request with a session of ours asked the predecessor %d times", n)
		}
		if list := st.listOf("bob"); len(list) != 1 {
			t.Errorf("%d sessions are listed, want 1", len(list))
		}
		if n := st.events.count(core.EventTakenOver); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	}
}

// Hazard 1: the text of a cookie has spellings, its key has none.
func TestEverySpellingOfAnOldCookieIsOneSession(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	cookie := old.has("token", of("bob", nil))
	_, first := st.sees(cookie)
	_, second := st.sees(cookie + "~another spelling")
	if first.id == "" || first.id != second.id {
		t.Errorf("two spellings made two sessions")
	}
	st.clock.advance(time.Hour)
	if _, late := st.sees(cookie + "~a third"); late.user != "" || late.status != core.StatusNew {
		t.Errorf("after the grace a spelling is %v, user %q", late.status, late.user)
	}
}

// Hazard 2: two visitors may have the same cookie.
func TestTwinsWithoutAUserGetSessionsOfTheirOwn(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	twin, bob := old.has("twin", of("", nil)), old.has("bob", of("bob", nil))
	_, a := st.sees(twin)
	_, b := st.sees(twin)
	if a.cart != "a book" || b.cart != "a book" || a.id == b.id {
		t.Errorf("%v and %v; one session: %v", a.cart, b.cart, a.id == b.id)
	}
	_, a = st.sees(bob)
	_, b = st.sees(bob)
	if a.user != "bob" || a.id != b.id {
		t.Errorf("two devices of one user: %q, one session: %v", a.user, a.id == b.id)
	}
	// Their cookie does not come again: nothing else would keep it from that.
	for cookie, want := range map[string]int{twin: 2, bob: 1} {
		if a, _ := st.sees(cookie); len(a.header["Set-Cookie"]) != want {
			t.Errorf("%s: %d cookies, want %d", cookie, len(a.header["Set-Cookie"]), want)
		}
	}
	// What was stored under an id is one visitor's, and one session.
	inStore := &oldSide{stored: true}
	st, _ = newUserStage(t, taking(inStore))
	cart := inStore.has("token", of("", nil))
	_, a = st.sees(cart)
	_, b = st.sees(cart)
	if a.cart != "a book" || a.id != b.id {
		t.Errorf("the requests of one visitor: %v, one session: %v", a.cart, a.id == b.id)
	}
}

// Hazard 3: earlier cookies of a cookie store are as good as the last, until somebody
// logs out here.
func TestALogoutHereRefusesEarlierCookies(t *testing.T) {
	for name, logout := range map[string]func(*core.Session) error{
		"SignOut":    func(s *core.Session) error { return s.SignOut(t.Context()) },
		"Destroy":    func(s *core.Session) error { return s.Destroy(t.Context()) },
		"Regenerate": func(s *core.Session) error { return s.Regenerate() },
		"SignOut after a sign-in here": func(s *core.Session) error {
			if err := errors.Join(s.SignIn(t.Context(), "bob"), s.Save(t.Context())); err != nil {
				return err
			}
			return s.SignOut(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := &oldSide{}
			st, _ := newUserStage(t, taking(old))
			at := func(d time.Duration, user string) predecessor.Session {
				s := of(user, nil)
				s.SavedAt = st.clock.Now().Add(d)
				return s
			}
			earlier, last := old.has("earlier", at(-time.Hour, "bob")), old.has("last", at(-time.Minute, "bob"))
			unknown, alice := old.has("unknown", of("bob", nil)), old.has("alice", at(-time.Hour, "alice"))
			a, _ := st.sees(last)
			st.visit(a.cookie+"; "+last, func(s *core.Session) {
				if err := logout(s); err != nil {
					t.Error(err)
				}
			})
			later := old.has("later", at(time.Second, "bob"))
			for cookie, want := range map[string]string{last: "", earlier: "", unknown: "", alice: "alice", later: "bob"} {
				if _, s := st.sees(cookie); s.user != want {
					t.Errorf("%s: user %q, want %q", cookie, s.user, want)
				}
			}
		})
	}
}

func TestEndingAllSessionsOfAUserRefusesTheOldOnes(t *testing.T) {
	for _, stored := range []bool{true, false} {
		old := &oldSide{stored: stored}
		st, _ := newUserStage(t, taking(old))
		saved := of("bob", nil)
		saved.SavedAt = st.clock.Now().Add(-time.Hour)
		phone, laptop := old.has("phone", saved), old.has("laptop", saved)
		a, _ := st.sees(laptop)
		if err := st.RevokeUser(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		for _, cookie := range []string{phone, laptop, a.cookie, a.cookie + "; " + phone} {
			if _, s := st.sees(cookie); s.user != "" {
				t.Errorf("stored %v: with %s it is %q's", stored, cookie[:4], s.user)
			}
		}
		if list := st.listOf("bob"); len(list) != 0 {
			t.Errorf("%d sessions are listed", len(list))
		}
	}
	// And RevokeOthers spares the session that asks for it.
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	phone, laptop := old.has("phone", of("bob", nil)), old.has("laptop", of("bob", nil))
	a, _ := st.sees(laptop)
	st.visit(a.cookie, func(s *core.Session) {
		if err := st.RevokeOthers(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	if _, s := st.sees(a.cookie); s.user != "bob" {
		t.Errorf("the session that asked is %q's", s.user)
	}
	if _, s := st.sees(phone); s.user != "" {
		t.Errorf("the other one is %q's", s.user)
	}
}

// Hazard 4: an empty session is what many apps leave at a logout.
func TestAnEmptySessionIsNotTakenOver(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	a, s := st.sees(old.has("empty", predecessor.Session{User: "bob"}))
	if s.status != core.StatusNew || s.user != "" || a.setCookie != "" {
		t.Errorf("%v, user %q, cookie %q", s.status, s.user, a.setCookie)
	}
}

// Hazard 5: what is weak about the old side is said, and has an end.
func TestTakingOverHasAnEnd(t *testing.T) {
	old := &oldSide{weak: true}
	st, _ := newUserStage(t, taking(old))
	if n := st.log.count("a key is short"); n != 1 {
		t.Errorf("the warning was said %d times", n)
	}
	cookie := old.has("token", of("bob", nil))
	st.clock.advance(365*24*time.Hour - time.Second)
	if _, s := st.sees(cookie); s.user != "bob" {
		t.Errorf("before the end: %q", s.user)
	}
	other := old.has("other", of("bob", nil))
	st.clock.advance(time.Second)
	old.times()
	if _, s := st.sees(other); s.user != "" || old.times() != 0 {
		t.Errorf("at the end: %q", s.user)
	}
}

func TestSettingsOfThePredecessorThatCannotBe(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, test := range []struct {
		p     core.Predecessor
		field string
	}{
		{core.Predecessor{Source: &oldSide{}}, "Predecessor.Until"},
		{core.Predecessor{Until: until}, "Predecessor.Source"},
		{core.Predecessor{Linked: true}, "Predecessor.Source"},
		{core.Predecessor{Source: (*oldSide)(nil), Until: until}, "Predecessor.Source"},
		{core.Predecessor{Source: &oldSide{cookie: "sid"}, Until: until, Linked: true}, "Predecessor.Linked"}, // hazard 8
		{core.Predecessor{Source: &oldSide{cookie: "sid"}, Until: until}, ""},
		{core.Predecessor{Source: &oldSide{}, Until: until, Linked: true}, ""},
	} {
		_, err := core.New(core.Config{Store: newUserStore(), Secrets: []string{stageSecret}, Predecessor: test.p})
		var cfgErr *core.ConfigError
		if field := ""; errors.As(err, &cfgErr) {
			if field = cfgErr.Field; field != test.field {
				t.Errorf("%v: %s, want %s", err, field, test.field)
			}
		} else if test.field != "" {
			t.Errorf("no error, want one about %s", test.field)
		}
	}
}

// Hazard 6: who knows the old id has nothing.
func TestTheOldIDLeadsNowhere(t *testing.T) {
	old := &oldSide{stored: true}
	st, _ := newUserStage(t, taking(old))
	a, _ := st.sees(old.has("token", of("bob", nil)))
	for _, forged := range []string{"sid=token", "sid=" + core.Sign(stageSecret, "token"), "sid=" + core.Sign("token", "token")} {
		if _, s := st.sees(forged); s.user != "" {
			t.Errorf("%s is %q's", forged, s.user)
		}
	}
	if strings.Contains(a.setCookie, "token") {
		t.Error("the old id is in the cookie")
	}
}

// Hazard 7: the time of an old session is no proof of a login, and an old session is
// accepted no longer than it was.
func TestASessionThatWasTakenOverAsksForALogin(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	s := of("bob", nil)
	s.SavedAt = st.clock.Now()
	check := func(s *core.Session) {
		if err := s.RequireRecentSignIn(t.Context(), 24*time.Hour); !errors.Is(err, core.ErrSignInTooOld) || !s.AuthenticatedAt().IsZero() {
			t.Errorf("%v, signed in at %v", err, s.AuthenticatedAt())
		}
	}
	a := st.visit(old.has("token", s), check)
	st.visit(a.cookie, check)
	a = st.visit(a.cookie, renewing)
	st.visit(a.cookie, check)
	st.visit(st.logIn(a.cookie, "bob"), func(s *core.Session) {
		if err := s.RequireRecentSignIn(t.Context(), time.Hour); err != nil {
			t.Errorf("after a login: %v", err)
		}
	})
	s.Expires = st.clock.Now()
	if _, got := st.sees(old.has("expired", s)); got.user != "" {
		t.Errorf("an expired one is %q's", got.user)
	}
}

func renewing(s *core.Session) { _ = s.Renew() }

// Hazard 8: after the cut-over the cookie may keep its name.
func TestTheCookieMayHaveTheSameName(t *testing.T) {
	old := &oldSide{cookie: "sid"}
	st, _ := newUserStage(t, taking(old))
	a, s := st.sees(old.has("token", of("bob", nil)))
	if s.user != "bob" || a.cookie == "" || st.events.count(core.EventForged) != 0 {
		t.Errorf("user %q, %d forged", s.user, st.events.count(core.EventForged))
	}
	a = st.visit(a.cookie, func(s *core.Session) { _ = s.SignOut(t.Context()); s.Flash("info", "Goodbye.") })
	// The old one is that of another path and domain: the browser has both.
	if lines := a.header["Set-Cookie"]; len(lines) != 2 || strings.Contains(lines[0], "Max-Age=0") || !strings.Contains(lines[1], "Max-Age=0") {
		t.Errorf("after the logout: %d cookies, want the new one, and the old one deleted", len(lines))
	}
	if _, s := st.sees("sid=forged"); s.status != core.StatusInvalid || st.events.count(core.EventForged) != 1 {
		t.Errorf("what is nobody's is %v, %d forged", s.status, st.events.count(core.EventForged))
	}
}

// Hazard 9: the old cookie is deleted where it is, at the logout and not before.
func TestALogoutEndsTheOldSessionToo(t *testing.T) {
	old := &oldSide{stored: true}
	st, _ := newUserStage(t, taking(old))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	if n := len(a.header["Set-Cookie"]); n != 1 {
		t.Errorf("%d cookies at first, want 1", n)
	}
	b := st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err != nil {
			t.Error(err)
		}
	})
	want := "old=; Path=/shop; Domain=shop.example; Max-Age=0"
	if lines := b.header["Set-Cookie"]; len(lines) != 2 || !strings.Contains(strings.Join(lines, "\n"), want) {
		t.Errorf("the logout sets %d cookies, want two, with %q", len(lines), want)
	}
	if len(old.sessions) != 0 {
		t.Error("the old session lives")
	}
	// Where the old store fails, the logout has not been done.
	cookie = old.has("second", of("bob", nil))
	a, _ = st.sees(cookie)
	old.fails(errors.New("the session of token-4711 is locked"))
	b = st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
		if err := s.SignOut(t.Context()); err == nil || strings.Contains(err.Error(), "4711") {
			t.Errorf("SignOut: %v", err)
		}
	})
	if b.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", b.status)
	}
	old.fails(nil)
	if b = st.visit(a.cookie+"; "+cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) }); b.status != http.StatusOK || len(old.sessions) != 0 {
		t.Errorf("then: status %d, %d old sessions", b.status, len(old.sessions))
	}
}

// Hazard 10: what does not fit is left behind, and is no error.
func TestWhatIsTooLargeIsLeftBehind(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old, func(c *core.Config) { c.MaxBytes, c.MaxKeys = 2000, 5 }))
	many := map[string]any{}
	for i := range 10 {
		many[fmt.Sprint(i)] = i
	}
	for _, cookie := range []string{
		old.has("large", of("bob", map[string]any{"a": strings.Repeat("secret", 1000)})), old.has("many", of("bob", many)),
	} {
		for range 3 {
			if a, s := st.sees(cookie); a.status != http.StatusOK || s.status != core.StatusNew || s.user != "" || a.setCookie != "" {
				t.Errorf("status %d, %v, user %q", a.status, s.status, s.user)
			}
		}
	}
	if n := st.log.count("was not taken over"); n < 1 || n > 2 {
		t.Errorf("the log says so %d times, want once a second", n)
	}
	// Values that cannot be are counted, and the rest comes over.
	s := of("bob", map[string]any{"cookie": "reserved", "nan": math.NaN()})
	s.Dropped = 2
	if _, got := st.sees(old.has("odd", s)); got.user != "bob" || st.log.count("values=4") != 1 {
		t.Errorf("user %q, the log:\n%s", got.user, st.log.String())
	}
	if _, got := st.sees(old.has("name", of(strings.Repeat("b", 300), nil))); got.user != "" || got.status != core.StatusNew {
		t.Errorf("a name that is none: %v", got.status)
	}
}

// The name under which messages are kept is as good as reserved: what an app had there, and
// is none, would leave no room for them. Messages come over.
func TestWhatAnAppHadUnderFlashDoesNotKeepMessagesOut(t *testing.T) {
	for name, tt := range map[string]struct {
		had     any
		dropped bool
		want    []string
	}{
		"a text":           {had: "look at this", dropped: true, want: []string{"Saved."}},
		"a list":           {had: []string{"look at this"}, dropped: true, want: []string{"Saved."}},
		"texts by name":    {had: map[string]any{"info": "look at this"}, dropped: true, want: []string{"Saved."}},
		"messages by kind": {had: map[string]any{"info": []string{"Hello."}}, want: []string{"Hello.", "Saved."}},
	} {
		old := &oldSide{}
		st, _ := newUserStage(t, taking(old))
		a := st.visit(old.has("one", of("bob", map[string]any{"flash": tt.had})), func(s *core.Session) { s.Flash("info", "Saved.") })
		if a.status != http.StatusOK {
			t.Errorf("%s: status %d", name, a.status)
		}
		st.visit(a.cookie, func(s *core.Session) {
			if got := s.Flashes("info"); !slices.Equal(got, tt.want) || s.Get("cart") != "a book" {
				t.Errorf("%s: the messages are %q, want %q", name, got, tt.want)
			}
		})
		if said := st.log.count("values=1") == 1 && st.log.count("flash") == 1; said != tt.dropped {
			t.Errorf("%s: the log says that it was dropped: %v, want %v\n%s", name, said, tt.dropped, st.log.String())
		}
	}
}

// Hazard 12: a failure of the old store is one of ours.
func TestAFailureOfTheOldStoreIsAnError(t *testing.T) {
	old := &oldSide{}
	serve := false
	st, _ := newUserStage(t, taking(old, func(c *core.Config) {
		c.ServeAnonymously = func(*http.Request, error) bool { return serve }
	}))
	cookie := old.has("token-4711", of("bob", nil))
	old.fails(errors.New("GET session_token-4711: connection refused"))
	if a := st.visit(cookie, nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", a.status)
	}
	serve = true
	if a, s := st.sees(cookie); a.status != http.StatusOK || s.user != "" || a.setCookie != "" {
		t.Errorf("served anonymously: status %d, %q", a.status, s.user)
	}
	if said := st.log.String() + st.events.said(); strings.Contains(said, "4711") {
		t.Errorf("the id is in the log:\n%s", said)
	}
	old.fails(fmt.Errorf("%w: token-4711", predecessor.ErrUnreadable))
	if a, s := st.sees(cookie); a.status != http.StatusOK || s.status != core.StatusNew || st.log.count("it cannot be read") != 1 {
		t.Errorf("unreadable: status %d, %v", a.status, s.status)
	}
	old.fails(nil)
	if _, s := st.sees(cookie); s.user != "bob" {
		t.Errorf("then: %q", s.user)
	}
}

// A failure of our own store at any call is an error, and leaves nothing that keeps the
// next request from taking over.
func TestAFailureOfOurStoreLogsNobodyOut(t *testing.T) {
	for _, verb := range []string{"load", "create", "update", "delete"} {
		for _, serve := range []bool{false, true} {
			old := &oldSide{}
			st := newStage(t, taking(old, func(c *core.Config) {
				c.StoreTimeout = time.Second
				c.ServeAnonymously = func(*http.Request, error) bool { return serve }
			}))
			cookie := old.has("token", of("bob", nil))
			st.store.failWith(verb, &store.Error{Store: "stage", Verb: verb, Outcome: store.OutcomeNotApplied, Class: "down"})
			a, s := st.sees(cookie)
			switch fails := verb == "load" || verb == "create"; {
			case fails && serve && (a.status != http.StatusOK || s.user != ""):
				t.Errorf("%s fails, served anonymously: status %d, %q", verb, a.status, s.user)
			case fails && !serve && a.status != http.StatusServiceUnavailable, !fails && s.user != "bob":
				t.Errorf("%s fails: status %d, %q", verb, a.status, s.user)
			}
			st.store.failWith(verb, nil)
			if _, s := st.sees(cookie); s.user != "bob" {
				t.Errorf("after %s failed: %q", verb, s.user)
			}
		}
	}
}

func TestTakingOverCostsWhatIsSaid(t *testing.T) {
	for _, test := range []struct {
		user   string
		stored bool
		first  string
	}{
		{"", false, "create"},
		{"", true, "load create create"},
		{"bob", false, "load create load create"},
	} {
		old := &oldSide{stored: test.stored}
		st := newStage(t, taking(old))
		cookie := old.has("token", of(test.user, nil))
		a := st.visit(cookie, nil)
		if got := st.store.verbs(); got != test.first {
			t.Errorf("%+v: the first request costs %q", test, got)
		}
		a = st.visit(a.cookie+"; "+cookie, nil)
		if got := st.store.verbs(); got != "load" || a.status != http.StatusOK {
			t.Errorf("%+v: a later one costs %q", test, got)
		}
		st.visit("other=1", nil)
		if got := st.store.verbs(); got != "" {
			t.Errorf("%+v: a visitor without a session costs %q", test, got)
		}
	}
}

// The user's name may stand under a key that Express uses.
func TestTakingOverWithAUserKey(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old, func(c *core.Config) { c.UserKey = "passport.user" }))
	a, s := st.sees(old.has("token", of("bob", nil)))
	if s.user != "bob" {
		t.Errorf("user %q", s.user)
	}
	if _, s = st.sees(a.cookie); s.user != "bob" {
		t.Errorf("then: user %q", s.user)
	}
	eve := old.has("eve", of("", map[string]any{"passport": map[string]any{"user": "bob"}}))
	if a, s := st.sees(eve); a.status != http.StatusOK || s.user != "" {
		t.Errorf("who nobody says is bob: status %d, %q", a.status, s.user)
	}
}

func TestAMarkerIsNoSession(t *testing.T) {
	old := &oldSide{stored: true}
	st, backing := newUserStage(t, taking(old, func(c *core.Config) { c.SealKeys = []string{strings.Repeat("k", 32)} }))
	_, first := st.sees(old.has("token", of("bob", nil)))
	if err := st.RevokeUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	for _, rec := range backing.sessions.Records() {
		if strings.Contains(rec.ID+string(rec.Data), "token") || strings.Contains(rec.ID, first.id) {
			t.Error("an id stands in the store")
		}
		if _, s := st.sees("sid=" + core.Sign(stageSecret, rec.ID)); s.user != "" {
			t.Errorf("a record that is no session is %q's", s.user)
		}
	}
}

// Linked: while old instances run, a session follows the old one.
func TestALinkedSessionFollowsTheOldOne(t *testing.T) {
	for _, stored := range []bool{true, false} {
		old := &oldSide{stored: stored}
		st, _ := newUserStage(t, taking(old, linked))
		cookie := old.has("token", of("bob", map[string]any{"n": 1, "admin": true}))
		a := st.visit(cookie, func(s *core.Session) { s.Set("here", "kept") })
		both := a.cookie + "; " + cookie
		next := of("bob", map[string]any{"n": 5})
		next.SavedAt = st.clock.Now()
		old.has("token", next)
		for range 2 {
			st.visit(both, func(s *core.Session) {
				if s.Get("n") != 5 && s.Get("n") != 6 || s.Has("admin") || s.Get("here") != "kept" || s.User() != "bob" {
					t.Errorf("n %v, admin %v, here %v, user %q", s.Get("n"), s.Has("admin"), s.Get("here"), s.User())
				}
				counterOf(s)
			})
		}
		if _, s := st.sees(a.cookie + "; " + cookie); s.user != "bob" {
			t.Errorf("user %q", s.user)
		}
		st.visit(both, func(s *core.Session) {
			if s.Get("n") != 7 {
				t.Errorf("n is %v: what changed here since was undone", s.Get("n"))
			}
		})
		// A logout there ends it here, for good.
		old.ends("token")
		for _, c := range []string{both, a.cookie} {
			if _, s := st.sees(c); s.user != "" || s.cart != nil {
				t.Errorf("after the logout there: %q, %v", s.user, s.cart)
			}
		}
		// Who logs in there again has a session here again, also where the id is the same.
		again := of("bob", map[string]any{"n": 9})
		if !stored {
			again.Key = []byte("the key of another cookie")
		}
		old.has("token", again)
		if _, s := st.sees(both); s.user != "bob" {
			t.Errorf("stored %v: after another login there: %q", stored, s.user)
		}
		// Another user who signs in there has the session here, and nothing of the other's.
		cookie = old.has("second", of("bob", map[string]any{"secret": "of bob"}))
		a = st.visit(cookie, nil)
		next = predecessor.Session{User: "alice", Values: map[string]any{"user": "alice"}}
		if !stored { // else the library keeps the id
			next.Key = []byte("the key of alice")
		}
		old.has("second", next)
		b := st.visit(a.cookie+"; "+cookie, func(s *core.Session) {
			if s.User() != "alice" || s.Has("secret") || s.Has("cart") {
				t.Errorf("user %q, secret %v", s.User(), s.Has("secret"))
			}
		})
		if b.cookie == "" || b.cookie == a.cookie {
			t.Error("the cookie is the same as before")
		}
		if _, s := st.sees(a.cookie); s.user != "" {
			t.Errorf("the session of before is %q's", s.user)
		}
	}
}

// counterOf adds one to n, in the way that is never lost.
func counterOf(s *core.Session) {
	core.Key[int]("n").Update(s, func(n int) int { return n + 1 })
}

func TestALinkEndsWithASignInHereAndWithTheDate(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old, linked, func(c *core.Config) { c.IdleTimeout = 400 * 24 * time.Hour }))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	in := st.logIn(a.cookie+"; "+cookie, "carol")
	old.ends("token")
	if _, s := st.sees(in + "; " + cookie); s.user != "carol" {
		t.Errorf("after a sign-in here: %q", s.user)
	}
	cookie = old.has("second", of("bob", nil))
	a, _ = st.sees(cookie)
	st.clock.advance(365 * 24 * time.Hour)
	old.ends("second")
	if _, s := st.sees(a.cookie); s.user != "bob" {
		t.Errorf("after the date: %q", s.user)
	}
}

func TestALinkedSessionOutlivesWhatCannotBeRead(t *testing.T) {
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old, linked, func(c *core.Config) { c.MaxBytes = 2000 }))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	both := a.cookie + "; " + cookie
	old.fails(predecessor.ErrUnreadable)
	if _, s := st.sees(both); s.user != "bob" {
		t.Errorf("unreadable: %q", s.user)
	}
	old.fails(errors.New("down"))
	if a := st.visit(both, nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("the old store is down: status %d", a.status)
	}
	old.fails(nil)
	if _, s := st.sees(both); s.user != "bob" {
		t.Errorf("and up again: %q", s.user)
	}
	old.has("token", of("bob", map[string]any{"a": strings.Repeat("x", 4000)}))
	if a, s := st.sees(both); a.status != http.StatusOK || s.user != "bob" {
		t.Errorf("too large: status %d, %q", a.status, s.user)
	}
}

// Two sessions of one visitor that begins with several requests at once are one, in
// every order of the calls of two processes.
func TestTwoProcessesMakeOneSessionOfAnOldOne(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored bool
		user   string
	}{{"a user's", false, "ada"}, {"an anonymous one", true, ""}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				old := &oldSide{stored: test.stored}
				cookie := old.has("token", of(test.user, nil))
				for _, name := range []string{"one", "two"} {
					p.comes(name, cookie, p.process(name, before(old)))
				}
				p.check = func() {
					for name, err := range p.errs {
						if err != nil {
							p.t.Errorf("%s: %v", name, err)
						}
					}
					if p.cookies["one"] != p.cookies["two"] || p.cookies["one"] == "" {
						p.t.Errorf("there are two cookies: %q, %q", p.cookies["one"], p.cookies["two"])
					}
					m := p.outside(before(old))
					if s := load(p.t, m, p.cookies["one"]); s.User() != test.user || s.Get("cart") != "a book" {
						p.t.Errorf("user %q, %v", s.User(), s.Get("cart"))
					}
					live := 0
					for s, err := range sessionsOf(m, p.g.store) {
						if err == nil && s.Status() == core.StatusLoaded {
							live++
						}
					}
					if live != 1 {
						p.t.Errorf("%d sessions are stored, want 1", live)
					}
				}
			})
		})
	}
}

// before is the setting for a play, whose clock begins in the year 2000.
func before(o *oldSide) func(*core.Config) {
	return func(c *core.Config) { c.Predecessor = core.Predecessor{Source: o, Until: time.Now().AddDate(1, 0, 0)} }
}

// comes adds an actor whose browser has an old cookie.
func (p *play) comes(name, cookie string, m *core.Manager) {
	p.actors = append(p.actors, actor{name, func() {
		got, err := arrive(m, cookie)
		p.ended(name, got, err)
	}})
}

// arrive is a request of a browser, and returns the value of the cookie that it gets.
func arrive(m *core.Manager, cookies string, do ...func(*core.Session)) (value string, err error) {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Cookie", cookies)
	x, err := m.Begin(r)
	if err != nil {
		return "", err
	}
	for _, do := range do {
		do(core.FromContext(x.Request(r).Context()))
	}
	h := make(http.Header)
	if err := x.Finish(h); err != nil {
		return "", err
	}
	for _, line := range h["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == m.Config().Cookie.Name {
			value = c.Value
		}
	}
	return value, nil
}

// Where both see that the old session has changed, what one of them has made of it since
// is not undone by the other.
func TestTwoProcessesFollowAnOldSessionAtOnce(t *testing.T) {
	everyOrder(t, func(p *play) {
		old := &oldSide{stored: true}
		cookie := old.has("token", of("", map[string]any{"n": 1}))
		m := p.outside(before(old), linked)
		value, err := arrive(m, cookie)
		if err != nil || value == "" {
			p.t.Fatalf("the first request: %v", err)
		}
		old.has("token", of("", map[string]any{"n": 5}))
		for _, name := range []string{"one", "two"} {
			process := p.process(name, before(old), linked)
			p.acts(name, func() error {
				_, err := arrive(process, process.Config().Cookie.Name+"="+value+"; "+cookie, counterOf)
				return err
			})
		}
		p.check = func() {
			if err := errors.Join(p.errs["one"], p.errs["two"]); err != nil {
				p.t.Error(err)
			}
			if s := load(p.t, m, value); s.Get("n") != 7 {
				p.t.Errorf("n is %v, want 7", s.Get("n"))
			}
		}
	})
}

// A process that dies between any two steps logs nobody out.
func TestAProcessThatDiesWhileTakingOverLogsNobodyOut(t *testing.T) {
	for _, user := range []string{"ada", ""} {
		for after := range 8 {
			t.Run(fmt.Sprintf("%s after %d calls", user, after), func(t *testing.T) {
				t.Parallel()
				everyOrder(t, func(p *play) {
					old := &oldSide{stored: true}
					cookie := old.has("token", of(user, nil))
					p.dies, p.after = "one", after
					p.comes("one", cookie, p.process("one", before(old)))
					p.check = func() {
						m := p.outside(before(old))
						value, err := arrive(m, cookie)
						if err != nil {
							p.t.Fatal(err)
						}
						if s := load(p.t, m, value); s.User() != user || s.Get("cart") != "a book" {
							p.t.Errorf("the next request: user %q, %v", s.User(), s.Get("cart"))
						}
						if user == "" {
							return
						}
						if list, err := walk(m.Sessions(context.Background(), user)); err != nil || len(list) < 1 {
							p.t.Errorf("%d sessions are listed, %v", len(list), err)
						}
						if err := m.RevokeUser(context.Background(), user); err != nil {
							p.t.Fatal(err)
						}
						if p.lives(m, value) {
							p.t.Error("it cannot be revoked")
						}
					}
				})
			})
		}
	}
}

// Whoever ends all sessions of a user ends those that are being taken over.
//
// Standards: ASVS-7.4.2
func TestRevokeUserEndsWhatIsBeingTakenOver(t *testing.T) {
	everyOrder(t, func(p *play) {
		old := &oldSide{}
		cookie := old.has("token", of("ada", nil))
		p.comes("browser", cookie, p.process("browser", before(old)))
		p.acts("operator", func() error { return p.process("operator", before(old)).RevokeUser(context.Background(), "ada") })
		p.check = func() {
			if err := errors.Join(p.errs["operator"], p.errs["browser"]); err != nil {
				p.t.Errorf("%v", err)
			}
			m := p.outside(before(old))
			if p.cookies["browser"] != "" && p.lives(m, p.cookies["browser"]) {
				p.t.Error("the session lives on")
			}
			if value, err := arrive(m, cookie); err != nil || value != "" && p.lives(m, value) {
				p.t.Errorf("the old cookie makes a session of hers again, %v", err)
			}
			p.nothingLives()
		}
	})
}

func TestThePredecessorIsNotPrinted(t *testing.T) {
	old := &oldSide{}
	old.has("token-4711", of("bob", nil))
	st, _ := newUserStage(t, taking(old))
	text := fmt.Sprintf("%+v %v", st.Config(), taking(old))
	if raw, err := json.Marshal(fmt.Sprint(st.Config())); err != nil || strings.Contains(text+string(raw), "4711") {
		t.Errorf("the settings print a session: %v", err)
	}
	if !strings.Contains(text, "oldSide") {
		t.Error("the type of the source is not told")
	}
}

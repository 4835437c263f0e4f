package core_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// The old store may give the session more time than it had when it was taken over.
func TestRevokedStaysRevokedWhenTheOldStoreExtends(t *testing.T) {
	t.Parallel()
	old := &oldSide{stored: true}
	st, _ := newUserStage(t, taking(old))
	s := of("bob", nil)
	s.Expires = st.clock.Now().Add(20 * time.Minute)
	cookie := old.has("token", s)
	a, _ := st.sees(cookie)
	if a.cookie == "" {
		t.Fatal("the session is not taken over")
	}
	if err := st.Revoke(t.Context(), "bob", st.listOf("bob")[0].Handle); err != nil {
		t.Fatal(err)
	}
	s.Expires = st.clock.Now().Add(40 * time.Minute) // an old instance extended it
	old.has("token", s)
	st.clock.advance(21 * time.Minute)
	if _, s := st.sees(a.cookie + "; " + cookie); s.user != "" {
		t.Errorf("revoked, and again %q's", s.user)
	}
}

// A library that keeps sessions in cookies makes a new one with each change, and the
// earlier ones stay good there.
func TestRevokeRefusesEarlierCookies(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	at := func(d time.Duration) predecessor.Session {
		s := of("bob", nil)
		s.SavedAt = st.clock.Now().Add(d)
		return s
	}
	earlier, last := old.has("earlier", at(-time.Hour)), old.has("last", at(-time.Minute))
	st.sees(last)
	if err := st.Revoke(t.Context(), "bob", st.listOf("bob")[0].Handle); err != nil {
		t.Fatal(err)
	}
	if _, s := st.sees(earlier); s.user != "" {
		t.Errorf("an earlier cookie of a session that was revoked is %q's", s.user)
	}
}

// The cookie that the old library has written since is another key.
func TestRevokeHoldsForALinkedSession(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old, linked))
	first := of("bob", nil)
	first.SavedAt = st.clock.Now().Add(-time.Hour)
	a, _ := st.sees(old.has("first", first))
	next := of("bob", map[string]any{"n": 1})
	next.SavedAt = st.clock.Now().Add(-time.Minute)
	both := a.cookie + "; " + old.has("next", next)
	if _, s := st.sees(both); s.user != "bob" {
		t.Fatal(s.user)
	}
	if err := st.Revoke(t.Context(), "bob", st.listOf("bob")[0].Handle); err != nil {
		t.Fatal(err)
	}
	if _, s := st.sees(both); s.user != "" {
		t.Errorf("after Revoke, at the next request: %q", s.user)
	}
}

// A cookie with SameSite=None comes with the images of other sites' pages, and browsers
// drop our answer's cookie there: the next request of our own site takes over.
func TestAnotherSitesSubrequestLogsNobodyOut(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old))
	cookie := old.has("token", of("bob", nil))
	st.send(t, "GET", cookie, "no-cors", "image")
	st.clock.advance(2 * time.Minute)
	if _, s := st.sees(cookie); s.user != "bob" {
		t.Errorf("after an image on another site's page: %q", s.user)
	}
}

// A post of another site brings the old cookie, which is SameSite=None, and withholds ours.
func TestAnotherSitesPostDoesNotReplaceTheSession(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	st, _ := newUserStage(t, taking(old, linked))
	cookie := old.has("token", of("", nil))
	a, _ := st.sees(cookie)
	_ = st.logIn(a.cookie+"; "+cookie, "carol")
	if got := st.send(t, "POST", cookie, "navigate", "document"); len(got) != 0 {
		t.Errorf("the browser's session cookie of carol is replaced: %d Set-Cookie", len(got))
	}
}

// send sends a request that another site's page makes the browser send, and returns the
// cookies of the answer.
func (st *stage) send(t *testing.T, method, cookie, mode, dest string) []string {
	t.Helper()
	st.handler = func(http.ResponseWriter, *http.Request) {}
	r, err := http.NewRequestWithContext(t.Context(), method, st.server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", mode)
	r.Header.Set("Sec-Fetch-Dest", dest)
	resp, err := st.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header["Set-Cookie"]
}

// A library uses an id again, for the next login with that browser.
func TestAfterARenewTheNextLoginThereIsSeen(t *testing.T) {
	t.Parallel()
	old := &oldSide{stored: true}
	st, _ := newUserStage(t, taking(old, linked))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	a = st.visit(a.cookie+"; "+cookie, func(s *core.Session) { _ = s.Renew() })
	old.ends("token")
	st.sees(a.cookie + "; " + cookie)
	old.has("token", of("bob", map[string]any{"n": 9}))
	if _, s := st.sees(a.cookie + "; " + cookie); s.user != "bob" {
		t.Errorf("after the next login there: %q", s.user)
	}
}

// It may be another user's.
func TestAnotherUserUnderTheSameOldIDDoesNotGetTheSession(t *testing.T) {
	t.Parallel()
	for _, l := range []bool{false, true} {
		old := &oldSide{stored: true}
		st, _ := newUserStage(t, taking(old, func(c *core.Config) { c.Predecessor.Linked = l }))
		cookie := old.has("token", of("bob", map[string]any{"cart": "bob's"}))
		st.sees(cookie) // the answer does not arrive
		old.has("token", of("alice", map[string]any{"cart": "alice's"}))
		if _, s := st.sees(cookie); s.user == "bob" || s.cart == "bob's" {
			t.Errorf("linked %v: alice has bob's session: %q %v", l, s.user, s.cart)
		}
	}
}

// A pointer that is nil is no source.
func TestANilSourceIsNoPanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("New panics: %v", v)
		}
	}()
	_, _ = core.New(core.Config{Store: newUserStore(), Secrets: []string{stageSecret}, Predecessor: core.Predecessor{Source: (*oldSide)(nil)}})
}

// A request looks at the clock more than once.
func TestTheDatePassesWhileASessionIsLoaded(t *testing.T) {
	t.Parallel()
	for k := 1; k < 30; k++ {
		old := &oldSide{stored: true}
		until := newStageClock().Now().Add(time.Hour)
		n, step := 0, false
		cfg := taking(old, linked)
		cfg.Predecessor.Until = until
		cfg.Store, cfg.Secrets = newUserStore(), []string{stageSecret}
		cfg.Cookie.Name = "sid"
		cfg.Now = func() time.Time {
			if n++; step && n > k {
				return until
			}
			return until.Add(-time.Millisecond)
		}
		m, err := core.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		cookie := old.has("token", of("bob", nil))
		v, err := arrive(m, cookie)
		if err != nil {
			t.Fatal(err)
		}
		n, step = 0, true
		user := ""
		if _, err := arrive(m, "sid="+v+"; "+cookie, func(s *core.Session) { user = s.User() }); err != nil || user != "bob" {
			t.Errorf("k %d: %q %v", k, user, err)
		}
	}
}

// A list that cannot be read or written is a failure, and the visitor may come again later
// than a marker leads on.
func TestAFailureOfTheListLogsNobodyOut(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	backing := newUserStore()
	listStore := &failingList{Store: backing.index}
	backing.index = listStore
	st := newStage(t, taking(old, func(c *core.Config) { c.Store = backing }))
	backing.sessions.Now = st.clock.Now
	for _, verb := range []string{"load", "create"} {
		cookie := old.has("token"+verb, of(verb, nil))
		listStore.set(verb)
		st.visit(cookie, nil)
		listStore.set("")
		st.clock.advance(2 * time.Minute)
		if _, s := st.sees(cookie); s.user != verb {
			t.Errorf("after %s of the list failed: %q", verb, s.user)
		}
	}
}

// The browser has two cookies of that name, where Path or Domain differ.
func TestTheOldCookieOfAnotherPathIsDeletedToo(t *testing.T) {
	t.Parallel()
	old := &oldSide{cookie: "sid", stored: true}
	st, _ := newUserStage(t, taking(old))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	b := st.visit(a.cookie+"; "+cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) })
	if lines := b.header["Set-Cookie"]; len(lines) != 2 {
		t.Errorf("%v: the cookie at /shop of shop.example stays", lines)
	}
}

// A failingList is a store of lists of which one verb fails.
type failingList struct {
	store.Store
	verb atomic.Value
}

func (f *failingList) set(verb string) { f.verb.Store(verb) }
func (f *failingList) fails(verb string) error {
	if f.verb.Load() == verb {
		return &store.Error{Store: "stage", Verb: verb, Outcome: store.OutcomeNotApplied, Class: "down"}
	}
	return nil
}

func (f *failingList) Load(ctx context.Context, id string) (store.Record, error) {
	if err := f.fails("load"); err != nil {
		return store.Record{}, err
	}
	return f.Store.Load(ctx, id)
}

func (f *failingList) Create(ctx context.Context, r store.Record) error {
	if err := f.fails("create"); err != nil {
		return err
	}
	return f.Store.Create(ctx, r)
}

// The marker was stored, and the store does not tell.
func TestAMarkerOfWhichTheStoreDoesNotTellLogsNobodyOut(t *testing.T) {
	t.Parallel()
	old := &oldSide{}
	backing := &unsureStore{Store: new(mapstore.Store)}
	st := newStage(t, taking(old, func(c *core.Config) { c.Store = backing }))
	backing.Store.(*mapstore.Store).Now = st.clock.Now
	cookie := old.has("token", of("bob", nil))
	backing.unsure = true
	if a := st.visit(cookie, nil); a.status == http.StatusOK {
		t.Fatal("served")
	}
	if _, s := st.sees(cookie); s.user != "bob" {
		t.Errorf("then: %q", s.user)
	}
}

// An unsureStore does not tell whether it has stored a marker.
type unsureStore struct {
	store.Store
	unsure, blind bool
}

func (u *unsureStore) Create(ctx context.Context, r store.Record) error {
	err := u.Store.Create(ctx, r)
	if u.unsure && strings.HasPrefix(r.ID, "cloakroom-taken-") {
		u.unsure, u.blind = false, true
		return &store.Error{Store: "stage", Verb: "create", Outcome: store.OutcomeUnknown, Class: "down"}
	}
	return err
}

func (u *unsureStore) Load(ctx context.Context, id string) (store.Record, error) {
	if u.blind {
		u.blind = false
		return store.Record{}, errors.New("read failed")
	}
	return u.Store.Load(ctx, id)
}

// The old cookie is SameSite=Strict and ours Lax: a link on another site brings ours alone.
func TestALinkOnAnotherSiteIsNoLogout(t *testing.T) {
	t.Parallel()
	old := &oldSide{stored: true}
	st, _ := newUserStage(t, taking(old, linked))
	cookie := old.has("token", of("bob", nil))
	a, _ := st.sees(cookie)
	st.send(t, "GET", a.cookie, "navigate", "document")
	if _, s := st.sees(a.cookie + "; " + cookie); s.status != core.StatusLoaded {
		t.Errorf("the session has ended: %v", s.status)
	}
}

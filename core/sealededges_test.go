package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Sealed sessions, and what is known of their ends, where it comes to a single line.

// login signs a user in and returns the cookie.
func (st *stage) login(user string) string {
	st.t.Helper()
	return st.visit("", func(s *core.Session) {
		s.Set("user", "ada")
		if err := s.SignIn(st.t.Context(), user); err != nil {
			st.t.Error(err)
		}
	}).cookie
}

// renews renews the id.
func renews(s *core.Session) { _ = s.Renew() }

func TestASealedSessionThatExpiresUnderARequestTakesNothingMore(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*core.Session){
		"a change":  func(s *core.Session) { s.Set("n", 1) },
		"a renewal": renews,
		"a sign-in": func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") },
	} {
		for _, withEnds := range []bool{false, true} {
			f := newSealedFleet(t, withEnds)
			st := f.process(core.Config{IdleTimeout: time.Hour})
			cookie := st.signIn()
			a := st.visit(cookie, func(s *core.Session) {
				f.clock.advance(time.Hour)
				change(s)
			})
			if a.status != http.StatusConflict || a.setCookie != "" {
				t.Errorf("%s, with ends: %v: %d %q", name, withEnds, a.status, a.setCookie)
			}
		}
	}
}

// Who has a session that another request of the process has ended cannot renew it either, and
// its cookie is not sent again.
func TestNothingBringsASealedSessionBackThatEndedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do   func(*core.Session)
		want int
	}{
		"a renewal": {renews, http.StatusConflict},
		"a read":    {func(s *core.Session) { s.Get("user") }, http.StatusOK},
	} {
		for _, withEnds := range []bool{false, true} {
			f := newSealedFleet(t, withEnds)
			st := f.process(core.Config{IdleTimeout: time.Hour})
			cookie := st.signIn()
			f.clock.advance(30 * time.Minute) // long enough for the cookie to be sent again
			a := st.visit(cookie, func(s *core.Session) {
				tt.do(s)
				st.servesBeside(cookie, func(s *core.Session) { _ = s.Destroy(t.Context()) })
			})
			if a.status != tt.want || strings.Contains(a.setCookie, "sid=") && !strings.Contains(a.setCookie, "Max-Age=0") {
				t.Errorf("%s, with ends: %v: %d %q, want %d", name, withEnds, a.status, a.setCookie, tt.want)
			}
			st.reads(cookie, false)
		}
	}
}

// The cookie is not sent again where that could not make the session any longer.
func TestACookieThatCannotLiveLongerIsNotSentAgain(t *testing.T) {
	t.Parallel()
	f := newSealedFleet(t, false)
	st := f.process(core.Config{IdleTimeout: 2 * time.Hour, AbsoluteTimeout: 2 * time.Hour})
	cookie := st.signIn()
	for range 3 {
		f.clock.advance(30 * time.Minute)
		if a := st.visit(cookie, func(s *core.Session) { s.Get("user") }); a.setCookie != "" {
			t.Errorf("it is sent again: %q", a.setCookie)
		}
	}
	f.clock.advance(30 * time.Minute)
	st.reads(cookie, false)
}

// A host may be written in several ways, and has a port that does not count.
func TestTheHostOfASealedCookieIsOneHowever(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		made, asked string
		want        bool
	}{
		{"example.com", "EXAMPLE.com.", true},
		{"Example.COM.:443", "example.com", true},
		{"example.com:1", "example.com:2", true},
		{"[::1]", "[::1]:80", true},
		{"[::1]:80", "[::1]", true},
		{"[::1]", "[::2]", false},
		{"[::1]:80", "[::2]:80", false},
		{"example.com", "example.co", false},
		{"example.co", "example.com", false},
	} {
		st := newSealedFleet(t, false).process(core.Config{})
		cookie := st.at(tt.made, "", func(s *core.Session) { s.Set("n", 1) })
		st.at(tt.asked, cookie, func(s *core.Session) {
			if got := s.Status() == core.StatusLoaded; got != tt.want {
				t.Errorf("made at %q, at %q: %v, want %v", tt.made, tt.asked, got, tt.want)
			}
		})
	}
}

// A browser sends the cookie of the longest path first, and nobody sees it change sides.
func TestOfTwoCookiesWithOneSealedSessionTheFirstCounts(t *testing.T) {
	t.Parallel()
	st := newSealedFleet(t, false).process(core.Config{})
	before := st.signIn()
	after := st.visit(before, func(s *core.Session) { s.Set("n", 1) }).cookie
	for cookies, want := range map[string]any{before + "; " + after: nil, after + "; " + before: 1.0} {
		st.visit(cookies, func(s *core.Session) {
			if got := s.Get("n"); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// Config.GenerateID may repeat itself: an id that has ended is nobody's any more.
func TestNoSealedSessionGetsAnIdThatWasInUse(t *testing.T) {
	t.Parallel()
	for _, withEnds := range []bool{false, true} {
		var next []string
		f := newSealedFleet(t, withEnds)
		st := f.process(core.Config{GenerateID: func(*http.Request) (string, error) {
			id := next[0]
			next = next[1:]
			return strings.Repeat(id, 32), nil
		}})
		next = []string{"a"}
		cookie := st.signIn()
		next = []string{"a", "b"} // that which the session has
		cookie = st.visit(cookie, renews).cookie
		if id := st.idOf(cookie); id != strings.Repeat("b", 32) {
			t.Errorf("with ends: %v: renewed, it is %s", withEnds, id)
		}
		st.visit(cookie, func(s *core.Session) {
			if err := s.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
		})
		next = []string{"b", "a", "c"} // those of sessions that have ended
		cookie = st.signIn()
		if id := st.idOf(cookie); id != strings.Repeat("c", 32) {
			t.Errorf("with ends: %v: a new one is %s", withEnds, id)
		}
		if !withEnds {
			continue
		}
		f.ends.failWith("load", &store.Error{Store: "ends", Outcome: store.OutcomeNotApplied})
		next = []string{"d"}
		if a := st.visit("", func(s *core.Session) { s.Set("user", "ada") }); a.status != http.StatusServiceUnavailable || a.setCookie != "" {
			t.Errorf("where nobody can tell: %d %q", a.status, a.setCookie)
		}
	}
}

// The end of a session is known for as long as any cookie of it could live.
func TestHowLongAnEndIsKnown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(*core.Session)
		want time.Duration
	}{
		"a renewal": {renews, 7 * time.Hour}, // what is left of ten hours, and one for clocks
		"a logout":  {func(s *core.Session) { _ = s.Destroy(t.Context()) }, 11 * time.Hour},
	} {
		f := newSealedFleet(t, true)
		st := f.process(core.Config{IdleTimeout: 5 * time.Hour, AbsoluteTimeout: 10 * time.Hour})
		cookie := st.signIn()
		f.clock.advance(4 * time.Hour)
		f.ends.took()
		st.visit(cookie, tt.end)
		for _, c := range f.ends.took() {
			if c.verb == "create" && c.ttl != tt.want {
				t.Errorf("%s is known for %v, want %v", name, c.ttl, tt.want)
			}
		}
	}
}

// listedEnds are ends that look up several keys at once, as stores with lists of users do.
type listedEnds struct {
	*stageStore
	fail error
}

func (e *listedEnds) UserIndex() store.Store { return e.stageStore }

func (e *listedEnds) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	if e.fail != nil {
		return nil, e.fail
	}
	for _, id := range ids {
		if rec, err := e.Store.Load(ctx, id); err == nil {
			found = append([]store.Record{rec}, found...) // in any order
		}
	}
	return found, e.note(stageCall{verb: "inspect", id: strings.Join(ids, " ")})
}

// Both keys of a user's session, its own and that of the user, are asked for in one round
// trip where the store of ends can do that, and the answer is the same.
func TestTheEndsOfAUsersSessionAreAskedTogether(t *testing.T) {
	t.Parallel()
	for _, together := range []bool{false, true} {
		f := newSealedFleet(t, true)
		listed := &listedEnds{stageStore: f.ends}
		ends := store.Store(f.ends)
		want := "load load"
		if together {
			ends, want = listed, "inspect"
		}
		st := newStage(t, core.Config{Sealed: &core.SealedCookie{Ends: ends}})
		st.clock.follow(f.clock)
		cookie := st.login("ada")
		f.ends.took()
		st.reads(cookie, true)
		if got := f.ends.verbs(); got != want {
			t.Errorf("they are asked by %q, want %q", got, want)
		}
		listed.fail = &store.Error{Store: "ends", Outcome: store.OutcomeNotApplied}
		if a := st.visit(cookie, nil); together && a.status != http.StatusServiceUnavailable {
			t.Errorf("while they are down: %d", a.status)
		}
		listed.fail = nil

		renewed := st.visit(cookie, renews).cookie // the one key
		st.reads(cookie, false)
		st.reads(renewed, true)
		if err := st.RevokeUser(t.Context(), "ada"); err != nil { // the other one
			t.Fatal(err)
		}
		st.reads(renewed, false)
		again := st.login("ada")
		st.reads(again, true)
		for _, rec := range f.ends.Store.(*mapstore.Store).Records() { // whatever it says, it is there
			f.ends.rewrite(t, rec.ID, "what is no record")
		}
		st.reads(again, false)
	}
}

// rewrite puts a text in the place of a record.
func (s *stageStore) rewrite(t *testing.T, id, text string) {
	t.Helper()
	old, err := s.Store.Load(t.Context(), id)
	if err == nil {
		err = s.Store.Update(t.Context(), old, store.Record{ID: id, Data: []byte(text), TTL: store.KeepTTL})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A note that cannot be read ends what it is about, and nobody is locked out by it for good.
func TestAnEpochThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	before := st.login("ada")
	if err := st.RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	records := f.ends.Store.(*mapstore.Store).Records()
	if len(records) != 1 {
		t.Fatalf("there are %d records", len(records))
	}
	f.ends.rewrite(t, records[0].ID, "what is no record")
	st.reads(before, false)
	meanwhile := st.login("ada")
	st.reads(meanwhile, false) // it is of no epoch
	if err := st.RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	st.reads(meanwhile, false)
	st.reads(st.login("ada"), true)
}

// What was forgotten of a user, because the store lost it, ends nobody's session.
func TestAnEpochThatIsForgottenEndsNothing(t *testing.T) {
	t.Parallel()
	f := newSealedFleet(t, true)
	st := f.process(core.Config{})
	if err := st.RevokeUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	cookie := st.login("ada")
	for _, rec := range f.ends.Store.(*mapstore.Store).Records() {
		if err := f.ends.Store.Delete(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
	}
	st.reads(cookie, true)
}

func TestWhatKeepsSealedSessionsFromBeingRevoked(t *testing.T) {
	t.Parallel()
	down := &store.Error{Store: "ends", Outcome: store.OutcomeNotApplied}
	for _, verb := range []string{"load", "create", "update"} {
		f := newSealedFleet(t, true)
		st := f.process(core.Config{})
		if verb == "update" {
			if err := st.RevokeUser(t.Context(), "ada"); err != nil {
				t.Fatal(err)
			}
		}
		cookie := st.login("ada")
		f.ends.failWith(verb, down)
		if err := st.RevokeUser(t.Context(), "ada"); !errors.Is(err, down) || st.events.count(core.EventRevoked) > 1 {
			t.Errorf("where %s fails: %v", verb, err)
		}
		if a := st.visit("", func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") }); (a.status == http.StatusServiceUnavailable) != (verb == "load") {
			t.Errorf("a login where %s fails: %d", verb, a.status)
		}
		f.ends.failWith(verb, nil)
		st.reads(cookie, true)
	}

	st := newSealedFleet(t, true).process(core.Config{})
	for _, user := range []string{"", strings.Repeat("a", 1<<10), "a\xff"} {
		if err := st.RevokeUser(t.Context(), user); !errors.Is(err, core.ErrInvalidUser) {
			t.Errorf("%.9q: %v", user, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.RevokeUser(gone, "ada"); !errors.Is(err, context.Canceled) {
		t.Errorf("for nobody: %v", err)
	}
	if n := st.events.count(core.EventRevoked); n != 0 {
		t.Errorf("the Observer is told of %d revocations", n)
	}
}

func TestWhoIsToldOfTheRevocationOfSealedSessions(t *testing.T) {
	t.Parallel()
	tracer := new(bindTracer)
	st := newSealedFleet(t, true).process(core.Config{Observer: tracer})
	tracer.mu.Lock()
	tracer.spans = nil
	tracer.mu.Unlock()
	if err := st.RevokeUser(core.WithActor(t.Context(), "an operator"), "ada"); err != nil {
		t.Fatal(err)
	}
	if e := tracer.last(); e.Kind != core.EventRevoked || e.User != "ada" || e.By != "an operator" || e.Cause != core.CauseRevokeUser {
		t.Errorf("the Observer is told %+v", e)
	}
	tracer.mu.Lock()
	defer tracer.mu.Unlock()
	if !slices.Equal(tracer.spans, []core.Operation{core.OpRevoke}) {
		t.Errorf("the Tracer is told of %q", tracer.spans)
	}
}

// Who revokes sessions keeps the own one, unless it is that user's and nothing was changed
// in it.
func TestWhoseRequestARevocationSignsOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		user, revoked string
		change        bool
		left          string
		status        int
	}{
		{"ada", "ada", false, "", http.StatusOK},
		{"ada", "bob", false, "ada", http.StatusOK},
		{"", "ada", false, "", http.StatusOK},
		{"ada", "ada", true, "ada", http.StatusOK}, // the change is stored, and ends with the session
	} {
		st := newSealedFleet(t, true).process(core.Config{})
		cookie := ""
		if tt.user != "" {
			cookie = st.login(tt.user)
		}
		a := st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			if tt.change {
				s.Set("n", 1)
			}
			if err := st.RevokeUser(r.Context(), tt.revoked); err != nil {
				t.Error(err)
			}
			if got := s.User(); got != tt.left {
				t.Errorf("%+v: it is %q's", tt, got)
			}
		})
		if a.status != tt.status {
			t.Errorf("%+v: %d", tt, a.status)
		}
		if tt.user != "" {
			st.reads(cookie, tt.user != tt.revoked)
		}
		if a.cookie != "" {
			st.reads(a.cookie, tt.user != tt.revoked)
		}
	}
}

// What one process remembers of ends is a store like any other, with room for some thousands.
func TestTheEndsThatAProcessRemembers(t *testing.T) {
	t.Parallel()
	ends, count := core.NewRecentEnds()
	ctx := t.Context()
	rec := func(id, data string) store.Record { return store.Record{ID: id, Data: []byte(data)} }
	is := func(id, want string) {
		t.Helper()
		got, err := ends.Load(ctx, id)
		if want == "" && !errors.Is(err, store.ErrNotFound) || want != "" && (err != nil || string(got.Data) != want) {
			t.Errorf("%s: %q, %v, want %q", id, got.Data, err, want)
		}
	}
	is("a", "")
	if err := ends.Update(ctx, rec("a", "1"), rec("a", "2")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a change of what is not there: %v", err)
	}
	if err := ends.Create(ctx, rec("a", "1")); err != nil {
		t.Error(err)
	}
	if err := ends.Create(ctx, rec("a", "2")); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second one: %v", err)
	}
	is("a", "1")
	if err := ends.Update(ctx, rec("a", "1"), rec("a", "2")); err != nil {
		t.Error(err)
	}
	is("a", "2")
	if err := ends.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	is("a", "")
	const room = 4096
	for i := range 2*room + 1 {
		if err := ends.Create(ctx, rec(fmt.Sprint(i), "x")); err != nil {
			t.Fatal(err)
		}
		if n := count(); n > room {
			t.Fatalf("there are %d", n)
		}
	}
	is(fmt.Sprint(room), "")
	is(fmt.Sprint(room+1), "x")
	is(fmt.Sprint(2*room), "x")
}

// An id that was deleted and is noted again is as new as any other.
func TestAnEndThatIsNotedAgainIsRememberedAsLongAsOthers(t *testing.T) {
	t.Parallel()
	ends, count := core.NewRecentEnds()
	ctx := t.Context()
	create := func(id string) {
		t.Helper()
		if err := ends.Create(ctx, store.Record{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	const room = 4096
	create("again")
	for i := range room - 2 {
		create(fmt.Sprint(i))
	}
	if err := ends.Delete(ctx, "again"); err != nil {
		t.Fatal(err)
	}
	create("again")
	if n := count(); n != room-1 {
		t.Fatalf("there are %d, want %d", n, room-1)
	}
	for i := range room - 1 { // of which the first comes to the place that it had before
		create(fmt.Sprint("later", i))
		if _, err := ends.Load(ctx, "again"); err != nil {
			t.Fatalf("it is forgotten when %d others have come after it, of %d: %v", i+1, room, err)
		}
	}
	create("last")
	if _, err := ends.Load(ctx, "again"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it is remembered for longer than others: %v", err)
	}
	if n := count(); n != room {
		t.Errorf("there are %d, want %d", n, room)
	}
}

package core_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A diary is an Observer that remembers in which order things happened.
type diary struct {
	mu     sync.Mutex
	events []core.Event
	ops    []string
}

func (d *diary) Observe(_ context.Context, e core.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// took returns the events since the last time, each with what is known of it.
func (d *diary) took() (lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		line := string(e.Kind)
		for _, part := range [][2]string{{"user", e.User}, {"by", e.By}, {"cause", string(e.Cause)}} {
			if part[1] != "" {
				line += " " + part[0] + "=" + part[1]
			}
		}
		lines = append(lines, line)
	}
	d.events = nil
	return lines
}

// Standards: ASVS-16.3.1, ASVS-16.3.3
func TestTheObserverIsToldWhatAnAuditNeeds(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, _ := newUserStage(t, core.Config{
		Observer: d, IdleTimeout: time.Hour, AbsoluteTimeout: 10 * time.Hour, MaxSessionsPerUser: 2,
	})
	expect := func(what string, want ...string) {
		t.Helper()
		if got := d.took(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	cookie := st.signIn()
	expect("a first visit", "created")
	cookie = st.logIn(cookie, "ada")
	expect("a login", "renewed user=ada", "signed-in user=ada")
	cookie = st.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
	expect("a renewal", "renewed user=ada")
	cookie = st.visit(cookie, func(s *core.Session) { _ = s.Rotate() }).cookie
	expect("a rotation", "renewed user=ada cause=rotate")
	st.visit(cookie, func(s *core.Session) { counter.Set(s, 1) })
	expect("a change", "saved user=ada")
	other := st.logIn("", "ada")
	expect("a login without a session", "created user=ada", "signed-in user=ada")
	st.clock.advance(time.Minute)
	st.visit(other, nil)
	expect("the first activity in a minute", "extended user=ada")
	st.visit(other, nil)
	expect("the next one")
	st.visit(other, func(s *core.Session) { s.Touch() })
	expect("Touch", "extended user=ada")
	third := st.logIn("", "ada")
	expect("one session too many", "limit user=ada", "revoked user=ada by=ada cause=limit", "created user=ada", "signed-in user=ada")
	st.visit(cookie, nil)
	expect("the one that had to go", "unknown")
	cookie = third

	st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
		if err := st.RevokeOthers(r.Context(), core.FromContext(r.Context())); err != nil {
			t.Error(err)
		}
	})
	expect("the others", "revoked user=ada by=ada cause=revoke-others")
	if err := st.Revoke(core.WithActor(t.Context(), "operator:7"), "ada", st.listOf("ada")[0].Handle); err != nil {
		t.Error(err)
	}
	expect("one session, by an operator", "revoked user=ada by=operator:7 cause=revoke")
	st.logIn("", "ada")
	bob := st.logIn("", "bob")
	d.took()
	st.request(bob, func(_ http.ResponseWriter, r *http.Request) {
		if err := st.RevokeUser(r.Context(), "ada"); err != nil {
			t.Error(err)
		}
	})
	expect("all sessions, by another user", "revoked user=ada by=bob cause=revoke-user")
	if err := st.RevokeUser(t.Context(), "ada"); err != nil {
		t.Error(err)
	}
	expect("of a user who has none")
	st.visit(bob, func(s *core.Session) { _ = s.SignOut(t.Context()) })
	expect("a logout", "destroyed user=bob")
	st.visit(bob, nil)
	expect("its cookie", "unknown")

	cookie = st.logIn("", "ada")
	d.took()
	st.clock.advance(time.Hour)
	st.visit(cookie, nil)
	expect("after the idle timeout", "expired cause=idle")
	st.visit(st.name+"=s%3Aforged.signature", nil)
	expect("a forged cookie", "forged")
	st.visit(st.name+"="+core.Sign(stageSecret, "an id that nobody was given"), nil)
	expect("an id that nobody was given", "unknown")
}

// What two requests do to each other is no audit's business, but an operator's.
func TestTheObserverIsToldOfRaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(st *stage, cookie string) // while the other request is under way
		want []string
	}{
		{
			"a change", func(st *stage, cookie string) { st.visit(cookie, func(s *core.Session) { ticket.Set(s, "one") }) },
			[]string{"saved user=ada", "replayed", "saved user=ada"},
		},
		{
			"a logout", func(st *stage, cookie string) { st.visit(cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) }) },
			[]string{"destroyed user=ada", "gone"},
		},
	} {
		d := &diary{}
		st, _ := newUserStage(t, core.Config{Observer: d})
		cookie := st.logIn("", "ada")
		d.took()
		st.visit(cookie, func(s *core.Session) {
			tt.do(st, cookie)
			counter.Set(s, 1)
		})
		if got := d.took(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTheObserverIsToldWhyLateChangesWereDropped(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, backing := newUserStage(t, core.Config{Observer: d})
	faulty := &faultyStore{Store: backing.sessions}
	backing.Store = faulty
	cookie := st.logIn("", "ada")
	d.took()
	st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("the response has begun"))
		faulty.failOnce("update", outage{err: &store.Error{Outcome: store.OutcomeNotApplied, Class: "down"}})
		counter.Set(core.FromContext(r.Context()), 1)
	})
	for _, e := range d.events {
		if class := new(store.Error); !errors.As(e.Err, &class) || class.Class != "down" {
			t.Errorf("%s: %v", e.Kind, e.Err)
		}
	}
	if got := d.took(); !slices.Equal(got, []string{"store-failed", "outage cause=logged", "dropped"}) {
		t.Errorf("%q", got)
	}
}

func TestASignInThatIsRefusedAtTheLimitIsReported(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, _ := newUserStage(t, core.Config{Observer: d, MaxSessionsPerUser: 1, AtUserLimit: core.RefuseNew})
	st.logIn("", "ada")
	d.took()
	st.visit("", func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") })
	if got := d.took(); !slices.Equal(got, []string{"limit user=ada"}) {
		t.Errorf("%q", got)
	}
}

func TestTheAbsoluteTimeoutIsReportedWithItsUser(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, backing := newUserStage(t, core.Config{Observer: d, AbsoluteTimeout: time.Hour})
	cookie := st.logIn("", "ada")
	if err := backing.sessions.Touch(t.Context(), st.idOf(cookie), 1000*time.Hour); err != nil { // as Express does
		t.Fatal(err)
	}
	d.took()
	st.clock.advance(time.Hour)
	st.visit(cookie, nil)
	if got := d.took(); !slices.Equal(got, []string{"expired user=ada cause=absolute"}) {
		t.Errorf("%q", got)
	}
}

// The handle of a session that had several ids is known from its record alone.
func TestAnExpiredSessionIsReportedWithNoOtherHandle(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, _ := newUserStage(t, core.Config{Observer: d, IdleTimeout: time.Hour})
	var handle string
	cookie := st.logIn(st.signIn(), "ada")
	st.visit(cookie, func(s *core.Session) { handle = s.Handle() })
	st.clock.advance(time.Hour)
	st.visit(cookie, nil)
	last := d.events[len(d.events)-1]
	if last.Kind != core.EventExpired || last.Handle != "" && last.Handle != handle {
		t.Errorf("%s of another session than the one that expired", last.Kind)
	}
}

// The store removes a session at its deadline, as it does one that is idle. Which of
// the two it was is known to the process that served it last.
func TestTheAbsoluteTimeoutOfASessionInUseIsReportedAsThat(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, _ := newUserStage(t, core.Config{Observer: d, IdleTimeout: 20 * time.Minute, AbsoluteTimeout: time.Hour})
	cookie := st.logIn("", "ada")
	for range 5 { // it is never idle
		st.clock.advance(11 * time.Minute)
		st.visit(cookie, nil)
	}
	d.took()
	st.clock.advance(11 * time.Minute)
	st.visit(cookie, nil)
	if got := d.took(); !slices.Equal(got, []string{"expired cause=absolute"}) {
		t.Errorf("%q", got)
	}
}

func TestARevocationThatIsFinishedByTheSessionsOwnRequestIsReported(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, backing := newUserStage(t, core.Config{Observer: d, IdleTimeout: time.Hour})
	faulty := &faultyStore{Store: backing.sessions}
	backing.Store = faulty
	cookie := st.logIn("", "ada")
	faulty.failOnce("delete", outage{err: &store.Error{Outcome: store.OutcomeNotApplied, Class: "down"}})
	if err := st.RevokeUser(t.Context(), "ada"); err == nil {
		t.Fatal("RevokeUser succeeded")
	}
	d.took()
	for range 3 { // until it has to be listed again
		st.clock.advance(50 * time.Minute)
		st.visit(cookie, nil)
	}
	if got := d.took(); !slices.Contains(got, "revoked user=ada cause=unfinished") {
		t.Errorf("%q", got)
	}
	if st.userOf(cookie) != "" {
		t.Error("the session lives on")
	}
}

// Who ends one session also finishes what another call left: that was not his doing.
func TestWhatRevokeFinishesForOthersIsReportedAsThat(t *testing.T) {
	t.Parallel()
	d := &diary{}
	st, backing := newUserStage(t, core.Config{Observer: d})
	faulty := &faultyStore{Store: backing.sessions}
	backing.Store = faulty
	st.logIn("", "ada")
	st.logIn("", "ada")
	all := st.listOf("ada")
	faulty.failOnce("delete", outage{err: &store.Error{Outcome: store.OutcomeNotApplied, Class: "down"}})
	if err := st.Revoke(t.Context(), "ada", all[0].Handle); err == nil {
		t.Fatal("Revoke succeeded")
	}
	d.took()
	if err := st.Revoke(core.WithActor(t.Context(), "ada"), "ada", all[1].Handle); err != nil {
		t.Fatal(err)
	}
	got := d.took()
	slices.Sort(got)
	if want := []string{"revoked user=ada by=ada cause=revoke", "revoked user=ada cause=unfinished"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Standards: ASVS-16.3.1, ASVS-16.3.4
func TestTheAuditLog(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	plain := slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.Attr{}
		case "session":
			return slog.String("session", "HANDLE")
		}
		return a
	}})
	st, backing := newUserStage(t, core.Config{Observer: core.LogObserver(slog.New(plain))})
	cookie := st.logIn("", "ada")
	st.visit(cookie, func(s *core.Session) { counter.Set(s, 1) }) // at level Debug
	st.visit(st.name+"=s%3Aforged.signature", nil)
	if err := st.RevokeUser(core.WithActor(t.Context(), "cron"), "ada"); err != nil {
		t.Fatal(err)
	}
	backing.Store = &faultyStore{Store: backing.Store, always: &store.Error{Store: "test", Verb: "load", Class: "down"}}
	st.visit(cookie, nil)
	want := `level=INFO msg="session created" event=created user=ada session=HANDLE
level=INFO msg="session signed-in" event=signed-in user=ada session=HANDLE
level=WARN msg="session forged" event=forged
level=INFO msg="session revoked" event=revoked user=ada session=HANDLE by=cron cause=revoke-user
level=ERROR msg="session store-failed" event=store-failed error="cloakroom: test store: load: down"
`
	if got := buf.String(); got != want {
		t.Errorf("the log is\n%s, want\n%s", got, want)
	}
	if strings.Contains(buf.String(), st.idOfNothing(cookie)) {
		t.Error("it has an id in it")
	}
}

// A tracing diary is told of operations, too.
type tracingDiary struct{ diary }

type depthKey struct{}

func (d *tracingDiary) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	return context.WithValue(ctx, depthKey{}, op), func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		line := string(op)
		if err != nil {
			line += fmt.Sprintf(" %d", core.HTTPStatus(err))
		}
		d.ops = append(d.ops, line)
	}
}

func (d *tracingDiary) tookOps() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ops := strings.Join(d.ops, ", ")
	d.ops = nil
	return ops
}

func TestTheTracerIsToldOfWhatCallsTheStore(t *testing.T) {
	t.Parallel()
	d, plain := &tracingDiary{}, &diary{}
	st, backing := newUserStage(t, core.Config{Observer: core.Observers(plain, d), TouchInterval: time.Hour})
	var under []any
	backing.Store = loadFunc{backing.sessions, func(ctx context.Context) { under = append(under, ctx.Value(depthKey{})) }}
	expect := func(what, want string) {
		t.Helper()
		if got := d.tookOps(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	st.visit("", nil)
	expect("a visitor who leaves nothing", "")
	st.visit(st.name+"=s%3Aforged.signature", nil)
	expect("a forged cookie", "")
	cookie := st.visit("", func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "one") }).cookie
	expect("a first session", "commit")
	st.visit(cookie, nil)
	expect("a read", "load")
	st.visit(cookie, func(s *core.Session) { counter.Set(s, 2) })
	expect("a change", "load, commit")
	st.visit(cookie, func(s *core.Session) { _, _ = ticket.Take(t.Context(), s) })
	expect("Take", "load, take")
	cookie = st.logIn(cookie, "ada")
	expect("a login", "load, commit")
	st.visit(cookie, func(s *core.Session) {
		if err := st.Revoke(t.Context(), "ada", s.Handle()); err != nil {
			t.Error(err)
		}
		counter.Set(s, 3)
	})
	expect("a change of what was revoked", "load, revoke, commit 409")
	st.listOf("ada")
	expect("Sessions", "list")
	cookie = st.logIn("", "ada")
	st.visit(cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) })
	expect("a logout", "commit, load, destroy")
	if slices.Contains(under, nil) || len(under) == 0 {
		t.Errorf("the store was called below %v", under)
	}
	if len(plain.took()) == 0 {
		t.Error("an Observer beside a Tracer is told nothing")
	}

	backing.Store = &faultyStore{Store: backing.Store, always: errors.New("down")}
	st.visit(cookie, nil)
	expect("an outage", "load 503")
}

// A measuringDiary is told of calls of the store, too.
type measuringDiary struct {
	diary
	calls []core.StoreCall
}

func (d *measuringDiary) ObserveStore(_ context.Context, call core.StoreCall) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call)
}

// tookCalls returns the verbs of the calls since the last time, sorted: some are made
// beside others.
func (d *measuringDiary) tookCalls() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	verbs := make([]string, len(d.calls))
	for i, c := range d.calls {
		verbs[i] = c.Verb
		var failure *store.Error
		switch {
		case errors.As(c.Err, &failure):
			verbs[i] += " failed"
		case c.Err != nil:
			verbs[i] += " (" + strings.TrimPrefix(c.Err.Error(), "cloakroom: ") + ")"
		}
		if c.Duration < 0 || c.Duration > time.Hour {
			verbs[i] += " in " + c.Duration.String()
		}
	}
	d.calls = nil
	slices.Sort(verbs)
	return strings.Join(verbs, ", ")
}

// What is told of is what the store was asked, no more and no less.
func TestTheStoreObserverIsToldOfEachCallOfTheStore(t *testing.T) {
	t.Parallel()
	d := &measuringDiary{}
	st, backing := newUserStage(t, core.Config{Observer: core.Observers(&diary{}, d)})
	expect := func(what, want string) {
		t.Helper()
		if got := d.tookCalls(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	st.visit("", nil)
	st.visit(st.name+"=s%3Aforged.signature", nil)
	expect("what needs no store", "")
	cookie := st.signIn()
	expect("a first session", "create")
	st.visit(cookie, nil)
	expect("a read", "load")
	st.visit(cookie, func(s *core.Session) { counter.Set(s, 2) })
	expect("a change", "load, update")
	st.clock.advance(time.Minute)
	st.visit(cookie, nil)
	expect("an activity", "load, touch")
	cookie = st.logIn(cookie, "ada")
	expect("a login", "create, create, load, load (no such session), update")
	st.listOf("ada")
	expect("Sessions", "inspect, load")
	if err := st.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	expect("Ping", "ping")
	st.visit(cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) })
	expect("a logout", "load, remove")
	st.visit(cookie, nil)
	expect("its cookie", "load (no such session)")
	backing.Store = &faultyStore{Store: backing.Store, always: errors.New("down")}
	st.visit(cookie, nil)
	expect("an outage", "load failed")
}

// What a cookie holds is in no storage.
func TestTheStoreObserverIsToldOfTheEndsOfSealedSessions(t *testing.T) {
	t.Parallel()
	for _, ends := range []store.Store{nil, new(mapstore.Store)} {
		d := &measuringDiary{}
		st := newStage(t, core.Config{Observer: d, Sealed: &core.SealedCookie{Ends: ends}})
		cookie := st.signIn()
		st.visit(cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) })
		want := ""
		if ends != nil {
			want = "create, load (no such session)"
		}
		if got := d.tookCalls(); got != want {
			t.Errorf("a login and a logout: %s, want %s", got, want)
		}
	}
}

func TestObserversAreToldOfOperationsWhereOneIsATracer(t *testing.T) {
	t.Parallel()
	measuring := core.Observers(&measuringDiary{})
	tracer, ok := measuring.(core.Tracer)
	if !ok {
		t.Fatal("Observers with a StoreObserver are no Tracer")
	}
	ctx, end := tracer.Start(t.Context(), core.OpLoad)
	end(nil)
	if ctx != t.Context() {
		t.Error("a Tracer of none has another context")
	}
}

func TestObserversWithoutATracerAreNone(t *testing.T) {
	t.Parallel()
	one, two := &diary{}, &diary{}
	all := core.Observers(one, nil, two) // one that an app has at times alone
	if _, ok := all.(core.Tracer); ok {
		t.Error("it is a Tracer")
	}
	if _, ok := all.(core.StoreObserver); ok {
		t.Error("it is a StoreObserver")
	}
	all.Observe(t.Context(), core.Event{Kind: core.EventForged})
	if len(one.took()) != 1 || len(two.took()) != 1 {
		t.Error("not all were told")
	}
}

func TestAnAuditLogWithoutALoggerGoesToTheDefault(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Observer: core.LogObserver(nil)})
	if cookie := st.signIn(); cookie == "" {
		t.Error("there is no session")
	}
}

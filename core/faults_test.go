package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// These tests are about what goes wrong around a session: stores, observers,
// loggers and functions of the app that fail or panic, at bad moments.

var refused = &store.Error{Store: "test", Verb: "write", Outcome: store.OutcomeNotApplied, Class: "refused"}

func TestACancelledStoreCallIsAnOutageUnlessTheClientIsGone(t *testing.T) {
	t.Parallel()
	cancelled := &store.Error{Store: "test", Verb: "any", Outcome: store.OutcomeNotApplied, Err: context.Canceled}
	for _, verb := range []string{"load", "update"} {
		st := newStage(t, core.Config{})
		cookie := st.signIn()
		st.store.failWith(verb, cancelled)
		a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
			core.FromContext(r.Context()).Set("n", 1)
			_, _ = io.WriteString(w, "saved")
		})
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, body %q; want 503", verb, a.status, a.body)
		}
	}
}

func TestALazyLoadGoesByTheContextOfTheRequest(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Lazy: true})
	a := st.request(st.signIn(), func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		s, ok := core.Lookup(ctx)
		_, _ = fmt.Fprint(w, ok, s.Status())
	})
	if a.status != http.StatusOK || a.body != "true loaded" {
		t.Errorf("status %d, body %q; want the session although the caller's own context is done", a.status, a.body)
	}
}

func TestWhatWasDoneAtOnceGetsItsCookieAlsoWithTheErrorPage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, tt := range []struct {
		name   string
		cookie bool
		do     func(*core.Session) error
		want   core.Status // of the next visit
	}{
		{"Save of a renewed session", true, func(s *core.Session) error { return errors.Join(s.Renew(), s.Save(ctx)) }, core.StatusLoaded},
		{"Save of a new session", false, func(s *core.Session) error { return s.Save(ctx) }, core.StatusLoaded},
		{"Destroy", true, func(s *core.Session) error {
			counter.Update(s, func(n int) int { s.Has("x"); return n }) // makes the commit fail
			return s.Destroy(ctx)
		}, core.StatusNew},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{})
			cookie := ""
			if tt.cookie {
				cookie = st.signIn()
			}
			a := st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				if err := tt.do(s); err != nil {
					t.Error(err)
				}
				s.Set("bad", func() {})
			})
			if a.status != http.StatusInternalServerError || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, Cache-Control %q; want the error page", a.status, a.header.Get("Cache-Control"))
			}
			st.visit(a.cookie, func(s *core.Session) {
				if s.Status() != tt.want {
					t.Errorf("the next visit is %v, want %v", s.Status(), tt.want)
				}
			})
		})
	}
}

func TestAManagerThatFailsLeavesTheCookiesOfTheOneInside(t *testing.T) {
	t.Parallel()
	outer, inner := newStage(t, core.Config{}), newStage(t, core.Config{Cookie: core.Cookie{Name: "inner"}})
	cookies := outer.signIn() + "; " + inner.signIn()
	outer.store.failWith("update", refused)
	a := outer.request(cookies, func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context()).Set("n", 1)
		inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := inner.FromContext(r.Context()).Renew(); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, "x")
		})).ServeHTTP(w, r)
	})
	if a.status != http.StatusServiceUnavailable || !strings.HasPrefix(a.header.Get("Set-Cookie"), "inner=") {
		t.Errorf("status %d, Set-Cookie %v; want 503 with the cookie of the renewed session", a.status, a.header.Get("Set-Cookie") != "")
	}
}

func TestAPanicInTheExtensionIsTheRequests(t *testing.T) {
	t.Parallel()
	faulty := &faultyStore{Store: new(mapstore.Store)}
	m := process(t, faulty, func(c *core.Config) {
		c.TouchInterval = core.EveryRequest
		c.Observer = observerFunc(func(e core.Event) {
			if e.Kind == core.EventStoreError {
				panic("observer")
			}
		})
	})
	cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
	faulty.failOnce("touch", outage{err: refused})
	s := load(t, m, cookie)
	defer func() {
		if v := recover(); v != "observer" {
			t.Errorf("recovered %v, want the observer's panic", v)
		}
	}()
	_, _ = m.Commit(context.Background(), s, false)
}

func TestAWriteWithAnUnknownOutcomeIsNotDoneAgain(t *testing.T) {
	for name, do := range map[string]func(*core.Session) error{
		"Save": func(s *core.Session) error { return s.Save(context.Background()) },
		"Take": func(s *core.Session) error { _, err := ticket.Take(context.Background(), s); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulty := &faultyStore{Store: new(mapstore.Store)}
				m := process(t, faulty)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "A1") })
				s := load(t, m, cookie)
				synctest.Wait()
				counter.Update(s, func(n int) int { return n + 1 })
				faulty.failOnce("update", outage{applied: true, err: errors.New("connection reset")})
				faulty.afterwards(func() { faulty.down(errors.New("connection refused")) })
				if err := do(s); !errors.Is(err, core.ErrUnknownOutcome) {
					t.Fatalf("%s returned %v, want ErrUnknownOutcome", name, err)
				}
				faulty.heal()
				for _, again := range []func() error{
					func() error { return s.Save(context.Background()) },
					func() error { _, err := ticket.Take(context.Background(), s); return err },
					func() error { _, err := m.Commit(context.Background(), s, false); return err },
				} {
					if err := again(); !errors.Is(err, core.ErrUnknownOutcome) {
						t.Errorf("afterwards: %v, want ErrUnknownOutcome", err)
					}
				}
				if got := counter.Get(load(t, m, cookie)); got > 2 {
					t.Errorf("counter is %d: the update was done twice", got)
				}
			})
		})
	}
}

// A lateStore applies a Create after its sender has given it up.
type lateStore struct {
	store.Store
	late  bool
	apply func() error
}

func (s *lateStore) Create(ctx context.Context, rec store.Record) error {
	if s.late {
		s.late = false
		s.apply = func() error { return s.Store.Create(context.WithoutCancel(ctx), rec) }
		return &store.Error{Store: "late", Verb: "create", Err: errors.New("connection reset")}
	}
	return s.Store.Create(ctx, rec)
}

func TestASessionThatIsCreatedLateDoesNotComeBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		renew bool
	}{{"new", false}, {"renewed in two steps", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := new(mapstore.Store)
				late := &lateStore{Store: records}
				m, cookie := process(t, late), ""
				if tt.renew {
					cookie = visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				}
				s := load(t, m, cookie)
				counter.Set(s, 2)
				if tt.renew {
					_ = s.Renew()
				}
				late.late = true
				cookie = commit(t, m, s, cookie)
				if got := counter.Get(load(t, m, cookie)); got != 2 {
					t.Fatalf("counter is %d, want 2", got)
				}
				leaving := load(t, m, cookie)
				if err := leaving.Destroy(context.Background()); err != nil {
					t.Fatal(err)
				}
				if err := late.apply(); err != nil {
					t.Fatal(err)
				}
				if got := load(t, m, cookie).Status(); got != core.StatusUnknown {
					t.Errorf("after a logout and the late arrival of what began the session it is %v, want unknown", got)
				}
			})
		})
	}
}

func TestAnIDThatAHandlerHasSeenStaysAfterALostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &lateStore{Store: new(mapstore.Store), late: true}
		m := process(t, late)
		s := load(t, m, "")
		counter.Set(s, 1)
		id := s.ID()
		cookie := commit(t, m, s, "")
		if got := load(t, m, cookie).ID(); got != id {
			t.Error("the session has another id than the handler was told")
		}
	})
}

func TestCreatesThatStayUnknownFailTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := new(mapstore.Store)
		m := process(t, loser{records})
		s := load(t, m, "")
		counter.Set(s, 1)
		if _, err := m.Commit(context.Background(), s, false); !errors.Is(err, core.ErrUnknownOutcome) {
			t.Errorf("Commit returned %v, want ErrUnknownOutcome", err)
		}
	})
}

// A loser loses all that is to be created, on its way.
type loser struct{ store.Store }

func (loser) Create(context.Context, store.Record) error {
	return &store.Error{Store: "loser", Verb: "create", Err: errors.New("connection reset")}
}

// An overtaken store applies the first Update when the second one comes, and lets
// somebody else write before it answers that.
type overtaken struct {
	store.Store
	updates int
	first   func() error
	between func()
}

func (s *overtaken) Update(ctx context.Context, old, next store.Record) error {
	switch s.updates++; s.updates {
	case 1:
		s.first = func() error { return s.Store.Update(context.WithoutCancel(ctx), old, next) }
		return &store.Error{Store: "overtaken", Verb: "update", Err: errors.New("connection reset")}
	case 2:
		if err := s.first(); err != nil {
			return err
		}
		s.between()
	}
	return s.Store.Update(ctx, old, next)
}

func TestAConflictWithOneselfIsNotReplayed(t *testing.T) {
	for name, do := range map[string]func(s *core.Session) error{
		"Save": func(s *core.Session) error { return s.Save(context.Background()) },
		"Take": func(s *core.Session) error {
			_, err := ticket.Take(context.Background(), s)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &overtaken{Store: new(mapstore.Store), updates: 2}
				m, other := process(t, st), process(t, st.Store)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "A1") })
				s := load(t, m, cookie)
				if name == "Save" {
					counter.Update(s, func(n int) int { return n + 1 })
				}
				st.updates, st.between = 0, func() {
					s := load(t, other, cookie)
					counter.Update(s, func(n int) int { return n + 10 })
					ticket.Set(s, "A2")
					commit(t, other, s, cookie)
				}
				if err := do(s); !errors.Is(err, core.ErrUnknownOutcome) {
					t.Errorf("%s returned %v, want ErrUnknownOutcome", name, err)
				}
				after := load(t, other, cookie)
				want := map[string]int{"Save": 12, "Take": 11}[name]
				if got := counter.Get(after); got != want || ticket.Get(after) != "A2" {
					t.Errorf("counter is %d, ticket %q; want %d and A2: what was applied once is not applied again", got, ticket.Get(after), want)
				}
			})
		})
	}
}

func TestARefusalDoesNotSettleWhatBecameOfTheFirstCopy(t *testing.T) {
	for _, verb := range []string{"update", "replace"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulty := &faultyStore{Store: &replacer{Store: new(mapstore.Store)}}
				m := process(t, faulty)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				s := load(t, m, cookie)
				synctest.Wait()
				counter.Update(s, func(n int) int { return n + 1 })
				if verb == "replace" {
					_ = s.Renew()
				}
				faulty.failOnce(verb, outage{err: errors.New("connection reset")}) // the server will see it later
				faulty.afterwards(func() { faulty.failOnce(verb, outage{err: refused}) })
				_, err := m.Commit(context.Background(), s, false)
				if !errors.Is(err, core.ErrUnknownOutcome) || !errors.Is(err, refused) {
					t.Errorf("Commit returned %v, want ErrUnknownOutcome: what was sent first may be applied yet", err)
				}
			})
		})
	}
}

// A sessionLogger is a slog.Handler that asks the session of the request.
type sessionLogger struct{ slog.Handler }

func (sessionLogger) Enabled(context.Context, slog.Level) bool { return true }

func (h sessionLogger) Handle(ctx context.Context, r slog.Record) error {
	if s, ok := core.Lookup(ctx); ok {
		r.AddAttrs(slog.Bool("signed in", s.Has("user")))
	}
	return h.Handler.Handle(ctx, r)
}

func TestALoggerThatAsksTheSessionDoesNotHangTheRequest(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Logger: slog.New(sessionLogger{slog.DiscardHandler})})
	cookie := st.signIn()
	st.store.failWith("update", refused)
	a := st.request(cookie, func(_ http.ResponseWriter, r *http.Request) { core.FromContext(r.Context()).Set("n", 1) })
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", a.status)
	}
	st.store.failWith("update", nil)
	// A record that cannot be read is reported by Reload, with the context of the request.
	id := st.idOf(cookie)
	a = st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
		if err := st.store.Store.Delete(r.Context(), id); err != nil {
			t.Error(err)
		}
		if err := st.store.Store.Create(r.Context(), store.Record{ID: id, Data: []byte("[]"), TTL: time.Hour}); err != nil {
			t.Error(err)
		}
		if err := core.FromContext(r.Context()).Reload(r.Context()); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Reload: %v", err)
		}
	})
	if a.status != http.StatusOK {
		t.Errorf("status %d, want 200", a.status)
	}
}

// A gatedStore holds a Touch until it is let go.
type gatedStore struct {
	store.Store
	closed       atomic.Bool
	arrived, let chan struct{}
}

func (g *gatedStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if g.closed.Load() {
		g.arrived <- struct{}{}
		<-g.let
	}
	return g.Store.Touch(ctx, id, ttl)
}

func TestAnExtensionUnderWayDoesNotStretchAShortenedSession(t *testing.T) {
	st := new(mapstore.Store)
	gated := &gatedStore{Store: st, arrived: make(chan struct{}), let: make(chan struct{})}
	m := process(t, gated, func(c *core.Config) { c.TouchInterval = core.EveryRequest })
	cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })

	gated.closed.Store(true)
	reader := load(t, m, cookie)
	<-gated.arrived // its extension, by 24 hours, is under way
	gated.closed.Store(false)
	s := load(t, m, cookie)
	if err := s.SetMaxAge(5 * time.Minute); err != nil {
		t.Fatal(err)
	}
	commit(t, m, s, cookie)
	gated.let <- struct{}{}
	commit(t, m, reader, cookie)
	for _, rec := range st.Records() {
		if rec.TTL > 5*time.Minute {
			t.Errorf("the session lives for %v in the store, want at most 5m", rec.TTL)
		}
	}
}

func TestARetiredIDThatLivesLongerInTheStoreIsForgottenInTime(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	id := st.idOf(cookie)
	st.visit(cookie, func(s *core.Session) { _ = s.Renew() })
	if err := st.store.Store.Touch(context.Background(), id, 24*time.Hour); err != nil { // as an Express app does
		t.Fatal(err)
	}
	login := func(s *core.Session) { s.Set("user", "bob") }
	st.clock.advance(59 * time.Second)
	if a := st.visit(cookie, login); a.status != http.StatusConflict || a.setCookie != "" {
		t.Errorf("after 59 seconds: status %d, want 409 and no cookie", a.status)
	}
	st.clock.advance(time.Second)
	if a := st.visit(cookie, login); a.status != http.StatusOK || a.cookie == "" {
		t.Errorf("after a minute: status %d, want a new session", a.status)
	}
}

func TestAPanicWhileReplayingFailsTheResponseAlsoIfItIsRecovered(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { counter.Set(s, 1) }).cookie
	id := st.idOf(cookie)
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		counter.Update(core.FromContext(r.Context()), func(n int) int {
			if n == 5 {
				panic("five")
			}
			return n + 1
		})
		if err := st.Edit(r.Context(), id, func(s *core.Session) error { counter.Set(s, 5); return nil }); err != nil {
			t.Error(err)
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = io.WriteString(w, "first")
		}()
		if _, err := io.WriteString(w, "second"); err == nil {
			t.Error("the second write succeeded")
		}
	})
	if a.status != http.StatusInternalServerError || strings.Contains(a.body, "second") {
		t.Errorf("status %d, body %q; want the error page", a.status, a.body)
	}
}

func TestAPanicWhileReplayingForSaveLosesNoUpdateOfAnotherRequest(t *testing.T) {
	t.Parallel()
	const other core.Key[int] = "other"
	ctx := context.Background()
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	s, rival := load(t, m, cookie), load(t, m, cookie)
	increment := func(n int) int { return n + 1 }
	counter.Update(s, func(n int) int {
		if n == 5 {
			panic("five")
		}
		return n + 1
	})
	other.Update(s, increment)
	counter.Set(rival, 5)
	other.Update(rival, increment)
	commit(t, m, rival, cookie)
	func() {
		defer func() { _ = recover() }()
		_ = s.Save(ctx)
		t.Error("Save did not panic")
	}()
	if _, err := m.Commit(ctx, s, false); core.HTTPStatus(err) != http.StatusInternalServerError {
		t.Errorf("Commit: %v, want it to fail: not all changes are on top of the newest record", err)
	}
	if now := load(t, m, cookie); counter.Get(now) != 5 || other.Get(now) != 1 {
		t.Errorf("counter %d, other %d; want what the other request stored: 5, 1", counter.Get(now), other.Get(now))
	}
}

// Get abandons a handler by a panic, which nobody recovers in another goroutine:
// there, Load is what to ask.
func TestALazyLoadThatFailsInAnotherGoroutine(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(context.Context) (any, error){
		"Load": func(ctx context.Context) (any, error) {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("Load panics: %v", v)
				}
			}()
			_, err := core.Load(ctx)
			return nil, err
		},
		"Get": func(ctx context.Context) (v any, err error) {
			defer func() { v = recover() }()
			core.FromContext(ctx)
			return nil, nil
		},
	} {
		st := newStage(t, core.Config{Lazy: true})
		cookie := st.signIn()
		st.store.failWith("load", refused)
		var (
			panicked any
			err      error
		)
		a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			wg.Go(func() { panicked, err = ask(r.Context()) })
			wg.Wait()
			w.WriteHeader(http.StatusNoContent)
		})
		want := map[string]int{"Load": http.StatusNoContent, "Get": http.StatusServiceUnavailable}[name]
		if (panicked != nil) != (name == "Get") || (err != nil) != (name == "Load") || a.status != want {
			t.Errorf("%s: panic %v, error %v, status %d; want %d", name, panicked, err, a.status, want)
		}
	}
}

func TestALazyLoadThatPanickedIsNoEmptySession(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Lazy: true})
	cookie := st.signIn()
	st.store.Store = &panickyStore{Store: st.store.Store}
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		func() {
			defer func() { _ = recover() }()
			core.FromContext(r.Context())
		}()
		s, err := core.Load(r.Context())
		if s != nil || err == nil {
			t.Error("there is a session although its load panicked")
		}
		_, _ = core.Lookup(r.Context())
	})
	if a.status != http.StatusInternalServerError || a.setCookie != "" {
		t.Errorf("status %d, want the error page and no cookie", a.status)
	}
}

// A handler may return before a goroutine of it has the session that it asked
// for: the end of the request waits, and looks at nothing before.
func TestTheEndOfARequestWaitsForALazyLoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		begun bool
	}{{"before the first byte", false}, {"after the first byte", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{Lazy: true})
			cookie := st.signIn()
			slow := &slowLoads{Store: st.store.Store, loading: make(chan struct{}), release: make(chan struct{})}
			st.store.Store = slow
			var wg sync.WaitGroup
			a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
				if tt.begun {
					_, _ = w.Write([]byte("x"))
				}
				wg.Go(func() { core.FromContext(r.Context()).Has("user") })
				<-slow.loading
				close(slow.release)
			})
			wg.Wait()
			if a.status != http.StatusOK || a.setCookie != "" {
				t.Errorf("status %d, Set-Cookie %q", a.status, a.setCookie)
			}
		})
	}
}

// slowLoads answer when they are released.
type slowLoads struct {
	store.Store
	loading, release chan struct{}
}

func (s *slowLoads) Load(ctx context.Context, id string) (store.Record, error) {
	close(s.loading)
	<-s.release
	return s.Store.Load(ctx, id)
}

type panickyStore struct{ store.Store }

func (panickyStore) Load(context.Context, string) (store.Record, error) { panic("bug in the store") }

func TestAfterDestroyTheSessionTakesNoMoreVerbs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := process(t, new(mapstore.Store))
	s := load(t, m, visitor(t, m, func(s *core.Session) { colour.Set(s, "white") }))
	if err := s.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	for verb, err := range map[string]error{
		"Regenerate": s.Regenerate(), "Renew": s.Renew(), "SetMaxAge": s.SetMaxAge(time.Hour), "Save": s.Save(ctx), "Reload": s.Reload(ctx),
	} {
		if !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("%s returned %v, want ErrSessionGone", verb, err)
		}
	}
}

func TestDiscardDoesNotBringBackWhatWasDestroyed(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store), func(c *core.Config) { c.UserKey = "user" })
	s := load(t, m, visitor(t, m, func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") }))
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Discard()
	if s.Has("user") || s.User() != "" {
		t.Error("the handler sees what the session held, and whose it was")
	}
}

func TestAfterAFailedDestroyNothingIsTakenAndSaveTells(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	faulty := &faultyStore{Store: new(mapstore.Store)}
	m := process(t, faulty)
	s := load(t, m, visitor(t, m, func(s *core.Session) { ticket.Set(s, "A1") }))
	faulty.failOnce("delete", outage{err: refused})
	if err := s.Destroy(ctx); err == nil {
		t.Fatal("Destroy returned nil although the store failed")
	}
	if v, err := ticket.Take(ctx, s); v != "" || !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("Take returned %q, %v; want ErrSessionGone", v, err)
	}
	colour.Set(s, "red")
	if err := s.Save(ctx); !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("Save returned %v, want ErrSessionGone: it destroyed the session after all", err)
	}
}

func TestALogoutIsDoneWhereOnlyItsTombstoneCannotBeDeleted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	faulty := &faultyStore{Store: struct{ store.Store }{new(mapstore.Store)}} // no Remover
	m := process(t, faulty)
	cookie := visitor(t, m, func(s *core.Session) { ticket.Set(s, "A1") })
	s := load(t, m, cookie)
	faulty.failOnce("delete", outage{err: &store.Error{Store: "faulty", Verb: "delete", Outcome: store.OutcomeNotApplied, Err: refused}})
	if err := s.Destroy(ctx); err != nil {
		t.Errorf("Destroy returned %v, want nil: the session has ended", err)
	}
	if got := commit(t, m, s, cookie); got != "" {
		t.Error("the cookie was not deleted")
	}
	if got := load(t, m, cookie); got.Status() != core.StatusUnknown || ticket.Get(got) != "" {
		t.Errorf("the session is %v, want unknown", got.Status())
	}
}

func TestASkippedRequestThatIsDispatchedAgainHasASession(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Skip: func(r *http.Request) bool { return r.Header.Get("Skip") != "" }})
	inner := st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := core.Load(r.Context()); err != nil {
			t.Errorf("Load: %v", err)
		}
	}))
	outer := st.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Skip")
		inner.ServeHTTP(w, r)
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Skip", "yes")
	outer.ServeHTTP(nowhere{}, r)
}

// nowhere is a ResponseWriter.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

func TestManyKeysThatAreNotASCIIAreReadInLinearTime(t *testing.T) {
	t.Parallel()
	const n = 10_000
	var text strings.Builder
	text.WriteString(`{"cookie":{"originalMaxAge":null,"expires":null}`)
	for i := range n {
		_, _ = fmt.Fprintf(&text, `,"日本%d":1`, i)
	}
	st := newStage(t, core.Config{})
	cookie := st.put("express-born-session-0001", text.String()+"}")
	var took time.Duration
	for range 5 { // a machine that is busy is slow now and then, and what is quadratic is each time
		start := time.Now()
		st.visit(cookie, func(s *core.Session) {
			keys := 0
			for range s.Keys() {
				keys++
			}
			if keys != n || !s.Has("日本7") {
				t.Errorf("%d keys, want %d", keys, n)
			}
		})
		if took = time.Since(start); took < 5*time.Second { // it was 20 seconds
			return
		}
	}
	t.Errorf("it took %v", took)
}

// The room for the keys is reckoned from how the record begins, in numbers for
// which 32 bits are not enough.
func TestManyKeysBehindALargeValueAreRead(t *testing.T) {
	t.Parallel()
	const keys = 50_000
	record := []byte(`{"large":"` + strings.Repeat("x", 1<<20) + `"`)
	for i := range keys {
		record = fmt.Appendf(record, `,"key%d":1000000`, i)
	}
	record = append(record, '}')
	st := newStage(t, core.Config{})
	st.visit(st.put("an-id-of-an-express-app", string(record)), func(s *core.Session) {
		if s.Status() != core.StatusLoaded || !s.Has(fmt.Sprint("key", keys-1)) {
			t.Errorf("the session is %v, want all of its keys", s)
		}
	})
}

func TestAnEndlessMaxAgeDoesNotDeleteTheCookie(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	a := st.visit("", func(s *core.Session) {
		s.Set("n", 1)
		if err := s.SetMaxAge(math.MaxInt64); err != nil {
			t.Error(err)
		}
	})
	b := st.visit(st.put("express-born-session-0001", `{"cookie":{"originalMaxAge":1e15,"expires":"9999-01-01T00:00:00.000Z"},"n":1}`),
		func(s *core.Session) { s.Set("n", 2) })
	for _, header := range []string{a.setCookie, b.setCookie} {
		c, err := http.ParseSetCookie(header)
		if err != nil || a.cookie == "" || c.MaxAge <= 0 {
			t.Errorf("Set-Cookie %q, want one that lasts", header)
		}
	}
}

func TestTouchAtTheDeadlineAsksTheStoreForNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour})
	cookie := st.signIn()
	st.clock.advance(time.Hour - time.Second)
	st.store.took()
	st.visit(cookie, func(s *core.Session) {
		st.clock.advance(2 * time.Second)
		s.Touch()
	})
	for _, call := range st.store.took() {
		if call.verb == "touch" && call.ttl <= 0 {
			t.Errorf("Touch with a life of %v", call.ttl)
		}
	}
}

func TestAKeyThatIsNotUTF8FailsTheCommit(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	s := load(t, m, "")
	s.Set("caf\xe9", 1)
	var keyError *core.KeyError
	if _, err := m.Commit(context.Background(), s, false); !errors.As(err, &keyError) {
		t.Errorf("Commit returned %v, want a KeyError", err)
	}
}

func TestTakeOfAValueThatThisRequestMade(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	s := load(t, m, visitor(t, m, func(s *core.Session) { colour.Set(s, "white") }))
	counter.Update(s, func(n int) int { return n + 1 })
	if v, err := counter.Take(context.Background(), s); v != 1 || err != nil {
		t.Errorf("Take returned %d, %v; want 1", v, err)
	}
}

func TestNoUpdateIsLostWhenAnotherRequestMendsTheValue(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { s.Set("counter", "ten"); ticket.Set(s, "A1") })
	s := load(t, m, cookie)
	counter.Update(s, func(n int) int { return n + 1 })
	other := load(t, m, cookie)
	counter.Set(other, 10)
	commit(t, m, other, cookie)
	counter.Update(s, func(n int) int { return n + 100 })
	if _, err := ticket.Take(context.Background(), s); err != nil { // sees the newer record
		t.Fatal(err)
	}
	commit(t, m, s, cookie)
	if got := counter.Get(load(t, m, cookie)); got != 111 {
		t.Errorf("counter is %d, want 111", got)
	}
}

func TestAStoreThatIsFullIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	st.store.failWith("create", store.ErrFull) // without a store.Error around it
	a := st.visit("", func(s *core.Session) { s.Set("n", 1) })
	if n := len(st.store.took()); a.status != http.StatusServiceUnavailable || n != 1 {
		t.Errorf("status %d after %d calls, want 503 after one", a.status, n)
	}
}

func TestReloadKeepsTheRenewal(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	for name, renew := range map[string]func(*core.Session) error{"Renew": (*core.Session).Renew, "Regenerate": (*core.Session).Regenerate} {
		cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
		s := load(t, m, cookie)
		if err := errors.Join(renew(s), s.Reload(context.Background())); err != nil {
			t.Fatal(err)
		}
		if commit(t, m, s, cookie) == cookie {
			t.Errorf("%s: the id is the old one after Reload", name)
		}
		if got := s.Has("colour"); got != (name == "Renew") {
			t.Errorf("%s: has data after Reload: %v", name, got)
		}
	}
}

func TestATouchAfterTheFirstByteCounts(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	st.store.took()
	st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		core.FromContext(r.Context()).Touch()
	})
	if got := st.store.verbs(); got != "load touch" {
		t.Errorf("calls: %s, want load touch", got)
	}
}

// Standards: ASVS-16.2.5
func TestConfigAndRecordPrintNoSecrets(t *testing.T) {
	t.Parallel()
	cfg := core.Config{Secrets: []string{"TOP-SECRET"}, SealKeys: []string{"SEAL-SECRET"}, Cookie: core.Cookie{Name: "name-of-the-cookie"}}
	rec := store.Record{ID: "id-SECRET", Data: []byte("data-SECRET")}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", cfg, "record", rec)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", cfg, "record", rec)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		_, _ = fmt.Fprintf(&log, verb+verb+verb+verb, cfg, &cfg, rec, &rec)
	}
	if strings.Contains(log.String(), "SECRET") {
		t.Errorf("a secret is printed: %s", log.String())
	}
	if !strings.Contains(log.String(), "name-of-the-cookie") {
		t.Errorf("the rest is not printed: %s", log.String())
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	if _, err := process(t, new(mapstore.Store)).Count(context.Background()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Count of a store that cannot: %v", err)
	}
	if n, err := process(t, counting{new(mapstore.Store)}).Count(context.Background()); n != 7 || err != nil {
		t.Errorf("Count returned %d, %v", n, err)
	}
}

type counting struct{ store.Store }

func (counting) Count(context.Context) (int, error) { return 7, nil }

// A generator that repeats itself is a mistake, but logout stays one.
func TestAnIDThatIsGivenOutAgainCanBeDestroyedAgain(t *testing.T) {
	t.Parallel()
	st := new(mapstore.Store)
	ids := []string{"the-first-of-two-ids", "the-second-of-two-ids"}
	n := 0
	m := process(t, st, func(c *core.Config) {
		c.GenerateID = func(*http.Request) (string, error) { n++; return ids[n%2], nil }
	})
	for round := range 3 {
		cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "red") })
		s := load(t, m, cookie)
		if err := s.Renew(); err != nil {
			t.Fatal(err)
		}
		s = load(t, m, commit(t, m, s, cookie))
		if err := s.Destroy(t.Context()); err != nil || s.Status() != core.StatusLoaded {
			t.Fatalf("round %d: Destroy of a session that is %v: %v", round, s, err)
		}
		if left := live(st); left != 0 {
			t.Errorf("round %d: %d sessions are left", round, left)
		}
		for _, rec := range st.Records() { // time passes
			_ = st.Delete(t.Context(), rec.ID)
		}
	}
}

package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A guest is what an app does in a callback that it must not do in a function given to
// Update: it uses the session of the request. It counts how often, for each callback.
type guest struct {
	session atomic.Pointer[core.Session]
	busy    atomic.Bool // what the callback does may call it again
	calls   map[string]*atomic.Int64
}

var callbacks = []string{"Observer", "Tracer, begin", "Tracer, end", "Logger", "GenerateID", "Passive", "CookieFor", "Skip", "ServeAnonymously"}

func newGuest() *guest {
	g := &guest{calls: map[string]*atomic.Int64{}}
	for _, name := range callbacks {
		g.calls[name] = new(atomic.Int64)
	}
	return g
}

// use reads and changes the session, once that is there.
func (g *guest) use(callback string) {
	s := g.session.Load()
	if s == nil || !g.busy.CompareAndSwap(false, true) {
		return
	}
	defer g.busy.Store(false)
	g.calls[callback].Add(1)
	_, _, _ = s.Get("n"), s.User(), s.Handle()
	if callback == "Observer" {
		_ = s.ID() // elsewhere it would make the id that the commit needs
	}
	s.Set("seen by "+callback, true)
	counter.Update(s, func(n int) int { return n + 1 })
}

func (g *guest) Observe(context.Context, core.Event) { g.use("Observer") }

func (g *guest) Start(ctx context.Context, _ core.Operation) (context.Context, func(error)) {
	g.use("Tracer, begin")
	return ctx, func(error) { g.use("Tracer, end") }
}

func (g *guest) Enabled(context.Context, slog.Level) bool { return true }

func (g *guest) Handle(context.Context, slog.Record) error {
	g.use("Logger")
	return nil
}

func (g *guest) WithAttrs([]slog.Attr) slog.Handler { return g }
func (g *guest) WithGroup(string) slog.Handler      { return g }

// invite makes the guest each callback of a configuration.
func (g *guest) invite(c *core.Config) {
	n := new(atomic.Int64)
	c.Observer, c.Logger = g, slog.New(g)
	c.GenerateID = func(*http.Request) (string, error) {
		g.use("GenerateID")
		return fmt.Sprintf("an-id-of-a-visitor-%d", n.Add(1)), nil
	}
	c.Passive = func(*http.Request) bool { g.use("Passive"); return false }
	c.ServeAnonymously = func(*http.Request, error) bool { g.use("ServeAnonymously"); return true }
	c.Skip = func(*http.Request) bool { g.use("Skip"); return false }
	c.CookieFor = func(*http.Request) core.Cookie { g.use("CookieFor"); return core.Cookie{Name: "sid"} }
}

// inTime fails the test if do hangs.
func inTime(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
	}
}

// Nothing of the app is called with a lock held: a callback that uses the session
// hangs nothing, whatever the session is at.
func TestACallbackMayUseTheSession(t *testing.T) {
	background := context.Background()
	for _, tt := range []struct {
		name string
		do   func(m *core.Manager, s *core.Session, w http.ResponseWriter) error
		made []string // callbacks that must have been made meanwhile
	}{
		{"a change", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error { s.Set("n", 2); return nil }, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"Save", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			s.Set("n", 2)
			return s.Save(background)
		}, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"ID after Renew", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			err := s.Renew()
			if s.ID() == "" {
				return errors.New("it has no id")
			}
			return err
		}, []string{"GenerateID", "Observer"}},
		{"Renew", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error { return s.Renew() }, []string{"GenerateID", "Observer"}},
		{"Regenerate", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error { return s.Regenerate() }, []string{"GenerateID", "Observer"}},
		{"SignIn", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			return s.SignIn(background, "bob")
		}, []string{"GenerateID", "Observer"}},
		{"SignOut", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error { return s.SignOut(background) }, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"Destroy", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error { return s.Destroy(background) }, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"a change after Destroy", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			err := s.Destroy(background)
			s.Set("n", 2)
			return err
		}, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"Take", func(_ *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			_, err := ticket.Take(background, s)
			return err
		}, []string{"Tracer, begin", "Tracer, end"}},
		{"Revoke of itself", func(m *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			return m.Revoke(background, "ada", s.Handle())
		}, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"RevokeOthers", func(m *core.Manager, s *core.Session, _ http.ResponseWriter) error {
			return m.RevokeOthers(background, s)
		}, []string{"Tracer, begin", "Tracer, end"}},
		{"Sessions", func(m *core.Manager, _ *core.Session, _ http.ResponseWriter) error {
			_, err := walk(m.Sessions(background, "ada"))
			return err
		}, []string{"Tracer, begin", "Tracer, end"}},
		{"a change after the first byte", func(_ *core.Manager, s *core.Session, w http.ResponseWriter) error {
			w.WriteHeader(http.StatusOK)
			s.Set("n", 2)
			return nil
		}, []string{"Observer", "Tracer, begin", "Tracer, end"}},
		{"another request", func(m *core.Manager, _ *core.Session, _ http.ResponseWriter) error {
			serve(m, requestWith(background, ""), func(_ http.ResponseWriter, r *http.Request) { counter.Set(core.FromContext(r.Context()), 1) })
			return nil
		}, []string{"Passive", "Skip", "CookieFor", "GenerateID"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inTime(t, func() {
				g := newGuest()
				m := process(t, newUserStore(), g.invite)
				w := serve(m, requestWith(background, ""), func(_ http.ResponseWriter, r *http.Request) {
					s := core.FromContext(r.Context())
					ticket.Set(s, "A1")
					if err := signIn(s); err != nil {
						t.Error(err)
					}
				})
				cookie := browser(t, w.Header().Get("Set-Cookie"), "")
				w = serve(m, requestWith(background, cookie), func(w http.ResponseWriter, r *http.Request) {
					s := core.FromContext(r.Context())
					g.session.Store(s)
					if err := tt.do(m, s, w); err != nil {
						t.Errorf("it returned %v", err)
					}
				})
				g.session.Store(nil)
				if w.Code >= http.StatusInternalServerError {
					t.Errorf("status %d", w.Code)
				}
				for _, callback := range tt.made {
					if g.calls[callback].Load() == 0 {
						t.Errorf("%s was not called with the session at hand", callback)
					}
				}
			})
		})
	}
}

// An asker is a callback that asks for the session of a request by its context.
type asker struct {
	of  atomic.Pointer[context.Context]
	ask func(context.Context)
}

func (a *asker) Observe(context.Context, core.Event) { a.call() }

func (a *asker) Start(ctx context.Context, _ core.Operation) (context.Context, func(error)) {
	a.call()
	return ctx, func(error) { a.call() }
}

func (a *asker) call() {
	if ctx := a.of.Load(); ctx != nil {
		a.ask(*ctx)
	}
}

// With Lazy a load is told of while it is under way. Who is told, and asks for the
// session, learns that there is none yet, and does not wait for itself.
func TestACallbackOfALazyLoadHasNoSessionYet(t *testing.T) {
	t.Parallel()
	inTime(t, func() {
		found, none := 0, 0
		a := &asker{ask: func(ctx context.Context) {
			_, ok := core.Lookup(ctx)
			_, err := core.Load(ctx)
			if ok != (err == nil) || err != nil && !errors.Is(err, core.ErrNoSession) {
				t.Errorf("Lookup says %v, Load %v", ok, err)
			}
			if ok {
				found++
			} else {
				none++
			}
		}}
		kept := new(mapstore.Store)
		cookie := visitor(t, process(t, kept), func(s *core.Session) { counter.Set(s, 1) })
		m := process(t, kept, func(c *core.Config) { c.Lazy, c.Observer = true, a })
		w := serve(m, requestWith(context.Background(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			a.of.Store(&ctx)
			if n := counter.Get(core.FromContext(ctx)); n != 1 {
				t.Errorf("the session has %d", n)
			}
			if found != 0 || none == 0 {
				t.Errorf("while it was loaded it was found %d times, and %d times not", found, none)
			}
			counter.Set(core.FromContext(ctx), 2)
		})
		if w.Code != http.StatusOK || found == 0 {
			t.Errorf("status %d; it was found %d times afterwards", w.Code, found)
		}
		if n := counter.Get(load(t, m, cookie)); n != 2 {
			t.Errorf("what the handler set is lost: %d", n)
		}
	})
}

// What a callback changes while the commit is under way is stored, or said to be
// dropped.
func TestWhatGenerateIDChangesIsNotLost(t *testing.T) {
	t.Parallel()
	inTime(t, func() {
		var session atomic.Pointer[core.Session]
		n := new(atomic.Int64)
		m := process(t, new(mapstore.Store), func(c *core.Config) {
			c.GenerateID = func(*http.Request) (string, error) {
				if s := session.Load(); s != nil {
					colour.Set(s, "white")
				}
				return fmt.Sprintf("an-id-of-a-visitor-%d", n.Add(1)), nil
			}
		})
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		s := load(t, m, cookie)
		if err := s.Renew(); err != nil {
			t.Fatal(err)
		}
		session.Store(s)
		w := serve(m, requestWith(context.Background(), cookie), func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			session.Store(s)
			if err := s.Renew(); err != nil {
				t.Error(err)
			}
			if err := s.Save(r.Context()); err != nil {
				t.Error(err)
			}
		})
		session.Store(nil)
		if got := colour.Get(load(t, m, browser(t, w.Header().Get("Set-Cookie"), cookie))); got != "white" {
			t.Errorf("the session has colour %q", got)
		}
	})
}

// The handler of the Logger, and who decides about a store that is down, may use the
// session too.
func TestACallbackAboutAStoreThatIsDownMayUseTheSession(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"load", "create", "update", "touch", "delete"} {
		inTime(t, func() {
			g := newGuest()
			down := &faultyStore{Store: new(mapstore.Store)}
			m := process(t, down, g.invite, func(c *core.Config) { c.TouchInterval, c.StoreTimeout = core.EveryRequest, 100*time.Millisecond })
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			for _, do := range []func(s *core.Session) error{
				func(*core.Session) error { return nil },
				func(s *core.Session) error { s.Set("n", 2); return nil },
				func(s *core.Session) error { return s.Renew() },
				func(s *core.Session) error { return s.Destroy(context.Background()) },
				func(s *core.Session) error { s.Touch(); return nil },
			} {
				if verb == "touch" { // which begins before the handler
					down.failOnce(verb, outage{err: errors.New("down")})
				}
				serve(m, requestWith(context.Background(), cookie), func(_ http.ResponseWriter, r *http.Request) {
					s := core.FromContext(r.Context())
					g.session.Store(s)
					if verb != "touch" {
						down.failOnce(verb, outage{err: errors.New("down")})
					}
					_ = do(s)
				})
				g.session.Store(nil)
				down.failOnce("", outage{})
			}
			if verb != "load" && verb != "create" && g.calls["Logger"].Load()+g.calls["Observer"].Load() == 0 {
				t.Errorf("%s: nothing was told with the session at hand", verb)
			}
		})
	}
}

// What is said once about the setup, such as that a cookie cannot be set over plain
// HTTP, is said to a handler that may use the session as well: many add the user.
func TestTheLoggerMayUseTheSessionOfARequestThatItIsGivenAHintAbout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		header http.Header
	}{
		{"a cookie that plain HTTP cannot carry", nil},
		{"a proxy that is not trusted", http.Header{"X-Forwarded-Proto": {"https"}}},
	} {
		for _, how := range []string{"a new session", "the cookie again", "Regenerate"} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				t.Parallel()
				inTime(t, func() {
					g := newGuest()
					st := new(mapstore.Store)
					cookie := ""
					if how != "a new session" {
						cookie = visitor(t, process(t, st), func(s *core.Session) { counter.Set(s, 1) })
					}
					m := process(t, st, func(c *core.Config) {
						c.Logger, c.Cookie.Secure, c.Rolling = slog.New(g), core.SecureAlways, true
					})
					r := requestWith(context.Background(), cookie)
					for name, values := range tt.header {
						r.Header[name] = values
					}
					serve(m, r, func(_ http.ResponseWriter, r *http.Request) {
						s := core.FromContext(r.Context())
						g.session.Store(s)
						counter.Set(s, 2)
						if how == "Regenerate" {
							_ = s.Regenerate()
						}
					})
					if g.calls["Logger"].Load() == 0 {
						t.Error("nothing was said with the session at hand")
					}
				})
			})
		}
	}
}

func TestWhoServesAnonymouslyMayUseTheSession(t *testing.T) {
	t.Parallel()
	inTime(t, func() {
		g := newGuest()
		down := &faultyStore{Store: new(mapstore.Store)}
		m := process(t, down, func(c *core.Config) {
			c.TouchInterval = core.EveryRequest
			c.ServeAnonymously = func(*http.Request, error) bool { g.use("ServeAnonymously"); return true }
		})
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		down.failOnce("touch", outage{err: errors.New("down")})
		w := serve(m, requestWith(context.Background(), cookie), func(w http.ResponseWriter, r *http.Request) {
			g.session.Store(core.FromContext(r.Context()))
			w.WriteHeader(http.StatusOK)
		})
		if w.Code != http.StatusOK || g.calls["ServeAnonymously"].Load() != 1 {
			t.Errorf("status %d after %d calls", w.Code, g.calls["ServeAnonymously"].Load())
		}
		if got := counter.Get(load(t, m, cookie)); got != 2 {
			t.Errorf("the session has %d, want what was changed there", got)
		}
	})
}

// However many calls of a store hang, a commit is over within StoreTimeout, and a
// verb that took that long is not tried again by the commit.
//
// Standards: ASVS-13.1.3
func TestACommitEndsWithinStoreTimeoutWhateverHangs(t *testing.T) {
	const timeout = 2 * time.Second
	background := context.Background()
	for _, lists := range []bool{false, true} {
		for _, tt := range []struct {
			name string
			do   func(s *core.Session) error
		}{
			{"a change", func(s *core.Session) error { s.Set("n", 2); return nil }},
			{"Renew", func(s *core.Session) error { return s.Renew() }},
			{"SignIn", signIn},
			{"Touch", func(s *core.Session) error { s.Touch(); return nil }},
			{"Touch and a change", func(s *core.Session) error { s.Touch(); s.Set("n", 2); return nil }},
			{"SetMaxAge", func(s *core.Session) error { return s.SetMaxAge(time.Hour) }},
			{"Destroy", func(s *core.Session) error { return s.Destroy(background) }},
			{"SignOut", func(s *core.Session) error { return s.SignOut(background) }},
			{"Destroy, and again", func(s *core.Session) error { return errors.Join(s.Destroy(background), s.Destroy(background)) }},
		} {
			for _, hangs := range []string{"delete", "update", "create", "touch", "load"} {
				t.Run(fmt.Sprintf("%s, %s hangs, lists: %v", tt.name, hangs, lists), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						backing := newUserStore()
						slow := &faultyStore{Store: backing.sessions}
						var st store.Store = slow
						if lists {
							st = &userStore{slow, &faultyStore{Store: backing.index}, backing.sessions}
						}
						m := process(t, st, func(c *core.Config) { c.StoreTimeout, c.Rolling, c.TouchInterval = timeout, true, core.EveryRequest })
						cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
						var (
							began time.Time
							verb  time.Duration
						)
						w := serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
							slow.hang(hangs)
							began = time.Now()
							_ = tt.do(core.FromContext(r.Context()))
							verb = time.Since(began)
						})
						took := time.Since(began)
						most := timeout
						if strings.HasSuffix(tt.name, "again") {
							most = 2 * timeout // the handler asked for it
						}
						if took > most {
							t.Errorf("it took %v, of which the verb %v; want at most %v", took, verb, most)
						}
						time.Sleep(timeout) // an extension that nobody waits for is over too
						ends := tt.name == "Destroy" || tt.name == "SignOut"
						if ends && hangs == "delete" && w.Code != http.StatusServiceUnavailable {
							t.Errorf("a logout that was not done is answered with status %d", w.Code)
						}
					})
				})
			}
		}
	}
}

// A revoker is an Observer that ends the sessions of a user when the store fails, which
// writes to the list of that user. It needs the turn of that list.
type revoker struct {
	m    atomic.Pointer[core.Manager]
	busy atomic.Bool
	done atomic.Int64
}

func (o *revoker) Observe(ctx context.Context, e core.Event) {
	if m := o.m.Load(); m != nil && e.Kind == core.EventStoreError && o.busy.CompareAndSwap(false, true) {
		if m.RevokeUser(context.WithoutCancel(ctx), "ada") == nil {
			o.done.Add(1)
		}
	}
}

// What works at the list of a user beside a request, or after one has looked at it, tells the
// Observer when it has left the list to others.
func TestTheObserverMayUseTheListOfAUserThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(t *testing.T, m *core.Manager, st *userStore, cookie string){
		"a session that is listed anew": func(_ *testing.T, m *core.Manager, _ *userStore, cookie string) {
			serve(m, requestWith(context.Background(), cookie), func(_ http.ResponseWriter, r *http.Request) { core.FromContext(r.Context()) })
		},
		"a list that is tidied": func(t *testing.T, m *core.Manager, st *userStore, _ string) {
			for _, rec := range st.sessions.Records() {
				if err := st.sessions.Delete(context.Background(), rec.ID); err != nil {
					t.Error(err)
				}
			}
			for _, err := range m.Sessions(context.Background(), "ada") {
				if err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTime(t, func() {
				st, lists := newUserStore(), &faultyStore{Store: new(mapstore.Store)}
				st.index = lists
				cookie := ada(t, process(t, st, func(c *core.Config) { c.IdleTimeout = time.Hour }))
				o := new(revoker)
				m := process(t, st, func(c *core.Config) {
					c.Observer, c.IdleTimeout, c.StoreTimeout = o, 100*time.Hour, time.Hour
				})
				o.m.Store(m)
				lists.failOnce("update", outage{err: &store.Error{Outcome: store.OutcomeNotApplied}})
				do(t, m, st, cookie)
				if o.done.Load() != 1 {
					t.Errorf("the Observer has ended the sessions %d times, want once", o.done.Load())
				}
			})
		})
	}
}

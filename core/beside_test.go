package core_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A lockWitness is an Observer that kept a session, and sees whether it could use it.
type lockWitness struct {
	session atomic.Pointer[core.Session]
	mu      sync.Mutex
	kinds   []core.EventKind // that it was told of meanwhile
	locked  []core.EventKind // likewise, while the session was locked
}

func (w *lockWitness) Observe(_ context.Context, e core.Event) {
	s := w.session.Load()
	if s == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kinds = append(w.kinds, e.Kind)
	if core.IsLocked(s) {
		w.locked = append(w.locked, e.Kind)
	}
}

// waitForLock returns when somebody holds the lock of the session.
func (w *lockWitness) waitForLock() {
	for s := w.session.Load(); s == nil || !core.IsLocked(s); s = w.session.Load() {
		runtime.Gosched()
	}
}

// What is done beside a handler may fail while the request waits for it with its session
// locked. Whoever is told of that may use the session all the same, and is told before the
// answer leaves.
func TestTheObserverIsToldOfWhatIsDoneBesideAHandlerWhenNoLockIsHeld(t *testing.T) {
	t.Parallel()
	background := context.Background()
	down := outage{err: errors.New("down")}
	revokeOthers := func(m *core.Manager, s *core.Session) {
		if err := m.RevokeOthers(background, s); err == nil {
			t.Error("RevokeOthers returned nil")
		}
	}
	for _, tt := range []struct {
		name  string
		known bool          // this process has extended the session before
		later time.Duration // than the session was made
		verb  string        // of the sessions, which fails beside the handler; empty: a load of the list
		do    func(m *core.Manager, s *core.Session, again func())
	}{
		{name: "an extension", verb: "touch"},
		{name: "an extension that begins with the load", verb: "touch", known: true},
		{name: "a session that has to be in the list for longer", later: 365 * 24 * time.Hour, do: func(_ *core.Manager, s *core.Session, _ func()) { s.Set("n", 2) }},
		{name: "the list that SignIn needs", do: func(_ *core.Manager, s *core.Session, _ func()) { _ = signIn(s) }},
		{name: "the list that RevokeOthers needs", do: func(m *core.Manager, s *core.Session, again func()) {
			_ = signIn(s)
			revokeOthers(m, s) // waits for that of SignIn
			again()
			revokeOthers(m, s) // loads it anew
			s.Discard()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inTime(t, func() {
				users := newUserStore()
				sessions, lists := &faultyStore{Store: users.Store}, &faultyStore{Store: users.index}
				users.Store, users.index = sessions, lists
				w := new(lockWitness)
				later := time.Duration(0)
				cfg := func(c *core.Config) {
					c.Observer, c.TouchInterval, c.StoreTimeout = w, core.EveryRequest, time.Hour
					c.Now = func() time.Time { return time.Now().Add(later) }
				}
				m := process(t, users, cfg)
				cookie := visitor(t, m, func(s *core.Session) {
					if err := signIn(s); err != nil {
						t.Error(err)
					}
				})
				if !tt.known {
					m = process(t, users, cfg)
				}
				later = tt.later
				fail := func() {
					faulty, verb := lists, "load"
					if tt.verb != "" {
						faulty, verb = sessions, tt.verb
					}
					faulty.failOnce(verb, down)
					faulty.afterwards(w.waitForLock)
				}
				fail()
				serve(m, requestWith(background, cookie), func(_ http.ResponseWriter, r *http.Request) {
					s := core.FromContext(r.Context())
					w.session.Store(s)
					if tt.do != nil {
						tt.do(m, s, fail)
					}
				})
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.locked) > 0 || len(w.kinds) == 0 {
					t.Errorf("the Observer was told of %v, of which %v with the session locked", w.kinds, w.locked)
				}
			})
		})
	}
}

// What fails beside a handler that panicked is told all the same: before the request is over,
// or when it has failed.
func TestTheObserverIsToldOfWhatIsDoneBesideAHandlerThatPanics(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"the failure", "the panic"} {
		t.Run(first+" comes first", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st, w := &faultyStore{Store: new(mapstore.Store)}, new(lockWitness)
				cookie := visitor(t, process(t, st), func(s *core.Session) { counter.Set(s, 1) })
				m := process(t, st, func(c *core.Config) { c.Observer, c.TouchInterval = w, core.EveryRequest })
				failed := make(chan struct{})
				st.failOnce("touch", outage{err: errors.New("down")})
				st.afterwards(func() { <-failed })
				func() {
					defer func() {
						if recover() == nil {
							t.Error("the panic is lost")
						}
					}()
					serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
						w.session.Store(core.FromContext(r.Context()))
						if first == "the failure" {
							close(failed)
							synctest.Wait()
						}
						panic("the handler's")
					})
				}()
				if first == "the panic" {
					close(failed)
					synctest.Wait()
				}
				if len(w.kinds) != 1 || w.kinds[0] != core.EventStoreError || len(w.locked) > 0 {
					t.Errorf("the Observer was told of %v, of which %v with the session locked", w.kinds, w.locked)
				}
			})
		})
	}
}

// A store that fails in a call that is no commit is told as well.
func TestTheObserverIsToldThatReloadAndCheckFailed(t *testing.T) {
	t.Parallel()
	background := context.Background()
	for name, call := range map[string]func(*core.Session) error{
		"Reload": func(s *core.Session) error { return s.Reload(background) },
		"Check":  func(s *core.Session) error { return s.Check(background) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, w := &faultyStore{Store: newUserStore()}, new(lockWitness)
			m := process(t, st, func(c *core.Config) { c.Observer = w })
			s := load(t, m, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }))
			w.session.Store(s)
			st.failOnce("load", outage{err: errors.New("down")})
			if err := call(s); !errors.As(err, new(*store.Error)) {
				t.Errorf("it returned %v", err)
			}
			if len(w.kinds) != 1 || w.kinds[0] != core.EventStoreError || len(w.locked) > 0 {
				t.Errorf("the Observer was told of %v, of which %v with the session locked", w.kinds, w.locked)
			}
		})
	}
}

// What is said once may lead the Logger to what it is said about, or to a session that waits
// for the same to have been said.
func TestTheLoggerMayDoAgainWhatItIsToldOnceAbout(t *testing.T) {
	t.Parallel()
	const retired, present = "the key that others know, of 32 by", "the key that nobody knows, of 32 b"
	inTime(t, func() {
		st := new(mapstore.Store)
		var ids []string
		for range 2 {
			visitor(t, process(t, st, func(c *core.Config) { c.SealKeys = []string{retired} }), func(s *core.Session) {
				counter.Set(s, 1)
				ids = append(ids, s.ID())
			})
		}
		var edit func(id string)
		said := 0
		m := process(t, st, func(c *core.Config) {
			c.SealKeys, c.RetiredSealKeys = []string{present}, []string{retired}
			c.Logger = slog.New(logFunc(func() { said++; edit(ids[1]) }))
		})
		edit = func(id string) {
			if err := m.Edit(context.Background(), id, func(*core.Session) error { return nil }); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Edit returned %v", err)
			}
		}
		edit(ids[0])
		if said != 1 {
			t.Errorf("it was said %d times", said)
		}
	})
}

// A logFunc is called with each line of a log.
type logFunc func()

func (f logFunc) Enabled(context.Context, slog.Level) bool { return true }

func (f logFunc) Handle(context.Context, slog.Record) error {
	f()
	return nil
}

func (f logFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f logFunc) WithGroup(string) slog.Handler      { return f }

package core_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What is seldom: somebody comes in between two calls of one request, or something
// fails while something else is being dealt with.

// An interrupted store lets somebody in before its calls and after them: the functions
// of a verb are called in turn, each at one call. Where one that comes before returns an
// error, that is the answer.
type interrupted struct {
	store.Store

	mu            sync.Mutex // guards the maps
	before, after map[string][]func() error
}

// next returns the function whose turn it is.
func (s *interrupted) next(of map[string][]func() error, verb string) func() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := of[verb]
	if len(all) == 0 {
		return answers(nil)
	}
	of[verb] = all[1:]
	return all[0]
}

func (s *interrupted) call(verb string, do func() error) error {
	if err := s.next(s.before, verb)(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.next(s.after, verb)()
}

func (s *interrupted) Load(ctx context.Context, id string) (rec store.Record, err error) {
	err = s.call("load", func() (err error) { rec, err = s.Store.Load(ctx, id); return err })
	return rec, err
}

func (s *interrupted) Update(ctx context.Context, old, next store.Record) error {
	return s.call("update", func() error { return s.Store.Update(ctx, old, next) })
}

func (s *interrupted) Remove(ctx context.Context, old store.Record) error {
	return s.call("remove", func() error { return removeFrom(ctx, s.Store, old) })
}

// answers returns a function that is the answer err in place of a call.
func answers(err error) func() error { return func() error { return err } }

// errRefused is what a store answers that did nothing.
var errRefused = &store.Error{Store: "test", Class: "refused", Outcome: store.OutcomeNotApplied}

// increment returns a function that counts in a session in another process.
func increment(t *testing.T, m *core.Manager, cookie string) func() error {
	return func() error {
		s := load(t, m, cookie)
		counter.Update(s, func(n int) int { return n + 1 })
		commit(t, m, s, cookie)
		return nil
	}
}

func TestWhoeverWaitsForTheTurnInVainSaysSo(t *testing.T) {
	for name, do := range map[string]func(m *core.Manager, s *core.Session) error{
		"Renew": func(m *core.Manager, s *core.Session) error {
			_ = s.Renew()
			_, err := m.Commit(context.Background(), s, false)
			return err
		},
		"SignIn": func(m *core.Manager, s *core.Session) error {
			_ = signIn(s)
			_, err := m.Commit(context.Background(), s, false)
			return err
		},
		"Take": func(_ *core.Manager, s *core.Session) error {
			_, err := ticket.Take(context.Background(), s)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := new(mapstore.Store)
				slow := &faultyStore{Store: records}
				m := process(t, &userStore{slow, new(mapstore.Store), records})
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "A1") })
				first, second := load(t, m, cookie), load(t, m, cookie)
				counter.Set(first, 2)
				finish := commitSlowly(t, m, slow, first, cookie)
				if err := do(m, second); !errors.Is(err, store.ErrConflict) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, want ErrConflict", err)
				}
				finish()
			})
		})
	}
}

// A readCounter counts reads, and tells who loses a race what won without one.
type readCounter struct {
	*updateLoader
	loads int
}

func (s *readCounter) Load(ctx context.Context, id string) (store.Record, error) {
	s.loads++
	return s.Store.Load(ctx, id)
}

func TestALostRaceCostsNoReadWhereTheStoreTellsWhatWon(t *testing.T) {
	for name, do := range map[string]func(m *core.Manager, s *core.Session) error{
		"a change": func(m *core.Manager, s *core.Session) error {
			counter.Update(s, func(n int) int { return n + 1 })
			return s.Save(context.Background())
		},
		"Renew": func(m *core.Manager, s *core.Session) error {
			_ = s.Renew()
			return s.Save(context.Background())
		},
		"Take": func(_ *core.Manager, s *core.Session) error {
			_, err := ticket.Take(context.Background(), s)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			records := new(mapstore.Store)
			st := &readCounter{updateLoader: &updateLoader{records}}
			m, other := process(t, st), process(t, records)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "A1") })
			s := load(t, m, cookie)
			_ = increment(t, other, cookie)()
			st.loads = 0
			if err := do(m, s); err != nil || st.loads != 0 {
				t.Errorf("%d reads, %v", st.loads, err)
			}
		})
	}
}

// A busyStore has always something newer than what a request wants to replace.
type busyStore struct{ store.Store }

func (busyStore) Update(context.Context, store.Record, store.Record) error {
	time.Sleep(time.Second)
	return store.ErrConflict
}

func TestACommitThatLosesEachRaceGivesUpWithErrConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, busyStore{new(mapstore.Store)})
		s := load(t, m, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }))
		counter.Set(s, 2)
		began := time.Now()
		_, err := m.Commit(context.Background(), s, false)
		if took := time.Since(began); !errors.Is(err, store.ErrConflict) || took != 5*time.Second {
			t.Errorf("after %v: %v, want ErrConflict at StoreTimeout", took, err)
		}
	})
}

// What won a race may be gone, or not to be had, when the loser looks for it.
func TestWhatWonARaceCannotBeLoaded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(st store.Store, id string) error // the read
		status int
	}{
		{"it has ended", func(st store.Store, id string) error { return st.Delete(context.Background(), id) }, http.StatusConflict},
		{"the store is down", func(store.Store, string) error { return errRefused }, http.StatusServiceUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			records := new(mapstore.Store)
			st := &interrupted{Store: records}
			m, other := process(t, st), process(t, records)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m, cookie)
			id := s.ID()
			st.before = map[string][]func() error{
				"update": {increment(t, other, cookie)},
				"load":   {func() error { return tt.before(records, id) }},
			}
			counter.Set(s, 5)
			if _, err := m.Commit(t.Context(), s, false); err == nil || core.HTTPStatus(err) != tt.status {
				t.Errorf("%v, want status %d", err, tt.status)
			}
		})
	}
}

// generated has ids given out in that order.
func generated(ids ...string) func(c *core.Config) {
	return func(c *core.Config) {
		c.GenerateID = func(*http.Request) (string, error) { //nolint:unparam // the type of GenerateID
			id := ids[0]
			ids = ids[1:]
			return id, nil
		}
	}
}

func TestEachNewIDHasItsOwnAttempts(t *testing.T) {
	const taken, one, two = "0123456789abcdef-0", "0123456789abcdef-1", "0123456789abcdef-2"
	m := process(t, new(mapstore.Store), generated(taken, taken, taken, one, taken, taken, two))
	visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	s := load(t, m, "")
	counter.Set(s, 2)
	for _, want := range []string{one, two} {
		if err := s.Save(t.Context()); err != nil || s.ID() != want {
			t.Fatalf("saved as %q: %v, want %q", s.ID(), err, want)
		}
		if want == one {
			_ = s.Renew()
		}
	}
}

func TestAnIDThatWasToldAndIsInUseIsAnotherInTheEnd(t *testing.T) {
	const taken, other = "0123456789abcdef-0", "0123456789abcdef-1"
	m := process(t, new(mapstore.Store), generated(taken, taken, other))
	visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	s := load(t, m, "")
	if id := s.ID(); id != taken {
		t.Fatalf("the id is %q", id)
	}
	counter.Set(s, 2)
	if err := s.Save(t.Context()); err != nil || s.ID() != other {
		t.Errorf("saved as %q: %v", s.ID(), err)
	}
}

func TestARenewalOfNobodysSessionConcernsNoList(t *testing.T) {
	st := newUserStore()
	index := observed(st.index)
	st.index = index
	m := process(t, st)
	moved(t, m, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }), renew)
	if got := index.verbs(); got != "" {
		t.Errorf("the lists were asked to %s", got)
	}
}

// A sign-in goes on from what another process made of the session meanwhile, as often
// as that happens, and ends where somebody revokes what it has stored by then.
func TestASignInWhoseSessionIsChangedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name     string
		revoked  bool
		refusals []func() error // before the third write
		want     error
	}{
		{name: "twice"},
		{name: "and revoked", revoked: true, want: core.ErrRevoked},
		{name: "and the store fails", refusals: []func() error{answers(errRefused)}, want: errRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := newUserStore()
			between := &interrupted{Store: st.sessions}
			st.Store = between
			m, other := process(t, st), process(t, st.sessions)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			changes := increment(t, other, cookie)
			steps := []func() error{changes, answers(nil), changes, answers(nil)} // the old id, the new record, the old id, ...
			switch {
			case tt.revoked:
				steps[1] = func() error { return process(t, st).RevokeUser(t.Context(), "ada") }
			case tt.refusals != nil:
				steps[1] = tt.refusals[0]
			}
			s := load(t, m, cookie)
			_ = signIn(s)
			between.before = map[string][]func() error{"update": steps}
			header, err := m.Commit(t.Context(), s, false)
			between.before = nil
			if !errors.Is(err, tt.want) {
				t.Fatalf("Commit: %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				old := load(t, m, cookie)
				if n := live(st.sessions); n != 1 || old.User() != "" || counter.Get(old) != 2 {
					t.Errorf("%d sessions, the one that was there of %q with %d", n, old.User(), counter.Get(old))
				}
				return
			}
			now := load(t, m, browser(t, header, cookie))
			if n := live(st.sessions); n != 1 || now.User() != "ada" || counter.Get(now) != 3 {
				t.Errorf("%d sessions, the new one of %q with %d, want one of ada with all changes", n, now.User(), counter.Get(now))
			}
		})
	}
}

func TestASignInAtTheLimitFailsWithTheStore(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(st *userStore) store.Store
	}{
		{"that cannot tell who lives", func(st *userStore) store.Store { return blindStore{st} }},
		{"that cannot delete", func(st *userStore) store.Store {
			st.Store = &undeletable{st.sessions}
			return st
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := newUserStore()
			limit := func(c *core.Config) { c.MaxSessionsPerUser = 1 }
			ada(t, process(t, st, limit))
			m := process(t, tt.fail(st), limit)
			s := load(t, m, "")
			_ = signIn(s)
			if _, err := m.Commit(t.Context(), s, false); core.HTTPStatus(err) != http.StatusServiceUnavailable {
				t.Errorf("Commit: %v", err)
			}
		})
	}
}

// A blindStore cannot look at several records.
type blindStore struct{ *userStore }

func (blindStore) Inspect(context.Context, []string) ([]store.Record, error) { return nil, errRefused }

// An undeletable store deletes nothing.
type undeletable struct{ store.Store }

func (undeletable) Delete(context.Context, string) error { return errRefused }

// The bound of a list is told of only where it is what a user has run into.
func TestTheBoundOfAListIsNotBlamedForTheAppsLimit(t *testing.T) {
	for _, most := range []int{0, 1} {
		var log stageLog
		m := process(t, newUserStore(), func(c *core.Config) {
			c.MaxSessionsPerUser, c.Logger = most, slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 3 {
			ada(t, m)
		}
		if log.count("which is the most there can be") != 0 {
			t.Errorf("with a limit of %d: %s", most, log.String())
		}
	}
}

func TestSignOutAfterTheSessionCannotEndAnyMore(t *testing.T) {
	st := &faultyStore{Store: new(mapstore.Store)}
	m := process(t, st, func(c *core.Config) { c.ServeAnonymously = func(*http.Request, error) bool { return true } })
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })

	st.down(errRefused)
	if err := load(t, m, cookie).SignOut(t.Context()); !errors.Is(err, core.ErrDegraded) {
		t.Errorf("of a session that could not be loaded: %v, want ErrDegraded", err)
	}
	st.heal()

	s := load(t, m, cookie)
	for _, end := range []func(context.Context) error{s.Destroy, s.SignOut} {
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(t.Context()); !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("after Destroy and SignOut, Save returns %v: Destroy leaves no empty session", err)
	}
}

func TestALogoutAfterOtherVerbsOfTheSameRequest(t *testing.T) {
	for name, before := range map[string]func(s *core.Session) error{
		"a change that was saved": func(s *core.Session) error { counter.Set(s, 2); return s.Save(context.Background()) },
		"a renewal that was saved": func(s *core.Session) error {
			_ = s.Renew()
			return s.Save(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			records := new(mapstore.Store)
			m := process(t, records)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			w := serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				if err := errors.Join(before(s), s.SignOut(r.Context())); err != nil {
					t.Error(err)
				}
				colour.Set(s, "white")
			})
			s := load(t, m, browser(t, w.Header().Get("Set-Cookie"), ""))
			if n := live(records); n != 1 || w.Code != http.StatusOK || colour.Get(s) != "white" || s.Has("counter") {
				t.Errorf("status %d, %d sessions, of which the new one has the colour %q", w.Code, n, colour.Get(s))
			}
		})
	}
}

// logout lets a request with these cookies log out, and returns how it was answered and
// what SignOut returned.
func logout(t *testing.T, m *core.Manager, cookies ...string) (status int, err error) {
	w := serve(m, together(t, cookies), func(_ http.ResponseWriter, r *http.Request) {
		err = core.FromContext(r.Context()).SignOut(r.Context())
	})
	return w.Code, err
}

func TestALogoutWithADuplicateThatIsNotToBeHad(t *testing.T) {
	one := func(s *core.Session) { counter.Set(s, 1) }
	t.Run("it cannot be decoded", func(t *testing.T) {
		records := new(mapstore.Store)
		m := process(t, records)
		cookie, damaged := visitor(t, m, one), visitor(t, m, one)
		id := load(t, m, damaged).ID()
		for _, rec := range records.Records() {
			if rec.ID == id {
				_ = records.Update(t.Context(), rec, store.Record{ID: id, Data: []byte("{"), TTL: time.Hour})
			}
		}
		if status, err := logout(t, m, cookie, damaged); err != nil || status != http.StatusOK {
			t.Errorf("status %d, %v", status, err)
		}
	})
	t.Run("the store does not load it", func(t *testing.T) {
		records := new(mapstore.Store)
		st := &interrupted{Store: records}
		m := process(t, st)
		cookie, other := visitor(t, m, one), visitor(t, m, one)
		st.before = map[string][]func() error{"load": {answers(nil), answers(errRefused)}}
		if status, err := logout(t, m, cookie, other); !errors.Is(err, errRefused) || status != http.StatusOK || live(records) != 0 {
			t.Errorf("status %d with %d sessions left, and SignOut returned %v", status, live(records), err)
		}
	})
	t.Run("it is renewed meanwhile", func(t *testing.T) {
		records := new(mapstore.Store)
		st := &interrupted{Store: records}
		m, elsewhere := process(t, st), process(t, records)
		cookie, other := visitor(t, m, one), visitor(t, m, one)
		renewed := func() error { moved(t, elsewhere, other, renew); return nil }
		st.after = map[string][]func() error{"load": {answers(nil), renewed}}
		if status, err := logout(t, m, cookie, other); err != nil || status != http.StatusOK {
			t.Errorf("status %d, %v", status, err)
		}
		if n := live(records); n != 0 {
			t.Errorf("%d sessions live", n)
		}
	})
}

// Who comes with so many stale cookies that their session is not found has it ended
// all the same, which is told, and nothing where there was none.
func TestALogoutTellsOfASessionThatWasBehindStaleCookies(t *testing.T) {
	for _, lives := range []bool{true, false} {
		log := &diary{}
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.Observer = log })
		var cookies []string
		for range 4 {
			cookies = append(cookies, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }))
		}
		for i, c := range cookies {
			if i == 3 && lives {
				break
			}
			if err := load(t, m, c).Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		log.took()
		if status, err := logout(t, m, cookies...); err != nil || status != http.StatusOK {
			t.Errorf("status %d, %v", status, err)
		}
		if n := log.destroyed(); n != map[bool]int{true: 1}[lives] {
			t.Errorf("%d events that a session was destroyed, where one lived: %v", n, lives)
		}
	}
}

// An id that this process gave up is unknown later, and not one that has expired.
func TestWhatWasEndedHasNotExpired(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, m *core.Manager, cookie string){
		"Destroy": func(t *testing.T, m *core.Manager, cookie string) { _ = load(t, m, cookie).Destroy(t.Context()) },
		"Renew":   func(t *testing.T, m *core.Manager, cookie string) { moved(t, m, cookie, renew) },
		"RevokeUser": func(t *testing.T, m *core.Manager, _ string) {
			if err := m.RevokeUser(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := map[core.EventKind]int{}
				m := process(t, newUserStore(), func(c *core.Config) {
					c.IdleTimeout, c.TouchInterval = time.Hour, 30*time.Minute
					c.Observer = observerFunc(func(e core.Event) { told[e.Kind]++ })
				})
				cookie := ada(t, m)
				time.Sleep(20 * time.Minute)
				end(t, m, cookie)
				time.Sleep(45 * time.Minute)
				clear(told)
				load(t, m, cookie)
				if told[core.EventExpired] != 0 || told[core.EventUnknown] != 1 {
					t.Errorf("the Observer was told %v", told)
				}
			})
		})
	}
}

func TestATouchThatFailsIsNoSuccess(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(t *testing.T, st *faultyStore, id string)
		want error
	}{
		{"the store is down", func(_ *testing.T, st *faultyStore, _ string) { st.failOnce("touch", outage{err: errRefused}) }, errRefused},
		{"the session has ended", func(t *testing.T, st *faultyStore, id string) { _ = st.Store.Delete(t.Context(), id) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := &faultyStore{Store: new(mapstore.Store)}
			m := process(t, st)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m, cookie)
			s.Touch()
			tt.fail(t, st, s.ID())
			if header, err := m.Commit(t.Context(), s, false); !errors.Is(err, tt.want) || header != "" {
				t.Errorf("Set-Cookie %q, %v, want %v", header, err, tt.want)
			}
		})
	}
}

// An extension that failed fails also the first request that a process gets of a
// session, and whatever ServeAnonymously says, one that wanted something stored.
func TestAnExtensionThatFailedFailsWhoeverWantsSomething(t *testing.T) {
	const age = 2 * time.Hour
	renews := func(m *core.Manager, s *core.Session) error {
		_ = s.Renew()
		_, err := m.Commit(context.Background(), s, false)
		return err
	}
	for _, tt := range []struct {
		name        string
		anonymously bool
		do          func(m *core.Manager, s *core.Session) error
	}{
		{"a read", false, func(m *core.Manager, s *core.Session) error {
			_, err := m.Commit(context.Background(), s, false)
			return err
		}},
		{"Renew", true, renews},
		{"Save with the max age that it has", true, func(_ *core.Manager, s *core.Session) error {
			_ = s.SetMaxAge(age)
			return s.Save(context.Background())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			records := new(mapstore.Store)
			cookie := visitor(t, process(t, records), func(s *core.Session) { counter.Set(s, 1); _ = s.SetMaxAge(age) })
			st := &faultyStore{Store: records}
			m := process(t, st, func(c *core.Config) {
				c.TouchInterval = core.EveryRequest
				c.ServeAnonymously = func(*http.Request, error) bool { return tt.anonymously }
			})
			st.failOnce("touch", outage{err: errRefused})
			if err := tt.do(m, load(t, m, cookie)); !errors.Is(err, errRefused) {
				t.Errorf("%v, want the error of the extension", err)
			}
		})
	}
}

func TestTheMaxAgeThatASessionHasIsNotWrittenAgain(t *testing.T) {
	st := observed(new(mapstore.Store))
	m := process(t, st)
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); _ = s.SetMaxAge(time.Hour) })
	s := load(t, m, cookie)
	_ = s.SetMaxAge(time.Hour)
	st.took()
	commit(t, m, s, cookie)
	if got := st.verbs(); strings.Contains(got, "update") {
		t.Errorf("the store was asked to %s", got)
	}
}

// Update leaves what another request may take as well, so that Take of its result
// takes it from the store.
func TestTakeOfWhatUpdateMade(t *testing.T) {
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { ticket.Set(s, "A1") })
	first, second := load(t, m, cookie), load(t, m, cookie)
	stamp := func(v string) string { return v + " stamped" }
	for _, s := range []*core.Session{first, second} {
		ticket.Update(s, stamp)
	}
	if got, err := ticket.Take(t.Context(), first); got != "A1 stamped" || err != nil {
		t.Errorf("the first one took %q, %v", got, err)
	}
	if got, _ := ticket.Take(t.Context(), second); strings.Contains(got, "A1") {
		t.Errorf("the second one took %q as well", got)
	}
	commit(t, m, first, cookie)
	commit(t, m, second, cookie)
	if got := load(t, m, cookie); got.Has("ticket") {
		t.Errorf("after both were taken the session has %q", ticket.Get(got))
	}
}

func TestAnAttemptOfASessionThatHasEndedIsRefused(t *testing.T) {
	m := process(t, newUserStore())
	s := load(t, m, ada(t, m))
	attempt, err := s.BeginSignIn(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := attempt.SignIn(t.Context()); !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("SignIn: %v, want ErrSessionGone", err)
	}
}

// A namelessStore returns records that do not say which they are.
type namelessStore struct{ store.Store }

func (s namelessStore) Load(ctx context.Context, id string) (store.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	rec.ID = ""
	return rec, err
}

func TestARecordNeedsNoName(t *testing.T) {
	m := process(t, namelessStore{new(mapstore.Store)}, func(c *core.Config) { c.SealKeys = []string{strings.Repeat("k", 32)} })
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	for range 2 {
		s := load(t, m, cookie)
		counter.Update(s, func(n int) int { return n + 1 })
		commit(t, m, s, cookie)
	}
	if got := counter.Get(load(t, m, cookie)); got != 3 {
		t.Errorf("counter is %d, want 3", got)
	}
}

func TestAVisitorWithNoChangesIsNotSaidToHaveLostSome(t *testing.T) {
	var log stageLog
	m := process(t, new(mapstore.Store), func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, tt := range []struct {
		do    func(s *core.Session)
		lines int
	}{
		{func(s *core.Session) { counter.Get(s) }, 0},
		{func(s *core.Session) { counter.Set(s, 1) }, 1},
	} {
		r := requestWith(t.Context(), "")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		serve(m, r, func(_ http.ResponseWriter, r *http.Request) { tt.do(core.FromContext(r.Context())) })
		if n := log.count("changes were not stored"); n != tt.lines {
			t.Errorf("%d lines, want %d: %s", n, tt.lines, log.String())
		}
	}
}

func TestSaveAfterRenewWritesEachRecordOnce(t *testing.T) {
	st := observed(new(mapstore.Store))
	m := process(t, st)
	s := load(t, m, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }))
	st.took()
	_ = s.Renew()
	if err := s.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := st.took(); len(got) != 2 || got[0].id == got[1].id {
		t.Errorf("the store was called %d times: %v", len(got), got)
	}
}

func TestACommitThatFailedFailsAgainWithoutTheStore(t *testing.T) {
	st := observed(new(mapstore.Store))
	m := process(t, st)
	s := load(t, m, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }))
	counter.Set(s, 2)
	st.failWith("update", errRefused)
	for _, calls := range []int{1, 0} {
		st.took()
		if _, err := m.Commit(t.Context(), s, false); !errors.Is(err, errRefused) {
			t.Errorf("Commit: %v", err)
		}
		if n := len(st.took()); n != calls {
			t.Errorf("the store was called %d times, want %d", n, calls)
		}
	}
}

// A list that is put right beside a request is right when its response begins.
func TestAListIsPutRightBeforeTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, near := newUserStore(), new(mapstore.Store)
		st.index = distantStore{near}
		m := process(t, st, func(c *core.Config) { c.IdleTimeout = time.Hour })
		cookie := ada(t, m)
		for _, rec := range near.Records() {
			_ = near.Delete(t.Context(), rec.ID)
		}
		healed := 0
		for range 3 {
			time.Sleep(50 * time.Minute)
			s := load(t, m, cookie)
			commit(t, m, s, cookie)
			before := len(near.Records())
			synctest.Wait()
			time.Sleep(time.Minute)
			if before == 0 && len(near.Records()) > 0 {
				t.Error("the list was written after the response")
			}
			healed += before
		}
		if healed == 0 {
			t.Error("the list was never put right")
		}
	})
}

package core_test

import (
	"context"
	"errors"
	"fmt"
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

// These tests are about what concurrent requests and failing stores do to a
// session: guarantees G1 (no lost update), G2 (logout is final), G3 (no false
// OK) and G6 (an outage is an outage). Each Manager stands for a process.

const testSecret = "0123456789abcdef0123456789abcdef"

const (
	counter core.Key[int]    = "counter"
	colour  core.Key[string] = "colour"
	shape   core.Key[string] = "shape"
	ticket  core.Key[string] = "ticket"
)

// process returns a Manager on a store.
func process(t testing.TB, st store.Store, change ...func(*core.Config)) *core.Manager {
	t.Helper()
	cfg := core.Config{Store: st, Secrets: []string{testSecret}}
	for _, c := range change {
		c(&cfg)
	}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// load is what happens at the beginning of a request with that cookie.
func load(t testing.TB, m *core.Manager, cookie string) *core.Session {
	t.Helper()
	s, err := m.Load(context.Background(), cookie)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return s
}

// commit is what happens when its response begins. It returns the cookie that
// the browser has afterwards.
func commit(t testing.TB, m *core.Manager, s *core.Session, cookie string) string {
	t.Helper()
	header, err := m.Commit(context.Background(), s, false)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return browser(t, header, cookie)
}

// browser returns the cookie that a browser which had cookie has after a
// response with that Set-Cookie header.
func browser(t testing.TB, header, cookie string) string {
	t.Helper()
	if header == "" {
		return cookie
	}
	c, err := http.ParseSetCookie(header)
	if err != nil {
		t.Fatalf("Set-Cookie %q: %v", header, err)
	}
	if c.MaxAge < 0 {
		return ""
	}
	return c.Value
}

// visitor returns the cookie of a new session that holds what fill put there.
func visitor(t testing.TB, m *core.Manager, fill func(*core.Session)) string {
	t.Helper()
	s := load(t, m, "")
	fill(s)
	return commit(t, m, s, "")
}

func TestConcurrentChangesOfDifferentKeysBothLand(t *testing.T) {
	for _, stores := range []struct {
		name string
		wrap func(store.Store) store.Store
	}{
		{"a store with the five verbs", func(s store.Store) store.Store { return s }},
		{"a store that brings the newest record along", func(s store.Store) store.Store { return &updateLoader{Store: s} }},
	} {
		t.Run(stores.name, func(t *testing.T) {
			st := stores.wrap(new(mapstore.Store))
			m1, m2 := process(t, st), process(t, st)
			cookie := visitor(t, m1, func(s *core.Session) { counter.Set(s, 1) })

			s1, s2 := load(t, m1, cookie), load(t, m2, cookie)
			colour.Set(s1, "red")
			shape.Set(s2, "round")
			counter.Delete(s2)
			commit(t, m1, s1, cookie)
			commit(t, m2, s2, cookie)

			s := load(t, m1, cookie)
			if got := fmt.Sprint(colour.Get(s), shape.Get(s), s.Has("counter")); got != "redroundfalse" {
				t.Errorf("colour, shape, counter: %v", got)
			}
			if got := fmt.Sprint(colour.Get(s2), shape.Get(s2)); got != "redround" {
				t.Errorf("the request that lost the race sees %v after its commit", got)
			}
		})
	}
}

func TestConcurrentSetsOfOneKeyLastCommitWins(t *testing.T) {
	st := new(mapstore.Store)
	m1, m2 := process(t, st), process(t, st)
	cookie := visitor(t, m1, func(s *core.Session) { colour.Set(s, "white") })
	s1, s2 := load(t, m1, cookie), load(t, m2, cookie)
	colour.Set(s1, "red")
	colour.Set(s2, "blue")
	commit(t, m2, s2, cookie)
	commit(t, m1, s1, cookie)
	if got := colour.Get(load(t, m1, cookie)); got != "red" {
		t.Errorf("colour is %q, want red, which was committed last", got)
	}
}

func TestClearKeepsWhatOthersAddNothing(t *testing.T) {
	st := new(mapstore.Store)
	m1, m2 := process(t, st), process(t, st)
	cookie := visitor(t, m1, func(s *core.Session) { colour.Set(s, "white") })
	s1, s2 := load(t, m1, cookie), load(t, m2, cookie)
	shape.Set(s2, "round")
	s1.Clear()
	ticket.Set(s1, "A1")
	commit(t, m2, s2, cookie)
	commit(t, m1, s1, cookie)
	s := load(t, m1, cookie)
	if s.Has("colour") || s.Has("shape") || ticket.Get(s) != "A1" {
		t.Errorf("after Clear and Set the session has colour %v, shape %v, ticket %q", s.Has("colour"), s.Has("shape"), ticket.Get(s))
	}
}

// The run that guarantee G1 is stated with.
//
// Standards: ASVS-15.4.2
func TestNoIncrementIsLost(t *testing.T) {
	const processes, clients, increments = 3, 64, 50
	st := new(mapstore.Store)
	var managers []*core.Manager
	var replays atomic.Int64
	for range processes {
		managers = append(managers, process(t, st, func(c *core.Config) {
			c.StoreTimeout = time.Minute
			c.Observer = observerFunc(func(e core.Event) {
				if e.Kind == core.EventReplayed {
					replays.Add(1)
				}
			})
		}))
	}
	cookie := visitor(t, managers[0], func(s *core.Session) { colour.Set(s, "white") })
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			m := managers[client%processes]
			for range increments {
				s := load(t, m, cookie)
				counter.Update(s, func(n int) int { return n + 1 })
				if _, err := m.Commit(context.Background(), s, false); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := counter.Get(load(t, managers[0], cookie)); got != clients*increments {
		t.Errorf("counter is %d, want %d", got, clients*increments)
	}
	t.Logf("%d increments, %d replays", clients*increments, replays.Load())
}

func TestUpdateStartsFromTheNewestValue(t *testing.T) {
	st := new(mapstore.Store)
	m1, m2 := process(t, st), process(t, st)
	cookie := visitor(t, m1, func(s *core.Session) { counter.Set(s, 10) })

	s1 := load(t, m1, cookie)
	if got := counter.Update(s1, func(n int) int { return n + 1 }); got != 11 {
		t.Errorf("Update returned %d, want 11", got)
	}
	counter.Update(s1, func(n int) int { return n * 2 })
	s2 := load(t, m2, cookie)
	counter.Set(s2, 100)
	commit(t, m2, s2, cookie)
	commit(t, m1, s1, cookie)
	if got := counter.Get(load(t, m1, cookie)); got != 202 {
		t.Errorf("counter is %d, want (100+1)*2", got)
	}
}

func TestUpdateOfAValueThatBecameUndecodableFailsTheCommit(t *testing.T) {
	st := new(mapstore.Store)
	m1, m2 := process(t, st), process(t, st)
	cookie := visitor(t, m1, func(s *core.Session) { counter.Set(s, 10) })
	s1, s2 := load(t, m1, cookie), load(t, m2, cookie)
	counter.Update(s1, func(n int) int { return n + 1 })
	s2.Set("counter", "ten")
	commit(t, m2, s2, cookie)
	_, err := m1.Commit(context.Background(), s1, false)
	var keyError *core.KeyError
	if !errors.As(err, &keyError) || keyError.Key != "counter" {
		t.Errorf("Commit returned %v, want a KeyError for counter", err)
	}
	if got := load(t, m1, cookie).Get("counter"); got != "ten" {
		t.Errorf("counter is %v, want it unchanged", got)
	}
}

// Standards: ASVS-7.4.1
func TestARequestThatWasTooLateDoesNotBringASessionBack(t *testing.T) {
	type ended struct {
		name string
		by   func(*core.Session) error
	}
	for _, end := range []ended{
		{"destroyed", func(s *core.Session) error { return s.Destroy(context.Background()) }},
		{"renewed", (*core.Session).Renew},
		{"regenerated", (*core.Session).Regenerate},
	} {
		t.Run(end.name, func(t *testing.T) {
			st := new(mapstore.Store)
			m1, m2 := process(t, st), process(t, st)
			for _, late := range []struct {
				name string
				m    *core.Manager
			}{{"in the same process", m1}, {"in another process", m2}} {
				t.Run(late.name, func(t *testing.T) {
					cookie := visitor(t, m1, func(s *core.Session) { colour.Set(s, "white") })
					writer, reader := load(t, late.m, cookie), load(t, late.m, cookie)
					destroyer, renewer := load(t, late.m, cookie), load(t, late.m, cookie)
					s := load(t, m1, cookie)
					if err := end.by(s); err != nil {
						t.Fatal(err)
					}
					newer := commit(t, m1, s, cookie)

					colour.Set(writer, "red")
					if header, err := late.m.Commit(context.Background(), writer, false); !errors.Is(err, core.ErrSessionGone) || header != "" {
						t.Errorf("a late change: Set-Cookie %q, error %v; want none and ErrSessionGone", header, err)
					}
					if header, err := late.m.Commit(context.Background(), reader, false); err != nil || header != "" {
						t.Errorf("a late read: Set-Cookie %q, error %v; want neither", header, err)
					}
					if err := renewer.Renew(); err != nil {
						t.Fatal(err)
					}
					if header, err := late.m.Commit(context.Background(), renewer, false); !errors.Is(err, core.ErrSessionGone) || header != "" {
						t.Errorf("a late Renew: Set-Cookie %q, error %v; want none and ErrSessionGone", header, err)
					}
					if got := load(t, m1, cookie).Status(); got != core.StatusUnknown {
						t.Errorf("the old cookie is %v, want unknown", got)
					}
					if newer != "" {
						if got := load(t, m1, newer).Status(); got != core.StatusLoaded {
							t.Errorf("the new cookie is %v, want loaded", got)
						}
					}
					if err := destroyer.Destroy(context.Background()); err != nil {
						t.Errorf("a late Destroy: %v", err)
					}
				})
			}
		})
	}
}

func TestAVisitorWithARetiredIDIsAnonymousAndGetsNoCookie(t *testing.T) {
	st := new(mapstore.Store)
	m := process(t, st)
	cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
	s := load(t, m, cookie)
	if err := s.Renew(); err != nil {
		t.Fatal(err)
	}
	commit(t, m, s, cookie)

	s = load(t, m, cookie)
	if s.Has("colour") || s.Status() != core.StatusUnknown {
		t.Errorf("status %v, colour %v; want an anonymous visitor", s.Status(), s.Has("colour"))
	}
	if header, err := m.Commit(context.Background(), s, false); header != "" || err != nil {
		t.Errorf("Set-Cookie %q, error %v for a read; want neither", header, err)
	}
	s = load(t, m, cookie)
	colour.Set(s, "red")
	if header, err := m.Commit(context.Background(), s, false); header != "" || !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("Set-Cookie %q, error %v for a change; want none and ErrSessionGone", header, err)
	}
}

func TestRenewKeepsTheDataAndRegenerateDropsIt(t *testing.T) {
	for _, stores := range []struct {
		name string
		wrap func(store.Store) store.Store
	}{
		{"in two steps", func(s store.Store) store.Store { return s }},
		{"in one step", func(s store.Store) store.Store { return &replacer{Store: s} }},
	} {
		t.Run(stores.name, func(t *testing.T) {
			records := new(mapstore.Store)
			m := process(t, stores.wrap(records))
			cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })

			s := load(t, m, cookie)
			if err := s.Renew(); err != nil {
				t.Fatal(err)
			}
			shape.Set(s, "round")
			next := s.ID()
			renewed := commit(t, m, s, cookie)
			if renewed == cookie || s.ID() != next || !strings.Contains(renewed, next) {
				t.Error("Renew did not set the cookie of the next id")
			}
			s = load(t, m, renewed)
			if colour.Get(s) != "white" || shape.Get(s) != "round" {
				t.Errorf("after Renew colour is %q and shape %q", colour.Get(s), shape.Get(s))
			}

			shape.Set(s, "lost")
			if err := s.Regenerate(); err != nil {
				t.Fatal(err)
			}
			ticket.Set(s, "A1")
			regenerated := commit(t, m, s, renewed)
			s = load(t, m, regenerated)
			if s.Has("colour") || s.Has("shape") || ticket.Get(s) != "A1" {
				t.Errorf("after Regenerate colour %v, shape %v, ticket %q", s.Has("colour"), s.Has("shape"), ticket.Get(s))
			}
			if n := live(records); n != 1 {
				t.Errorf("%d live sessions, want 1", n)
			}
		})
	}
}

func TestRenewLosesNoChangeOfAnotherRequest(t *testing.T) {
	for _, stores := range []struct {
		name string
		wrap func(store.Store) store.Store
	}{
		{"in two steps", func(s store.Store) store.Store { return s }},
		{"in one step", func(s store.Store) store.Store { return &replacer{Store: s} }},
	} {
		t.Run(stores.name, func(t *testing.T) {
			records := new(mapstore.Store)
			st := stores.wrap(records)
			m1, m2 := process(t, st), process(t, st)
			cookie := visitor(t, m1, func(s *core.Session) { counter.Set(s, 1) })
			s1, s2 := load(t, m1, cookie), load(t, m2, cookie)
			counter.Update(s1, func(n int) int { return n + 1 })
			if err := s1.Renew(); err != nil {
				t.Fatal(err)
			}
			counter.Update(s2, func(n int) int { return n + 10 })
			commit(t, m2, s2, cookie)
			renewed := commit(t, m1, s1, cookie)
			if got := counter.Get(load(t, m1, renewed)); got != 12 {
				t.Errorf("counter is %d, want 12", got)
			}
			if n := live(records); n != 1 {
				t.Errorf("%d live sessions, want 1", n)
			}
		})
	}
}

// Standards: ASVS-7.2.4
func TestOfManyRenewalsOfOneSessionOneWins(t *testing.T) {
	st := new(mapstore.Store)
	managers := []*core.Manager{process(t, st), process(t, st), process(t, st)}
	cookie := visitor(t, managers[0], func(s *core.Session) { colour.Set(s, "white") })
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 30 {
		s := load(t, managers[i%3], cookie)
		if err := s.Renew(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			header, err := managers[i%3].Commit(context.Background(), s, false)
			switch {
			case err == nil && header != "":
				won.Add(1)
			case !errors.Is(err, core.ErrSessionGone) || header != "":
				t.Errorf("Set-Cookie %q, error %v", header, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d renewals won, want 1", won.Load())
	}
	if n := live(st); n != 1 {
		t.Errorf("%d live sessions, want 1", n)
	}
}

// Standards: ASVS-15.4.2
func TestTakeGivesAValueToExactlyOne(t *testing.T) {
	st := new(mapstore.Store)
	managers := []*core.Manager{process(t, st), process(t, st), process(t, st)}
	cookie := visitor(t, managers[0], func(s *core.Session) { ticket.Set(s, "A1"); counter.Set(s, 0) })
	var got atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		s := load(t, managers[i%3], cookie)
		wg.Go(func() {
			counter.Update(s, func(n int) int { return n + 1 })
			value, err := ticket.Take(context.Background(), s)
			if err != nil && !errors.Is(err, core.ErrAbsent) {
				t.Errorf("Take: %v", err)
			}
			if err == nil {
				got.Add(1)
				if value != "A1" {
					t.Errorf("Take returned %q", value)
				}
			}
			if ticket.Get(s) != "" {
				t.Error("the value is still there after Take")
			}
			if _, err := managers[i%3].Commit(context.Background(), s, false); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d requests got the value, want 1", got.Load())
	}
	s := load(t, managers[0], cookie)
	if s.Has("ticket") || counter.Get(s) != 100 {
		t.Errorf("ticket %v, counter %d; want the other changes of all requests", s.Has("ticket"), counter.Get(s))
	}
}

func TestTake(t *testing.T) {
	ctx := context.Background()
	newSession := func(t *testing.T, m *core.Manager) *core.Session { return load(t, m, "") }
	stored := func(t *testing.T, m *core.Manager) *core.Session {
		return load(t, m, visitor(t, m, func(s *core.Session) { ticket.Set(s, "A1"); s.Set("list", []int{1}) }))
	}
	for _, tt := range []struct {
		name string
		open func(*testing.T, *core.Manager) *core.Session
		do   func(*core.Session)
		want string
		err  error
	}{
		{"of a value that was just set", newSession, func(s *core.Session) { ticket.Set(s, "B2") }, "B2", nil},
		{"of nothing in a new session", newSession, func(*core.Session) {}, "", core.ErrAbsent},
		{"of a stored value", stored, func(*core.Session) {}, "A1", nil},
		{"of a stored value that this request replaced", stored, func(s *core.Session) { ticket.Set(s, "B2") }, "B2", nil},
		{"of a stored value that this request updated", stored, func(s *core.Session) {
			ticket.Update(s, func(v string) string { return v + "!" })
		}, "A1!", nil},
		{"of a value that this request deleted", stored, func(s *core.Session) { ticket.Delete(s) }, "", core.ErrAbsent},
		{"after Clear", stored, func(s *core.Session) { s.Clear() }, "", core.ErrAbsent},
		{"after Regenerate", stored, func(s *core.Session) { _ = s.Regenerate() }, "", core.ErrAbsent},
		{"of a destroyed session", stored, func(s *core.Session) { _ = s.Destroy(ctx) }, "", core.ErrSessionGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := process(t, new(mapstore.Store))
			s := tt.open(t, m)
			tt.do(s)
			got, err := ticket.Take(ctx, s)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Take returned %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
			if s.Has("ticket") {
				t.Error("the value is still there")
			}
		})
	}

	t.Run("of a value of another type", func(t *testing.T) {
		m := process(t, new(mapstore.Store))
		v, err := core.Key[int]("list").Take(ctx, stored(t, m))
		var keyError *core.KeyError
		if v != 0 || !errors.As(err, &keyError) {
			t.Errorf("Take returned %d, %v; want a KeyError", v, err)
		}
	})
	t.Run("of a session that ended meanwhile", func(t *testing.T) {
		st := new(mapstore.Store)
		m := process(t, st)
		s := stored(t, m)
		if err := m.Edit(ctx, s.ID(), func(s *core.Session) error { return s.Destroy(ctx) }); err != nil {
			t.Fatal(err)
		}
		if _, err := ticket.Take(ctx, s); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Take returned %v, want ErrSessionGone", err)
		}
	})
}

// An outage is one of the ways in which a call of the store fails.
type outage struct {
	name    string
	applied bool  // the call takes effect all the same
	err     error // what it returns
}

var outages = []outage{
	{"the reply is lost", true, errors.New("connection reset")},
	{"the command is lost", false, errors.New("connection reset")},
	{"the store says that nothing was applied", false, &store.Error{Store: "test", Verb: "write", Outcome: store.OutcomeNotApplied, Class: "out of memory"}},
}

func TestAnUnknownOutcomeIsSettled(t *testing.T) {
	for _, verb := range []string{"create", "update", "replace"} {
		for _, o := range outages {
			t.Run(verb+": "+o.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					records := new(mapstore.Store)
					faulty := &faultyStore{Store: &replacer{Store: records}}
					m := process(t, faulty)
					cookie := ""
					if verb != "create" {
						cookie = visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					}
					s := load(t, m, cookie)
					counter.Update(s, func(n int) int { return n + 1 })
					if verb == "replace" {
						if err := s.Renew(); err != nil {
							t.Fatal(err)
						}
					}
					faulty.failOnce(verb, o)
					header, err := m.Commit(context.Background(), s, false)
					if known := isNotApplied(o.err); known {
						if err == nil || header != "" {
							t.Errorf("Set-Cookie %q, error %v; want a failed response", header, err)
						}
						return
					}
					if err != nil {
						t.Fatalf("Commit: %v", err)
					}
					cookie = browser(t, header, cookie)
					want := map[string]int{"create": 1, "update": 2, "replace": 2}[verb]
					if got := counter.Get(load(t, m, cookie)); got != want {
						t.Errorf("counter is %d, want %d", got, want)
					}
					if n := live(records); n != 1 {
						t.Errorf("%d live sessions, want 1", n)
					}
				})
			})
		}
	}
}

func isNotApplied(err error) bool {
	var failure *store.Error
	return errors.As(err, &failure) && failure.Outcome == store.OutcomeNotApplied
}

// A driver may send a write again when its reply is lost; the server's answer is
// then about the second copy.
func TestAWriteThatWasSentTwiceIsNoConflict(t *testing.T) {
	twice := &sentTwice{updateLoader: updateLoader{Store: new(mapstore.Store)}}
	m := process(t, twice)
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "one") })

	s := load(t, m, cookie)
	counter.Update(s, func(n int) int { return n + 1 })
	commit(t, m, s, cookie)
	if got := counter.Get(load(t, m, cookie)); got != 2 {
		t.Errorf("counter is %d, want 2", got)
	}

	got, err := ticket.Take(context.Background(), load(t, m, cookie))
	if got != "one" || err != nil {
		t.Errorf("Take returned %q, %v; want the value", got, err)
	}

	s = load(t, m, cookie)
	if err := s.Renew(); err != nil {
		t.Fatal(err)
	}
	renewed := commit(t, m, s, cookie)
	if got := counter.Get(load(t, m, renewed)); renewed == cookie || got != 2 {
		t.Errorf("counter of the renewed session is %d, want 2", got)
	}
	if twice.updates == 0 {
		t.Error("no update was sent twice")
	}
}

func TestAnUnknownOutcomeOfARenewalInTwoStepsIsSettled(t *testing.T) {
	for _, verb := range []string{"create", "update"} {
		for _, o := range outages[:2] {
			t.Run(verb+": "+o.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					faulty := &faultyStore{Store: new(mapstore.Store)}
					m := process(t, faulty)
					cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					s := load(t, m, cookie)
					if err := s.Renew(); err != nil {
						t.Fatal(err)
					}
					faulty.failOnce(verb, o)
					renewed := commit(t, m, s, cookie)
					if got := counter.Get(load(t, m, renewed)); renewed == cookie || got != 1 {
						t.Errorf("counter of the renewed session is %d, want 1", got)
					}
					if got := load(t, m, cookie).Status(); got != core.StatusUnknown {
						t.Errorf("the old cookie is %v, want unknown", got)
					}
				})
			})
		}
	}
}

func TestAnOutcomeThatCannotBeSettledFailsTheResponse(t *testing.T) {
	t.Run("because another request wrote meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := new(mapstore.Store)
			faulty := &faultyStore{Store: st}
			m1, m2 := process(t, faulty), process(t, st)
			cookie := visitor(t, m1, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m1, cookie)
			counter.Update(s, func(n int) int { return n + 1 })
			faulty.failOnce("update", outage{applied: true, err: errors.New("connection reset")})
			faulty.afterwards(func() {
				other := load(t, m2, cookie)
				counter.Update(other, func(n int) int { return n + 10 })
				commit(t, m2, other, cookie)
			})
			if _, err := m1.Commit(context.Background(), s, false); !errors.Is(err, core.ErrUnknownOutcome) {
				t.Errorf("Commit returned %v, want ErrUnknownOutcome", err)
			}
			if got := counter.Get(load(t, m1, cookie)); got != 12 {
				t.Errorf("counter is %d, want 12: nothing is applied twice", got)
			}
		})
	})
	t.Run("because the store stays down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			faulty := &faultyStore{Store: new(mapstore.Store)}
			m := process(t, faulty)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m, cookie)
			counter.Set(s, 2)
			faulty.down(errors.New("connection refused"))
			start := time.Now()
			_, err := m.Commit(context.Background(), s, false)
			if !errors.Is(err, core.ErrUnknownOutcome) || core.HTTPStatus(err) != http.StatusServiceUnavailable {
				t.Errorf("Commit returned %v (status %d), want ErrUnknownOutcome (503)", err, core.HTTPStatus(err))
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v, want at most StoreTimeout", took)
			}
		})
	})
	t.Run("because the session ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			faulty := &faultyStore{Store: new(mapstore.Store)}
			m := process(t, faulty)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m, cookie)
			counter.Set(s, 2)
			faulty.failOnce("update", outage{applied: false, err: errors.New("connection reset")})
			faulty.afterwards(func() {
				if err := load(t, m, cookie).Destroy(context.Background()); err != nil {
					t.Error(err)
				}
			})
			if _, err := m.Commit(context.Background(), s, false); !errors.Is(err, core.ErrSessionGone) {
				t.Errorf("Commit returned %v, want ErrSessionGone", err)
			}
		})
	})
}

// Standards: ASVS-13.1.3, ASVS-13.2.6
func TestAHangingStoreIsGivenUpAfterStoreTimeout(t *testing.T) {
	const timeout = 3 * time.Second
	for _, tt := range []struct {
		name string
		verb string
		do   func(s *core.Session, m *core.Manager, cookie string) error
	}{
		{"at the load", "load", func(_ *core.Session, m *core.Manager, cookie string) error {
			_, err := m.Load(context.Background(), cookie)
			return err
		}},
		{"at the commit of changes", "update", func(s *core.Session, m *core.Manager, _ string) error {
			colour.Set(s, "red")
			_, err := m.Commit(context.Background(), s, false)
			return err
		}},
		{"at the first commit", "create", func(_ *core.Session, m *core.Manager, _ string) error {
			s, err := m.Load(context.Background(), "")
			if err != nil {
				return err
			}
			colour.Set(s, "red")
			_, err = m.Commit(context.Background(), s, false)
			return err
		}},
		{"at the extension of its life", "touch", func(_ *core.Session, m *core.Manager, cookie string) error {
			s, err := m.Load(context.Background(), cookie)
			if err != nil {
				return err
			}
			_, err = m.Commit(context.Background(), s, false)
			return err
		}},
		{"at Destroy", "delete", func(s *core.Session, _ *core.Manager, _ string) error { return s.Destroy(context.Background()) }},
		{"at Save", "update", func(s *core.Session, _ *core.Manager, _ string) error { return s.Save(context.Background()) }},
		{"at Take", "update", func(s *core.Session, _ *core.Manager, _ string) error {
			_, err := colour.Take(context.Background(), s)
			return err
		}},
		{"at Reload", "load", func(s *core.Session, _ *core.Manager, _ string) error { return s.Reload(context.Background()) }},
		{"at Check", "load", func(s *core.Session, _ *core.Manager, _ string) error { return s.Check(context.Background()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hanging := &faultyStore{Store: new(mapstore.Store)}
				m := process(t, hanging, func(c *core.Config) {
					c.StoreTimeout = timeout
					c.TouchInterval = core.EveryRequest
				})
				cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
				s := load(t, m, cookie)
				synctest.Wait() // its life is extended
				hanging.hang(tt.verb)
				start := time.Now()
				err := tt.do(s, m, cookie)
				if took := time.Since(start); took < timeout || took > timeout+time.Second {
					t.Errorf("it took %v, want %v", took, timeout)
				}
				if core.HTTPStatus(err) != http.StatusServiceUnavailable || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v with status %d, want DeadlineExceeded with 503", err, core.HTTPStatus(err))
				}
				hanging.heal()
				if got := colour.Get(load(t, m, cookie)); got != "white" && tt.verb != "delete" {
					t.Errorf("colour is %q after the outage, want white", got)
				}
			})
		})
	}
}

// commitSlowly begins a commit and returns when its update is done in the store,
// which does not say so before finish is called. finish waits for its end.
func commitSlowly(t *testing.T, m *core.Manager, slow *faultyStore, s *core.Session, cookie string) (finish func()) {
	t.Helper()
	release, done := make(chan struct{}), make(chan struct{})
	slow.failOnce("update", outage{applied: true})
	slow.afterwards(func() { <-release })
	go func() {
		defer close(done)
		commit(t, m, s, cookie)
	}()
	synctest.Wait()
	return func() {
		close(release)
		<-done
	}
}

func TestAPanicOfWhoWaitedForItsTurnPassesTheTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &faultyStore{Store: new(mapstore.Store)}
		m := process(t, slow)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		first, second := load(t, m, cookie), load(t, m, cookie)
		counter.Set(first, 5)
		counter.Update(second, func(n int) int {
			if n == 5 {
				panic("five")
			}
			return n + 1
		})
		finish := commitSlowly(t, m, slow, first, cookie)
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if v := recover(); v != "five" {
					t.Errorf("recovered %v, want the panic of the function given to Update", v)
				}
			}()
			_, _ = m.Commit(context.Background(), second, false)
		})
		synctest.Wait()
		finish()
		wg.Wait()
		third := load(t, m, cookie)
		counter.Set(third, 6)
		commit(t, m, third, cookie)
	})
}

// Standards: ASVS-15.4.3, ASVS-15.4.4
func TestACommitThatWaitsForItsTurnGivesUpWithErrConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &faultyStore{Store: new(mapstore.Store)}
		m := process(t, slow)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		first, second := load(t, m, cookie), load(t, m, cookie)
		counter.Update(first, func(n int) int { return n + 1 })
		counter.Update(second, func(n int) int { return n + 1 })
		finish := commitSlowly(t, m, slow, first, cookie)

		start := time.Now()
		_, err := m.Commit(context.Background(), second, false)
		if !errors.Is(err, store.ErrConflict) || core.HTTPStatus(err) != http.StatusServiceUnavailable {
			t.Errorf("the commit that waits: %v, want ErrConflict", err)
		}
		if took := time.Since(start); took > 5*time.Second || took < 5*time.Second-5*time.Second/64 {
			t.Errorf("it waited %v, want StoreTimeout", took)
		}
		finish()

		third := load(t, m, cookie)
		counter.Update(third, func(n int) int { return n + 1 })
		commit(t, m, third, cookie)
		if got := counter.Get(load(t, m, cookie)); got != 3 {
			t.Errorf("counter is %d, want 3", got)
		}
	})
}

// What a request changes is measured against what it overwrites, also where that
// was written while it waited.
func TestACommitThatWaitedForItsTurnKnowsWhatItChanged(t *testing.T) {
	set := func(value string) func(*core.Session) { return func(s *core.Session) { colour.Set(s, value) } }
	save := func(s *core.Session) {
		if err := s.Save(context.Background()); err != nil {
			t.Errorf("Save: %v", err)
		}
	}
	for _, tt := range []struct {
		name          string
		resave        bool
		first, second func(*core.Session)
		then          func(*core.Session)
		extends       bool // the cookie of the second, because it changed something
	}{
		{"both do the same", false, set("blue"), set("blue"), nil, false},
		{"they do different things", false, set("blue"), set("green"), nil, true},
		{"the second sets what was there before, and saves", false, set("blue"), set("red"), save, true},
		{"the second sets what was there before, with Resave", true, set("blue"), set("red"), nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &faultyStore{Store: new(mapstore.Store)}
				m := process(t, slow, func(c *core.Config) { c.Cookie.MaxAge, c.Resave = time.Hour, tt.resave })
				cookie := visitor(t, m, set("red"))
				first, second := load(t, m, cookie), load(t, m, cookie)
				tt.first(first)
				tt.second(second)
				finish := commitSlowly(t, m, slow, first, cookie)
				var wg sync.WaitGroup
				wg.Go(func() {
					if tt.then != nil {
						tt.then(second)
					}
					header, err := m.Commit(context.Background(), second, false)
					if err != nil || (header != "") != tt.extends {
						t.Errorf("Set-Cookie: %v (%v), want %v", header != "", err, tt.extends)
					}
				})
				synctest.Wait()
				finish()
				wg.Wait()
			})
		})
	}
}

// Who waits for its turn is handed what was written last in this process, and that
// may be older than what the waiting request has seen.
//
// Standards: ASVS-15.4.3
func TestTakeSeesWhatAnotherProcessPutWhileItsOwnWasBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(mapstore.Store)
		slow := &faultyStore{Store: st}
		m, other := process(t, slow), process(t, st)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		writer := load(t, m, cookie)
		counter.Set(writer, 2)
		finish := commitSlowly(t, m, slow, writer, cookie)

		put := load(t, other, cookie)
		ticket.Set(put, "A1")
		commit(t, other, put, cookie)
		taker := load(t, m, cookie)
		var wg sync.WaitGroup
		wg.Go(func() {
			if v, err := ticket.Take(context.Background(), taker); v != "A1" || err != nil {
				t.Errorf("Take returned %q, %v; want what was put before the request began", v, err)
			}
		})
		synctest.Wait()
		finish()
		wg.Wait()
		if again := load(t, m, cookie); again.Has("ticket") || counter.Get(again) != 2 {
			t.Errorf("ticket %v, counter %d; want what was taken to be gone and the rest to be there", again.Has("ticket"), counter.Get(again))
		}
	})
}

// Standards: ASVS-15.4.3, ASVS-15.4.4
func TestDestroyDoesNotWaitForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := &faultyStore{Store: new(mapstore.Store)}
		m := process(t, hanging)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		writer, leaver := load(t, m, cookie), load(t, m, cookie)
		counter.Set(writer, 2)
		hanging.hang("update")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = m.Commit(context.Background(), writer, false) })
		synctest.Wait()
		start := time.Now()
		if err := leaver.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("Destroy took %v", took)
		}
		wg.Wait()
	})
}

func TestAFailedDestroyIsTriedAgainAtTheCommit(t *testing.T) {
	ctx := context.Background()
	faulty := &faultyStore{Store: new(mapstore.Store)}
	m := process(t, faulty)
	cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })

	s := load(t, m, cookie)
	faulty.down(errors.New("connection refused"))
	if err := s.Destroy(ctx); err == nil {
		t.Error("Destroy returned nil while the store was down")
	}
	if _, err := m.Commit(ctx, s, false); core.HTTPStatus(err) != http.StatusServiceUnavailable {
		t.Errorf("commit after the failed Destroy: %v, want 503: nobody may be told that it is done", err)
	}
	faulty.heal()
	if got := load(t, m, cookie).Status(); got != core.StatusLoaded {
		t.Errorf("the session is %v, want loaded: it could not be destroyed", got)
	}

	s = load(t, m, cookie)
	faulty.failOnce("delete", outage{err: errors.New("connection refused")})
	if err := s.Destroy(ctx); err == nil {
		t.Error("Destroy returned nil while the store failed")
	}
	if got := commit(t, m, s, cookie); got != "" {
		t.Error("the cookie was not deleted when the second try succeeded")
	}
	if got := load(t, m, cookie).Status(); got != core.StatusUnknown {
		t.Errorf("the session is %v, want unknown", got)
	}
}

// Standards: ASVS-16.5.2, ASVS-16.5.3
func TestAnOutageIsNeverAnEmptySession(t *testing.T) {
	faulty := &faultyStore{Store: new(mapstore.Store)}
	for _, tt := range []struct {
		name        string
		anonymously func(*http.Request, error) bool
	}{
		{"by default", nil},
		{"by choice", func(*http.Request, error) bool { return false }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := process(t, faulty, func(c *core.Config) { c.ServeAnonymously = tt.anonymously })
			cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
			faulty.down(errors.New("connection refused"))
			if s, err := m.Load(context.Background(), cookie); s != nil || core.HTTPStatus(err) != http.StatusServiceUnavailable {
				t.Errorf("Load returned a session: %v, error %v; want none and 503", s != nil, err)
			}
			faulty.heal()
			if got := colour.Get(load(t, m, cookie)); got != "white" {
				t.Errorf("colour is %q after the outage, want white", got)
			}
		})
	}
	t.Run("but an anonymous one where ServeAnonymously says so", func(t *testing.T) {
		m := process(t, faulty, func(c *core.Config) {
			c.ServeAnonymously = func(*http.Request, error) bool { return true }
		})
		cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
		faulty.down(errors.New("connection refused"))
		reader, writer, leaver := load(t, m, cookie), load(t, m, cookie), load(t, m, cookie)
		faulty.heal()
		if header, err := m.Commit(context.Background(), reader, false); header != "" || err != nil || colour.Get(reader) != "" {
			t.Errorf("a read: Set-Cookie %q, error %v, colour %q", header, err, colour.Get(reader))
		}
		colour.Set(writer, "red")
		if header, err := m.Commit(context.Background(), writer, false); header != "" || !errors.Is(err, core.ErrDegraded) {
			t.Errorf("a change: Set-Cookie %q, error %v; want none and ErrDegraded", header, err)
		}
		if err := leaver.Destroy(context.Background()); !errors.Is(err, core.ErrDegraded) {
			t.Errorf("Destroy: %v, want ErrDegraded", err)
		}
		if _, err := colour.Take(context.Background(), leaver); !errors.Is(err, core.ErrDegraded) {
			t.Errorf("Take: %v, want ErrDegraded", err)
		}
		if got := colour.Get(load(t, m, cookie)); got != "white" {
			t.Errorf("colour is %q after the outage, want white", got)
		}
	})
}

func TestAFailedExtensionFollowsServeAnonymously(t *testing.T) {
	for _, tt := range []struct {
		name        string
		anonymously bool
	}{{"unavailable", false}, {"anonymous", true}} {
		t.Run(tt.name, func(t *testing.T) {
			faulty := &faultyStore{Store: new(mapstore.Store)}
			m := process(t, faulty, func(c *core.Config) {
				c.TouchInterval = core.EveryRequest
				c.ServeAnonymously = func(*http.Request, error) bool { return tt.anonymously }
			})
			cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
			faulty.failOnce("touch", outage{err: errors.New("connection refused")})
			s := load(t, m, cookie)
			if _, err := m.Commit(context.Background(), s, false); (err == nil) != tt.anonymously {
				t.Errorf("Commit returned %v", err)
			}
		})
	}
}

// A hangingStore never answers a Touch.
type hangingStore struct{ store.Store }

func (hangingStore) Touch(ctx context.Context, _ string, _ time.Duration) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestWhatSaveWroteNeedsNoExtension(t *testing.T) {
	for _, tt := range []struct {
		name string
		save func(s *core.Session) error
		want bool // whether it is right
	}{
		{"saved", func(s *core.Session) error { colour.Set(s, "red"); return s.Save(context.Background()) }, true},
		{"taken", func(s *core.Session) error { _, err := colour.Take(context.Background(), s); return err }, true},
		{"changed", func(s *core.Session) error { colour.Set(s, "red"); return nil }, true},
		{"only read", func(*core.Session) error { return nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := new(mapstore.Store)
				cookie := visitor(t, process(t, st), func(s *core.Session) { colour.Set(s, "white") })
				m := process(t, hangingStore{st}, func(c *core.Config) {
					c.TouchInterval = core.EveryRequest
					c.StoreTimeout = time.Second
				})
				s := load(t, m, cookie)
				if err := tt.save(s); err != nil {
					t.Fatal(err)
				}
				if _, err := m.Commit(context.Background(), s, false); (err == nil) != tt.want {
					t.Errorf("Commit returned %v", err)
				}
			})
		})
	}
}

func TestSaveReloadAndCheck(t *testing.T) {
	ctx := context.Background()
	setup := func(t *testing.T) (*core.Manager, string, *core.Session) {
		m := process(t, new(mapstore.Store))
		cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
		return m, cookie, load(t, m, cookie)
	}
	t.Run("Save stores at once", func(t *testing.T) {
		m, cookie, s := setup(t)
		colour.Set(s, "red")
		if err := s.Save(ctx); err != nil {
			t.Fatal(err)
		}
		if got := colour.Get(load(t, m, cookie)); got != "red" {
			t.Errorf("another request sees %q, want red", got)
		}
		shape.Set(s, "round")
		commit(t, m, s, cookie)
		if got := shape.Get(load(t, m, cookie)); got != "round" {
			t.Errorf("what was set after Save is %q, want round", got)
		}
	})
	t.Run("Save does what Renew asked for", func(t *testing.T) {
		m, cookie, s := setup(t)
		if err := s.Renew(); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(ctx); err != nil {
			t.Fatal(err)
		}
		if got := load(t, m, cookie).Status(); got != core.StatusUnknown {
			t.Errorf("the old cookie is %v after Save", got)
		}
		if renewed := commit(t, m, s, cookie); renewed == cookie {
			t.Error("the commit did not set the new cookie")
		}
	})
	t.Run("Save of a new session sets its cookie with the response", func(t *testing.T) {
		m, _, _ := setup(t)
		s := load(t, m, "")
		if err := s.Save(ctx); err != nil {
			t.Fatal(err)
		}
		if cookie := commit(t, m, s, ""); load(t, m, cookie).Status() != core.StatusLoaded {
			t.Error("the saved session has no cookie")
		}
	})
	t.Run("Reload forgets changes and sees others'", func(t *testing.T) {
		m, cookie, s := setup(t)
		other := load(t, m, cookie)
		shape.Set(other, "round")
		commit(t, m, other, cookie)
		colour.Set(s, "red")
		if err := s.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		if colour.Get(s) != "white" || shape.Get(s) != "round" {
			t.Errorf("after Reload colour is %q and shape %q", colour.Get(s), shape.Get(s))
		}
	})
	t.Run("Reload and Check tell that the session ended", func(t *testing.T) {
		m, cookie, s := setup(t)
		if err := s.Check(ctx); err != nil {
			t.Errorf("Check of a live session: %v", err)
		}
		if err := load(t, m, cookie).Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		colour.Set(s, "red")
		if err := s.Reload(ctx); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Reload: %v, want ErrSessionGone", err)
		}
		if colour.Get(s) != "red" {
			t.Error("a failed Reload changed what the request sees")
		}
		if err := s.Check(ctx); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Check: %v, want ErrSessionGone", err)
		}
		if err := s.Save(ctx); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Save: %v, want ErrSessionGone", err)
		}
	})
	t.Run("a session that was never stored cannot be reloaded", func(t *testing.T) {
		m, _, _ := setup(t)
		s := load(t, m, "")
		if err := s.Reload(ctx); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Reload: %v, want ErrSessionGone", err)
		}
		if err := s.Check(ctx); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Check: %v, want ErrSessionGone", err)
		}
	})
	t.Run("none of them depends on a context that is done, but for reads", func(t *testing.T) {
		m, cookie, s := setup(t)
		done, cancel := context.WithCancel(ctx)
		cancel()
		colour.Set(s, "red")
		if err := s.Save(done); err != nil {
			t.Errorf("Save: %v", err)
		}
		if err := s.Check(done); !errors.Is(err, context.Canceled) {
			t.Errorf("Check: %v, want Canceled", err)
		}
		if err := s.Reload(done); !errors.Is(err, context.Canceled) {
			t.Errorf("Reload: %v, want Canceled", err)
		}
		if err := s.Destroy(done); err != nil {
			t.Errorf("Destroy: %v", err)
		}
		if got := load(t, m, cookie).Status(); got != core.StatusUnknown {
			t.Errorf("the session is %v after Destroy", got)
		}
	})
}

// Standards: ASVS-7.2.3
func TestACollisionOfIDsNeverOverwrites(t *testing.T) {
	ids := []string{"0123456789abcdef-1", "0123456789abcdef-1", "0123456789abcdef-2"}
	next := func(*http.Request) (string, error) { //nolint:unparam // the type of GenerateID
		id := ids[0]
		if len(ids) > 1 {
			ids = ids[1:]
		}
		return id, nil
	}
	m := process(t, new(mapstore.Store), func(c *core.Config) { c.GenerateID = next })
	first := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
	second := visitor(t, m, func(s *core.Session) { colour.Set(s, "red") })
	if got := colour.Get(load(t, m, first)); got != "white" {
		t.Errorf("the first session has colour %q, want white", got)
	}
	if got := colour.Get(load(t, m, second)); got != "red" {
		t.Errorf("the second session has colour %q, want red", got)
	}
	for what, do := range map[string]func(*core.Session) error{
		"create": func(s *core.Session) error { colour.Set(s, "blue"); return nil },
		"renew":  nil,
	} {
		s := load(t, m, "")
		if do == nil {
			s, do = load(t, m, first), (*core.Session).Renew
		}
		if err := do(s); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Commit(context.Background(), s, false); !errors.Is(err, core.ErrInvalidID) {
			t.Errorf("%s with a generator that repeats itself: %v, want ErrInvalidID", what, err)
		}
	}
	if got := colour.Get(load(t, m, first)); got != "white" {
		t.Errorf("the first session has colour %q, want white", got)
	}
}

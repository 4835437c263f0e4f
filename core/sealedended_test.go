package core_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// sealedIn makes a Manager whose sessions are in sealed cookies.
func sealedIn(ends store.Store) func(*core.Config) {
	return func(c *core.Config) { c.Sealed = &core.SealedCookie{Ends: ends} }
}

// An open stream of a sealed session is told what a next request of it would be: by the
// process that ended it at once, by others if there is a store of ends, and by the time
// that its cookie says.
//
// Standards: ASVS-7.4.1
func TestTheEndOfASealedSessionIsTold(t *testing.T) {
	ctx := context.Background()
	logout := func(t *testing.T, m *core.Manager, cookie string) error {
		return resume(t, m, cookie).Destroy(ctx)
	}
	renew := func(t *testing.T, m *core.Manager, cookie string) error {
		s := resume(t, m, cookie)
		err := s.Renew()
		_, commitErr := m.Commit(ctx, s, false)
		return errors.Join(err, commitErr)
	}
	revoke := func(_ *testing.T, m *core.Manager, _ string) error { return m.RevokeUser(ctx, "ada") }
	const never = -1
	for _, tt := range []struct {
		name       string
		ends, here bool
		end        func(t *testing.T, m *core.Manager, cookie string) error
		within     time.Duration // how soon it is told
	}{
		{"a logout here", false, true, logout, 0},
		{"a logout here, with ends", true, true, logout, 0},
		{"a logout elsewhere", false, false, logout, never},
		{"a logout elsewhere, with ends", true, false, logout, time.Minute},
		{"a renewal here", false, true, renew, 0},
		{"a renewal elsewhere, with ends", true, false, renew, time.Minute},
		{"a revocation elsewhere, with ends", true, false, revoke, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ends store.Store
				if tt.ends {
					ends = new(mapstore.Store)
				}
				m := instance(t, nil, sealedIn(ends))
				open, hangUp := context.WithCancel(ctx)
				defer hangUp()
				cookies := make([]string, 2)
				for i, user := range []string{"ada", "bob"} {
					s := resume(t, m, "")
					if err := s.SignIn(ctx, user); err != nil {
						t.Fatal(err)
					}
					cookies[i] = committed(t, m, s)
				}
				ended, other := resume(t, m, cookies[0]).Ended(open), resume(t, m, cookies[1]).Ended(open)
				time.Sleep(5 * time.Minute)
				if isOver(ended) {
					t.Fatal("told before it ended")
				}
				by := m
				if !tt.here {
					by = instance(t, nil, sealedIn(ends))
				}
				if err := tt.end(t, by, cookies[0]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(max(tt.within, 0))
				if told := isOver(ended); told != (tt.within != never) {
					t.Errorf("told: %v", told)
				}
				if isOver(other) {
					t.Error("another session was told to have ended")
				}
			})
		})
	}
}

// Standards: ASVS-7.3.1, ASVS-7.3.2
func TestTheTimeoutOfASealedSessionIsTold(t *testing.T) {
	for _, tt := range []struct {
		name      string
		absolute  time.Duration
		activeFor time.Duration // how long requests of this process use the session
		lasts     time.Duration
	}{
		{"idle", 0, 0, time.Hour},
		{"idle, after activity", 0, 5 * time.Hour, 6 * time.Hour},
		{"absolute", 3 * time.Hour, 5 * time.Hour, 3 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := instance(t, nil, sealedIn(nil), func(c *core.Config) { c.AbsoluteTimeout = tt.absolute })
				cookie, start := begin(t, m), time.Now()
				open, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				ended := resume(t, m, cookie).Ended(open)
				for time.Since(start) < tt.activeFor && !isOver(ended) {
					time.Sleep(20 * time.Minute)
					s := resume(t, m, cookie)
					s.Set("n", time.Since(start).String())
					if s.Status() == core.StatusLoaded {
						cookie = committed(t, m, s)
					}
				}
				<-ended
				if took := time.Since(start); took < tt.lasts-21*time.Minute || took > tt.lasts+21*time.Minute {
					t.Errorf("told after %v, want %v", took, tt.lasts)
				}
			})
		})
	}
}

// Standards: ASVS-16.5.2
func TestAnOutageOfTheEndsEndsNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := &faultyStore{Store: new(mapstore.Store)}
		m := instance(t, nil, sealedIn(ends))
		cookie := begin(t, m)
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		ended := resume(t, m, cookie).Ended(open)
		for range 10 {
			ends.failOnce("load", outage{err: errors.New("down")})
			time.Sleep(time.Minute)
		}
		if isOver(ended) {
			t.Error("told that it ended")
		}
	})
}

// committed commits a session, and returns the value of its cookie.
func committed(t *testing.T, m *core.Manager, s *core.Session) string {
	t.Helper()
	line, err := m.Commit(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	return browser(t, line, "")
}

// A page that is opened again while its former stream is looked at, with many others, is
// not told that its session has ended.
func TestAStreamThatComesBackIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, together = 700, 512
		ends := &stoppedStore{Store: new(mapstore.Store)}
		m := instance(t, nil, sealedIn(ends), func(c *core.Config) { c.StoreTimeout = 20 * time.Second })
		cookies, hangUps := make([]string, streams), make([]context.CancelFunc, streams)
		open := func(i int) <-chan struct{} {
			ctx, hangUp := context.WithCancel(t.Context())
			hangUps[i] = hangUp
			return resume(t, m, cookies[i]).Ended(ctx)
		}
		for i := range cookies {
			cookies[i] = begin(t, m)
			open(i)
		}
		synctest.Wait()
		again := make(map[int]<-chan struct{})
		ends.mu.Lock()
		ends.loads = 0
		ends.gates = map[int]func(){
			1: func() {
				for i := 1; i < streams; i += 2 {
					hangUps[i]()
				}
				time.Sleep(time.Millisecond) // until they have left
			},
			together + 1: func() {
				for i := 1; i < streams; i += 2 {
					again[i] = open(i)
				}
			},
		}
		ends.mu.Unlock()
		time.Sleep(2 * time.Minute) // a poll
		synctest.Wait()
		told := 0
		for _, ended := range again {
			if isOver(ended) {
				told++
			}
		}
		if told > 0 || len(again) == 0 {
			t.Errorf("%d of %d were told that their sessions have ended, which live", told, len(again))
		}
		for _, hangUp := range hangUps {
			hangUp()
		}
	})
}

// While a longer AbsoluteTimeout is rolled out, a process that has the shorter one yet ends
// a session whose cookie has the longer life.
func TestAnEndIsKnownForAsLongAsTheCookieThatWasThere(t *testing.T) {
	f := newSealedFleet(t, true)
	before := f.process(core.Config{AbsoluteTimeout: 24 * time.Hour})
	after := f.process(core.Config{AbsoluteTimeout: 30 * 24 * time.Hour, IdleTimeout: 7 * 24 * time.Hour})
	cookie := after.signIn()
	before.visit(cookie, func(s *core.Session) {
		if err := s.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	})
	after.reads(cookie, false)
	f.clock.advance(2 * 24 * time.Hour)
	after.reads(cookie, false)
}

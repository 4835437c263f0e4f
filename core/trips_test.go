package core_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// trip is how long a distantStore takes for each call.
const trip = 10 * time.Millisecond

// A distantStore answers a call after one round trip.
type distantStore struct{ store.Store }

func (s distantStore) Load(ctx context.Context, id string) (store.Record, error) {
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return s.Store.Load(ctx, id)
}

func (s distantStore) Create(ctx context.Context, rec store.Record) error {
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return s.Store.Create(ctx, rec)
}

func (s distantStore) Update(ctx context.Context, old, next store.Record) error {
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return s.Store.Update(ctx, old, next)
}

func (s distantStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return s.Store.Touch(ctx, id, ttl)
}

func (s distantStore) Delete(ctx context.Context, id string) error {
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return s.Store.Delete(ctx, id)
}

func (s distantStore) Remove(ctx context.Context, old store.Record) error {
	if _, ok := s.Store.(store.Remover); !ok {
		return errors.ErrUnsupported
	}
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return removeFrom(ctx, s.Store, old)
}

func TestHowManyTripsARequestWaitsFor(t *testing.T) {
	const due, long = 2 * time.Minute, 30 * time.Minute
	for _, tt := range []struct {
		name    string
		elapsed time.Duration                                     // since this process saw the session last
		before  func(t *testing.T, other *core.Manager, c string) // what another process does meanwhile
		do      func(s *core.Session)
		trips   int
		life    time.Duration // that the session has afterwards
	}{
		{name: "reads", trips: 1, life: time.Hour},
		{name: "reads, an extension is due", elapsed: due, trips: 1, life: time.Hour},
		{name: "changes", do: func(s *core.Session) { counter.Set(s, 2) }, trips: 2, life: time.Hour},
		{name: "changes, an extension is due", elapsed: due, do: func(s *core.Session) { counter.Set(s, 2) }, trips: 2, life: time.Hour},
		{
			name: "changes its max age, an extension is due", elapsed: due, do: func(s *core.Session) { _ = s.SetMaxAge(time.Minute) },
			trips: 2, life: time.Minute,
		},
		{
			name: "reads what got a shorter life elsewhere", elapsed: due, trips: 2, life: 20 * time.Minute,
			before: func(t *testing.T, other *core.Manager, c string) {
				s := load(t, other, c)
				_ = s.SetMaxAge(20 * time.Minute)
				commit(t, other, s, c)
			},
		},
		{name: "reads near the absolute deadline", elapsed: long, trips: 1, life: 90*time.Minute - long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := new(mapstore.Store)
				settings := func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Hour, 90*time.Minute }
				m, other := process(t, distantStore{st}, settings), process(t, st, settings)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				time.Sleep(tt.elapsed - trip)
				if tt.before != nil {
					tt.before(t, other, cookie)
				}

				start := time.Now()
				s := load(t, m, cookie)
				if tt.do != nil {
					tt.do(s)
				}
				commit(t, m, s, cookie)
				if took := time.Since(start); took != time.Duration(tt.trips)*trip {
					t.Errorf("it waited %v, want %d trips of %v", took, tt.trips, trip)
				}

				time.Sleep(tt.life - 2*trip)
				if _, err := st.Load(t.Context(), s.ID()); err != nil {
					t.Errorf("the session is gone before its life of %v has passed", tt.life)
				}
				time.Sleep(2 * trip)
				if _, err := st.Load(t.Context(), s.ID()); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("the session lives longer than %v", tt.life)
				}
			})
		})
	}
}

func TestAnExtensionBesideTheLoadLeavesAnEndedSessionAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *core.Session) error
		want core.Status
	}{
		{"destroyed", func(s *core.Session) error { return s.Destroy(context.Background()) }, core.StatusUnknown},
		{"renewed", func(s *core.Session) error { return s.Renew() }, core.StatusUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := new(mapstore.Store)
				m, other := process(t, distantStore{st}), process(t, st)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				time.Sleep(10 * time.Minute)
				gone := load(t, other, cookie)
				id := gone.ID()
				if err := tt.end(gone); err != nil {
					t.Fatal(err)
				}
				if _, err := other.Commit(t.Context(), gone, false); err != nil {
					t.Fatal(err)
				}

				s := load(t, m, cookie)
				if s.Status() != tt.want {
					t.Errorf("status %v, want %v", s.Status(), tt.want)
				}
				commit(t, m, s, cookie)
				time.Sleep(time.Minute + 2*trip)
				if _, err := st.Load(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("the record under the old id still lives after a minute: %v", err)
				}
			})
		})
	}
}

// A delayedStore applies an Update at once and tells late, and applies a Touch
// in between.
type delayedStore struct{ store.Store }

func (s delayedStore) Update(ctx context.Context, old, next store.Record) error {
	defer time.Sleep(2 * trip)
	return s.Store.Update(ctx, old, next)
}

func (s delayedStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	time.Sleep(trip)
	return s.Store.Touch(ctx, id, ttl)
}

// Of two genuine cookies the first may be that of a session which this process
// extended a while ago and which has ended since. Its extension, which begins
// before that is known, tells nothing about the session of the second.
func TestTheExtensionOfAStaleDuplicateIsNotThatOfTheSession(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	stale := st.signIn()
	id := st.idOf(stale)
	st.clock.advance(2 * time.Minute) // an extension is due
	good := st.signIn()
	if err := st.store.Store.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	a := st.visit(stale+"; "+good, func(s *core.Session) {
		if err := s.Renew(); err != nil {
			t.Error(err)
		}
	})
	if a.status != http.StatusOK || a.setCookie == "" {
		t.Errorf("status %d, Set-Cookie %v; want the session of the second cookie renewed", a.status, a.setCookie != "")
	}
	if n := st.events.count(core.EventGone); n > 0 {
		t.Errorf("%d events that the session is gone", n)
	}
}

func TestAnExtensionUnderWayDoesNotStretchASessionThatIsShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(mapstore.Store)
		m := process(t, delayedStore{st})
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		shortens := load(t, m, cookie)
		if err := shortens.SetMaxAge(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		reads := load(t, m, cookie) // sends its extension
		commit(t, m, shortens, cookie)
		commit(t, m, reads, cookie)
		time.Sleep(5*time.Minute + trip)
		if _, err := st.Load(t.Context(), reads.ID()); !errors.Is(err, store.ErrNotFound) {
			t.Error("the session lives longer than the five minutes that it was given")
		}
	})
}

package adaptertest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What is activity of a visitor, what that does to the life of the session, and what
// one request may wait for. A session that is made in these scenarios gets an hour of the
// day that it is to live, so that it can be seen who gives it more.

// inADay is the day that sessions are to live, of which they get an hour at first.
func (s *scene) inADay() {
	s.cfg.IdleTimeout = 24 * time.Hour
	s.store.hastens = 24
}

// left returns how long the store lets the one session that there is live.
func (s *scene) left() time.Duration {
	s.Helper()
	var (
		found []store.Record
		err   error
	)
	switch st := s.store.inner.(type) {
	case *mapstore.Store:
		found = st.Records()
	case store.UserIndexer:
		found, err = st.Inspect(s.Context(), s.store.known())
	default:
		s.Skip("the store cannot tell how long a session will live")
	}
	if len(found) != 1 || err != nil {
		s.Fatalf("the store has %d sessions, %v", len(found), err)
	}
	return found[0].TTL
}

// shorten leaves the session a minute to live, past all that a Manager knows.
func (s *scene) shorten() {
	s.Helper()
	for _, id := range s.store.known() {
		if err := s.store.inner.Touch(s.Context(), id, time.Minute); err != nil && !errors.Is(err, store.ErrNotFound) {
			s.Fatalf("Touch: %v", err)
		}
	}
}

// eventually waits for something that has to happen.
func (s *scene) eventually(what string, so func() bool) {
	s.Helper()
	for deadline := time.Now().Add(s.patience); !so(); {
		if time.Now().After(deadline) {
			s.Fatalf("waited in vain for %s", what)
		}
	}
}

// passively makes a request of the browser no activity.
func passively(b *browser) *browser { return b.with("X-Poll", "yes") }

// A looker is a Tracer that looks at the session of the request whose operation begins
// or ends, and an Observer that does so at each event.
type looker struct{ ends atomic.Int64 }

func (*looker) look(ctx context.Context) {
	if sess, ok := core.Lookup(ctx); ok {
		_ = count.Get(sess)
	}
}

func (l *looker) Observe(ctx context.Context, _ core.Event) { l.look(ctx) }

func (l *looker) Start(ctx context.Context, _ core.Operation) (context.Context, func(error)) {
	l.look(ctx)
	return ctx, func(error) {
		l.look(ctx)
		l.ends.Add(1)
	}
}

var activity = []scenario{
	// Standards: ASVS-7.3.1
	{"a request under way is activity, however long it takes", func(s *scene) {
		s.inADay()
		s.cfg.TouchInterval = 10 * time.Millisecond
		var g atomic.Pointer[gate]
		held := at("/hold", func(c *Context) error {
			sess := c.Get()
			g.Load().pass()
			count.Update(sess, func(n int) int { return n + 1 })
			return c.String(http.StatusOK, "done")
		})
		s.serve(held)
		b := s.browser()
		b.get("/count").is(http.StatusOK, "1")
		for range 2 { // in the second round in a process that did not make the session
			g.Store(s.gate())
			long := b.start("/hold")
			g.Load().await()
			s.shorten()
			s.eventually("the session to be extended under the request", func() bool { return s.left() > time.Hour })
			g.Load().release()
			s.answer(long).is(http.StatusOK, "done").silent()
			s.serve(held)
			b = b.on(s.url)
		}
		b.get("/read").is(http.StatusOK, "3")
	}},
	{"what is no activity leaves the session the life that it has, in each process", func(s *scene) {
		s.inADay()
		s.cfg.Passive = func(r *http.Request) bool { return r.Header.Get("X-Poll") != "" }
		s.serve()
		b := s.browser()
		b.get("/count").is(http.StatusOK, "1")
		edit := func() {
			ids := s.store.known()
			if err := s.m.Edit(s.Context(), ids[0], func(sess *core.Session) error {
				count.Update(sess, func(n int) int { return n + 1 })
				return nil
			}); err != nil {
				s.Fatalf("Edit: %v", err)
			}
		}
		for range 2 { // in the second round in another process
			passively(b).get("/count").status(http.StatusOK).silent()
			edit()
			if left := s.left(); left > time.Hour {
				s.Fatalf("what is no activity lets the session live for %v", left)
			}
			s.serve()
			b = b.on(s.url)
		}
		passively(b).get("/read").is(http.StatusOK, "5")
		b.get("/count").is(http.StatusOK, "6")
		if left := s.left(); left <= time.Hour {
			s.Fatalf("after a request of the visitor the session lives for %v", left)
		}
	}},
	{"many requests at once extend the session once, in each process", func(s *scene) {
		clock := new(atomic.Int64)
		clock.Store(time.Now().UnixNano())
		s.cfg.Now = func() time.Time { return time.Unix(0, clock.Load()) }
		var g atomic.Pointer[gate]
		held := at("/hold", func(c *Context) error {
			sess := c.Get()
			g.Load().pass()
			return c.JSON(http.StatusOK, count.Get(sess))
		})
		s.serve(held)
		maker := s.browser()
		maker.get("/count").sets()
		s.serve(held)
		other := maker.on(s.url)
		for _, b := range []*browser{maker, other, maker, other} {
			clock.Add(int64(time.Minute))
			g.Store(s.gate())
			s.store.forget()
			var all []<-chan *reply
			for range 20 {
				all = append(all, b.start("/hold"))
			}
			for range all {
				g.Load().await()
			}
			g.Load().release()
			for _, r := range all {
				s.answer(r).is(http.StatusOK, "1").silent()
			}
			if n := s.store.count("touch"); n != 1 {
				s.Fatalf("20 requests at once sent %d extensions, want 1", n)
			}
		}
	}},
	// Standards: ASVS-13.1.3, ASVS-13.2.6
	{"the store hangs at a logout: 503 within one StoreTimeout, and the next one succeeds", func(s *scene) {
		hurried := s.hurried()
		b := s.browser()
		b.get("/login?user=ann").sets()
		var (
			mu    sync.Mutex
			until []time.Time
		)
		s.store.on(func(ctx context.Context, verb string) error {
			if verb == "load" || verb == "touch" {
				return nil
			}
			deadline, _ := ctx.Deadline()
			mu.Lock()
			until = append(until, deadline)
			mu.Unlock()
			<-ctx.Done()
			return &store.Error{Store: "suite", Verb: verb, Class: "timeout", Outcome: store.OutcomeNotApplied, Err: ctx.Err()}
		})
		b.on(hurried).get("/logout").fails(http.StatusServiceUnavailable)
		s.store.heal()
		for _, deadline := range until {
			if !deadline.Equal(until[0]) {
				s.Fatalf("after the logout had hung until its time was over, the commit called the store for %v longer", deadline.Sub(until[0]))
			}
		}
		b.get("/logout").is(http.StatusOK, "bye").deletes()
	}},
	{"an Observer and a Tracer that look at the session hold nothing up", func(s *scene) {
		looks := new(looker)
		s.cfg.Observer = looks
		s.serve()
		b := s.browser()
		b.get("/count").is(http.StatusOK, "1")
		b.get("/login?user=ann").is(http.StatusOK, "hello")
		b.get("/count").is(http.StatusOK, "2")
		b.get("/logout").is(http.StatusOK, "bye").deletes()
		if looks.ends.Load() == 0 {
			s.Fatalf("the Tracer was told of no operation")
		}
	}},
}

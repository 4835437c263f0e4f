package adaptertest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// serveIn starts an app with sessions among other middleware: an empty one in
// use stands for them.
func (s *scene) serveIn(use []Middleware, routes ...Route) {
	s.Helper()
	s.m = s.manager()
	for i := range use {
		if use[i] == (Middleware{}) {
			use[i].Session = s.m
		}
	}
	s.start(App{Use: use, Groups: []Group{{Routes: append(routes, usual()...)}}})
}

var (
	sessions         = Middleware{}
	recovery         = Middleware{Recover: true}
	recoveredOutside = []Middleware{recovery, sessions}
	recoveredInside  = []Middleware{sessions, recovery}
)

func outsideRecovery() []Middleware { return append([]Middleware(nil), recoveredOutside...) }
func insideRecovery() []Middleware  { return append([]Middleware(nil), recoveredInside...) }

var errBoom = errors.New("boom")

var panics = []scenario{
	{"a panic with recovery outside: nothing is stored", func(s *scene) {
		s.serveIn(outsideRecovery(), at("/boom", func(c *Context) error {
			count.Set(c.Get(), 100)
			panic(errBoom)
		}))
		s.browser().get("/boom").status(http.StatusInternalServerError).silent()
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
		b := s.browser()
		b.get("/count")
		b.get("/boom").status(http.StatusInternalServerError).silent()
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"a panic with recovery inside: its page is an answer like any other", func(s *scene) {
		s.serveIn(insideRecovery(), at("/boom", func(c *Context) error {
			count.Set(c.Get(), 100)
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/boom").status(http.StatusInternalServerError).sets()
		b.get("/read").is(http.StatusOK, "100")
		s.store.fail(writes...)
		s.browser().get("/boom").fails(http.StatusServiceUnavailable)
	}},
	{"a panic without recovery: the connection ends and nothing is stored", func(s *scene) {
		s.noise = true
		s.serve(at("/boom", func(c *Context) error {
			count.Set(c.Get(), 100)
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/count")
		if r := b.get("/boom"); r.err == nil {
			s.Fatalf("the answer is %d, want none", r.StatusCode)
		}
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"http.ErrAbortHandler ends the connection and nothing is stored", func(s *scene) {
		s.serveIn(outsideRecovery(), at("/abort", func(c *Context) error {
			count.Set(c.Get(), 100)
			panic(http.ErrAbortHandler)
		}))
		b := s.browser()
		b.get("/count")
		b.get("/abort") // Gin answers nothing, with 200; the others hang up
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"logout, then a panic: the cookie is deleted with the error page", func(s *scene) {
		s.serveIn(outsideRecovery(), at("/boom", func(c *Context) error {
			if err := c.Get().Destroy(c.Request.Context()); err != nil {
				return err
			}
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/login?user=ann")
		stolen := b.cookies()
		b.get("/boom").status(http.StatusInternalServerError).deletes()
		s.sending(stolen).get("/me").is(http.StatusOK, "user=")
	}},
	{"Save, then a panic: what was saved keeps its cookie, what came later is dropped", func(s *scene) {
		s.serveIn(outsideRecovery(), at("/boom", func(c *Context) error {
			sess := c.Get()
			count.Set(sess, 10)
			if err := sess.Save(c.Request.Context()); err != nil {
				return err
			}
			count.Set(sess, 100)
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/boom").status(http.StatusInternalServerError).sets()
		b.get("/read").is(http.StatusOK, "10")
	}},
	{"Renew, then a panic: the old id lives on", func(s *scene) {
		s.serveIn(outsideRecovery(), at("/boom", func(c *Context) error {
			if err := c.Get().Renew(); err != nil {
				return err
			}
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/count")
		b.get("/boom").status(http.StatusInternalServerError).silent()
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"a panic after the first byte: what was stored before stays, the rest is dropped", func(s *scene) {
		s.noise = true
		s.serve(at("/boom", func(c *Context) error {
			count.Set(c.Get(), 10)
			if err := http.NewResponseController(c.Writer).Flush(); err != nil {
				return err
			}
			count.Set(c.Get(), 100)
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/boom")
		b.get("/read").is(http.StatusOK, "10")
	}},
	{"a panic after a failed commit: nothing of the handler's leaves", func(s *scene) {
		for _, v := range []any{errBoom, http.ErrAbortHandler} {
			one := newScene(s.TB, s.fw, s.empty(), s.patience)
			one.noise = true // two answers, where the error page was sent already
			one.serveIn(outsideRecovery(), at("/boom", func(c *Context) error {
				count.Set(c.Get(), 100)
				if _, err := c.Writer.Write([]byte(marker)); err == nil {
					return nil
				}
				panic(v)
			}))
			one.store.fail(writes...)
			r := one.browser().get("/boom").withoutMarker()
			if r.err == nil && r.StatusCode < 500 {
				s.Fatalf("status %d, want an error", r.StatusCode)
			}
			one.end()
		}
	}},
	{"a handler that recovers by itself and answers", func(s *scene) {
		s.serve(at("/boom", func(c *Context) (err error) {
			defer func() {
				if recover() != nil {
					err = c.String(http.StatusInternalServerError, "sorry")
				}
			}()
			count.Set(c.Get(), 100)
			panic(errBoom)
		}))
		b := s.browser()
		b.get("/boom").is(http.StatusInternalServerError, "sorry").sets()
		b.get("/read").is(http.StatusOK, "100")
	}},
	{"a handler that fails is stored like any other", func(s *scene) {
		s.serveIn(outsideRecovery(), at("/failed-login", func(c *Context) error {
			count.Update(c.Get(), func(n int) int { return n + 1 })
			return c.Fail(http.StatusUnauthorized)
		}))
		b := s.browser()
		b.get("/failed-login").status(http.StatusUnauthorized).sets()
		b.get("/failed-login").status(http.StatusUnauthorized).silent()
		b.get("/read").is(http.StatusOK, "2")
	}},
	{"logout, then a handler that fails: the cookie is deleted", func(s *scene) {
		s.serve(at("/leave", func(c *Context) error {
			if err := c.Get().Destroy(c.Request.Context()); err != nil {
				return err
			}
			return c.Fail(http.StatusInternalServerError)
		}))
		b := s.browser()
		b.get("/login?user=ann")
		b.get("/leave").status(http.StatusInternalServerError).deletes()
	}},
}

// brokenLoad starts an app with Config.Lazy, and returns a visitor whose session
// cannot be loaded.
func brokenLoad(s *scene, use []Middleware, routes ...Route) *browser {
	s.Helper()
	s.cfg.Lazy = true
	s.serveIn(use, routes...)
	b := s.browser()
	b.get("/count").is(http.StatusOK, "1")
	s.store.fail("load")
	return b
}

// back checks that the session is as it was, once the store is back.
func (b *browser) back() {
	b.s.Helper()
	b.s.store.heal()
	b.get("/count").is(http.StatusOK, "2").silent()
}

var lazy = []scenario{
	{"Lazy: who does not ask costs no load", func(s *scene) {
		b := brokenLoad(s, []Middleware{sessions})
		s.store.forget()
		b.get("/static").is(http.StatusOK, "static").lacks("Set-Cookie", "Vary", "Cache-Control")
		b.get("/missing").status(http.StatusNotFound)
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
		b.back()
	}},
	{"Lazy: many goroutines ask and one loads", func(s *scene) {
		s.cfg.Lazy = true
		s.serve(at("/many", func(c *Context) error {
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() { count.Update(c.Get(), func(n int) int { return n + 1 }) })
			}
			wg.Wait()
			return c.JSON(http.StatusOK, count.Get(c.Get()))
		}))
		b := s.browser()
		b.get("/count")
		s.store.forget()
		b.get("/many").is(http.StatusOK, "17")
		if n := s.store.count("load"); n != 1 {
			s.Fatalf("the session was loaded %d times, want once", n)
		}
	}},
	{"Lazy: a load that fails is 503", func(s *scene) {
		b := brokenLoad(s, []Middleware{sessions})
		b.get("/read").fails(http.StatusServiceUnavailable)
		b.back()
	}},
	{"Lazy: a load that fails is 503 with recovery outside", func(s *scene) {
		b := brokenLoad(s, outsideRecovery())
		b.get("/read").fails(http.StatusServiceUnavailable)
		b.back()
	}},
	{"Lazy: a load that fails is 503 with recovery inside", func(s *scene) {
		b := brokenLoad(s, insideRecovery())
		b.get("/read").fails(http.StatusServiceUnavailable)
		b.back()
	}},
	{"Lazy: a load that fails is 503 when mounted twice", func(s *scene) {
		b := brokenLoad(s, []Middleware{recovery, sessions, sessions, recovery})
		b.get("/read").fails(http.StatusServiceUnavailable)
		b.back()
	}},
	{"Lazy: a load that fails is 503 whatever a deferred function writes", func(s *scene) {
		for _, use := range [][]Middleware{{sessions}, outsideRecovery(), insideRecovery()} {
			one := newScene(s.TB, s.fw, s.empty(), s.patience)
			b := brokenLoad(one, use, at("/deferred", func(c *Context) error {
				defer func() {
					c.Writer.Header().Set("X-Handler", "the handler")
					c.Writer.WriteHeader(http.StatusOK)
					_, _ = c.Writer.Write([]byte(marker)) // in vain
				}()
				return c.JSON(http.StatusOK, count.Get(c.Get()))
			}))
			b.get("/deferred").fails(http.StatusServiceUnavailable)
			b.back()
			one.end()
		}
	}},
	{"Lazy: a load that fails is 503 when the handler recovers and answers", func(s *scene) {
		b := brokenLoad(s, []Middleware{sessions}, at("/recovers", func(c *Context) (err error) {
			defer func() {
				if recover() != nil {
					err = c.String(http.StatusOK, marker)
				}
			}()
			c.Get()
			return nil
		}), at("/recovers-silently", func(c *Context) error {
			defer func() { _ = recover() }()
			c.Get()
			return nil
		}))
		b.get("/recovers").fails(http.StatusServiceUnavailable)
		b.get("/recovers-silently").fails(http.StatusServiceUnavailable)
		b.back()
	}},
	{"Lazy: a load that fails after the first byte ends the connection", func(s *scene) {
		b := brokenLoad(s, []Middleware{sessions}, at("/late", func(c *Context) error {
			if err := http.NewResponseController(c.Writer).Flush(); err != nil {
				return err
			}
			return c.JSON(http.StatusOK, count.Get(c.Get()))
		}))
		if r := b.get("/late"); r.err == nil {
			s.Fatalf("the answer is complete, want half of one: %q", brief(r.text))
		}
		b.back()
	}},
	{"Lazy: Lookup says no and the answer is 503", func(s *scene) {
		b := brokenLoad(s, []Middleware{sessions}, at("/lookup", func(c *Context) error {
			_, ok := c.Lookup()
			if ok {
				return c.String(http.StatusOK, "the handler has a session")
			}
			return c.String(http.StatusOK, marker)
		}))
		b.get("/lookup").fails(http.StatusServiceUnavailable)
		b.back()
	}},
	{"Lazy: Load returns the error and the handler answers as it likes", func(s *scene) {
		b := brokenLoad(s, outsideRecovery(), at("/load", func(c *Context) error {
			_, err := c.Load()
			var failure *store.Error
			if !errors.As(err, &failure) {
				return c.String(http.StatusInternalServerError, "Load returned no error of the store")
			}
			return c.String(http.StatusOK, "without a session")
		}))
		b.get("/load").is(http.StatusOK, "without a session").silent().has("Vary", "Cookie")
		b.back()
	}},
	{"Lazy: Load in a goroutine returns the error", func(s *scene) {
		b := brokenLoad(s, []Middleware{sessions}, at("/load", func(c *Context) error {
			errs := make(chan error, 8)
			for range cap(errs) {
				go func() {
					_, err := c.Load()
					errs <- err
				}()
			}
			for range cap(errs) {
				if <-errs == nil {
					return c.String(http.StatusInternalServerError, "Load returned no error")
				}
			}
			return c.String(http.StatusOK, "without a session")
		}))
		b.get("/load").is(http.StatusOK, "without a session").silent()
		b.back()
	}},
	{"Lazy: a load after the first byte works, and changes are stored", func(s *scene) {
		s.cfg.Lazy = true
		s.serve(at("/late", func(c *Context) error {
			if err := http.NewResponseController(c.Writer).Flush(); err != nil {
				return err
			}
			count.Update(c.Get(), func(n int) int { return n + 1 })
			return nil
		}))
		b := s.browser()
		b.get("/count")
		b.get("/late").status(http.StatusOK)
		b.get("/count").is(http.StatusOK, "3")
	}},
	{"Lazy: a client that hangs up during the load is no store failure", func(s *scene) {
		s.cfg.Lazy = true
		hangUpDuringLoad(s)
	}},
	{"a client that hangs up during the load is no store failure", hangUpDuringLoad},
}

func hangUpDuringLoad(s *scene) {
	s.Helper()
	served := s.afterwards()
	s.cfg.StoreTimeout = 2 * time.Second // for as long goes the load on
	s.cfg.ServeAnonymously = func(*http.Request, error) bool {
		s.Errorf("ServeAnonymously is called")
		return false
	}
	s.serve()
	b := s.browser()
	b.get("/count")
	s.await(served, "the first request")
	loading := make(chan struct{}, 1)
	s.store.on(func(ctx context.Context, verb string) error {
		if verb != "load" {
			return nil
		}
		loading <- struct{}{}
		<-ctx.Done()
		return &store.Error{Store: "suite", Verb: verb, Err: ctx.Err(), Outcome: store.OutcomeNotApplied}
	})
	ctx, hangUp := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.do(ctx, "GET", "/read")
	}()
	s.await(loading, "the load")
	hangUp()
	s.await(done, "the client")
	s.await(served, "the second request")
	if strings.Contains(s.log.String(), "level=ERROR") {
		s.Fatalf("the log speaks of an error: %s", s.log.String())
	}
	s.store.heal()
	b.get("/count").is(http.StatusOK, "2")
}

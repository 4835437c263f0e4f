package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// hurried serves the app, and once more with a StoreTimeout that is short, for
// requests that wait for it. It returns the URL of that one: the other would let them
// wait for as long as their client does.
func (s *scene) hurried() (url string) {
	s.Helper()
	patient := s.cfg.StoreTimeout
	s.cfg.StoreTimeout = time.Second
	s.serve()
	url = s.url
	s.cfg.StoreTimeout = patient
	s.serve()
	return url
}

var failures = []scenario{
	{"load fails: 503, and the handler does not run", func(s *scene) {
		var ran atomic.Bool
		s.serve(at("/run", func(c *Context) error {
			ran.Store(true)
			return c.String(http.StatusOK, marker)
		}))
		b := s.browser()
		b.get("/login?user=ann")
		s.store.fail("load")
		b.get("/run").fails(http.StatusServiceUnavailable)
		if ran.Load() {
			s.Fatalf("the handler ran")
		}
		s.browser().get("/static").is(http.StatusOK, "static") // without a cookie there is nothing to load
		s.store.heal()
		b.get("/me").is(http.StatusOK, "user=ann").silent()
	}},
	// Standards: ASVS-16.5.2, ASVS-16.5.3
	{"the store is down: 503 to all, and no restart is needed", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		s.store.fail()
		for range 3 {
			b.get("/me").fails(http.StatusServiceUnavailable)
			s.browser().get("/count").fails(http.StatusServiceUnavailable)
		}
		s.store.heal()
		b.get("/me").is(http.StatusOK, "user=ann").silent()
		s.browser().get("/count").is(http.StatusOK, "1").sets()
	}},
	// Standards: ASVS-13.1.3, ASVS-13.2.6
	{"the store hangs at load: 503 within StoreTimeout", func(s *scene) {
		hurried := s.hurried()
		b := s.browser()
		b.get("/count").sets()
		s.store.stall("load")
		b.on(hurried).get("/count").fails(http.StatusServiceUnavailable)
		s.store.heal()
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"the store hangs at the commit: 503 within StoreTimeout", func(s *scene) {
		hurried := s.hurried()
		b := s.browser()
		s.store.stall(writes...)
		b.on(hurried).get("/count").fails(http.StatusServiceUnavailable)
		s.store.heal()
		b.get("/count").is(http.StatusOK, "1").sets()
		s.store.stall(writes...)
		b.on(hurried).get("/count").fails(http.StatusServiceUnavailable)
		s.store.heal()
		b.get("/count").is(http.StatusOK, "2").silent()
	}},
	{"a store that fails now and then never loses a session or makes a second one", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/count").sets()
		var calls atomic.Int64
		s.store.on(func(context.Context, string) error {
			if calls.Add(1)%3 == 0 {
				return errDown
			}
			return nil
		})
		want := 1
		for range 30 {
			r := b.get("/count")
			if r.err == nil && r.StatusCode == http.StatusOK {
				want++
				r.is(http.StatusOK, fmt.Sprint(want)).silent()
			} else {
				r.fails(http.StatusServiceUnavailable)
			}
		}
		s.store.heal()
		b.get("/read").is(http.StatusOK, fmt.Sprint(want)).silent()
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want 1", n)
		}
	}},
	{"ServeAnonymously: reads go on without a session", func(s *scene) {
		s.cfg.ServeAnonymously = func(*http.Request, error) bool { return true }
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		s.store.fail()
		b.get("/me").is(http.StatusOK, "user=").silent()
		b.get("/static").is(http.StatusOK, "static").silent()
		s.store.heal()
		b.get("/me").is(http.StatusOK, "user=ann").silent()
	}},
	{"ServeAnonymously: changes fail the response, and no cookie is set or deleted", func(s *scene) {
		s.cfg.ServeAnonymously = func(*http.Request, error) bool { return true }
		s.serve(at("/leave", func(c *Context) error {
			if err := c.Get().Destroy(c.Request.Context()); !errors.Is(err, core.ErrDegraded) {
				return fmt.Errorf("destroying: %w", errors.Join(err, errBoom))
			}
			return c.String(http.StatusOK, "could not")
		}))
		b := s.browser()
		b.get("/login?user=ann")
		s.store.fail("load")
		b.get("/count").fails(http.StatusServiceUnavailable)
		b.get("/login?user=bob").fails(http.StatusServiceUnavailable)
		b.get("/leave").is(http.StatusOK, "could not").silent()
		s.store.heal()
		b.get("/me").is(http.StatusOK, "user=ann").silent()
	}},
	{"the reply to a write is lost: it is found out that it was applied", func(s *scene) {
		s.serve()
		b := s.browser()
		lost := func(verb string) {
			var n atomic.Int64
			s.store.then(func(_ context.Context, v string, err error) error {
				if v == verb && err == nil && n.Add(1) == 1 {
					return &store.Error{Store: "suite", Verb: v, Class: "connection reset", Outcome: store.OutcomeUnknown}
				}
				return err
			})
		}
		lost("create")
		b.get("/count").is(http.StatusOK, "1").sets()
		lost("update")
		b.get("/count").is(http.StatusOK, "2").silent()
		s.store.then(nil)
		b.get("/count").is(http.StatusOK, "3")
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want 1", n)
		}
	}},
	{"the request to write is lost: it is sent again", func(s *scene) {
		s.serve()
		b := s.browser()
		var n atomic.Int64
		s.store.on(func(_ context.Context, verb string) error {
			if (verb == "create" || verb == "update") && n.Add(1)%2 == 1 {
				return &store.Error{Store: "suite", Verb: verb, Class: "connection reset", Outcome: store.OutcomeUnknown}
			}
			return nil
		})
		b.get("/count").is(http.StatusOK, "1").sets()
		b.get("/count").is(http.StatusOK, "2").silent()
		s.store.heal()
		b.get("/read").is(http.StatusOK, "2")
	}},
	{"a session that is too large: 500, and nothing leaks", func(s *scene) {
		s.cfg.MaxBytes = 2000
		s.serve(at("/large", func(c *Context) error {
			c.Writer.Header().Set("X-Handler", "the handler")
			c.Get().Set("blob", strings.Repeat(marker, 200))
			return c.String(http.StatusOK, marker)
		}))
		b := s.browser()
		b.get("/large").fails(http.StatusInternalServerError)
		b.get("/count").is(http.StatusOK, "1").sets()
		b.get("/large").fails(http.StatusInternalServerError)
		b.get("/count").is(http.StatusOK, "2").silent()
		s.logged("MaxBytes")
		if s.log.contains(marker) {
			s.Fatalf("the log has the data of the session")
		}
	}},
	{"a session with too many keys: 500, and nothing leaks", func(s *scene) {
		s.cfg.MaxKeys = 10
		s.serve(at("/many", func(c *Context) error {
			for i := range 11 {
				c.Get().Set(fmt.Sprint("key", i), i)
			}
			return c.String(http.StatusOK, marker)
		}))
		s.browser().get("/many").fails(http.StatusInternalServerError)
		s.logged("MaxKeys")
	}},
	{"a value that cannot be encoded: 500, and the log names the key", func(s *scene) {
		s.serve(at("/bad", func(c *Context) error {
			c.Get().Set("callback", func() {})
			return c.String(http.StatusOK, marker)
		}), at("/reserved", func(c *Context) error {
			c.Get().Set("cookie", marker)
			return c.String(http.StatusOK, marker)
		}))
		b := s.browser()
		b.get("/count")
		b.get("/bad").fails(http.StatusInternalServerError)
		s.logged("callback")
		b.get("/reserved").fails(http.StatusInternalServerError)
		b.get("/count").is(http.StatusOK, "2").silent()
	}},
	{"a record that cannot be decoded is as if gone, is reported once, and stays in the store", func(s *scene) {
		s.serve()
		id := unknownID(1)
		rec := store.Record{ID: id, Data: []byte("no JSON " + marker), TTL: time.Hour}
		if err := s.store.inner.Create(s.Context(), rec); err != nil {
			s.Fatalf("Create: %v", err)
		}
		for range 3 {
			s.sending(sign(secret, id)).get("/read").is(http.StatusOK, "0").silent()
		}
		if value := s.sending(sign(secret, id)).get("/count").is(http.StatusOK, "1").sets(); strings.Contains(value, id) {
			s.Fatalf("the id was used for a new session")
		}
		if got, err := s.store.inner.Load(s.Context(), id); err != nil || string(got.Data) != string(rec.Data) {
			s.Fatalf("the record is not left as it was (%v)", err)
		}
		if text := s.log.String(); strings.Count(text, "decoded") != 1 || strings.Contains(text, marker) {
			s.Fatalf("the log says %q, want one report without data", text)
		}
	}},
	{"logout fails: the response fails, and the session lives", func(s *scene) {
		s.serve(at("/careless", func(c *Context) error {
			_ = c.Get().Destroy(c.Request.Context()) // careless
			return c.String(http.StatusOK, marker)
		}))
		b := s.browser()
		b.get("/login?user=ann")
		s.store.fail("delete")
		b.get("/careless").fails(http.StatusServiceUnavailable)
		s.store.heal()
		b.get("/me").is(http.StatusOK, "user=ann").silent()
	}},
	{"logout fails once: the commit does it", func(s *scene) {
		s.serve(at("/careless", func(c *Context) error {
			_ = c.Get().Destroy(c.Request.Context()) // careless
			return c.String(http.StatusOK, "bye")
		}))
		b := s.browser()
		b.get("/login?user=ann")
		stolen := b.cookies()
		var n atomic.Int64
		s.store.on(func(_ context.Context, verb string) error {
			if verb == "delete" && n.Add(1) == 1 {
				return errDown
			}
			return nil
		})
		b.get("/careless").is(http.StatusOK, "bye").deletes()
		s.sending(stolen).get("/me").is(http.StatusOK, "user=")
	}},
	{"login fails: the old session lives, and no other is left", func(s *scene) {
		for _, verbs := range [][]string{{"create", "replace"}, {"update", "replace"}} {
			one := newScene(s.TB, s.fw, s.empty(), s.patience)
			one.serve()
			b := one.browser()
			b.get("/count")
			one.store.fail(verbs...)
			b.get("/login?user=ann").fails(http.StatusServiceUnavailable)
			one.store.heal()
			b.get("/count").is(http.StatusOK, "2").silent()
			b.get("/me").is(http.StatusOK, "user=")
			if n := one.live(1); n != 1 {
				s.Fatalf("%d sessions are stored, want 1", n)
			}
			one.end()
		}
	}},
	{"a change after the first byte: an existing session is stored when the handler returns", func(s *scene) {
		s.serve(at("/late", late), at("/late-save", func(c *Context) error {
			if err := http.NewResponseController(c.Writer).Flush(); err != nil {
				return err
			}
			count.Update(c.Get(), func(n int) int { return n + 1 })
			err := c.Get().Save(c.Request.Context())
			_, writeErr := fmt.Fprintf(c.Writer, "%v", err)
			return writeErr
		}))
		b := s.browser()
		b.get("/count")
		b.get("/late").is(http.StatusOK, "later").silent()
		b.get("/count").is(http.StatusOK, "12")
		s.noise = true // Echo, see kind
		b.get("/late-save").is(http.StatusOK, "<nil>").silent()
		b.get("/count").is(http.StatusOK, "14")
	}},
	{"a change after the first byte: a new session is dropped, which is logged", func(s *scene) {
		s.serve(at("/late", late))
		b := s.browser()
		b.get("/late").is(http.StatusOK, "later").silent()
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
		s.logged("dropped")
		b.get("/count").is(http.StatusOK, "1").sets()
	}},
	{"a change after the first byte that cannot be stored is logged", func(s *scene) {
		s.serve(at("/late", late))
		b := s.browser()
		b.get("/count")
		s.store.fail("update")
		b.get("/late").is(http.StatusOK, "later")
		s.store.heal()
		s.logged("could not be saved")
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"what needs a cookie after the first byte returns ErrHeadersSent and changes nothing", func(s *scene) {
		errs := make(chan error, 4)
		s.serve(at("/late", func(c *Context) error {
			sess := c.Get()
			if err := c.String(http.StatusOK, "body"); err != nil {
				return err
			}
			errs <- sess.Renew()
			errs <- sess.Regenerate()
			errs <- sess.SetMaxAge(time.Hour)
			return nil
		}))
		b := s.browser()
		b.get("/count")
		b.get("/late").is(http.StatusOK, "body").silent()
		for _, verb := range []string{"Renew", "Regenerate", "SetMaxAge"} {
			if err := <-errs; !errors.Is(err, core.ErrHeadersSent) {
				s.Fatalf("%s returned %v, want ErrHeadersSent", verb, err)
			}
		}
		b.get("/count").is(http.StatusOK, "2").silent()
	}},
	{"logout after the first byte still ends the session", func(s *scene) {
		s.serve(at("/late", func(c *Context) error {
			if err := c.String(http.StatusOK, "body"); err != nil {
				return err
			}
			return c.Get().Destroy(c.Request.Context())
		}))
		b := s.browser()
		b.get("/login?user=ann")
		b.get("/late").is(http.StatusOK, "body").silent()
		b.get("/me").is(http.StatusOK, "user=")
		if n := s.live(0); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
	}},
	{"a change after the handler returned is dropped, which is logged", func(s *scene) {
		kept := make(chan *core.Session, 1)
		served := s.afterwards()
		s.serve(at("/keep", func(c *Context) error {
			kept <- c.Get()
			return c.String(http.StatusOK, "ok")
		}))
		b := s.browser()
		b.get("/count")
		b.get("/keep").is(http.StatusOK, "ok")
		sess := <-kept
		s.await(served, "the handler to return")
		s.await(served, "the handler to return")
		count.Set(sess, 100)
		s.logged("dropped")
		b.get("/read").is(http.StatusOK, "1")
	}},
}

// late changes the session after the first byte.
func late(c *Context) error {
	sess := c.Get()
	if _, err := c.Writer.Write([]byte("later")); err != nil {
		return err
	}
	if err := http.NewResponseController(c.Writer).Flush(); err != nil {
		return err
	}
	count.Update(sess, func(n int) int { return n + 10 })
	return nil
}

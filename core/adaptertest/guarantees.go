package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// processes starts n servers with a Manager each and returns their addresses.
func (s *scene) processes(n int, routes ...Route) []string {
	s.Helper()
	var urls []string
	for range n {
		s.serve(append([]Route(nil), routes...)...)
		urls = append(urls, s.url)
	}
	return urls
}

// inParallel calls do in n goroutines.
func inParallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

const oauth core.Key[string] = "oauth"

var guarantees = []scenario{
	{"G1: 64 clients x 50 increments over 3 processes on one session are 3200", func(s *scene) {
		urls := s.processes(3)
		b := s.browser()
		b.get("/count").is(http.StatusOK, "1").sets()
		cookie := b.cookies()
		var failed atomic.Int64
		inParallel(64, func(i int) {
			client := s.sending(cookie).on(urls[i%len(urls)])
			client.client.Timeout = 10 * s.patience
			for range 50 {
				if r := client.get("/count"); r.err != nil || r.StatusCode != http.StatusOK || r.Header.Get("Set-Cookie") != "" {
					failed.Add(1)
				}
			}
		})
		if n := failed.Load(); n > 0 {
			s.Fatalf("%d requests failed or set a cookie", n)
		}
		b.get("/read").is(http.StatusOK, "3201")
	}},
	{"G1: requests that set different keys all land", func(s *scene) {
		g := s.gate()
		urls := s.processes(2, at("/set", func(c *Context) error {
			sess := c.Get()
			g.pass()
			sess.Set(c.Request.FormValue("key"), 1)
			return c.String(http.StatusOK, "ok")
		}), at("/keys", func(c *Context) error {
			n := 0
			for range c.Get().Keys() {
				n++
			}
			return c.JSON(http.StatusOK, n)
		}))
		b := s.browser()
		b.get("/count")
		var held []<-chan *reply
		for i := range 20 {
			held = append(held, b.on(urls[i%2]).start(fmt.Sprint("/set?key=key", i)))
			g.await()
		}
		g.release()
		for _, h := range held {
			s.answer(h).is(http.StatusOK, "ok").silent()
		}
		b.get("/keys").is(http.StatusOK, "21")
	}},
	// Standards: ASVS-7.4.1
	{"G2: logout stays done whatever is under way, in any process", func(s *scene) {
		g := s.gate()
		urls := s.processes(3, holding(g)...)
		b := s.browser()
		b.get("/login?user=ann")
		stolen := b.cookies()
		var held []<-chan *reply
		for i := range 24 {
			path := []string{"/hold-write", "/hold-renew", "/hold-read", "/hold-write-nothing"}[i/3%4]
			held = append(held, s.sending(stolen).on(urls[i%3]).start(path))
			g.await()
		}
		b.get("/logout").deletes()
		g.release()
		for _, h := range held {
			s.answer(h).silent()
		}
		for _, url := range urls {
			s.sending(stolen).on(url).get("/me").is(http.StatusOK, "user=")
		}
		if n := s.live(0); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
	}},
	{"G2: logout stays done while writes are at the store", func(s *scene) {
		const writers = 6
		urls := s.processes(writers)
		b := s.browser()
		b.get("/login?user=ann")
		stolen := b.cookies()
		g := s.gate()
		s.store.on(func(_ context.Context, verb string) error {
			if verb == "update" || verb == "replace" {
				g.pass()
			}
			return nil
		})
		var held []<-chan *reply
		for _, url := range urls { // in one process they would queue
			held = append(held, s.sending(stolen).on(url).start("/count"))
			g.await()
		}
		b.get("/logout").deletes()
		g.release()
		for _, h := range held {
			s.answer(h).fails(http.StatusConflict)
		}
		if n := s.live(0); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
	}},
	{"G2: logout does not wait for a write that hangs", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		g := s.gate()
		s.store.on(func(_ context.Context, verb string) error {
			if verb == "update" {
				g.pass()
			}
			return nil
		})
		held := s.sending(b.cookies()).start("/count")
		g.await()
		b.get("/logout").is(http.StatusOK, "bye").deletes()
		g.release()
		s.answer(held).fails(http.StatusConflict)
	}},
	// Standards: ASVS-16.5.2, ASVS-16.5.3
	{"G3: no byte leaves before the session is stored", func(s *scene) {
		s.serve(at("/flush", func(c *Context) error {
			count.Set(c.Get(), 1)
			return http.NewResponseController(c.Writer).Flush()
		}), at("/body", func(c *Context) error {
			count.Set(c.Get(), 1)
			return c.String(http.StatusOK, marker)
		}))
		for _, path := range []string{"/flush", "/body"} {
			g := s.gate()
			s.store.on(func(context.Context, string) error {
				g.pass()
				return nil
			})
			conn := s.dial()
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, conn.RemoteAddr()); err != nil {
				s.Fatalf("%s: %v", path, err)
			}
			g.await()
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // a connection has deadlines
			var timeout net.Error
			if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
				s.Fatalf("%s: a byte left while the session was being stored (%v)", path, err)
			}
			g.release()
			_ = conn.SetReadDeadline(time.Now().Add(s.patience))
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				s.Fatalf("%s: %v", path, err)
			}
		}
	}},
	// Standards: ASVS-7.3.2, WSTG-SESS-07
	{"G8: the absolute timeout ends a session however active it is", func(s *scene) {
		var passed atomic.Int64
		s.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
		s.cfg.AbsoluteTimeout = 2 * time.Hour
		s.cfg.IdleTimeout = 2 * time.Hour
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		passed.Store(int64(time.Hour))
		b.get("/me").is(http.StatusOK, "user=ann")
		passed.Store(int64(2*time.Hour + time.Second))
		b.get("/me").is(http.StatusOK, "user=")
		b.get("/count").is(http.StatusOK, "1").sets()
	}},
	// Standards: ASVS-7.3.1, WSTG-SESS-07
	{"G8: an idle session ends without anybody sweeping", func(s *scene) {
		s.cfg.IdleTimeout = time.Second
		s.serve()
		s.store.hastens = 25
		b := s.browser()
		b.get("/login?user=ann").sets()
		old := b.cookies()
		for deadline := time.Now().Add(s.patience); s.store.live() > 0; {
			if time.Now().After(deadline) {
				s.Fatalf("the session is still there")
			}
		}
		b.get("/me").is(http.StatusOK, "user=").silent()
		b.get("/count").is(http.StatusOK, "1").sets()
		if b.cookies() == old {
			s.Fatalf("the id was used again")
		}
	}},
	// Standards: ASVS-7.6.2
	{"G9: anonymous traffic writes nothing", func(s *scene) {
		s.serve()
		inParallel(8, func(int) {
			for _, path := range []string{"/read", "/me", "/static", "/missing", "/logout"} {
				s.sending("").get(path)
				s.sending("sid=nonsense").get(path)
			}
		})
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
		inParallel(8, func(i int) { s.sending(sign(secret, unknownID(i))).get("/read") })
		if n := s.store.count(writes...); n != 0 {
			s.Fatalf("%d writes", n)
		}
	}},
	// Standards: ASVS-15.4.1
	{"G10: many visitors and many requests of each at once", func(s *scene) {
		s.serve()
		inParallel(8, func(int) {
			b := s.browser()
			if r := b.get("/count"); r.err != nil {
				s.Errorf("%v", r.err)
			}
			inParallel(4, func(int) {
				for _, path := range []string{"/count", "/read", "/static", "/count", "/me"} {
					if r := b.get(path); r.err != nil || r.StatusCode != http.StatusOK {
						s.Errorf("%s fails: %v", path, r.err)
					}
				}
			})
			if r := b.get("/read"); r.text != "9\n" && r.text != "9" {
				s.Errorf("the counter is %q, want 9", r.text)
			}
		})
	}},
	{"Take gives a value to exactly one of many requests", func(s *scene) {
		g := s.gate()
		urls := s.processes(2, at("/begin", func(c *Context) error {
			oauth.Set(c.Get(), "state")
			return c.String(http.StatusOK, "ok")
		}), at("/take", func(c *Context) error {
			sess := c.Get()
			g.pass()
			v, err := oauth.Take(c.Request.Context(), sess)
			switch {
			case errors.Is(err, core.ErrAbsent):
				return c.String(http.StatusOK, "somebody else has it")
			case err != nil:
				return err
			}
			return c.String(http.StatusOK, "got "+v)
		}))
		b := s.browser()
		b.get("/begin").sets()
		var held []<-chan *reply
		for i := range 10 {
			held = append(held, b.on(urls[i%2]).start("/take"))
			g.await()
		}
		g.release()
		got := 0
		for _, h := range held {
			if r := s.answer(h).status(http.StatusOK).silent(); r.text == "got state" {
				got++
			}
		}
		if got != 1 {
			s.Fatalf("%d requests got the value, want one", got)
		}
	}},
}

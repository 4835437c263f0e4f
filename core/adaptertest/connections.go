package adaptertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"

	"github.com/cloakroom-go/cloakroom/core"
)

func connections() []scenario {
	return append(upgrades(), []scenario{
		{"Hijack: what was changed before is stored", func(s *scene) {
			s.serve(upgrading(s)...)
			b := s.browser()
			b.get("/count")
			res, conn, r := s.upgrade("/hijack", b.cookies())
			s.upgraded(res, conn, r)
			b.get("/read").is(http.StatusOK, "2")
		}},
		{"Hijack: none when the commit fails", func(s *scene) {
			s.serve(upgrading(s)...)
			b := s.browser()
			b.get("/count")
			s.store.fail(writes...)
			res, _, _ := s.upgrade("/hijack", b.cookies())
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Cache-Control") != "no-store" {
				s.Fatalf("the answer is %d with %v, want 503", res.StatusCode, res.Header)
			}
		}},
		{"an upgrade through a reverse proxy brings the cookie", func(s *scene) {
			proxy := upstream(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, rw, err := gorilla(&Context{Writer: w, Request: r}, nil)
				if err == nil {
					_ = echoes(conn, rw, nil) // never fails
				}
			}))
			s.serve(at("/proxy", func(c *Context) error {
				count.Set(c.Get(), 5)
				r := c.Request.Clone(c.Request.Context())
				r.Header.Set("Connection", "Upgrade")
				proxy.ServeHTTP(c.Writer, r)
				return nil
			}))
			res, conn, r := s.upgrade("/proxy", "")
			s.upgraded(res, conn, r)
			if len(res.Cookies()) != 1 {
				s.Fatalf("the upgrade sets %d cookies, want one", len(res.Cookies()))
			}
			s.sending("sid="+res.Cookies()[0].Value).get("/read").is(http.StatusOK, "5")
		}},
		{"a change after an informational response is stored", func(s *scene) {
			s.serve(at("/hints", func(c *Context) error {
				c.Writer.Header().Set("Link", "</style.css>; rel=preload")
				c.Writer.WriteHeader(http.StatusEarlyHints)
				count.Set(c.Get(), 5)
				c.Writer.WriteHeader(http.StatusOK)
				_, err := c.Writer.Write([]byte("body"))
				return err
			}))
			b := s.browser()
			ctx := httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
					if len(h["Set-Cookie"]) > 0 {
						s.Errorf("the informational response sets a cookie")
					}
					return nil
				},
			})
			b.do(ctx, "GET", "/hints").is(http.StatusOK, "body").sets()
			b.get("/read").is(http.StatusOK, "5")
		}},
		{"an event stream: the cookie comes with the headers, long before the end", func(s *scene) {
			b, events, goOn := stream(s)
			b.get("/read").is(http.StatusOK, "5")
			goOn()
			if text := events(); text != "data: <nil>" {
				s.Fatalf("the event is %q, want that the session lives", text)
			}
		}},
		// Standards: ASVS-4.4.3
		{"an event stream: Check tells when the session has ended", func(s *scene) {
			b, events, goOn := stream(s)
			b.get("/logout").deletes()
			goOn()
			if text := events(); text != "data: "+core.ErrSessionGone.Error() {
				s.Fatalf("the event is %q, want that the session has ended", text)
			}
		}},
		// Standards: ASVS-4.4.3, ASVS-7.4.1
		{"an event stream ends when its session does, in each process", func(s *scene) {
			untilTheEnd(s, func(b *browser) (ended <-chan struct{}) {
				res, err := b.open(s.Context(), "GET", "/events")
				if err != nil {
					s.Fatalf("the headers do not come: %v", err)
				}
				return ends(s, res.Body)
			})
		}},
		// Standards: ASVS-4.4.3, ASVS-7.4.1
		{"a WebSocket ends when its session does, in each process", func(s *scene) {
			untilTheEnd(s, func(b *browser) (ended <-chan struct{}) {
				at := s.url
				s.url = b.base
				res, conn, r := s.upgrade("/socket", b.cookies())
				s.url = at
				s.upgraded(res, conn, r)
				s.say(conn, r, "hello", "hello")
				return ends(s, struct {
					io.Reader
					io.Closer
				}{r, conn})
			})
		}},
		{"a client that hangs up during logout is logged out", func(s *scene) {
			served := s.afterwards()
			s.serve(at("/leave", func(c *Context) error {
				err := c.Get().Destroy(c.Request.Context())
				if err != nil {
					s.Errorf("Destroy: %v", err)
				}
				return err
			}))
			b := s.browser()
			b.get("/login?user=ann")
			s.await(served, "the login")
			hungUp(s, b, served, "/leave", "delete")
			s.sending(b.cookies()).get("/me").is(http.StatusOK, "user=")
			if n := s.live(0); n != 0 {
				s.Fatalf("%d sessions are stored, want none", n)
			}
		}},
		{"a client that hangs up during the commit: it is done", func(s *scene) {
			served := s.afterwards()
			s.serve()
			b := s.browser()
			b.get("/count")
			s.await(served, "the first request")
			hungUp(s, b, served, "/count", "update")
			b.get("/read").is(http.StatusOK, "2")
		}},
		{"a timeout outside: a new session whose answer is thrown away is not stored", func(s *scene) {
			served, expire := timeoutOutside(s)
			s.serve(at("/slow", func(c *Context) error {
				count.Set(c.Get(), 100)
				expire()
				return c.String(http.StatusOK, marker)
			}))
			b := s.browser()
			b.get("/slow").is(http.StatusServiceUnavailable, "too late").silent()
			s.await(served, "the handler to return")
			if n := s.live(0); n != 0 {
				s.Fatalf("%d sessions are stored, want none", n)
			}
		}},
		{"a timeout outside: Renew whose answer is thrown away is not done, the old id lives on", func(s *scene) {
			served, expire := timeoutOutside(s)
			slow := func(verb func(*core.Session) error) Handler {
				return func(c *Context) error {
					if err := verb(c.Get()); err != nil {
						s.Errorf("%v", err)
					}
					expire()
					return c.String(http.StatusOK, marker)
				}
			}
			s.serve(at("/renew", slow((*core.Session).Renew)))
			b := s.browser()
			b.get("/count")
			s.await(served, "the first request")
			b.get("/renew").is(http.StatusServiceUnavailable, "too late").silent()
			s.await(served, "the handler to return")
			b.get("/count").is(http.StatusOK, "2").silent()
			if n := s.live(1); n != 1 {
				s.Fatalf("%d sessions are stored, want 1", n)
			}
		}},
		{"a timeout outside: logout is done all the same", func(s *scene) {
			served, expire := timeoutOutside(s)
			s.serve(at("/leave", func(c *Context) error {
				expire()
				if err := c.Get().Destroy(c.Request.Context()); err != nil {
					s.Errorf("Destroy: %v", err)
				}
				return c.String(http.StatusOK, marker)
			}))
			b := s.browser()
			b.get("/login?user=ann")
			s.await(served, "the first request")
			b.get("/leave").is(http.StatusServiceUnavailable, "too late")
			s.await(served, "the handler to return")
			b.get("/me").is(http.StatusOK, "user=")
		}},
		{"a timeout outside: handlers that are in time are not touched by it", func(s *scene) {
			s.around = func(next http.Handler) http.Handler { return http.TimeoutHandler(next, s.patience, "too late") }
			s.serve()
			b := s.browser()
			b.get("/count").is(http.StatusOK, "1").sets()
			b.get("/login?user=ann").sets()
			b.get("/me").is(http.StatusOK, "user=ann")
			s.store.fail(writes...)
			b.get("/count").fails(http.StatusServiceUnavailable)
			s.store.heal()
			b.get("/logout").deletes()
		}},
		// Standards: ASVS-15.4.1
		{"goroutines of a request share its session", func(s *scene) {
			s.serve(at("/many", func(c *Context) error {
				var wg sync.WaitGroup
				sess := c.Get()
				for i := range 32 {
					wg.Go(func() {
						count.Update(sess, func(n int) int { return n + 1 })
						c.Get().Set(fmt.Sprint("key", i), i)
						_ = sess.Has("key0")
						_ = sess.ID()
						for range sess.Keys() {
						}
					})
				}
				wg.Wait()
				return c.JSON(http.StatusOK, count.Get(sess))
			}))
			b := s.browser()
			b.get("/many").is(http.StatusOK, "32").sets()
			b.get("/many").is(http.StatusOK, "64")
			b.get("/read").is(http.StatusOK, "64")
		}},
		{"goroutines use the session while the response begins", func(s *scene) {
			s.serve(at("/race", func(c *Context) error {
				var wg sync.WaitGroup
				sess := c.Get()
				for range 8 {
					wg.Go(func() { count.Update(sess, func(n int) int { return n + 1 }) })
				}
				_, err := c.Writer.Write([]byte("body"))
				wg.Wait()
				return err
			}))
			b := s.browser()
			b.get("/count")
			for i := range 5 {
				b.get("/race").is(http.StatusOK, "body").silent()
				b.get("/read").is(http.StatusOK, fmt.Sprint(1+8*(i+1)))
			}
		}},
	}...)
}

// hungUp asks for a path, hangs up while the store is at verb, and waits until
// the request was served.
func hungUp(s *scene, b *browser, served <-chan struct{}, path, verb string) {
	s.Helper()
	var (
		busy = make(chan struct{}, 1)
		goOn = make(chan struct{})
		done = make(chan struct{})
	)
	s.store.on(func(_ context.Context, v string) error {
		if v == verb {
			busy <- struct{}{}
			s.pause(goOn)
		}
		return nil
	})
	ctx, hangUp := context.WithCancel(s.Context())
	go func() {
		defer close(done)
		b.do(ctx, "GET", path)
	}()
	s.await(busy, "the store to be asked")
	hangUp()
	s.await(done, "the client")
	s.await(s.latest.Load().Context().Done(), "the server to notice that the client is gone")
	close(goOn)
	s.await(served, "the request")
	s.store.heal()
}

// stream opens a stream of one event, which goOn sends and events returns. It
// tells what Check says.
func stream(s *scene) (b *browser, events func() string, goOn func()) {
	s.Helper()
	g := s.gate()
	s.noise = true // Echo, see kind
	s.serve(at("/events", func(c *Context) error {
		sess := c.Get()
		count.Set(sess, 5)
		c.Writer.Header().Set("Content-Type", "text/event-stream")
		if err := http.NewResponseController(c.Writer).Flush(); err != nil {
			return err
		}
		g.pass()
		if _, err := fmt.Fprintf(c.Writer, "data: %v\n\n", sess.Check(c.Request.Context())); err != nil {
			return err
		}
		return http.NewResponseController(c.Writer).Flush()
	}))
	b = s.browser()
	res, err := b.open(s.Context(), "GET", "/events")
	if err != nil {
		s.Fatalf("the headers do not come: %v", err)
	}
	g.await()
	if len(res.Cookies()) != 1 {
		s.Fatalf("the headers set %d cookies, want one", len(res.Cookies()))
	}
	return b, func() string {
		s.Helper()
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			s.Fatalf("the events end with %v", err)
		}
		return strings.TrimSpace(string(body))
	}, g.release
}

// timeoutOutside puts a timeout around the framework. A handler that calls expire
// goes on once the timeout's own answer is under way: had both come to an end by
// then, http.TimeoutHandler might take either.
func timeoutOutside(s *scene) (served <-chan struct{}, expire func()) {
	over, answered := make(chan struct{}), make(chan struct{})
	served = s.afterwards()
	tell := s.around
	s.around = func(next http.Handler) http.Handler {
		quick := tell(next)
		slow := http.TimeoutHandler(quick, 2*s.patience, "too late")
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow", "/renew", "/leave":
				w = tellingWriter{w, sync.OnceFunc(func() { close(answered) })}
				slow.ServeHTTP(w, r.WithContext(expiring{r.Context(), over}))
			default:
				quick.ServeHTTP(w, r)
			}
		})
	}
	return served, sync.OnceFunc(func() {
		close(over)
		s.pause(answered)
	})
}

// A tellingWriter tells when an answer has begun.
type tellingWriter struct {
	http.ResponseWriter

	begun func()
}

func (w tellingWriter) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	w.begun()
}

// An expiring is a context whose deadline is when over is closed, on a machine as slow as
// may be.
type expiring struct {
	context.Context

	over <-chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.over }

func (e expiring) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

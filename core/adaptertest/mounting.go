package adaptertest

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core"
)

// surroundings are less ordinary ways to mount the middleware, in which every
// kind of answer has to be right too.
var surroundings = []struct {
	name  string
	start func(s *scene, routes []Route)
}{
	{"mounted twice", func(s *scene, routes []Route) {
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Session: s.m}, {Session: s.m}}, Groups: []Group{{Routes: routes}}})
	}},
	{"mounted in front of everything and on a group", func(s *scene, routes []Route) {
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Session: s.m}}, Groups: []Group{{Use: []Middleware{{Session: s.m}}, Routes: routes}}})
	}},
	{"mounted on a group", func(s *scene, routes []Route) {
		s.m = s.manager()
		s.start(App{Groups: []Group{{Use: []Middleware{{Session: s.m}}, Routes: routes}}})
	}},
	{"behind another Manager", func(s *scene, routes []Route) {
		cfg := s.cfg
		s.cfg.Cookie.Name = "other"
		other := s.manager()
		s.cfg = cfg
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Session: other}, {Session: s.m}}, Groups: []Group{{Routes: routes}}})
	}},
	{"in front of another Manager", func(s *scene, routes []Route) {
		cfg := s.cfg
		s.cfg.Cookie.Name = "other"
		other := s.manager()
		s.cfg = cfg
		s.m = s.manager()
		for i := range routes {
			h := routes[i].Handler
			routes[i].Handler = func(c *Context) error {
				c.Get = func() *core.Session { return s.m.FromContext(c.Request.Context()) }
				return h(c)
			}
		}
		s.start(App{Use: []Middleware{{Session: s.m}, {Session: other}}, Groups: []Group{{Routes: routes}}})
	}},
	{"between recoveries", func(s *scene, routes []Route) {
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Recover: true}, {Session: s.m}, {Recover: true}}, Groups: []Group{{Routes: routes}}})
	}},
	{"with Lazy", func(s *scene, routes []Route) {
		s.cfg.Lazy = true
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Session: s.m}}, Groups: []Group{{Routes: routes}}})
	}},
	{"with ids hashed and data sealed", func(s *scene, routes []Route) {
		s.cfg.HashIDs = true
		s.cfg.SealKeys = []string{strings.Repeat("k", 32)}
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Session: s.m}}, Groups: []Group{{Routes: routes}}})
	}},
}

// everywhere are all kinds of answers in these surroundings. Each kind has a
// path of its own.
func everywhere() []scenario {
	var all []scenario
	for _, sur := range surroundings {
		play := func(check func(k *kind, s *scene), name string) func(s *scene) {
			return func(s *scene) {
				for i := range kinds {
					k := &kinds[i]
					if _, excepted := s.fw.Except[k.name+name]; excepted {
						continue
					}
					one := newScene(s.TB, s.fw, s.empty(), s.patience)
					one.empty = s.empty
					sur.start(one, append([]Route{k.route(one)}, usual()...))
					check(k, one)
					one.end()
				}
			}
		}
		all = append(all,
			scenario{sur.name + ": every kind of answer comes with the cookie", play((*kind).arrives, arrives)},
			scenario{sur.name + ": every kind of answer gives way when the commit fails", play((*kind).givesWay, givesWay)},
		)
	}
	return all
}

func mounting() []scenario {
	all := append(everywhere(), compressed()...)
	return append(all, []scenario{
		{"mounted twice: the session is one, and so is the cookie", func(s *scene) {
			s.m = s.manager()
			s.start(App{
				Use:    []Middleware{{Session: s.m}, {Session: s.m}, {Session: s.m}},
				Groups: []Group{{Use: []Middleware{{Session: s.m}}, Routes: usual()}},
			})
			b := s.browser()
			b.get("/login?user=ann").sets()
			s.store.forget()
			b.get("/count").is(http.StatusOK, "1").silent()
			if n := s.store.count("load"); n != 1 {
				s.Fatalf("the session was loaded %d times, want once", n)
			}
			if n := s.store.count("update"); n != 1 {
				s.Fatalf("the session was stored %d times, want once", n)
			}
			b.get("/logout").deletes()
		}},
		{"mounted twice: Config.ErrorHandler is called once", func(s *scene) {
			var calls atomic.Int32
			s.cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
				calls.Add(1)
				w.WriteHeader(core.HTTPStatus(err))
				_, _ = w.Write([]byte("back soon"))
			}
			s.cfg.Lazy = true
			s.m = s.manager()
			routes := []Route{
				at("/nothing", func(c *Context) error {
					count.Set(c.Get(), 1)
					return nil
				}),
				at("/fail", func(c *Context) error {
					count.Set(c.Get(), 1)
					return c.Fail(http.StatusTeapot)
				}),
				at("/abort", func(c *Context) error {
					count.Set(c.Get(), 1)
					_, _ = c.Writer.Write([]byte(marker))
					panic(http.ErrAbortHandler) // as httputil.ReverseProxy does where a write fails
				}),
			}
			s.start(App{
				Use:    []Middleware{recovery, {Session: s.m}, {Session: s.m}},
				Groups: []Group{{Use: []Middleware{{Session: s.m}}, Routes: append(routes, usual()...)}},
			})
			known := s.browser()
			known.get("/count").sets()
			s.store.fail()
			for path, b := range map[string]*browser{"/read": known, "/count": s.browser(), "/nothing": s.browser(), "/fail": s.browser(), "/abort": s.browser()} {
				calls.Store(0)
				b.get(path).fails(http.StatusServiceUnavailable).is(http.StatusServiceUnavailable, "back soon")
				if n := calls.Load(); n != 1 {
					s.Fatalf("%s: the ErrorHandler was called %d times, want once", path, n)
				}
			}
		}},
		{"mounted on a group: the session is there and nowhere else", func(s *scene) {
			s.m = s.manager()
			s.start(App{Groups: []Group{
				{Prefix: "/app", Use: []Middleware{{Session: s.m}}, Routes: usual()},
				{Prefix: "/api", Routes: []Route{at("/who", func(c *Context) error {
					_, ok := c.Lookup()
					_, err := c.Load()
					return c.String(http.StatusOK, fmt.Sprint(ok, " ", err))
				}), at("/panic", panicText)}},
			}})
			b := s.browser()
			b.get("/app/count").is(http.StatusOK, "1").sets()
			b.get("/app/count").is(http.StatusOK, "2")
			r := b.get("/api/who").status(http.StatusOK).silent().lacks("Vary")
			if !strings.HasPrefix(r.text, "false ") || !strings.Contains(r.text, "middleware") {
				s.Fatalf("Lookup and Load say %q", r.text)
			}
			if r := b.get("/api/panic").status(http.StatusOK); !strings.Contains(r.text, "middleware") {
				s.Fatalf("Get panics with %q, want it to say that the middleware is missing", r.text)
			}
		}},
		{"two Managers: each has its cookie and its session", func(s *scene) {
			a, b, routes := s.twoManagers()
			s.start(App{Use: []Middleware{{Session: a}, {Session: b}}, Groups: []Group{{Routes: routes}}})
			v := s.browser()
			r := v.get("/both")
			if r.is(http.StatusOK, "both"); r.cookieNamed("a") == nil || r.cookieNamed("b") == nil {
				s.Fatalf("want a cookie of each Manager, got %d", len(r.Cookies()))
			}
			v.get("/values").is(http.StatusOK, "in a=1, in b=2, innermost=2")
			if n := s.live(2); n != 2 {
				s.Fatalf("%d sessions are stored, want 2", n)
			}
			r = v.get("/leave-a").is(http.StatusOK, "bye")
			if c := r.cookieNamed("a"); c == nil || c.MaxAge >= 0 || r.cookieNamed("b") != nil {
				s.Fatalf("want the cookie of a deleted and that of b left alone")
			}
			v.get("/values").is(http.StatusOK, "in a=0, in b=2, innermost=2")
		}},
		{"two Managers: when the inner commit fails nothing of the handler's leaves", func(s *scene) {
			a, b, routes := s.twoManagers()
			s.start(App{Use: []Middleware{{Session: a}, {Session: b}}, Groups: []Group{{Routes: routes}}})
			s.store.fail(writes...)
			r := s.browser().get("/both").status(http.StatusServiceUnavailable).has("Cache-Control", "no-store").lacks("Set-Cookie")
			r.withoutMarker()
		}},
		{"two Managers: when the outer commit fails nothing of the handler's leaves", func(s *scene) {
			a, b, routes := s.twoManagers()
			s.start(App{Use: []Middleware{{Session: a}, {Session: b}}, Groups: []Group{{Routes: routes}}})
			s.store.fail(writes...)
			for _, path := range []string{"/only-a", "/only-a-nothing"} {
				s.browser().get(path).fails(http.StatusServiceUnavailable)
			}
		}},
		{"two Managers: when one load fails the handler does not run", func(s *scene) {
			a, b, routes := s.twoManagers()
			s.start(App{Use: []Middleware{{Session: a}, {Session: b}}, Groups: []Group{{Routes: routes}}})
			v := s.browser()
			v.get("/both").status(http.StatusOK)
			s.store.fail("load")
			v.get("/both").fails(http.StatusServiceUnavailable)
			s.store.heal()
			v.get("/values").is(http.StatusOK, "in a=1, in b=2, innermost=2")
		}},
		{"two Managers with Lazy: a load that fails is 503, whichever it is", func(s *scene) {
			s.cfg.Lazy = true
			a, b, routes := s.twoManagers()
			s.start(App{Use: []Middleware{{Recover: true}, {Session: a}, {Session: b}, {Recover: true}}, Groups: []Group{{Routes: routes}}})
			v := s.browser()
			v.get("/both").is(http.StatusOK, "both")
			s.store.fail("load")
			for _, path := range []string{"/read-a", "/read-b", "/values"} {
				v.get(path).fails(http.StatusServiceUnavailable)
			}
			s.store.heal()
			v.get("/values").is(http.StatusOK, "in a=1, in b=2, innermost=2")
		}},
		{"two Managers: a panic with recovery outside stores nothing in either", func(s *scene) {
			a, b, routes := s.twoManagers()
			s.start(App{Use: []Middleware{{Recover: true}, {Session: a}, {Session: b}}, Groups: []Group{{Routes: append(routes, at("/boom", func(c *Context) error {
				count.Set(a.FromContext(c.Request.Context()), 100)
				count.Set(b.FromContext(c.Request.Context()), 100)
				panic(errBoom)
			}))}}})
			v := s.browser()
			v.get("/both")
			v.get("/boom").status(http.StatusInternalServerError).lacks("Set-Cookie")
			v.get("/values").is(http.StatusOK, "in a=1, in b=2, innermost=2")
			s.browser().get("/boom").status(http.StatusInternalServerError).lacks("Set-Cookie")
			if n := s.live(2); n != 2 {
				s.Fatalf("%d sessions are stored, want 2", n)
			}
		}},
		{"unknown path and wrong method are answered by the framework", func(s *scene) {
			s.serve(Route{Method: "POST", Path: "/only-post", Handler: func(c *Context) error { return c.String(http.StatusOK, "posted") }})
			b := s.browser()
			b.get("/missing").status(http.StatusNotFound).silent()
			b.get("/only-post").status(http.StatusMethodNotAllowed).silent()
			b.do(s.Context(), "POST", "/only-post").is(http.StatusOK, "posted")
			b.get("/count").sets()
			b.get("/missing").status(http.StatusNotFound).silent()
			b.get("/count").is(http.StatusOK, "2")
			s.store.fail("load")
			b.get("/missing").fails(http.StatusServiceUnavailable)
		}},
		{"Skip leaves the request alone", func(s *scene) {
			s.cfg.Skip = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/skipped") }
			s.serve(at("/skipped", panicText), at("/skipped/lookup", func(c *Context) error {
				_, ok := c.Lookup()
				return c.JSON(http.StatusOK, ok)
			}))
			b := s.browser()
			b.get("/count")
			s.store.forget()
			if r := b.get("/skipped").status(http.StatusOK).lacks("Set-Cookie", "Vary", "Cache-Control"); !strings.Contains(r.text, "Config.Skip") {
				s.Fatalf("Get panics with %q, want it to name Config.Skip", r.text)
			}
			b.get("/skipped/lookup").is(http.StatusOK, "false").lacks("Set-Cookie", "Vary", "Cache-Control")
			if n := s.store.count(); n != 0 {
				s.Fatalf("the store was called %d times", n)
			}
			b.get("/count").is(http.StatusOK, "2")
		}},
		{"a path that does not match Cookie.Path is left alone", func(s *scene) {
			s.cfg.Cookie.Path = "/admin"
			s.m = s.manager()
			s.start(App{Use: []Middleware{{Session: s.m}}, Groups: []Group{
				{Prefix: "/admin", Routes: usual()},
				{Prefix: "/administrator", Routes: []Route{at("/panic", panicText), at("/lookup", func(c *Context) error {
					_, ok := c.Lookup()
					return c.JSON(http.StatusOK, ok)
				})}},
			}})
			b := s.browser()
			b.get("/admin/count").is(http.StatusOK, "1").sets()
			b.get("/admin/count").is(http.StatusOK, "2")
			if r := b.get("/administrator/panic").status(http.StatusOK).lacks("Set-Cookie", "Vary"); !strings.Contains(r.text, "Cookie.Path") || !strings.Contains(r.text, "Config.StrippedPrefix") {
				s.Fatalf("Get panics with %q, want it to name Cookie.Path and Config.StrippedPrefix", r.text)
			}
			b.get("/administrator/lookup").is(http.StatusOK, "false").lacks("Set-Cookie", "Vary")
			b.get("/admin/logout").deletes()
			if left := b.cookiesFor("/admin/x"); left != "" {
				s.Fatalf("the browser still has a cookie")
			}
		}},
		{"Passive requests do not extend the session", func(s *scene) {
			s.cfg.TouchInterval = core.EveryRequest
			s.cfg.Passive = func(r *http.Request) bool { return r.URL.Query().Has("poll") }
			s.serve()
			b := s.browser()
			b.get("/count")
			s.store.forget()
			b.get("/read?poll=1").is(http.StatusOK, "1").silent()
			b.get("/static?poll=1").is(http.StatusOK, "static")
			if n := s.store.count("touch", "update"); n != 0 {
				s.Fatalf("the session was extended %d times, want never", n)
			}
			b.get("/read").is(http.StatusOK, "1")
			b.get("/static").is(http.StatusOK, "static")
			if n := s.store.count("touch"); n != 2 {
				s.Fatalf("the session was extended %d times, want twice", n)
			}
			b.get("/count?poll=1").is(http.StatusOK, "2")
		}},
		{"reads stay reads: a session is extended once per interval", func(s *scene) {
			s.serve()
			b := s.browser()
			b.get("/count")
			s.store.forget()
			for range 10 {
				b.get("/read").is(http.StatusOK, "1")
			}
			if n := s.store.count(writes...); n != 0 {
				s.Fatalf("10 reads wrote %d times", n)
			}
		}},
	}...)
}

// panicText is a handler that answers with what Get panics with.
func panicText(c *Context) (err error) {
	defer func() { err = c.String(http.StatusOK, fmt.Sprint(recover())) }()
	c.Get()
	return nil
}

// twoManagers returns Managers with the cookies a and b, to be mounted in this
// order.
func (s *scene) twoManagers() (a, b *core.Manager, routes []Route) {
	s.Helper()
	s.cfg.Cookie.Name = "a"
	a = s.manager()
	s.cfg.Cookie.Name = "b"
	b = s.manager()
	return a, b, []Route{
		at("/both", func(c *Context) error {
			count.Set(a.FromContext(c.Request.Context()), 1)
			count.Set(b.FromContext(c.Request.Context()), 2)
			return c.String(http.StatusOK, "both")
		}),
		at("/only-a", func(c *Context) error {
			count.Set(a.FromContext(c.Request.Context()), 1)
			return c.String(http.StatusOK, marker)
		}),
		at("/only-a-nothing", func(c *Context) error {
			count.Set(a.FromContext(c.Request.Context()), 1)
			c.Writer.Header().Set("X-Handler", "the handler")
			return nil
		}),
		at("/read-a", func(c *Context) error {
			return c.JSON(http.StatusOK, count.Get(a.FromContext(c.Request.Context())))
		}),
		at("/read-b", func(c *Context) error {
			return c.JSON(http.StatusOK, count.Get(b.FromContext(c.Request.Context())))
		}),
		at("/values", func(c *Context) error {
			ctx := c.Request.Context()
			return c.String(http.StatusOK, fmt.Sprintf("in a=%d, in b=%d, innermost=%d",
				count.Get(a.FromContext(ctx)), count.Get(b.FromContext(ctx)), count.Get(c.Get())))
		}),
		at("/leave-a", func(c *Context) error {
			if err := a.FromContext(c.Request.Context()).Destroy(c.Request.Context()); err != nil {
				return err
			}
			return c.String(http.StatusOK, "bye")
		}),
	}
}

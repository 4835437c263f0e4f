package adaptertest

import (
	"net/http"
	"strings"
)

// compressed are the scenarios with a compressor outside of the sessions, or
// between them and the handler.
func compressed() []scenario {
	plain := func(r *reply) string {
		r.s.Helper()
		text, err := gunzip(r.text)
		if err != nil {
			r.s.Fatalf("%s: the body cannot be unpacked: %v; %q", r.path, err, brief(r.text))
		}
		return text
	}
	page := func(r *reply) {
		r.s.Helper()
		r.status(http.StatusServiceUnavailable).has("Cache-Control", "no-store").silent()
		if r.text == "" {
			r.s.Fatalf("%s: the error page is empty", r.path)
		}
		if r.Header.Get("Content-Encoding") == "gzip" {
			r.text = plain(r)
		}
		r.withoutMarker()
	}
	routes := func() []Route {
		return []Route{
			at("/big", func(c *Context) error {
				count.Update(c.Get(), func(n int) int { return n + 1 })
				return c.String(http.StatusOK, strings.Repeat(marker, 1000))
			}),
			at("/nothing", func(c *Context) error {
				count.Update(c.Get(), func(n int) int { return n + 1 })
				return nil
			}),
			at("/gone", func(c *Context) error {
				count.Update(c.Get(), func(n int) int { return n + 1 })
				return c.NoContent(http.StatusNoContent)
			}),
			at("/fail", func(c *Context) error {
				count.Update(c.Get(), func(n int) int { return n + 1 })
				return c.Fail(http.StatusTeapot)
			}),
			at("/flush", func(c *Context) error {
				count.Update(c.Get(), func(n int) int { return n + 1 })
				if err := http.NewResponseController(c.Writer).Flush(); err != nil {
					return err
				}
				return c.String(http.StatusOK, marker)
			}),
		}
	}
	check := func(s *scene) {
		s.noise = true // Echo, see kind
		for path, status := range map[string]int{"/big": 200, "/nothing": 200, "/gone": 204, "/fail": 418, "/flush": 200} {
			b := s.browser().with("Accept-Encoding", "gzip")
			r := b.get(path).status(status)
			r.sets()
			if path == "/big" {
				if got := plain(r); got != strings.Repeat(marker, 1000) {
					s.Fatalf("the body unpacks to %q", brief(got))
				}
			}
			b.get(path).status(status).silent()
			s.store.fail(writes...)
			page(b.get(path))
			s.store.heal()
			b.get("/count").status(http.StatusOK)
			again := s.browser().with("Accept-Encoding", "gzip")
			s.store.fail("create")
			page(again.get(path))
			s.store.heal()
		}
	}
	start := func(s *scene, use ...Middleware) {
		for i := range use {
			if use[i] == (Middleware{}) {
				use[i].Session = s.m
			}
		}
		s.start(App{Use: use, Groups: []Group{{Routes: append(routes(), usual()...)}}})
	}
	return []scenario{
		{"a compressor around the framework", func(s *scene) {
			s.around = compressing
			s.m = s.manager()
			start(s, Middleware{})
			check(s)
		}},
		{"the framework's compressor outside of the sessions", func(s *scene) {
			s.needsGzip()
			s.m = s.manager()
			start(s, Middleware{Gzip: true}, Middleware{})
			check(s)
		}},
		{"the framework's compressor inside of the sessions", func(s *scene) {
			s.needsGzip()
			s.m = s.manager()
			start(s, Middleware{}, Middleware{Gzip: true})
			check(s)
		}},
		{"the framework's compressor on both sides of the sessions, with recovery", func(s *scene) {
			s.needsGzip()
			s.m = s.manager()
			start(s, Middleware{Recover: true}, Middleware{Gzip: true}, Middleware{}, Middleware{Recover: true})
			check(s)
		}},
	}
}

func (s *scene) needsGzip() {
	if !s.fw.Gzip {
		s.Skipf("Serve knows no compressor of the framework's")
	}
}

package adaptertest

import (
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

var lifecycle = []scenario{
	{"a first visit sets one cookie, and the counter counts", func(s *scene) {
		s.serve()
		b := s.browser()
		r := b.get("/count").is(http.StatusOK, "1")
		r.sets()
		if c := r.cookie(); !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure || c.MaxAge != 0 {
			s.Fatalf("the cookie's attributes are %v", c.Raw)
		}
		b.get("/count").is(http.StatusOK, "2").silent()
		b.get("/count").is(http.StatusOK, "3").silent()
	}},
	{"each visitor has a session of their own", func(s *scene) {
		s.serve()
		ann, bob := s.browser(), s.browser()
		ann.get("/count").is(http.StatusOK, "1")
		ann.get("/count").is(http.StatusOK, "2")
		bob.get("/count").is(http.StatusOK, "1")
		if ann.cookies() == bob.cookies() {
			s.Fatalf("two visitors got the same cookie")
		}
	}},
	// Standards: ASVS-7.6.2
	{"reading sets no cookie and stores nothing", func(s *scene) {
		s.serve()
		s.browser().get("/read").is(http.StatusOK, "0").silent().has("Vary", "Cookie").lacks("Cache-Control")
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
	}},
	{"a handler that ignores the session leaves no trace in the headers", func(s *scene) {
		s.serve()
		s.browser().get("/static").is(http.StatusOK, "static").lacks("Set-Cookie", "Vary", "Cache-Control")
		b := s.browser()
		b.get("/count")
		b.get("/static").is(http.StatusOK, "static").lacks("Set-Cookie", "Vary", "Cache-Control")
	}},
	// Standards: ASVS-7.2.4, WSTG-SESS-03
	{"login changes the id and keeps the data", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/count")
		before := b.cookies()
		b.get("/login?user=ann").is(http.StatusOK, "hello").sets()
		if b.cookies() == before {
			s.Fatalf("the cookie is the same after login")
		}
		b.get("/me").is(http.StatusOK, "user=ann")
		b.get("/count").is(http.StatusOK, "2")
		s.sending(before).get("/me").is(http.StatusOK, "user=").silent()
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want 1", n)
		}
	}},
	{"login of a new visitor sets one cookie", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann").is(http.StatusOK, "hello").sets()
		b.get("/me").is(http.StatusOK, "user=ann")
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want 1", n)
		}
	}},
	// Standards: ASVS-7.4.1, WSTG-SESS-06
	{"logout deletes the cookie, and the old cookie is worthless", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		stolen := b.cookies()
		b.get("/logout").is(http.StatusOK, "bye").deletes()
		if left := b.cookies(); left != "" {
			s.Fatalf("the browser still has a cookie")
		}
		b.get("/me").is(http.StatusOK, "user=")
		s.sending(stolen).get("/me").is(http.StatusOK, "user=")
		s.sending(stolen).get("/count").is(http.StatusOK, "1").sets()
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want that of the new visitor", n)
		}
	}},
	{"logout and login again in one visit", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		b.get("/logout")
		b.get("/login?user=bob").sets()
		b.get("/me").is(http.StatusOK, "user=bob")
	}},
	{"logout of a visitor without a session says nothing about cookies", func(s *scene) {
		s.serve()
		s.browser().get("/logout").is(http.StatusOK, "bye").silent()
	}},
	{"Regenerate gives a new id and an empty session", func(s *scene) {
		s.serve(at("/fresh", func(c *Context) error {
			if err := c.Get().Regenerate(); err != nil {
				return err
			}
			return c.String(http.StatusOK, "fresh")
		}))
		b := s.browser()
		b.get("/login?user=ann")
		before := b.cookies()
		b.get("/fresh").is(http.StatusOK, "fresh").sets()
		b.get("/me").is(http.StatusOK, "user=")
		s.sending(before).get("/me").is(http.StatusOK, "user=")
	}},
	{"SetMaxAge makes the cookie outlive the browser", func(s *scene) {
		s.serve(at("/remember", func(c *Context) error {
			if err := c.Get().SetMaxAge(30 * 24 * time.Hour); err != nil {
				return err
			}
			return c.String(http.StatusOK, "ok")
		}))
		b := s.browser()
		b.get("/login?user=ann")
		r := b.get("/remember").is(http.StatusOK, "ok")
		r.sets()
		if c := r.cookie(); c.MaxAge != 30*24*60*60 || c.Expires.IsZero() {
			s.Fatalf("Max-Age is %d and Expires %v", c.MaxAge, c.Expires)
		}
		b.get("/me").is(http.StatusOK, "user=ann")
	}},
	{"Rolling sends the cookie with each response of a session", func(s *scene) {
		s.cfg.Rolling = true
		s.cfg.Cookie.MaxAge = time.Hour
		s.serve()
		b := s.browser()
		b.get("/read").silent()
		first := b.get("/count").sets()
		if again := b.get("/read").sets(); again != first {
			s.Fatalf("the cookie changed")
		}
		b.get("/static").sets()
		b.get("/missing").status(http.StatusNotFound).sets()
	}},
	{"Save, Renew and later changes in one request set one cookie, the last", func(s *scene) {
		s.serve(at("/much", func(c *Context) error {
			sess := c.Get()
			count.Set(sess, 1)
			if err := sess.Save(c.Request.Context()); err != nil {
				return err
			}
			if err := sess.Renew(); err != nil {
				return err
			}
			if err := sess.Save(c.Request.Context()); err != nil {
				return err
			}
			count.Set(sess, 3)
			return c.String(http.StatusOK, "done")
		}))
		b := s.browser()
		b.get("/much").is(http.StatusOK, "done").sets()
		b.get("/read").is(http.StatusOK, "3")
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want 1", n)
		}
	}},
	{"a flash message is shown once", func(s *scene) {
		s.serve(
			at("/leave", func(c *Context) error {
				c.Get().Flash("info", "saved")
				return c.Redirect(http.StatusSeeOther, "/show")
			}),
			at("/show", func(c *Context) error {
				return c.String(http.StatusOK, strings.Join(c.Get().Flashes("info"), ","))
			}),
		)
		b := s.browser()
		b.get("/leave").status(http.StatusSeeOther).sets()
		b.get("/show").is(http.StatusOK, "saved")
		b.get("/show").is(http.StatusOK, "")
	}},
	{"the status of the session is known", func(s *scene) {
		s.serve(at("/status", func(c *Context) error { return c.String(http.StatusOK, c.Get().Status().String()) }))
		b := s.browser()
		b.get("/status").is(http.StatusOK, core.StatusNew.String())
		b.get("/count")
		b.get("/status").is(http.StatusOK, core.StatusLoaded.String())
		old := b.cookies()
		b.get("/logout")
		s.sending(old).get("/status").is(http.StatusOK, core.StatusUnknown.String())
		s.sending("sid=nonsense").get("/status").is(http.StatusOK, core.StatusInvalid.String())
	}},
	{"a request with a body", func(s *scene) {
		s.serve(at("/form", func(c *Context) error {
			if err := c.Request.ParseForm(); err != nil {
				return err
			}
			c.Get().Set("user", c.Request.PostForm.Get("user"))
			return c.String(http.StatusOK, "ok")
		}))
		b := s.browser()
		res, err := b.client.PostForm(b.base+"/form", map[string][]string{"user": {"ann"}})
		if err != nil {
			s.Fatalf("POST: %v", err)
		}
		_ = res.Body.Close()
		b.get("/me").is(http.StatusOK, "user=ann")
	}},
	// Standards: WSTG-SESS-09
	{"HTTP/2 and TLS: the cookie is Secure", func(s *scene) {
		s.tls = true
		s.serve(at("/flush", func(c *Context) error {
			count.Set(c.Get(), 41)
			return http.NewResponseController(c.Writer).Flush()
		}))
		b := s.browser()
		r := b.get("/flush").status(http.StatusOK)
		r.sets()
		if r.ProtoMajor != 2 || !r.cookie().Secure {
			s.Fatalf("%s with the cookie %q, want HTTP/2 and Secure", r.Proto, r.cookie().Raw)
		}
		b.get("/count").is(http.StatusOK, "42").silent()
		b.get("/logout").deletes()
	}},
}

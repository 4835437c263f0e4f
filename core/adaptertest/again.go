package adaptertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// What a browser sends twice, late, or with more cookies than one.

// signing are handlers that sign in and out. What they return nil for was done.
func signing(g *gate) []Route {
	signIn := func(c *Context, wait func()) error {
		sess := c.Get()
		wait()
		if err := sess.SignIn(c.Request.Context(), c.Request.FormValue("user")); err != nil {
			return c.Fail(core.HTTPStatus(err))
		}
		return c.String(http.StatusOK, "hello")
	}
	return []Route{
		at("/sign-in", func(c *Context) error { return signIn(c, func() {}) }),
		at("/hold-sign-in", func(c *Context) error { return signIn(c, g.pass) }),
		at("/sign-out", func(c *Context) error {
			if err := c.Get().SignOut(c.Request.Context()); err != nil {
				return c.Fail(core.HTTPStatus(err))
			}
			return c.String(http.StatusOK, "bye")
		}),
		at("/who", func(c *Context) error {
			sess := c.Get()
			return c.String(http.StatusOK, fmt.Sprintf("%s %d", sess.User(), count.Get(sess)))
		}),
	}
}

// repeated are the scenarios.
var repeated = []scenario{
	{"a sign-in with the id before a sign-in begins a session of its own", func(s *scene) {
		s.serve(signing(s.gate())...)
		b := s.browser()
		b.get("/count").sets()
		old := b.cookies()
		b.get("/sign-in?user=ann").is(http.StatusOK, "hello").sets() // and the answer is lost
		for range 2 {                                                // in the second round in another process
			again := s.sending(old).get("/sign-in?user=ann").is(http.StatusOK, "hello").sets()
			s.sending("sid="+again).get("/who").is(http.StatusOK, "ann 0")
			s.serve(signing(s.gate())...)
		}
		b.on(s.url).get("/who").is(http.StatusOK, "ann 1")
	}},
	{"a double click on a sign-in ends signed in, whichever answer the browser keeps", func(s *scene) {
		for _, elsewhere := range []bool{false, true} {
			g := s.gate()
			s.serve(signing(g)...)
			b := s.browser()
			b.get("/count").sets()
			old := b.cookies()
			first := s.sending(old).start("/hold-sign-in?user=ann")
			g.await()
			if elsewhere {
				s.serve(signing(g)...)
			}
			second := s.sending(old).start("/hold-sign-in?user=ann")
			g.await()
			g.release()
			one, other := s.answer(first).is(http.StatusOK, "hello").sets(), s.answer(second).is(http.StatusOK, "hello").sets()
			if one == other {
				s.Fatalf("both answers have the same cookie")
			}
			for _, cookie := range []string{one, other} {
				if r := s.sending("sid=" + cookie).get("/who").status(http.StatusOK); !strings.HasPrefix(r.text, "ann ") {
					s.Fatalf("/who: body %q, want a session of ann", r.text)
				}
			}
		}
	}},
	{"a logout with the id before a sign-in: 409, and the session lives", func(s *scene) {
		s.serve(signing(s.gate())...)
		b := s.browser()
		b.get("/count").sets()
		old := b.cookies()
		b.get("/sign-in?user=ann").sets()
		for range 2 { // in the second round in another process
			s.sending(old).get("/sign-out").status(http.StatusConflict).silent()
			b.on(s.url).get("/who").is(http.StatusOK, "ann 1")
			s.serve(signing(s.gate())...)
		}
	}},
	{"a logout ends the sessions of all genuine cookies", func(s *scene) {
		for _, path := range []string{"/sign-out", "/logout"} {
			s.serve(signing(s.gate())...)
			var cookies []string
			for range 3 {
				cookies = append(cookies, "sid="+s.sending("").get("/sign-in?user=ann").sets())
			}
			bystander := "sid=" + s.sending("").get("/sign-in?user=bob").sets()
			all := "sid=forged; " + strings.Join(cookies, "; ")
			s.sending(all).get(path).is(http.StatusOK, "bye").deletes()
			for _, c := range cookies {
				s.sending(c).get("/who").is(http.StatusOK, "0")
			}
			s.sending(bystander).get("/who").is(http.StatusOK, "bob 0")
		}
	}},
	{"a logout with a duplicate whose id was given up: 409, and all else has ended", func(s *scene) {
		s.serve(signing(s.gate())...)
		b := s.browser()
		b.get("/count").sets()
		old := b.cookies()
		b.get("/sign-in?user=ann").sets()
		other := "sid=" + s.sending("").get("/sign-in?user=ann").sets()
		s.sending(other + "; " + old).get("/sign-out").status(http.StatusConflict)
		s.sending(other).get("/who").is(http.StatusOK, "0")
		b.get("/who").is(http.StatusOK, "ann 1")
	}},
	renewedElsewhere("with Rolling", func(s *scene) { s.cfg.Rolling = true }, func(*scene, *core.Manager) {}),
	renewedElsewhere("with Rolling and a max age", func(s *scene) { s.cfg.Rolling, s.cfg.Cookie.MaxAge = true, time.Hour }, func(*scene, *core.Manager) {}),
	renewedElsewhere("while the secrets rotate", func(*scene) {}, func(s *scene, m *core.Manager) {
		if err := m.SetSecrets([]string{newSecret, secret}); err != nil {
			s.Fatalf("SetSecrets: %v", err)
		}
	}),
	{"with Cookie.MaxAge the cookie is sent again after a tenth of it", func(s *scene) {
		clock := new(atomic.Int64)
		clock.Store(time.Now().UnixNano())
		s.cfg.Now = func() time.Time { return time.Unix(0, clock.Load()) }
		s.cfg.Cookie.MaxAge = time.Hour
		s.cfg.IdleTimeout = 24 * time.Hour
		s.serve()
		b := s.browser()
		b.get("/count").sets()
		for range 3 {
			clock.Add(int64(6*time.Minute - time.Second))
			b.get("/read").is(http.StatusOK, "1").silent()
			clock.Add(int64(2 * time.Second))
			r := b.get("/read").is(http.StatusOK, "1")
			r.sets()
			if got := r.cookie().MaxAge; got != 3600 {
				s.Fatalf("/read: the cookie has Max-Age %d, want 3600", got)
			}
			b.get("/read").is(http.StatusOK, "1").silent()
		}
	}},
	{"requests in a batch each have an answer of their own", func(s *scene) {
		var inner atomic.Pointer[http.Handler]
		s.around = func(h http.Handler) http.Handler {
			inner.Store(&h)
			return h
		}
		part := func(c *Context, path string) *httptest.ResponseRecorder {
			r := c.Request.Clone(c.Request.Context())
			r.Method, r.URL.Path, r.RequestURI = http.MethodGet, path, path
			w := httptest.NewRecorder()
			(*inner.Load()).ServeHTTP(w, r)
			return w
		}
		s.serve(append(signing(s.gate()), at("/batch", func(c *Context) error {
			static, login, after := part(c, "/static"), part(c, "/login"), part(c, "/static")
			return c.String(http.StatusOK, fmt.Sprint(
				static.Code, len(static.Header()["Set-Cookie"]), login.Code, len(login.Header()["Set-Cookie"]), after.Code))
		}))...)
		b := s.browser()
		b.get("/count").sets()
		before := b.cookies()
		b.get("/batch").is(http.StatusOK, "200 0 200 1 200").sets()
		if b.cookies() == before {
			s.Fatalf("the login of the batch did not change the cookie")
		}
		b.get("/read").is(http.StatusOK, "1")
	}},
}

// renewedElsewhere is a scenario in which a cookie would be sent again after another
// process has sent a newer one.
func renewedElsewhere(why string, configure func(*scene), begin func(*scene, *core.Manager)) scenario {
	return scenario{"renewed in another process under a request that reads, " + why + ": no cookie", func(s *scene) {
		g := s.gate()
		configure(s)
		s.serve(holding(g)...)
		b := s.browser()
		b.get("/count").sets()
		begin(s, s.m)
		held := b.start("/hold-read")
		g.await()
		s.serve(holding(g)...)
		begin(s, s.m)
		b.on(s.url).get("/login?user=bob").sets()
		g.release()
		s.answer(held).is(http.StatusOK, "1").silent()
		b.on(s.url).get("/me").is(http.StatusOK, "user=bob")
	}}
}

package adaptertest

import (
	"fmt"
	"net/http"
	"time"
)

// A ending is what becomes of a session while another request of the same
// browser is under way.
type ending struct {
	name string
	path string // of the request that does it
	me   string // what /me says afterwards
}

var endings = []ending{
	{"renewed", "/login?user=bob", "user=bob"},
	{"regenerated", "/fresh", "user="},
	{"destroyed", "/logout", "user="},
}

// holding are the handlers of the request under way. They wait at the gate.
func holding(g *gate) []Route {
	return []Route{
		at("/hold-nothing", func(c *Context) error {
			g.pass()
			return c.String(http.StatusOK, "static")
		}),
		at("/hold-read", func(c *Context) error {
			sess := c.Get()
			g.pass()
			return c.JSON(http.StatusOK, count.Get(sess))
		}),
		at("/hold-write", func(c *Context) error {
			sess := c.Get()
			g.pass()
			count.Update(sess, func(n int) int { return n + 1 })
			return c.String(http.StatusOK, marker)
		}),
		at("/hold-write-nothing", func(c *Context) error {
			count.Update(c.Get(), func(n int) int { return n + 1 })
			g.pass()
			return nil
		}),
		at("/hold-renew", func(c *Context) error {
			sess := c.Get()
			g.pass()
			if err := sess.Renew(); err != nil {
				return err
			}
			return c.String(http.StatusOK, marker)
		}),
		at("/hold-logout", func(c *Context) error {
			sess := c.Get()
			g.pass()
			if err := sess.Destroy(c.Request.Context()); err != nil {
				return err
			}
			return c.String(http.StatusOK, "bye")
		}),
		at("/fresh", func(c *Context) error {
			if err := c.Get().Regenerate(); err != nil {
				return err
			}
			return c.String(http.StatusOK, "fresh")
		}),
		at("/login-held", func(c *Context) error {
			sess := c.Get()
			if err := sess.Renew(); err != nil {
				return err
			}
			sess.Set("user", "bob")
			if err := sess.Save(c.Request.Context()); err != nil {
				return err
			}
			g.pass()
			return c.String(http.StatusOK, "hello")
		}),
	}
}

// under is a scenario in which a session ends, in this process or another one,
// under a request for path, which gets that answer.
func under(e ending, path, what string, elsewhere bool, status int, text string) scenario {
	where := ""
	if elsewhere {
		where = " in another process"
	}
	return scenario{e.name + where + " under a request that " + what, func(s *scene) {
		g := s.gate()
		s.serve(holding(g)...)
		a := s.browser()
		b := a
		if elsewhere {
			s.serve(holding(g)...)
			b = a.on(s.url)
		}
		a.get("/count").sets()
		old := a.cookies()
		held := a.start(path)
		g.await()
		b.get(e.path).status(http.StatusOK)
		jar := b.cookies()
		g.release()
		r := s.answer(held)
		if status == http.StatusConflict {
			r.fails(status)
		} else {
			r.is(status, text).silent()
		}
		if a.cookies() != jar {
			s.Fatalf("the browser does not hold the newer cookie any more")
		}
		a.get("/me").is(http.StatusOK, e.me)
		b.get("/me").is(http.StatusOK, e.me)
		if e.path != "/logout" { // a straggler with the id that was given up
			for _, process := range []string{a.base, b.base} {
				s.sending(old).on(process).get("/count").fails(http.StatusConflict)
			}
		}
	}}
}

// followed is a scenario in which a session gets another id, in this process or
// another one, under a request that logs out: it ends all the same, wherever it went.
func followed(e ending, elsewhere bool) scenario {
	where := ""
	if elsewhere {
		where = " in another process"
	}
	return scenario{e.name + where + " under a request that logs out: it ends where it went", func(s *scene) {
		g := s.gate()
		s.serve(holding(g)...)
		a := s.browser()
		b := a
		if elsewhere {
			s.serve(holding(g)...)
			b = a.on(s.url)
		}
		a.get("/count").sets()
		held := a.start("/hold-logout")
		g.await()
		b.get(e.path).status(http.StatusOK).sets()
		moved := b.cookies()
		g.release()
		s.answer(held).is(http.StatusOK, "bye").deletes()
		for _, process := range []string{a.base, b.base} {
			s.sending(moved).on(process).get("/me").is(http.StatusOK, "user=")
			s.sending(moved).on(process).get("/read").is(http.StatusOK, "0")
		}
	}}
}

func meanwhile() []scenario {
	var all []scenario
	for _, e := range endings {
		for _, elsewhere := range []bool{false, true} {
			all = append(all,
				under(e, "/hold-nothing", "ignores it: answered, no cookie", elsewhere, http.StatusOK, "static"),
				under(e, "/hold-read", "reads: answered, no cookie", elsewhere, http.StatusOK, "1"),
				under(e, "/hold-write", "writes: 409, no cookie", elsewhere, http.StatusConflict, ""),
				under(e, "/hold-write-nothing", "writes and answers nothing: 409, no cookie", elsewhere, http.StatusConflict, ""),
				under(e, "/hold-renew", "renews it too: 409, no cookie", elsewhere, http.StatusConflict, ""),
			)
		}
	}
	for _, e := range endings {
		for _, elsewhere := range []bool{false, true} {
			if e.path == "/logout" {
				all = append(all, under(e, "/hold-logout", "logs out: answered, no cookie", elsewhere, http.StatusOK, "bye"))
			} else {
				all = append(all, followed(e, elsewhere))
			}
		}
	}
	return append(all, []scenario{
		{"renewed under a request that reads, with Rolling: no cookie", func(s *scene) {
			g := s.gate()
			s.cfg.Rolling = true
			s.cfg.Cookie.MaxAge = time.Hour
			s.serve(holding(g)...)
			b := s.browser()
			b.get("/count").sets()
			held := b.start("/hold-read")
			g.await()
			b.get("/login?user=bob").sets()
			g.release()
			s.answer(held).is(http.StatusOK, "1").silent()
			b.get("/me").is(http.StatusOK, "user=bob")
		}},
		{"renewed under a request that reads, while the secrets rotate: no cookie", func(s *scene) {
			g := s.gate()
			s.serve(holding(g)...)
			b := s.browser()
			b.get("/count").sets()
			if err := s.m.SetSecrets([]string{newSecret, secret}); err != nil {
				s.Fatalf("SetSecrets: %v", err)
			}
			held := b.start("/hold-read")
			g.await()
			b.get("/login?user=bob").sets()
			g.release()
			s.answer(held).is(http.StatusOK, "1").silent()
			b.get("/me").is(http.StatusOK, "user=bob")
		}},
		{"renewed under requests, and the answer with the cookie comes last", func(s *scene) {
			reads, logsIn := s.gate(), s.gate()
			s.serve(append(holding(reads)[:5:5], holding(logsIn)[7])...)
			b := s.browser()
			b.get("/count").sets()
			read, write := b.start("/hold-read"), b.start("/hold-write")
			reads.await()
			reads.await()
			login := b.start("/login-held")
			logsIn.await()
			reads.release()
			s.answer(read).is(http.StatusOK, "1").silent()
			s.answer(write).fails(http.StatusConflict)
			b.get("/me").is(http.StatusOK, "user=").silent() // with the old cookie still
			logsIn.release()
			s.answer(login).is(http.StatusOK, "hello").sets()
			b.get("/me").is(http.StatusOK, "user=bob")
		}},
		{"destroyed under a request, and logged in again before it answers: the new cookie stays", func(s *scene) {
			g := s.gate()
			s.serve(holding(g)...)
			b := s.browser()
			b.get("/count").sets()
			paths := []string{"/hold-nothing", "/hold-read", "/hold-write", "/hold-renew", "/hold-logout"}
			var held []<-chan *reply
			for _, path := range paths {
				held = append(held, b.start(path))
				g.await()
			}
			b.get("/logout").deletes()
			b.get("/login?user=bob").sets()
			g.release()
			for _, r := range held {
				s.answer(r).silent()
			}
			b.get("/me").is(http.StatusOK, "user=bob")
			if n := s.live(1); n != 1 {
				s.Fatalf("%d sessions are stored, want 1", n)
			}
		}},
		{"a read with the id before Renew is anonymous and sets no cookie", func(s *scene) {
			s.serve()
			b := s.browser()
			b.get("/login?user=ann")
			old := b.cookies()
			b.get("/login?user=bob")
			s.sending(old).get("/me").is(http.StatusOK, "user=").silent()
			s.sending(old).get("/static").is(http.StatusOK, "static").silent()
			s.serve()
			s.sending(old).get("/me").is(http.StatusOK, "user=").silent()
			b.get("/me").is(http.StatusOK, "user=bob")
		}},
		{"a write with the id before Renew is refused and sets no cookie", func(s *scene) {
			s.serve()
			b := s.browser()
			b.get("/login?user=ann")
			old := b.cookies()
			b.get("/login?user=bob")
			for range 2 { // in the second round in another process
				s.sending(old).get("/count").fails(http.StatusConflict)
				s.sending(old).get("/login?user=eve").fails(http.StatusConflict)
				s.sending(old).get("/logout").silent()
				s.serve()
			}
			b.get("/me").is(http.StatusOK, "user=bob")
			if n := s.live(1); n != 1 {
				s.Fatalf("%d sessions are stored, want 1", n)
			}
		}},
		{"the id before Renew does not hide a live cookie", func(s *scene) {
			s.serve()
			b := s.browser()
			b.get("/login?user=ann")
			old := b.cookies()
			b.get("/login?user=bob")
			s.sending(old+"; "+b.cookies()).get("/me").is(http.StatusOK, "user=bob").silent()
			s.sending(old+"; "+b.cookies()).get("/count").is(http.StatusOK, "1").silent()
		}},
		{"many logins at once: one wins, and one session is left", func(s *scene) {
			g := s.gate()
			s.serve(holding(g)...)
			first := s.browser()
			first.get("/count")
			second := s.browser()
			s.serve(holding(g)...)
			second.base = s.url
			second.client.Jar = first.client.Jar
			var held []<-chan *reply
			for i := range 8 {
				b := first
				if i%2 == 1 {
					b = second
				}
				held = append(held, b.start("/hold-renew"))
				g.await()
			}
			g.release()
			won := 0
			for _, h := range held {
				r := s.answer(h)
				if r.err == nil && r.StatusCode == http.StatusOK {
					r.sets()
					won++
				} else {
					r.fails(http.StatusConflict)
				}
			}
			if won != 1 {
				s.Fatalf("%d logins succeeded, want one", won)
			}
			first.get("/count").is(http.StatusOK, "2").silent()
			if n := s.live(1); n != 1 {
				s.Fatalf("%d sessions are stored, want 1", n)
			}
		}},
		{"changes of other requests are seen after Renew", func(s *scene) {
			g := s.gate()
			s.serve(holding(g)...)
			b := s.browser()
			b.get("/count")
			held := b.start("/hold-renew")
			g.await()
			for i := range 5 {
				b.get("/count").is(http.StatusOK, fmt.Sprint(i+2))
			}
			g.release()
			s.answer(held).status(http.StatusOK).sets()
			b.get("/read").is(http.StatusOK, "6")
		}},
	}...)
}

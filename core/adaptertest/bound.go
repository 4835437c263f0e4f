package adaptertest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
)

// Sessions that are bound to their browsers: what an adapter has to let the middleware
// answer in the place of the app, and what comes of a cookie without the proof.

// A boundScene is a scene with a browser that binds its sessions, on a clock that is moved.
type boundScene struct {
	*scene
	ahead   atomic.Int64 // of the clock, in nanoseconds
	browser *sessiontest.Browser
}

// bound starts an app whose sessions are bound, over TLS.
func (s *scene) bound(bind core.Bind, groups ...Group) *boundScene {
	s.Helper()
	b := &boundScene{scene: s}
	s.tls = true
	s.cfg.Cookie.Secure, s.cfg.Bind, s.cfg.Now = core.SecureAlways, &bind, b.now
	s.m = s.manager()
	s.start(App{Use: []Middleware{{Session: s.m}}, Groups: append(groups, Group{Routes: append(usual(), at("/signin", func(c *Context) error {
		if err := c.Get().SignIn(c.Request.Context(), "ann"); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, "/who")
	}), at("/who", func(c *Context) error {
		return c.String(http.StatusOK, c.Get().User()+" "+c.Get().Binding().String())
	}))})})
	b.browser = b.another()
	return b
}

func (b *boundScene) now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

func (b *boundScene) pass(d time.Duration) { b.ahead.Add(int64(d)) }

// another is a browser without cookies.
func (b *boundScene) another() *sessiontest.Browser {
	other := sessiontest.NewBrowser(&watch{s: b.scene})
	other.Now = b.now
	return other
}

// opens checks what a page answers to a browser.
func (b *boundScene) opens(who *sessiontest.Browser, path string, status int, text string, edit ...func(*http.Request)) {
	b.Helper()
	method, path, found := strings.Cut(path, " ")
	if !found {
		method, path = http.MethodGet, method
	}
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, http.NoBody)
	if err != nil {
		b.Fatalf("request: %v", err)
	}
	for _, e := range edit {
		e(r)
	}
	res, err := who.Do(r)
	if err != nil {
		b.Fatalf("%s: %v", path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if got := strings.TrimSpace(string(body)); err != nil || res.StatusCode != status || text != "" && got != text {
		b.Fatalf("%s: %d %q (%v), want %d %q", path, res.StatusCode, got, err, status, text)
	}
}

// did checks what the browser has asked of the endpoint, and was answered, from there on.
func (b *boundScene) did(from int, want ...string) {
	b.Helper()
	if got := b.browser.History()[from:]; !slices.Equal(got, want) {
		b.Fatalf("the browser did %q, want %q", got, want)
	}
}

// signIn signs in, and lets the browser bind the session and the grace pass.
func (b *boundScene) signIn() {
	b.Helper()
	b.opens(b.browser, "/signin", http.StatusOK, "ann unbound")
	b.pass(2 * time.Minute)
	b.opens(b.browser, "/who", http.StatusOK, "ann bound")
	b.did(0, "registration: 200")
}

// stolen makes it a request with the id of the session of the browser alone.
func (b *boundScene) stolen() func(*http.Request) {
	b.Helper()
	for _, c := range b.browser.Cookies(b.url) {
		if c.Name == "sid" {
			return func(r *http.Request) { r.Header.Set("Cookie", c.Name+"="+c.Value) }
		}
	}
	b.Fatalf("the browser has no session")
	return nil
}

// bindings are what there is to say of bound sessions.
var bindings = []scenario{
	{"bound: a browser binds its session and proves it, and a copy of its cookies is worth nothing", func(s *scene) {
		b := s.bound(core.Bind{})
		b.signIn()
		thief := b.browser.Copy()
		b.pass(20 * time.Minute)
		b.opens(b.browser, "/who", http.StatusOK, "ann bound")
		b.did(1, "refresh: 403", "refresh with proof: 200")
		b.opens(thief, "/who", http.StatusOK, "unproven")
	}},
	{"bound: without the proof the cookie stays, nothing is stored, and a change is 401", func(s *scene) {
		b := s.bound(core.Bind{})
		b.signIn()
		s.store.forget()
		locked := b.stolen()
		b.opens(b.another(), "/count", http.StatusUnauthorized, "", locked)
		b.opens(b.another(), "/read", http.StatusOK, "0", locked)
		if n := s.store.count(writes...); n != 0 {
			s.Fatalf("the store was written to %d times", n)
		}
		b.opens(b.browser, "/count", http.StatusOK, "1")
	}},
	{"bound: a browser that cannot has a plain session", func(s *scene) {
		b := s.bound(core.Bind{})
		b.browser.Plain = true
		b.opens(b.browser, "/signin", http.StatusOK, "ann unbound")
		b.pass(20 * time.Minute)
		b.opens(b.browser, "/count", http.StatusOK, "1")
		b.opens(b.browser, "/who", http.StatusOK, "ann unbound")
	}},
	{"bound: a logout ends the binding", func(s *scene) {
		b := s.bound(core.Bind{})
		b.signIn()
		b.opens(b.browser, "/logout", http.StatusOK, "bye")
		b.opens(b.browser, "/who", http.StatusOK, "unbound")
		b.did(1, "refresh: 403", "refresh with proof: 404")
	}},
	{"bound: with the store down the endpoint answers 503, and the binding lives", func(s *scene) {
		b := s.bound(core.Bind{})
		b.signIn()
		b.browser.ExpireBound()
		s.store.fail("load")
		b.opens(b.browser, "/who", http.StatusServiceUnavailable, "")
		b.did(1, "refresh: 403", "refresh with proof: 503")
		s.store.heal()
		b.opens(b.browser, "/who", http.StatusOK, "ann bound")
	}},
	{"bound: the endpoint is answered before the app, whatever that has there", func(s *scene) {
		ran := new(atomic.Int32)
		b := s.bound(core.Bind{Path: "/there"}, Group{Routes: []Route{at("/there", func(c *Context) error {
			ran.Add(1)
			return c.String(http.StatusOK, marker)
		})}})
		b.signIn()
		b.opens(b.another(), "/there", http.StatusMethodNotAllowed, "Method Not Allowed")
		b.opens(b.another(), "POST /there", http.StatusBadRequest, "Bad Request")
		b.opens(b.another(), "POST /there", http.StatusNotFound, "Not Found", func(r *http.Request) { r.Header.Set("Sec-Secure-Session-Id", "x") })
		if n := ran.Load(); n != 0 {
			s.Fatalf("the handler ran %d times", n)
		}
	}},
	{"bound: where it is required, a plain session and an unproven one are 401", func(s *scene) {
		b := s.bound(core.Bind{Required: func(r *http.Request) bool { return r.URL.Path == "/count" }})
		b.opens(b.another(), "/count", http.StatusOK, "1") // nobody is signed in
		b.signIn()
		b.opens(b.browser, "/count", http.StatusOK, "1")
		b.opens(b.another(), "/count", http.StatusUnauthorized, "", b.stolen())
		plain := b.another()
		plain.Plain = true
		b.opens(plain, "/signin", http.StatusOK, "ann unbound")
		b.opens(plain, "/count", http.StatusOK, "1") // it may still be about to be bound
		b.pass(2 * time.Minute)
		b.opens(plain, "/count", http.StatusUnauthorized, "")
	}},
	{"bound: a page asks for a proof now, and the request comes again with its body", func(s *scene) {
		if !s.fw.Guards {
			s.Skip("the framework does not serve guards")
		}
		b := s.bound(core.Bind{}, Group{Prefix: "/safe", Use: []Middleware{{Guard: &Guard{Page: signInPage, MaxAge: time.Minute, Proof: true}}}, Routes: []Route{
			at("/pay", func(c *Context) error {
				body, err := io.ReadAll(c.Request.Body)
				if err != nil {
					return err
				}
				return c.String(http.StatusOK, fmt.Sprint(c.Request.Method, " ", string(body)))
			}),
		}})
		b.signIn()
		pay := func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("amount=1")) }
		b.opens(b.browser, "POST /safe/pay", http.StatusOK, "POST amount=1", pay)
		b.did(1, "refresh: 403", "refresh with proof: 200")
		b.opens(b.browser, "POST /safe/pay", http.StatusOK, "POST amount=1", pay)
		b.did(3)
		b.opens(b.another(), "/safe/pay", http.StatusUnauthorized, "", b.stolen(), func(r *http.Request) { r.Header.Set("Accept", "application/json") })
	}},
}

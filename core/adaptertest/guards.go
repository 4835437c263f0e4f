package adaptertest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What an adapter has around sessions: who is let through to a page, where the others are
// led, and how a page is told what its session has left.

// signInPage is where browsers are led.
var signInPage = core.SignInPage{Path: "/signin"}

// guarded starts an app with pages for users, and others for those who signed in lately.
func (s *scene) guarded() {
	s.Helper()
	if !s.fw.Guards {
		s.Skip("the framework does not serve guards")
	}
	s.m = s.manager()
	page := func(c *Context) error {
		count.Set(c.Get(), 1)
		return c.String(http.StatusOK, marker+" for "+c.Get().User())
	}
	signIn := func(c *Context) error {
		if err := c.Get().SignIn(c.Request.Context(), "ann"); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, c.ReturnPath("/home"))
	}
	s.start(App{Use: []Middleware{{Session: s.m}}, Groups: []Group{
		{Routes: append(usual(), at("/signin", signIn), at("/left", func(c *Context) error { return c.TellExpiry() }))},
		{Prefix: "/mine", Use: []Middleware{{Guard: &Guard{Page: signInPage}}}, Routes: []Route{at("/orders", page)}},
		{Prefix: "/safe", Use: []Middleware{{Guard: &Guard{Page: signInPage, MaxAge: time.Hour}}}, Routes: []Route{at("/pay", page)}},
	}})
}

// reading is a browser that opens pages, as opposed to a script.
func reading(b *browser) *browser { return b.with("Accept", "text/html,*/*;q=0.8") }

// A teller is a store that tells how long a session will live, if it has to by the look of
// its records.
type teller struct {
	store.Store
	s     *scene
	lists store.Store
}

func (t teller) UserIndex() store.Store { return t.lists }

func (t teller) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	switch inner := t.s.store.inner.(type) {
	case store.UserIndexer:
		return inner.Inspect(ctx, ids)
	case *mapstore.Store:
		for _, rec := range inner.Records() {
			if slices.Contains(ids, rec.ID) {
				found = append(found, rec)
			}
		}
	default:
		err = errors.ErrUnsupported
	}
	return found, err
}

var guards = []scenario{
	{"a page for users leads a browser to the sign-in page, and back", func(s *scene) {
		s.guarded()
		b := reading(s.browser())
		for _, path := range []string{"/mine/orders?page=2", "/safe/pay?page=2"} {
			r := b.get(path).status(http.StatusSeeOther).has("Cache-Control", "no-store").silent().withoutMarker()
			to := r.Header.Get("Location")
			if want := "/signin?return_to=" + map[string]string{"/mine/orders?page=2": "%2Fmine%2Forders%3Fpage%3D2", "/safe/pay?page=2": "%2Fsafe%2Fpay%3Fpage%3D2"}[path]; to != want {
				s.Fatalf("%s leads to %q, want %q", path, to, want)
			}
			b.get(to).status(http.StatusSeeOther).has("Location", path).sets()
			b.get(path).is(http.StatusOK, marker+" for ann")
			b.get("/logout").is(http.StatusOK, "bye")
		}
		if n := s.store.live(); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
	}},
	{"a page for users answers a program 401, in the framework's way", func(s *scene) {
		s.guarded()
		b := s.browser()
		b.get("/count")
		for _, path := range []string{"/mine/orders", "/safe/pay"} {
			b.with("Accept", "application/json").get(path).fails(http.StatusUnauthorized)
			reading(b).with("Sec-Fetch-Mode", "cors").get(path).fails(http.StatusUnauthorized)
		}
		b.get("/count").is(http.StatusOK, "2")
	}},
	{"a sign-in never leads to another site", func(s *scene) {
		s.guarded()
		for _, to := range []string{"https://evil.example/", "//evil.example", "/%5Cevil.example", "/%252Fevil.example", "/%0d%0aSet-Cookie:%20x=y"} {
			s.browser().get("/signin?return_to="+to).status(http.StatusSeeOther).has("Location", "/home")
		}
	}},
	{"a page for users is a 503 while the store is down, and no logout", func(s *scene) {
		s.guarded()
		b := reading(s.browser())
		b.get("/signin")
		var loads atomic.Int32
		s.store.on(func(_ context.Context, verb string) error {
			if verb == "load" && loads.Add(1) == 2 { // that of the look whether the session still lives
				return errDown
			}
			return nil
		})
		b.get("/safe/pay").fails(http.StatusServiceUnavailable)
		b.get("/mine/orders").is(http.StatusOK, marker+" for ann")
	}},
	{"what a page for users refuses is answered by the ErrorHandler", func(s *scene) {
		s.cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(core.HTTPStatus(err))
			_, _ = w.Write([]byte("sorry"))
		}
		s.guarded()
		s.browser().get("/mine/orders").is(http.StatusUnauthorized, "sorry").has("Cache-Control", "no-store")
	}},
	{"what a page for users refuses is a 401 where the ErrorHandler writes nothing", func(s *scene) {
		var calls atomic.Int32
		s.cfg.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { calls.Add(1) }
		s.guarded()
		s.browser().get("/mine/orders").fails(http.StatusUnauthorized)
		if n := calls.Load(); n != 1 {
			s.Fatalf("the ErrorHandler was called %d times, want once", n)
		}
	}},
	{"a page is told what its session has left, and does not extend it by asking", func(s *scene) {
		s.cfg.Passive = func(r *http.Request) bool { return r.URL.Path == "/left" }
		s.cfg.Store = teller{s.cfg.Store, s, new(mapstore.Store)}
		s.guarded()
		b := s.browser()
		b.get("/left").fails(http.StatusUnauthorized)
		b.get("/signin")
		s.shorten()
		for range 2 {
			if text := b.get("/left").status(http.StatusOK).has("Content-Type", "application/json").has("Cache-Control", "no-store").text; len(text) > len(`{"idle":60}`)+1 {
				s.Fatalf("a minute is left, and the page is told %s", text)
			}
		}
	}},
}

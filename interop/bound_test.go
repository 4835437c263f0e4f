package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
)

// bindingMiddleware returns what docs/binding.md tells to put behind express-session.
func bindingMiddleware(t *testing.T) string {
	t.Helper()
	const file = "../docs/binding.md"
	guide, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(guide), "```js\n")
	code, rest, ended := strings.Cut(rest, "```\n")
	if !found || !ended || strings.Contains(rest, "```js\n") {
		t.Fatalf("%s does not have one piece of JavaScript", file)
	}
	return code
}

// A boundFleet is Express and a Go app on the same sessions, which are bound to their
// browsers. To these both are one host, behind a proxy that ends TLS. The clock of Go and of
// the browsers can be moved: that of Express cannot, so what is to lie in the past happens
// there.
type boundFleet struct {
	*testing.T

	express, here side
	ahead         atomic.Int64
}

const (
	boundSite  = "https://shop.test"
	sideHeader = "X-Side" // whose route it is
)

func startBoundFleet(t *testing.T, db database) *boundFleet {
	t.Helper()
	f := &boundFleet{T: t}
	proxied := true
	// Express tries both secrets: what Go marks is by the second one there.
	s := settings{Secrets: []string{newSecret, oldSecret}, Proxy: &proxied, Cookie: &cookieOptions{Secure: true}, Middleware: bindingMiddleware(t)}
	f.express = start(t, express, db, s)

	s = s.on(db)
	st, closeStore, err := openStore(t.Context(), s.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeStore)
	cfg := s.config(st)
	cfg.Secrets, cfg.UserKey, cfg.Now = []string{oldSecret, newSecret}, "user", f.now
	cfg.Bind = &core.Bind{ExpressChecks: true}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/signin" {
			if err := s.SignIn(r.Context(), "ann"); err != nil {
				http.Error(w, err.Error(), core.HTTPStatus(err))
				return
			}
		}
		_, _ = fmt.Fprintf(w, "%s %v %v", s.User(), s.Binding(), s.Get("cart"))
	})))
	t.Cleanup(server.Close)
	f.here = side{name: "Go", url: server.URL, manager: m}
	return f
}

func (f *boundFleet) now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

// at moves the clock of Go and of the browsers.
func (f *boundFleet) at(ahead time.Duration) { f.ahead.Store(int64(ahead)) }

// RoundTrip implements http.RoundTripper: it is the proxy.
func (f *boundFleet) RoundTrip(r *http.Request) (*http.Response, error) {
	to := f.here
	if r.Header.Get(sideHeader) == express {
		to = f.express
	}
	target, err := url.Parse(to.url)
	if err != nil {
		return nil, err
	}
	passed := r.Clone(r.Context())
	passed.URL.Scheme, passed.URL.Host, passed.Host = target.Scheme, target.Host, r.URL.Host
	passed.Header.Set("X-Forwarded-Proto", "https")
	res, err := transport.RoundTrip(passed)
	if err == nil {
		res.Request = r
		figures.operations.Add(1)
	}
	return res, err
}

func (f *boundFleet) browser() *sessiontest.Browser {
	b := sessiontest.NewBrowser(f)
	b.Now = f.now
	return b
}

// ask sends a request to a side, and checks the answer. The cookies are those of the client
// where none are given.
func (f *boundFleet) ask(do func(*http.Request) (*http.Response, error), to side, line, body, cookies string, status int, want string) {
	f.Helper()
	method, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequestWithContext(f.Context(), method, boundSite+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set(sideHeader, to.name)
	r.Header.Set("Content-Type", "application/json")
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	res, err := do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status || want != "" && string(text) != want {
		f.Fatalf("%s: %s: %d %q (%v), want %d %q", to.name, line, res.StatusCode, text, err, status, want)
	}
}

// jar returns all cookies of a browser, as they are sent, and the session's alone.
func (f *boundFleet) jar(b *sessiontest.Browser) (all, session string) {
	f.Helper()
	var pairs []string
	for _, c := range b.Cookies(boundSite) {
		pairs = append(pairs, c.Name+"="+c.Value)
		if c.Name == "connect.sid" {
			session = pairs[len(pairs)-1]
		}
	}
	if session == "" {
		f.Fatal("the browser has no session")
	}
	return strings.Join(pairs, "; "), session
}

// TestExpressChecksTheBoundCookie runs the middleware of docs/binding.md behind the real
// express-session.
func TestExpressChecksTheBoundCookie(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		f := startBoundFleet(t, db)
		b := f.browser()
		f.at(-12 * time.Minute)
		f.ask(b.Do, f.here, "GET /signin", "", "", 200, "ann unbound <nil>")
		if got := b.History(); !slices.Equal(got, []string{"registration: 200"}) {
			t.Fatalf("the browser did %q", got)
		}
		old, session := f.jar(b)
		if old == session {
			t.Fatal("the browser has no bound cookie")
		}

		// Now the bound cookie has ended: a copy of it is refused, and the browser has a new one.
		f.at(0)
		thief := f.RoundTrip
		f.ask(thief, f.express, "GET /get/user", "", old, 401, "")
		f.ask(thief, f.express, "GET /get/user", "", session, 401, "")
		f.ask(b.Do, f.express, "GET /get/user", "", "", 200, `"ann"`)
		if got := b.History(); !slices.Equal(got[1:], []string{"refresh: 403", "refresh with proof: 200"}) {
			t.Fatalf("the browser did %q", got)
		}
		all, _ := f.jar(b)
		f.ask(thief, f.express, "GET /get/user", "", all, 200, `"ann"`) // for as long as it is good
		for _, cookies := range []string{session, old, session + "; connect.sid-bound=1.x", session + "; connect.sid-bound=", session + "; connect.sid-bound=9999999999", forgedMark(all)} {
			f.ask(thief, f.express, "GET /get/user", "", cookies, 401, "")
			f.ask(thief, f.express, "PUT /set/cart", `"coat"`, cookies, 401, "")
		}

		// Express keeps the binding when it stores the session.
		f.ask(b.Do, f.express, "PUT /set/cart", `"hat"`, "", 204, "")
		f.ask(b.Do, f.here, "GET /who", "", "", 200, "ann bound hat")
		f.ask(thief, f.here, "GET /who", "", session, 200, " unproven <nil>")
		f.ask(thief, f.express, "GET /get/cart", "", session, 401, "")

		// The bound cookie of one session is none of another.
		other := f.browser()
		f.at(-3 * time.Minute)
		f.ask(other.Do, f.here, "GET /signin", "", "", 200, "")
		f.at(0)
		others, own := f.jar(other)
		f.ask(thief, f.express, "GET /get/user", "", others, 200, `"ann"`)
		f.ask(thief, f.express, "GET /get/user", "", session+"; "+strings.TrimPrefix(others, own+"; "), 401, "")

		// Express' regenerate drops it, and the next login in Go makes another.
		f.ask(b.Do, f.express, "POST /login/ann", "", "", 204, "")
		_, session = f.jar(b)
		f.ask(thief, f.express, "GET /get/user", "", session, 200, `"ann"`)
		f.ask(thief, f.here, "GET /who", "", session, 200, "ann unbound <nil>")
		before := len(b.History())
		f.at(-2 * time.Minute)
		f.ask(b.Do, f.here, "GET /signin", "", "", 200, "ann unbound <nil>")
		f.at(0)
		if got := b.History()[before:]; !slices.Contains(got, "registration: 200") {
			t.Fatalf("after another login the browser did %q", got)
		}
		_, session = f.jar(b)
		f.ask(thief, f.express, "GET /get/user", "", session, 401, "")
		f.ask(b.Do, f.express, "GET /get/user", "", "", 200, `"ann"`)
	})
}

// forgedMark returns the cookies with another first letter in the mark of the bound one.
func forgedMark(all string) string {
	before, bound, _ := strings.Cut(all, "connect.sid-bound=")
	expiry, mark, _ := strings.Cut(bound, ".")
	letter := "A"
	if strings.HasPrefix(mark, letter) {
		letter = "B"
	}
	return before + "connect.sid-bound=" + expiry + "." + letter + mark[1:]
}

// TestExpressLetsSessionsThatAreNotBoundGoOn is about browsers that cannot bind them, sessions
// of visitors, and the minute after a login.
func TestExpressLetsSessionsThatAreNotBoundGoOn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		f := startBoundFleet(t, db)

		visitor := f.browser()
		f.ask(visitor.Do, f.express, "PUT /set/cart", `"coat"`, "", 204, "")
		f.ask(visitor.Do, f.express, "GET /get/cart", "", "", 200, `"coat"`)
		f.ask(visitor.Do, f.here, "GET /who", "", "", 200, " unbound coat")

		f.at(-12 * time.Minute)
		plain := f.browser()
		plain.Plain = true
		f.ask(plain.Do, f.here, "GET /signin", "", "", 200, "ann unbound <nil>")
		f.at(0)
		f.ask(plain.Do, f.express, "PUT /set/cart", `"hat"`, "", 204, "")
		f.ask(plain.Do, f.here, "GET /who", "", "", 200, "ann unbound hat")

		signedInAtExpress := f.browser()
		f.ask(signedInAtExpress.Do, f.express, "POST /login/ann", "", "", 204, "")
		f.ask(signedInAtExpress.Do, f.express, "GET /get/user", "", "", 200, `"ann"`)
		f.ask(signedInAtExpress.Do, f.here, "GET /who", "", "", 200, "ann unbound <nil>")

		// A page that was asked for beside the registration has the session cookie alone.
		fresh := f.browser()
		f.ask(fresh.Do, f.here, "GET /signin", "", "", 200, "")
		_, session := f.jar(fresh)
		f.ask(f.RoundTrip, f.express, "GET /get/user", "", session, 200, `"ann"`)
	})
}

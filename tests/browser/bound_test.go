package browser

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// leastVersion is the first Chromium in which bound sessions were seen to work as
// docs/binding.md has it.
const leastVersion = 156

// cannotBind tells why the browser cannot bind sessions, or returns "".
func (b *tab) cannotBind() string {
	b.t.Helper()
	name, version, _ := strings.Cut(call(b, cdpbrowser.GetVersion, cdp.Empty{}).Product, "/")
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	switch {
	case err != nil:
		b.t.Fatalf("the browser says that it is %s %q", name, version)
	case name == "HeadlessChrome":
		return "it is Chromium's headless shell, which has no sessions of that kind, and a whole Chromium is needed"
	case n < leastVersion:
		return fmt.Sprintf("it is Chromium %d, and %d is needed", n, leastVersion)
	}
	return ""
}

// needsBinding skips the test, or fails it where CI is set, unless the browser can bind
// sessions.
func needsBinding(t *testing.T) {
	t.Helper()
	why := newTab(whole.need(t), t).cannotBind()
	if why == "" {
		return
	}
	what := "THE BROWSER CANNOT BIND SESSIONS: " + why + ", so this is NOT TESTED"
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// A boundApp is an app at https://localhost whose sessions are bound, with a clock of its
// own: minutes pass at once. What ends in the browser meanwhile, the test takes away there.
type boundApp struct {
	t     *testing.T
	URL   string
	m     *core.Manager
	ahead atomic.Int64 // of the clock

	mu     sync.Mutex
	events []core.Event
	asked  []string // of the endpoint, and what it answered
}

// Observe implements core.Observer.
func (a *boundApp) Observe(_ context.Context, e core.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
}

func startBound(t *testing.T, cookie core.Cookie) *boundApp {
	t.Helper()
	a := &boundApp{t: t}
	cookie.Name, cookie.Secure = "__Host-sid", core.SecureAlways
	a.m = newManager(t, core.Config{
		Cookie: cookie, Bind: &core.Bind{}, Observer: a,
		Now: func() time.Time { return time.Now().Add(time.Duration(a.ahead.Load())) },
	})
	mux := http.NewServeMux()
	signIn := func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "ann"); err != nil {
			http.Error(w, err.Error(), core.HTTPStatus(err))
			return
		}
		http.Redirect(w, r, "/who", http.StatusSeeOther)
	}
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		say(w, nil, `<form method="post" action="/login"><button>Log in</button></form>`)
	})
	mux.HandleFunc("POST /login", signIn)
	mux.HandleFunc("POST /signed-in", signIn) // which another site posts to
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignOut(r.Context()); err != nil {
			http.Error(w, err.Error(), core.HTTPStatus(err))
			return
		}
		http.Redirect(w, r, "/who", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		say(w, nil, `<p id="who">%s %s</p><form method="post" action="/logout"><button id="logout">Log out</button></form>`, s.User(), s.Binding())
	})
	app := a.m.Handler(mux)
	c := certificate()
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.session/bind" {
			app.ServeHTTP(w, r)
			return
		}
		noted := &statusNoted{ResponseWriter: w}
		app.ServeHTTP(noted, r)
		what := "registration"
		if r.Header.Get("Sec-Secure-Session-Id") != "" {
			what = "refresh"
		}
		withCookie := ""
		if r.Header.Get("Cookie") == "" {
			withCookie = " without cookies"
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = append(a.asked, fmt.Sprintf("%s%s: %d", what, withCookie, noted.status))
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	address, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.URL = "https://localhost:" + address.Port()
	return a
}

type statusNoted struct {
	http.ResponseWriter

	status int
}

func (w *statusNoted) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// takeAsked returns what the endpoint was asked and answered since the last call.
func (a *boundApp) takeAsked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

// count returns how many events of a kind there were.
func (a *boundApp) count(kind core.EventKind) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (a *boundApp) pass(d time.Duration) { a.ahead.Add(int64(d)) }

// signIn signs in, waits until the browser has bound the session, and lets the minute pass
// in which nobody asks for the proof.
func (a *boundApp) signIn(b *tab) {
	b.t.Helper()
	b.open(a.URL + "/login")
	b.click("form button")
	b.untilBound(a.URL)
	a.pass(2 * time.Minute)
	a.opens(b, "ann bound")
}

// opens checks for whom the app takes the browser.
func (a *boundApp) opens(b *tab, want string) {
	b.t.Helper()
	b.open(a.URL + "/who")
	if got := b.text("#who"); got != want {
		b.fatalf("the browser is %q, want %q; it asked %q", got, want, a.takeAsked())
	}
}

// isBoundCookie reports whether a cookie is the one that comes with a session's.
func isBoundCookie(c *network.Cookie) bool { return strings.HasSuffix(c.Name, "-bound") }

// boundCookie returns the cookie that says that the browser has the key, or nil.
func (b *tab) boundCookie(url string) *network.Cookie {
	b.t.Helper()
	all := b.cookies(url)
	if i := slices.IndexFunc(all, isBoundCookie); i >= 0 {
		return all[i]
	}
	return nil
}

// untilBound waits until the browser has bound its session.
func (b *tab) untilBound(url string) {
	b.t.Helper()
	b.await("the browser to bind its session", func(context.Context) bool { return b.boundCookie(url) != nil })
}

// expire takes the bound cookie away, as if its time had come.
func (b *tab) expire(url string) {
	b.t.Helper()
	c := b.boundCookie(url)
	if c == nil {
		b.fatalf("there is no bound cookie")
	}
	call(b, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, URL: url})
	if b.boundCookie(url) != nil {
		b.fatalf("the bound cookie is still there")
	}
}

// jar is the Cookie header with all cookies of the browser, and with the session's alone.
func (b *tab) jar(url string) (all, session string) {
	b.t.Helper()
	var pairs []string
	for _, c := range b.cookies(url) {
		pairs = append(pairs, c.Name+"="+c.Value)
		if !isBoundCookie(c) {
			session = pairs[len(pairs)-1]
		}
	}
	if len(pairs) != 2 {
		b.fatalf("the browser has %d cookies, want 2", len(pairs))
	}
	return strings.Join(pairs, "; "), session
}

// stolen checks for whom the app takes another client with those cookies.
func (a *boundApp) stolen(cookies, want string) {
	a.t.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate().cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}, Timeout: servers.Patience}
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.URL+"/who", http.NoBody)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookies)
	res, err := client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), `<p id="who">`+want+`<`) {
		a.t.Errorf("with stolen cookies the app says %s (%v), want %q", text, err, want)
	}
}

func (a *boundApp) wantAsked(want ...string) {
	a.t.Helper()
	if got := a.takeAsked(); !slices.Equal(got, want) {
		a.t.Errorf("the browser asked %q, want %q", got, want)
	}
}

func TestABoundSessionIsOfNoUseElsewhere(t *testing.T) {
	t.Parallel()
	needsBinding(t)
	a := startBound(t, core.Cookie{})
	b := whole.newBrowser(t)
	a.signIn(b.tab)
	a.wantAsked("registration: 200")
	if c := b.boundCookie(a.URL); c.Name != "__Host-sid-bound" || !c.HTTPOnly || !c.Secure || c.SameSite != network.CookieSameSiteLax {
		t.Errorf("the bound cookie is %+v", attributes(c))
	}

	// A copy of the session cookie is worth nothing, and one of all cookies ten minutes.
	all, session := b.jar(a.URL)
	a.stolen(session, " unproven")
	a.stolen(all, "ann bound")
	a.pass(12 * time.Minute)
	a.stolen(all, " unproven")
	b.expire(a.URL)
	a.opens(b.tab, "ann bound")
	a.wantAsked("refresh: 403", "refresh: 200")
	a.stolen(all, " unproven")
	a.stolen(session, " unproven")
	if a.count(core.EventBound) != 1 || a.count(core.EventRefreshed) != 1 || a.count(core.EventRefused) != 4 {
		t.Errorf("%d bound, %d refreshed, %d refused; want 1, 1 and 4", a.count(core.EventBound), a.count(core.EventRefreshed), a.count(core.EventRefused))
	}

	// The logout ends it: the browser asks once more, and never again.
	b.click("#logout")
	if got := b.text("#who"); got != "unbound" {
		b.fatalf("after the logout the browser is %q", got)
	}
	a.opens(b.tab, "unbound")
	a.wantAsked("refresh without cookies: 403", "refresh without cookies: 404")
	a.opens(b.tab, "unbound")
	a.wantAsked()
	if all := b.cookies(a.URL); len(all) != 0 {
		t.Errorf("%d cookies are left after the logout", len(all))
	}
}

func TestABoundSessionOutlivesARestartOfTheBrowser(t *testing.T) {
	t.Parallel()
	needsBinding(t)
	a := startBound(t, core.Cookie{MaxAge: 24 * time.Hour})
	dir, err := os.MkdirTemp("", "cloakroom-browser-*") //nolint:usetesting // the browser may still be on its way out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Await(t, "the browser's folder to go", func() error { return os.RemoveAll(dir) }) })
	again := func(do func(b *tab)) {
		t.Helper()
		ctx, end, err := launch(whole.path, chromedp.UserDataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		do(&tab{t: t, ctx: ctx})
	}
	again(a.signIn)
	a.wantAsked("registration: 200")
	a.pass(12 * time.Minute)
	again(func(b *tab) {
		b.expire(a.URL)
		a.opens(b, "ann bound")
	})
	a.wantAsked("refresh: 403", "refresh: 200")
}

// From another site a browser sends no SameSite cookie to the endpoint, and it is the right
// one all the same.
func TestABoundSessionAndOtherSites(t *testing.T) {
	t.Parallel()
	needsBinding(t)
	a := startBound(t, core.Cookie{})
	other := strings.Replace(otherSite(t, fmt.Sprintf(`<a id="link" href="%[1]s/who">A link</a>
		<form id="signed-in" method="post" action="%[1]s/signed-in"><button>Go on</button></form>`, a.URL)), "localhost", "127.0.0.1", 1)

	b := whole.newBrowser(t)
	a.signIn(b.tab)
	a.takeAsked()
	b.expire(a.URL)
	b.open(other)
	b.click("#link")
	if got := b.text("#who"); got != "ann bound" {
		b.fatalf("behind a link of another site the browser is %q", got)
	}
	a.wantAsked("refresh without cookies: 403", "refresh without cookies: 200")

	b = whole.newBrowser(t)
	b.open(other)
	b.click("#signed-in button")
	b.untilBound(a.URL)
	a.wantAsked("registration without cookies: 200")
	a.pass(2 * time.Minute)
	a.opens(b.tab, "ann bound")
	_, session := b.jar(a.URL)
	a.stolen(session, " unproven")
}

// The accounts app says which devices are locked. One that is logged out on another gets no
// more cookies, whatever it can prove.
func TestADeviceThatIsLockedToItsBrowser(t *testing.T) {
	t.Parallel()
	for _, framework := range []string{"gin", "echo"} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			needsBinding(t)
			a := startOwnTLS(t, "-framework", framework)
			ann := someone()
			laptop, phone := whole.newBrowser(t), whole.newBrowser(t)
			a.signUp(laptop.tab, ann)
			a.logIn(phone.tab, ann)
			laptop.untilBound(a.URL)
			phone.untilBound(a.URL)
			phone.open(a.URL + "/devices")
			if n := phone.count("#devices .locked"); n != 2 || !phone.shows("#devices .locked") {
				phone.fatalf("%d devices are locked, want 2", n)
			}
			if got := phone.text("#devices li.current .locked"); !strings.HasPrefix(got, "This device is locked to its browser") {
				t.Errorf("the page says %q of this device", got)
			}

			phone.expire(a.URL)
			phone.reload()
			phone.mustBe(ann)
			phone.untilBound(a.URL)

			handle := handleOf(t, a, phone)
			laptop.open(a.URL + "/devices")
			laptop.click("#devices li[data-handle='" + handle + "'] .end")
			phone.expire(a.URL)
			phone.open(a.URL + "/devices")
			phone.mustBeOut()
			if phone.boundCookie(a.URL) != nil {
				t.Error("a device that was logged out has a new bound cookie")
			}
			laptop.reload()
			laptop.mustBe(ann)
		})
	}
}

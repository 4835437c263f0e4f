package core_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A bindStage is a stage whose sessions can be bound, with a browser that does so. What the
// browser asks of https://app.test comes to the stage's server, behind a proxy that ends
// TLS.
type bindStage struct {
	*stage
	browser *sessiontest.Browser
	refused *refusals
}

const app = "https://app.test"

// A relay is that proxy. It takes a prefix off.
type relay struct {
	st     *stage
	prefix string
}

// RoundTrip implements [http.RoundTripper].
func (p *relay) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := url.Parse(p.st.server.URL)
	if err != nil {
		return nil, err
	}
	inner := req.Clone(req.Context())
	inner.URL.Scheme, inner.URL.Host, inner.Host = to.Scheme, to.Host, req.URL.Host
	inner.URL.Path = strings.TrimPrefix(inner.URL.Path, p.prefix)
	return p.st.server.Client().Transport.RoundTrip(inner)
}

// refusals notes why somebody was refused, and which events there were.
type refusals struct {
	stageEvents
	mu     sync.Mutex
	causes []core.Cause
}

func (r *refusals) Observe(ctx context.Context, e core.Event) {
	r.stageEvents.Observe(ctx, e)
	if e.Kind == core.EventRefused {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.causes = append(r.causes, e.Cause)
	}
}

func (r *refusals) took() []core.Cause {
	r.mu.Lock()
	defer r.mu.Unlock()
	causes := r.causes
	r.causes = nil
	return causes
}

func boundConfig(edit ...func(*core.Config)) core.Config {
	cfg := core.Config{Cookie: core.Cookie{Secure: core.SecureAlways}, IsHTTPS: core.AlwaysHTTPS, Bind: &core.Bind{}}
	for _, e := range edit {
		e(&cfg)
	}
	return cfg
}

func newBindStage(t testing.TB, edit ...func(*core.Config)) *bindStage {
	t.Helper()
	cfg := boundConfig(edit...)
	b := &bindStage{refused: new(refusals)}
	cfg.Observer = b.refused
	b.stage = newStage(t, cfg)
	b.handler = b.page
	b.browser = sessiontest.NewBrowser(&relay{st: b.stage, prefix: cfg.StrippedPrefix})
	b.browser.Now = b.clock.Now
	return b
}

// another is a browser without cookies.
func (b *bindStage) another() *sessiontest.Browser {
	other := sessiontest.NewBrowser(&relay{st: b.stage})
	other.Now = b.clock.Now
	return other
}

// page is what the app does, by the end of the path.
func (b *bindStage) page(w http.ResponseWriter, r *http.Request) {
	s, ctx := core.FromContext(r.Context()), r.Context()
	var err error
	switch r.URL.Path[strings.LastIndex(r.URL.Path, "/"):] {
	case "/login":
		if err = s.SignIn(ctx, "ann"); err == nil {
			w.Header().Set("Location", "who") // beside this page, whatever a proxy took off
			w.WriteHeader(http.StatusSeeOther)
			return
		}
	case "/renew":
		err = s.Renew()
	case "/rotate":
		err = s.Rotate()
	case "/logout":
		err = s.Destroy(ctx)
	case "/set":
		s.Set("n", 1)
	case "/save":
		s.Set("n", 1)
		err = s.Save(ctx)
	case "/twice":
		if err = s.SignIn(ctx, "ann"); err == nil {
			if err = s.Save(ctx); err == nil {
				err = s.Renew()
			}
		}
	}
	if err != nil {
		b.Fail(w, r, err)
		return
	}
	_, _ = fmt.Fprintf(w, "%s %v", s.User(), s.Binding())
}

// goTo opens a page in a browser and returns what came of it.
func goTo(t testing.TB, b *sessiontest.Browser, path string, edit ...func(*http.Request)) (status int, text string) {
	t.Helper()
	method := http.MethodGet
	if strings.HasPrefix(path, "POST ") {
		method, path = http.MethodPost, strings.TrimPrefix(path, "POST ")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, app+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(r)
	}
	res, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

// is checks what a page says in a browser.
func (b *bindStage) is(who *sessiontest.Browser, path, want string, edit ...func(*http.Request)) {
	b.t.Helper()
	if status, text := goTo(b.t, who, path, edit...); text != want {
		b.t.Errorf("%s: %d %q, want %q", path, status, text, want)
	}
}

// login signs in and lets the browser bind the session, and the grace pass.
func (b *bindStage) login() {
	b.t.Helper()
	b.is(b.browser, "/login", "ann unbound") // the page behind it comes before the session is bound
	b.clock.advance(2 * time.Minute)
	b.is(b.browser, "/who", "ann bound")
}

// did checks what the browser has asked of the endpoint from there on.
func did(t testing.TB, who *sessiontest.Browser, from int, want ...string) {
	t.Helper()
	if got := who.History()[from:]; !slices.Equal(got, want) {
		t.Errorf("the browser did %q, want %q", got, want)
	}
}

func TestAStolenCookieIsWorthNothing(t *testing.T) {
	t.Parallel()
	for _, rsa := range []bool{false, true} {
		b := newBindStage(t)
		b.browser.RSA = rsa
		b.login()
		thief, withoutBound := b.browser.Copy(), b.browser.Copy()

		// At once, without the bound cookie.
		strip := func(r *http.Request) {
			r.Header.Set("Cookie", idCookie(t, withoutBound))
		}
		b.is(b.another(), "/who", "unproven", strip)
		// With all cookies, for as long as the bound one lives, as the guide says, and a minute for clocks.
		b.is(thief, "/who", "ann bound")
		all := cookieHeader(thief)
		stolen := func(r *http.Request) { r.Header.Set("Cookie", all) }
		b.clock.advance(7*time.Minute + 59*time.Second)
		b.is(b.another(), "/who", "ann bound", stolen)
		b.clock.advance(time.Minute + time.Second)
		b.is(b.another(), "/who", "unproven", stolen)
		if status, _ := goTo(t, b.another(), "/set", stolen); status != http.StatusUnauthorized {
			t.Errorf("a change by a thief is answered %d", status)
		}
		// And the browser goes on.
		b.is(b.browser, "/who", "ann bound")
		did(t, b.browser, 0, "registration: 200", "refresh: 403", "refresh with proof: 200")
		if got := b.refused.took(); !slices.Equal(got, []core.Cause{core.CauseUnproven, core.CauseUnproven, core.CauseUnproven}) {
			t.Errorf("refused: %v", got)
		}
		if b.refused.count(core.EventBound) != 1 || b.refused.count(core.EventRefreshed) != 1 {
			t.Errorf("%d bound, %d refreshed", b.refused.count(core.EventBound), b.refused.count(core.EventRefreshed))
		}
	}
}

// Only the very cookie that the browser was given for this session and this key proves it,
// whatever was verified before.
func TestNoOtherCookieProvesABinding(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	other := b.another()
	b.is(other, "/login", "ann unbound")
	b.is(other, "/who", "ann bound")
	b.is(other, "/who", "ann bound") // its cookie is known by now
	good, foreign := boundCookie(t, b.browser), boundCookie(t, other)
	expiry, mark, _ := strings.Cut(good, ".")
	_, foreignMark, _ := strings.Cut(foreign, ".")
	until, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	id := idCookie(t, b.browser)
	for name, value := range map[string]string{
		"no mark":                      expiry + ".",
		"no separator":                 expiry,
		"a mark that is none":          expiry + ".x",
		"a mark of another secret":     expiry + "." + strings.Repeat("A", len(mark)),
		"a mark that is cut":           expiry + "." + mark[:len(mark)-1],
		"a later end":                  strconv.FormatInt(until+3600, 10) + "." + mark,
		"another session's":            foreign,
		"another session's mark":       expiry + "." + foreignMark,
		"an end that is no number":     "x." + mark,
		"the id in place of the proof": strings.TrimPrefix(id, "sid="),
	} {
		for range 3 { // remembered or not
			b.is(b.another(), "/who", "unproven", func(r *http.Request) { r.Header.Set("Cookie", id+"; sid-bound="+value) })
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	b.is(b.another(), "/who", "ann bound", func(r *http.Request) { r.Header.Set("Cookie", id+"; sid-bound="+good) })
}

// boundCookie returns the value of the bound cookie of a browser.
func boundCookie(t testing.TB, b *sessiontest.Browser) string {
	t.Helper()
	for _, c := range b.Cookies(app) {
		if c.Name == "sid-bound" {
			return c.Value
		}
	}
	t.Fatal("there is no bound cookie")
	return ""
}

// cookieHeader returns all cookies that a browser has, whether they have ended or not.
func cookieHeader(b *sessiontest.Browser) string {
	var pairs []string
	for _, c := range b.Cookies(app) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// idCookie returns the cookie with the id alone.
func idCookie(t testing.TB, b *sessiontest.Browser) string {
	t.Helper()
	for _, c := range b.Cookies(app) {
		if c.Name == "sid" {
			return "sid=" + c.Value
		}
	}
	t.Fatal("there is no session")
	return ""
}

// locked makes it a request with the cookie alone of a session that is bound.
func (b *bindStage) locked() func(*http.Request) {
	id := idCookie(b.t, b.browser)
	return func(r *http.Request) { r.Header.Set("Cookie", id) }
}

func TestALockedSessionIsAnEmptyOneAndItsCookieStays(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	b.browser.ExpireBound()
	id, locked := idCookie(t, b.browser), b.locked()
	b.store.took()

	var sees string
	a := b.request(id, func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		_, tokenErr := s.Token()
		_, takeErr := core.Key[int]("n").Take(r.Context(), s)
		select {
		case <-s.Ended(r.Context()):
		default:
			t.Error("the end of a locked session is waited for")
		}
		sees = fmt.Sprint(s.Status(), s.User(), s.Get("n"), s.Handle(), s.CreatedAt().IsZero(), errors.Is(tokenErr, core.ErrNotStored),
			errors.Is(takeErr, core.ErrUnproven), errors.Is(s.Check(r.Context()), core.ErrUnproven), errors.Is(s.Reload(r.Context()), core.ErrUnproven), s.RequireUser())
	})
	if want := fmt.Sprint(core.StatusUnknown, "", nil, "", true, true, true, true, true, core.ErrNotSignedIn); sees != want {
		t.Errorf("the handler sees %q, want %q", sees, want)
	}
	if a.setCookie != "" || len(a.header["Set-Cookie"]) > 0 || a.header.Get("Secure-Session-Registration") != "" {
		t.Errorf("the answer has %v", a.header)
	}
	b.handler = b.page
	for path, want := range map[string]int{"/set": http.StatusUnauthorized, "/save": http.StatusUnauthorized, "/renew": http.StatusUnauthorized, "/rotate": http.StatusUnauthorized, "/who": http.StatusOK} {
		if status, _ := goTo(t, b.another(), path, locked); status != want {
			t.Errorf("%s is answered %d, want %d", path, status, want)
		}
	}
	for _, verb := range strings.Fields(b.store.verbs()) {
		if verb != "load" {
			t.Errorf("the store is asked to %s", verb)
		}
	}
	b.is(b.browser, "/who", "ann bound")
}

// Nothing of a locked session is extended, whoever asks for it and however often.
func TestALockedSessionEndsByTheIdleTimeout(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.IdleTimeout = time.Hour })
	b.login()
	locked := b.locked()
	for range 5 {
		b.clock.advance(10 * time.Minute)
		b.is(b.another(), "/who", "unproven", locked)
	}
	b.clock.advance(10 * time.Minute)
	b.is(b.another(), "/who", "unbound", locked)
}

func TestWhoeverHasTheCookieMaySignInAndEndTheSession(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	b.browser.ExpireBound()
	other := b.another()
	b.is(other, "/login", "ann unbound", b.locked())
	b.clock.advance(2 * time.Minute)
	b.is(other, "/who", "ann bound")
	b.is(b.browser, "/who", "ann bound") // the session that was there lives on

	b.clock.advance(20 * time.Minute)
	id := idCookie(t, b.browser)
	a := b.request(id, b.page, func(r *http.Request) { r.URL.Path = "/logout" })
	if a.status != http.StatusOK || !strings.Contains(a.setCookie, "Max-Age=0") {
		t.Errorf("a logout: %d, %q", a.status, a.setCookie)
	}
	b.is(b.browser, "/who", "unbound")
	if b.browser.IsBound(app) {
		t.Error("the browser keeps a binding of a session that has ended")
	}
}

// A browser that is restarted may lose the cookie of a session and keep its binding. Bindings
// share the name of the bound cookie: the one that is left must not take it from the session
// that the browser has by now.
func TestABindingThatIsLeftEndsWhereTheBrowserHasAnotherSession(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	b.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/restart" {
			http.SetCookie(w, &http.Cookie{Name: "sid", Path: "/", MaxAge: -1})
			return
		}
		b.page(w, r)
	}
	b.is(b.browser, "/restart", "")
	b.clock.advance(20 * time.Minute)
	b.is(b.browser, "/who", "unbound") // what is left is proven: there is no cookie to tell that it is of no use
	did(t, b.browser, 1, "refresh: 403", "refresh with proof: 200")
	b.is(b.browser, "/login", "ann unbound")
	for from, want := 4, []string{"refresh: 404", "refresh: 403", "refresh with proof: 200"}; len(want) > 1; from, want = from+len(want), want[1:] {
		b.clock.advance(20 * time.Minute)
		b.is(b.browser, "/who", "ann bound")
		did(t, b.browser, from, want...)
	}
}

// A session that is bound to another key is one that the request may not have, and hides no
// other that came with it.
func TestALockedSessionHidesNoOther(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	b.browser.ExpireBound()
	stale := idCookie(t, b.browser)
	plain := b.another()
	plain.Plain = true
	b.is(plain, "/login", "ann unbound")
	for _, cookies := range []string{stale + "; " + idCookie(t, plain), idCookie(t, plain) + "; " + stale} {
		if a := b.request(cookies, b.page, func(r *http.Request) { r.URL.Path = "/set" }); a.body != "ann unbound" {
			t.Errorf("a session beside a locked one: %d %q", a.status, a.body)
		}
	}
	b.refused.took()
	if a := b.request(stale+"; sid=abc", b.page); a.body != " unproven" && a.body != "unproven" {
		t.Errorf("a locked session alone: %q", a.body)
	}
	if got := b.refused.took(); !slices.Equal(got, []core.Cause{core.CauseUnproven}) {
		t.Errorf("refused: %v", got)
	}
	a := b.request(stale+"; "+idCookie(t, plain), b.page, func(r *http.Request) { r.URL.Path = "/logout" })
	if a.status != http.StatusOK {
		t.Errorf("a logout: %d", a.status)
	}
	if a := b.request(stale, b.page); a.body != "unbound" && a.body != " unbound" {
		t.Errorf("a logout leaves %q", a.body)
	}
}

func TestALogoutDeletesBothCookiesAndEndsTheBinding(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	b.is(b.browser, "/logout", "unbound")
	if left := cookieHeader(b.browser); left != "" {
		t.Errorf("the browser still has %q", left)
	}
	b.is(b.browser, "/who", "unbound")
	did(t, b.browser, 1, "refresh: 403", "refresh with proof: 404")
	if b.browser.IsBound(app) {
		t.Error("the binding lives on")
	}
}

func TestARevokedDeviceCannotRefresh(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	if err := b.RevokeUser(t.Context(), "ann"); !errors.Is(err, errors.ErrUnsupported) && err != nil {
		t.Fatal(err)
	}
	for id := range b.store.seen() { // a store without lists: by hand
		if err := b.store.Store.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	b.is(b.browser, "/who", "unbound") // the bound cookie lives on, and opens nothing
	b.browser.ExpireBound()
	b.is(b.browser, "/who", "unbound")
	did(t, b.browser, 1, "refresh: 403", "refresh with proof: 404")
}

func TestAnIdThatIsRenewedIsBoundAnew(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/renew", "/login"} {
		b := newBindStage(t)
		b.login()
		if status, text := goTo(t, b.browser, path); status != http.StatusOK || text != "ann unbound" && text != "ann bound" {
			t.Errorf("%s: %d %q", path, status, text)
		}
		b.clock.advance(2 * time.Minute)
		b.is(b.browser, "/who", "ann bound")
		did(t, b.browser, 1, "registration: 200")
		b.browser.ExpireBound()
		b.is(b.browser, "/who", "ann bound")
		history := b.browser.History()
		if !slices.Contains(history, "refresh: 404") || history[len(history)-1] != "refresh with proof: 200" {
			t.Errorf("%s: the old binding has to end, and the new one to be refreshed: %q", path, history)
		}
	}
}

func TestRotateLeavesABoundSessionItsId(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.is(b.browser, "/login", "ann unbound")
	before := idCookie(t, b.browser)
	b.is(b.browser, "/rotate", "ann bound")
	if idCookie(t, b.browser) != before {
		t.Error("a bound session got another id")
	}
	other := b.another()
	other.Plain = true
	b.is(other, "/login", "ann unbound")
	before = idCookie(t, other)
	b.is(other, "/rotate", "ann unbound")
	if idCookie(t, other) == before {
		t.Error("a plain session kept its id")
	}
}

// Two commits of one request that give the session two ids offer the second to be bound.
func TestTheLastIdOfARequestIsBound(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.is(b.browser, "/twice", "ann unbound")
	b.clock.advance(2 * time.Minute)
	b.is(b.browser, "/who", "ann bound")
	did(t, b.browser, 0, "registration: 200")
}

func TestVisitorsAreOfferedNothing(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.is(b.browser, "/set", "unbound")
	did(t, b.browser, 0)
	a := b.request("", b.page, func(r *http.Request) { r.URL.Path = "/login" })
	if got := a.header["Secure-Session-Registration"]; len(got) != 1 || !strings.HasPrefix(got[0], `(ES256 RS256);path="/.session/bind";challenge="`) {
		t.Errorf("a login offers %q", got)
	}
}

func TestAFailedLoginOffersNothing(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.store.failWith("create", errors.New("down"))
	a := b.request("", b.page, func(r *http.Request) { r.URL.Path = "/login" })
	if a.status != http.StatusServiceUnavailable || a.header.Get("Secure-Session-Registration") != "" {
		t.Errorf("%d, %v", a.status, a.header)
	}
}

// What another site leads here has no cookies on the way to the endpoint.
func TestALoginByAFormOfAnotherSiteIsBound(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	foreign := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	b.is(b.browser, "POST /login", "ann unbound", foreign)
	b.clock.advance(20 * time.Minute)
	b.is(b.browser, "/who", "ann bound", foreign)
	did(t, b.browser, 0, "registration: 200", "refresh: 403", "refresh with proof: 200")
}

func TestABrowserThatCannotBindKeepsAPlainSession(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.browser.Plain = true
	b.is(b.browser, "/login", "ann unbound")
	b.clock.advance(20 * time.Minute)
	b.is(b.browser, "/set", "ann unbound")
}

func TestWithoutTheSettingABoundSessionIsAPlainOne(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	id := idCookie(t, b.browser)
	off := b.restarted(core.Config{IsHTTPS: core.AlwaysHTTPS})
	off.handler = b.page
	if a := off.request(id, b.page, func(r *http.Request) { r.URL.Path = "/set" }); a.body != "ann unbound" {
		t.Errorf("%d %q", a.status, a.body)
	}
	b.clock.advance(20 * time.Minute)
	b.is(b.another(), "/who", "unproven", b.locked()) // and it is bound still
}

func TestTwoInstancesAnswerForOneAnother(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{0, 50 * time.Second, -50 * time.Second} {
		b := newBindStage(t)
		ahead := newBindStage(t, func(c *core.Config) { c.Store = b.store })
		ahead.clock.set(b.clock.Now().Add(apart))
		turns := &inTurn{to: []http.RoundTripper{&relay{st: b.stage}, &relay{st: ahead.stage}}}
		browser := sessiontest.NewBrowser(turns)
		browser.Now = b.clock.Now
		pass := func(d time.Duration) { b.clock.advance(d); ahead.clock.advance(d) }
		b.is(browser, "/login", "ann unbound")
		for range 8 {
			pass(5 * time.Minute)
			b.is(browser, "/who", "ann bound")
			turns.skip()
			b.is(browser, "/who", "ann bound")
		}
		for _, line := range browser.History() {
			if strings.HasSuffix(line, "400") || strings.HasSuffix(line, "404") {
				t.Errorf("clocks are %v apart: %q", apart, browser.History())
			}
		}
	}
}

// inTurn sends requests to several servers in turn.
type inTurn struct {
	mu sync.Mutex
	to []http.RoundTripper
}

func (r *inTurn) skip() http.RoundTripper {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.to[0]
	r.to = append(r.to[1:], next)
	return next
}

func (r *inTurn) RoundTrip(req *http.Request) (*http.Response, error) { return r.skip().RoundTrip(req) }

func TestABindingOutlivesARotationOfSecrets(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	const next = "the secret that takes the place of the other"
	if err := b.SetSecrets([]string{next, stageSecret}); err != nil {
		t.Fatal(err)
	}
	b.is(b.browser, "/who", "ann bound") // by the cookie of before
	b.clock.advance(20 * time.Minute)
	b.is(b.browser, "/who", "ann bound")
	did(t, b.browser, 1, "refresh: 403", "refresh with proof: 200")
	if err := b.SetSecrets([]string{next}); err != nil {
		t.Fatal(err)
	}
	b.is(b.browser, "/who", "ann bound")
	b.clock.advance(20 * time.Minute) // the identifier was sealed by the secret that is gone
	b.is(b.browser, "/who", "unproven")
	did(t, b.browser, 3, "refresh: 404")
}

func TestWhileTheStoreIsDownBindingsAreKept(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.is(b.browser, "/login", "ann unbound")
	b.clock.advance(20 * time.Minute)
	down := &store.Error{Store: "test", Verb: "load", Err: errors.New("down")}
	b.store.failWith("load", down)
	if status, _ := goTo(t, b.browser, "/who"); status != http.StatusServiceUnavailable {
		t.Errorf("%d", status)
	}
	did(t, b.browser, 1, "refresh: 403", "refresh with proof: 503")
	if !b.browser.IsBound(app) {
		t.Fatal("the binding was lost")
	}
	b.store.failWith("load", nil)
	b.is(b.browser, "/who", "ann bound")
	did(t, b.browser, 3, "refresh with proof: 200")

	other := b.another() // a registration that the store fails leaves a plain session
	b.store.failWith("update", down)
	b.is(other, "/login", "ann unbound")
	did(t, other, 0, "registration: 503")
	b.store.failWith("update", nil)
	b.is(other, "/who", "ann unbound")
}

func TestHowOftenTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.is(b.browser, "/login", "ann unbound")
	if got := b.store.verbs(); got != "create load load update" { // of the login, of the page behind it, of the registration
		t.Errorf("a login and a registration: %s", got)
	}
	b.is(b.browser, "/who", "ann bound")
	if got := b.store.verbs(); got != "load" {
		t.Errorf("a page: %s", got)
	}
	b.is(b.browser, "/set", "ann bound")
	if got := b.store.verbs(); got != "load update" {
		t.Errorf("a change: %s", got)
	}
	b.browser.ExpireBound()
	b.is(b.browser, "/who", "ann bound")
	if got := b.store.verbs(); got != "load load" { // of the refresh, and of the page
		t.Errorf("a page and a refresh: %s", got)
	}
	for _, c := range b.store.took() {
		if c.verb == "touch" {
			t.Error("a refresh extends the session")
		}
	}
}

// A refresh and a registration are no activity: the store keeps the life that is left.
func TestARegistrationExtendsNothing(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.is(b.browser, "/login", "ann unbound")
	var updates []stageCall
	for _, c := range b.store.took() {
		if c.verb == "update" {
			updates = append(updates, c)
		}
	}
	if len(updates) != 1 || updates[0].ttl != store.KeepTTL || !strings.Contains(updates[0].data, `"bind":{"since":`) {
		t.Errorf("the registration wrote %+v", updates)
	}
}

func TestTheIdOfABoundSessionIsWorthNothingElsewhere(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.Header = &core.Header{} })
	b.login()
	id := strings.TrimPrefix(idCookie(t, b.browser), "sid=")
	// The id in a header is one without the proof.
	bearer := func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+id)
		r.Header.Set("Cookie", cookieHeader(b.browser))
	}
	b.is(b.another(), "/who", "unproven", bearer)
	a := b.request("", b.page, func(r *http.Request) {
		r.URL.Path = "/login"
		r.Header.Set("Authorization", "Bearer")
	})
	if a.header.Get("Secure-Session-Registration") != "" || a.header.Get("Session-Token") == "" {
		t.Errorf("a client without cookies gets %v", a.header)
	}
	// So is one outside of HTTP.
	s, err := b.Load(t.Context(), id)
	if err != nil || s.Binding() != core.Unproven || s.User() != "" {
		t.Errorf("Load: %v, %v", err, s.Binding())
	}
	// The operator may have it.
	plain, _, _ := core.Verify([]string{stageSecret}, id)
	if err := b.Edit(t.Context(), plain, func(s *core.Session) error {
		if s.User() != "ann" || s.Binding() != core.Bound {
			t.Errorf("Edit: %v", s.Binding())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestWhereTheBoundCookieBelongs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit         func(*core.Config)
		login, page  string
		path, cookie string // of the endpoint; the end of the line of the bound cookie
	}{
		"by default": {func(*core.Config) {}, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"a path": {
			func(c *core.Config) { c.Cookie.Path = "/shop" }, "/shop/login", "/shop/who", "/shop/.session/bind", "; Path=/shop; HttpOnly; Secure; SameSite=Lax",
		},
		"a stripped prefix": {
			func(c *core.Config) { c.StrippedPrefix = "/app" }, "/app/login", "/app/who", "/app/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		"a stripped prefix and a path": {
			func(c *core.Config) { c.StrippedPrefix, c.Cookie.Path = "/app", "/app/shop" }, "/app/shop/login", "/app/shop/who", "/app/shop/.session/bind", "; Path=/app/shop; HttpOnly; Secure; SameSite=Lax",
		},
		"a path of its own": {
			func(c *core.Config) { c.Bind = &core.Bind{Path: "/auth/bind"} }, "/login", "/who", "/auth/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		"a cookie for each request": {
			func(c *core.Config) {
				c.CookieFor = func(r *http.Request) core.Cookie {
					return core.Cookie{Secure: core.SecureAlways, SameSite: http.SameSiteStrictMode, Domain: strings.Split(r.Host, ":")[0]}
				}
			}, "/login", "/who", "/.session/bind", "; Domain=app.test; Path=/; HttpOnly; Secure; SameSite=Strict",
		},
		"SameSiteAuto": {func(c *core.Config) { c.Cookie.SameSite = core.SameSiteAuto }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=None"},
		"scripts read the cookie": {
			func(c *core.Config) { c.Cookie.ScriptAccess = true }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		"the name of one host": {
			func(c *core.Config) { c.Cookie.Name = "__Host-sid" }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		"a priority": {
			func(c *core.Config) { c.Cookie.Priority = core.PriorityHigh }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; Priority=High; SameSite=Lax",
		},
		"lazy":       {func(c *core.Config) { c.Lazy = true }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"hashed ids": {func(c *core.Config) { c.HashIDs = true }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"sealed records": {
			func(c *core.Config) { c.SealKeys = []string{"a key of more than thirty-two bytes, for records"} }, "/login", "/who", "/.session/bind", "; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBindStage(t, tt.edit)
			b.is(b.browser, tt.login, "ann unbound")
			b.clock.advance(20 * time.Minute)
			b.is(b.browser, tt.page, "ann bound")
			b.is(b.browser, tt.page, "ann bound")
			did(t, b.browser, 0, "registration: 200", "refresh: 403", "refresh with proof: 200")
			if got := b.Config().Bind.Path; got != tt.path {
				t.Errorf("the endpoint is %q, want %q", got, tt.path)
			}
			found := false
			for _, c := range b.browser.Cookies(app + tt.page) {
				if strings.HasSuffix(c.Name, "-bound") {
					found = true
					line := between(c.Raw, "; ", "; Expires") + between(c.Raw+"\n", "; Max-Age=600", "\n")
					if "; "+line != tt.cookie {
						t.Errorf("the bound cookie is %q, want %q", c.Raw, tt.cookie)
					}
				}
			}
			if !found {
				t.Error("there is no bound cookie")
			}
		})
	}
}

// A device is a key by which tests sign what no browser would.
type device struct {
	key *ecdsa.PrivateKey
	jwk string
}

func newDevice() *device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return &device{key, fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:]))}
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func (d *device) jwt(header, payload string) string {
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func (d *device) register(challenge string) string {
	return d.jwt(`{"alg":"ES256","jwk":`+d.jwk+`,"typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`)
}

func (d *device) prove(challenge string) string {
	return d.jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`)
}

// between returns what stands in a text between two others.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}

// send posts to the endpoint what a test makes up, without any cookie.
func (b *bindStage) send(id, proof string) answer {
	b.t.Helper()
	return b.request("", nil, func(r *http.Request) {
		r.Method, r.URL.Path = http.MethodPost, "/.session/bind"
		if id != "" {
			r.Header.Set("Sec-Secure-Session-Id", id)
		}
		if proof != "" {
			r.Header.Set("Secure-Session-Response", proof)
		}
	})
}

// offered signs in and returns the challenge of the offer, and the cookie.
func (b *bindStage) offered() (challenge, cookie string) {
	b.t.Helper()
	a := b.request("", b.page, func(r *http.Request) { r.URL.Path = "/login" })
	return between(a.header.Get("Secure-Session-Registration"), `challenge="`, `"`), a.cookie
}

// registered is a session that is bound to a device.
func (b *bindStage) registered(d *device) (id string) {
	b.t.Helper()
	challenge, _ := b.offered()
	a := b.send("", d.register(challenge))
	if a.status != http.StatusOK {
		b.t.Fatalf("a registration is answered %d", a.status)
	}
	return between(a.body, `"session_identifier":"`, `"`)
}

func TestTheInstructions(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.Bind = &core.Bind{Exclude: []string{"/static"}} })
	challenge, _ := b.offered()
	a := b.send("", newDevice().register(challenge))
	want := `{"session_identifier":"` + between(a.body, `"session_identifier":"`, `"`) + `","refresh_url":"/.session/bind",` +
		`"scope":{"include_site":false,"scope_specification":[{"type":"exclude","domain":"*","path":"/static"}]},` +
		`"credentials":[{"type":"cookie","name":"sid-bound","attributes":"Path=/; HttpOnly; Secure; SameSite=Lax"}],"allowed_refresh_initiators":["*"]}` + "\n"
	if a.body != want {
		t.Errorf("%s\nwant %s", a.body, want)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
}

func TestWhatIsNoRegistration(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	d, other := newDevice(), newDevice()
	challenge, cookie := b.offered()
	elsewhere := newBindStage(t, func(c *core.Config) { c.Secrets = []string{"a secret of somebody else, of another app"} })
	foreign, _ := elsewhere.offered()
	named := newBindStage(t, func(c *core.Config) { c.Cookie.Name, c.Store = "other", b.store })
	ofAnother := func() string {
		a := named.request("", named.page, func(r *http.Request) { r.URL.Path = "/login" })
		return between(a.header.Get("Secure-Session-Registration"), `challenge="`, `"`)
	}()
	id := b.registered(newDevice())
	refresh := between(b.send(id, "").header.Get("Secure-Session-Challenge"), `"`, `"`)
	for name, proof := range map[string]string{
		"no proof":                  "abc",
		"no key":                    d.prove(challenge),
		"no challenge":              d.register(""),
		"alg none":                  d.jwt(`{"alg":"none","jwk":`+d.jwk+`,"typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`),
		"alg of another key":        d.jwt(`{"alg":"RS256","jwk":`+d.jwk+`,"typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`),
		"another typ":               d.jwt(`{"alg":"ES256","jwk":`+d.jwk+`,"typ":"JWT"}`, `{"jti":"`+challenge+`"}`),
		"the key of somebody else":  d.jwt(`{"alg":"ES256","jwk":`+other.jwk+`,"typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`),
		"a challenge of other's":    d.register(foreign),
		"a challenge by a name":     d.register(ofAnother),
		"a challenge of a refresh":  d.register(refresh),
		"an identifier":             d.register(id),
		"a challenge that is a bit": d.register(challenge[:len(challenge)-2]),
	} {
		if a := b.send("", proof); a.status != http.StatusBadRequest || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	b.refused.took()
	if a := b.send("", ""); a.status != http.StatusBadRequest || len(b.refused.took()) > 0 { // a scanner, or somebody's curl, has forged nothing
		t.Errorf("nothing: %d", a.status)
	}
	if b.send("", "abc"); !slices.Equal(b.refused.took(), []core.Cause{core.CauseForged}) {
		t.Error("the operator is not told of a proof that is none")
	}
	b.clock.advance(5 * time.Minute)
	if a := b.send("", d.register(challenge)); a.status != http.StatusBadRequest {
		t.Errorf("a challenge of five minutes ago: %d", a.status)
	}
	b.clock.advance(-10 * time.Second)
	if a := b.send("", d.register(challenge)); a.status != http.StatusOK {
		t.Errorf("a good one: %d", a.status)
	}
	// The first key wins, and a proof that was seen on its way is worth nothing.
	b.refused.took()
	for name, proof := range map[string]string{"the same again": d.register(challenge), "another key": other.register(challenge)} {
		if a := b.send("", proof); a.status != http.StatusBadRequest || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if got := b.refused.took(); !slices.Equal(got, []core.Cause{core.CauseBound, core.CauseBound}) {
		t.Errorf("refused: %v", got)
	}
	a := b.request(cookie, b.page)
	if a.body != "ann bound" {
		t.Errorf("the session is %q", a.body)
	}
}

func TestAnOfferForASessionThatIsGoneBindsNothing(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/logout", "/renew", "/rotate", "/login"} {
		b := newBindStage(t)
		challenge, cookie := b.offered()
		if a := b.request(cookie, b.page, func(r *http.Request) { r.URL.Path = path }); a.status >= 400 {
			t.Fatalf("%s: %d", path, a.status)
		}
		if a := b.send("", newDevice().register(challenge)); a.status != http.StatusBadRequest {
			t.Errorf("after %s: %d", path, a.status)
		}
	}
}

func TestWhatIsNoRefresh(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	d, other := newDevice(), newDevice()
	id := b.registered(d)
	foreignID := b.registered(other)
	ask := func(id string) string {
		a := b.send(id, "")
		value := a.header.Get("Secure-Session-Challenge")
		if a.status != http.StatusForbidden || !strings.HasSuffix(value, `";id="`+id+`"`) || len(a.header["Set-Cookie"]) > 0 {
			t.Fatalf("without a proof: %d, %q", a.status, value)
		}
		return between(value, `"`, `"`)
	}
	challenge := ask(id)
	for name, tt := range map[string]struct {
		id, proof string
		status    int
	}{
		"no identifier of ours":            {"abc", d.prove(challenge), http.StatusNotFound},
		"an identifier and a bit":          {id + "A", d.prove(challenge), http.StatusNotFound},
		"a long one":                       {strings.Repeat("A", 9000), d.prove(challenge), http.StatusNotFound},
		"no proof":                         {id, "abc", http.StatusNotFound},
		"with a key":                       {id, d.register(challenge), http.StatusNotFound},
		"with the key of somebody else":    {id, other.register(challenge), http.StatusNotFound},
		"another key":                      {id, other.prove(challenge), http.StatusNotFound},
		"alg none":                         {id, d.jwt(`{"alg":"none","typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`), http.StatusNotFound},
		"the algorithm of another key":     {id, d.jwt(`{"alg":"RS256","typ":"dbsc+jwt"}`, `{"jti":"`+challenge+`"}`), http.StatusNotFound},
		"a challenge of another session":   {id, d.prove(ask(foreignID)), http.StatusForbidden},
		"the session of another":           {foreignID, d.prove(ask(foreignID)), http.StatusNotFound},
		"a challenge that nobody gave":     {id, d.prove("1732180000000." + strings.Repeat("A", 43)), http.StatusForbidden},
		"a challenge that is none at all":  {id, d.prove("abc"), http.StatusForbidden},
		"a challenge with another time":    {id, d.prove("9" + challenge), http.StatusForbidden},
		"a signature that was cut":         {id, d.prove(challenge)[:100] + ".AAAA", http.StatusNotFound},
		"a good one":                       {id, d.prove(challenge), http.StatusOK},
		"a good one in quotes":             {`"` + id + `"`, `"` + d.prove(challenge) + `"`, http.StatusOK},
		"a good one, a second time, since": {id, d.prove(challenge), http.StatusOK},
	} {
		a := b.send(tt.id, tt.proof)
		if a.status != tt.status || (len(a.header["Set-Cookie"]) > 0) != (tt.status == http.StatusOK) || (a.header.Get("Secure-Session-Challenge") != "") != (tt.status == http.StatusForbidden) {
			t.Errorf("%s: %d %v, want %d", name, a.status, a.header, tt.status)
		}
	}
	b.clock.advance(2 * time.Minute)
	if a := b.send(id, d.prove(challenge)); a.status != http.StatusForbidden || a.header.Get("Secure-Session-Challenge") == "" {
		t.Errorf("a challenge of two minutes ago: %d", a.status)
	}
	late := ask(id)
	b.clock.advance(-2 * time.Minute) // as an instance whose clock is that much behind
	if a := b.send(id, d.prove(late)); a.status != http.StatusForbidden || a.header.Get("Secure-Session-Challenge") == "" {
		t.Errorf("a challenge from two minutes ahead: %d", a.status)
	}
}

func TestTheEndpointIsTheMiddlewaresAlone(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.Skip = func(*http.Request) bool { return true } })
	b.handler = func(http.ResponseWriter, *http.Request) { t.Error("the handler runs") }
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
		a := b.request("", b.handler, func(r *http.Request) { r.Method, r.URL.Path = method, "/.session/bind" })
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d", method, a.status)
		}
	}
	b.handler = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
	for _, path := range []string{"/.session/bind/", "/.session/bindx", "/.session", "/x/.session/bind", "/%2esession/bind"} {
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if a := b.request("", b.handler, func(r *http.Request) { r.Method, r.URL.Path, r.URL.RawPath = http.MethodPost, u.Path, u.RawPath }); a.status != http.StatusTeapot {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestPagesThatNeedABoundSession(t *testing.T) {
	t.Parallel()
	for _, lazy := range []bool{false, true} {
		b := newBindStage(t, func(c *core.Config) {
			c.Lazy = lazy
			c.Bind = &core.Bind{Required: func(r *http.Request) bool { return r.URL.Path == "/who" || strings.HasSuffix(r.URL.Path, "/set") }}
		})
		b.is(b.another(), "/who", "unbound") // nobody is signed in
		b.login()                            // the page behind it is let through, though it comes before the session is bound
		b.is(b.browser, "/set", "ann bound")
		if status, _ := goTo(t, b.another(), "/set", b.locked()); status != http.StatusUnauthorized {
			t.Errorf("an unproven session: %d", status)
		}
		plain := b.another()
		plain.Plain = true
		b.is(plain, "/login", "ann unbound")
		b.clock.advance(time.Minute)
		if status, _ := goTo(t, plain, "/set"); status != http.StatusUnauthorized {
			t.Errorf("a plain session: %d", status)
		}
		b.is(plain, "/renew", "ann unbound") // it gets another id, which may be about to be bound
		b.is(plain, "/set", "ann unbound")
		b.clock.advance(time.Minute)
		if status, _ := goTo(t, plain, "/set"); status != http.StatusUnauthorized {
			t.Errorf("a plain session: %d", status)
		}
		b.is(plain, "/other", "ann unbound")
	}
}

func TestABrowserIsAskedForAProofNow(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	guard := core.RequireProof(time.Minute, core.SignInPage{Path: "/login"})
	b.handler = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/pay") {
			guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				_, _ = fmt.Fprintf(w, "%s %s", r.Method, body)
			})).ServeHTTP(w, r)
			return
		}
		b.page(w, r)
	}
	pay := func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("amount=1")) }
	b.is(b.browser, "/login", "ann unbound")
	b.is(b.browser, "POST /pay", "POST amount=1", pay) // who has just signed in
	b.clock.advance(2 * time.Minute)
	b.is(b.browser, "POST /pay?x=1", "POST amount=1", pay)
	did(t, b.browser, 0, "registration: 200", "refresh: 403", "refresh with proof: 200")
	b.clock.advance(110 * time.Second) // by a clock that is up to a minute ahead of the one that saw the proof
	b.is(b.browser, "/pay", "GET")
	did(t, b.browser, 3)
	b.clock.advance(10 * time.Second)
	b.is(b.browser, "/pay", "GET")
	did(t, b.browser, 3, "refresh: 403", "refresh with proof: 200")
	b.clock.advance(-50 * time.Second) // by a clock that is behind
	b.is(b.browser, "/pay", "GET")
	did(t, b.browser, 5)
	b.clock.advance(-10 * time.Second) // by one that is too far behind, or where Bind.Life was longer
	b.is(b.browser, "/pay", "GET")
	did(t, b.browser, 5, "refresh: 403", "refresh with proof: 200")

	// Others are led to sign in: a thief with all cookies, a locked session, a plain one, nobody.
	plain := b.another()
	plain.Plain = true
	b.is(plain, "/login", "ann unbound")
	b.clock.advance(2 * time.Minute)
	b.is(b.browser, "/who", "ann bound")
	for name, cookie := range map[string]string{"locked": idCookie(t, b.browser), "plain": idCookie(t, plain), "nobody": ""} {
		a := b.request(cookie, b.handler, func(r *http.Request) { r.URL.Path = "/pay"; r.Header.Set("Accept", "text/html") })
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/login?return_to=%2Fpay" {
			t.Errorf("%s: %d %q", name, a.status, a.header.Get("Location"))
		}
		a = b.request(cookie, b.handler, func(r *http.Request) { r.URL.Path = "/pay" })
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s, a script: %d", name, a.status)
		}
	}
	// A thief with all cookies is sent round in circles.
	stolen := cookieHeader(b.browser)
	for range 3 {
		a := b.request(stolen, b.handler, func(r *http.Request) { r.URL.Path = "/pay" })
		if a.status != http.StatusTemporaryRedirect || a.header.Get("Location") != "/pay" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("a thief: %d %q", a.status, a.header.Get("Location"))
		}
	}
	// And is led nowhere else.
	a := b.request(stolen, b.handler, func(r *http.Request) { r.URL.Path = "/pay//evil.test" })
	if a.status != http.StatusUnauthorized {
		t.Errorf("an odd path: %d %q", a.status, a.header.Get("Location"))
	}
}

func TestRequireProofNeedsAMinute(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("it takes less")
		}
	}()
	core.RequireProof(time.Minute-1, core.SignInPage{})
}

func TestWhatBindIsRefusedWith(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit  func(*core.Config)
		field string
	}{
		"sealed":          {func(c *core.Config) { c.Store, c.Sealed = nil, &core.SealedCookie{} }, "Bind"},
		"headers only":    {func(c *core.Config) { c.Header = &core.Header{Only: core.AlwaysHeader} }, "Bind"},
		"plain HTTP":      {func(c *core.Config) { c.Cookie.Secure = core.SecureAuto }, "Cookie.Secure"},
		"partitioned":     {func(c *core.Config) { c.Cookie.Partitioned, c.Cookie.SameSite = true, http.SameSiteNoneMode }, "Cookie.Partitioned"},
		"__Host-Http-":    {func(c *core.Config) { c.Cookie.Name = "__Host-Http-sid" }, "Cookie.Name"},
		"Express":         {func(c *core.Config) { c.ShareWithExpress = true }, "Bind.ExpressChecks"},
		"four minutes":    {func(c *core.Config) { c.Bind.Life = 4 * time.Minute }, "Bind.Life"},
		"a negative life": {func(c *core.Config) { c.Bind.Life = -1 }, "Bind.Life"},
		"a short grace":   {func(c *core.Config) { c.Bind.Grace = 30 }, "Bind.Grace"},
		"a negative one":  {func(c *core.Config) { c.Bind.Grace = -1 }, "Bind.Grace"},
		"another site":    {func(c *core.Config) { c.Bind.Path = "//evil.test/" }, "Bind.Path"},
		"a relative path": {func(c *core.Config) { c.Bind.Path = "bind" }, "Bind.Path"},
		"a quote":         {func(c *core.Config) { c.Bind.Path = `/bind"` }, "Bind.Path"},
		"a query":         {func(c *core.Config) { c.Bind.Path = "/bind?x" }, "Bind.Path"},
		"not below":       {func(c *core.Config) { c.StrippedPrefix, c.Bind.Path = "/app", "/bind" }, "Bind.Path"},
		"an exclusion":    {func(c *core.Config) { c.Bind.Exclude = []string{"static"} }, "Bind.Exclude"},
	} {
		cfg := boundConfig()
		cfg.Store, cfg.Secrets = newStage(t, core.Config{}).store, []string{stageSecret}
		tt.edit(&cfg)
		_, err := core.New(cfg)
		var bad *core.ConfigError
		if !errors.As(err, &bad) || bad.Field != tt.field {
			t.Errorf("%s: %v, want one of %s", name, err, tt.field)
		}
	}
	for name, edit := range map[string]func(*core.Config){
		"Express that checks": func(c *core.Config) { c.ShareWithExpress, c.Bind.ExpressChecks = true, true },
		"a header, too":       func(c *core.Config) { c.Header = &core.Header{} },
		"__Http-":             func(c *core.Config) { c.Cookie.Name = "__Http-sid" },
	} {
		cfg := boundConfig(edit)
		cfg.Store, cfg.Secrets = newStage(t, core.Config{}).store, []string{stageSecret}
		m, err := core.New(cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b := m.Config().Bind; b.Life != 10*time.Minute || b.Grace != time.Minute || b.Path != "/.session/bind" || b.String() != "/.session/bind, for 10m0s" {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

func TestACookieForARequestThatCannotBeBoundIsRefused(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) {
		c.CookieFor = func(*http.Request) core.Cookie {
			return core.Cookie{Secure: core.SecureAlways, SameSite: http.SameSiteNoneMode, Partitioned: true}
		}
	})
	if status, _ := goTo(t, b.browser, "/who"); status != http.StatusInternalServerError {
		t.Errorf("%d", status)
	}
	if a := b.send("", "abc"); a.status != http.StatusServiceUnavailable {
		t.Errorf("the endpoint: %d", a.status)
	}
}

func TestWhatABrowserSaysOfItsFailureIsLoggedAndNotBelieved(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	id := idCookie(t, b.browser)
	for _, said := range []string{`quota_exceeded;session_identifier="x"`, "anything\telse"} {
		a := b.request(id, b.page, func(r *http.Request) { r.Header.Set("Secure-Session-Skipped", said) })
		if a.body != "unproven" && a.body != " unproven" {
			t.Errorf("%q", a.body)
		}
	}
	if b.log.count("why=quota_exceeded") != 1 || b.log.count("why=other") != 1 {
		t.Error(b.log.String())
	}
}

func TestHowABindingIsCalled(t *testing.T) {
	t.Parallel()
	for binding, want := range map[core.Binding]string{core.Unbound: "unbound", core.Bound: "bound", core.Unproven: "unproven", 9: "Binding(9)"} {
		if got := binding.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (*core.Bind)(nil).String(); got != "none" {
		t.Errorf("%q", got)
	}
}

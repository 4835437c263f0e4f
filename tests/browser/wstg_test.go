package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// The tests of the chapter on sessions of OWASP's Web Security Testing Guide, one
// each, as who has only the app and a browser does them. The two frameworks take
// turns.

// plant puts a cookie into a browser, as an attacker may who has another page of the
// domain, or the device for a moment.
func (a *app) plant(b *browser, cookie string) {
	b.t.Helper()
	name, value, _ := strings.Cut(cookie, "=")
	call(b.tab, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: a.URL + "/"})
}

// value is what a cookie holds, without its name.
func value(cookie string) string {
	_, v, _ := strings.Cut(cookie, "=")
	v, _ = url.QueryUnescape(v)
	return v
}

// Nothing can be read out of a cookie or told of the next one, and whatever is
// changed in it makes it worthless.
//
// Standards: WSTG-SESS-01
func TestWSTGSess01Schema(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "gin")
	ann := someone()
	first := a.enter(t, "/signup", ann)
	shape := regexp.MustCompile(`^s:([A-Za-z0-9_-]{32})\.([A-Za-z0-9+/]{43})$`) // 192 bits, and a signature of 256
	var ids [][]byte
	seen := make(map[string]bool)
	for range 300 {
		got := a.send(t, http.MethodPost, "/cart", "", url.Values{"item": {"coat"}})
		parts := shape.FindStringSubmatch(value(got.cookie))
		if parts == nil {
			t.Fatal("a cookie is not an id and a signature")
		}
		if seen[parts[1]] || seen[parts[2]] {
			t.Fatal("an id or a signature twice")
		}
		seen[parts[1]], seen[parts[2]] = true, true
		ids = append(ids, []byte(parts[1]))
	}
	for i := range ids[0] { // each place takes many values: none is a time, a counter or a constant
		kinds := make(map[byte]bool)
		for _, id := range ids {
			kinds[id[i]] = true
		}
		if len(kinds) < 48 { // of 64; fewer than 48 of 300 is less likely than one in 10^30
			t.Errorf("character %d of an id takes only %d values in %d", i, len(kinds), len(ids))
		}
	}

	// In a browser: the cookie with one character changed, wherever that is.
	b := light.newBrowser(t)
	for _, at := range []int{4, 20, 35, 40, 60} {
		text := []byte(value(first))
		if text[at]++; !shape.Match(text) {
			text[at] = 'x'
		}
		a.plant(b, strings.SplitN(first, "=", 2)[0]+"="+url.QueryEscape(string(text)))
		a.mustBeOut(b.tab)
	}
	a.plant(b, first) // as it was it is of use
	b.open(a.URL + "/devices")
	b.mustBe(ann)
}

// Standards: WSTG-SESS-02
func TestWSTGSess02CookieAttributes(t *testing.T) {
	t.Parallel()
	a := startTLS(t, "-framework", "echo")
	b, ann := light.newBrowser(t), someone()
	a.signUp(b.tab, ann)
	c := b.cookie(a.URL)
	if !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || !c.Session || !strings.HasPrefix(c.Name, "__Host-") {
		t.Errorf("the cookie is %+v", attributes(c))
	}
	if strings.HasPrefix(c.Domain, ".") {
		t.Errorf("the cookie is sent to all hosts of %s", c.Domain)
	}
	if eval[string](b.tab, "document.cookie") != "" {
		t.Error("a script can read the cookie")
	}
	if c.SourceScheme != network.CookieSourceSchemeSecure {
		t.Errorf("the cookie was set by %s", c.SourceScheme)
	}
}

// Standards: WSTG-SESS-03, ASVS-7.2.4
func TestWSTGSess03Fixation(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "gin")
	ann, mallory := someone(), someone()
	a.enter(t, "/signup", ann)
	theirs := a.enter(t, "/signup", mallory)
	visitors := a.send(t, http.MethodPost, "/cart", "", url.Values{"item": {"coat"}}).cookie

	for what, planted := range map[string]string{
		"a session of a visitor":   visitors,
		"a session of theirs":      theirs,
		"an id that they made up":  strings.SplitN(visitors, "=", 2)[0] + "=made-up-by-mallory",
		"an id without signature":  strings.SplitN(visitors, ".", 2)[0],
		"one more, of a longer ID": visitors + "0",
	} {
		b := light.newBrowser(t)
		a.plant(b, planted)
		a.logIn(b.tab, ann)
		if a.cookieOf(b) == planted {
			t.Errorf("%s: the login keeps it", what)
		}
		if got := a.get(t, "/profile", planted); strings.Contains(got.text, ann.email) || strings.Contains(got.text, "id=\"user\"") && planted != theirs {
			t.Errorf("%s: it is that of who logged in", what)
		}
		if planted == theirs { // whose session ended where another user logged in
			a.mustKnow(t, theirs, false)
		}
	}

	// A second login of the same user is as good as the first.
	b := light.newBrowser(t)
	a.logIn(b.tab, ann)
	before := a.cookieOf(b)
	a.logIn(b.tab, ann)
	if a.cookieOf(b) == before {
		t.Error("a second login keeps the id")
	}
	a.mustKnow(t, before, false)
}

// The id is in no address, no page, no cache and no log. (The log of every app of
// these tests is looked at when it ends.)
//
// Standards: WSTG-SESS-04
func TestWSTGSess04ExposedVariables(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "echo")
	b, ann := light.newBrowser(t), someone()
	var (
		mu       sync.Mutex
		asked    []string // URLs and referrers
		answered = make(map[string]string)
	)
	if err := chromedp.Listen(b.ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			asked = append(asked, ev.Request.URL, fmt.Sprint(ev.Request.Headers))
		case *network.EventResponseReceived:
			if u, err := url.Parse(ev.Response.URL); err == nil {
				for name, v := range ev.Response.Headers {
					if strings.EqualFold(name, "Cache-Control") {
						answered[u.Path] = fmt.Sprint(v)
					}
				}
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	a.signUp(b.tab, ann)
	secret := value(a.cookieOf(b))
	id := strings.TrimPrefix(strings.SplitN(secret, ".", 2)[0], "s:")
	pages := []string{"/", "/cart", "/profile", "/devices", "/session/left", "/login", "/nothing"}
	for _, path := range pages {
		b.open(a.URL + path)
		if strings.Contains(eval[string](b.tab, "document.documentElement.outerHTML"), id) {
			t.Errorf("%s has the id in it", path)
		}
	}
	if stored := eval[int](b.tab, "localStorage.length + sessionStorage.length"); stored != 0 {
		t.Errorf("the pages store %d things in the browser", stored)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, text := range asked {
		if strings.Contains(text, id) || strings.Contains(text, ann.password) {
			t.Error("an address has the id or the password in it")
		}
	}
	for _, path := range pages {
		if got := answered[path]; !strings.Contains(got, "no-store") {
			t.Errorf("%s may be kept in a cache: %q", path, got)
		}
	}

	// Neither is anything taken from an address.
	query := "?" + url.Values{"email": {ann.email}, "password": {ann.password}, "connect.sid": {secret}, "sid": {secret}, "__Host-sid": {secret}}.Encode()
	for _, path := range []string{"/login", "/devices"} {
		if got := a.get(t, path+query, ""); got.cookie != "" || strings.Contains(got.text, ann.name) {
			t.Errorf("%s takes a login from its address", path)
		}
	}
	if got := a.get(t, "/devices"+query, ""); got.status != http.StatusUnauthorized {
		t.Errorf("an id in the address: %d", got.status)
	}
}

// Standards: WSTG-SESS-05, ASVS-3.5.1
func TestWSTGSess05CrossSiteRequestForgery(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "gin")
	boss, ann := someone(), someone()
	boss.email = admin
	b, other := light.newBrowser(t), light.newBrowser(t)
	a.signUp(b.tab, boss)
	a.logIn(other.tab, boss)
	known := a.enter(t, "/signup", ann)
	handle := handleOf(t, a, other)

	forms := []struct {
		path   string
		fields url.Values
	}{
		{"/cart", url.Values{"item": {"coat"}}},
		{"/cart/remove", url.Values{"item": {"coat"}}},
		{"/logout", nil},
		{"/login", url.Values{"email": {ann.email}, "password": {ann.password}}},
		{"/signup", url.Values{"email": {someone().email}, "name": {"Eve"}}},
		{"/signup/confirm", url.Values{"token": {a.confirmation(t, ann.email)}, "password": {"a good password"}}},
		{"/password", url.Values{"current": {boss.password}, "new": {"a password of theirs"}}},
		{"/devices/end", url.Values{"handle": {handle}}},
		{"/devices/end-others", nil},
		{"/admin/end-user", url.Values{"email": {ann.email}}},
	}
	var html strings.Builder
	for i, form := range forms {
		fmt.Fprintf(&html, `<form id="f%d" method="post" action="%s%s">`, i, a.URL, form.path)
		for name, values := range form.fields {
			fmt.Fprintf(&html, `<input name="%s" value="%s">`, name, values[0])
		}
		html.WriteString(`<button>Win!</button></form>`)
	}
	evil := otherSite(t, html.String())
	b.open(a.URL)
	b.add(1)
	before := a.cookieOf(b)
	for i, form := range forms {
		b.open(evil)
		b.click(fmt.Sprintf("#f%d button", i))
		if b.status() != http.StatusForbidden {
			t.Errorf("%s from another site: %d, want 403", form.path, b.status())
		}
	}
	b.open(a.URL)
	b.mustBe(boss)
	b.wantInCart(1)
	if a.cookieOf(b) != before {
		t.Error("the cookie is another")
	}
	other.reload()
	other.mustBe(boss)
	a.mustKnow(t, known, true)
	a.logIn(light.newBrowser(t).tab, boss) // the password is as it was

	// Nothing is done by a link.
	for _, form := range forms[2:] {
		a.get(t, form.path+"?"+form.fields.Encode(), before)
	}
	b.reload()
	b.mustBe(boss)
	a.mustKnow(t, known, true)
}

// Standards: WSTG-SESS-06, ASVS-7.4.1, ASVS-7.4.4
func TestWSTGSess06Logout(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "echo")
	b, ann := light.newBrowser(t), someone()
	a.signUp(b.tab, ann)
	for _, path := range []string{"/", "/cart", "/profile", "/devices", "/nothing"} {
		b.open(a.URL + path)
		if !b.shows("#logout") {
			t.Errorf("there is no way to log out on %s", path)
		}
	}
	other := b.newTab()
	other.open(a.URL + "/devices")
	kept := a.cookieOf(b)
	b.click("#logout")
	a.mustKnow(t, kept, false) // on the server, not in the browser alone
	if all := b.cookies(a.URL); len(all) == 1 && all[0].Name+"="+all[0].Value == kept {
		t.Error("the browser keeps the cookie")
	}
	other.reload()
	other.mustBeOut()
	a.plant(b, kept)
	a.mustBeOut(b.tab)
	b.back()
	if b.has("#user") {
		b.fatalf("the back button leads into the session")
	}
}

// Standards: WSTG-SESS-07
func TestWSTGSess07Timeout(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "gin", "-idle", "8s")
	b, ann := light.newBrowser(t), someone()
	a.signUp(b.tab, ann)
	kept := a.cookieOf(b)
	b.untilShown("#ended")
	a.mustKnow(t, kept, false) // the server says so, and not the cookie
	b.reload()
	if b.has("#user") {
		b.fatalf("the session goes on")
	}
}

// What one part of the app leaves in a session is not taken for a login by another.
//
// Standards: WSTG-SESS-08
func TestWSTGSess08Puzzling(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "echo")
	boss := someone()
	boss.email = admin
	a.enter(t, "/signup", boss)
	guess := boss
	guess.password = "a guess at the password"

	b := light.newBrowser(t)
	closed := func(after string, status int) {
		t.Helper()
		for _, path := range []string{"/admin", "/profile", "/devices", "/session/left"} {
			switch b.open(a.URL + path); {
			case status == http.StatusUnauthorized:
				if b.path() != "/login?return_to="+url.QueryEscape(path) {
					t.Errorf("%s after %s leads to %s, want the login", path, after, b.path())
				}
			case path == "/admin" && b.status() != status, path != "/admin" && b.status() != http.StatusOK:
				t.Errorf("%s after %s: %d", path, after, b.status())
			}
		}
	}
	b.open(a.URL)
	b.add(1)
	closed("filling a cart", http.StatusUnauthorized)
	b.open(a.URL + "/login?return_to=/admin")
	b.logIn(guess)
	closed("a login with a wrong password", http.StatusUnauthorized)
	b.open(a.URL + "/signup?return_to=/admin")
	b.fill("#signup-form [name=name]", guess.name)
	b.fill("#signup-form [name=email]", guess.email)
	b.click("#signup-form button")
	if b.has("#user") || !b.has("#mailed") {
		b.fatalf("an email that has an account is not answered like any other")
	}
	closed("signing up with an email that is taken", http.StatusUnauthorized)

	ann := someone()
	a.signUp(b.tab, ann)
	b.open(a.URL + "/login?return_to=/admin")
	b.logIn(guess)
	closed("a user's login as the admin with a wrong password", http.StatusForbidden)
	b.open(a.URL)
	b.mustBe(ann)
}

// Who sees the network sees no cookie: it goes over TLS alone, also where an
// address of plain HTTP is followed.
//
// Standards: WSTG-SESS-09, NIST-5.1-channel
func TestWSTGSess09Hijacking(t *testing.T) {
	t.Parallel()
	a := startTLS(t, "-framework", "gin")
	b, ann := light.newBrowser(t), someone()
	var (
		mu   sync.Mutex
		seen []string
	)
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Cookie"))
	}))
	t.Cleanup(plain.Close)
	a.signUp(b.tab, ann)
	b.open(strings.Replace(plain.URL, "127.0.0.1", "shop.test", 1))
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 {
		t.Fatal("nothing was sent over plain HTTP")
	}
	for _, cookies := range seen {
		if cookies != "" {
			t.Error("the cookie is sent over plain HTTP")
		}
	}
	b.open(a.URL)
	b.mustBe(ann)
}

// There are no tokens that a session could outlive: nothing that a browser holds or
// sends is a JSON Web Token.
//
// Standards: WSTG-SESS-10
func TestWSTGSess10NoJSONWebTokens(t *testing.T) {
	t.Parallel()
	a := start(t, "-framework", "echo")
	b, ann := light.newBrowser(t), someone()
	var (
		mu   sync.Mutex
		sent []string
		held []string
	)
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if ev, ok := ev.(*network.EventRequestWillBeSent); ok {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, ev.Request.URL+" "+fmt.Sprint(ev.Request.Headers))
		}
	}); err != nil {
		t.Fatal(err)
	}
	a.signUp(b.tab, ann)
	for _, path := range []string{"/", "/profile", "/devices"} {
		b.open(a.URL + path)
		held = append(held, eval[string](b.tab, "document.documentElement.outerHTML + JSON.stringify([localStorage, sessionStorage])"))
	}
	b.untilShown("#countdown")
	for _, c := range b.cookies(a.URL) {
		held = append(held, c.Value)
	}
	token := regexp.MustCompile(`eyJ[\w-]+\.[\w-]*\.|(?i)\bbearer\b|\bauthorization\b`)
	mu.Lock()
	defer mu.Unlock()
	for _, text := range append(sent, held...) {
		if token.MatchString(text) {
			t.Error("there is a token")
		}
	}
}

// Standards: WSTG-SESS-11
func TestWSTGSess11ConcurrentSessions(t *testing.T) {
	t.Parallel()
	const most = 10 // sessions of a user, says the app
	a := start(t, "-framework", "gin")
	b, ann := light.newBrowser(t), someone()
	a.signUp(b.tab, ann)
	var cookies []string
	for range most {
		cookies = append(cookies, a.enter(t, "/login", ann))
	}
	// The first one, which was used least recently, had to go.
	b.open(a.URL + "/devices")
	b.mustBeOut()
	a.logIn(b.tab, ann)
	b.open(a.URL + "/devices")
	if n := b.count("#devices li"); n != most {
		b.fatalf("%d sessions, want %d", n, most)
	}
	a.mustKnow(t, cookies[0], false)
	a.mustKnow(t, cookies[1], true)

	// The user sees them all, and ends them.
	b.click("#end-others")
	for _, cookie := range cookies {
		a.mustKnow(t, cookie, false)
	}
	b.reload()
	b.mustBe(ann)
}

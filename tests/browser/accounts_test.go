package browser

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

func TestSignUpLogOutLogIn(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		b, ann := light.newBrowser(t), someone()
		a.signUp(b.tab, ann)
		if !b.shows("#flash") || !strings.Contains(b.text("#flash"), ann.name) {
			t.Errorf("no welcome: %q", b.text("#flash"))
		}
		b.click("#logout")
		if b.has("#user") || !b.shows("#flash") {
			b.fatalf("the logout shows nothing")
		}
		a.mustBeOut(b.tab)
		if b.path() != "/login?return_to=%2Fdevices" { // which leads back to the page
			t.Errorf("a page behind the login leads to %s", b.path())
		}
		wrong := ann
		wrong.password = "not the password"
		b.logIn(wrong)
		if b.status() != http.StatusUnauthorized || b.has("#user") || !b.shows("#flash") {
			b.fatalf("a wrong password: %d", b.status())
		}
		said := b.text("#flash")
		nobody := someone()
		b.logIn(nobody)
		if b.text("#flash") != said {
			t.Errorf("a wrong password is answered %q, an unknown email %q", said, b.text("#flash"))
		}
		b.logIn(ann)
		b.mustBe(ann)
		if b.path() != "/devices" {
			t.Errorf("after the login: %s, want the page that was asked for", b.path())
		}
	})
}

func TestCartAndFlash(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		b, ann := light.newBrowser(t), someone()
		b.open(a.URL)
		b.add(1)
		if !b.shows("#flash") || !strings.HasPrefix(b.text("#flash"), "Added ") {
			b.fatalf("no word of it")
		}
		b.reload()
		if b.has("#flash") {
			t.Errorf("a flash message is shown twice: %q", b.text("#flash"))
		}
		b.wantInCart(1)

		// What the visitor chose is there after the login too.
		a.signUp(b.tab, ann)
		b.wantInCart(1)

		// Two tabs that add something at the same time lose nothing.
		other := b.newTab()
		other.open(a.URL)
		for range 3 {
			var both sync.WaitGroup
			both.Go(func() { b.add(1) })
			both.Go(func() { other.add(2) })
			both.Wait()
		}
		b.open(a.URL + "/cart")
		b.wantInCart(7)
		b.click("form[action='/cart/remove'] button")
		if got := b.text("#cart-count"); got == "7" || got == "" {
			t.Errorf("%q in the cart after something was taken out", got)
		}

		// The next one at this device sees none of it.
		b.click("#logout")
		b.wantInCart(0)
	})
}

// add puts the nth product into the cart.
func (b *tab) add(n int) {
	b.t.Helper()
	if b.path() != "/" {
		b.click("a[href='/']")
	}
	all := "form[action='/cart'] button"
	eval[bool](b, fmt.Sprintf("(document.querySelectorAll(%s)[%d].id = 'add', true)", quote(all), n-1))
	b.click("#add")
}

func (b *tab) wantInCart(n int) {
	b.t.Helper()
	if got := cmp.Or(b.text("#cart-count"), "0"); got != fmt.Sprint(n) {
		b.fatalf("%s in the cart, want %d", got, n)
	}
}

// Standards: ASVS-7.5.2
func TestTwoBrowsersAndOneUser(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		ann := someone()
		laptop, phone, tablet := light.newBrowser(t), light.newBrowser(t), light.newBrowser(t)
		a.signUp(laptop.tab, ann)
		a.logIn(phone.tab, ann)
		a.logIn(tablet.tab, ann)

		// Each sees all of them, and knows which it is itself.
		handles := make(map[string]bool)
		for _, b := range []*browser{laptop, phone, tablet} {
			b.open(a.URL + "/devices")
			if all, current := b.count("#devices li"), b.count("#devices li.current"); all != 3 || current != 1 {
				b.fatalf("%d devices, %d of them this one; want 3 and 1", all, current)
			}
			handles[b.attr("#devices li.current", "data-handle")] = true
			if text := b.text("#devices li.current"); !strings.Contains(text, "Chrome") || !strings.Contains(text, "127.0.0.0") {
				t.Errorf("a device is shown as %q", text)
			}
		}
		if len(handles) != 3 {
			t.Errorf("three devices have %d handles", len(handles))
		}

		// One ends another, which is out at its next page.
		phone.open(a.URL)
		handle := handleOf(t, a, phone)
		laptop.open(a.URL + "/devices")
		laptop.click("#devices li[data-handle='" + handle + "'] .end")
		if !laptop.shows("#flash") || laptop.count("#devices li") != 2 {
			laptop.fatalf("the phone is still there")
		}
		phone.open(a.URL + "/devices") // no click: what is open may have been told, and shows that alone
		phone.mustBeOut()
		tablet.reload()
		tablet.mustBe(ann)

		// And all others.
		a.logIn(phone.tab, ann)
		laptop.reload()
		laptop.click("#end-others")
		if laptop.count("#devices li") != 1 || !laptop.has("#devices li.current") {
			laptop.fatalf("others are still there")
		}
		for _, b := range []*browser{phone, tablet} {
			b.open(a.URL + "/devices")
			b.mustBeOut()
		}
		laptop.reload()
		laptop.mustBe(ann)
	})
}

// handleOf returns how a browser's session is called in the list of devices.
func handleOf(t *testing.T, a *app, b *browser) string {
	t.Helper()
	other := b.newTab()
	other.open(a.URL + "/devices")
	handle := other.attr("#devices li.current", "data-handle")
	if handle == "" {
		other.fatalf("no current device")
	}
	return handle
}

// Standards: ASVS-7.4.3
func TestChangeOfPasswordLogsOthersOut(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		ann := someone()
		b, other := light.newBrowser(t), light.newBrowser(t)
		a.signUp(b.tab, ann)
		a.logIn(other.tab, ann)
		before := b.cookie(a.URL).Value

		b.open(a.URL + "/profile")
		b.changePassword("a guess at it", "another good password")
		if b.status() != http.StatusUnprocessableEntity {
			b.fatalf("a wrong password: %d", b.status())
		}
		b.changePassword(ann.password, "another good password")
		b.mustBe(ann)
		if b.cookie(a.URL).Value == before {
			t.Error("the session has its old id")
		}
		other.untilShown("#ended") // the page is told at once
		other.open(a.URL + "/devices")
		other.mustBeOut()
		ann.password = "another good password"
		a.logIn(other.tab, ann)
	})
}

func (b *tab) changePassword(current, next string) {
	b.t.Helper()
	b.fill("[name=current]", current)
	b.fill("[name=new]", next)
	b.click("form[action='/password'] button")
}

// Standards: ASVS-7.5.1
func TestChangeOfPasswordNeedsARecentLogin(t *testing.T) {
	t.Parallel()
	for _, framework := range []string{"gin", "echo"} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			a := start(t, "-framework", framework, "-fresh", "1s")
			b, ann := light.newBrowser(t), someone()
			a.signUp(b.tab, ann)
			b.open(a.URL + "/profile")
			b.until("a login that is not recent", on("main time", "Date.now() - Date.parse(e.dateTime) > 2000", "false"))
			b.changePassword(ann.password, "another good password")
			if b.path() != "/login?return_to=%2Fprofile" || !b.shows("#again") {
				b.fatalf("no login is asked for")
			}
			if b.has("#login-form [name=email][type=email]") && eval[string](b.tab, on("#login-form [name=email]", "e.value", "''")) != ann.email {
				t.Error("the form does not know who it was")
			}
			b.logIn(ann)
			if !strings.HasPrefix(b.path(), "/profile") {
				t.Errorf("after the login: %s, want the profile", b.path())
			}
			b.click("#logout")
			a.logIn(b.tab, ann) // with the old password
		})
	}
}

// Standards: ASVS-14.3.2
func TestBackButtonAfterLogout(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		b, ann := whole.newBrowser(t), someone()
		a.signUp(b.tab, ann)
		b.open(a.URL + "/profile")
		b.open(a.URL + "/devices")
		b.click("#logout")
		for range 3 { // devices, profile, the shop after the sign-up
			b.back()
			if shown := eval[string](b.tab, "document.documentElement?.outerHTML ?? ''"); b.has("#user") || b.has("#devices") ||
				strings.Contains(shown, ann.name) || strings.Contains(shown, ann.email) {
				b.fatalf("the back button shows what the user saw")
			}
		}
	})
}

// Standards: ASVS-3.3.2, ASVS-3.3.4, ASVS-7.6.2
func TestCookieAsTheBrowserSeesIt(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		b, ann := light.newBrowser(t), someone()
		b.open(a.URL)
		if all := b.cookies(a.URL); len(all) != 0 {
			t.Errorf("%d cookies for who only looks around", len(all))
		}
		a.signUp(b.tab, ann)
		c := b.cookie(a.URL)
		if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "127.0.0.1" || c.Secure {
			t.Errorf("the cookie over plain HTTP is %+v", attributes(c))
		}
		if !c.Session {
			t.Error("a login that is not to be remembered outlives the browser")
		}
		if got := eval[string](b.tab, "document.cookie"); got != "" {
			t.Error("a script can read the cookie")
		}

		// Remembered for 30 days.
		b.click("#logout")
		if all := b.cookies(a.URL); len(all) == 1 && !all[0].Session {
			t.Error("the cookie after the logout lasts")
		}
		b.open(a.URL + "/login")
		do(b.tab, "remember me", chromedp.Click(chromedp.CSS("[name=remember]")))
		b.logIn(ann)
		b.mustBe(ann)
		c = b.cookie(a.URL)
		until := time.Until(time.Unix(int64(c.Expires), 0))
		if c.Session || until < 30*24*time.Hour-10*time.Minute || until > 30*24*time.Hour+10*time.Minute {
			t.Errorf("remembered for %v, want 30 days", until)
		}
		if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax {
			t.Errorf("the cookie that lasts is %+v", attributes(c))
		}
	})
}

// attributes is a cookie without its value.
func attributes(c *network.Cookie) network.Cookie {
	shown := *c
	shown.Value = ""
	return shown
}

// Standards: NIST-5.1-restart, NIST-5.1-remember
func TestRememberedAfterARestartOfTheBrowser(t *testing.T) {
	t.Parallel()
	whole.need(t)
	a, ann := start(t), someone()
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
	again(func(b *tab) { a.signUp(b, ann) })
	again(func(b *tab) {
		a.mustBeOut(b)
		b.open(a.URL + "/login")
		eval[bool](b, "document.querySelector('[name=remember]').checked = true")
		b.logIn(ann)
		b.mustBe(ann)
	})
	again(func(b *tab) {
		b.open(a.URL)
		b.mustBe(ann)
	})
}

// Two names of the loopback address are two sites to a browser. Its cookies know
// no ports, so that a server beside the app sees what the app would be sent.
//
// Standards: ASVS-3.5.1, NIST-5.1-csrf
func TestOtherSites(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		var mu sync.Mutex
		sent := make(map[string]bool) // by path: whether there was a cookie
		beside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			sent[r.URL.Path] = r.Header.Get("Cookie") != ""
		}))
		t.Cleanup(beside.Close)
		evil := otherSite(t, fmt.Sprintf(`
			<form id="add" method="post" action="%[1]s/cart"><input name="item" value="coat"><button>Win!</button></form>
			<form id="out" method="post" action="%[1]s/logout"><button>Win!</button></form>
			<form id="post" method="post" action="%[2]s/post"><button>Win!</button></form>
			<a id="link" href="%[1]s/devices">A link</a>
			<a id="beside" href="%[2]s/link">A link</a>
			<img src="%[2]s/img" alt=""><iframe src="%[2]s/frame"></iframe>
			<script>fetch("%[2]s/fetch", {mode: "no-cors", credentials: "include"})</script>`, a.URL, beside.URL))

		b, ann := whole.newBrowser(t), someone()
		a.signUp(b.tab, ann)
		for _, form := range []string{"#add", "#out"} {
			b.open(evil)
			b.click(form + " button")
			if b.status() != http.StatusForbidden || b.attr("#error", "data-status") != "403" || b.has("#user") {
				b.fatalf("a form of another site: %d", b.status())
			}
		}
		b.open(evil)
		b.click("#link") // a link is followed as who one is
		b.mustBe(ann)
		b.wantInCart(0)

		b.open(evil)
		b.until("what the page loads", "performance.getEntriesByType('resource').length >= 3")
		b.click("#beside")
		b.open(evil)
		b.click("#post button")
		mu.Lock()
		defer mu.Unlock()
		for path, want := range map[string]bool{"/link": true, "/post": false, "/img": false, "/frame": false, "/fetch": false} {
			if got, asked := sent[path]; got != want || !asked {
				t.Errorf("%s from another site: asked for %v, with the cookie %v; want %v", path, asked, got, want)
			}
		}
	})
}

// otherSite serves a page under a name that is another site than the app's, and
// returns its address.
func otherSite(t *testing.T, html string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<!doctype html><title>Another site</title>%s", html)
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

// Standards: ASVS-3.3.1, ASVS-3.3.3, NIST-5.1.1-secure
func TestHostCookieOverTLS(t *testing.T) {
	t.Parallel()
	for _, framework := range []string{"gin", "echo"} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			a := startTLS(t, "-framework", framework)
			b, ann := light.newBrowser(t), someone()
			a.signUp(b.tab, ann)
			c := b.cookie(a.URL)
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "shop.test" {
				t.Errorf("the cookie over TLS is %+v", attributes(c))
			}

			// No page can put another in its place: not a script of the site, and not
			// one of another host of its domain.
			eval[string](b.tab, "document.cookie = "+quote(c.Name+"=mine; Secure; Path=/"))
			eval[string](b.tab, "document.cookie = "+quote(c.Name+"=mine; Secure; Path=/devices"))
			b.open(strings.Replace(a.URL, "shop.test", "other.shop.test", 1))
			eval[string](b.tab, "document.cookie = "+quote(c.Name+"=mine; Secure; Path=/; Domain=shop.test"))
			b.open(a.URL + "/devices")
			b.mustBe(ann)
			if b.cookie(a.URL+"/devices").Value != c.Value {
				t.Error("a page has changed the cookie")
			}
		})
	}
}

// Standards: ASVS-7.3.1, NIST-5.2-timeouts
func TestIdleTimeoutUnderAnOpenPage(t *testing.T) {
	const idle = 12 * time.Second
	everywhere(t, func(t *testing.T, a *app) {
		b, ann := light.newBrowser(t), someone()
		a.signUp(b.tab, ann)
		asked := time.Now()
		b.click("a[href='/devices']")
		b.untilShown("#countdown")
		// The page says how long is left, to the second.
		shown := eval[string](b.tab, on("#countdown strong", "e.textContent", "''"))
		var left int
		if _, err := fmt.Sscanf(shown, "0:%d", &left); err != nil || left > int(idle.Seconds()) {
			t.Errorf("the countdown says %q of %v", shown, idle)
		}
		if least := idle - time.Since(asked) - 2*time.Second; time.Duration(left)*time.Second < least {
			t.Errorf("the countdown says %q, and %v are left", shown, least)
		}

		// Another tab, which the browser puts to sleep, and the cookie.
		used := time.Now()
		asleep := b.newTab()
		asleep.open(a.URL + "/profile")
		asleep.untilShown("#countdown")
		call(asleep, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: page.SetWebLifecycleStateStateFrozen})
		cookie := a.cookieOf(b)

		// It tells the truth: the session lives until then, and no longer.
		b.untilShown("#ended")
		if lasted := time.Since(used); lasted < idle-3*time.Second {
			t.Errorf("the session ended after %v without activity, want %v", lasted, idle)
		}
		a.mustKnow(t, cookie, false)
		if b.shows("#countdown") {
			t.Error("the countdown goes on")
		}
		call(asleep, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: page.SetWebLifecycleStateStateActive})
		asleep.untilShown("#ended")

		// A tab that the browser restores asks for the page again.
		restored := b.newTab()
		restored.open(a.URL + "/devices")
		restored.mustBeOut()
		restored.logIn(ann)
		restored.mustBe(ann)
		if restored.path() != "/devices" {
			t.Errorf("after the login: %s, want the page of the tab", restored.path())
		}
		b.click("#ended a[href^='/login']")
		b.mustBe(ann) // as the other tab logged in
	}, "-idle", idle.String())
}

// A page that only counts down is no activity, and one that is used is.
func TestCountdownOfALongSession(t *testing.T) {
	t.Parallel()
	a := start(t)
	b, ann := light.newBrowser(t), someone()
	b.open(a.URL)
	if b.has("#countdown") {
		t.Error("a countdown for a visitor")
	}
	a.signUp(b.tab, ann)
	b.untilShown("#countdown")
	if text := b.text("#countdown"); !strings.Contains(text, "23:5") && !strings.Contains(text, "24:00") {
		t.Errorf("of 24 hours %q are left", text)
	}
}

// Standards: ASVS-16.5.2
func TestStoreStopsAndStartsUnderAnOpenPage(t *testing.T) {
	t.Parallel()
	for _, framework := range []string{"gin", "echo"} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			light.need(t)
			store := servers.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			a := start(t, "-framework", framework, "-store", "valkey://"+store.Addr)
			b, ann := light.newBrowser(t), someone()
			a.signUp(b.tab, ann)
			b.add(1)
			b.wantInCart(1)
			waiting := b.newTab()
			waiting.open(a.URL + "/devices")
			waiting.untilShown("#countdown")

			store.Stop()
			for _, click := range []string{"form[action='/cart'] button", "#error a"} {
				b.click(click)
				if b.status() != http.StatusServiceUnavailable || b.attr("#error", "data-status") != "503" {
					b.fatalf("without the store: %d", b.status())
				}
				if b.cookie(a.URL).Session == false {
					t.Error("the cookie changed")
				}
			}
			b.open(a.URL + "/devices")
			if b.status() != http.StatusServiceUnavailable {
				b.fatalf("without the store: %d", b.status())
			}
			// A page that asks how long is left is not told that it is over.
			eval[int](waiting, "fetch('/session/left').then(r => window.answer = r.status), 0")
			waiting.until("an answer", "window.answer === 503")
			if waiting.shows("#ended") {
				t.Error("the page says that the session has ended, and the store is down")
			}

			store.Start()
			b.await("the app without an error", func(context.Context) bool {
				b.click("#error a") // try again
				return b.status() == http.StatusOK
			})
			b.mustBe(ann)
			if b.count("#devices li") != 1 {
				t.Error("the list of devices is another")
			}
			b.wantInCart(1)
			waiting.reload()
			waiting.mustBe(ann)
		})
	}
}

func TestErrorPages(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		b, ann := light.newBrowser(t), someone()
		want := func(path string, status int) {
			t.Helper()
			b.open(a.URL + path)
			if b.status() != status || b.attr("#error", "data-status") != fmt.Sprint(status) || !b.shows("#error a") {
				b.fatalf("%s: %d, want a page for %d", path, b.status(), status)
			}
		}
		want("/nothing/here", http.StatusNotFound)
		for _, path := range []string{"/devices", "/profile", "/admin", "/session/left"} {
			if b.open(a.URL + path); b.path() != "/login?return_to="+url.QueryEscape(path) || !b.shows("#login-form") {
				b.fatalf("%s leads to %s", path, b.path())
			}
		}
		a.signUp(b.tab, ann)
		want("/admin", http.StatusForbidden)
		want("/nothing/here", http.StatusNotFound)
		b.mustBe(ann)
		want("/logout", http.StatusMethodNotAllowed)
	})
}

// Standards: ASVS-7.4.5
func TestOperatorsPage(t *testing.T) {
	everywhere(t, func(t *testing.T, a *app) {
		boss := someone()
		boss.email = admin
		b, other, ann := light.newBrowser(t), light.newBrowser(t), someone()
		a.signUp(b.tab, boss)
		a.signUp(other.tab, ann)
		a.logIn(light.newBrowser(t).tab, ann)
		b.open(a.URL + "/admin")
		for what, want := range map[string]string{"sessions": "3", "signins": "3", "conflicts": "0"} { //nolint:misspell // an id of the page
			if got := b.text("#stat-" + what); !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %s", what, got, want)
			}
		}
		if b.count(".chart") == 0 || !b.shows(".chart") {
			t.Error("there is no chart")
		}

		// Ends one session, and then all that a user has.
		b.open(a.URL + "/admin?q=" + url.QueryEscape(ann.email))
		if b.count("#accounts > li") != 1 {
			b.fatalf("%d accounts have that email", b.count("#accounts > li"))
		}
		do(b.tab, "the sessions", chromedp.Click(chromedp.CSS("#accounts summary")))
		b.click("#accounts .sessions li:last-child form[action='/admin/end-session'] button")
		if !b.shows("#flash") {
			b.fatalf("no word of it")
		}
		b.click("form[action='/admin/end-user'] button[value='" + ann.email + "']")
		b.mustBe(boss)
		other.open(a.URL + "/devices")
		other.mustBeOut()
		if got := b.text("#stat-sessions"); !strings.Contains(got, "1") {
			t.Errorf("%q sessions are left, want 1", got)
		}
	})
}

func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	a := start(t)
	b, ann := light.newBrowser(t), someone()
	press := func(key string) { do(b.tab, "a key", chromedp.KeyEvent(key)) }
	typed := func(text string) { call(b.tab, input.InsertText, input.InsertTextParams{Text: text}) }
	to := func(selector string) { // by the Tab key, which has to show where it is
		t.Helper()
		for range 40 {
			press(kb.Tab)
			if eval[bool](b.tab, "document.activeElement?.matches("+quote(selector)+") === true") {
				if !eval[bool](b.tab, "(s => s.outlineStyle !== 'none' || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))") {
					t.Errorf("%s does not show that it has the focus", selector)
				}
				return
			}
		}
		b.fatalf("%s cannot be reached", selector)
	}
	enter := func() {
		t.Helper()
		b.leave("Enter", chromedp.KeyEvent(kb.Enter))
	}

	b.open(a.URL)
	to("a[href='#main']") // past the menu
	press(kb.Enter)
	b.until("the content", "location.hash === '#main'")
	to("form[action='/cart'] button")
	enter()
	b.wantInCart(1)
	to("a[href='/signup']")
	enter()
	for _, field := range []struct{ name, text string }{{"name", ann.name}, {"email", ann.email}} {
		eval[bool](b.tab, "(document.activeElement.blur(), true)")
		to("#signup-form [name=" + field.name + "]")
		typed(field.text)
	}
	enter()
	b.open(a.URL + "/signup/confirm?token=" + a.confirmation(t, ann.email))
	to("#confirm-form [name=password]")
	typed(ann.password)
	enter()
	b.mustBe(ann)
	to("#user")
	to("#logout")
	enter()
	if b.has("#user") {
		b.fatalf("still logged in")
	}
}

// On a phone and on a wide screen, all there is fits, and is named.
func TestPagesFit(t *testing.T) {
	t.Parallel()
	a := start(t)
	boss := someone()
	boss.email = admin
	b := light.newBrowser(t)
	look := func(path string, width int) {
		t.Helper()
		b.open(a.URL + path)
		if wide := eval[int](b.tab, "document.documentElement.scrollWidth"); wide > width {
			t.Errorf("%s is %d wide on a screen of %d", path, wide, width)
		}
		if n := eval[int](b.tab, "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(e => !e.labels.length && !e.ariaLabel).length"); n != 0 {
			t.Errorf("%s: %d fields have no label", path, n)
		}
		if n := eval[int](b.tab, "[...document.querySelectorAll('a[href], button')].filter(e => !e.innerText.trim() && !e.ariaLabel && !e.title).length"); n != 0 {
			t.Errorf("%s: %d links and buttons have no name", path, n)
		}
		if b.count("h1") != 1 || b.attr("html", "lang") == "" || eval[string](b.tab, "document.title") == "" {
			t.Errorf("%s has %d headings, the language %q and the title %q", path, b.count("h1"), b.attr("html", "lang"), eval[string](b.tab, "document.title"))
		}
		for _, list := range []string{"script", "style"} { // of others: the policy of the page would refuse them
			if n := b.count(list + ":not([src]):not(:empty)"); n != 0 {
				t.Errorf("%s has %d inline elements %s", path, n, list)
			}
		}
	}
	for _, size := range []int{375, 1280} {
		do(b.tab, "the size", chromedp.EmulateViewport(int64(size), 800))
		for _, path := range []string{"/", "/cart", "/signup", "/login", "/nothing/here"} {
			look(path, size)
		}
	}
	a.signUp(b.tab, boss)
	for _, size := range []int{375, 1280} {
		do(b.tab, "the size", chromedp.EmulateViewport(int64(size), 800))
		for _, path := range []string{"/", "/profile", "/devices", "/admin"} {
			look(path, size)
		}
	}
}

func TestOnMongoDB(t *testing.T) {
	t.Parallel()
	light.need(t)
	uri, err := url.Parse(mongoenv.URI(t))
	if err != nil {
		t.Fatal(err)
	}
	uri.Path = "/accounts_" + strings.ToLower(rand.Text())
	client := mongoenv.Client(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), servers.Patience)
		defer cancel()
		if err := client.Database(uri.Path[1:]).Drop(ctx); err != nil {
			t.Errorf("Drop: %v", err)
		}
	})
	a := start(t, "-store", uri.String())
	ann := someone()
	laptop, phone := light.newBrowser(t), light.newBrowser(t)
	a.signUp(laptop.tab, ann)
	laptop.add(1)
	laptop.wantInCart(1)
	a.logIn(phone.tab, ann)
	phone.open(a.URL + "/devices")
	if phone.count("#devices li") != 2 {
		phone.fatalf("%d devices, want 2", phone.count("#devices li"))
	}
	phone.click("#end-others")
	laptop.reload()
	if laptop.has("#user") {
		laptop.fatalf("still logged in")
	}
	phone.click("#logout")
	a.mustBeOut(phone.tab)
}

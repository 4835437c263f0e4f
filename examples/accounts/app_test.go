package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A site is the app on one of the frameworks, with its sessions in memory.
type site struct {
	url   string
	app   *app
	store *memorystore.Store
	later atomic.Int64 // how far the app's clock is ahead

	mu    sync.Mutex
	mails []string // that were sent
}

// Write implements io.Writer for the mails, each of which is one call.
func (s *site) Write(mail []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(mail))
	return len(mail), nil
}

// lastMail returns the last mail to an address.
func (s *site) lastMail(t *testing.T, to string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mail := range slices.Backward(s.mails) {
		if strings.HasPrefix(mail, "To: "+to+"\n") {
			return mail
		}
	}
	t.Fatalf("there is no mail to %s", to)
	return ""
}

var linkTo = regexp.MustCompile(`http://[^ ]+?(/signup/confirm\?token=([^ \n]+))`)

// onEach runs a test on each framework.
func onEach(t *testing.T, test func(t *testing.T, s *site)) {
	for name, mount := range frameworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &site{store: memorystore.New(memorystore.Options{})}
			var err error
			s.app, err = newApp(s.store, settings{
				idle: time.Hour, fresh: 10 * time.Minute, bar: time.Minute, secret: strings.Repeat("s", 32), mail: s,
				now: func() time.Time { return time.Now().Add(time.Duration(s.later.Load())) },
			})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(s.app.protect(mount(s.app)))
			t.Cleanup(func() {
				server.Close()
				_ = s.store.Close()
			})
			s.url, s.app.url = server.URL, server.URL
			test(t, s)
		})
	}
}

// A browser has cookies, and follows redirects.
type browser struct {
	t      *testing.T
	site   *site
	client *http.Client
	agent  string
}

func (s *site) browser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, site: s, client: &http.Client{Jar: jar, Timeout: time.Minute}}
}

// A reply is the page that a browser ends up at.
type reply struct {
	t      *testing.T
	path   string
	status int
	header http.Header
	body   string
}

func (b *browser) get(path string) reply { return b.do("GET", path, nil) }

// post sends a form of names and values.
func (b *browser) post(path string, pairs ...string) reply {
	form := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", path, form)
}

// postFrom is post by a real browser, from the form of a page.
func (b *browser) postFrom(page, path string, pairs ...string) reply {
	form := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", path, form, "Accept", "text/html", "Referer", b.site.url+page)
}

func (b *browser) do(method, path string, form url.Values, header ...string) reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.site.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", b.agent)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{b.t, res.Request.URL.RequestURI(), res.StatusCode, res.Header, html.UnescapeString(string(body))}
}

// at checks where the browser ended up.
func (r reply) at(status int, path string) reply {
	r.t.Helper()
	if r.status != status || r.path != path {
		r.t.Fatalf("got %d at %s, want %d at %s:\n%s", r.status, r.path, status, path, r.body)
	}
	return r
}

// says checks what the page shows.
func (r reply) says(texts ...string) reply {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			r.t.Errorf("%s does not say %q:\n%s", r.path, text, r.body)
		}
	}
	return r
}

func (r reply) saysNot(texts ...string) reply {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.body, text) {
			r.t.Errorf("%s says %q:\n%s", r.path, text, r.body)
		}
	}
	return r
}

// isProblem checks that it is the error page with that status.
func (r reply) isProblem(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Errorf("%s: got %d, want %d", r.path, r.status, status)
	}
	return r.says(fmt.Sprintf(`data-status="%d"`, status))
}

// session returns the value of the browser's cookie.
func (b *browser) session() string {
	u, err := url.Parse(b.site.url)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "sid" {
			return c.Value
		}
	}
	return ""
}

const secret = "correct horse"

func (b *browser) signUp(name string) *browser {
	b.t.Helper()
	b.asksFor(name, name+"@example.com", "")
	b.confirms(name+"@example.com").at(200, "/").says("Welcome, " + name)
	return b
}

// asksFor asks for an account.
func (b *browser) asksFor(name, email, returnTo string) {
	b.t.Helper()
	b.post("/signup", "name", name, "email", email, "return_to", returnTo).at(200, "/signup").says("Look into your mail")
}

// confirms follows the link in the last mail to an address, and chooses the password.
func (b *browser) confirms(email string) reply {
	b.t.Helper()
	link := linkTo.FindStringSubmatch(b.site.lastMail(b.t, email))
	if link == nil {
		b.t.Fatalf("the mail to %s has no link", email)
	}
	b.get(link[1]).at(200, link[1]).says("Choose a password", email)
	return b.post("/signup/confirm", "token", link[2], "password", secret)
}

func (b *browser) logIn(name, password string) *browser {
	b.t.Helper()
	b.post("/login", "email", name+"@example.com", "password", password).at(200, "/").says("Hello, " + name)
	return b
}

var (
	deviceItem = regexp.MustCompile(`<li data-handle="([^"]+)"( class="current")?>`)
	figure     = regexp.MustCompile(`id="stat-[a-z]+">(\d+)<`)
)

// devices returns the handles on the page of devices, and which is the current.
func (b *browser) devices() (others []string, current string) {
	b.t.Helper()
	for _, li := range deviceItem.FindAllStringSubmatch(b.get("/devices").at(200, "/devices").body, -1) {
		if li[2] != "" {
			current = li[1]
		} else {
			others = append(others, li[1])
		}
	}
	return others, current
}

func TestSigningUpLoggingInAndOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.get("/").at(200, "/").says("Wool coat", `href="/login"`).saysNot(`id="user"`, `id="countdown"`, `id="cart-count"`)
		if b.session() != "" {
			t.Error("a visitor who only looks has a session")
		}
		b.asksFor("Ann <b>", " ANN@example.com", "/profile")
		b.confirms("ann@example.com").at(200, "/profile").
			says("Welcome, Ann <b>! Your account is ready.", `id="user"`, `id="countdown"`, "ann@example.com", "just now</time>, by password")
		if page := b.get("/profile"); strings.Contains(page.body, `id="flash"`) {
			t.Error("the message is shown twice")
		}
		before := b.session()
		b.post("/login", "email", "ann@example.com", "password", secret).at(200, "/")
		after := b.session()
		if after == before {
			t.Error("logging in again keeps the id of the session")
		}
		b.post("/logout").at(200, "/").says("You are logged out.").saysNot(`id="user"`)
		if b.session() == after {
			t.Error("the logout leaves the session in the browser")
		}
		b.get("/profile").isProblem(401).says(`href="/login?return_to=%2fprofile"`, "Log in first")
		b.post("/login", "email", "ann@example.com", "password", secret, "return_to", "/devices").at(200, "/devices")
		b.post("/login", "email", "ann@example.com", "password", secret, "return_to", "//example.org/").at(200, "/")
	})
}

// What a template escapes is not what a browser shows: this looks at the source.
func TestNamesAreNoHTML(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.asksFor("<script>x</script>", "ann@example.com", "")
		b.confirms("ann@example.com").at(200, "/")
		res, err := b.client.Get(s.url + "/profile")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || !strings.Contains(string(body), "&lt;script&gt;x&lt;/script&gt;") || strings.Contains(string(body), "<script>x") {
			t.Errorf("the name is not escaped (%v):\n%s", err, body)
		}
	})
}

func TestWhatIsRefusedAtSignUpAndLogIn(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.browser(t).signUp("ann")
		b := s.browser(t)
		for _, c := range []struct{ name, email, why string }{
			{"Bob", "bob", "no email address"},
			{"Bob", "Bob <bob@example.com>", "no email address"},
			{" ", "bob@example.com", "Tell us a name"},
			{strings.Repeat("x", 101), "bob@example.com", "Tell us a name"},
		} {
			b.post("/signup", "name", c.name, "email", c.email).at(422, "/signup").says(c.why, `role="alert"`)
		}
		for _, email := range []string{"ann@example.com", "nobody@example.com"} {
			b.post("/login", "email", email, "password", "wrong").at(401, "/login").
				says("do not go together", `value="`+email+`"`).saysNot(`value="wrong"`)
		}
		if b.session() != "" {
			t.Error("a failed log-in leaves a session")
		}
	})
}

func TestRememberMe(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.browser(t).signUp("ann")
		for remember, want := range map[string]int{"": 0, "yes": 30 * 24 * 60 * 60} {
			b := s.browser(t)
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			r := b.post("/login", "email", "ann@example.com", "password", secret, "remember", remember)
			cookie, err := http.ParseSetCookie(r.header.Get("Set-Cookie"))
			if err != nil {
				t.Fatal(err)
			}
			if cookie.MaxAge != want || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
				t.Errorf("remember=%q sets %s; want Max-Age=%d, HttpOnly and SameSite=Lax", remember, cookie, want)
			}
			// Who shows once more that it is them stays remembered, or not.
			r = b.post("/login", "email", "ann@example.com", "password", secret)
			if cookie, err := http.ParseSetCookie(r.header.Get("Set-Cookie")); err != nil || cookie.MaxAge != want {
				t.Errorf("remember=%q: the next log-in sets %s (%v), want Max-Age=%d", remember, cookie, err, want)
			}
		}
	})
}

func TestTheCartComesAlongAndGoesWithItsUser(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.browser(t).signUp("ann")
		b := s.browser(t)
		b.post("/cart", "item", "coat").at(200, "/").says("Added Wool coat", `<span id="cart-count" class="count">1<`, "1 in your cart")
		b.post("/cart", "item", "coat")
		b.post("/cart", "item", "hat")
		b.get("/cart").at(200, "/cart").says("Wool coat", "2 × € 249.00", "Felt hat", "€ 557.00")
		b.post("/cart", "item", "nonsense").isProblem(404)
		b.logIn("ann", secret)
		b.post("/cart/remove", "item", "hat").at(200, "/cart").says("€ 498.00").saysNot("Felt hat")
		b.post("/logout")
		b.get("/cart").says("Nothing hangs here yet")
	})
}

func TestNothingIsLostOfWhatTabsAddAtTheSameTime(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.post("/cart", "item", "coat")
		var tabs sync.WaitGroup
		for range 10 {
			tabs.Go(func() { b.post("/cart", "item", "coat") })
		}
		tabs.Wait()
		b.get("/cart").says(`<span id="cart-count" class="count">11<`)
	})
}

func TestDevices(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		laptop, phone, tablet := s.browser(t), s.browser(t), s.browser(t)
		laptop.agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
		phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1"
		laptop.signUp("ann")
		phone.logIn("ann", secret)
		tablet.logIn("ann", secret)
		laptop.get("/devices").says("Firefox on Linux", "Safari on iPhone", "Unknown device", "127.0.0.0/24", "This device")
		others, _ := laptop.devices()
		_, phones := phone.devices()
		if len(others) != 2 || phones == "" {
			t.Fatalf("the laptop lists %d others, the phone is %q", len(others), phones)
		}

		bob := s.browser(t).signUp("bob")
		bob.post("/devices/end", "handle", phones).at(200, "/devices").says("was logged out already")
		phone.get("/devices").at(200, "/devices") // nobody else can end it

		laptop.post("/devices/end", "handle", phones).at(200, "/devices").says("That device is logged out")
		phone.get("/devices").isProblem(401)
		tablet.get("/devices").at(200, "/devices")

		phone.logIn("ann", secret)
		laptop.post("/devices/end-others").at(200, "/devices").says("logged out everywhere else")
		phone.get("/profile").isProblem(401)
		tablet.post("/password").isProblem(401)
		others, current := laptop.devices()
		if len(others) != 0 || current == "" {
			t.Errorf("afterwards the laptop lists %d others, itself as %q", len(others), current)
		}
		laptop.post("/devices/end", "handle", current).at(200, "/").says("You are logged out")
		laptop.get("/devices").isProblem(401)
	})
}

func TestChangingThePasswordNeedsAFreshLogIn(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		const next = "battery staple"
		b, other := s.browser(t).signUp("ann"), s.browser(t).logIn("ann", secret)
		b.post("/password", "current", "wrong", "new", next).at(422, "/password").says("not your current password")
		b.post("/password", "current", secret, "new", "short").at(422, "/password").says("at least 8")

		s.later.Add(int64(11 * time.Minute))
		b.post("/password", "current", secret, "new", next).isProblem(401).says("Log in again")
		b.postFrom("/profile", "/password", "current", secret, "new", next).at(200, "/login?return_to=%2Fprofile").says("logged in for a while", `value="ann@example.com"`)
		s.browser(t).logIn("ann", secret) // it is not changed
		b.post("/login", "email", "ann@example.com", "password", secret, "return_to", "/password").at(200, "/profile")
		before := b.session()
		b.post("/password", "current", secret, "new", next).at(200, "/profile").says("Your password is changed")
		if b.session() == before {
			t.Error("the session keeps its id")
		}
		other.get("/profile").isProblem(401)
		other.post("/login", "email", "ann@example.com", "password", secret).at(401, "/login")
		other.logIn("ann", next)
	})
}

func TestTheOperatorsPage(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		ann, bob := s.browser(t).signUp("ann"), s.browser(t).signUp("bob")
		s.browser(t).get("/admin").isProblem(401)
		bob.get("/admin").isProblem(403).saysNot("ann@example.com")
		bob.post("/admin/end-user", "email", "ann@example.com").isProblem(403)
		bob.get("/").saysNot(`href="/admin"`)

		page := ann.get("/admin").at(200, "/admin").says("bob@example.com", "signed-in", "Logged in on 1 device")
		figures := figure.FindAllStringSubmatch(page.body, -1) // accounts, sessions, log-ins, log-outs, conflicts
		if len(figures) != 5 || figures[0][1] != "2" || figures[1][1] != "2" || figures[2][1] != "2" || figures[3][1] != "0" {
			t.Errorf("the page says %v", figures)
		}
		if n := strings.Count(page.body, `<figure class="chart">`); n != 4 {
			t.Errorf("the page has %d charts", n)
		}

		ann.post("/admin/end-user", "email", "nobody@example.com").at(200, "/admin").says("Nobody has that email")
		ann.post("/admin/end-user", "email", "bob@example.com").at(200, "/admin").says("bob is logged out everywhere", `<span class="event revoked">`)
		bob.get("/profile").isProblem(401)
		bob.logIn("bob", secret) // he is not locked out
		ann.post("/admin/end-user", "email", "ann@example.com").at(200, "/login")
		ann.get("/admin").isProblem(401)
	})
}

func TestTheAdminThatWasNamed(t *testing.T) {
	users := &memoryUsers{admin: "ann@example.com"}
	for _, name := range []string{"bob", "ann"} {
		u, err := users.Add(t.Context(), user{Email: name + "@example.com"})
		if err != nil || u.Admin != (name == "ann") {
			t.Errorf("%s: admin %t (%v)", name, u.Admin, err)
		}
	}
}

func TestThePageIsToldWhatIsLeftOfTheSession(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.get("/session/left").isProblem(401)
		b.signUp("ann")
		left := func() int {
			t.Helper()
			r := b.get("/session/left").at(200, "/session/left")
			var answer struct{ Idle, Absolute int }
			if err := json.Unmarshal([]byte(r.body), &answer); err != nil || r.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %q, %v (%v)", r.body, r.header, err)
			}
			return min(answer.Idle, answer.Absolute)
		}
		if n := left(); n < 3500 || n > 3600 {
			t.Errorf("%d seconds are left of an hour", n)
		}
	})
}

func TestPagesAreNotKept(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t).signUp("ann")
		for _, path := range []string{"/", "/cart", "/profile", "/devices", "/admin", "/login", "/nonsense"} {
			h := b.get(path).header
			if !strings.Contains(h.Get("Cache-Control"), "no-store") {
				t.Errorf("%s: Cache-Control is %q", path, h.Get("Cache-Control"))
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			} {
				if !strings.Contains(h.Get(name), want) {
					t.Errorf("%s: %s is %q", path, name, h.Get(name))
				}
			}
		}
	})
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t).signUp("ann")
		for _, path := range []string{"/cart", "/logout", "/password", "/devices/end-others", "/admin/end-user", "/login", "/signup"} {
			form := url.Values{"item": {"coat"}, "email": {"ann@example.com"}}
			b.do("POST", path, form, "Sec-Fetch-Site", "cross-site").isProblem(403).says("in your name")
			b.do("POST", path, form, "Origin", "https://example.org").isProblem(403)
		}
		b.get("/profile").at(200, "/profile").saysNot(`id="cart-count"`)
		b.do("POST", "/cart", url.Values{"item": {"coat"}}, "Sec-Fetch-Site", "same-origin", "Origin", s.url).at(200, "/").says("Added")
	})
}

func TestErrorPages(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t).signUp("ann")
		b.get("/nonsense").isProblem(404).says(`id="user"`)
		b.do("DELETE", "/cart", nil).isProblem(405)
		s.app.users = broken{s.app.users}
		b.get("/").isProblem(500).saysNot("out of order")
	})
}

// broken is a database with a bug.
type broken struct{ users }

func (broken) ByID(context.Context, string) (user, error) { panic("out of order") }

func TestAnOutageOfTheStoreIsNoLogOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b, visitor := s.browser(t).signUp("ann"), s.browser(t)
		before := b.session()
		_ = s.store.Close() // a store that is closed refuses everything
		r := b.get("/profile").isProblem(503).says("Nothing was lost", "Try again").saysNot(`id="user"`)
		if r.header.Get("Retry-After") == "" {
			t.Error("the page does not say when to try again")
		}
		b.get("/session/left").isProblem(503)
		visitor.post("/cart", "item", "coat").isProblem(503).saysNot("Added")
		visitor.get("/").at(200, "/") // without a cookie there is nothing to ask for
		if b.session() != before {
			t.Error("the outage took the cookie")
		}
	})
}

func TestAnAccountThatIsGoneIsLoggedOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t).signUp("ann")
		s.app.users = &memoryUsers{} // as after a restart, with the sessions in a database
		b.get("/profile").isProblem(401)
		b.signUp("bob")
		b.get("/profile").says("bob@example.com")
	})
}

func TestOverHTTPSTheCookieIsBoundToTheHost(t *testing.T) {
	for name, mount := range frameworks {
		a, err := newApp(memorystore.New(memorystore.Options{}), settings{idle: time.Hour, secret: strings.Repeat("s", 32), https: true})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewTLSServer(a.protect(mount(a)))
		defer server.Close()
		client := server.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		res, err := client.PostForm(server.URL+"/cart", url.Values{"item": {"coat"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		cookies := res.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "__Host-sid" || !cookies[0].Secure || cookies[0].Path != "/" || cookies[0].Domain != "" {
			t.Errorf("%s: got %v, want one Secure cookie __Host-sid with Path=/ and no Domain", name, cookies)
		}
	}
}

func TestPasswords(t *testing.T) {
	hashed := hashPassword(secret)
	if !strings.HasPrefix(hashed, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hashed, secret) {
		t.Errorf("got %s", hashed)
	}
	if hashPassword(secret) == hashed {
		t.Error("two hashes of one password are the same")
	}
	if !checkPassword(secret, hashed) {
		t.Error("the password is refused")
	}
	for _, wrong := range []string{"", "Correct horse", secret + " "} {
		if checkPassword(wrong, hashed) {
			t.Errorf("%q is accepted", wrong)
		}
	}
	for _, hash := range []string{"", argonFormat, argonFormat + "$", argonFormat + "AAAA", "$2a$10$x", hashed + "="} {
		if checkPassword("", hash) || checkPassword(secret, hash) {
			t.Errorf("a password is accepted for the hash %q", hash)
		}
	}
}

func TestDeviceNames(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0": "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15": "Safari on macOS",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36":              "Chrome on Android",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0 Safari/537.36":             "Chrome on Linux",
		"curl/8.14": "curl",
		"":          "Unknown device",
	} {
		if got := device(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}

func TestChartsKeepTheLastBars(t *testing.T) {
	s := newStats(time.Minute)
	s.current().signIns = 3
	s.current().load.add(took(2 * time.Millisecond))
	s.current().load.add(took(4 * time.Millisecond))
	s.bars[(s.current().number+1)%barCount] = bar{number: s.current().number + 1 - 2*barCount, signIns: 100} // two rounds ago
	r := s.report()
	if r.SignIns != 3 || r.Span != "60 minutes" {
		t.Errorf("got %d sign-ins in %s", r.SignIns, r.Span)
	}
	last := r.Charts[0].Columns[barCount-1]
	if len(r.Charts[0].Columns) != barCount || last.Height != 60 || last.Label != "3" {
		t.Errorf("the last bar is %+v", last)
	}
	if c := r.Charts[2]; c.Summary != "mean 3.00 ms, slowest 4.00 ms" || c.Columns[barCount-1].Height != 60 {
		t.Errorf("the chart of loads says %q and ends with %+v", c.Summary, c.Columns[barCount-1])
	}
}

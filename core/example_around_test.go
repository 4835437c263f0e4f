package core_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// open prints where a browser that opens a page ends, and what it sees there.
func (c *client) open(path string) {
	c.send(http.MethodGet, path, http.Header{"Accept": {"text/html"}}, "")
}

// post prints where a browser ends that posts a form.
func (c *client) post(path, form string) {
	c.send(http.MethodPost, path, http.Header{"Accept": {"text/html"}, "Content-Type": {"application/x-www-form-urlencoded"}}, form)
}

func (c *client) send(method, path string, h http.Header, body string) {
	r, err := http.NewRequest(method, c.server.URL+path, strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header = h
	resp, err := c.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s %s: %d at %s: %s\n", method, path, resp.StatusCode, resp.Request.URL.RequestURI(), strings.TrimSpace(string(text)))
}

// Pages for users: a browser is led to the sign-in page and back, a program gets a 401.
func ExampleRequireUser() {
	page := core.SignInPage{Path: "/login"}

	private := http.NewServeMux()
	private.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the orders of %s, page %s", core.FromContext(r.Context()).User(), r.FormValue("page"))
	})

	mux := http.NewServeMux()
	mux.Handle("/", core.RequireUser(page).Handler(private))
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<form method="post">...</form>`) // without an action: it posts to the address that it was led to
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), r.FormValue("user")); err != nil {
			http.Error(w, "Login failed.", core.HTTPStatus(err))
			return
		}
		http.Redirect(w, r, core.ReturnPath(r, "/orders"), http.StatusSeeOther)
	})

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	shop := browse(m.Handler(mux))
	defer shop.server.Close()
	shop.open("/orders?page=2")
	shop.send("GET", "/orders?page=2", http.Header{"Accept": {"application/json"}}, "")
	shop.post("/login?return_to="+url.QueryEscape("/orders?page=2"), "user=ada")
	shop.post("/login?return_to="+url.QueryEscape("//evil.example/"), "user=ada")

	// Output:
	// GET /orders?page=2: 200 at /login?return_to=%2Forders%3Fpage%3D2: <form method="post">...</form>
	// GET /orders?page=2: 401 at /orders?page=2: Unauthorized
	// POST /login?return_to=%2Forders%3Fpage%3D2: 200 at /orders?page=2: the orders of ada, page 2
	// POST /login?return_to=%2F%2Fevil.example%2F: 200 at /orders: the orders of ada, page
}

// A page that changes a password asks for a login of the last ten minutes.
func ExampleRequireRecentSignIn() {
	clock := newStageClock() // in an app: that of the system
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, Now: clock.Now})

	recent := core.RequireRecentSignIn(10*time.Minute, core.SignInPage{Path: "/login"})
	mux := http.NewServeMux()
	mux.Handle("GET /password", recent.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "your new password, please")
	})))
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "who are you?") })
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada", "password"); err != nil {
			http.Error(w, "Login failed.", core.HTTPStatus(err))
			return
		}
		http.Redirect(w, r, core.ReturnPath(r, "/"), http.StatusSeeOther)
	})

	app := browse(m.Handler(mux))
	defer app.server.Close()
	app.post("/login?return_to=%2Fpassword", "")
	clock.advance(15 * time.Minute)
	app.open("/password")

	// Output:
	// POST /login?return_to=%2Fpassword: 200 at /password: your new password, please
	// GET /password: 200 at /login?return_to=%2Fpassword: who are you?
}

// Logins at an identity provider, begun in two tabs: each callback finds what its own tab
// began, once.
func ExampleOneTime() {
	logins := core.OneTime[string]{Key: "logins"} // in an app: a variable of the package

	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		state := "state-of-" + r.FormValue("tab") // in an app: rand.Text()
		logins.Add(core.FromContext(r.Context()), state, core.ReturnPath(r, "/"))
		fmt.Fprintf(w, "off to the provider with %s\n", state)
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		returnTo, err := logins.Take(r.Context(), core.FromContext(r.Context()), r.FormValue("state"))
		switch {
		case errors.Is(err, core.ErrAbsent):
			fmt.Fprintln(w, "this login was not begun here, or is over")
		case err != nil:
			http.Error(w, "try again later", core.HTTPStatus(err))
		default:
			fmt.Fprintln(w, "welcome; on to", returnTo)
		}
	})

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	browser := browse(m.Handler(mux))
	defer browser.server.Close()
	browser.get("/login?tab=one&return_to=%2Fcart")
	browser.get("/login?tab=two&return_to=%2Forders")
	browser.get("/callback?state=state-of-one")
	browser.get("/callback?state=state-of-two")
	browser.get("/callback?state=state-of-two")

	// Output:
	// /login?tab=one&return_to=%2Fcart: off to the provider with state-of-one
	// /login?tab=two&return_to=%2Forders: off to the provider with state-of-two
	// /callback?state=state-of-one: welcome; on to /cart
	// /callback?state=state-of-two: welcome; on to /orders
	// /callback?state=state-of-two: this login was not begun here, or is over
}

// Messages that are more than a text, for the next page and for this one.
func ExampleFlashes() {
	type Notice struct {
		Text string `json:"text"`
		Undo string `json:"undo,omitempty"` // a path to post to
	}
	const notices core.Flashes[Notice] = "notice"

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	app := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		switch r.URL.Path {
		case "/delete":
			notices.Add(s, Notice{"Deleted.", "/restore/7"})
			http.Redirect(w, r, "/moved", http.StatusSeeOther)
		case "/moved": // something in front of the handler asked already, and it leads on
			notices.Pop(s)
			notices.Keep(s)
			http.Redirect(w, r, "/list", http.StatusSeeOther)
		case "/list":
			notices.Now(s, Notice{Text: "3 are left."})
			fmt.Fprintln(w, notices.Pop(s))
		}
	})))
	defer app.server.Close()
	app.get("/delete")
	app.get("/list")

	// Output:
	// /delete: [{Deleted. /restore/7} {3 are left. }]
	// /list: [{3 are left. }]
}

// A value that is worth nothing after a while, in a session that lives on.
func ExampleKey_SetFor() {
	const coupon core.Key[string] = "coupon"

	clock := newStageClock() // in an app: that of the system
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, IdleTimeout: 24 * time.Hour, Now: clock.Now})
	shop := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/offer" {
			coupon.SetFor(s, "SPRING", time.Hour)
		}
		code, err := coupon.Lookup(s)
		fmt.Fprintf(w, "%q %v\n", code, errors.Is(err, core.ErrAbsent))
	})))
	defer shop.server.Close()
	shop.get("/offer")
	clock.advance(59 * time.Minute)
	shop.get("/cart")
	clock.advance(time.Minute)
	shop.get("/cart")

	// Output:
	// /offer: "SPRING" false
	// /cart: "SPRING" false
	// /cart: "" true
}

// "You will be logged out in five minutes": the page asks, and that does not keep the
// visitor logged in.
func ExampleTellExpiry() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /session/expiry", core.TellExpiry)
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada"); err != nil {
			http.Error(w, "Login failed.", core.HTTPStatus(err))
			return
		}
		fmt.Fprintln(w, "welcome")
	})

	clock := newStageClock() // in an app: that of the system
	users := newUserStore()  // any store of Cloakroom's can tell
	users.sessions.Now = clock.Now
	m := must(core.Config{
		Store: users, Secrets: exampleSecrets, Now: clock.Now,
		IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 8 * time.Hour,
		Passive: func(r *http.Request) bool { return r.URL.Path == "/session/expiry" },
	})
	app := browse(m.Handler(mux))
	defer app.server.Close()
	app.get("/session/expiry")
	app.get("/login")
	clock.advance(25 * time.Minute)
	app.get("/session/expiry")
	app.get("/session/expiry")

	// Output:
	// /session/expiry: Unauthorized
	// /login: welcome
	// /session/expiry: {"idle":300,"absolute":27300}
	// /session/expiry: {"idle":300,"absolute":27300}
}

// A handler may ask, too.
func ExampleExpiry() {
	users := newUserStore() // any store of Cloakroom's can tell
	m := must(core.Config{Store: users, Secrets: exampleSecrets, IdleTimeout: time.Hour})
	app := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		expiry, err := s.ExpiresAt(r.Context())
		if errors.Is(err, core.ErrSessionGone) { // there is none yet
			s.Set("seen", true)
			fmt.Fprintln(w, "hello")
			return
		}
		fmt.Fprintln(w, time.Until(expiry.Idle).Round(time.Minute), expiry.Absolute.IsZero(), err)
	})))
	defer app.server.Close()
	app.get("/")
	app.get("/")

	// Output:
	// /: hello
	// /: 1h0m0s true <nil>
}

// Ids that are renewed every hour. A page that asks for several things at once loses none of
// them: those that were sent with the old id count for ten seconds.
func ExampleSession_Rotate() {
	const rotated core.Key[time.Time] = "rotated"

	clock := newStageClock() // in an app: that of the system
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, IdleTimeout: 24 * time.Hour, Now: clock.Now})

	rotate := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			switch last := rotated.Get(s); {
			case s.User() == "":
			case last.IsZero():
				rotated.Set(s, clock.Now())
			case clock.Now().Sub(last) >= time.Hour:
				if err := s.Rotate(); err != nil {
					http.Error(w, "Try again.", core.HTTPStatus(err))
					return
				}
				rotated.Set(s, clock.Now())
			}
			next(w, r)
		}
	}

	app := browse(m.Handler(rotate(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/login" {
			_ = s.SignIn(r.Context(), "ada")
		}
		fmt.Fprintf(w, "hello, %s\n", s.User())
	})))
	defer app.server.Close()
	site, _ := url.Parse(app.server.URL)
	app.get("/login")
	app.get("/")
	before := app.Jar.Cookies(site)

	clock.advance(time.Hour)
	app.get("/page")
	after := app.Jar.Cookies(site)
	fmt.Println("a new id:", before[0].Value != after[0].Value)

	app.Jar.SetCookies(site, before) // as a request had it that was under way
	app.get("/image")
	clock.advance(10 * time.Second)
	app.get("/late")

	// Output:
	// /login: hello, ada
	// /: hello, ada
	// /page: hello, ada
	// a new id: true
	// /image: hello, ada
	// /late: hello,
}

package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"os"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// An app uses a store of its own choice, such as memorystore.New(memorystore.Options{}).
var sessions = new(mapstore.Store)

var exampleSecrets = []string{"32 random bytes, from the environment"}

// client is a browser that visits the handler.
type client struct {
	http.Client
	server *httptest.Server
}

func browse(h http.Handler) *client {
	jar, _ := cookiejar.New(nil)
	return &client{http.Client{Jar: jar}, httptest.NewServer(h)}
}

// get prints what the page says.
func (c *client) get(path string) {
	resp, err := c.Get(c.server.URL + path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s: %s", path, body)
}

func must(cfg core.Config) *core.Manager {
	m, err := core.New(cfg)
	if err != nil {
		panic(err)
	}
	return m
}

func ExampleManager_Handler() {
	const views core.Key[int] = "views"

	m, err := core.New(core.Config{Store: sessions, Secrets: exampleSecrets})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		n := views.Update(s, func(n int) int { return n + 1 })
		fmt.Fprintf(w, "Number of views: %d\n", n)
	})
	// http.ListenAndServe(addr, m.Handler(mux))

	visitor := browse(m.Handler(mux))
	defer visitor.server.Close()
	visitor.get("/")
	visitor.get("/")

	// Output:
	// /: Number of views: 1
	// /: Number of views: 2
}

func ExampleKey() {
	type Cart struct {
		Items []string `json:"items"`
	}
	const cart core.Key[Cart] = "cart" // name and type, declared once

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	shop := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		switch r.URL.Path {
		case "/buy":
			cart.Set(s, Cart{Items: []string{"umbrella", "hat"}})
			fmt.Fprintln(w, "thank you")
		case "/cart":
			fmt.Fprintln(w, cart.Get(s).Items)
		case "/leave":
			cart.Delete(s)
			_, err := cart.Lookup(s)
			fmt.Fprintln(w, errors.Is(err, core.ErrAbsent))
		}
	})))
	defer shop.server.Close()
	shop.get("/buy")
	shop.get("/cart")
	shop.get("/leave")

	// Output:
	// /buy: thank you
	// /cart: [umbrella hat]
	// /leave: true
}

// No update is lost, however many requests make one at the same time, in however
// many processes. So the function depends on its argument alone: it may be
// called again with a newer value.
func ExampleKey_Update() {
	const credits core.Key[int] = "credits"

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	game := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := credits.Update(core.FromContext(r.Context()), func(n int) int { return n + 10 })
		fmt.Fprintln(w, n)
	})))
	defer game.server.Close()
	game.get("/")
	game.get("/")

	// Output:
	// /: 10
	// /: 20
}

// A one-time value, such as the state of an OAuth login, is taken and not read:
// of two requests that bring it, one gets it.
func ExampleKey_Take() {
	const state core.Key[string] = "oauth-state"

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	login := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/login" {
			state.Set(s, "xyzzy")
			fmt.Fprintln(w, "off to the provider")
			return
		}
		want, err := state.Take(r.Context(), s)
		if err != nil && !errors.Is(err, core.ErrAbsent) {
			http.Error(w, "try again later", core.HTTPStatus(err))
			return
		}
		fmt.Fprintln(w, "accepted:", err == nil && r.FormValue("state") == want)
	})))
	defer login.server.Close()
	login.get("/login")
	login.get("/callback?state=xyzzy")
	login.get("/callback?state=xyzzy")

	// Output:
	// /login: off to the provider
	// /callback?state=xyzzy: accepted: true
	// /callback?state=xyzzy: accepted: false
}

// A login gives the session a new id, so that one that somebody else may have
// planted is worth nothing. A logout ends the session.
func ExampleSession_Renew() {
	const user core.Key[string] = "user"

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		// Check the password here.
		before := s.ID()
		if err := s.Renew(); err != nil {
			http.Error(w, "cannot log in", core.HTTPStatus(err))
			return
		}
		user.Set(s, "ada")
		fmt.Fprintln(w, "new id:", s.ID() != before)
	})
	mux.HandleFunc("/me", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q\n", user.Get(core.FromContext(r.Context())))
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).Destroy(r.Context()); err != nil {
			http.Error(w, "still logged in", core.HTTPStatus(err))
			return
		}
		fmt.Fprintln(w, "bye")
	})
	visitor := browse(m.Handler(mux))
	defer visitor.server.Close()
	for _, path := range []string{"/me", "/login", "/me", "/logout", "/me"} {
		visitor.get(path)
	}

	// Output:
	// /me: ""
	// /login: new id: true
	// /me: "ada"
	// /logout: bye
	// /me: ""
}

// A login begins before it reads the password, and so fails where the password is
// changed, and the user logged out everywhere, while it is checked.
func ExampleSignInAttempt() {
	m := must(core.Config{Store: newUserStore(), Secrets: exampleSecrets})
	password := "old"

	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		attempt, err := s.BeginSignIn(r.Context(), "ada")
		if err != nil {
			http.Error(w, "try again", core.HTTPStatus(err))
			return
		}
		right := password == r.FormValue("password") // read after BeginSignIn

		// While the hash is computed, Ada changes her password in another process.
		if r.FormValue("meanwhile") != "" {
			password = "new"
			_ = m.RevokeUser(r.Context(), "ada")
		}

		if !right {
			fmt.Fprintln(w, "wrong password")
			return
		}
		if err := attempt.SignIn(r.Context(), "password"); err != nil {
			http.Error(w, "try again", core.HTTPStatus(err))
			return
		}
		if err := s.Save(r.Context()); errors.Is(err, core.ErrRevoked) { // else the error page says so
			fmt.Fprintln(w, "log in again")
			return
		}
		fmt.Fprintln(w, "hello,", s.User())
	})
	visitor := browse(m.Handler(mux))
	defer visitor.server.Close()
	for _, path := range []string{"/login?password=old&meanwhile=1", "/login?password=old", "/login?password=new"} {
		visitor.get(path)
	}

	// Output:
	// /login?password=old&meanwhile=1: log in again
	// /login?password=old: wrong password
	// /login?password=new: hello, ada
}

// "Remember me" is a session with a life of its own.
func ExampleSession_SetMaxAge() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets}) // a day of idle time, and a cookie that ends with the browser
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		s.Set("user", "ada")
		if r.FormValue("remember") == "on" {
			if err := s.SetMaxAge(30 * 24 * time.Hour); err != nil {
				http.Error(w, "cannot log in", core.HTTPStatus(err))
			}
		}
	}))
	for _, url := range []string{"/login", "/login?remember=on"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, url, http.NoBody))
		fmt.Println(url, w.Result().Cookies()[0].MaxAge)
	}

	// Output:
	// /login 0
	// /login?remember=on 2592000
}

func ExampleSession_Flash() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	app := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/save" {
			s.Flash("info", "Your changes were saved.")
			http.Redirect(w, r, "/list", http.StatusSeeOther)
			return
		}
		fmt.Fprintln(w, s.Flashes("info"))
	})))
	defer app.server.Close()
	app.get("/save")
	app.get("/list")

	// Output:
	// /save: [Your changes were saved.]
	// /list: []
}

// An operator, or a job, changes a session by its id. Destroy revokes it.
func ExampleManager_Edit() {
	const role core.Key[string] = "role"
	ctx := context.Background()

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	s, _ := m.Load(ctx, "")
	role.Set(s, "admin")
	if _, err := m.Commit(ctx, s, true); err != nil {
		fmt.Println(err)
	}

	err := m.Edit(ctx, s.ID(), func(s *core.Session) error {
		role.Set(s, "reader")
		return nil
	})
	fmt.Println(err)
	fmt.Println(m.Edit(ctx, "no-such-session", func(*core.Session) error { return nil }))

	// Output:
	// <nil>
	// cloakroom: no such session
}

// What an app behind a proxy that ends TLS may want to set.
func ExampleConfig() {
	m, err := core.New(core.Config{
		Store:   sessions,
		Secrets: []string{"the secret in use, 32 bytes or more", "the one before it, which is still accepted"},
		Cookie: core.Cookie{
			Secure: core.SecureAlways,
			MaxAge: 12 * time.Hour,
		},
		TrustedProxies:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		IdleTimeout:     time.Hour,
		AbsoluteTimeout: 12 * time.Hour,
		Skip:            func(r *http.Request) bool { return r.URL.Path == "/healthz" },
		Logger:          slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := m.Config() // what is in force, without secrets
	fmt.Println(c.Cookie.Name, c.Secrets, c.IdleTimeout, c.AbsoluteTimeout, c.TouchInterval)

	_, err = core.New(core.Config{Store: sessions, Secrets: []string{os.Getenv("NO_SUCH_VARIABLE")}})
	fmt.Println(err)

	// Output:
	// sid [REDACTED REDACTED] 1h0m0s 12h0m0s 1m0s
	// cloakroom: Config.Secrets [0] is empty or blank: is the environment variable set?
}

// A cookie for pages that are embedded in other sites. What browsers would drop
// is refused when the Manager is made.
func ExampleCookie() {
	embedded := core.Cookie{
		SameSite:    http.SameSiteNoneMode,
		Partitioned: true,
	}
	_, err := core.New(core.Config{Store: sessions, Secrets: exampleSecrets, Cookie: embedded})
	fmt.Println(err)

	embedded.Secure = core.SecureAlways
	_, err = core.New(core.Config{Store: sessions, Secrets: exampleSecrets, Cookie: embedded})
	fmt.Println(err)

	// Output:
	// cloakroom: Config.Cookie.SameSite is None, which browsers accept with Secure only: set Cookie.Secure to SecureAlways
	// <nil>
}

// eventCounter counts for a metrics library. It is called by many goroutines at
// once in an app; an atomic counter for each kind is enough.
type eventCounter map[core.EventKind]int

func (c eventCounter) Observe(_ context.Context, e core.Event) { c[e.Kind]++ }

func ExampleObserver() {
	events := eventCounter{}
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, Observer: events})
	app := browse(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context()).Set("last", r.URL.Path)
		fmt.Fprintln(w, "ok")
	})))
	defer app.server.Close()
	app.get("/one")
	app.get("/two")
	fmt.Println(events[core.EventCreated], "created,", events[core.EventSaved], "saved")

	// Output:
	// /one: ok
	// /two: ok
	// 1 created, 1 saved
}

// An ErrorHandler writes the page that takes the place of an answer whose
// session could not be loaded or saved.
func ExampleHTTPStatus() {
	page := func(w http.ResponseWriter, _ *http.Request, err error) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(core.HTTPStatus(err))
		fmt.Fprintln(w, `{"error":"session"}`)
	}
	_ = core.Config{ErrorHandler: page}

	fmt.Println(core.HTTPStatus(core.ErrSessionGone))                    // logged out in another tab
	fmt.Println(core.HTTPStatus(&store.Error{Store: "valkey"}))          // an outage
	fmt.Println(core.HTTPStatus(&core.KeyError{Key: "cart", Op: "set"})) // a bug of the app's

	// Output:
	// 409
	// 503
	// 500
}

func ExampleRevocationError() {
	err := error(&core.RevocationError{Ended: 160, Left: 240, Err: context.DeadlineExceeded}) // from RevokeUser
	var incomplete *core.RevocationError
	if errors.As(err, &incomplete) {
		fmt.Printf("%d devices are logged out, %d will follow: press the button again.\n", incomplete.Ended, incomplete.Left)
	}
	// Output: 160 devices are logged out, 240 will follow: press the button again.
}

package session_test

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/cloakroom-go/cloakroom/core"
	session "github.com/cloakroom-go/cloakroom/echocontrib"
	"github.com/cloakroom-go/cloakroom/echosession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const secret = "a secret of more than thirty-two bytes"

func newStore(t testing.TB) *session.Store {
	t.Helper()
	memory := memorystore.New(memorystore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	return session.NewStore(session.Config{Store: memory, Secrets: []string{secret}})
}

// An app is a server, and a browser with a jar.
type app struct {
	t      testing.TB
	url    string
	client *http.Client
	do     func(c echo.Context) error // the handler of the visit
}

func newApp(t testing.TB, use ...echo.MiddlewareFunc) *app {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t}
	e := echo.New()
	e.Use(use...)
	e.GET("/", func(c echo.Context) error {
		if err := a.do(c); err != nil {
			return err
		}
		return c.String(http.StatusOK, "ok")
	})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	a.url, a.client = server.URL, server.Client()
	a.client.Jar = jar
	return a
}

func (a *app) visit(do func(c echo.Context) error) *http.Response {
	a.t.Helper()
	a.do = do
	return a.get()
}

func (a *app) get() *http.Response {
	a.t.Helper()
	resp, err := a.client.Get(a.url)
	if err != nil {
		a.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

// session lets a handler use the session, and saves it.
func (a *app) session(do func(s *session.Session)) {
	a.t.Helper()
	a.visit(func(c echo.Context) error {
		s, err := session.Get("session", c)
		if err != nil {
			return err
		}
		do(s)
		return s.Save(c.Request(), c.Response())
	})
}

type account struct {
	ID   int64
	Name string
}

type userKey int

func init() {
	gob.Register(&account{})
	gob.Register(userKey(0))
}

func TestValuesAndTheirKeysComeBackAsTheTypesThatTheyHad(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	want := map[any]any{
		"text": "a", "n": 7, "big": int64(1) << 62, "f": 2.0, "bob": &account{1, "Bob"}, "at": at, "list": []any{1, "a"}, "nil": nil,
		42: "int", int8(42): "int8", userKey(42): "ours", "$key:42": "text", "": "empty",
	}
	a.session(func(s *session.Session) {
		if !s.IsNew || s.ID != "" || s.Name() != "session" {
			t.Errorf("new: %v, an id: %v, name %q", s.IsNew, s.ID != "", s.Name())
		}
		for k, v := range want {
			s.Values[k] = v
		}
	})
	for range 2 {
		a.session(func(s *session.Session) {
			if s.IsNew || s.ID == "" || !reflect.DeepEqual(s.Values, want) {
				t.Errorf("new: %v, values %v", s.IsNew, s.Values)
			}
		})
	}
}

func TestGetReturnsTheSameSessionForARequest(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	a.visit(func(c echo.Context) error {
		one, err := session.Get("session", c)
		two, err2 := session.Get("session", c)
		if one != two || err != nil || err2 != nil {
			t.Errorf("%v, %v, the same: %v", err, err2, one == two)
		}
		return nil
	})
}

func TestWhatIsNotSavedIsLost(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	a.session(func(s *session.Session) { s.Values["a"] = 1; s.Values["bob"] = &account{1, "Bob"} })
	a.visit(func(c echo.Context) error {
		s, err := session.Get("session", c)
		s.Values["a"], s.Values["b"] = 2, 3
		return err
	})
	a.session(func(s *session.Session) {
		if s.Values["a"] != 1 || s.Values["b"] != nil {
			t.Errorf("values %v", s.Values)
		}
		s.Values["bob"].(*account).Name = "Bobby" // what a pointer leads to counts
		delete(s.Values, "a")
	})
	a.session(func(s *session.Session) {
		if len(s.Values) != 1 || s.Values["bob"].(*account).Name != "Bobby" {
			t.Errorf("then: %v", s.Values)
		}
	})
}

func TestSaveLeavesAloneWhatOthersChangedMeanwhile(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	a.session(func(s *session.Session) { s.Values["theirs"], s.Values["ours"] = 1, 1 })
	a.visit(func(c echo.Context) error {
		s, err := session.Get("session", c)
		if err != nil {
			return err
		}
		a.session(func(s *session.Session) { s.Values["theirs"] = 2 }) // another request
		s.Values["ours"] = 2
		return s.Save(c.Request(), c.Response())
	})
	a.session(func(s *session.Session) {
		if s.Values["theirs"] != 2 || s.Values["ours"] != 2 {
			t.Errorf("values %v", s.Values)
		}
	})
}

func TestASessionEndsByANegativeMaxAgeAndWhereNothingIsLeft(t *testing.T) {
	for name, logout := range map[string]func(s *session.Session){
		"a negative MaxAge": func(s *session.Session) { s.Options = &session.Options{Path: "/", MaxAge: -1} },
		"nothing is left":   func(s *session.Session) { clear(s.Values) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, session.Middleware(newStore(t)))
			a.session(func(s *session.Session) { s.Values["user"] = "bob" })
			u, _ := http.NewRequest(http.MethodGet, a.url, http.NoBody)
			stolen := a.client.Jar.Cookies(u.URL)
			a.visit(func(c echo.Context) error {
				s, err := session.Get("session", c)
				if err != nil {
					return err
				}
				logout(s)
				if err := s.Save(c.Request(), c.Response()); err != nil {
					return err
				}
				if len(s.Values) != 0 || s.ID != "" {
					t.Error("the session goes on")
				}
				s.Options = nil
				s.AddFlash("Goodbye.") // in a new session
				return s.Save(c.Request(), c.Response())
			})
			a.session(func(s *session.Session) {
				if s.Values["user"] != nil || !reflect.DeepEqual(s.Flashes(), []any{"Goodbye."}) || len(s.Flashes()) != 0 {
					t.Errorf("then: %v", s.Values)
				}
			})
			a.client.Jar.SetCookies(u.URL, stolen)
			a.session(func(s *session.Session) {
				if len(s.Values) != 0 {
					t.Error("the cookie of before is good")
				}
			})
		})
	}
}

func TestOptionsOfTheStoreAreThoseOfTheCookieAndMaxAgeIsTheHandlers(t *testing.T) {
	st := newStore(t)
	st.Options = &session.Options{Path: "/", Domain: "127.0.0.1", MaxAge: 3600, SameSite: http.SameSiteStrictMode}
	a := newApp(t, session.Middleware(st, "a", "b"))
	save := func(name string, do func(s *session.Session)) string {
		return a.visit(func(c echo.Context) error {
			s, err := session.Get(name, c)
			if err != nil {
				return err
			}
			do(s)
			return s.Save(c.Request(), c.Response())
		}).Header.Get("Set-Cookie")
	}
	line := save("a", func(s *session.Session) { s.Values["x"] = 1 })
	for _, want := range []string{"a=", "Domain=127.0.0.1", "Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=3600"} {
		if !strings.Contains(line, want) {
			t.Errorf("the cookie lacks %s", want)
		}
	}
	if line := save("b", func(s *session.Session) { s.Values["x"] = 2; s.Options.MaxAge = 60 }); !strings.Contains(line, "b=") || !strings.Contains(line, "Max-Age=60") {
		t.Error("a max age of the handler does not reach its cookie")
	}
	save("a", func(s *session.Session) {
		if s.Values["x"] != 1 {
			t.Errorf("a holds %v", s.Values)
		}
	})
}

func TestASessionThatIsNotMountedIsAnError(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	a.visit(func(c echo.Context) error {
		if _, err := session.Get("another", c); !errors.Is(err, session.ErrNotMounted) {
			t.Errorf("another name: %v", err)
		}
		return nil
	})
	newApp(t).visit(func(c echo.Context) error {
		if _, err := session.Get("session", c); !errors.Is(err, session.ErrNotMounted) {
			t.Errorf("no middleware: %v", err)
		}
		return nil
	})
}

func TestAValueThatCannotBeStoredOrReadIsAnErrorOfSave(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	type hidden struct{ Password string }
	a.visit(func(c echo.Context) error {
		s, _ := session.Get("session", c)
		s.Values["a"] = hidden{"hunter2"}
		if err := s.Save(c.Request(), c.Response()); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "gob.Register") {
			t.Errorf("Save: %v", err)
		}
		return nil
	})
	a.visit(func(c echo.Context) error {
		echosession.Get(c).Set("odd", map[string]any{"$go": "gob", "value": "AAAA"})
		return nil
	})
	for range 2 { // it stays as it is
		a.visit(func(c echo.Context) error {
			s, err := session.Get("session", c)
			if _, there := s.Values["odd"]; there || err != nil {
				t.Errorf("%v, %v", s.Values, err)
			}
			s.Values["b"] = 1
			if err := s.Save(c.Request(), c.Response()); err == nil {
				t.Error("Save: nil")
			}
			return nil
		})
	}
}

func TestWhatIsPlainIsReadByAKeyOfCoreToo(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	a.session(func(s *session.Session) { s.Values["n"] = 41 })
	a.visit(func(c echo.Context) error {
		core.Key[int]("n").Update(echosession.Get(c), func(n int) int { return n + 1 })
		return nil
	})
	a.session(func(s *session.Session) {
		if s.Values["n"] != 42 {
			t.Errorf("n is %v", s.Values["n"])
		}
	})
}

func TestNothingThatIsPrintedHasASecret(t *testing.T) {
	st := session.NewStore(session.Config{Secrets: []string{secret}}, []byte(secret))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if text := fmt.Sprintf(verb, st); strings.Contains(text, secret) || strings.Contains(text, "97 32 115") {
			t.Errorf("it prints a secret with %s", verb)
		}
	}
}

// The message that greets a user after the login does not end the session.
func TestAFlashThatIsShownIsNoLogout(t *testing.T) {
	a := newApp(t, session.Middleware(newStore(t)))
	a.visit(func(c echo.Context) error { return echosession.Get(c).SignIn(c.Request().Context(), "ada") })
	a.session(func(s *session.Session) { s.AddFlash("welcome") })
	a.session(func(s *session.Session) {
		if got := s.Flashes(); len(got) != 1 {
			t.Errorf("flashes %v", got)
		}
	})
	a.visit(func(c echo.Context) error {
		if user := echosession.Get(c).User(); user != "ada" {
			t.Errorf("the user is %q", user)
		}
		return nil
	})
}

// Where the middleware leaves a request alone there is no session: that is an error, as all
// that Get cannot do.
func TestGetOutsideOfThePathOfTheCookieIsAnError(t *testing.T) {
	store := newStore(t)
	store.Options = &session.Options{Path: "/app"}
	a := newApp(t, session.Middleware(store))
	a.visit(func(c echo.Context) error {
		if s, err := session.Get("session", c); s != nil || !errors.Is(err, core.ErrNoSession) {
			t.Errorf("there is a session: %v, %v; want ErrNoSession", s != nil, err)
		}
		return nil
	})
}

// A handler that minds no error has no session to go on with, so it does not go on.
func TestALazySessionThatCannotBeLoadedIsTheErrorPage(t *testing.T) {
	memory := memorystore.New(memorystore.Options{})
	store := session.NewStore(session.Config{Store: memory, Secrets: []string{secret}, Lazy: true})
	a := newApp(t, session.Middleware(store))
	a.session(func(s *session.Session) { s.Values["n"] = 1 })
	_ = memory.Close()
	resp := a.visit(func(c echo.Context) error {
		s, _ := session.Get("session", c)
		s.Values["n"] = 2
		return nil
	})
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", resp.StatusCode)
	}
}

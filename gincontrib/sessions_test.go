package sessions_test

import (
	"encoding/gob"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

func newStore(t testing.TB) sessions.Store {
	t.Helper()
	memory := memorystore.New(memorystore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	return sessions.NewStore(sessions.Config{Store: memory, Secrets: []string{"a secret of more than thirty-two bytes"}})
}

// An app is a server, and a browser with a jar.
type app struct {
	t      testing.TB
	url    string
	client *http.Client
	do     func(c *gin.Context) // the handler of the visit
}

func newApp(t testing.TB, use ...gin.HandlerFunc) *app {
	t.Helper()
	gin.SetMode(gin.TestMode)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t}
	r := gin.New()
	r.Use(use...)
	r.GET("/", func(c *gin.Context) {
		a.do(c)
		if !c.Writer.Written() {
			c.String(http.StatusOK, "ok")
		}
	})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	a.url, a.client = server.URL, server.Client()
	a.client.Jar = jar
	return a
}

func (a *app) visit(do func(c *gin.Context)) *http.Response {
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

func (a *app) session(do func(s sessions.Session)) *http.Response {
	a.t.Helper()
	return a.visit(func(c *gin.Context) { do(sessions.Default(c)) })
}

type account struct {
	ID   int64
	Name string
	Tags []string
}

func init() { gob.Register(&account{}) }

func TestEveryValueComesBackAsTheTypeThatItHad(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	values := []any{
		"text", true, false, 7, -7, math.MaxInt64, 1.5, 2.0, math.NaN(), math.Inf(1), int8(1), int16(-2), int32(3), int64(math.MinInt64),
		uint(5), uint8(6), uint16(7), uint32(8), uint64(math.MaxUint64), float32(0.1), complex(1, 2),
		[]byte{0, 255},
		[]string{"a"},
		[]int{1},
		&account{1, "Bob", []string{"x"}}, at,
		map[string]any{"n": 1, "deep": map[string]any{"at": at}},
		[]any{1, "a", int64(2), nil},
	}
	a.session(func(s sessions.Session) {
		for i, v := range values {
			s.Set(i, v)
		}
		s.Set("nil", nil)
		if err := s.Save(); err != nil {
			t.Error(err)
		}
	})
	for _, again := range []bool{false, true} {
		a.session(func(s sessions.Session) {
			for i, want := range values {
				got := s.Get(i)
				if f, ok := want.(float64); ok && math.IsNaN(f) {
					if g, ok := got.(float64); !ok || !math.IsNaN(g) {
						t.Errorf("NaN comes back as %v", got)
					}
				} else if !reflect.DeepEqual(got, want) {
					t.Errorf("%T %v comes back as %T %v", want, want, got, got)
				}
				if !again { // what was read can be stored again
					s.Set(i, got)
				}
			}
			if s.Get("nil") != nil || s.Get("none") != nil || s.Get("0") != nil {
				t.Error("there is something where nothing was set")
			}
		})
	}
}

func TestATypeThatIsNotRegisteredIsAnErrorOfSave(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	type secret struct{ Password string }
	a.session(func(s sessions.Session) {
		s.Set("a", 1)
		s.Set("b", secret{"hunter2"})
		if err := s.Save(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "gob.Register") {
			t.Errorf("Save: %v", err)
		}
		if err := s.Save(); err != nil {
			t.Errorf("Save again: %v", err)
		}
	})
}

func TestWhatIsPlainIsReadByAKeyOfCoreToo(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	a.session(func(s sessions.Session) { s.Set("user", "bob"); s.Set("n", 41) })
	a.visit(func(c *gin.Context) {
		s := core.FromContext(c.Request.Context())
		if user := core.Key[string]("user").Get(s); user != "bob" {
			t.Errorf("user %q", user)
		}
		core.Key[int]("n").Update(s, func(n int) int { return n + 1 })
		core.Key[[]string]("tags").Set(s, []string{"x"})
	})
	a.session(func(s sessions.Session) {
		if s.Get("n") != 42 || !reflect.DeepEqual(s.Get("tags"), []any{"x"}) {
			t.Errorf("n %v, tags %v", s.Get("n"), s.Get("tags"))
		}
	})
}

func TestFlashesAreReadOnce(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	a.session(func(s sessions.Session) { s.AddFlash("one"); s.AddFlash(int64(2)); s.AddFlash("no", "error") })
	a.session(func(s sessions.Session) {
		if got := s.Flashes(); !reflect.DeepEqual(got, []any{"one", int64(2)}) {
			t.Errorf("flashes %v", got)
		}
		if got := s.Flashes("error"); !reflect.DeepEqual(got, []any{"no"}) {
			t.Errorf("errors %v", got)
		}
	})
	a.session(func(s sessions.Session) {
		if got := append(s.Flashes(), s.Flashes("error")...); len(got) != 0 {
			t.Errorf("again: %v", got)
		}
	})
}

func TestClearAndANegativeMaxAgeEndTheSession(t *testing.T) {
	for name, logout := range map[string]func(s sessions.Session){
		"Clear":                   func(s sessions.Session) { s.Clear() },
		"a negative MaxAge":       func(s sessions.Session) { s.Options(sessions.Options{MaxAge: -1}) },
		"both":                    func(s sessions.Session) { s.Clear(); s.Options(sessions.Options{Path: "/", MaxAge: -1}) },
		"Clear, then a last word": func(s sessions.Session) { s.Clear(); s.AddFlash("Goodbye.") },
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, sessions.Sessions("mysession", newStore(t)))
			id := ""
			a.session(func(s sessions.Session) { s.Set("user", "bob"); id = s.ID() })
			stolen := a.client.Jar.Cookies(mustParse(t, a.url))
			a.session(func(s sessions.Session) {
				logout(s)
				if err := s.Save(); err != nil {
					t.Error(err)
				}
				if s.Get("user") != nil || s.ID() == id {
					t.Error("the session goes on")
				}
			})
			a.session(func(s sessions.Session) {
				if s.Get("user") != nil {
					t.Error("the next request has it")
				}
				if got := s.Flashes(); strings.Contains(name, "word") != (len(got) == 1) {
					t.Errorf("flashes %v", got)
				}
			})
			a.client.Jar.SetCookies(mustParse(t, a.url), stolen)
			a.session(func(s sessions.Session) {
				if s.Get("user") != nil {
					t.Error("the cookie of before is good")
				}
			})
		})
	}
}

func TestDeleteRemovesAKeyAlone(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	a.session(func(s sessions.Session) { s.Set("a", 1); s.Set("b", 2); _ = s.Save() })
	a.session(func(s sessions.Session) { s.Delete("a"); _ = s.Save() })
	a.session(func(s sessions.Session) {
		if s.Get("a") != nil || s.Get("b") != 2 {
			t.Errorf("a %v, b %v", s.Get("a"), s.Get("b"))
		}
	})
}

func TestOptionsOfTheStoreAreThoseOfTheCookie(t *testing.T) {
	st := newStore(t)
	st.Options(sessions.Options{Path: "/", Domain: "127.0.0.1", MaxAge: 3600, SameSite: http.SameSiteStrictMode})
	a := newApp(t, sessions.Sessions("mysession", st))
	resp := a.session(func(s sessions.Session) { s.Set("a", 1) })
	line := resp.Header.Get("Set-Cookie")
	for _, want := range []string{"mysession=", "Domain=127.0.0.1", "Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=3600"} {
		if !strings.Contains(line, want) {
			t.Errorf("the cookie lacks %s", want)
		}
	}
	resp = a.session(func(s sessions.Session) { s.Options(sessions.Options{MaxAge: 60}) })
	if line := resp.Header.Get("Set-Cookie"); !strings.Contains(line, "Max-Age=60") {
		t.Error("a max age of the handler does not reach the cookie")
	}
}

func TestSeveralSessionsOfOneRequest(t *testing.T) {
	one := newStore(t)
	for name, use := range map[string]gin.HandlerFunc{
		"one store":   sessions.SessionsMany([]string{"a", "b", "c"}, one),
		"two stores":  sessions.SessionsManyStores([]sessions.SessionStore{{Name: "a", Store: newStore(t)}, {Name: "b", Store: newStore(t)}}),
		"no sessions": sessions.SessionsMany(nil, one),
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, use)
			if name == "no sessions" {
				if resp := a.visit(func(*gin.Context) {}); resp.StatusCode != http.StatusOK {
					t.Errorf("status %d", resp.StatusCode)
				}
				return
			}
			a.visit(func(c *gin.Context) {
				sessions.DefaultMany(c, "a").Set("hello", "world")
				sessions.DefaultMany(c, "b").Set("foo", "bar")
			})
			a.visit(func(c *gin.Context) {
				x, y := sessions.DefaultMany(c, "a"), sessions.DefaultMany(c, "b")
				if x.Get("hello") != "world" || y.Get("foo") != "bar" || x.Get("foo") != nil {
					t.Errorf("a %v, b %v", x.Get("hello"), y.Get("foo"))
				}
				x.Clear()
			})
			a.visit(func(c *gin.Context) {
				if x, y := sessions.DefaultMany(c, "a"), sessions.DefaultMany(c, "b"); x.Get("hello") != nil || y.Get("foo") != "bar" {
					t.Errorf("after one was cleared: a %v, b %v", x.Get("hello"), y.Get("foo"))
				}
			})
		})
	}
}

func TestNoFlashIsLost(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	a.session(func(s sessions.Session) { s.Set("user", "bob") })
	a.do = func(c *gin.Context) { sessions.Default(c).AddFlash("one") }
	var all sync.WaitGroup
	for range 20 {
		all.Add(1)
		go func() {
			defer all.Done()
			a.get()
		}()
	}
	all.Wait()
	a.session(func(s sessions.Session) {
		if got := s.Flashes(); len(got) != 20 {
			t.Errorf("%d flashes, want 20", len(got))
		}
	})
}

func TestNothingThatIsPrintedHasASecret(t *testing.T) {
	const secret = "a secret of more than thirty-two bytes"
	st := sessions.NewStore(sessions.Config{Secrets: []string{secret}}, []byte(secret))
	for _, v := range []any{st, sessions.SessionStore{Name: "a", Store: st}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) || strings.Contains(text, "97 32 115") {
				t.Errorf("%T prints a secret with %s", v, verb)
			}
		}
	}
}

func TestAWrongConfigPanicsAtTheStart(t *testing.T) {
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "Secrets") {
			t.Errorf("it panics with %v", v)
		}
	}()
	sessions.Sessions("mysession", sessions.NewStore(sessions.Config{Store: memorystore.New(memorystore.Options{})}))
}

func mustParse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

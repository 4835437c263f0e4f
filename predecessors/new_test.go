package predecessors

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/echosession"
	echov5session "github.com/cloakroom-go/cloakroom/echov5session"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	number core.Key[int]   = "n"
	item   core.Key[Item]  = "item"
	big    core.Key[int64] = "big"
)

// settings are those of the new app.
func settings(t *testing.T, source predecessor.Source, st store.Store) core.Config {
	if st == nil {
		memory := memorystore.New(memorystore.Options{})
		t.Cleanup(func() { _ = memory.Close() })
		st = memory
	}
	return core.Config{
		Store: st, Logger: logger(t), Secrets: []string{"a secret of more than thirty-two bytes"},
		Predecessor: core.Predecessor{Source: source, Until: time.Now().Add(time.Hour)},
	}
}

// answer is what the new app answers: as the former one, and to some more.
func answer(r *http.Request, s *core.Session) string {
	query := r.URL.Query().Get
	switch r.URL.Path {
	case "/login":
		if err := s.SignIn(r.Context(), query("user")); err != nil {
			return err.Error()
		}
	case "/set":
		n, _ := strconv.Atoi(query("n"))
		number.Set(s, n)
	case "/add":
		n, _ := strconv.Atoi(query("n"))
		number.Update(s, func(sum int) int { return sum + n })
	case "/logout":
		if err := s.SignOut(r.Context()); err != nil {
			return err.Error()
		}
	case "/values":
		return fmt.Sprintf("%v %d", item.Get(s), big.Get(s))
	case "/sensitive":
		return fmt.Sprint(s.RequireRecentSignIn(r.Context(), time.Hour))
	}
	return fmt.Sprintf("%v %v", named(s.User()), s.Get("n"))
}

func named(user string) any {
	if user == "" {
		return nil
	}
	return user
}

// frameworks start the new app.
var frameworks = map[string]func(*testing.T, core.Config) string{
	"Gin": func(t *testing.T, cfg core.Config) string {
		r := gin.New()
		r.Use(ginsession.New(cfg))
		r.NoRoute(func(c *gin.Context) { c.String(http.StatusOK, answer(c.Request, ginsession.Get(c))) })
		return serve(t, r)
	},
	"Echo v4": func(t *testing.T, cfg core.Config) string {
		e := echo.New()
		e.Use(echosession.New(cfg))
		e.Any("/*", func(c echo.Context) error {
			return c.String(http.StatusOK, answer(c.Request(), echosession.Get(c)))
		})
		return serve(t, e)
	},
	"Echo v5": func(t *testing.T, cfg core.Config) string {
		e := echov5.New()
		e.Use(echov5session.New(cfg))
		e.Any("/*", func(c *echov5.Context) error {
			return c.String(http.StatusOK, answer(c.Request(), echov5session.Get(c)))
		})
		return serve(t, e)
	},
}

// A browser keeps its cookies for all ports of a host, as browsers do.
type browser struct {
	t *testing.T
	*http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	check(t, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 40}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport}}
}

// stolen is another browser with the cookies that this one has now.
func (b *browser) stolen(urls ...string) *browser {
	other := newBrowser(b.t)
	for _, u := range urls {
		at := mustParse(b.t, u)
		other.Jar.SetCookies(at, b.Jar.Cookies(at))
	}
	return other
}

func (b *browser) get(url string) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, url, http.NoBody)
	check(b.t, err)
	resp, err := b.Do(r)
	check(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(b.t, err)
	if resp.StatusCode != http.StatusOK {
		b.t.Errorf("%s: status %d: %s", strings.TrimLeft(r.URL.Path, "/"), resp.StatusCode, body)
	}
	return string(body)
}

// is checks an answer.
func (b *browser) is(url, want string) {
	b.t.Helper()
	if got := b.get(url); got != want {
		at := mustParse(b.t, url)
		b.t.Errorf("port %s: %s: %q, want %q", at.Port(), at.RequestURI(), got, want)
	}
}

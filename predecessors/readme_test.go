package predecessors

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A move is what an app changes: lines that give way to others.
type move struct {
	section string // of gin-contrib's README
	app     string // where it is not from there
	lines   map[string][]string
}

const (
	until   = `Predecessor: sessions.Predecessor{Until: time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)}`
	secrets = `Secrets: []string{os.Getenv("SESSION_SECRET")}`
)

var moves = map[string]move{
	"cookie": {section: "### cookie-based", lines: map[string][]string{
		`"github.com/gin-contrib/sessions"`:          {`"os"`, `"time"`, `sessions "github.com/cloakroom-go/cloakroom/gincontrib"`},
		`"github.com/gin-contrib/sessions/cookie"`:   {`memorystore "github.com/cloakroom-go/cloakroom/stores/memory"`},
		`store := cookie.NewStore([]byte("secret"))`: {`store := sessions.NewStore(sessions.Config{Store: memorystore.New(memorystore.Options{}), ` + secrets + `, ` + until + `}, []byte("secret"))`},
	}},
	"redis": {section: "### Redis", lines: map[string][]string{
		`"github.com/gin-contrib/sessions"`:            {`"os"`, `"time"`, `sessions "github.com/cloakroom-go/cloakroom/gincontrib"`},
		`"github.com/gin-contrib/sessions/redis"`:      {`"github.com/cloakroom-go/cloakroom/gincontrib/redis"`},
		`r.Use(sessions.Sessions("mysession", store))`: {`store.Config(sessions.Config{` + secrets + `, ` + until + `})`, `r.Use(sessions.Sessions("mysession", store))`},
	}},
	"echo": {app: echoApp, lines: map[string][]string{
		`"github.com/gorilla/sessions"`:                      {`"os"`, `"time"`, `memorystore "github.com/cloakroom-go/cloakroom/stores/memory"`},
		`"github.com/labstack/echo-contrib/session"`:         {`session "github.com/cloakroom-go/cloakroom/echocontrib"`},
		`store := sessions.NewCookieStore([]byte("secret"))`: {`store := session.NewStore(session.Config{Store: memorystore.New(memorystore.Options{}), ` + secrets + `, ` + strings.Replace(until, "sessions.", "session.", 1) + `}, []byte("secret"))`},
	}},
}

// echoApp has the calls that the documentation of echo-contrib has.
const echoApp = `package main

import (
	"net/http"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"
)

func main() {
	e := echo.New()
	store := sessions.NewCookieStore([]byte("secret"))
	e.Use(session.Middleware(store))

	e.GET("/incr", func(c echo.Context) error {
		sess, err := session.Get("session", c)
		if err != nil {
			return err
		}
		count := 0
		if v, ok := sess.Values["count"].(int); ok {
			count = v + 1
		}
		sess.Values["count"] = count
		sess.Options.MaxAge = 86400 * 7
		if err := sess.Save(c.Request(), c.Response()); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, echo.Map{"count": count})
	})
	serve(e)
}
`

// apply returns the app with these changes, and how many lines of it are new.
func (m move) apply(t *testing.T, app string) (moved string, changed int) {
	was := make(map[string]bool)
	var all []string
	for line := range strings.Lines(app) {
		line = strings.TrimSpace(line)
		was[line] = true
		if by, ok := m.lines[line]; ok {
			all = append(all, by...)
		} else {
			all = append(all, line)
		}
	}
	for line := range m.lines {
		if !was[line] {
			t.Errorf("the README has no line %s: look what has become of it", line)
		}
	}
	for _, line := range all {
		if !was[line] {
			changed++
		}
	}
	return strings.Join(all, "\n"), changed
}

// serveAnywhere is what the apps have in place of r.Run(":8000"), before and after.
const serveAnywhere = `package main

import (
	"fmt"
	"net"
	"net/http"
)

func serve(h http.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("at http://" + l.Addr().String())
	panic(http.Serve(l, h))
}
`

// The apps are the text of gin-contrib's README, cookie store and Redis store, and one with
// echo-contrib, and run as programs: the browser counts on, where five lines were changed.
// The guide shows the lines.
func TestAppsMoveByFiveLines(t *testing.T) {
	dir := strings.TrimSpace(command(t, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gin-contrib/sessions"))
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	check(t, err)
	guide, err := os.ReadFile("../docs/migrating.md")
	check(t, err)
	addr := valkeyAddr(t)
	folder := ownModule(t)
	for name, m := range moves {
		app := m.app
		if app == "" {
			_, app, _ = strings.Cut(string(readme), m.section)
			_, app, _ = strings.Cut(app, "```go\n")
			app, _, _ = strings.Cut(app, "```")
		}
		moved, changed := m.apply(t, app)
		if changed != 5 {
			t.Errorf("%s: %d lines are changed, want five", name, changed)
		}
		for _, lines := range m.lines {
			for _, line := range lines {
				if !strings.Contains(string(guide), line) {
					t.Errorf("docs/migrating.md does not show %s", line)
				}
			}
		}
		for when, source := range map[string]string{"before": app, "now": moved} {
			source = strings.NewReplacer(
				`r.Run(":8000")`, `serve(r)`, `"localhost:6379", "", []byte`, `"`+addr+`", "", "", []byte`, // the README is one argument behind
				"2030", fmt.Sprint(time.Now().Year()+1)).Replace(source)
			check(t, os.Mkdir(filepath.Join(folder, name+when), 0o750))
			check(t, os.WriteFile(filepath.Join(folder, name+when, "main.go"), []byte(source), 0o600))
			check(t, os.WriteFile(filepath.Join(folder, name+when, "serve.go"), []byte(serveAnywhere), 0o600))
		}
	}
	command(t, folder, "go", "build", "-o", "bin/", "./...")
	if t.Failed() {
		return
	}
	for name := range moves {
		t.Run(name, func(t *testing.T) {
			before, now := runApp(t, folder, name+"before"), runApp(t, folder, name+"now")
			b := &oneSite{t: t, cookies: make(map[string]string)}
			for i, url := range []string{before, before, before, now, now} {
				if got, want := strings.TrimSpace(b.get(url+"/incr")), fmt.Sprintf(`{"count":%d}`, i); got != want {
					t.Errorf("visit %d: %s, want %s", i, got, want)
				}
			}
		})
	}
}

// runApp starts one of the programs and returns where it is.
func runApp(t *testing.T, folder, name string) string {
	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "bin", name))
	cmd.Env = append(os.Environ(), "GIN_MODE=release", "SESSION_SECRET=a secret of more than thirty-two bytes")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "at "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return url
		}
	}
	t.Fatalf("%s does not start", name)
	return ""
}

// A oneSite is a browser to which all apps are one site, by HTTPS: gorilla's cookies are
// Secure.
type oneSite struct {
	t       *testing.T
	cookies map[string]string
}

func (b *oneSite) get(url string) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, url, http.NoBody)
	check(b.t, err)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := http.DefaultClient.Do(r)
	check(b.t, err)
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	body, err := io.ReadAll(resp.Body)
	check(b.t, err)
	return string(body)
}

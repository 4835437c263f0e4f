package predecessors

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	gincookie "github.com/gin-contrib/sessions/cookie"
	ginredis "github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"

	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	"github.com/cloakroom-go/cloakroom/gincontrib/cookie"
	"github.com/cloakroom-go/cloakroom/gincontrib/redis"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// These are the handlers of the README of gin-contrib/sessions, but for a value that is
// a pointer to a struct, and a logout. What differs between the former app and the new
// one is what stands between the marks: the imports, which are two lines, and the store.

func TestTheAppOfGinContribsREADMEMovesWithItsHandlersAsTheyAre(t *testing.T) {
	until := time.Now().Add(time.Hour)
	memory := func() *memorystore.Store {
		st := memorystore.New(memorystore.Options{})
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	secrets := []string{"a secret of more than thirty-two bytes"}
	// before
	cookieStore := gincookie.NewStore([]byte("secret"))
	// now
	newCookieStore := cookie.NewStore([]byte("secret"))
	newCookieStore.Config(sessions.Config{Store: memory(), Secrets: secrets, Logger: logger(t), Predecessor: sessions.Predecessor{Until: until}})
	// end

	// before
	redisStore, err := ginredis.NewStore(10, "tcp", valkeyAddr(t), "", "", []byte("secret"))
	check(t, err)
	// now
	newRedisStore, err := redis.NewStore(10, "tcp", valkeyAddr(t), "", "", []byte("secret"))
	check(t, err)
	newRedisStore.Config(sessions.Config{Secrets: secrets, Logger: logger(t), Predecessor: sessions.Predecessor{Until: until}})
	// end

	for name, stores := range map[string]struct {
		before ginsessions.Store
		now    sessions.Store
	}{"cookie": {cookieStore, newCookieStore}, "redis": {redisStore, newRedisStore}} {
		t.Run(name, func(t *testing.T) {
			stores.before.Options(ginsessions.Options{Path: "/", MaxAge: 3600}) // Secure is gorilla's default, and this is plain HTTP
			before, now := gin.New(), gin.New()
			before.Use(ginsessions.Sessions("mysession", stores.before))
			readmeHandlers(before, func(c *gin.Context) ginsessions.Session { return ginsessions.Default(c) })
			now.Use(sessions.Sessions("mysession", stores.now))
			readmeHandlers(now, func(c *gin.Context) ginsessions.Session { return asGinContribs{sessions.Default(c)} })
			old, url := serve(t, before), serve(t, now)
			b := newBrowser(t)
			b.is(old+"/login", "bob")
			b.is(old+"/incr", "1")
			b.is(old+"/incr", "2")
			b.is(url+"/incr", "3")
			b.is(url+"/me", "bob, a book, 4611686018427387904, [Welcome.]")
			b.is(url+"/me", "bob, a book, 4611686018427387904, []")
			b.is(url+"/incr", "4")
			b.is(url+"/logout", "bye")
			b.is(url+"/me", "nobody")
			b.is(url+"/incr", "1")
		})
	}
}

// With a name of its own for the new cookie, the former one stays in the browser, so that
// the former release goes on with it, where the new one is taken back.
func TestTheWayBackNeedsAnotherNameForTheCookie(t *testing.T) {
	handlers := func(name string, store sessions.Store) http.Handler {
		r := gin.New()
		r.Use(sessions.Sessions(name, store))
		readmeHandlers(r, func(c *gin.Context) ginsessions.Session { return asGinContribs{sessions.Default(c)} })
		return r
	}
	user := func(v map[string]any) string { user, _ := v["user"].(string); return user }
	for kind, makers := range map[string]struct {
		before func(t *testing.T) ginsessions.Store
		now    func(t *testing.T) sessions.Store
	}{
		"cookie": {
			func(*testing.T) ginsessions.Store { return gincookie.NewStore([]byte("secret")) },
			func(*testing.T) sessions.Store { return cookie.NewStore([]byte("secret")) },
		},
		"redis": {
			func(t *testing.T) ginsessions.Store {
				s, err := ginredis.NewStore(10, "tcp", valkeyAddr(t), "", "", []byte("secret"))
				check(t, err)
				return s
			},
			func(t *testing.T) sessions.Store {
				s, err := redis.NewStore(10, "tcp", valkeyAddr(t), "", "", []byte("secret"))
				check(t, err)
				return s
			},
		},
	} {
		for name, back := range map[string]string{"mysession": "nobody", "shop": "bob, a book, 4611686018427387904, [Welcome.]"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				former := makers.before(t)
				former.Options(ginsessions.Options{Path: "/", MaxAge: 3600})
				before := gin.New()
				before.Use(ginsessions.Sessions("mysession", former))
				readmeHandlers(before, func(c *gin.Context) ginsessions.Session { return ginsessions.Default(c) })

				store := makers.now(t)
				cfg := sessions.Config{
					Secrets: []string{"a secret of more than thirty-two bytes"}, Logger: logger(t),
					Predecessor: sessions.Predecessor{Source: takeover.Gorilla{Name: "mysession", User: user}, Until: time.Now().Add(time.Hour)},
				}
				if kind == "cookie" {
					st := memorystore.New(memorystore.Options{})
					t.Cleanup(func() { _ = st.Close() })
					cfg.Store = st
				}
				store.Config(cfg)
				old, url := serve(t, before), serve(t, handlers(name, store))
				b := newBrowser(t)
				b.is(old+"/login", "bob")
				b.is(old+"/incr", "1")
				b.is(url+"/incr", "2")
				b.is(old+"/me", back)
				b.is(url+"/incr", "3") // and forward again
			})
		}
	}
}

// asGinContribs shows that the sessions have the methods of gin-contrib's, each with the
// same arguments: only the type of Options has another name.
type asGinContribs struct{ sessions.Session }

func (s asGinContribs) Options(o ginsessions.Options) {
	s.Session.Options(sessions.Options{Path: o.Path, Domain: o.Domain, MaxAge: o.MaxAge, Secure: o.Secure, HttpOnly: o.HttpOnly, SameSite: o.SameSite})
}

func readmeHandlers(r *gin.Engine, defaultSession func(*gin.Context) ginsessions.Session) {
	r.GET("/incr", func(c *gin.Context) {
		session := defaultSession(c)
		var count int
		v := session.Get("count")
		if v == nil {
			count = 1
		} else {
			count = v.(int)
			count++
		}
		session.Set("count", count)
		_ = session.Save()
		c.String(http.StatusOK, fmt.Sprint(count))
	})
	r.GET("/login", func(c *gin.Context) {
		session := defaultSession(c)
		session.Set("user", "bob")
		session.Set("item", &Item{"a book", 2})
		session.Set("big", int64(1)<<62)
		session.AddFlash("Welcome.")
		_ = session.Save()
		c.String(http.StatusOK, "bob")
	})
	r.GET("/me", func(c *gin.Context) {
		session := defaultSession(c)
		user, ok := session.Get("user").(string)
		if !ok {
			c.String(http.StatusOK, "nobody")
			return
		}
		text := fmt.Sprintf("%s, %s, %d, %v", user, session.Get("item").(*Item).SKU, session.Get("big").(int64), session.Flashes())
		_ = session.Save()
		c.String(http.StatusOK, text)
	})
	r.GET("/logout", func(c *gin.Context) {
		session := defaultSession(c)
		session.Clear()
		session.Options(ginsessions.Options{Path: "/", MaxAge: -1})
		_ = session.Save()
		c.String(http.StatusOK, "bye")
	})
}

// gin-contrib's own tester runs with its import changed, but for Options, where a handler
// sets the path of the cookie.
func TestGinContribsOwnTesterPasses(t *testing.T) {
	dir := goCommand(t, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/gin-contrib/sessions")
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), "tester", "tester.go"))
	check(t, err)
	source = bytes.Replace(source, []byte(`"github.com/gin-contrib/sessions"`), []byte(`sessions "github.com/cloakroom-go/cloakroom/gincontrib"`), 1)
	at := bytes.Index(source, []byte("\nfunc Options("))
	end := at + bytes.Index(source[at:], []byte("\n}\n"))
	if at < 0 || end < at {
		t.Fatal("the tester has no function Options: look what has become of it")
	}
	source = append(source[:at:at], source[end+2:]...)
	// It puts line breaks into the header Cookie, which no request over a network can have.
	source = bytes.ReplaceAll(source, []byte(`"; \n"`), []byte(`"; "`))

	folder := ownModule(t)
	for name, data := range map[string][]byte{"tester.go": source, "tester_test.go": []byte(testerTest)} {
		check(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	}
	out := goCommand(t, folder, "test", "-count=1", "-v", ".")
	for _, name := range []string{"GetSet", "DeleteKey", "Flashes", "Clear", "Many", "ManyStores"} {
		if !strings.Contains(out, "--- PASS: TestTester/"+name+" ") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
}

const testerTest = `package tester

import (
	"testing"

	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

func TestTester(t *testing.T) {
	for name, test := range map[string]func(*testing.T, storeFactory){
		"GetSet": GetSet, "DeleteKey": DeleteKey, "Flashes": Flashes, "Clear": Clear, "Many": Many, "ManyStores": ManyStores,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(*testing.T) sessions.Store {
				return sessions.NewStore(sessions.Config{
					Store: memorystore.New(memorystore.Options{}), Secrets: []string{"a secret of more than thirty-two bytes"},
				})
			})
		})
	}
}
`

// ownModule returns a folder for a module that requires what this one does.
func ownModule(t *testing.T) (folder string) {
	top, err := filepath.Abs("..")
	check(t, err)
	mod, err := os.ReadFile("go.mod")
	check(t, err)
	sum, err := os.ReadFile("go.sum")
	check(t, err)
	mod = bytes.ReplaceAll(mod, []byte("=> ../"), []byte("=> "+top+"/"))
	mod = bytes.ReplaceAll(mod, []byte("=> ..\n"), []byte("=> "+top+"\n"))
	folder = t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "go.mod"), mod, 0o600))
	check(t, os.WriteFile(filepath.Join(folder, "go.sum"), sum, 0o600))
	return folder
}

// goCommand runs the go command outside of the workspace, and returns what it prints.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=mod")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("go %v: %v\n%s%s", args, err, out, stderr.String())
	}
	return string(out)
}

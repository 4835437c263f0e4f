package predecessors

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/gob"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	ginsessions "github.com/gin-contrib/sessions"
	gincookie "github.com/gin-contrib/sessions/cookie"
	ginfiles "github.com/gin-contrib/sessions/filesystem"
	gingorm "github.com/gin-contrib/sessions/gorm"
	ginmongo "github.com/gin-contrib/sessions/mongo/mongodriver"
	ginpostgres "github.com/gin-contrib/sessions/postgres"
	ginredis "github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v3"
	fibersession "github.com/gofiber/fiber/v3/middleware/session"
	fiberredis "github.com/gofiber/storage/redis/v3"
	"github.com/gorilla/sessions"
	echocontrib "github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
	"github.com/valkey-io/valkey-go"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	mongov2 "go.mongodb.org/mongo-driver/v2/mongo"
	mongov2options "go.mongodb.org/mongo-driver/v2/mongo/options"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/stores/mongo/mongotakeover"
	"github.com/cloakroom-go/cloakroom/stores/valkey/valkeytakeover"
	"github.com/cloakroom-go/cloakroom/takeover"
)

var (
	hashKey  = []byte("an open hash key of thirty-two b")
	blockKey = []byte("an open block key of thirty-two ")
)

// An Item is a value of the app, by a pointer.
type Item struct {
	SKU string `json:"sku"`
	N   int    `json:"n"`
}

func init() { gob.Register(&Item{}) } //nolint:gochecknoinits // as the documentation of these libraries has it

// A former app has the same four routes whatever the library:
//
//	/login?user=  /set?n=  /get  /logout
type former struct {
	name   string
	start  func(t *testing.T) (url string, source predecessor.Source)
	record bool // an end at the new side ends the session there
}

// values are what a handler can do with a session of any library.
type values interface {
	get(name string) any
	set(name string, v any)
	clear()
	save()
}

// route does what a request asks for.
func route(path string, query func(string) string, v values) string {
	switch path {
	case "/login":
		v.set("user", query("user"))
		v.set("item", &Item{"a book", 2})
		v.set("big", int64(1)<<62)
		v.save()
	case "/set":
		n, _ := strconv.Atoi(query("n"))
		v.set("n", n)
		v.save()
	case "/logout":
		v.clear()
		v.save()
	}
	return fmt.Sprintf("%v %v", v.get("user"), v.get("n"))
}

func userIn(v map[string]any) string {
	user, _ := v["user"].(string)
	return user
}

func gorilla(name string) takeover.Gorilla {
	return takeover.Gorilla{Name: name, KeyPairs: [][]byte{hashKey, blockKey}, User: userIn}
}

func formers() []former {
	return []former{
		{name: "gin-contrib cookie", start: func(t *testing.T) (string, predecessor.Source) {
			return ginApp(t, gincookie.NewStore(hashKey, blockKey)), gorilla("mysession")
		}},
		{name: "gin-contrib cookie, not encrypted", start: func(t *testing.T) (string, predecessor.Source) {
			source := gorilla("mysession")
			source.KeyPairs = [][]byte{hashKey}
			return ginApp(t, gincookie.NewStore(hashKey)), source
		}},
		{name: "gin-contrib redis", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			store, err := ginredis.NewStore(2, "tcp", valkeyAddr(t), "", "", hashKey, blockKey)
			check(t, err)
			source := gorilla("mysession")
			source.Records, source.Unsigned = inRedis(t, "session_"), true
			return ginApp(t, store), source
		}},
		{name: "gin-contrib filesystem", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			folder := t.TempDir()
			source := gorilla("mysession")
			source.Records = takeover.Files(folder)
			return ginApp(t, ginfiles.NewStore(folder, hashKey, blockKey)), source
		}},
		{name: "gin-contrib gorm", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			db, err := gorm.Open(sqlite.Open(filepath.Join(t.TempDir(), "sessions.db")), &gorm.Config{})
			check(t, err)
			inner, err := db.DB()
			check(t, err)
			inner.SetMaxOpenConns(1)
			t.Cleanup(func() { _ = inner.Close() })
			source := gorilla("mysession")
			source.Records = takeover.SQL{
				DB: inner, Select: "SELECT data FROM sessions WHERE id = ? AND expires_at > CURRENT_TIMESTAMP", Remove: "DELETE FROM sessions WHERE id = ?",
			}
			return ginApp(t, gingorm.NewStore(db, false, hashKey, blockKey)), source
		}},
		{name: "gin-contrib gorm on PostgreSQL", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			inner := postgresDB(t)
			db, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: inner}), &gorm.Config{})
			check(t, err)
			source := gorilla("mysession")
			source.Records = takeover.SQL{
				DB: inner, Select: "SELECT data FROM sessions WHERE id = $1 AND expires_at > now()", Remove: "DELETE FROM sessions WHERE id = $1",
			}
			return ginApp(t, gingorm.NewStore(db, false, hashKey, blockKey)), source
		}},
		{name: "gin-contrib postgres", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			db := postgresDB(t)
			store, err := ginpostgres.NewStore(db, hashKey, blockKey)
			check(t, err)
			source := gorilla("mysession")
			source.Records = takeover.SQL{
				DB: db, Select: "SELECT data FROM http_sessions WHERE key = $1 AND expires_on > now()", Remove: "DELETE FROM http_sessions WHERE key = $1",
			}
			return ginApp(t, store), source
		}},
		{name: "gin-contrib mongodriver", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			c, err := mongo.Connect(t.Context(), options.Client().ApplyURI(server(t, "MONGODB_URI")))
			check(t, err)
			t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(t.Context())) })
			coll := c.Database("predecessors").Collection(unique())
			t.Cleanup(func() { _ = coll.Drop(context.WithoutCancel(t.Context())) })
			source := gorilla("mysession")
			source.Records = inMongo(t, coll.Name())
			return ginApp(t, ginmongo.NewStore(coll, 3600, true, hashKey, blockKey)), source
		}},
		{name: "gorilla cookie", start: func(t *testing.T) (string, predecessor.Source) {
			store := sessions.NewCookieStore(hashKey, blockKey)
			store.Options.Secure = false
			return gorillaApp(t, store), gorilla("gorilla")
		}},
		{name: "echo-contrib", start: func(t *testing.T) (string, predecessor.Source) {
			store := sessions.NewCookieStore(hashKey, blockKey)
			store.Options.Secure = false
			e := echo.New()
			e.Use(echocontrib.Middleware(store))
			e.Any("/*", func(c echo.Context) error {
				s, err := echocontrib.Get("session", c)
				if err != nil {
					return err
				}
				return c.String(http.StatusOK, route(c.Request().URL.Path, c.QueryParam, inGorilla{s, c.Request(), c.Response()}))
			})
			return serve(t, e), gorilla("session")
		}},
		{name: "scs", record: true, start: func(t *testing.T) (string, predecessor.Source) {
			m := scs.New()
			prefix := unique()
			m.Store = goredisstore.NewWithPrefix(client(t), prefix)
			m.Cookie.Secure = false
			app := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, route(r.URL.Path, r.URL.Query().Get, inSCS{m, r.Context()}))
			}))
			return serve(t, app), takeover.SCS{Records: inRedis(t, prefix), User: userIn}
		}},
		{name: "Fiber", record: true, start: startFiber},
	}
}

func ginApp(t *testing.T, store ginsessions.Store) string {
	store.Options(ginsessions.Options{Path: "/", MaxAge: 3600})
	r := gin.New()
	r.Use(ginsessions.Sessions("mysession", store))
	r.NoRoute(func(c *gin.Context) {
		text := route(c.Request.URL.Path, c.Query, inGin{ginsessions.Default(c)})
		c.String(http.StatusOK, text)
	})
	return serve(t, r)
}

func gorillaApp(t *testing.T, store sessions.Store) string {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := store.Get(r, "gorilla") // of a cookie that cannot be read it makes a new one
		fmt.Fprint(w, route(r.URL.Path, r.URL.Query().Get, inGorilla{s, r, w}))
	}))
}

func startFiber(t *testing.T) (string, predecessor.Source) {
	host, port, err := net.SplitHostPort(valkeyAddr(t))
	check(t, err)
	n, err := strconv.Atoi(port)
	check(t, err)
	storage := fiberredis.New(fiberredis.Config{Host: host, Port: n})
	t.Cleanup(func() { _ = storage.Close() })
	app := fiber.New()
	handler, store := fibersession.NewWithStore(fibersession.Config{Storage: storage, AbsoluteTimeout: 8 * time.Hour})
	store.RegisterType(&Item{})
	app.Use(handler)
	app.Use(func(c fiber.Ctx) error {
		query := func(name string) string { return c.Query(name) }
		return c.SendString(route(c.Path(), query, inFiber{fibersession.FromContext(c)}))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
	}()
	t.Cleanup(func() { _ = app.Shutdown(); <-done })
	return "http://" + l.Addr().String(), takeover.Fiber{Records: inRedis(t, ""), User: userIn}
}

type inGin struct{ s ginsessions.Session }

func (v inGin) get(name string) any      { return v.s.Get(name) }
func (v inGin) set(name string, val any) { v.s.Set(name, val) }
func (v inGin) clear()                   { v.s.Clear() }
func (v inGin) save()                    { _ = v.s.Save() }

type inGorilla struct {
	s *sessions.Session
	r *http.Request
	w http.ResponseWriter
}

func (v inGorilla) get(name string) any      { return v.s.Values[name] }
func (v inGorilla) set(name string, val any) { v.s.Values[name] = val }
func (v inGorilla) clear()                   { clear(v.s.Values) }
func (v inGorilla) save()                    { _ = v.s.Save(v.r, v.w) }

type inSCS struct {
	m   *scs.SessionManager
	ctx context.Context
}

func (v inSCS) get(name string) any      { return v.m.Get(v.ctx, name) }
func (v inSCS) set(name string, val any) { v.m.Put(v.ctx, name, val) }
func (v inSCS) clear()                   { _ = v.m.Destroy(v.ctx) }
func (inSCS) save()                      {}

type inFiber struct{ m *fibersession.Middleware }

func (v inFiber) get(name string) any      { return v.m.Get(name) }
func (v inFiber) set(name string, val any) { v.m.Set(name, val) }
func (v inFiber) clear()                   { _ = v.m.Destroy() }
func (inFiber) save()                      {}

// inRedis are records in Redis or Valkey, and inMongo those in a collection.
func inRedis(t *testing.T, prefix string) takeover.Records {
	c, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{valkeyAddr(t)}, DisableCache: true})
	check(t, err)
	t.Cleanup(c.Close)
	return valkeytakeover.Records{Client: c, Prefix: prefix}
}

func inMongo(t *testing.T, name string) takeover.Records {
	c, err := mongov2.Connect(mongov2options.Client().ApplyURI(server(t, "MONGODB_URI")))
	check(t, err)
	t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(t.Context())) })
	return mongotakeover.Records{Collection: c.Database("predecessors").Collection(name)}
}

// postgresDB returns a database of PostgreSQL in which a schema is the test's alone.
func postgresDB(t *testing.T) *sql.DB {
	at, err := url.Parse(server(t, "POSTGRESQL_URL"))
	check(t, err)
	schema := "predecessors_" + strings.ToLower(rand.Text())
	admin, err := sql.Open("pgx", at.String())
	check(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	_, err = admin.ExecContext(t.Context(), "CREATE SCHEMA "+schema)
	check(t, err)
	t.Cleanup(func() { _, _ = admin.ExecContext(context.WithoutCancel(t.Context()), "DROP SCHEMA "+schema+" CASCADE") })
	query := at.Query()
	query.Set("search_path", schema)
	at.RawQuery = query.Encode()
	db, err := sql.Open("pgx", at.String())
	check(t, err)
	db.SetMaxOpenConns(4) // the server is for all tests
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// server returns what the environment says of a server. Without it the test is skipped,
// but in CI.
func server(t *testing.T, name string) string {
	t.Helper()
	addr := os.Getenv(name)
	if addr == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set", name)
		}
		t.Skipf("%s is not set: scripts/servers.sh run go test ./predecessors", name)
	}
	return addr
}

// unique returns a name that no other test has.
func unique() string { return "predecessors-" + rand.Text() + ":" }

func valkeyAddr(t *testing.T) string { return server(t, "VALKEY_ADDR") }

func client(t *testing.T) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: valkeyAddr(t)})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

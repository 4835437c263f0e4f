package redis_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/gob"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	"github.com/cloakroom-go/cloakroom/gincontrib/redis"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/takeover"
)

const key = "an open hash key of thirty-two b"

func addr(t *testing.T) string {
	t.Helper()
	addr := os.Getenv("VALKEY_ADDR")
	if addr == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("VALKEY_ADDR is not set: scripts/servers.sh up starts the servers of the tests")
		}
		t.Skip("NOT TESTED: VALKEY_ADDR is not set; scripts/servers.sh up starts the servers of the tests")
	}
	return addr
}

func dial(t *testing.T) valkey.Client {
	t.Helper()
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr(t)}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// config has what every store needs.
func config() sessions.Config {
	return sessions.Config{
		Secrets:     []string{"a secret of more than thirty-two bytes"},
		Predecessor: sessions.Predecessor{Until: time.Now().Add(time.Hour)},
	}
}

// left puts a session into the server as gin-contrib does, and returns its cookie.
func left(t *testing.T, client valkey.Client, prefix, name string, values map[any]any) *http.Cookie {
	t.Helper()
	id := rand.Text() + rand.Text()
	var record, data bytes.Buffer
	if err := gob.NewEncoder(&record).Encode(values); err != nil {
		t.Fatal(err)
	}
	do := client.B().Set().Key(prefix + id).Value(record.String()).ExSeconds(3600).Build()
	if err := client.Do(t.Context(), do).Error(); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewEncoder(&data).Encode(id); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%d|%s|", time.Now().Unix(), base64.URLEncoding.EncodeToString(data.Bytes()))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(name + "|" + strings.TrimSuffix(text, "|")))
	return &http.Cookie{Name: name, Value: base64.URLEncoding.EncodeToString(append([]byte(text), mac.Sum(nil)...))}
}

// visit lets a handler see the session of a request, and returns what it says and the
// cookie of the answer.
func visit(t *testing.T, store sessions.Store, name string, cookie *http.Cookie, do func(s sessions.Session) any) (string, *http.Cookie) {
	t.Helper()
	gin.SetMode(gin.TestMode)
	r := gin.New()
	r.Use(sessions.Sessions(name, store))
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "%v", do(sessions.Default(c))) })
	req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	if cookie != nil {
		req.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	for _, c := range w.Result().Cookies() {
		cookie = c
	}
	return w.Body.String(), cookie
}

// unique returns a prefix that no other test has.
func unique() string { return "gincontrib-redis-" + rand.Text() + ":" }

func TestTheSessionsOfTheFormerStoreGoOnInTheSameServer(t *testing.T) {
	client := dial(t)
	store, err := redis.NewStoreWithClient(client, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	prefix := unique()
	store.Options(sessions.Options{Path: "/", MaxAge: 60})
	store.Config(config())
	if err := redis.SetKeyPrefix(store, prefix); err != nil { // whatever was set before
		t.Fatal(err)
	}
	old := left(t, client, prefix, "mysession", map[any]any{"user": "bob", "n": int64(7)})
	got, cookie := visit(t, store, "mysession", old, func(s sessions.Session) any {
		n, _ := s.Get("n").(int64)
		s.Set("n", n+1)
		return s.Get("user")
	})
	if got != "bob" || cookie.Value == old.Value || cookie.MaxAge != 60 {
		t.Errorf("it is %s's, the cookie is another: %v, for %d seconds", got, cookie.Value != old.Value, cookie.MaxAge)
	}
	if got, _ := visit(t, store, "mysession", cookie, func(s sessions.Session) any { return s.Get("n") }); got != "8" {
		t.Errorf("then n is %s, want 8", got)
	}
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern(prefix+"cloakroom:*").Build()).AsStrSlice()
	if err != nil || len(keys) == 0 {
		t.Errorf("%d keys of ours, %v", len(keys), err)
	}
}

// What a Gorilla does not say is as the former store had it.
func TestASourceThatSaysWhoIsSignedInHasTheRestOfTheStore(t *testing.T) {
	client := dial(t)
	store, err := redis.NewStoreWithClient(client, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	prefix := unique()
	if err := redis.SetKeyPrefix(store, prefix); err != nil {
		t.Fatal(err)
	}
	cfg := config()
	cfg.Predecessor.Source = takeover.Gorilla{User: func(v map[string]any) string { return v["user"].(string) }}
	store.Config(cfg)
	for _, name := range []string{"one", "two"} { // each by the name of its cookie
		old := left(t, client, prefix, name, map[any]any{"user": "bob"})
		gin.SetMode(gin.TestMode)
		r := gin.New()
		r.Use(sessions.Sessions(name, store))
		r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, core.FromContext(c.Request.Context()).User()) })
		req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		req.AddCookie(old)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Body.String() != "bob" {
			t.Errorf("%s: %d, user %q", name, w.Code, w.Body)
		}
	}
}

func TestASessionIsKeptWhereConfigSays(t *testing.T) {
	client, memory := dial(t), memorystore.New(memorystore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	store, err := redis.NewStoreWithClient(client)
	if err != nil {
		t.Fatal(err)
	}
	store.Config(sessions.Config{Store: memory, Secrets: config().Secrets})
	visit(t, store, "mysession", nil, func(s sessions.Session) any { s.Set("user", "bob"); return nil })
	if n, err := memory.Count(t.Context()); err != nil || n != 1 {
		t.Errorf("%d sessions in memory, %v", n, err)
	}
}

func TestWithoutADateItPanicsAtTheStart(t *testing.T) {
	store, err := redis.NewStoreWithClient(dial(t), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	store.Config(sessions.Config{Secrets: config().Secrets})
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "Predecessor.Until") {
			t.Errorf("it panics with %v", v)
		}
	}()
	sessions.Sessions("mysession", store)
}

func TestWhatCannotBeAStoreIsAnError(t *testing.T) {
	const password = "a password that nobody may see"
	for name, make := range map[string]func() (redis.Store, error){
		"no server":  func() (redis.Store, error) { return redis.NewStore(1, "tcp", "127.0.0.1:1", "user", password) },
		"no network": func() (redis.Store, error) { return redis.NewStore(1, "udp", "127.0.0.1:1", "", password) },
		"no number":  func() (redis.Store, error) { return redis.NewStoreWithDB(1, "tcp", "127.0.0.1:1", "", password, "one") },
		"no socket":  func() (redis.Store, error) { return redis.NewStore(1, "unix", t.TempDir()+"/none", "", password) },
		"no client":  func() (redis.Store, error) { return redis.NewStoreWithClient(nil) },
		"another store": func() (redis.Store, error) {
			st := sessions.NewStore(sessions.Config{})
			return st, redis.SetKeyPrefix(st, "p:")
		},
	} {
		if _, err := make(); err == nil || !strings.HasPrefix(err.Error(), "cloakroom: ") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The line that makes the store is as it was; the one after it is new.
func ExampleNewStore() {
	store, err := redis.NewStore(10, "tcp", "localhost:6379", "", "", []byte("secret"))
	if err != nil {
		panic(err)
	}
	store.Config(sessions.Config{
		Secrets:     []string{os.Getenv("SESSION_SECRET")},
		Predecessor: sessions.Predecessor{Until: time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)},
	})
	r := gin.Default()
	r.Use(sessions.Sessions("mysession", store))
}

func TestAStorePrintsNoKeys(t *testing.T) {
	server := addr(t)
	store, err := redis.NewStore(10, "tcp", server, "", "", []byte("a-hash-key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, store); text != "Store" {
			t.Errorf("%s prints %d bytes, want Store", verb, len(text))
		}
	}
}

// Package promises tests over HTTP what Cloakroom promises, on a store whose
// server is a real one: what requests cost, several processes of an app on one
// server, outages, and writes whose outcome is not known.
package promises

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

const (
	count core.Key[int]    = "count"
	user  core.Key[string] = "user"
	blob  core.Key[string] = "blob"
)

var secrets = suite.Hide("one secret for all the processes of a test")

// A Store is one that a test can look into.
type Store interface {
	store.Store
	store.Lister
	store.Counter
	store.Clearer
}

// Serve returns the app behind the adapter of a framework.
func Serve(fw frameworks.Named, m *core.Manager, more ...adaptertest.Route) http.Handler {
	return fw.Serve(nil, adaptertest.App{
		Use:    []adaptertest.Middleware{{Session: m}},
		Groups: []adaptertest.Group{{Routes: append(more, routes...)}},
	})
}

// ManagerOn returns a manager with the secrets that all have.
func ManagerOn(t *testing.T, cfg core.Config) *core.Manager {
	t.Helper()
	cfg.Secrets = secrets
	cfg.StoreTimeout = cmp.Or(cfg.StoreTimeout, servers.Patience) // with the default, requests fail on a machine that is busy
	m, err := core.New(cfg)
	if err != nil {
		t.Fatalf("core.New: %v", err)
	}
	return m
}

func next(n int) int { return n + 1 }

// At returns a route.
func At(path string, h adaptertest.Handler) adaptertest.Route {
	return adaptertest.Route{Path: path, Handler: h}
}

// Say answers with a text.
func Say(c *adaptertest.Context, text any) error {
	_, err := fmt.Fprint(c.Writer, text)
	return err
}

// fail answers with the status of an error.
func fail(c *adaptertest.Context, err error) error {
	c.Writer.WriteHeader(core.HTTPStatus(err))
	return nil
}

var routes = []adaptertest.Route{
	At("/static", func(c *adaptertest.Context) error { return Say(c, "static") }),
	At("/count", func(c *adaptertest.Context) error { return Say(c, count.Update(c.Get(), next)) }),
	At("/read", func(c *adaptertest.Context) error { return Say(c, count.Get(c.Get())) }),
	At("/me", func(c *adaptertest.Context) error { return Say(c, "user="+user.Get(c.Get())) }),
	At("/large", func(c *adaptertest.Context) error {
		blob.Set(c.Get(), strings.Repeat("large", 4000))
		return Say(c, "large")
	}),
	At("/login", func(c *adaptertest.Context) error {
		if err := c.Get().Renew(); err != nil {
			return fail(c, err)
		}
		user.Set(c.Get(), c.Request.FormValue("user"))
		return Say(c, "hello")
	}),
	At("/regenerate", func(c *adaptertest.Context) error {
		if err := c.Get().Regenerate(); err != nil {
			return fail(c, err)
		}
		return Say(c, "new")
	}),
	At("/logout", func(c *adaptertest.Context) error {
		if err := c.Get().Destroy(c.Request.Context()); err != nil {
			return fail(c, err)
		}
		return Say(c, "bye")
	}),
}

// A gate holds handlers until it is opened.
type gate struct {
	mu   sync.Mutex
	held int
	open chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

// pass is for the handler.
func (g *gate) pass() {
	g.mu.Lock()
	g.held++
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-time.After(2 * servers.Patience):
	}
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// release lets all go that wait; others will wait for the next release.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
	g.held, g.open = 0, make(chan struct{})
}

// An Answer is what a client was told.
type Answer struct {
	Err    error
	Status int
	Text   string
	Cookie *http.Cookie // ours, if the response sets or deletes it
}

func (a Answer) String() string {
	if a.Err != nil {
		return a.Err.Error()
	}
	cookie := "no cookie"
	if a.Cookie != nil {
		cookie = "a cookie"
		if a.Cookie.MaxAge < 0 {
			cookie = "a cookie deleted"
		}
	}
	return fmt.Sprintf("%d %q, %s", a.Status, a.Text, cookie)
}

// Says reports whether this is the answer 200 with that text and without a cookie.
func (a Answer) Says(text string) bool {
	return a.Err == nil && a.Status == http.StatusOK && a.Text == text && a.Cookie == nil
}

// Refused reports whether this is the error page of that status, without a cookie.
func (a Answer) Refused(status int) bool {
	return a.Err == nil && a.Status == status && a.Cookie == nil
}

// A Browser is a client with a cookie.
type Browser struct {
	Cookie string // "name=value", or empty

	client *http.Client
}

// NewBrowser returns a client without a cookie.
func NewBrowser() *Browser {
	return &Browser{client: &http.Client{Timeout: 2 * servers.Patience, Transport: transport}}
}

var transport = &http.Transport{MaxIdleConnsPerHost: 300, DisableCompression: true}

// As returns another client that sends the same cookie.
func (b *Browser) As() *Browser { return &Browser{client: b.client, Cookie: b.Cookie} }

// Get sends a request and keeps the cookie that it may bring.
func (b *Browser) Get(url string) Answer {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return Answer{Err: err}
	}
	if b.Cookie != "" {
		req.Header.Set("Cookie", b.Cookie)
	}
	res, err := b.client.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	a := Answer{Err: err, Status: res.StatusCode, Text: string(text)}
	for _, c := range res.Cookies() {
		if c.Name == "sid" {
			a.Cookie = c
			b.Cookie = c.Name + "=" + c.Value
			if c.MaxAge < 0 {
				b.Cookie = ""
			}
		}
	}
	return a
}

// Begin sends the first request of a visitor and checks that it sets a cookie.
func (b *Browser) Begin(t *testing.T, url string) {
	t.Helper()
	if a := b.Get(url); a.Err != nil || a.Status != http.StatusOK || a.Cookie == nil || a.Cookie.MaxAge < 0 {
		t.Fatalf("%s: %v, want 200 and a cookie", url, a)
	}
}

// Expect checks an answer that sets no cookie.
func (b *Browser) Expect(t *testing.T, url, text string) {
	t.Helper()
	if a := b.Get(url); !a.Says(text) {
		t.Fatalf("%s: %v, want 200 %q, no cookie", url, a, text)
	}
}

// Number returns the number that is the answer.
func (b *Browser) Number(t *testing.T, url string) int {
	t.Helper()
	a := b.Get(url)
	n, err := strconv.Atoi(a.Text)
	if a.Err != nil || a.Status != http.StatusOK || err != nil {
		t.Fatalf("%s: %v, want a number", url, a)
	}
	return n
}

// Must sends a request that has to succeed.
func (b *Browser) Must(t *testing.T, url string) {
	t.Helper()
	if a := b.Get(url); a.Err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: %v", url, a)
	}
}

// fetch decodes what an address of the tests' own answers.
func fetch(t *testing.T, url string, to any) {
	t.Helper()
	a := NewBrowser().Get(url)
	if a.Err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: %v", url, a)
	}
	if err := json.Unmarshal([]byte(a.Text), to); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// Eventually waits until something is so.
func Eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(servers.Patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// InParallel calls do in n goroutines.
func InParallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

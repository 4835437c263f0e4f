// Package valkey runs what Cloakroom promises on real Valkey servers: the table
// of package adaptertest, what requests cost, several processes on one server,
// outages, client-side caching, and writes whose outcome is not known.
package valkey

import (
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
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
)

const (
	count core.Key[int]    = "count"
	user  core.Key[string] = "user"
	blob  core.Key[string] = "blob"
)

// patience is how long to wait for what has to happen.
const patience = 30 * time.Second

var secrets = []string{"one secret for all the processes of a test"}

// serve returns the app behind the adapter of a framework.
func serve(fw frameworks.Named, m *core.Manager, more ...adaptertest.Route) http.Handler {
	return fw.Serve(nil, adaptertest.App{
		Use:    []adaptertest.Middleware{{Session: m}},
		Groups: []adaptertest.Group{{Routes: append(more, routes...)}},
	})
}

func next(n int) int { return n + 1 }

func at(path string, h adaptertest.Handler) adaptertest.Route {
	return adaptertest.Route{Path: path, Handler: h}
}

func say(c *adaptertest.Context, text any) error {
	_, err := fmt.Fprint(c.Writer, text)
	return err
}

// fail answers with the status of an error.
func fail(c *adaptertest.Context, err error) error {
	c.Writer.WriteHeader(core.HTTPStatus(err))
	return nil
}

var routes = []adaptertest.Route{
	at("/static", func(c *adaptertest.Context) error { return say(c, "static") }),
	at("/count", func(c *adaptertest.Context) error { return say(c, count.Update(c.Get(), next)) }),
	at("/read", func(c *adaptertest.Context) error { return say(c, count.Get(c.Get())) }),
	at("/me", func(c *adaptertest.Context) error { return say(c, "user="+user.Get(c.Get())) }),
	at("/large", func(c *adaptertest.Context) error {
		blob.Set(c.Get(), strings.Repeat("large", 4000))
		return say(c, "large")
	}),
	at("/login", func(c *adaptertest.Context) error {
		if err := c.Get().Renew(); err != nil {
			return fail(c, err)
		}
		user.Set(c.Get(), c.Request.FormValue("user"))
		return say(c, "hello")
	}),
	at("/regenerate", func(c *adaptertest.Context) error {
		if err := c.Get().Regenerate(); err != nil {
			return fail(c, err)
		}
		return say(c, "new")
	}),
	at("/logout", func(c *adaptertest.Context) error {
		if err := c.Get().Destroy(c.Request.Context()); err != nil {
			return fail(c, err)
		}
		return say(c, "bye")
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
	case <-time.After(2 * patience):
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

// An answer is what a client was told.
type answer struct {
	err    error
	status int
	text   string
	cookie *http.Cookie // ours, if the response sets or deletes it
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	cookie := "no cookie"
	if a.cookie != nil {
		cookie = "a cookie"
		if a.cookie.MaxAge < 0 {
			cookie = "a cookie deleted"
		}
	}
	return fmt.Sprintf("%d %q, %s", a.status, a.text, cookie)
}

// says tells whether this is the answer 200 with that text and without a cookie.
func (a answer) says(text string) bool {
	return a.err == nil && a.status == http.StatusOK && a.text == text && a.cookie == nil
}

// refused tells whether this is the error page of that status, without a cookie.
func (a answer) refused(status int) bool {
	return a.err == nil && a.status == status && a.cookie == nil
}

// A browser is a client with a cookie.
type browser struct {
	client *http.Client
	cookie string // "name=value", or empty
}

func newBrowser() *browser {
	return &browser{client: &http.Client{Timeout: 2 * patience, Transport: transport}}
}

var transport = &http.Transport{MaxIdleConnsPerHost: 300, DisableCompression: true}

// as returns another client that sends the same cookie.
func (b *browser) as() *browser { return &browser{b.client, b.cookie} }

// get sends a request and keeps the cookie that it may bring.
func (b *browser) get(url string) answer {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", b.cookie)
	}
	res, err := b.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	a := answer{err: err, status: res.StatusCode, text: string(text)}
	for _, c := range res.Cookies() {
		if c.Name == "sid" {
			a.cookie = c
			b.cookie = c.Name + "=" + c.Value
			if c.MaxAge < 0 {
				b.cookie = ""
			}
		}
	}
	return a
}

// begin sends the first request of a visitor and checks that it sets a cookie.
func (b *browser) begin(t *testing.T, url string) {
	t.Helper()
	if a := b.get(url); a.err != nil || a.status != http.StatusOK || a.cookie == nil || a.cookie.MaxAge < 0 {
		t.Fatalf("%s: %v, want 200 and a cookie", url, a)
	}
}

// expect checks an answer that sets no cookie.
func (b *browser) expect(t *testing.T, url, text string) {
	t.Helper()
	if a := b.get(url); !a.says(text) {
		t.Fatalf("%s: %v, want 200 %q, no cookie", url, a, text)
	}
}

// number returns the number that is the answer.
func (b *browser) number(t *testing.T, url string) int {
	t.Helper()
	a := b.get(url)
	n, err := strconv.Atoi(a.text)
	if a.err != nil || a.status != http.StatusOK || err != nil {
		t.Fatalf("%s: %v, want a number", url, a)
	}
	return n
}

// fetch decodes what an address of the test's own answers.
func fetch(t *testing.T, url string, to any) {
	t.Helper()
	a := newBrowser().get(url)
	if a.err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %v", url, a)
	}
	if err := json.Unmarshal([]byte(a.text), to); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// inParallel calls do in n goroutines.
func inParallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

package adaptertest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

const (
	secret    = "the first secret of the adapter suite"
	newSecret = "the secret that takes its place later on"

	// marker is in every answer that must not leave when the commit fails.
	marker = "what-the-handler-wrote"
)

// A scene is one run of a scenario: a store, what is configured, and what was
// said so far.
type scene struct {
	testing.TB
	fw       Framework
	store    *spy
	cfg      core.Config   // for the Manager that serve makes
	m        *core.Manager // which is this one
	patience time.Duration
	over     chan struct{} // closed when the scenario is

	around func(http.Handler) http.Handler // around the framework
	tls    bool
	header bool // the client has tokens in a header, see carrier.go
	noise  bool // the framework is known to have the server complain

	empty func() store.Store // returns one more store

	latest atomic.Pointer[http.Request] // that reached the server, see afterwards

	url       string // of the server that was started last
	transport *http.Transport
	log       buffer // of Config.Logger
	serverLog buffer
	bodies    buffer
}

func newScene(tb testing.TB, fw Framework, st store.Store, patience time.Duration) *scene {
	s := &scene{TB: tb, fw: fw, store: newSpy(st), patience: patience, over: make(chan struct{})}
	s.cfg = core.Config{
		Store:   s.store.able(),
		Secrets: []string{secret},
		Logger:  slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),

		StoreTimeout: patience, // with the default, requests fail on a machine that is busy
	}
	if fw.sealed {
		s.cfg.Sealed, s.cfg.Store = &core.SealedCookie{Ends: s.cfg.Store}, nil
	}
	s.transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	tb.Cleanup(s.transport.CloseIdleConnections)
	return s
}

func (s *scene) play(sc scenario) {
	s.Helper()
	sc.play(s)
	s.end()
}

// end checks what no scenario may do.
func (s *scene) end() {
	s.Helper()
	s.discreet()
	if text := s.serverLog.String(); !s.noise && text != "" {
		s.Fatalf("the server complained: %s", text)
	}
}

// discreet checks that nothing that was said contains a session's id or a secret.
func (s *scene) discreet() {
	s.Helper()
	for where, said := range map[string]*buffer{"the log": &s.log, "the server's log": &s.serverLog, "a body": &s.bodies} {
		for _, id := range s.store.known() {
			if said.contains(id) {
				s.Errorf("%s contains the id of a session", where)
			}
		}
		for _, text := range []string{secret, newSecret} {
			if said.contains(text) {
				s.Errorf("%s contains a secret", where)
			}
		}
	}
}

// manager returns a Manager by s.cfg as it is now.
func (s *scene) manager() *core.Manager {
	s.Helper()
	m, err := core.New(s.cfg)
	if err != nil {
		s.Fatalf("New: %v", err)
	}
	return m
}

// serve starts an app with sessions in front of everything, with these routes
// and the usual ones.
func (s *scene) serve(routes ...Route) {
	s.Helper()
	s.m = s.manager()
	s.start(App{Use: []Middleware{{Session: s.m}}, Groups: []Group{{Routes: append(routes, usual()...)}}})
}

// start starts a server for the app.
func (s *scene) start(app App) {
	s.Helper()
	for _, g := range app.Groups {
		for i := range g.Routes {
			h := g.Routes[i].Handler
			g.Routes[i].Handler = func(c *Context) error { return h(c.withDefaults()) }
		}
	}
	h := s.fw.Serve(s.TB, app)
	if s.around != nil {
		h = s.around(h)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(&s.serverLog, "", 0)
	srv.Config.MaxHeaderBytes = 8 << 20
	if s.tls {
		srv.EnableHTTP2 = true
		srv.StartTLS()
		s.transport.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
		s.transport.ForceAttemptHTTP2 = true
	} else {
		srv.Start()
	}
	addr := srv.Listener.Addr().String()
	s.url = srv.URL
	if s.tls { // the certificate is for this name
		s.url = "https://example.com"
		s.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	s.Cleanup(srv.Close)
	s.Cleanup(sync.OnceFunc(func() { // before that: let handlers go that still wait
		select {
		case <-s.over:
		default:
			close(s.over)
		}
		srv.CloseClientConnections()
	}))
}

// live returns how many sessions there are, and what is wanted where nobody can tell,
// because they are in their cookies.
func (s *scene) live(want int) int {
	if s.fw.sealed {
		return want
	}
	return s.store.live()
}

// at is the route of a handler.
func at(path string, h Handler) Route { return Route{Path: path, Handler: h} }

const count core.Key[int] = "count"

// usual are the handlers that most scenarios need.
func usual() []Route {
	return []Route{
		at("/static", func(c *Context) error { return c.String(http.StatusOK, "static") }),
		at("/count", func(c *Context) error {
			n := count.Update(c.Get(), func(n int) int { return n + 1 })
			return c.JSON(http.StatusOK, n)
		}),
		at("/read", func(c *Context) error { return c.JSON(http.StatusOK, count.Get(c.Get())) }),
		at("/login", func(c *Context) error {
			s := c.Get()
			if err := s.Renew(); err != nil {
				return err
			}
			s.Set("user", c.Request.FormValue("user"))
			return c.String(http.StatusOK, "hello")
		}),
		at("/me", func(c *Context) error {
			user, _ := c.Get().Get("user").(string)
			return c.String(http.StatusOK, "user="+user)
		}),
		at("/logout", func(c *Context) error {
			if err := c.Get().Destroy(c.Request.Context()); err != nil {
				return err
			}
			return c.String(http.StatusOK, "bye")
		}),
	}
}

// A gate holds a handler until it is opened.
type gate struct {
	s       *scene
	arrived chan struct{}
	open    chan struct{}
}

func (s *scene) gate() *gate {
	return &gate{s, make(chan struct{}, 100), make(chan struct{})}
}

// pass is for the handler: it waits until the gate is opened.
func (g *gate) pass() {
	g.arrived <- struct{}{}
	g.s.pause(g.open)
}

// await waits until a handler is at the gate.
func (g *gate) await() {
	g.s.Helper()
	g.s.await(g.arrived, "a handler to begin")
}

// release opens the gate.
func (g *gate) release() { close(g.open) }

// await waits for something that has to happen.
func (s *scene) await(c <-chan struct{}, what string) {
	s.Helper()
	select {
	case <-c:
	case <-time.After(s.patience):
		s.Fatalf("waited in vain for %s", what)
	}
}

// pause is await for handlers.
func (s *scene) pause(c <-chan struct{}) {
	select {
	case <-c:
	case <-s.over:
	case <-time.After(2 * s.patience):
	}
}

// answer waits for the reply to a request that was started.
func (s *scene) answer(got <-chan *reply) *reply {
	s.Helper()
	select {
	case r := <-got:
		return r
	case <-time.After(2 * s.patience):
		s.Fatalf("waited in vain for a response")
		return nil
	}
}

// dial opens a connection of its own to the server.
func (s *scene) dial() net.Conn {
	s.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		s.Fatalf("url: %v", err)
	}
	conn, err := new(net.Dialer).DialContext(s.Context(), "tcp", u.Host)
	if err != nil {
		s.Fatalf("dial: %v", err)
	}
	_ = conn.SetDeadline(time.Now().Add(s.patience)) // a connection has deadlines
	s.Cleanup(func() { _ = conn.Close() })
	return conn
}

// logged checks that the log tells about something.
func (s *scene) logged(text string) {
	s.Helper()
	if !s.log.contains(text) {
		s.Fatalf("the log does not say %q: %s", text, s.log.String())
	}
}

// sign returns the Cookie header for an id, as its owner would send it.
func sign(key, id string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id))
	signed := "s:" + id + "." + base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
	return "sid=" + strings.ReplaceAll(url.QueryEscape(signed), "+", "%20")
}

// A buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *buffer) contains(s string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.buf.Bytes(), []byte(s))
}

// brief returns text for a message.
func brief(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

const stageSecret = "a secret of more than thirty-two bytes"

// A stage is a Manager with its scenery: a clock that stands still until it is
// moved, a store that writes down what it is asked, a log that can be read, and
// a server on the network.
type stage struct {
	*core.Manager
	t      testing.TB
	clock  *stageClock
	store  *stageStore
	log    *stageLog
	events *stageEvents
	name   string
	server *httptest.Server

	handler func(http.ResponseWriter, *http.Request) // of the visit that is under way
}

// newStage sets Store, Secrets, Now, Logger and Observer where cfg leaves them
// open.
func newStage(t testing.TB, cfg core.Config) *stage {
	t.Helper()
	st := &stage{t: t, clock: newStageClock(), log: &stageLog{}, events: &stageEvents{}, name: "sid"}
	st.store = &stageStore{Store: &mapstore.Store{Now: st.clock.Now}, ids: map[string]bool{}, data: map[string]bool{}, touching: make(chan struct{}, 100)}
	if cfg.Store == nil && cfg.Sealed == nil {
		cfg.Store = st.store
	}
	if cfg.Secrets == nil {
		cfg.Secrets = []string{stageSecret}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(st.log, nil))
	}
	if cfg.Observer == nil {
		cfg.Observer = st.events
	}
	cfg.Now = st.clock.Now
	if cfg.Cookie.Name != "" {
		st.name = cfg.Cookie.Name
	}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	st.Manager = m
	st.server = httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st.handler(w, r)
	})))
	t.Cleanup(func() {
		st.server.Close()
		st.discreet(cfg)
	})
	return st
}

// discreet checks that neither the log nor an error that the Observer was told
// holds an id, a secret or a value of a session.
func (st *stage) discreet(cfg core.Config) {
	st.t.Helper()
	said := st.log.String() + st.events.said()
	secrets := slices.Concat(slices.Collect(st.store.seen()), cfg.Secrets, cfg.SealKeys, cfg.RetiredSealKeys, st.store.values())
	for _, secret := range secrets {
		if len(secret) > 5 && strings.Contains(said, secret) { // shorter ones are words
			st.t.Errorf("the log or an error has %q in it:\n%s", secret, said)
		}
	}
	if suite.Suspicious(said) {
		st.t.Errorf("the log or an error has something secret in it:\n%s", said)
	}
}

// restarted is another Manager on the same store and under the same clock: the
// process after a deployment with other settings.
func (st *stage) restarted(cfg core.Config) *stage {
	st.t.Helper()
	cfg.Store = st.store
	next := newStage(st.t, cfg)
	next.clock.follow(st.clock)
	next.store = st.store
	return next
}

// An answer is what a client got.
type answer struct {
	status    int
	header    http.Header
	body      string
	setCookie string // the Set-Cookie line with the session's name, or empty
	cookie    string // what a browser now has as "name=value": empty after a deletion
}

// visit sends a request and lets fn handle it. cookie is what stands in the
// Cookie header; it is left out when empty.
func (st *stage) visit(cookie string, fn func(s *core.Session)) answer {
	st.t.Helper()
	return st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
		if s := core.FromContext(r.Context()); fn != nil {
			fn(s)
		}
	})
}

// request is visit for handlers that want more than the session.
func (st *stage) request(cookie string, h http.HandlerFunc, edit ...func(*http.Request)) answer {
	st.t.Helper()
	st.handler = h
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, st.server.URL, http.NoBody)
	if err != nil {
		st.t.Fatal(err)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	for _, f := range edit {
		f(r)
	}
	client := *st.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		st.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body), cookie: cookie}
	for _, line := range resp.Header["Set-Cookie"] {
		if strings.HasPrefix(line, st.name+"=") {
			a.setCookie = line
			a.cookie, _, _ = strings.Cut(line, ";")
			if strings.Contains(line, "Max-Age=0") {
				a.cookie = ""
			}
		}
	}
	return a
}

// signIn makes a session with the key user and returns its cookie.
func (st *stage) signIn() string {
	st.t.Helper()
	a := st.visit("", func(s *core.Session) { s.Set("user", "ada") })
	if a.status != http.StatusOK || a.cookie == "" {
		st.t.Fatalf("sign-in: status %d, cookie %q", a.status, a.cookie)
	}
	return a.cookie
}

// idOf returns the id of the session that a cookie leads to.
func (st *stage) idOf(cookie string) string {
	st.t.Helper()
	_, value, _ := strings.Cut(cookie, "=")
	s, err := st.Load(st.t.Context(), value)
	if err != nil {
		st.t.Fatal(err)
	}
	if s.Status() != core.StatusLoaded {
		st.t.Fatalf("cookie leads to a session that is %v", s.Status())
	}
	return s.ID()
}

// put stores data as an Express app would and returns the cookie for it.
func (st *stage) put(id, data string) string {
	st.t.Helper()
	rec := store.Record{ID: id, Data: []byte(data), TTL: time.Hour}
	if err := st.store.Store.Create(st.t.Context(), rec); err != nil {
		st.t.Fatal(err)
	}
	return st.name + "=" + core.Sign(stageSecret, id)
}

// stored returns what the store holds under id, or an empty string.
func (st *stage) stored(id string) string {
	st.t.Helper()
	rec, err := st.store.Store.Load(st.t.Context(), id)
	if err != nil {
		return ""
	}
	return string(rec.Data)
}

// A stageClock is a clock that is moved by hand.
type stageClock struct {
	mu     sync.Mutex
	now    time.Time
	source *stageClock
}

func newStageClock() *stageClock {
	return &stageClock{now: time.Date(2026, 11, 21, 8, 29, 14, 0, time.UTC)}
}

func (c *stageClock) Now() time.Time {
	c.mu.Lock()
	source, now := c.source, c.now
	c.mu.Unlock()
	if source != nil {
		return source.Now()
	}
	return now
}

func (c *stageClock) advance(d time.Duration) { c.set(c.Now().Add(d)) }

func (c *stageClock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source != nil {
		c.source.set(now)
		return
	}
	c.now = now
}

func (c *stageClock) follow(other *stageClock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = other
}

// A stageStore writes down what it is asked.
type stageStore struct {
	store.Store
	mu    sync.Mutex
	calls []stageCall
	ids   map[string]bool // every id that it ever saw
	data  map[string]bool // and all data that it was given
	fail  map[string]error

	touching chan struct{} // a value for each Touch that was called, as long as there is room
}

type stageCall struct {
	verb string
	id   string
	ttl  time.Duration
	data string
}

// note writes down a call, and fails it if it is to fail.
func (s *stageStore) note(c stageCall) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	s.ids[c.id] = true
	if c.data != "" {
		s.data[c.data] = true
	}
	return s.fail[c.verb]
}

// failWith makes a verb fail from now on, until err is nil.
func (s *stageStore) failWith(verb string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.fail = map[string]error{}
	}
	s.fail[verb] = err
}

// took returns the calls since the last time. An extension that ran beside the
// first load comes after it.
func (s *stageStore) took() []stageCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	if len(calls) > 1 && calls[0].verb == "touch" && calls[1].verb == "load" {
		calls[0], calls[1] = calls[1], calls[0]
	}
	return calls
}

// verbs is took without the details.
func (s *stageStore) verbs() string {
	var verbs []string
	for _, c := range s.took() {
		verbs = append(verbs, c.verb)
	}
	return strings.Join(verbs, " ")
}

// values returns the texts that were stored under the keys of an app.
func (s *stageStore) values() (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	for data := range s.data {
		var record map[string]any
		if json.Unmarshal([]byte(data), &record) == nil {
			delete(record, "cookie")
			walk(record)
		}
	}
	return texts
}

func (s *stageStore) seen() iter.Seq[string] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Keys(maps.Clone(s.ids))
}

func (s *stageStore) Load(ctx context.Context, id string) (store.Record, error) {
	if err := s.note(stageCall{verb: "load", id: id}); err != nil {
		return store.Record{}, err
	}
	return s.Store.Load(ctx, id)
}

func (s *stageStore) Create(ctx context.Context, rec store.Record) error {
	if err := s.note(stageCall{"create", rec.ID, rec.TTL, string(rec.Data)}); err != nil {
		return err
	}
	return s.Store.Create(ctx, rec)
}

func (s *stageStore) Update(ctx context.Context, old, next store.Record) error {
	if err := s.note(stageCall{"update", next.ID, next.TTL, string(next.Data)}); err != nil {
		return err
	}
	return s.Store.Update(ctx, old, next)
}

func (s *stageStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	err := s.note(stageCall{verb: "touch", id: id, ttl: ttl})
	select {
	case s.touching <- struct{}{}:
	default:
	}
	if err != nil {
		return err
	}
	return s.Store.Touch(ctx, id, ttl)
}

func (s *stageStore) Delete(ctx context.Context, id string) error {
	if err := s.note(stageCall{verb: "delete", id: id}); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id)
}

// Remove is written down as a Delete: which of the two it is, is the store's affair.
func (s *stageStore) Remove(ctx context.Context, old store.Record) error {
	if err := s.note(stageCall{verb: "delete", id: old.ID}); err != nil {
		return err
	}
	return removeFrom(ctx, s.Store, old)
}

// A stageLog is a log that can be read.
type stageLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *stageLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *stageLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// count tells how many lines contain text.
func (l *stageLog) count(text string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// stageEvents counts what the Observer is told.
type stageEvents struct {
	mu    sync.Mutex
	kinds map[core.EventKind]int
	text  strings.Builder
}

func (e *stageEvents) Observe(_ context.Context, event core.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kinds == nil {
		e.kinds = map[core.EventKind]int{}
	}
	e.kinds[event.Kind]++
	if event.Err != nil {
		e.text.WriteString(event.Err.Error() + "\n")
	}
}

// said returns the texts of all errors.
func (e *stageEvents) said() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String()
}

func (e *stageEvents) count(kind core.EventKind) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.kinds[kind]
}

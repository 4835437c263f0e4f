// Package valkeytopology tests the Valkey store where servers die, move, refuse
// and are replaced, under load and without a restart of the application. Each
// test prints what it measured (go test -v).
//
// Every server here belongs to the test; package servers starts them.
package valkeytopology

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// storeTimeout is Config.StoreTimeout of most applications here. A request waits
// for the store at most twice, when it loads and when it commits, and a logout
// once more for each time that it tries.
const (
	storeTimeout = time.Second
	slack        = servers.Patience / 2 // of a machine that has other things to do
)

const hits core.Key[int] = "hits"

// An app is an application with sessions in a store.
type app struct {
	t       testing.TB
	store   store.Store
	timeout time.Duration // Config.StoreTimeout
	handler http.Handler

	mu       sync.Mutex
	failures map[string]int // by status and class
	longest  time.Duration  // that a refused request took
	wrong    []string
}

// client returns a client that is closed when the test is over.
func client(t testing.TB, o valkey.ClientOption) valkey.Client {
	t.Helper()
	o.ReadBufferEachConn, o.WriteBufferEachConn, o.RingScaleEachConn = 32<<10, 32<<10, 8
	c, err := valkey.NewClient(o)
	if err != nil {
		t.Fatalf("valkey.NewClient: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func newStore(t testing.TB, c valkey.Client, o valkeystore.Options) *valkeystore.Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = "sess:" + rand.Text() + ":"
	}
	s, err := valkeystore.New(c, o)
	if err != nil {
		t.Fatalf("valkeystore.New: %v", err)
	}
	return s
}

func newApp(t testing.TB, st store.Store) *app {
	t.Helper()
	return newAppWithin(t, st, storeTimeout)
}

// newPatientApp is newApp for servers that get well in time: no machine is too slow for it.
func newPatientApp(t testing.TB, st store.Store) *app {
	t.Helper()
	return newAppWithin(t, st, servers.Patience)
}

func newAppWithin(t testing.TB, st store.Store, timeout time.Duration) *app {
	t.Helper()
	a := &app{t: t, store: st, timeout: timeout, failures: make(map[string]int)}
	manager, err := core.New(core.Config{
		Store: st, Secrets: []string{strings.Repeat("secret", 8)}, StoreTimeout: timeout,
		TouchInterval: core.EveryRequest,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			a.note(err)
			w.WriteHeader(core.HTTPStatus(err))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		s.Renew()
		hits.Set(s, 0)
	})
	mux.HandleFunc("/add", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if s.Status() != core.StatusLoaded {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		hits.Update(s, func(n int) int { return n + 1 })
	})
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if s.Status() != core.StatusLoaded {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		n, err := hits.Lookup(s)
		if err != nil {
			a.says("a session without its data: %v", err)
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		err := s.Destroy(r.Context())
		if err != nil { // as an app may do: it wants to be sure
			a.note(err)
			err = s.Destroy(r.Context())
		}
		if err != nil {
			a.note(err)
			w.WriteHeader(core.HTTPStatus(err))
		}
	})
	a.handler = manager.Handler(mux)
	return a
}

// note counts a failure by its class, and looks whether it is one of those that
// there may be.
func (a *app) note(err error) {
	if suite.Suspicious(err.Error()) {
		a.t.Errorf("an error looks as if it had an id, a cookie or a record in it: %v", err)
	}
	var failure *store.Error
	class := "no class"
	if errors.As(err, &failure) {
		class = failure.Verb + ": " + failure.Class
	}
	switch {
	case errors.Is(err, core.ErrUnknownOutcome):
		class = "unknown outcome, " + class
	case errors.Is(err, store.ErrConflict):
		class = "conflict"
	case errors.Is(err, core.ErrSessionGone):
		class = "session gone"
	case failure == nil:
		a.says("an error that is none of the store: %v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures[strconv.Itoa(core.HTTPStatus(err))+" "+class]++
}

// says notes what must not happen.
func (a *app) says(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

// check fails the test for what must not have happened, and returns how many
// requests failed in which ways.
func (a *app) check() string {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.wrong[:min(10, len(a.wrong))] {
		a.t.Error(w)
	}
	var list []string
	for _, class := range slices.Sorted(maps.Keys(a.failures)) {
		list = append(list, fmt.Sprintf("%d of %q", a.failures[class], class))
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ") + fmt.Sprintf(", none of which took longer than %v", a.longest.Round(time.Millisecond))
}

// get sends a request and returns the status, the body and the new cookie.
func (a *app) get(path, cookie string) (status int, body, newCookie string) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	begin := time.Now()
	a.handler.ServeHTTP(w, r)
	took := time.Since(begin)
	if w.Code == http.StatusServiceUnavailable {
		a.mu.Lock()
		a.longest = max(a.longest, took)
		a.mu.Unlock()
	}
	if most := 2*a.timeout + slack; path != "/logout" && took > most || took > 2*most {
		a.says("%s took %v with a StoreTimeout of %v", path, took, a.timeout)
	}
	if set := w.Header().Get("Set-Cookie"); set != "" {
		newCookie, _, _ = strings.Cut(set, ";")
		if w.Code >= 500 && path != "/logout" { // which may succeed after it failed
			a.says("a failed response of %s sets a cookie", path)
		}
	}
	return w.Code, w.Body.String(), newCookie
}

// login returns the cookie of a new session; it is tried until it works.
func (a *app) login() string {
	a.t.Helper()
	var cookie string
	servers.Await(a.t, "a login", func() error {
		status, _, c := a.get("/login", "")
		if cookie = c; status != http.StatusOK || c == "" {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	return cookie
}

// A visitor is a session that many requests use at once.
type visitor struct {
	cookie  string
	acked   atomic.Int64 // additions that were answered with 200
	unknown atomic.Int64 // additions that failed, and may have been applied
}

// A load is what visitors do all the time, until it is stopped.
type load struct {
	*app
	visitors []*visitor
	lossy    bool // the servers may lose what they acknowledged: it is counted, but no fault

	requests, refused, logins atomic.Int64
	behind, gone              atomic.Int64 // reads that did not see what was acknowledged

	mu     sync.Mutex
	lastOK time.Time
	outage time.Duration // the longest time without a success

	stop    context.CancelFunc
	workers sync.WaitGroup
}

// begin starts a load with so many sessions and so many clients.
func (a *app) begin(sessions, clients int, lossy bool) *load {
	a.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{app: a, lossy: lossy, stop: stop, lastOK: time.Now()}
	for range sessions {
		l.visitors = append(l.visitors, &visitor{cookie: a.login()})
	}
	a.t.Cleanup(func() { stop(); l.workers.Wait() })
	for i := range clients {
		l.workers.Go(func() { l.work(ctx, i) })
	}
	return l
}

func (l *load) work(ctx context.Context, n int) {
	for ctx.Err() == nil {
		n++
		v := l.visitors[n%len(l.visitors)]
		switch {
		case n%16 == 0:
			l.newVisitor()
		case n%3 == 0:
			l.read(v)
		default:
			l.add(v)
		}
	}
}

// succeeded reports whether a status is 200. Anything but that and 503 is a fault.
func (l *load) succeeded(path string, status int) bool {
	l.requests.Add(1)
	switch status {
	case http.StatusOK:
		l.mu.Lock()
		l.outage, l.lastOK = max(l.outage, time.Since(l.lastOK)), time.Now()
		l.mu.Unlock()
		return true
	case http.StatusServiceUnavailable:
		l.refused.Add(1)
		<-time.After(time.Millisecond) // a refusal may come fast
		return false
	case http.StatusUnauthorized, http.StatusConflict:
		l.gone.Add(1)
		if !l.lossy {
			l.says("%s: status %d for a session that nobody ended", path, status)
		}
		return false
	}
	l.says("%s: status %d", path, status)
	return false
}

func (l *load) add(v *visitor) {
	v.unknown.Add(1) // until it is known
	status, _, _ := l.get("/add", v.cookie)
	if l.succeeded("/add", status) {
		v.acked.Add(1)
		v.unknown.Add(-1)
	} else if status != http.StatusServiceUnavailable {
		v.unknown.Add(-1)
	}
}

func (l *load) read(v *visitor) {
	acked := v.acked.Load()
	status, body, _ := l.get("/read", v.cookie)
	if l.succeeded("/read", status) {
		l.compare(body, acked)
	}
}

func (l *load) compare(body string, acked int64) {
	if n, err := strconv.ParseInt(body, 10, 64); err != nil {
		l.says("/read: %v", err)
	} else if n < acked {
		l.behind.Add(1)
		if !l.lossy {
			l.says("a read saw %d after %d additions were acknowledged", n, acked)
		}
	}
}

// newVisitor is a login, an addition, a look at it and a logout.
func (l *load) newVisitor() {
	status, _, cookie := l.get("/login", "")
	if !l.succeeded("/login", status) {
		return
	}
	l.logins.Add(1)
	v := &visitor{cookie: cookie}
	l.add(v)
	l.read(v)
	status, _, _ = l.get("/logout", cookie)
	if !l.succeeded("/logout", status) || l.lossy {
		return
	}
	if status, _, _ = l.get("/read", cookie); status == http.StatusOK {
		l.says("a session can be used after its logout was acknowledged")
	}
}

// more waits until so many requests more have succeeded.
func (l *load) more(n int64) {
	l.t.Helper()
	servers.AwaitMore(l.t, "successful requests", n, func() int64 { return l.requests.Load() - l.refused.Load() })
}

// refusals waits until so many requests more have failed.
func (l *load) refusals(n int64) {
	l.t.Helper()
	servers.AwaitMore(l.t, "refused requests", n, l.refused.Load)
}

// end stops the load, compares what is stored with what was acknowledged, and
// logs the figures.
func (l *load) end() {
	l.t.Helper()
	l.stop()
	l.workers.Wait()
	var acked, lost, gone int64
	for _, v := range l.visitors {
		acked += v.acked.Load()
		var n int64
		var status int
		servers.Await(l.t, "the sessions after the load", func() error {
			var body string
			if status, body, _ = l.get("/read", v.cookie); status == http.StatusServiceUnavailable {
				return errors.New("status 503")
			}
			n, _ = strconv.ParseInt(body, 10, 64)
			return nil
		})
		if status != http.StatusOK {
			gone++
			lost += v.acked.Load()
			continue
		}
		lost += max(0, v.acked.Load()-n)
		if most := v.acked.Load() + v.unknown.Load(); n > most {
			l.t.Errorf("%d additions are stored, of %d that were acknowledged and %d that may have been applied", n, v.acked.Load(), v.unknown.Load())
		}
	}
	failures := l.check()
	l.t.Logf("%d requests, %d logins, longest time without a success %v; failed: %s", l.requests.Load(), l.logins.Load(), l.outage.Round(time.Millisecond), failures)
	l.t.Logf("%d acknowledged additions, %d lost; %d of %d sessions lost; %d reads behind, %d answers \"no such session\"",
		acked, lost, gone, len(l.visitors), l.behind.Load(), l.gone.Load())
	if !l.lossy && lost != 0 {
		l.t.Errorf("%d acknowledged additions are lost", lost)
	}
	if acked == 0 {
		l.t.Error("nothing was acknowledged")
	}
}

package promises

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/process"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// Main is what TestMain calls. A process opens its store from what the test put
// into Setup.Store, as JSON. Where a store reads from a cache, fresh makes it
// read past that, for requests with "?fresh".
func Main(m *testing.M, open func(settings json.RawMessage) (store.Store, error), fresh func(context.Context) context.Context) {
	process.Run(func(settings json.RawMessage) (http.Handler, error) { return newProcess(settings, open, fresh) })
	suite.MainWaiting(m)
}

// A Setup is what a process is told.
type Setup struct {
	Framework    string
	Store        any           // how it is opened: can be JSON
	StoreTimeout time.Duration // 0: servers.Patience
	Private      bool          // HashIDs and SealKeys are set

	MaxSessionsPerUser int
	AtUserLimit        core.AtUserLimit
}

// events counts what core tells.
type events struct {
	mu sync.Mutex
	n  map[core.EventKind]int
}

func (e *events) Observe(_ context.Context, event core.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n[event.Kind]++
}

// newProcess returns what a process serves.
func newProcess(settings json.RawMessage, open func(json.RawMessage) (store.Store, error), fresh func(context.Context) context.Context) (http.Handler, error) {
	var raw json.RawMessage
	s := Setup{Store: &raw}
	if err := json.Unmarshal(settings, &s); err != nil {
		return nil, err
	}
	st, err := open(raw)
	if err != nil {
		return nil, err
	}
	return s.serve(st, fresh)
}

// serve returns what a process serves on its store.
func (s Setup) serve(st store.Store, fresh func(context.Context) context.Context) (http.Handler, error) {
	seen := &events{n: make(map[core.EventKind]int)}
	cfg := core.Config{
		Store: st, Secrets: secrets, StoreTimeout: cmp.Or(s.StoreTimeout, servers.Patience), Observer: seen,
		MaxSessionsPerUser: s.MaxSessionsPerUser, AtUserLimit: s.AtUserLimit,
	}
	if s.Private {
		cfg.HashIDs, cfg.SealKeys = true, suite.Hide("one key for all the processes of a test")
	}
	m, err := core.New(cfg)
	if err != nil {
		return nil, err
	}
	var fw frameworks.Named
	for _, f := range frameworks.All() {
		if f.Name == s.Framework {
			fw = f
		}
	}
	held := newGate()
	app := Serve(fw, m, append(userRoutes(m), At("/hold-write", func(c *adaptertest.Context) error {
		sess := c.Get()
		held.pass()
		count.Update(sess, next)
		return Say(c, "stored")
	}), At("/hold-signin", func(c *adaptertest.Context) error {
		attempt, err := c.Get().BeginSignIn(c.Request.Context(), c.Request.FormValue("user"))
		if err != nil {
			return fail(c, err)
		}
		held.pass()
		if err := attempt.SignIn(c.Request.Context(), "password"); err != nil {
			return fail(c, err)
		}
		return Say(c, "hello")
	}))...)
	mux := http.NewServeMux()
	mux.HandleFunc("/-/held", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, held.waiting()) })
	mux.HandleFunc("/-/release", func(http.ResponseWriter, *http.Request) { held.release() })
	mux.HandleFunc("/-/events", func(w http.ResponseWriter, _ *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		_ = json.NewEncoder(w).Encode(seen.n) // the test misses it
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if fresh != nil && r.URL.Query().Has("fresh") {
			r = r.WithContext(fresh(r.Context()))
		}
		app.ServeHTTP(w, r)
	})
	return mux, nil
}

// A Process is one of the app's.
type Process struct{ URL string }

// Start starts a process, which ends with the test.
func Start(t *testing.T, s Setup) *Process {
	t.Helper()
	return &Process{process.Start(t, s).URL}
}

// StartThree starts three processes with the same settings, by Gin, Echo and
// net/http.
func StartThree(t *testing.T, s Setup) []*Process {
	t.Helper()
	return three(s, func(s Setup) *Process { return Start(t, s) })
}

// three makes one process by each framework.
func three(s Setup, start func(Setup) *Process) (all []*Process) {
	for _, name := range []string{"Gin", "Echo v4", "net/http"} {
		s.Framework = name
		all = append(all, start(s))
	}
	return all
}

// Happened returns how often something happened in the processes.
func Happened(t *testing.T, all []*Process, kind core.EventKind) int {
	t.Helper()
	sum := 0
	for _, p := range all {
		var n map[core.EventKind]int
		fetch(t, p.URL+"/-/events", &n)
		sum += n[kind]
	}
	return sum
}

// held returns how many requests the processes hold.
func held(t *testing.T, all []*Process) int {
	t.Helper()
	sum := 0
	for _, p := range all {
		var n int
		fetch(t, p.URL+"/-/held", &n)
		sum += n
	}
	return sum
}

// release lets all of them go.
func release(t *testing.T, all []*Process) {
	t.Helper()
	InParallel(len(all), func(i int) {
		if a := NewBrowser().Get(all[i].URL + "/-/release"); a.Err != nil || a.Status != http.StatusOK {
			t.Errorf("release: %v", a)
		}
	})
}

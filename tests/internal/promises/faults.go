package promises

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
)

// A Network is what stands between an app and its server, and goes wrong. Its
// subtests share the server, so they run one after the other.
type Network struct {
	Proxy   Proxy
	Through store.Store // what the app uses, by way of Proxy
	Direct  Store       // the same sessions, past it

	t    *testing.T
	url  string
	calm string // of another process of the app, which nothing happens to

	struck strike
	ofList func(faultproxy.Command) bool // reports whether a command is about a list; nil: none is

	mu   sync.Mutex
	errs []error // that requests failed with
}

// A Proxy is what makes it go wrong: a faultproxy.Proxy, or what does the same to
// the calls of a store in memory.
type Proxy interface {
	On(before func(faultproxy.Command) faultproxy.Fault)
	Cut()
	Down(down bool)
	ReleaseLate()
}

const silence = 500 * time.Millisecond // how long the app waits for a server that says nothing

// serve serves the app.
func (n *Network) serve(t *testing.T, timeout time.Duration) {
	t.Helper()
	n.t = t
	cfg := core.Config{
		Store: n.Through, StoreTimeout: timeout,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			n.mu.Lock()
			n.errs = append(n.errs, err)
			n.mu.Unlock()
			if suite.Suspicious(err.Error()) {
				t.Errorf("an error looks as if it had an id, a cookie or a record in it: %v", err)
			}
			w.WriteHeader(core.HTTPStatus(err))
		},
	}
	mux := http.NewServeMux()
	app := func() http.Handler {
		m := ManagerOn(t, cfg)
		return Serve(frameworks.All()[0], m, append(userRoutes(m), At("/leave", func(c *adaptertest.Context) error {
			_ = c.Get().Destroy(c.Request.Context()) // the response fails by itself if that fails
			return Say(c, "bye")
		}), At("/reload", func(c *adaptertest.Context) error {
			if err := c.Get().Reload(c.Request.Context()); err != nil {
				return fail(c, err)
			}
			return Say(c, count.Get(c.Get()))
		}))...)
	}
	mux.Handle("/", app())
	mux.Handle("/other/", http.StripPrefix("/other", app())) // as another process would
	cfg.TouchInterval = core.EveryRequest
	mux.Handle("/touching/", http.StripPrefix("/touching", app()))
	cfg.TouchInterval, cfg.StoreTimeout = 0, ample
	mux.Handle("/patient/", http.StripPrefix("/patient", app())) // which waits for a client to get well
	if _, ok := n.Through.(store.UserIndexer); ok {
		cfg.StoreTimeout, cfg.MaxSessionsPerUser = timeout, 1
		mux.Handle("/alone/", http.StripPrefix("/alone", app()))
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	n.url = srv.URL
	n.visitor("/count /login /large /count") // what a store does once, such as loading a script, is done now
	if err := n.Direct.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// serveCalmly serves the app past what goes wrong, with all the time that it takes.
func (n *Network) serveCalmly(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	app := func(most int) http.Handler {
		m := ManagerOn(t, core.Config{Store: n.Direct, MaxSessionsPerUser: most})
		return Serve(frameworks.All()[0], m, userRoutes(m)...)
	}
	mux.Handle("/", app(0))
	mux.Handle("/alone/", http.StripPrefix("/alone", app(1)))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	n.calm = srv.URL
}

// last returns the error of the request that failed last.
func (n *Network) last() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.errs) == 0 {
		return nil
	}
	return n.errs[len(n.errs)-1]
}

// stored returns how many sessions are stored, and how many retired ones.
func (n *Network) stored() (live, retired int) {
	n.t.Helper()
	for rec, err := range n.Direct.All(context.Background()) {
		switch {
		case err != nil:
			n.t.Fatalf("All: %v", err)
		case strings.Contains(string(rec.Data), `"retired":`):
			retired++
		default:
			live++
		}
	}
	return live, retired
}

// A Trouble is a command that a fault happens to.
type Trouble struct {
	Name    string
	Begin   string // what the visitor asks for first: paths with spaces between
	Path    string // the request in trouble
	Command string
	Nth     int    // which of the commands of that name, 0: the first
	Restart string // the command by which it begins again, where that is another
	Write   bool   // it creates or changes a session
	Creates bool   // a record: one that arrives late has an id that nobody has

	// What becomes of it when the connection was lost before or after the
	// server saw the command.
	Status        int    // of the answer; 200 means that it is as if nothing had happened
	Unreached     int    // the same where nobody can be reached for a while; 0: Status
	Me            string // what /me says then, with the cookie that the visitor has
	Count         string
	Live, Retired int // how many sessions are stored

	// And when nothing was heard any more: the answer is 503, and what is
	// stored is one of these, before or after. Where the commit does it again
	// and gets through, the answer is 200 and nothing is stored.
	Again         bool
	Before, After State
	Refused       State // where that leaves something else than Before
}

// A State is what is left of a session.
type State struct {
	Count         string
	Live, Retired int
}

// Left returns a State.
func Left(count string, live, retired int) State { return State{count, live, retired} }

// visitor returns the only visitor there is, who asked for some paths. It takes
// as many attempts as the client needs to get well again.
func (n *Network) visitor(paths string) (b *Browser) {
	n.t.Helper()
	Eventually(n.t, "the app is well", func() bool {
		if err := n.Direct.Clear(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
		b = NewBrowser()
		for path := range strings.FieldsSeq(paths) {
			if a := b.Get(n.url + path); a.Err != nil || a.Status != http.StatusOK {
				return false
			}
		}
		return true
	})
	return b
}

// ExactlyOnce increments over a network that loses a connection every twenty
// commands of these names. What was acknowledged is counted once, what was not
// at most once. Each of eight clients increments so many times.
func (n *Network) ExactlyOnce(t *testing.T, times int, commands ...string) {
	const clients = 8
	n.serve(t, ample)
	b := NewBrowser()
	b.Begin(t, n.url+"/regenerate")
	var seen, faults, acknowledged, refused, unknown atomic.Int64
	n.Proxy.On(func(c faultproxy.Command) faultproxy.Fault {
		if !slices.Contains(commands, c.Name()) || seen.Add(1)%20 > 0 {
			return faultproxy.None
		}
		return faultproxy.CutBefore + faultproxy.Fault(faults.Add(1)%5) // each in turn
	})
	began := time.Now()
	var slowest atomic.Int64
	InParallel(clients, func(i int) {
		b := b.As()
		url := n.url + []string{"", "/other"}[i%2]
		for range times {
			start := time.Now()
			a := b.Get(url + "/count")
			slowest.Store(max(slowest.Load(), int64(time.Since(start))))
			switch {
			case a.Err == nil && a.Status == http.StatusOK && a.Cookie == nil:
				acknowledged.Add(1)
			case !a.Refused(http.StatusServiceUnavailable):
				t.Errorf("/count: %v, want 200 or 503, no cookie", a)
			}
		}
	})
	took := time.Since(began)
	n.Proxy.On(nil)
	n.mu.Lock()
	for _, err := range n.errs {
		if errors.Is(err, core.ErrUnknownOutcome) {
			unknown.Add(1)
		} else {
			refused.Add(1)
		}
	}
	n.mu.Unlock()
	count := int64(b.Number(t, n.url+"/read"))
	if count < acknowledged.Load() || count > acknowledged.Load()+unknown.Load() {
		t.Errorf("the counter is %d, want %d (acknowledged) to %d (and unknown ones)", count, acknowledged.Load(), acknowledged.Load()+unknown.Load())
	}
	if unknown.Load() > int64(clients*times/4) {
		t.Errorf("%d of %d outcomes stayed unknown", unknown.Load(), clients*times)
	}
	t.Logf("%d connections lost: of %d increments %d were acknowledged, %d refused, %d unknown; the counter is %d; in %v, the slowest took %v",
		faults.Load(), clients*times, acknowledged.Load(), refused.Load(), unknown.Load(), count, took.Round(time.Millisecond),
		time.Duration(slowest.Load()).Round(time.Millisecond))
}

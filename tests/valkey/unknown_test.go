package valkey

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

// A frail is an app whose way to the servers is a faulty network.
type frail struct {
	t      *testing.T
	url    string
	proxy  *faultproxy.Proxy
	direct *valkeystore.Store // the same sessions, past the network

	mu   sync.Mutex
	errs []error // that requests failed with
}

const frailTimeout = 500 * time.Millisecond // for the store

func newFrail(t *testing.T, cluster bool, timeout time.Duration, options valkeystore.Options) *frail {
	t.Helper()
	f := &frail{t: t, proxy: faultproxy.New(t)}
	var addrs []string
	if cluster {
		addrs = valkeyenv.ClusterAddrs(t)
	} else {
		addrs = []string{valkeyenv.Addr(t)}
	}
	options.Prefix = valkeyenv.Prefix()
	f.direct = valkeyenv.Store(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs}), options)
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs, DialCtxFn: f.proxy.Dial})
	store, err := valkeystore.New(client, options)
	if err != nil {
		t.Fatal(err)
	}
	cfg := core.Config{
		Store: store, StoreTimeout: timeout,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			f.mu.Lock()
			f.errs = append(f.errs, err)
			f.mu.Unlock()
			w.WriteHeader(core.HTTPStatus(err))
		},
	}
	mux := http.NewServeMux()
	app := func() http.Handler {
		return serve(frameworks.All()[0], managerOn(t, cfg), at("/leave", func(c *adaptertest.Context) error {
			_ = c.Get().Destroy(c.Request.Context()) // the response fails by itself if that fails
			return say(c, "bye")
		}))
	}
	mux.Handle("/", app())
	mux.Handle("/other/", http.StripPrefix("/other", app())) // as another process would
	cfg.TouchInterval = core.EveryRequest
	mux.Handle("/touching/", http.StripPrefix("/touching", app()))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	b := newBrowser() // loads the scripts
	for _, path := range []string{"/count", "/login", "/large", "/count"} {
		must(t, b, f.url+path)
	}
	if err := f.direct.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// last returns the error of the request that failed last.
func (f *frail) last() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) == 0 {
		return nil
	}
	return f.errs[len(f.errs)-1]
}

// stored returns how many sessions are stored, and how many retired ones.
func (f *frail) stored() (live, retired int) {
	f.t.Helper()
	for rec, err := range f.direct.All(context.Background()) {
		switch {
		case err != nil:
			f.t.Fatalf("All: %v", err)
		case strings.Contains(string(rec.Data), `"retired":`):
			retired++
		default:
			live++
		}
	}
	return live, retired
}

// A trouble is a command that a fault happens to.
type trouble struct {
	name    string
	cluster bool
	begin   string // the visitor's first request, if any
	path    string // the request in trouble
	command string
	nth     int // which of the commands of that name, 0: the first

	// What becomes of it when the connection was lost before or after the
	// server saw the command.
	status int    // of the answer; 200 means that it is as if nothing had happened
	me     string // what /me says then, with the cookie that the visitor has
	count  string
	live   int
	gone   int // retired ones

	// And when nothing was heard any more: the answer is 503, and what is
	// stored is one of these, before or after. Where the commit does it again
	// and gets through, the answer is 200 and nothing is stored.
	again         bool
	before, after state
}

// A state is what is left of a session.
type state struct {
	count         string
	live, retired int
}

var troubles = []trouble{
	{name: "load", begin: "/count", path: "/read", command: "GET", status: 200, me: "user=", count: "1", live: 1, before: state{"1", 1, 0}, after: state{"1", 1, 0}},
	{name: "create", path: "/count", command: "SET", status: 200, me: "user=", count: "1", live: 1, before: state{"0", 0, 0}, after: state{"0", 1, 0}},
	{name: "update", begin: "/count", path: "/count", command: "SET", status: 200, me: "user=", count: "2", live: 1, before: state{"1", 1, 0}, after: state{"2", 1, 0}},
	{name: "update of a large record", begin: "/large /count", path: "/count", command: "EVALSHA", status: 200, me: "user=", count: "2", live: 1, before: state{"1", 1, 0}, after: state{"2", 1, 0}},
	{name: "replace", begin: "/count", path: "/login?user=ann", command: "EVALSHA", status: 200, me: "user=ann", count: "1", live: 1, gone: 1, before: state{"1", 1, 0}, after: state{"0", 1, 1}},
	{name: "replace in a cluster, the next", cluster: true, begin: "/count", path: "/login?user=ann", command: "SET", status: 200, me: "user=ann", count: "1", live: 1, gone: 1, before: state{"1", 1, 0}, after: state{"1", 2, 0}},
	{name: "replace in a cluster, the old", cluster: true, begin: "/count", path: "/login?user=ann", command: "SET", nth: 1, status: 200, me: "user=ann", count: "1", live: 1, gone: 1, before: state{"1", 2, 0}, after: state{"0", 1, 1}},
	{name: "update in a cluster", cluster: true, begin: "/count", path: "/count", command: "SET", status: 200, me: "user=", count: "2", live: 1, before: state{"1", 1, 0}, after: state{"2", 1, 0}},
	{name: "delete", begin: "/count", path: "/leave", command: "DEL", status: 200, me: "user=", count: "0", live: 0, again: true, before: state{"1", 1, 0}, after: state{"0", 0, 0}},
	{name: "touch", begin: "/count", path: "/touching/read", command: "PEXPIRE", status: 200, me: "user=", count: "1", live: 1, before: state{"1", 1, 0}, after: state{"1", 1, 0}},
}

// visitor returns the only visitor there is, who asked for some paths. It takes
// as many attempts as the client needs to get well again.
func (f *frail) visitor(paths string) (b *browser) {
	f.t.Helper()
	eventually(f.t, "the app is well", func() bool {
		if err := f.direct.Clear(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		b = newBrowser()
		for path := range strings.FieldsSeq(paths) {
			if a := b.get(f.url + path); a.err != nil || a.status != http.StatusOK {
				return false
			}
		}
		return true
	})
	return b
}

// strike makes the fault happen to the request.
func (f *frail) strike(tr trouble, fault faultproxy.Fault) (*browser, answer, time.Duration) {
	f.t.Helper()
	for range 5 {
		if b, a, took, struck := f.tryToStrike(tr, fault); struck {
			return b, a, took
		}
		// A connection that the last fault has spoiled can make a request fail
		// before it sends the command.
	}
	f.t.Fatalf("%s: no %s was sent", tr.path, tr.command)
	panic("not reached")
}

func (f *frail) tryToStrike(tr trouble, fault faultproxy.Fault) (b *browser, a answer, took time.Duration, struck bool) {
	f.t.Helper()
	b = f.visitor(tr.begin)
	seen := 0
	var mu sync.Mutex
	f.proxy.On(func(c faultproxy.Command) faultproxy.Fault {
		mu.Lock()
		defer mu.Unlock()
		if c.Name() != tr.command {
			return faultproxy.None
		}
		seen++
		if seen != tr.nth+1 {
			return faultproxy.None
		}
		struck = true
		return fault
	})
	start := time.Now()
	a = b.get(f.url + tr.path)
	took = time.Since(start)
	f.proxy.On(nil)
	mu.Lock()
	defer mu.Unlock()
	return b, a, took, struck
}

// TestLostConnections loses the connection before and after the server applied a
// command. The request is answered as if nothing had happened, exactly once.
func TestLostConnections(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		f := newFrail(t, cluster, 5*time.Second, valkeystore.Options{})
		for _, tr := range troubles {
			if tr.cluster != cluster {
				continue
			}
			for _, fault := range []faultproxy.Fault{
				faultproxy.CutBefore, faultproxy.CutAfter, faultproxy.ResetBefore, faultproxy.ResetAfter, faultproxy.Truncate,
			} {
				t.Run(fmt.Sprintf("%s, %v", tr.name, fault), func(t *testing.T) {
					f.t = t
					b, a, took := f.strike(tr, fault)
					if a.err != nil || a.status != tr.status {
						t.Fatalf("%s: %v (%v), want %d", tr.path, a, f.last(), tr.status)
					}
					if took > 4*time.Second {
						t.Errorf("%s took %v", tr.path, took)
					}
					b.expect(t, f.url+"/me", tr.me)
					b.expect(t, f.url+"/read", tr.count)
					if live, retired := f.stored(); live != tr.live || retired != tr.gone {
						t.Errorf("%d sessions and %d retired ones are stored, want %d and %d", live, retired, tr.live, tr.gone)
					}
					t.Logf("%v after %v", a, took.Round(100*time.Microsecond))
				})
			}
		}
	}
}

// TestSilence lets nothing pass any more on the connection, before and after the
// server applied a command, until the time for the store is over.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, cluster := range []bool{false, true} {
		f := newFrail(t, cluster, frailTimeout, valkeystore.Options{})
		for _, tr := range troubles {
			if tr.cluster != cluster {
				continue
			}
			for _, fault := range []faultproxy.Fault{faultproxy.StallBefore, faultproxy.StallAfter} {
				t.Run(fmt.Sprintf("%s, %v", tr.name, fault), func(t *testing.T) {
					f.t = t
					b, a, took := f.strike(tr, fault)
					want := tr.before
					if fault == faultproxy.StallAfter {
						want = tr.after
					}
					if tr.again && a.err == nil && a.status == http.StatusOK {
						want = state{"0", 0, 0}
					} else if !a.refused(http.StatusServiceUnavailable) {
						t.Errorf("%s: %v (%v), want 503, no cookie", tr.path, a, f.last())
					}
					// The load and the commit have that time each.
					if took < frailTimeout/2 || took > 2*frailTimeout+patience/6 {
						t.Errorf("%s took %v, want about %v", tr.path, took, frailTimeout)
					}
					switch err := f.last(); tr.command {
					case "SET", "EVALSHA":
						if !errors.Is(err, core.ErrUnknownOutcome) {
							t.Errorf("%s failed with %v, want ErrUnknownOutcome", tr.path, err)
						}
					}
					live, retired := f.stored()
					f.proxy.Cut() // what hangs
					eventually(t, "the app is well again", func() bool {
						a := b.as().get(f.url + "/read")
						return a.says(want.count)
					})
					if live != want.live || retired != want.retired {
						t.Errorf("%d sessions and %d retired ones are stored, want %d and %d", live, retired, want.live, want.retired)
					}
					t.Logf("%v after %v", a, took.Round(time.Millisecond))
				})
			}
		}
	}
}

// TestLate has the server see a command when its sender has given the connection
// up, looked at what is stored, and sent the command again.
func TestLate(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		f := newFrail(t, cluster, 5*time.Second, valkeystore.Options{})
		for _, tr := range troubles {
			if tr.cluster != cluster || tr.command == "GET" || tr.command == "PEXPIRE" {
				continue
			}
			t.Run(tr.name, func(t *testing.T) {
				f.t = t
				b := f.visitor(tr.begin)
				var (
					mu   sync.Mutex
					seen int
				)
				f.proxy.On(func(c faultproxy.Command) faultproxy.Fault {
					if c.Name() != tr.command {
						return faultproxy.None
					}
					mu.Lock()
					seen++
					n := seen - tr.nth
					mu.Unlock()
					switch n {
					case 1:
						return faultproxy.Late
					case 2:
						f.proxy.ReleaseLate()
					}
					return faultproxy.None
				})
				a := b.get(f.url + tr.path)
				f.proxy.On(nil)
				if a.err != nil || a.status != tr.status {
					t.Fatalf("%s: %v (%v), want %d", tr.path, a, f.last(), tr.status)
				}
				if seen < 2+tr.nth {
					t.Fatalf("%s was not sent again", tr.command)
				}
				b.expect(t, f.url+"/me", tr.me)
				b.expect(t, f.url+"/read", tr.count)
				if live, retired := f.stored(); live != tr.live || retired != tr.gone {
					t.Errorf("%d sessions and %d retired ones are stored, want %d and %d", live, retired, tr.live, tr.gone)
				}
			})
		}
	}
}

// TestExactlyOnce increments over a network that loses a connection every twenty
// commands. What was acknowledged is counted once, what was not at most once.
func TestExactlyOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cluster bool
		options valkeystore.Options
	}{
		{"standalone", false, valkeystore.Options{}},
		{"scripts", false, valkeystore.Options{Scripts: valkeystore.ScriptsAlways}},
		{"cluster", true, valkeystore.Options{}},
		{"caching", false, valkeystore.Options{CacheTTL: time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const clients, times = 8, 60
			f := newFrail(t, tt.cluster, 5*time.Second, tt.options)
			b := newBrowser()
			b.begin(t, f.url+"/regenerate")
			var faults, acknowledged, refused, unknown atomic.Int64
			f.proxy.On(func(c faultproxy.Command) faultproxy.Fault {
				switch c.Name() {
				case "GET", "SET", "EVALSHA":
					if rand.IntN(20) == 0 {
						faults.Add(1)
						return faultproxy.CutBefore + faultproxy.Fault(rand.IntN(5))
					}
				}
				return faultproxy.None
			})
			began := time.Now()
			var slowest atomic.Int64
			inParallel(clients, func(i int) {
				b := b.as()
				url := f.url + []string{"", "/other"}[i%2]
				for range times {
					start := time.Now()
					a := b.get(url + "/count")
					slowest.Store(max(slowest.Load(), int64(time.Since(start))))
					switch {
					case a.err == nil && a.status == http.StatusOK && a.cookie == nil:
						acknowledged.Add(1)
					case !a.refused(http.StatusServiceUnavailable):
						t.Errorf("/count: %v, want 200 or 503, no cookie", a)
					}
				}
			})
			took := time.Since(began)
			f.proxy.On(nil)
			f.mu.Lock()
			for _, err := range f.errs {
				if errors.Is(err, core.ErrUnknownOutcome) {
					unknown.Add(1)
				} else {
					refused.Add(1)
				}
			}
			f.mu.Unlock()
			n := int64(b.number(t, f.url+"/read"))
			if n < acknowledged.Load() || n > acknowledged.Load()+unknown.Load() {
				t.Errorf("the counter is %d, want %d (acknowledged) to %d (and unknown ones)", n, acknowledged.Load(), acknowledged.Load()+unknown.Load())
			}
			if unknown.Load() > clients*times/4 {
				t.Errorf("%d of %d outcomes stayed unknown", unknown.Load(), clients*times)
			}
			t.Logf("%d connections lost: of %d increments %d were acknowledged, %d refused, %d unknown; the counter is %d; in %v, the slowest took %v",
				faults.Load(), clients*times, acknowledged.Load(), refused.Load(), unknown.Load(), n, took.Round(time.Millisecond),
				time.Duration(slowest.Load()).Round(time.Millisecond))
		})
	}
}

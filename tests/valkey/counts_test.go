package valkey

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
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

// A ledger counts the commands of a client twice: on the wire, and as the
// servers count what they execute.
type ledger struct {
	proxy   *faultproxy.Proxy
	client  valkey.Client
	servers []string
	private bool // nobody else uses the servers
}

// newLedger returns a ledger with a client of servers of the test's own or,
// where the program is not to be had, of those that others use as well.
func newLedger(t *testing.T, cluster bool) *ledger {
	t.Helper()
	l := &ledger{proxy: faultproxy.New(t), private: os.Getenv("VALKEY_SERVER") != ""}
	switch {
	case l.private && cluster:
		l.servers = valkeyenv.StartCluster(t)
	case l.private:
		l.servers = []string{valkeyenv.Start(t).Addr}
	case cluster:
		l.servers = primaries(t, valkeyenv.ClusterAddrs(t))
	default:
		l.servers = []string{valkeyenv.Addr(t)}
	}
	l.client = valkeyenv.Client(t, valkey.ClientOption{InitAddress: l.servers, DialCtxFn: l.proxy.Dial})
	if got := l.client.Mode() == valkey.ClientModeCluster; got != cluster {
		t.Fatalf("the client has a cluster: %v, want %v", got, cluster)
	}
	return l
}

// primaries returns the addresses of the primaries of a cluster.
func primaries(t *testing.T, seeds []string) (addrs []string) {
	t.Helper()
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: seeds})
	for addr, node := range client.Nodes() {
		role, err := node.Do(t.Context(), node.B().Role().Build()).ToArray()
		if err != nil {
			t.Fatalf("ROLE: %v", err)
		}
		if name, err := role[0].ToString(); err == nil && name == "master" {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

type tally map[string]int

// minus returns what was counted since then.
func (n tally) minus(then tally) tally {
	d := make(tally)
	for name := range n {
		if n[name] != then[name] {
			d[name] = n[name] - then[name]
		}
	}
	return d
}

// isConnection tells whether a command is about connections, or what a test
// sends before and after, and no part of a request.
func isConnection(name string) bool {
	switch name {
	case "HELLO", "PING", "INFO", "CLUSTER", "COMMAND", "ROLE", "SCRIPT", "SCAN", "UNLINK":
		return true
	}
	return false
}

func (l *ledger) wire() tally {
	n := tally(l.proxy.Counts())
	maps.DeleteFunc(n, func(name string, _ int) bool { return isConnection(name) || name == "CLIENT" })
	return n
}

func (l *ledger) executed(t *testing.T) tally {
	t.Helper()
	n := make(tally)
	for _, addr := range l.servers {
		err := valkeyenv.Ask(addr, func(ctx context.Context, c valkey.Client) error {
			stats, err := c.Do(ctx, c.B().Info().Section("commandstats").Build()).ToString()
			for line := range strings.Lines(stats) { // cmdstat_get:calls=1,usec=...
				name, values, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
				if !ok || strings.Contains(name, "|") || isConnection(strings.ToUpper(name)) {
					continue
				}
				calls, _, _ := strings.Cut(values, ",")
				i, err := strconv.Atoi(calls)
				if err != nil {
					return err
				}
				n[strings.ToUpper(name)] += i
			}
			return err
		})
		if err != nil {
			t.Fatalf("INFO commandstats: %v", err)
		}
	}
	return n
}

// A cost is what a request may cost.
type cost struct {
	what   string
	begin  string // what each visitor asks for first, uncounted: paths with spaces between
	ready  func() // is called when all visitors have begun
	path   string // what is counted
	wire   tally  // what the client sends, for each visitor
	inside tally  // what scripts call, for each visitor
	cookie string // in place of begin
}

const visitors = 10

// check counts the commands of some visitors' requests.
func (l *ledger) check(t *testing.T, url string, c cost) {
	t.Helper()
	want := func(parts ...tally) tally {
		sum := make(tally)
		for _, part := range parts {
			for name, i := range part {
				sum[name] += visitors * i
			}
		}
		return sum
	}
	for deadline := time.Now().Add(patience); ; {
		all := make([]*browser, visitors)
		for i := range all {
			all[i] = newBrowser()
			all[i].cookie = c.cookie
			for path := range strings.FieldsSeq(c.begin) {
				must(t, all[i], url+path)
			}
		}
		if c.ready != nil {
			c.ready()
		}
		wire, executed := l.wire(), l.executed(t)
		for _, b := range all {
			must(t, b, url+c.path)
		}
		wire, executed = l.wire().minus(wire), l.executed(t).minus(executed)
		if !maps.Equal(wire, want(c.wire)) {
			t.Errorf("%s: %d requests sent %v, want %v", c.what, visitors, wire, want(c.wire))
			return
		}
		server := want(c.wire, c.inside)
		if maps.Equal(executed, server) {
			t.Logf("%-26s sent %v, executed %v (%d requests)", c.what, wire, executed, visitors)
			return
		}
		less := false
		for name, i := range server {
			less = less || executed[name] < i
		}
		if l.private || less || time.Now().After(deadline) { // else others were at the servers as well
			t.Errorf("%s: the servers executed %v for %d requests, want %v", c.what, executed, visitors, server)
			return
		}
	}
}

// must sends a request that has to succeed.
func must(t *testing.T, b *browser, url string) {
	t.Helper()
	if a := b.get(url); a.err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %v", url, a)
	}
}

func managerOn(t *testing.T, cfg core.Config) *core.Manager {
	t.Helper()
	cfg.Secrets = secrets
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatalf("core.New: %v", err)
	}
	return m
}

func TestCommandCounts(t *testing.T)        { countCommands(t, false) }
func TestCommandCountsCluster(t *testing.T) { countCommands(t, true) }

func countCommands(t *testing.T, cluster bool) {
	l := newLedger(t, cluster)
	renewal, renewed := tally{"GET": 1, "EVALSHA": 1}, tally{"GET": 1, "SET": 2}
	if cluster {
		renewal, renewed = tally{"GET": 1, "SET": 2}, nil
	}
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			var passed atomic.Int64 // on the clock
			options := valkeystore.Options{Prefix: valkeyenv.Prefix()}
			srv := httptest.NewServer(serve(fw, managerOn(t, core.Config{
				Store: valkeyenv.Store(t, l.client, options),
				Now:   func() time.Time { return time.Now().Add(time.Duration(passed.Load())) },
			})))
			defer srv.Close()
			for range 10 * len(l.servers) { // has the scripts loaded, once for a process and server
				b := newBrowser()
				for _, path := range []string{"/count", "/login", "/large", "/count"} {
					must(t, b, srv.URL+path)
				}
			}
			for _, c := range []cost{
				{what: "anonymous", path: "/read"},
				{what: "forged cookie", cookie: "sid=s%3Aforged.signature", path: "/read"},
				{what: "first visit", path: "/count", wire: tally{"SET": 1}},
				{what: "login without a session", path: "/login", wire: tally{"SET": 1}},
				{what: "ignores its session", begin: "/count", path: "/static", wire: tally{"GET": 1}},
				{what: "reads", begin: "/count /read", path: "/read", wire: tally{"GET": 1}},
				{what: "reads, extension is due", begin: "/count", ready: func() { passed.Add(int64(2 * time.Minute)) }, path: "/read", wire: tally{"GET": 1, "PEXPIRE": 1}},
				{what: "changes", begin: "/count", path: "/count", wire: tally{"GET": 1, "SET": 1}},
				{what: "changes a large record", begin: "/count /large", path: "/count", wire: tally{"GET": 1, "EVALSHA": 1}, inside: tally{"GET": 1, "SET": 1}},
				{what: "login", begin: "/count", path: "/login", wire: renewal, inside: renewed},
				{what: "new id, empty", begin: "/count", path: "/regenerate", wire: renewal, inside: renewed},
				{what: "logout", begin: "/count", path: "/logout", wire: tally{"GET": 1, "DEL": 1}},
			} {
				l.check(t, srv.URL, c)
			}

			// With caching. The other store makes the session: what a process
			// wrote itself it reads from the server.
			b := newBrowser()
			must(t, b, srv.URL+"/count")
			options.CacheTTL = time.Minute
			cached := httptest.NewServer(serve(fw, managerOn(t, core.Config{
				Store:   valkeyenv.Store(t, l.client, options),
				Passive: func(*http.Request) bool { return true }, // an extension ends what is cached
			})))
			defer cached.Close()
			before := l.wire()
			must(t, b, cached.URL+"/read")
			t.Logf("reads, not cached yet: sent %v", l.wire().minus(before))
			l.check(t, cached.URL, cost{what: "reads, cached", cookie: b.cookie, path: "/read"})
		})
	}
}

// TestRoundTrips measures what a request waits for, on a network that takes its
// time.
func TestRoundTrips(t *testing.T)        { measureTrips(t, false) }
func TestRoundTripsCluster(t *testing.T) { measureTrips(t, true) }

func measureTrips(t *testing.T, cluster bool) {
	const trip = 40 * time.Millisecond
	var (
		proxy   = faultproxy.New(t)
		servers []string
		login   = 2
	)
	if cluster {
		servers, login = valkeyenv.ClusterAddrs(t), 3
	} else {
		servers = []string{valkeyenv.Addr(t)}
	}
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: servers, DialCtxFn: proxy.Dial})
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			var passed atomic.Int64 // on the clock
			srv := httptest.NewServer(serve(fw, managerOn(t, core.Config{
				Store: valkeyenv.Store(t, client, valkeystore.Options{}),
				Now:   func() time.Time { return time.Now().Add(time.Duration(passed.Load())) },
			}), at("/slow-read", func(c *adaptertest.Context) error {
				n := count.Get(c.Get())
				time.Sleep(trip) // that is how long this handler works
				return say(c, n)
			})))
			defer srv.Close()
			b := newBrowser()
			for _, path := range []string{"/count", "/login", "/large", "/count"} { // loads the scripts
				must(t, b, srv.URL+path)
			}
			for _, tt := range []struct {
				what, begin, path string
				due               bool // an extension is
				trips             int
			}{
				{"anonymous", "", "/read", false, 0},
				{"first visit", "", "/count", false, 1},
				{"reads", "/count", "/read", false, 1},
				{"changes", "/count", "/count", false, 2},
				{"login", "/count", "/login", false, login},
				{"logout", "/count", "/logout", false, 2},
				{"works for a trip, extension is due", "/count", "/slow-read", true, 2}, // the load, and its own
				{"works for no time, extension is due", "/count", "/read", true, 1},     // both at once
			} {
				fastest := time.Hour
				for range 4 { // the machine may be busy
					b := newBrowser()
					if tt.begin != "" {
						must(t, b, srv.URL+tt.begin)
					}
					if tt.due {
						passed.Add(int64(2 * time.Minute))
					}
					proxy.Distance(trip)
					start := time.Now()
					must(t, b, srv.URL+tt.path)
					took := time.Since(start)
					proxy.Distance(0)
					fastest = min(fastest, took)
					if fastest/trip == time.Duration(tt.trips) {
						break
					}
				}
				if fastest/trip != time.Duration(tt.trips) {
					t.Errorf("%s: took %v, which is not %d round trips of %v", tt.what, fastest, tt.trips, trip)
				}
				t.Logf("%-36s %d trips (%v of %v)", tt.what, tt.trips, fastest, trip)
			}
		})
	}
}

// TestExtensionBesideHandler holds the reply to an extension until the handler
// has returned, and the handler until the extension is under way.
func TestExtensionBesideHandler(t *testing.T) {
	proxy := faultproxy.New(t)
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{valkeyenv.Addr(t)}, DialCtxFn: proxy.Dial})
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			sent, returned := make(chan struct{}, 1), make(chan struct{})
			wait := func(c <-chan struct{}, what string) {
				select {
				case <-c:
				case <-time.After(patience):
					t.Errorf("waited in vain until %s", what)
				}
			}
			m := managerOn(t, core.Config{
				Store:         valkeyenv.Store(t, client, valkeystore.Options{}),
				TouchInterval: core.EveryRequest,
				StoreTimeout:  2 * patience,
			})
			app := serve(fw, m, at("/beside", func(c *adaptertest.Context) error {
				n := count.Get(c.Get())
				wait(sent, "the extension is sent")
				c.Writer.Header().Set("X-Count", strconv.Itoa(n))
				close(returned)
				return say(c, n)
			}))
			srv := httptest.NewServer(app)
			defer srv.Close()
			b := newBrowser()
			must(t, b, srv.URL+"/count")
			proxy.OnReply(func(c faultproxy.Command) {
				if c.Name() == "PEXPIRE" {
					sent <- struct{}{}
					wait(returned, "the handler returns")
				}
			})
			defer proxy.OnReply(nil)
			b.expect(t, srv.URL+"/beside", "1")
		})
	}
}

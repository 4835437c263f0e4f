package valkey

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
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
		for _, node := range servers.StartCluster(t).Nodes() {
			if node.Primary {
				l.servers = append(l.servers, node.Addr)
			}
		}
	case l.private:
		l.servers = []string{servers.Start(t).Addr}
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

// isConnection reports whether the client sends a command of its own accord.
func isConnection(name string) bool {
	switch name {
	case "HELLO", "CLIENT", "PING", "CLUSTER":
		return true
	}
	return false
}

// isOthers reports whether a server may execute a command for others than the
// client: the replicas, and tests before they begin and after they are over.
func isOthers(name string) bool {
	switch name {
	case "INFO", "COMMAND", "ROLE", "SCRIPT", "SCAN", "UNLINK", "REPLCONF", "PSYNC":
		return true
	}
	return false
}

func (l *ledger) wire() tally {
	n := tally(l.proxy.Counts())
	maps.DeleteFunc(n, func(name string, _ int) bool { return isConnection(name) })
	return n
}

func (l *ledger) executed(t *testing.T) tally {
	t.Helper()
	n := make(tally)
	for _, addr := range l.servers {
		stats, err := servers.Do(valkey.ClientOption{InitAddress: []string{addr}}, "INFO", "commandstats").ToString()
		if err != nil {
			t.Fatalf("INFO commandstats: %v", err)
		}
		for line := range strings.Lines(stats) { // cmdstat_get:calls=1,usec=...
			name, values, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
			name = strings.ToUpper(name)
			if !ok || strings.Contains(name, "|") || isConnection(name) || isOthers(name) {
				continue
			}
			calls, _, _ := strings.Cut(values, ",")
			i, err := strconv.Atoi(calls)
			if err != nil {
				t.Fatalf("INFO commandstats: %v", err)
			}
			n[name] += i
		}
	}
	return n
}

type tally = promises.Tally

// check counts the commands of some visitors' requests.
func (l *ledger) check(t *testing.T, m *promises.Metered, c promises.Cost) {
	t.Helper()
	for deadline := time.Now().Add(servers.Patience); ; {
		var wire, executed tally
		m.Visit(t, c, func() { wire, executed = l.wire(), l.executed(t) })
		wire, executed = l.wire().Minus(wire), l.executed(t).Minus(executed)
		if want := c.Wire.Times(promises.Visitors); !maps.Equal(wire, want) {
			t.Errorf("%s: %d requests sent %v, want %v", c.What, promises.Visitors, wire, want)
			return
		}
		server := c.Wire.Times(promises.Visitors)
		for name, i := range c.Inside.Times(promises.Visitors) {
			server[name] += i
		}
		if maps.Equal(executed, server) {
			t.Logf("%-26s sent %v, executed %v (%d requests)", c.What, wire, executed, promises.Visitors)
			return
		}
		less := false
		for name, i := range server {
			less = less || executed[name] < i
		}
		if l.private || less || time.Now().After(deadline) { // else others were at the servers as well
			t.Errorf("%s: the servers executed %v for %d requests, want %v", c.What, executed, promises.Visitors, server)
			return
		}
	}
}

func TestCommandCounts(t *testing.T)        { countCommands(t, false) }
func TestCommandCountsCluster(t *testing.T) { countCommands(t, true) }

func countCommands(t *testing.T, cluster bool) {
	t.Parallel()
	l := newLedger(t, cluster)
	renewal, renewed := tally{"GET": 1, "EVALSHA": 1}, tally{"GET": 1, "SET": 2}
	if cluster {
		renewal, renewed = tally{"GET": 1, "SET": 2}, nil
	}
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			options := valkeystore.Options{Prefix: valkeyenv.Prefix()}
			m := promises.NewMetered(t, fw, valkeyenv.Store(t, l.client, options))
			for range 10 * len(l.servers) { // has the scripts loaded, once for a process and server
				b := promises.NewBrowser()
				for _, path := range []string{"/count", "/login", "/large", "/count", "/signin", "/signin-again", "/logout"} {
					b.Must(t, m.URL+path)
				}
			}
			for _, c := range []promises.Cost{
				{What: "anonymous", Path: "/read"},
				{What: "forged cookie", Cookie: "sid=s%3Aforged.signature", Path: "/read"},
				{What: "first visit", Path: "/count", Wire: tally{"SET": 1}},
				{What: "login without a session", Path: "/login", Wire: tally{"SET": 1}},
				{What: "ignores its session", Begin: "/count", Path: "/static", Wire: tally{"GET": 1}},
				{What: "reads", Begin: "/count /read", Path: "/read", Wire: tally{"GET": 1}},
				{What: "reads, extension is due", Begin: "/count", Due: true, Path: "/read", Wire: tally{"GET": 1, "PEXPIRE": 1}},
				{What: "reads, was just extended", Begin: "/count", Due: true, Between: "/read", Path: "/read", Wire: tally{"GET": 1}},
				{What: "changes", Begin: "/count", Path: "/count", Wire: tally{"GET": 1, "SET": 1}},
				{What: "changes, extension is due", Begin: "/count", Due: true, Path: "/count", Wire: tally{"GET": 1, "PEXPIRE": 1, "SET": 1}},
				{What: "changes a large record", Begin: "/count /large", Path: "/count", Wire: tally{"GET": 1, "EVALSHA": 1}, Inside: tally{"GET": 1, "SET": 1}},
				{What: "login", Begin: "/count", Path: "/login", Wire: renewal, Inside: renewed},
				{What: "new id, empty", Begin: "/count", Path: "/regenerate", Wire: renewal, Inside: renewed},
				{What: "logout", Begin: "/count", Path: "/logout", Wire: tally{"GET": 1, "EVALSHA": 1}, Inside: tally{"GET": 1, "DEL": 1}},
				{What: "sign-in without a session", Path: "/signin", Wire: tally{"GET": 1, "SET": 2}},
				{What: "sign-in", Begin: "/count", Path: "/signin", Wire: tally{"GET": 2, "SET": 3}},
				{What: "sign-in again", Begin: "/signin", Path: "/signin-again", Wire: tally{"GET": 2, "SET": 3}},
				{What: "new id of a user's session", Begin: "/signin", Path: "/login", Wire: tally{"GET": 2, "SET": 3}},
				{What: "reads, of a user", Begin: "/signin", Path: "/read", Wire: tally{"GET": 1}},
				{What: "reads, of a user, due", Begin: "/signin", Due: true, Path: "/read", Wire: tally{"GET": 1, "PEXPIRE": 1}},
				{What: "changes, of a user", Begin: "/signin", Path: "/count", Wire: tally{"GET": 1, "SET": 1}},
				{What: "logout of a user", Begin: "/signin", Path: "/signout", Wire: tally{"GET": 1, "EVALSHA": 1}, Inside: tally{"GET": 1, "DEL": 1}},
				{What: "RequireRecentSignIn", Begin: "/signin", Path: "/spend", Wire: tally{"GET": 2}},
				{What: "lists the user's sessions", Begin: "/signin", Path: "/devices", Wire: tally{"GET": 3, "PTTL": 1}},
				{What: "ends the user's sessions", Begin: "/signin", Path: "/revoke-user", Wire: tally{"GET": 2, "SET": 2, "DEL": 1}},
			} {
				l.check(t, m, c)
			}

			// With caching. The other store makes the session: what a process
			// wrote itself it reads from the server.
			b := promises.NewBrowser()
			b.Must(t, m.URL+"/count")
			options.CacheTTL = time.Minute
			cached := new(promises.Metered)
			srv := httptest.NewServer(promises.Serve(fw, promises.ManagerOn(t, core.Config{
				Store:   valkeyenv.Store(t, l.client, options),
				Passive: func(*http.Request) bool { return true }, // an extension ends what is cached
			})))
			defer srv.Close()
			cached.URL = srv.URL
			before := l.wire()
			b.Must(t, cached.URL+"/read")
			t.Logf("reads, not cached yet: sent %v", l.wire().Minus(before))
			l.check(t, cached, promises.Cost{What: "reads, cached", Cookie: b.Cookie, Path: "/read"})
		})
	}
}

func TestRoundTrips(t *testing.T) {
	roundTrips(t, []string{valkeyenv.Addr(t)}, 2)
}

func TestRoundTripsCluster(t *testing.T) {
	roundTrips(t, valkeyenv.ClusterAddrs(t), 3)
}

func roundTrips(t *testing.T, addrs []string, login int) {
	proxy := faultproxy.New(t)
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs, DialCtxFn: proxy.Dial})
	promises.RoundTrips(t, valkeyenv.Store(t, client, valkeystore.Options{}), proxy, login)
}

func TestExtensionBesideHandler(t *testing.T) {
	proxy := faultproxy.New(t)
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{valkeyenv.Addr(t)}, DialCtxFn: proxy.Dial, DisableAutoPipelining: true})
	promises.ExtensionBesideHandler(t, valkeyenv.Store(t, client, valkeystore.Options{}), proxy, "PEXPIRE")
}

package promises

import (
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// A Tally is how often something was done, by its name.
type Tally map[string]int

// Minus returns what was counted since then.
func (n Tally) Minus(then Tally) Tally {
	d := maps.Clone(n)
	for name := range then {
		d[name] -= then[name]
	}
	maps.DeleteFunc(d, func(_ string, i int) bool { return i == 0 })
	return d
}

// Times returns n for i visitors.
func (n Tally) Times(i int) Tally {
	all := make(Tally)
	for name := range n {
		all[name] = i * n[name]
	}
	return all
}

// A Cost is what a request costs.
type Cost struct {
	What    string
	Begin   string // what a visitor asks for first, uncounted: paths with spaces between
	Due     bool   // then so much time passes that an extension is due
	Between string // what a visitor asks for then, uncounted as well
	Path    string // what is counted

	Cookie string // in place of Begin
	Wire   Tally  // the commands that the client sends
	Inside Tally  // the commands that scripts of the server call
}

// Visitors is how many there are in Metered.Visit.
const Visitors = 10

// Metered is an app whose costs are counted.
type Metered struct {
	URL string

	passed atomic.Int64 // on the clock
}

// NewMetered serves an app with that store.
func NewMetered(t *testing.T, fw frameworks.Named, st store.Store, more ...adaptertest.Route) *Metered {
	t.Helper()
	m := new(Metered)
	manager := ManagerOn(t, core.Config{
		Store: st,
		Now:   func() time.Time { return time.Now().Add(time.Duration(m.passed.Load())) },
	})
	srv := httptest.NewServer(Serve(fw, manager, append(more, userRoutes(manager)...)...))
	t.Cleanup(srv.Close)
	m.URL = srv.URL
	return m
}

// Visit has some visitors ask for what c says. When all of them have begun, it
// calls ready.
func (m *Metered) Visit(t *testing.T, c Cost, ready func()) {
	t.Helper()
	all := make([]*Browser, Visitors)
	for i := range all {
		all[i] = NewBrowser()
		all[i].Cookie = c.Cookie
	}
	ask := func(paths string) {
		for _, b := range all {
			for path := range strings.FieldsSeq(paths) {
				b.Must(t, m.URL+path)
			}
		}
	}
	ask(c.Begin)
	if c.Due {
		m.passed.Add(int64(2 * time.Minute))
	}
	ask(c.Between)
	ready()
	ask(c.Path)
}

// A roundTrip is how many a request waits for.
type roundTrip struct {
	what, begin, path string
	due               bool // an extension is
	trips             int
}

// RoundTrips measures what a request waits for, on a network that takes its
// time: how many times a command has to go there and back, login for a new id. On a
// machine that is busy, the network is made to take more of it.
func RoundTrips(t *testing.T, st store.Store, proxy *faultproxy.Proxy, login int) {
	const nearest, farthest = 40 * time.Millisecond, 2560 * time.Millisecond
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			var distance atomic.Int64 // that the server is away, there and back
			m := NewMetered(t, fw, st, At("/slow-read", func(c *adaptertest.Context) error {
				n := count.Get(c.Get())
				time.Sleep(time.Duration(distance.Load())) // that is how long this handler works
				return Say(c, n)
			}))
			b := NewBrowser()
			for _, path := range []string{"/count", "/login", "/large", "/count", "/signin", "/signin"} { // what a store does once
				b.Must(t, m.URL+path)
			}
			for _, tt := range slices.Concat(userTrips, []roundTrip{
				{"anonymous", "", "/read", false, 0},
				{"first visit", "", "/count", false, 1},
				{"reads", "/count", "/read", false, 1},
				{"changes", "/count", "/count", false, 2},
				{"login", "/count", "/login", false, login},
				{"logout", "/count", "/logout", false, 2},
				{"works for a trip, extension is due", "/count", "/slow-read", true, 2}, // the load, and its own
				{"works for no time, extension is due", "/count", "/read", true, 1},     // both at once
			}) {
				var trip, took time.Duration
				for trip = nearest; trip <= farthest; trip *= 2 {
					b := NewBrowser()
					if tt.begin != "" {
						b.Must(t, m.URL+tt.begin)
					}
					if tt.due {
						m.passed.Add(int64(2 * time.Minute))
					}
					distance.Store(int64(trip))
					proxy.Distance(trip)
					start := time.Now()
					b.Must(t, m.URL+tt.path)
					took = time.Since(start)
					proxy.Distance(0)
					if took/trip == time.Duration(tt.trips) {
						break
					}
				}
				if trip > farthest {
					t.Errorf("%s: took %v, which is not %d round trips of %v", tt.what, took, tt.trips, farthest)
				}
				t.Logf("%-36s %d trips (%v of %v)", tt.what, tt.trips, took, trip)
			}
		})
	}
}

// ExtensionBesideHandler holds the reply to an extension, which is a command of
// that name, until the handler has returned, and the handler until the extension
// is under way. The client must not let commands wait for one another's replies on
// one connection.
func ExtensionBesideHandler(t *testing.T, st store.Store, proxy *faultproxy.Proxy, command string) {
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			sent, returned := make(chan struct{}, 1), make(chan struct{})
			wait := func(c <-chan struct{}, what string) {
				select {
				case <-c:
				case <-time.After(servers.Patience):
					t.Errorf("waited in vain until %s", what)
				}
			}
			m := ManagerOn(t, core.Config{Store: st, TouchInterval: core.EveryRequest, StoreTimeout: 2 * servers.Patience})
			app := Serve(fw, m, At("/beside", func(c *adaptertest.Context) error {
				n := count.Get(c.Get())
				wait(sent, "the extension is sent")
				c.Writer.Header().Set("X-Count", strconv.Itoa(n))
				close(returned)
				return Say(c, n)
			}))
			srv := httptest.NewServer(app)
			defer srv.Close()
			b := NewBrowser()
			b.Must(t, srv.URL+"/count")
			proxy.OnReply(func(c faultproxy.Command) {
				if c.Name() == command {
					select {
					case sent <- struct{}{}:
					default: // it was sent again, after a connection was lost
					}
					wait(returned, "the handler returns")
				}
			})
			defer proxy.OnReply(nil)
			b.Expect(t, srv.URL+"/beside", "1")
		})
	}
}

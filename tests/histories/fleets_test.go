package histories

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/process"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

const processes = 3

// A memoryFleet is an app three times in this process, on one store in memory
// whose calls fail at random.
type memoryFleet []http.Handler

func newMemoryFleet(t *testing.T, st store.Store) memoryFleet {
	t.Helper()
	var f memoryFleet
	for range processes {
		app, err := newApp(st)
		if err != nil {
			t.Fatal(err)
		}
		f = append(f, app)
	}
	return f
}

func (f memoryFleet) size() int { return len(f) }

func (f memoryFleet) ask(process int, path, cookie string) (int, http.Header, string, error) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	f[process].ServeHTTP(w, r)
	return w.Code, w.Header(), w.Body.String(), nil
}

// A flaky store fails now and then, as one behind a network does.
type flaky struct {
	store.Store
	faults *atomic.Int64
	oneIn  int // calls
}

var errNetwork = errors.New("the connection was lost")

// call does what a verb does, before it fails, after it, or later.
func (s flaky) call(verb string, do func() error) error {
	fault := func(o store.Outcome) error {
		s.faults.Add(1)
		return &store.Error{Store: "flaky", Verb: verb, Outcome: o, Err: errNetwork}
	}
	switch rand.IntN(4 * s.oneIn) {
	case 0:
		return fault(store.OutcomeNotApplied)
	case 1:
		return fault(store.OutcomeUnknown)
	case 2:
		if err := do(); err != nil {
			return err
		}
		return fault(store.OutcomeUnknown)
	case 3:
		time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, func() { _ = do() }) // the sender has given up
		return fault(store.OutcomeUnknown)
	}
	if rand.IntN(4) == 0 { // or nothing overlaps
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	}
	return do()
}

func (s flaky) Load(ctx context.Context, id string) (rec store.Record, err error) {
	var loaded store.Record
	err = s.call("load", func() (err error) { loaded, err = s.Store.Load(ctx, id); return err })
	if err == nil {
		rec = loaded
	}
	return rec, err
}

func (s flaky) Create(ctx context.Context, rec store.Record) error {
	return s.call("create", func() error { return s.Store.Create(context.WithoutCancel(ctx), rec) })
}

func (s flaky) Update(ctx context.Context, old, next store.Record) error {
	return s.call("update", func() error { return s.Store.Update(context.WithoutCancel(ctx), old, next) })
}

func (s flaky) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.call("touch", func() error { return s.Store.Touch(context.WithoutCancel(ctx), id, ttl) })
}

func (s flaky) Delete(ctx context.Context, id string) error {
	return s.call("delete", func() error { return s.Store.Delete(context.WithoutCancel(ctx), id) })
}

// flakyAll has the optional abilities as well.
type flakyAll struct{ flaky }

func (s flakyAll) Replace(ctx context.Context, old, retired, next store.Record) error {
	return s.call("replace", func() error {
		return s.Store.(store.Replacer).Replace(context.WithoutCancel(ctx), old, retired, next)
	})
}

func (s flakyAll) Remove(ctx context.Context, old store.Record) error {
	return s.call("remove", func() error { return s.Store.(store.Remover).Remove(context.WithoutCancel(ctx), old) })
}

func (s flakyAll) UpdateOrLoad(ctx context.Context, old, next store.Record) (newest store.Record, err error) {
	var found store.Record
	err = s.call("update", func() (err error) {
		found, err = s.Store.(store.UpdateLoader).UpdateOrLoad(context.WithoutCancel(ctx), old, next)
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		newest = found
	}
	return newest, err
}

// A processFleet is an app in three processes, which can be killed, and which
// reach the store through a proxy that loses connections.
type processFleet struct {
	t        *testing.T
	settings settings
	kills    atomic.Int64
	faults   atomic.Int64

	mu  sync.Mutex
	all []*process.Process
}

// settings are what a process opens its store by.
type settings struct {
	Valkey     []string          // addresses
	Mongo      string            // a URI
	Via        map[string]string // the proxy's address by that of the server
	Prefix     string
	Collection string
	Driver     string // of SQL
	DSN        string
	Table      string
	File       string // of SQLite
}

// newProcess is what a process serves.
func newProcess(text json.RawMessage) (http.Handler, error) {
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	return newApp(st)
}

func (s settings) open() (store.Store, error) {
	var d net.Dialer
	if s.File != "" {
		return sqlitestore.Open(context.Background(), s.File, sqlitestore.Options{})
	}
	if s.Driver != "" {
		db, err := sql.Open(s.Driver, s.DSN)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(16)
		return sqlstore.New(db, sqlstore.Options{Table: s.Table})
	}
	if s.Mongo != "" {
		client, err := mongo.Connect(options.Client().ApplyURI(s.Mongo).SetDialer(s))
		if err != nil {
			return nil, err
		}
		return mongostore.New(client.Database(mongoenv.Database).Collection(s.Collection), mongostore.Options{})
	}
	option := valkeyenv.Lean(valkey.ClientOption{
		InitAddress: s.Valkey,
		DialCtxFn: func(ctx context.Context, server string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", s.Via[server])
		},
	})
	client, err := valkey.NewClient(option)
	for began := time.Now(); err != nil && time.Since(began) < patience; client, err = valkey.NewClient(option) {
		time.Sleep(10 * time.Millisecond) // its first connection was one of those that are lost
	}
	if err != nil {
		return nil, err
	}
	return valkeystore.New(client, valkeystore.Options{Prefix: s.Prefix})
}

// DialContext makes the settings a dialer.
func (s settings) DialContext(ctx context.Context, network, server string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.Via[server])
}

// startProcesses starts the processes.
func startProcesses(t *testing.T, s settings) *processFleet {
	t.Helper()
	f := &processFleet{t: t, settings: s}
	for range processes {
		f.all = append(f.all, process.Start(t, s))
	}
	return f
}

// newProcessFleet starts the processes behind a proxy. One in so many of those commands meets a
// fault.
func newProcessFleet(t *testing.T, s settings, proxy *faultproxy.Proxy, servers []string, commands map[string]bool, oneIn int) *processFleet {
	t.Helper()
	s.Via = make(map[string]string)
	for _, server := range servers {
		s.Via[server] = proxy.Addr(server)
	}
	f := startProcesses(t, s)
	proxy.On(func(c faultproxy.Command) faultproxy.Fault {
		if !commands[c.Name()] || rand.IntN(oneIn) > 0 {
			return faultproxy.None
		}
		f.faults.Add(1)
		if rand.IntN(20) == 0 { // nothing is heard any more, until the connection is given up
			time.AfterFunc(storeTimeout+time.Duration(rand.IntN(100))*time.Millisecond, proxy.Cut)
			return faultproxy.StallBefore + faultproxy.Fault(rand.IntN(2))
		}
		return faultproxy.CutBefore + faultproxy.Fault(rand.IntN(5))
	})
	t.Cleanup(func() { proxy.On(nil) })
	return f
}

func (f *processFleet) size() int { return processes }

var transport = &http.Transport{MaxIdleConnsPerHost: 50, DisableCompression: true}

func (f *processFleet) ask(process int, path, cookie string) (int, http.Header, string, error) {
	f.mu.Lock()
	base := f.all[process].URL
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, nil) // POST: the client does not send it twice
	if err != nil {
		return 0, nil, "", err
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(body), err
}

// kill ends one of the processes by SIGKILL, in the middle of what it does, and
// starts another in its place.
func (f *processFleet) kill() {
	f.mu.Lock()
	i := rand.IntN(processes)
	old := f.all[i]
	f.mu.Unlock()
	old.Kill(f.t)
	fresh := process.Start(f.t, f.settings)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[i] = fresh
	f.kills.Add(1)
}

func (f *processFleet) String() string {
	return fmt.Sprintf("%d faults of the network, %d processes killed", f.faults.Load(), f.kills.Load())
}

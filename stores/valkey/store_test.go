package valkeystore_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// A server is one that the environment names.
type server struct {
	name    string // of the variable
	old     bool   // it does not know SET with IFEQ
	minimal bool   // its user may do what the store needs by default, and no more
}

var servers = []server{
	{name: "VALKEY_ADDR"},
	{name: "VALKEY_CLUSTER_ADDRS"},
	{name: "VALKEY_TLS_ADDR", minimal: true},
	{name: "VALKEY_OLD_ADDR", old: true},
}

// addresses returns those of the server, or skips the test where there is none.
func addresses(t testing.TB, env string) string {
	t.Helper()
	addrs := os.Getenv(env)
	if addrs == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set: scripts/servers.sh up starts the servers of the tests", env)
		}
		t.Skipf("NOT TESTED: %s is not set; scripts/servers.sh up starts the servers of the tests", env)
	}
	return addrs
}

// dial returns a client for the server.
func dial(t testing.TB, env string) valkey.Client {
	t.Helper()
	option := valkey.ClientOption{InitAddress: strings.Split(addresses(t, env), ",")}
	if env == "VALKEY_TLS_ADDR" {
		option.Username, option.Password = os.Getenv("VALKEY_TLS_USERNAME"), os.Getenv("VALKEY_TLS_PASSWORD")
		option.DisableCache = true // its user may not even ask for tracking
		option.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		pem, err := os.ReadFile(os.Getenv("VALKEY_TLS_CA"))
		if err != nil {
			t.Fatal(err)
		}
		option.TLSConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	client, err := valkey.NewClient(option)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	t.Cleanup(client.Close)
	return client
}

// open returns a store that shares nothing with others, and cleans up after it.
func open(t testing.TB, client valkey.Client, o valkeystore.Options) *valkeystore.Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = rand.Text() + ":"
	}
	s, err := valkeystore.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, part := range []store.Store{s, s.UserIndex()} {
			if err := part.(store.Clearer).Clear(context.Background()); err != nil {
				t.Errorf("clear: %v", err)
			}
		}
	})
	return s
}

func TestStore(t *testing.T) {
	for _, server := range servers {
		for _, tt := range []struct {
			name string
			opts valkeystore.Options
			old  bool // an old server can do it too
			long bool // it says no more where it runs on another server
		}{
			{"by default", valkeystore.Options{}, true, false},
			{"always by scripts", valkeystore.Options{Scripts: valkeystore.ScriptsAlways}, true, true},
			{"never by scripts", valkeystore.Options{Scripts: valkeystore.ScriptsNever}, false, true},
			{"by digests", valkeystore.Options{DigestFrom: 1}, true, true},
			{"with a cache", valkeystore.Options{CacheTTL: time.Second}, true, true},
		} {
			if server.old && !tt.old || server.minimal && tt.opts.CacheTTL > 0 {
				continue
			}
			if tt.long && server.name != "VALKEY_ADDR" && os.Getenv("SOAK") == "" {
				continue
			}
			t.Run(server.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				client := dial(t, server.name)
				logVersion(t, client)
				// Prefixes begin in the same way, and with what a pattern
				// would take for something else.
				storetest.Run(t, func(t *testing.T) store.Store {
					o := tt.opts
					o.Prefix = `sess:te[s]t*?\` + rand.Text() + ":"
					return open(t, client, o)
				})
			})
		}
	}
}

func logVersion(t *testing.T, client valkey.Client) {
	t.Helper()
	info, err := client.Do(t.Context(), client.B().Info().Section("server").Build()).ToString()
	if err != nil {
		t.Logf("the server does not tell its version: %v", err)
		return
	}
	for line := range strings.Lines(info) {
		if strings.HasPrefix(line, "valkey_version:") || strings.HasPrefix(line, "redis_version:") {
			t.Logf("server: %s", strings.TrimSpace(line))
		}
	}
}

func record(id, text string) store.Record {
	return store.Record{ID: id, Data: []byte(`{"text":"` + text + `"}`), TTL: time.Minute}
}

func TestTheRecordIsWhatConnectRedisKeeps(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	prefix := "sess:" + rand.Text() // a part of the id, so as to leave no trace among others' sessions
	s, err := valkeystore.New(client, valkeystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimPrefix(prefix, "sess:")
	defer func() {
		if err := s.Delete(context.Background(), id); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	if err := s.Create(ctx, record(id, "first")); err != nil {
		t.Fatal(err)
	}
	do := func(args ...string) valkey.ValkeyResult { return client.Do(ctx, client.B().Arbitrary(args...).Build()) }
	if got, err := do("GET", "sess:"+id).ToString(); err != nil || got != `{"text":"first"}` {
		t.Errorf("GET returned %q, %v; want the data unchanged", got, err)
	}
	if ttl, err := do("PTTL", "sess:"+id).AsInt64(); err != nil || ttl < 50_000 || ttl > 60_000 {
		t.Errorf("PTTL is %d, %v; want a minute", ttl, err)
	}
	if err := s.Touch(ctx, id, time.Hour); err != nil {
		t.Fatal(err)
	}
	if ttl, err := do("PTTL", "sess:"+id).AsInt64(); err != nil || ttl < 3_500_000 {
		t.Errorf("PTTL is %d, %v after Touch; want an hour", ttl, err)
	}
	// What connect-redis writes is read, and what it wrote meanwhile is noticed.
	if err := do("SET", "sess:"+id, `{"text":"express"}`, "EX", "60").Error(); err != nil {
		t.Fatal(err)
	}
	newest, err := s.UpdateOrLoad(ctx, record(id, "first"), record(id, "second"))
	if !errors.Is(err, store.ErrConflict) || string(newest.Data) != `{"text":"express"}` {
		t.Errorf("UpdateOrLoad returned %q, %v; want what Express wrote, and ErrConflict", newest.Data, err)
	}
}

func TestAProcessReadsItsOwnWrites(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	s := open(t, client, valkeystore.Options{CacheTTL: time.Minute})
	ctx := t.Context()
	rec := record(rand.Text(), "0")
	if _, err := s.Load(ctx, rec.ID); !errors.Is(err, store.ErrNotFound) { // which is kept in the cache, too
		t.Fatal(err)
	}
	if err := s.Create(ctx, rec); err != nil {
		t.Fatal(err)
	}
	const rounds = 2000
	stale := 0
	for i := range rounds {
		got, err := s.Load(ctx, rec.ID)
		if err != nil || string(got.Data) != string(rec.Data) {
			stale++
		}
		next := record(rec.ID, fmt.Sprint(i+1))
		if err := s.Update(ctx, rec, next); err != nil {
			t.Fatal(err)
		}
		rec = next
	}
	if stale > 0 {
		t.Errorf("%d of %d reads did not see the write before them", stale, rounds)
	}
	if err := s.Delete(ctx, rec.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, rec.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load after Delete returned %v, want ErrNotFound", err)
	}
}

// Standards: ASVS-8.3.2
func TestTheCacheSparesReadsAndBypassCacheReadsPastIt(t *testing.T) {
	writer := open(t, dial(t, "VALKEY_ADDR"), valkeystore.Options{Prefix: rand.Text() + ":"})
	client := dial(t, "VALKEY_ADDR")
	reader := open(t, client, valkeystore.Options{Prefix: writer.Prefix(), CacheTTL: time.Minute})
	ctx := t.Context()
	rec := record(rand.Text(), "first")
	if err := writer.Create(ctx, rec); err != nil {
		t.Fatal(err)
	}
	gets := func() int64 {
		info, err := client.Do(ctx, client.B().Info().Section("commandstats").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(info, "cmdstat_get:calls=")
		var n int64
		_, _ = fmt.Sscan(strings.SplitN(after, ",", 2)[0], &n)
		return n
	}
	load := func(ctx context.Context) string {
		got, err := reader.Load(ctx, rec.ID)
		if err != nil {
			return err.Error()
		}
		return string(got.Data)
	}
	load(ctx)
	n := int64(1000)
	for tries := 20; tries > 0 && n > 500; tries-- { // others use the server too
		before := gets()
		for range 1000 {
			load(ctx)
		}
		n = gets() - before
	}
	if n > 500 {
		t.Errorf("%d GETs for 1000 cached reads", n)
	}
	next := record(rec.ID, "second")
	if err := writer.Update(ctx, rec, next); err != nil {
		t.Fatal(err)
	}
	if got := load(store.BypassCache(ctx)); got != string(next.Data) {
		t.Errorf("a fresh read returned %s, want what another process wrote", got)
	}
	for start := time.Now(); load(ctx) != string(next.Data); {
		if time.Since(start) > time.Minute {
			t.Fatal("a cached read did not notice within a minute what another process wrote")
		}
	}
	// A write on top of something stale is refused.
	if err := reader.Update(ctx, rec, record(rec.ID, "third")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Update on top of a stale record returned %v, want ErrConflict", err)
	}
}

func TestAnOldServerIsAskedAgainAfterAWhile(t *testing.T) {
	client := dial(t, "VALKEY_OLD_ADDR")
	s := open(t, client, valkeystore.Options{})
	ctx := t.Context()
	rec := record(rand.Text(), "first")
	if err := s.Create(ctx, rec); err != nil {
		t.Fatal(err)
	}
	sets := func() int64 {
		return callsOf(t, client, "set") + callsOf(t, client, "eval") + callsOf(t, client, "evalsha")
	}
	update := func() {
		t.Helper()
		next := record(rec.ID, rand.Text())
		if err := s.Update(ctx, rec, next); err != nil {
			t.Fatal(err)
		}
		rec = next
	}
	update()
	if !s.KnowsNoIFEQ() {
		t.Fatal("the store did not find out that the server knows no IFEQ")
	}
	before := sets()
	for range 10 {
		update()
	}
	// A script that sets counts as two commands; a SET that is refused would be a third.
	if n := sets() - before; n > 25 {
		t.Errorf("10 updates took %d commands", n)
	}
	s.LetAMinutePass()
	if s.KnowsNoIFEQ() {
		t.Error("the store does not ask again")
	}
	update()
	if !s.KnowsNoIFEQ() {
		t.Error("the store did not find out again")
	}
}

func callsOf(t *testing.T, client valkey.Client, command string) (n int64) {
	t.Helper()
	info, err := client.Do(t.Context(), client.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	if _, after, ok := strings.Cut(info, "cmdstat_"+command+":calls="); ok {
		_, _ = fmt.Sscan(strings.SplitN(after, ",", 2)[0], &n)
	}
	return n
}

func TestDestroyFailsWithoutTheReplicasThatWereAskedFor(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	s := open(t, client, valkeystore.Options{WaitReplicas: 1})
	for verb, call := range map[string]func(context.Context, store.Record) error{
		"remove": s.Remove,
		"delete": func(ctx context.Context, rec store.Record) error { return s.Delete(ctx, rec.ID) },
	} {
		rec := record(rand.Text(), "first")
		if err := s.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		err := call(t.Context(), rec) // without a deadline it waits for a second, from when the record is gone
		var failure *store.Error
		if !errors.As(err, &failure) || failure.Verb != verb || failure.Outcome != store.OutcomeUnknown {
			t.Errorf("%s returned %v, want a store.Error with an unknown outcome: one server has no replicas", verb, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	for _, tt := range []struct {
		field string
		opts  valkeystore.Options
	}{
		{"CacheTTL", valkeystore.Options{CacheTTL: -1}},
		{"CacheTTL is too short: 30 is 30ns: write 30 * time.Second", valkeystore.Options{CacheTTL: 30}},
		{"Prefix", valkeystore.Options{Prefix: "app::"}},
		{"UserPrefix", valkeystore.Options{UserPrefix: "app::users:"}},
		{"NoPrefix", valkeystore.Options{Prefix: "app:", NoPrefix: true}},
		{"UserPrefix", valkeystore.Options{NoPrefix: true, UserPrefix: "users"}},
		{"Scripts", valkeystore.Options{Scripts: 3}},
		{"Scripts", valkeystore.Options{Scripts: -1}},
		{"DigestFrom", valkeystore.Options{DigestFrom: -2}},
		{"WaitReplicas", valkeystore.Options{WaitReplicas: -1}},
	} {
		if s, err := valkeystore.New(client, tt.opts); s != nil || err == nil || !strings.Contains(err.Error(), "Options."+tt.field) {
			t.Errorf("New with %+v returned %v, want an error that names %s", tt.opts, err, tt.field)
		}
	}
	if s, err := valkeystore.New(nil, valkeystore.Options{}); s != nil || err == nil {
		t.Errorf("New without a client returned %v", err)
	}
}

// A server has the certificate for its own name, and so has a Sentinel.
func TestOpenAsksEachServerForACertificateOfItsOwnName(t *testing.T) {
	errSeen := errors.New("that was all")
	listen := func() (port string, asked chan string) {
		asked = make(chan string, 100)
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			asked <- hello.ServerName
			return nil, errSeen
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}
		}()
		_, port, _ = net.SplitHostPort(l.Addr().String())
		return port, asked
	}
	for name, query := range map[string]string{"cluster": "", "Sentinels": "&master_set=ours"} {
		byName, asked1 := listen()
		byAddress, asked2 := listen()
		if _, err := valkeystore.Open(t.Context(), "valkeys://localhost:"+byName+"?addr=127.0.0.1:"+byAddress+query, valkeystore.Options{}); err == nil {
			t.Errorf("%s: Open: nil", name)
		}
		for _, server := range []struct {
			name  string
			asked chan string
			want  string // an address is asked for by no name
		}{{"localhost", asked1, "localhost"}, {"127.0.0.1", asked2, ""}} {
			select {
			case got := <-server.asked:
				if got != server.want {
					t.Errorf("%s: %s is asked for a certificate of %q, want %q", name, server.name, got, server.want)
				}
			case <-time.After(time.Minute): // only what fails waits so long
				t.Errorf("%s: %s is not asked for a certificate", name, server.name)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	addr := addresses(t, "VALKEY_ADDR")
	ctx := t.Context()
	s, err := valkeystore.Open(ctx, "valkey://"+addr+"/0", valkeystore.Options{Prefix: rand.Text() + ":"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	s.Close()
	var failure *store.Error
	if _, err := s.Load(ctx, "id"); !errors.As(err, &failure) || failure.Outcome != store.OutcomeNotApplied {
		t.Errorf("Load after Close returned %v, want a store.Error", err)
	}

	if _, err := valkeystore.Open(ctx, "nonsense://user:pa%zz@host", valkeystore.Options{}); err == nil || strings.Contains(err.Error(), "pa%zz") {
		t.Errorf("Open of a bad URL returned %v, want an error without the password", err)
	}
	if _, err := valkeystore.Open(ctx, "valkey://:secret@127.0.0.1:1", valkeystore.Options{}); !errors.As(err, &failure) || failure.Outcome != store.OutcomeNotApplied || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open of a server that is down returned %v, want a store.Error without the password", err)
	}
	for _, url := range []string{"valkey://user:secret,127.0.0.1:1", "valkey://user:secret:1", "valkey://127.0.0.1:1,127.0.0.1:2"} {
		if _, err := valkeystore.Open(ctx, url, valkeystore.Options{}); err == nil || !strings.Contains(err.Error(), "cannot be parsed") || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open of a host that is none returned %v", err)
		}
	}
	if _, err := valkeystore.Open(ctx, "valkey://"+addr+"?sentinel_password=secret", valkeystore.Options{}); err == nil || !strings.Contains(err.Error(), "master_set") || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open with a password of Sentinels and no name of a primary returned %v, want an error that names master_set", err)
	}
	if _, err := valkeystore.Open(ctx, "valkey://"+addr, valkeystore.Options{CacheTTL: -1}); err == nil {
		t.Error("Open with a bad option returned no error")
	}
	if _, err := valkeystore.Open(ctx, "valkey://"+addr+"/123456", valkeystore.Options{}); err == nil || !strings.Contains(err.Error(), "server has no database of this number") {
		t.Errorf("Open of a database that there is not returned %v", err)
	}
}

// Who reads that Open failed sees where it looked, and whether it asked for TLS, which of
// two servers that do not understand each other neither says.
func TestOpenSaysWhereItLooked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	for url, want := range map[string]string{
		"valkey://user:secret@127.0.0.1:1":                      "(at 127.0.0.1:1, without TLS)",
		"valkeys://user:secret@" + addr + "?dial_timeout=50ms":  "(at " + addr + ", over TLS)",
		"valkey://127.0.0.1:1?addr=127.0.0.1:2&master_set=ours": "(at 127.0.0.1:1, 127.0.0.1:2, without TLS)",
		"unix:///nowhere/valkey.sock?db=0":                      "(at /nowhere/valkey.sock, without TLS)",
	} {
		s, err := valkeystore.Open(t.Context(), url, valkeystore.Options{})
		var failure *store.Error
		if s != nil || !errors.As(err, &failure) || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q) returned %v, want a store.Error that ends in %q", url, err, want)
		}
	}
}

// Requests that come at once are written at once, because they share a connection.
func TestAStoreThatIsOpenedHasOneConnection(t *testing.T) {
	other := dial(t, "VALKEY_ADDR") // or skip
	ctx, name := t.Context(), rand.Text()
	s, err := valkeystore.Open(ctx, "valkey://"+os.Getenv("VALKEY_ADDR")+"?client_name="+name, valkeystore.Options{Prefix: name + ":"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			if _, err := s.Load(ctx, fmt.Sprint(i)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Load returned %v", err)
			}
		})
	}
	all.Wait()
	clients, err := other.Do(ctx, other.B().ClientList().Build()).ToString()
	if n := strings.Count(clients, "name="+name); err != nil || n != 1 {
		t.Errorf("it has %d connections (%v), want 1", n, err)
	}
}

// A server that takes connections and says nothing does not hold Open longer
// than its context allows, be it a server or a Sentinel.
func TestOpenEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var taken sync.WaitGroup
	came := make(chan net.Conn, 100)
	taken.Go(func() {
		defer close(came)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came <- conn
		}
	})
	for _, query := range []string{"", "?master_set=primary"} {
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan error, 1)
		go func() {
			s, err := valkeystore.Open(ctx, "valkey://"+l.Addr().String()+query, valkeystore.Options{})
			if err == nil {
				s.Close()
			}
			returned <- err
		}()
		conn := <-came
		cancel()
		select {
		case err = <-returned:
		case <-time.After(time.Minute):
			t.Errorf("%s: Open did not return when its context was done", query)
			err = <-returned
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Open returned %v, want context.Canceled", query, err)
		}
		_ = conn.Close()
	}
	_ = l.Close()
	taken.Wait()
	for conn := range came {
		_ = conn.Close()
	}
}

// A context without a deadline does not time out: the client does.
func TestASilentServerIsATimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the system takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := valkeystore.Open(context.Background(), "valkey://"+l.Addr().String()+"?dial_timeout=50ms", valkeystore.Options{})
	var failure *store.Error
	if !errors.As(err, &failure) || failure.Class != "timeout" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open returned %v, %v; want a timeout", s, err)
	}
}

// A walk has no deadline, as a rule, and a client tries a server that is gone again until there
// is one.
func TestAWalkDoesNotWaitForEverForAServerThatIsGone(t *testing.T) {
	addr := addresses(t, "VALKEY_ADDR")
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		relayed sync.WaitGroup
		mu      sync.Mutex
		conns   []net.Conn
		cut     bool
	)
	relayed.Go(func() {
		for {
			near, err := relay.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				_ = near.Close()
				continue
			}
			mu.Lock()
			if conns = append(conns, near, far); cut {
				_, _ = near.Close(), far.Close()
			}
			mu.Unlock()
			relayed.Go(func() { _, _ = io.Copy(near, far) })
			relayed.Go(func() { _, _ = io.Copy(far, near) })
		}
	})
	s, err := valkeystore.Open(t.Context(), "valkey://"+relay.Addr().String(), valkeystore.Options{Prefix: rand.Text() + ":"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, err := s.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("Count of none: %d, %v", n, err)
	}
	_ = relay.Close()
	mu.Lock()
	cut = true
	for _, conn := range conns {
		_ = conn.Close()
	}
	mu.Unlock()
	relayed.Wait()
	defer valkeystore.SetPageTimeout(100 * time.Millisecond)()
	var failure *store.Error
	if _, err := s.Count(t.Context()); !errors.As(err, &failure) {
		t.Errorf("Count: %v, want a store.Error", err)
	}
	for _, err := range s.All(t.Context()) {
		if !errors.As(err, &failure) {
			t.Errorf("All: %v, want a store.Error", err)
		}
	}
	if err := s.Clear(t.Context()); !errors.As(err, &failure) {
		t.Errorf("Clear: %v, want a store.Error", err)
	}
}

func TestAStoreOfTheAppsClientLeavesItOpen(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	open(t, client, valkeystore.Options{}).Close()
	if err := client.Do(t.Context(), client.B().Ping().Build()).Error(); err != nil {
		t.Errorf("the app's client after Store.Close: %v", err)
	}
}

// Another program has put a key of another type where a session is, or a list.
func TestAKeyOfAnotherTypeIsNoRecord(t *testing.T) {
	for _, server := range servers {
		for _, tt := range []struct {
			name string
			opts valkeystore.Options
		}{
			{"by default", valkeystore.Options{}},
			{"by digests", valkeystore.Options{DigestFrom: 1}},
			{"never by scripts", valkeystore.Options{Scripts: valkeystore.ScriptsNever}},
			{"with a cache", valkeystore.Options{CacheTTL: time.Second}},
			{"the lists", valkeystore.Options{}},
		} {
			if server.minimal || server.old && (tt.opts.Scripts == valkeystore.ScriptsNever || tt.opts.CacheTTL > 0) {
				continue
			}
			t.Run(server.name+"/"+tt.name, func(t *testing.T) {
				client := dial(t, server.name)
				storetest.RunDamaged(t, func(t *testing.T) (store.Store, func(string)) {
					s := open(t, client, tt.opts)
					part, prefix := store.Store(s), s.Prefix()
					if tt.name == "the lists" {
						part, prefix = s.UserIndex(), "user-"+prefix
					}
					return part, func(id string) {
						for _, command := range []valkey.Completed{
							client.B().Del().Key(prefix + id).Build(),
							client.B().Hset().Key(prefix+id).FieldValue().FieldValue("a", "b").Build(),
						} {
							if err := client.Do(t.Context(), command).Error(); err != nil {
								t.Fatal(err)
							}
						}
						t.Cleanup(func() { client.Do(context.Background(), client.B().Del().Key(prefix+id).Build()) })
					}
				})
			})
		}
	}
}

// Walks do not count, list or end what is not the store's.
func TestWalksSeeNoStoreWithALongerPrefix(t *testing.T) {
	for _, env := range []string{"VALKEY_ADDR", "VALKEY_CLUSTER_ADDRS"} {
		t.Run(env, func(t *testing.T) {
			ctx, client := t.Context(), dial(t, env)
			outer := rand.Text() + ":"
			var stores []*valkeystore.Store
			for _, prefix := range []string{outer, outer + "staff:", outer + "staff:night:", "user-" + outer + "staff:"} {
				stores = append(stores, open(t, client, valkeystore.Options{Prefix: prefix}))
			}
			// Ids that look like keys of another, too.
			ids := []string{"1", "staff:1", "night:1", "staff:night:1", ":1", "staff:", ":", "::"}
			slices.Sort(ids)
			listed := func(s *valkeystore.Store) (got []string) {
				t.Helper()
				for rec, err := range s.All(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, rec.ID)
				}
				slices.Sort(got)
				if n, err := s.Count(ctx); n != len(got) || err != nil {
					t.Errorf("Count of %q returned %d, %v; All yielded %d", s.Prefix(), n, err, len(got))
				}
				return got
			}
			for i, s := range stores {
				for _, id := range ids {
					if err := s.Create(ctx, record(id, fmt.Sprint(i))); err != nil {
						t.Fatalf("%q, %q: %v", s.Prefix(), id, err)
					}
				}
			}
			for i, s := range stores {
				if got := listed(s); !slices.Equal(got, ids) {
					t.Errorf("All of %q yielded %q, want %q", s.Prefix(), got, ids)
				}
				for _, id := range ids {
					if rec, err := s.Load(ctx, id); err != nil || string(rec.Data) != string(record(id, fmt.Sprint(i)).Data) {
						t.Errorf("%q, %q: Load returned %s, %v", s.Prefix(), id, rec.Data, err)
					}
				}
			}
			for i, s := range stores {
				if err := s.Clear(ctx); err != nil {
					t.Fatal(err)
				}
				if got := listed(s); len(got) > 0 {
					t.Errorf("Clear of %q left %q", s.Prefix(), got)
				}
				for _, other := range stores[i+1:] {
					if got := listed(other); !slices.Equal(got, ids) {
						t.Errorf("Clear of %q left %q to %q, want %q", s.Prefix(), got, other.Prefix(), ids)
					}
				}
			}
		})
	}
}

// An Express app may have such a prefix.
func TestAPrefixThatCannotBeToldFromALongerOneIsNotWalked(t *testing.T) {
	client, ctx := dial(t, "VALKEY_ADDR"), t.Context()
	for _, o := range []valkeystore.Options{{Prefix: rand.Text() + "_"}, {NoPrefix: true}} {
		s, err := valkeystore.New(client, o)
		if err != nil {
			t.Fatal(err)
		}
		id := rand.Text()
		rec := record(id, "first")
		if err := errors.Join(s.Create(ctx, rec), s.Update(ctx, rec, record(id, "second"))); err != nil {
			t.Fatal(err)
		}
		_, count := s.Count(ctx)
		var walk error
		for _, walk = range s.All(ctx) { //nolint:revive // for the error
		}
		for verb, err := range map[string]error{"Count": count, "All": walk, "Clear": s.Clear(ctx)} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%+v: %s returned %v, want errors.ErrUnsupported", o, verb, err)
			}
		}
		if err := s.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
}

// connect-redis can be told to have no prefix.
func TestWithoutAPrefixTheIdIsTheKey(t *testing.T) {
	client, ctx := dial(t, "VALKEY_ADDR"), t.Context()
	s, err := valkeystore.New(client, valkeystore.Options{NoPrefix: true})
	if err != nil {
		t.Fatal(err)
	}
	for id, key := range map[string]string{"": "", "user-sess:": ":user-sess:"} { // and not the key of a list
		random := rand.Text()
		rec := record(id+random, "data")
		if err := s.Create(ctx, rec); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Do(ctx, client.B().Get().Key(key+random).Build()).ToString(); got != string(rec.Data) || err != nil {
			t.Errorf("under the key of an id with %q there is %q, %v", id, got, err)
		}
		if err := s.Delete(ctx, rec.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllSeesEachSessionOnceAndNobodyElses(t *testing.T) {
	for _, env := range []string{"VALKEY_ADDR", "VALKEY_CLUSTER_ADDRS"} {
		t.Run(env, func(t *testing.T) {
			client := dial(t, env)
			s, other := open(t, client, valkeystore.Options{}), open(t, client, valkeystore.Options{})
			ctx := t.Context()
			var want []string
			for i := range 1500 {
				rec := record(fmt.Sprint("session-", i), "")
				want = append(want, rec.ID)
				if err := s.Create(ctx, rec); err != nil {
					t.Fatal(err)
				}
				if i%10 == 0 {
					if err := other.Create(ctx, rec); err != nil {
						t.Fatal(err)
					}
				}
			}
			var got []string
			for rec, err := range s.All(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rec.ID)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("All returned %d ids, want each of the %d once", len(got), len(want))
			}
			if n, err := s.Count(ctx); err != nil || n != len(want) {
				t.Errorf("Count returned %d, %v; want %d", n, err, len(want))
			}
			if err := s.Clear(ctx); err != nil {
				t.Fatal(err)
			}
			if n, err := other.Count(ctx); err != nil || n != 150 {
				t.Errorf("Clear left %d, %v of the other store's sessions, want 150", n, err)
			}
		})
	}
}

func TestListsAreOutOfTheWayOfTheSessions(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	for _, tt := range []struct {
		prefix, users string
		want          string // what the keys of the lists begin with; empty: refused
	}{
		{"sess:", "", "user-sess:"},
		{"{app}sess:", "", "user-{app}sess:"},
		{"sess:", "lists:", "lists:"},
		{"sess:", "sess:users:", ""},
		{"users:sess:", "users:", ""},
		{"sess:", "sess:", ""},
		{"u", "", ""},
		{"user-", "", ""},
		{"user-", "lists:", "lists:"},
	} {
		s, err := valkeystore.New(client, valkeystore.Options{Prefix: tt.prefix, UserPrefix: tt.users})
		if tt.want == "" {
			if err == nil || !strings.Contains(err.Error(), "UserPrefix") {
				t.Errorf("%q, %q: %v, want an error about UserPrefix", tt.prefix, tt.users, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q, %q: %v", tt.prefix, tt.users, err)
			continue
		}
		rec := record(rand.Text(), "list")
		if err := s.UserIndex().Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		n, err := client.Do(t.Context(), client.B().Del().Key(tt.want+rec.ID).Build()).AsInt64()
		if n != 1 || err != nil {
			t.Errorf("%q, %q: there is no %s..., %v", tt.prefix, tt.users, tt.want, err)
		}
	}
}

// What an operator did to a key, such as PERSIST, outlives a write that is to keep
// the life.
func TestAWriteThatKeepsTheLifeLeavesAKeyWithoutAnExpirySo(t *testing.T) {
	for _, server := range servers {
		if server.minimal { // its user may not PERSIST
			continue
		}
		for _, scripts := range []valkeystore.Scripts{valkeystore.ScriptsAuto, valkeystore.ScriptsAlways} {
			client := dial(t, server.name)
			o := valkeystore.Options{Scripts: scripts}
			s := open(t, client, o)
			rec := record(rand.Text(), "first")
			key := s.Prefix() + rec.ID
			if err := s.Create(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			if err := client.Do(t.Context(), client.B().Persist().Key(key).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			next := record(rec.ID, "second")
			next.TTL = store.KeepTTL
			if err := s.Update(t.Context(), rec, next); err != nil {
				t.Fatal(err)
			}
			ttl, err := client.Do(t.Context(), client.B().Pttl().Key(key).Build()).AsInt64()
			if ttl != -1 || err != nil {
				t.Errorf("%s, scripts %d: PTTL is %d, %v; want -1", server.name, scripts, ttl, err)
			}
		}
	}
}

// A process that has a session in its cache and removes it does not see it again.
func TestWhatAProcessRemovedIsNotInItsCache(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	s := open(t, client, valkeystore.Options{CacheTTL: time.Minute})
	other := open(t, client, valkeystore.Options{Prefix: s.Prefix()})
	for range 200 {
		rec := record(rand.Text(), "first")
		if err := other.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context(), rec.ID); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Load after Remove returned %v", err)
		}
	}
}

// connect-redis sets an expiry with every session; others may not.
func TestInspectOfAKeyWithoutAnExpiry(t *testing.T) {
	client := dial(t, "VALKEY_ADDR")
	s := open(t, client, valkeystore.Options{})
	id := rand.Text()
	if err := client.Do(t.Context(), client.B().Set().Key(s.Prefix()+id).Value("{}").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	found, err := s.Inspect(t.Context(), []string{id})
	if err != nil || len(found) != 1 || found[0].TTL < 24*time.Hour {
		t.Errorf("Inspect returned %v, %v; want one that lives long", found, err)
	}
}

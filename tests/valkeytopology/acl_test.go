package valkeytopology

import (
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// What a user of the server has to be allowed, as docs/valkey.md lists it.
var (
	always      = []string{"+get", "+set", "+del", "+pexpire", "+ping"}
	withScripts = []string{"+eval", "+evalsha"}
	without     = []string{"+delifeq"}         // scripts, where the server is Valkey 9 or newer
	withUsers   = []string{"+pttl"}            // SignIn and all that goes with it
	withCache   = []string{"+client|tracking"} // and withUsers
	withWait    = []string{"+wait"}
	forLists    = []string{"+scan", "+unlink"}
	withCluster = []string{"+cluster|shards"} // and +cluster|slots where the servers are older than Valkey 8

	// A process sends this once, when it first uses a script.
	onFirstUse = []string{"+script|load"}

	// Without this, no session is cached. Open says so.
	forCaching = []string{"+multi", "+exec"}

	// Without this, sessions are cached all the same, but the server does not
	// tell when they change.
	forTracking = []string{"+client|caching"}

	// Without this, the end of a session is found by asking for it.
	forStreams = "+client|tracking"

	// The client goes without these, but tries, and the server then logs that it
	// refused them.
	quiet         = []string{"+client|setinfo", "+role", forStreams}
	quietWithWait = []string{"+discard", "+unsubscribe", "+punsubscribe", "+sunsubscribe"}
)

// The store passes its suite on a server that demands TLS and a user who may do
// what is listed above and nothing else; and nothing of the list is too much.
func TestACL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		opts   valkeystore.Options
		needed []string
		quiet  []string
	}{
		{"default", valkeystore.Options{}, slices.Concat(always, withScripts, withUsers, forLists), quiet},
		{"ScriptsNever", valkeystore.Options{Scripts: valkeystore.ScriptsNever}, slices.Concat(always, without, withUsers, forLists), quiet},
		{"CacheTTL", valkeystore.Options{CacheTTL: time.Minute}, slices.Concat(always, withScripts, withUsers, withCache, forLists), slices.Concat(quiet, forCaching, forTracking)},
		{"WaitReplicas", valkeystore.Options{WaitReplicas: 1}, slices.Concat(always, withScripts, withUsers, withWait, forLists), slices.Concat(quiet, quietWithWait)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := servers.StartTLS(t)
			if tt.opts.WaitReplicas > 0 {
				servers.StartReplica(t, server)
			}
			user := func(may []string) valkey.ClientOption {
				name := strings.ToLower(rand.Text())
				server.Must(append([]string{"ACL", "SETUSER", name, "on", ">password", "resetkeys", "~sess:*", "~user-sess:*", "resetchannels", "-@all"}, may...)...)
				o := server.Option()
				o.Username, o.Password, o.DisableCache = name, "password", tt.opts.CacheTTL == 0
				return o
			}
			c := client(t, user(slices.Concat(tt.needed, onFirstUse, tt.quiet)))
			server.Must("ACL", "LOG", "RESET")
			t.Run("storetest", func(t *testing.T) {
				storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, c, tt.opts) })
			})
			logsNothing(t, server)
			if !works(t, server, user(slices.Concat(tt.needed, onFirstUse)), tt.opts) {
				t.Error("the store does not work with what is needed alone")
			}
			for i, superfluous := range tt.needed {
				rest := slices.Delete(slices.Clone(tt.needed), i, i+1)
				if works(t, server, user(append(rest, onFirstUse...)), tt.opts) {
					t.Errorf("the store works without %s", superfluous)
				}
			}
		})
	}
}

// logsNothing checks that the server refused nothing.
func logsNothing(t *testing.T, server *servers.Server) {
	t.Helper()
	log, err := server.Must("ACL", "LOG").ToArray()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range log {
		m, _ := entry.AsStrMap() // what is missing is empty
		t.Errorf("refused: %s %s (%s)", m["reason"], m["object"], m["context"])
	}
}

// The same on a cluster.
func TestClusterACL(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t)
	user := func(may ...string) valkey.ClientOption {
		o := cluster.Option()
		o.Username, o.Password, o.DisableCache = strings.ToLower(rand.Text()), "password", true
		for _, s := range cluster.Servers {
			s.Must(append([]string{"ACL", "SETUSER", o.Username, "on", ">password", "resetkeys", "~sess:*", "~user-sess:*", "resetchannels", "-@all"}, may...)...)
			s.Must("ACL", "LOG", "RESET")
		}
		return o
	}
	needed := slices.Concat(always, withScripts, withUsers, forLists, withCluster)
	c := client(t, user(slices.Concat(needed, onFirstUse, quiet)...))
	storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, c, valkeystore.Options{}) })
	for _, s := range cluster.Servers {
		logsNothing(t, s)
	}
	if !works(t, cluster.Servers[0], user(append(needed, onFirstUse...)...), valkeystore.Options{}) {
		t.Error("the store does not work with what is needed alone")
	}
	for _, superfluous := range withCluster {
		rest := slices.DeleteFunc(slices.Clone(needed), func(s string) bool { return s == superfluous })
		if works(t, cluster.Servers[0], user(append(rest, onFirstUse...)...), valkeystore.Options{}) {
			t.Errorf("the store works without %s", superfluous)
		}
	}
}

// Open asks for no more than New on a client that the app made with care.
func TestOpenACL(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	name := strings.ToLower(rand.Text())
	server.Must(append([]string{"ACL", "SETUSER", name, "on", ">password", "resetkeys", "~sess:*", "resetchannels", "-@all"}, always...)...)
	url := "valkey://" + name + ":password@" + server.Addr
	s, err := valkeystore.Open(t.Context(), url, valkeystore.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer s.Close()
	allowed(t, s, "create", "update", "load", "touch", "delete")
	refused(t, s, "not permitted by the server's ACL", "remove") // needs what stands in withScripts

	// With a cache, the client has to ask the server to tell of changes.
	s, err = valkeystore.Open(t.Context(), url, valkeystore.Options{CacheTTL: time.Minute})
	var failure *store.Error
	if !errors.As(err, &failure) || !strings.Contains(failure.Class, "CLIENT TRACKING") || failure.Outcome != store.OutcomeNotApplied {
		t.Errorf("Open with CacheTTL: %v, want a store.Error that says that tracking is refused", err)
	}
	if err == nil {
		s.Close()
	}

	// And it fills the cache by a transaction.
	for _, lacks := range forCaching {
		server.Must("ACL", "SETUSER", name, "+client|tracking", "+client|caching", "+pttl", "+multi", "+exec", "-"+lacks[1:])
		s, err := valkeystore.Open(t.Context(), url, valkeystore.Options{CacheTTL: time.Minute})
		if !errors.As(err, &failure) || !strings.Contains(failure.Class, lacks) || failure.Outcome != store.OutcomeNotApplied {
			t.Errorf("Open with CacheTTL and without %s: %v, want a store.Error that says what is needed", lacks, err)
		}
		if err == nil {
			s.Close()
		}
	}
	server.Must("ACL", "SETUSER", name, "+multi", "+exec")
	s, err = valkeystore.Open(t.Context(), url, valkeystore.Options{CacheTTL: time.Minute})
	if err != nil {
		t.Fatalf("Open with CacheTTL and all that it needs: %v", err)
	}
	s.Close()
}

// works reports whether every verb of a store does something.
func works(t *testing.T, server *servers.Server, o valkey.ClientOption, opts valkeystore.Options) bool {
	t.Helper()
	server.Must("SCRIPT", "FLUSH")
	c, err := valkey.NewClient(o)
	if err != nil {
		return false
	}
	defer c.Close()
	large := func(text string) store.Record { return record(`{"` + strings.Repeat(text, 8<<10) + `":1}`) }
	opts.Prefix = "sess:" + rand.Text() + ":"
	s := newStore(t, c, opts)
	errs := []error{
		verbs["ping"](t, s),
		verbs["create"](t, s), verbs["update"](t, s), verbs["load"](t, s),
		verbs["load"](t, newStore(t, c, opts)), // one that did not write what it reads
		verbs["touch"](t, s), verbs["delete"](t, s),
		verbs["create"](t, s), verbs["remove"](t, s),
		verbs["create"](t, s), verbs["inspect"](t, s), verbs["list"](t, s), verbs["count"](t, s), verbs["clear"](t, s),
		s.Create(t.Context(), large("a")), s.Update(t.Context(), large("a"), large("b")),
		verbs["delete"](t, s), verbs["create"](t, s),
		s.UserIndex().Create(t.Context(), large("c")), s.UserIndex().Update(t.Context(), large("c"), large("d")),
	}
	if err := verbs["replace"](t, s); !errors.Is(err, errors.ErrUnsupported) {
		errs = append(errs, err)
	}
	return errors.Join(errs...) == nil
}

// The server that the environment names demands TLS and a user.
func TestTLSServer(t *testing.T) {
	t.Parallel()
	o := servers.TLSOption(t)
	t.Log(servers.Version(o))
	passes(t, client(t, o))

	for name, change := range map[string]func(*valkey.ClientOption){
		"another password": func(o *valkey.ClientOption) { o.Password += "x" },
		"nobody":           func(o *valkey.ClientOption) { o.Username, o.Password = "", "" },
		"no TLS":           func(o *valkey.ClientOption) { o.TLSConfig = nil },
	} {
		wrong := servers.TLSOption(t)
		change(&wrong)
		wrong.Dialer.Timeout = time.Second
		if c, err := valkey.NewClient(wrong); err == nil {
			s := newStore(t, c, valkeystore.Options{})
			if err := verbs["create"](t, s); err == nil {
				t.Errorf("with %s the server can be used", name)
			}
			c.Close()
		}
	}
}

// stat returns a figure of INFO commandstats.
func stat(fields, name string) (n int) {
	for field := range strings.SplitSeq(fields, ",") {
		if key, value, _ := strings.Cut(field, "="); key == name {
			n, _ = strconv.Atoi(value)
		}
	}
	return n
}

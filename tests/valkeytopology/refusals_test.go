package valkeytopology

import (
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

const (
	secretID   = "secret-id"
	secretData = `{"secret":"data"}`
)

// record is what the verbs below are called with.
func record(data string) store.Record {
	return store.Record{ID: secretID, Data: []byte(data), TTL: time.Hour}
}

// The verbs of a store, with which a server can be asked for something.
var verbs = map[string]func(t *testing.T, s *valkeystore.Store) error{
	"load": func(t *testing.T, s *valkeystore.Store) error {
		_, err := s.Load(t.Context(), secretID)
		return err
	},
	"create": func(t *testing.T, s *valkeystore.Store) error { return s.Create(t.Context(), record(secretData)) },
	"update": func(t *testing.T, s *valkeystore.Store) error {
		return s.Update(t.Context(), record(secretData), record(`{"secret":"other"}`))
	},
	"replace": func(t *testing.T, s *valkeystore.Store) error {
		next := record(secretData)
		next.ID += "-next"
		return s.Replace(t.Context(), record(secretData), record("{}"), next)
	},
	"touch":  func(t *testing.T, s *valkeystore.Store) error { return s.Touch(t.Context(), secretID, time.Hour) },
	"delete": func(t *testing.T, s *valkeystore.Store) error { return s.Delete(t.Context(), secretID) },
	"remove": func(t *testing.T, s *valkeystore.Store) error { return s.Remove(t.Context(), record(secretData)) },
	"ping":   func(t *testing.T, s *valkeystore.Store) error { return s.Ping(t.Context()) },
	"count": func(t *testing.T, s *valkeystore.Store) error {
		_, err := s.Count(t.Context())
		return err
	},
	"list": func(t *testing.T, s *valkeystore.Store) error {
		for _, err := range s.All(t.Context()) {
			return err
		}
		return nil
	},
	"clear": func(t *testing.T, s *valkeystore.Store) error { return s.Clear(t.Context()) },
	"inspect": func(t *testing.T, s *valkeystore.Store) error {
		_, err := s.Inspect(t.Context(), []string{secretID})
		return err
	},
}

// refused checks that each of the verbs is refused, with that in the error.
func refused(t *testing.T, s *valkeystore.Store, class string, list ...string) {
	t.Helper()
	for _, verb := range list {
		err := verbs[verb](t, s)
		var failure *store.Error
		switch {
		case !errors.As(err, &failure):
			t.Errorf("%s: %v, want a store.Error", verb, err)
			continue
		case failure.Class != class || failure.Verb != verb || failure.Store != "valkey":
			t.Errorf("%s: %+v, want the class %q", verb, failure, class)
		case failure.Outcome != store.OutcomeNotApplied:
			t.Errorf("%s: what was refused is said to be perhaps applied", verb)
		}
		if status := core.HTTPStatus(err); status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", verb, status)
		}
		if text := err.Error(); strings.Contains(text, "secret") {
			t.Errorf("%s: the error tells an id or data: %s", verb, text)
		}
	}
}

// allowed checks that each of the verbs is done.
func allowed(t *testing.T, s *valkeystore.Store, list ...string) {
	t.Helper()
	for _, verb := range list {
		if err := verbs[verb](t, s); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// passes checks that each of the verbs is done; the long form is the suite of stores, which
// the tests of the store run on such servers in any case.
func passes(t *testing.T, c valkey.Client) {
	t.Helper()
	if soak.For(t) > 0 {
		storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, c, valkeystore.Options{}) })
		return
	}
	allowed(t, newStore(t, c, valkeystore.Options{}), "ping", "create", "load", "touch", "inspect", "list", "count", "update", "delete", "create", "remove", "create", "clear")
}

// What a server may say instead of doing what it was asked for.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	t.Log(server.Version())
	key := func(prefix string) string { return prefix + secretID }
	c := client(t, server.Option())
	scripts := func(t *testing.T, prefix string) *valkeystore.Store {
		return newStore(t, c, valkeystore.Options{Prefix: prefix, Scripts: valkeystore.ScriptsAlways})
	}
	fresh := func(t *testing.T) (prefix string, s *valkeystore.Store) {
		prefix = "sess:" + rand.Text() + ":"
		return prefix, newStore(t, c, valkeystore.Options{Prefix: prefix})
	}

	t.Run("NOSCRIPT", func(t *testing.T) {
		prefix, _ := fresh(t)
		s := scripts(t, prefix)
		for range 3 {
			allowed(t, s, "create", "remove", "create", "update", "delete", "create", "replace", "clear")
			server.Must("SCRIPT", "FLUSH")
		}
	})
	t.Run("OOM", func(t *testing.T) {
		prefix, s := fresh(t)
		_, another := fresh(t)
		commands := newStore(t, c, valkeystore.Options{Prefix: "sess:" + rand.Text() + ":", Scripts: valkeystore.ScriptsNever})
		for _, s := range []*valkeystore.Store{s, another, commands} {
			allowed(t, s, "create")
		}
		server.Must("CONFIG", "SET", "maxmemory", "1")
		defer server.Must("CONFIG", "SET", "maxmemory", "0")
		for _, s := range []*valkeystore.Store{s, scripts(t, prefix)} {
			for _, verb := range []string{"update", "replace"} {
				if err := verbs[verb](t, s); !errors.Is(err, store.ErrFull) {
					t.Errorf("%s: %v, want store.ErrFull", verb, err)
				}
			}
			refused(t, s, "out of memory (maxmemory is reached)", "update", "replace")
			allowed(t, s, "load", "touch", "ping", "count", "list")
		}
		allowed(t, another, "delete")
		allowed(t, s, "remove") // a logout makes room
		allowed(t, commands, "remove")
		if err := s.Create(t.Context(), record(secretData)); !errors.Is(err, store.ErrFull) {
			t.Errorf("create: %v, want store.ErrFull", err)
		}
		server.Must("CONFIG", "SET", "maxmemory", "0")
		allowed(t, s, "create", "update")
	})
	t.Run("WRONGTYPE", func(t *testing.T) {
		prefix, s := fresh(t)
		server.Must("HSET", key(prefix), "secret-field", "secret-value")
		for _, s := range []*valkeystore.Store{s, scripts(t, prefix)} {
			for verb, want := range map[string]error{"load": store.ErrUndecodable, "update": store.ErrConflict, "remove": store.ErrConflict, "replace": store.ErrConflict} {
				if err := verbs[verb](t, s); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", verb, err, want)
				}
			}
			allowed(t, s, "list", "count", "clear") // of which it is not seen
			if err := s.Create(t.Context(), record(secretData)); !errors.Is(err, store.ErrExists) {
				t.Errorf("create: %v, want ErrExists", err)
			}
		}
		allowed(t, s, "touch", "delete", "create", "update")
	})
	t.Run("NOPERM", func(t *testing.T) {
		prefix, s := fresh(t)
		allowed(t, s, "create")
		server.Must("ACL", "SETUSER", "weak", "on", ">password", "~"+prefix+"*", "+get", "+client|tracking")
		o := server.Option()
		o.Username, o.Password = "weak", "password"
		wc := client(t, o)
		weak := newStore(t, wc, valkeystore.Options{Prefix: prefix})
		refused(t, weak, "not permitted by the server's ACL", "create", "update", "replace", "touch", "remove", "delete", "count", "list", "clear")
		allowed(t, weak, "load")
		refused(t, newStore(t, wc, valkeystore.Options{Prefix: "other:"}), "not permitted by the server's ACL", "load")
		server.Must("ACL", "SETUSER", "weak", "allcommands")
		allowed(t, weak, "update", "touch", "delete")

		server.Must("ACL", "SETUSER", "weak", "resetpass", ">another")
		server.Must("CLIENT", "KILL", "USER", "weak")
		refused(t, weak, "authentication failed", "create")
	})
	t.Run("BUSY", func(t *testing.T) {
		_, s := fresh(t)
		server.Must("CONFIG", "SET", "busy-reply-threshold", "5")
		over := make(chan struct{})
		go func() {
			defer close(over)
			server.Do("EVAL", "while true do end", "0")
		}()
		server.Await("BUSY", func() error {
			if err := s.Ping(t.Context()); err == nil {
				return errors.New("it answers")
			}
			return nil
		})
		refused(t, s, "server is busy with a script", "load", "create", "update", "touch", "remove", "delete")
		server.Must("SCRIPT", "KILL")
		<-over
		allowed(t, s, "create")
	})
	t.Run("NOREPLICAS", func(t *testing.T) {
		_, s := fresh(t)
		allowed(t, s, "create")
		server.Must("CONFIG", "SET", "min-replicas-to-write", "1")
		refused(t, s, "too few replicas (min-replicas-to-write)", "create", "update", "replace", "touch", "remove", "delete")
		allowed(t, s, "load")
		server.Must("CONFIG", "SET", "min-replicas-to-write", "0")
		allowed(t, s, "update")
	})
	t.Run("MISCONF", func(t *testing.T) {
		_, s := fresh(t)
		allowed(t, s, "create")
		server.Must("CONFIG", "SET", "save", "3600 1")
		if err := os.RemoveAll(server.Dir); err != nil {
			t.Fatal(err)
		}
		server.Must("BGSAVE")
		server.AwaitInfo("persistence", "rdb_last_bgsave_status:err")
		refused(t, s, "server cannot persist and refuses writes", "create", "update", "replace", "touch", "remove", "delete")
		allowed(t, s, "load")
		server.Must("CONFIG", "SET", "save", "")
		allowed(t, s, "update")
	})
}

// A replica is no place for sessions: it says so, and says so too when its
// primary is gone.
func TestReplicaRefuses(t *testing.T) {
	t.Parallel()
	primary := servers.Start(t)
	replica := servers.StartReplica(t, primary, "--replica-serve-stale-data", "no")
	c := client(t, replica.Option())
	prefix := "sess:" + rand.Text() + ":"
	allowed(t, newStore(t, client(t, primary.Option()), valkeystore.Options{Prefix: prefix}), "create")
	awaitReplicated(t, primary)
	for _, scripts := range []valkeystore.Scripts{valkeystore.ScriptsAuto, valkeystore.ScriptsAlways} {
		s := newStore(t, c, valkeystore.Options{Prefix: prefix, Scripts: scripts})
		refused(t, s, "server is a read-only replica", "create", "update", "replace", "touch", "remove", "delete")
		allowed(t, s, "load")
	}
	primary.Kill()
	replica.AwaitInfo("replication", "master_link_status:down")
	s := newStore(t, c, valkeystore.Options{Prefix: prefix})
	refused(t, s, "replica has lost its primary", "load", "remove") // a script is refused before it begins
	refused(t, s, "server is a read-only replica", "create", "update", "touch", "delete")
}

// A server that comes back and has much to read refuses everything until it is
// done.
func TestLoading(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no")
	s := newStore(t, client(t, server.Option()), valkeystore.Options{})
	allowed(t, s, "create")
	for i := range 1000 { // 50 ms each: it loads until it is told to go on without a pause
		if err := s.Create(t.Context(), store.Record{ID: strconv.Itoa(i), Data: []byte(strings.Repeat("x", 1024)), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	a := newApp(t, s)
	cookie := a.login()
	server.Must("SAVE")
	server.Kill()
	server.Launch()
	server.Await("LOADING", func() error {
		err := verbs["create"](t, s)
		if failure := (*store.Error)(nil); errors.As(err, &failure) && failure.Class == "server is loading its data" {
			return nil
		}
		return errors.New("create: " + errors.Join(err, errors.New("is not what is wanted")).Error())
	})
	refused(t, s, "server is loading its data", "create", "update", "remove", "delete") // the others are tried again until that is over
	server.Must("CONFIG", "SET", "key-load-delay", "0")
	servers.Await(t, "recovery", func() error {
		switch status, _, _ := a.get("/add", cookie); status {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("status %d while the server loads its data", status)
		}
		return errors.New("it still loads")
	})
	allowed(t, s, "touch", "load")
	t.Log("failed: ", a.check())
}

// A cluster that has lost slots serves none.
func TestClusterDown(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(servers.FreePort(t)), "--cluster-announce-ip", "127.0.0.1")
	server.Must("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	serves := func(want string) {
		server.Await(want, func() error {
			text, err := server.Text("CLUSTER", "INFO")
			if err == nil && !strings.Contains(text, want) {
				err = errors.New("not yet")
			}
			return err
		})
	}
	serves("cluster_state:ok")
	o := server.Option()
	o.ForceSingleClient = false
	c := client(t, o)
	if c.Mode() != valkey.ClientModeCluster {
		t.Fatal("the client does not see a cluster")
	}
	s := newStore(t, c, valkeystore.Options{Prefix: "sess:{a}:"})
	allowed(t, s, "create", "update")
	slot, err := server.Must("CLUSTER", "KEYSLOT", "{a}").AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	other := strconv.FormatInt((slot+1)%16384, 10)
	server.Must("CLUSTER", "DELSLOTS", other)
	serves("cluster_state:fail")
	refused(t, s, "cluster is down", "create", "update", "remove", "delete") // the others are tried again until that is over
	server.Must("CLUSTER", "ADDSLOTS", other)
	serves("cluster_state:ok")
	allowed(t, s, "load", "touch", "delete")

	// Nobody has the slot of the key, as a client knows that comes later.
	server.Must("CONFIG", "SET", "cluster-require-full-coverage", "no")
	server.Must("CLUSTER", "DELSLOTS", strconv.FormatInt(slot, 10))
	s = newStore(t, client(t, o), valkeystore.Options{Prefix: "sess:{a}:"})
	refused(t, s, "no server of the cluster has the slot", "create", "update", "remove", "delete", "load", "touch")
	server.Must("CLUSTER", "ADDSLOTS", strconv.FormatInt(slot, 10))
	servers.Await(t, "recovery", func() error { return verbs["create"](t, s) }) // the client asks again who has which slot
}

// Without scripts and without DELIFEQ, be it not known or not permitted, a session
// is removed in two steps. The server is not asked for DELIFEQ each time.
func TestRemoveWithoutDELIFEQ(t *testing.T) {
	t.Parallel()
	unknown := servers.Start(t, "--rename-command", "DELIFEQ", "")
	denied := servers.Start(t)
	denied.Must("ACL", "SETUSER", "default", "-delifeq")
	for name, server := range map[string]*servers.Server{"not known": unknown, "not permitted": denied} {
		t.Run(name, func(t *testing.T) {
			c := client(t, server.Option())
			prefix := "sess:" + rand.Text() + ":"
			s := newStore(t, c, valkeystore.Options{Prefix: prefix, Scripts: valkeystore.ScriptsNever})
			allowed(t, s, "create")
			for range 3 {
				if err := verbs["remove"](t, s); !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("remove: %v, want errors.ErrUnsupported", err)
				}
			}
			allowed(t, s, "load")
			a := newPatientApp(t, s)
			stayEnded(a, endedSessions(a, 5))
			if failed := a.check(); failed != "none" {
				t.Errorf("failed: %s", failed)
			}
			asked, err := server.Info("errorstats")
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"ERR", "NOPERM"} { // of all that was sent, the first DELIFEQ was refused
				if n := stat(asked["errorstat_"+word], "count"); n > 1 {
					t.Errorf("the server refused %d commands with %s", n, word)
				}
			}
			allowed(t, newStore(t, c, valkeystore.Options{Prefix: prefix}), "remove") // by a script
		})
	}
}

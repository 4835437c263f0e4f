package valkeytopology

import (
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// A server that does not know SET with IFEQ does everything by scripts, and is
// asked for IFEQ once.
func TestOldServer(t *testing.T) {
	t.Parallel()
	server := servers.StartOld(t)
	t.Log(server.Version())
	for _, tt := range []struct {
		name string
		opts valkeystore.Options
	}{
		{"auto", valkeystore.Options{}},
		{"always", valkeystore.Options{Scripts: valkeystore.ScriptsAlways}},
		{"cached", valkeystore.Options{CacheTTL: time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, server.Option())
			if soak.For(t) > 0 { // the tests of the store have it on another old server
				t.Run("storetest", func(t *testing.T) {
					storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, c, tt.opts) })
				})
			}
			st := newStore(t, c, tt.opts)
			server.Must("CONFIG", "RESETSTAT")
			l := newApp(t, st).begin(4, 8, false)
			l.more(1000)
			l.end()
			info, err := server.Info("commandstats")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("SET: %s; EVALSHA: %s", info["cmdstat_set"], info["cmdstat_evalsha"])
			// Each login is a SET with NX; what failed is the attempts to use IFEQ,
			// of which several may be under way when the first is answered.
			if n := failedCalls(t, server, "set"); n > 8 || n == 0 && tt.opts.Scripts == valkeystore.ScriptsAuto || n > 0 && tt.opts.Scripts != valkeystore.ScriptsAuto {
				t.Errorf("the server was asked %d times for what it does not know", n)
			}
		})
	}
	t.Run("never", func(t *testing.T) { // says what is wrong, and does not pretend
		s := newStore(t, client(t, server.Option()), valkeystore.Options{Scripts: valkeystore.ScriptsNever})
		allowed(t, s, "create", "load", "touch")
		var failure *store.Error
		if err := verbs["update"](t, s); !errors.As(err, &failure) || failure.Outcome != store.OutcomeNotApplied {
			t.Errorf("update: %v, want that it was not applied", err)
		}
		allowed(t, s, "load", "delete")
	})
}

// A server is replaced by a newer one at the same address and back again, under
// a load that goes on.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	newer := servers.Env(t, "VALKEY_SERVER")
	older := servers.Env(t, "VALKEY_OLD_SERVER")
	server := servers.StartOld(t, "--appendonly", "yes", "--appendfsync", "always")
	l := newApp(t, newStore(t, client(t, server.Option()), valkeystore.Options{})).begin(4, 4, false)
	l.more(200)
	t.Log(server.Version())
	server.Stop()
	server.Become(newer)
	server.Start()
	t.Log(server.Version())
	l.more(200)
	l.end()

	// The other way round: from IFEQ to scripts within a request. Sessions do
	// not survive it, because the older server cannot read the newer one's files.
	fresh := servers.Start(t)
	a := newApp(t, newStore(t, client(t, fresh.Option()), valkeystore.Options{}))
	l = a.begin(4, 4, false)
	l.more(200)
	l.end()
	fresh.Stop()
	fresh.Become(older)
	fresh.Start()
	t.Log(fresh.Version())
	l = a.begin(4, 4, false)
	l.more(200)
	l.end()
	if fresh.Calls("evalsha") == 0 {
		t.Error("the older server was not asked to run scripts")
	}
}

// failedCalls returns how many calls of a command the server rejected or failed.
func failedCalls(t *testing.T, server *servers.Server, command string) int {
	t.Helper()
	info, err := server.Info("commandstats")
	if err != nil {
		t.Fatal(err)
	}
	return stat(info["cmdstat_"+command], "rejected_calls") + stat(info["cmdstat_"+command], "failed_calls")
}

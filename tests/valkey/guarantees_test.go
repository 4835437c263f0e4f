package valkey

import (
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// TestThreeProcesses has three processes of one app, each by another framework,
// on one server.
//
// Standards: ASVS-8.3.2
func TestThreeProcesses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cluster bool
		private bool
		cache   time.Duration
	}{
		{"standalone", false, false, 0},
		{"cluster", true, false, 0},
		{"hashed and sealed", false, true, 0},
		{"caching", false, false, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := settings{Prefix: valkeyenv.Prefix(), CacheTTL: tt.cache}
			if tt.cluster {
				s.Addrs = valkeyenv.ClusterAddrs(t)
			} else {
				s.Addrs = []string{valkeyenv.Addr(t)}
			}
			client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: s.Addrs})
			store := valkeyenv.Store(t, client, valkeystore.Options{Prefix: s.Prefix})
			promises.Together(t, promises.Setup{Store: s, Private: tt.private}, store)
		})
	}
}

// TestUsersOfThreeProcesses does the same for the sessions of a user, by default on a
// cluster.
//
// Standards: ASVS-7.1.2, ASVS-7.4.2, ASVS-7.4.3, WSTG-SESS-11
func TestUsersOfThreeProcesses(t *testing.T) {
	t.Parallel()
	for _, tt := range soak.Some(t, []struct {
		name    string
		addrs   func(testing.TB) []string
		private bool
		cache   time.Duration
	}{
		{"cluster, hashed and sealed", valkeyenv.ClusterAddrs, true, 0},
		{"standalone", func(tb testing.TB) []string { return []string{valkeyenv.Addr(tb)} }, false, 0},
		{"caching", func(tb testing.TB) []string { return []string{valkeyenv.Addr(tb)} }, false, time.Minute},
	}) {
		t.Run(tt.name, func(t *testing.T) {
			s := settings{Prefix: valkeyenv.Prefix(), CacheTTL: tt.cache, Addrs: tt.addrs(t)}
			client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: s.Addrs})
			valkeyenv.Store(t, client, valkeystore.Options{Prefix: s.Prefix}) // which cleans up
			promises.Users(t, promises.Setup{Store: s, Private: tt.private}, tt.cache > 0)
		})
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	promises.Outage(t, server, promises.Setup{Store: settings{Addrs: []string{server.Addr}, Prefix: valkeyenv.Prefix()}})
}

// TestClearInterrupted has a server of its own, where there is nothing else to clear.
func TestClearInterrupted(t *testing.T) {
	t.Parallel()
	promises.ClearInterrupted(t, func(t *testing.T) *promises.Network {
		return newNetworkTo(t, []string{servers.Start(t).Addr}, valkeystore.Options{})
	})
}

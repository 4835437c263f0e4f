package valkey

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

func addrs(t *testing.T, cluster bool) []string {
	t.Helper()
	if cluster {
		return valkeyenv.ClusterAddrs(t)
	}
	return []string{valkeyenv.Addr(t)}
}

func newNetwork(t *testing.T, cluster bool, options valkeystore.Options) *promises.Network {
	t.Helper()
	return newNetworkTo(t, addrs(t, cluster), options)
}

func newNetworkTo(t *testing.T, addrs []string, options valkeystore.Options) *promises.Network {
	t.Helper()
	proxy := faultproxy.New(t)
	n := &promises.Network{Proxy: proxy}
	options.Prefix = valkeyenv.Prefix()
	n.Direct = valkeyenv.Store(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs}), options)
	store, err := valkeystore.New(valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs, DialCtxFn: proxy.Dial}), options)
	if err != nil {
		t.Fatal(err)
	}
	n.Through = store
	return n
}

// TestFaultMatrix does every fault to every command of the store.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, false, valkeystore.Options{}) }, promises.Valkey)
}

func TestFaultMatrixCluster(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, true, valkeystore.Options{}) }, promises.ValkeyCluster)
}

// TestFaultMatrixOfUsers does what may happen to a write to every call about a user.
func TestFaultMatrixOfUsers(t *testing.T) {
	t.Parallel()
	faultMatrixOfUsers(t, false)
}

// TestFaultMatrixOfUsersCluster is the same where the list and the sessions are on
// different servers.
func TestFaultMatrixOfUsersCluster(t *testing.T) {
	t.Parallel()
	faultMatrixOfUsers(t, true)
}

func faultMatrixOfUsers(t *testing.T, cluster bool) {
	lists := "lists:" + valkeyenv.Prefix()
	t.Cleanup(func() {
		valkeyenv.Clear(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs(t, cluster)}), lists)
	})
	promises.UserMatrix(t, func(t *testing.T) *promises.Network {
		return newNetwork(t, cluster, valkeystore.Options{UserPrefix: lists})
	}, promises.UserSubject{
		Load: "GET", Create: "SET", Update: "SET", Delete: "DEL", Inspect: "GET", LoadsBefore: 1,
		IsOfList: func(c faultproxy.Command) bool {
			return slices.ContainsFunc(c, func(arg string) bool { return strings.HasPrefix(arg, lists) })
		},
	})
}

func TestExactlyOnce(t *testing.T) {
	t.Parallel()
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
			newNetwork(t, tt.cluster, tt.options).ExactlyOnce(t, 60, "GET", "SET", "EVALSHA")
		})
	}
}

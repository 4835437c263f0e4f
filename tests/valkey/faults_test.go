package valkey

import (
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

func newNetwork(t *testing.T, cluster bool, options valkeystore.Options) *promises.Network {
	t.Helper()
	proxy := faultproxy.New(t)
	n := &promises.Network{Proxy: proxy}
	addrs := func() []string { return []string{valkeyenv.Addr(t)} }
	if cluster {
		addrs = func() []string { return valkeyenv.ClusterAddrs(t) }
	}
	options.Prefix = valkeyenv.Prefix()
	n.Direct = valkeyenv.Store(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs()}), options)
	store, err := valkeystore.New(valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs(), DialCtxFn: proxy.Dial}), options)
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

func TestExactlyOnce(t *testing.T) {
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

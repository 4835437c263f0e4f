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

var troubles = map[bool][]promises.Trouble{
	false: {
		{Name: "load", Begin: "/count", Path: "/read", Command: "GET", Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
		{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "GET", Nth: 1, Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
		{Name: "create", Path: "/count", Command: "SET", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("0", 0, 0), After: promises.Left("0", 1, 0)},
		{Name: "update", Begin: "/count", Path: "/count", Command: "SET", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("2", 1, 0)},
		{Name: "update of a large record", Begin: "/large /count", Path: "/count", Command: "EVALSHA", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("2", 1, 0)},
		{Name: "replace", Begin: "/count", Path: "/login?user=ann", Command: "EVALSHA", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: promises.Left("1", 1, 0), After: promises.Left("0", 1, 1)},
		{Name: "delete", Begin: "/count", Path: "/leave", Command: "DEL", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: promises.Left("1", 1, 0), After: promises.Left("0", 0, 0)},
		{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "PEXPIRE", Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
	},
	true: { // in a cluster
		{Name: "load", Begin: "/count", Path: "/read", Command: "GET", Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
		{Name: "create", Path: "/count", Command: "SET", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("0", 0, 0), After: promises.Left("0", 1, 0)},
		{Name: "delete", Begin: "/count", Path: "/leave", Command: "DEL", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: promises.Left("1", 1, 0), After: promises.Left("0", 0, 0)},
		{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "PEXPIRE", Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
		{Name: "replace, the next", Begin: "/count", Path: "/login?user=ann", Command: "SET", Write: true, Creates: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 2, 0)},
		{Name: "replace, the old", Begin: "/count", Path: "/login?user=ann", Command: "SET", Nth: 1, Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: promises.Left("1", 2, 0), After: promises.Left("0", 1, 1), Refused: promises.Left("1", 1, 0)},
		{Name: "update", Begin: "/count", Path: "/count", Command: "SET", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("2", 1, 0)},
	},
}

// TestFaultMatrix does every fault to every command of the store.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, false, valkeystore.Options{}) }, troubles[false])
}

func TestFaultMatrixCluster(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, true, valkeystore.Options{}) }, troubles[true])
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

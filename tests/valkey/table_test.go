package valkey

import (
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

// table runs all scenarios over a framework, each with keys of its own.
func table(t *testing.T, fw frameworks.Named, client valkey.Client, o valkeystore.Options) {
	t.Run(fw.Name, func(t *testing.T) {
		adaptertest.Run(t, fw.Framework, func(t *testing.T) store.Store { return valkeyenv.Store(t, client, o) })
	})
}

func TestAdapters(t *testing.T) {
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{valkeyenv.Addr(t)}})
	for _, fw := range soak.Some(t, frameworks.All()) { // to a framework all stores are the same: tests/adapters has all of them on one
		table(t, fw, client, valkeystore.Options{})
	}
}

func TestAdaptersCluster(t *testing.T) {
	if soak.For(t) == 0 {
		t.Skip("TestThreeProcesses, TestFaultMatrixCluster and the suite of stores have a cluster too, and the table says no more there: make soak")
	}
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: valkeyenv.ClusterAddrs(t)})
	table(t, frameworks.All()[1], client, valkeystore.Options{})
}

// The processes of a scenario share one Store, so all of them are the process
// that reads its own writes.
func TestAdaptersCaching(t *testing.T) {
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{valkeyenv.Addr(t)}})
	fw := frameworks.All()[1]
	if soak.For(t) == 0 {
		fw.Except = map[string]string{"G1: 64 clients x 50 increments over 3 processes on one session are 3200": "takes long; TestThreeProcesses does it with real processes"}
	}
	table(t, fw, client, valkeystore.Options{CacheTTL: time.Minute})
}

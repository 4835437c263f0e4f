package valkeytopology

import (
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// downAfter is how long a primary is silent that Sentinels take for dead, where one is to die.
const downAfter = time.Second

// Sentinels make the replica the primary, first because they are told to and
// then because the primary died.
func TestSentinel(t *testing.T) {
	t.Parallel()
	set := servers.StartSentinels(t)
	t.Log(set.Servers[0].Version(), "twice, and three Sentinels")
	c := client(t, set.Option())
	t.Run("storetest", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, c, valkeystore.Options{}) })
	})
	a := newApp(t, newStore(t, c, valkeystore.Options{}))
	ended := endedSessions(a, 20)
	awaitReplicated(t, set.Primary())

	through := func(name string, lossy bool, how func(l *load, primary *servers.Server)) {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, a.store)
			l := a.begin(8, 8, lossy)
			l.more(300)
			before := set.Primary()
			began := time.Now()
			how(l, before)
			awaitOther(t, set, before)
			l.more(300)
			t.Logf("another primary after %v", time.Since(began).Round(time.Millisecond))
			l.end()
			stayEnded(a, ended)
		})
	}
	// Writes wait until the replica has caught up.
	through("coordinated failover", false, func(_ *load, _ *servers.Server) {
		set.Failover("COORDINATED")
	})
	set.AwaitReady()
	awaitReplicated(t, set.Primary()) // a replica that has nothing yet would have everybody log in again
	through("death", true, func(l *load, primary *servers.Server) {
		set.SetDownAfter(downAfter)
		primary.Kill()
		l.refusals(1)
	})
	set.SetDownAfter(servers.Patience)
	for _, s := range set.Servers { // the Sentinels make it a replica
		if s != set.Primary() {
			s.Start()
		}
	}
	set.AwaitReady()
	stayEnded(a, ended)
	// The old primary goes on until it is told, and what it took is lost.
	through("failover", true, func(_ *load, _ *servers.Server) {
		set.Failover()
	})
}

func awaitOther(t *testing.T, set *servers.Sentinels, before *servers.Server) {
	t.Helper()
	servers.Await(t, "another primary", func() error {
		if now := set.Primary(); now == before {
			return errors.New("it is still the same")
		}
		return nil
	})
}

package valkeytopology

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// What fills the cache of a client is a transaction: a session is read when EXEC is, and may
// be on another server by then.
func TestACachedReadFollowsASlotThatMoves(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t)
	for _, tt := range []struct {
		name string
		move func(slot int, to servers.Node, meanwhile func())
	}{
		{"has moved", func(slot int, to servers.Node, meanwhile func()) {
			cluster.Move(slot, to, func() {})
			meanwhile()
		}},
		{"is about to move", func(slot int, to servers.Node, meanwhile func()) {
			steps := 0
			cluster.Move(slot, to, func() {
				if steps++; steps == 2 { // the session is there, and the slot is not yet
					meanwhile()
				}
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prefix := "sess:{" + rand.Text() + "}:"
			proxy := faultproxy.New(t)
			option := cluster.Option()
			option.DialCtxFn = proxy.Dial
			st := newStore(t, client(t, option), valkeystore.Options{Prefix: prefix, CacheTTL: time.Minute})
			allowed(t, newStore(t, client(t, cluster.Option()), valkeystore.Options{Prefix: prefix}), "create")

			executes, moved := make(chan struct{}), make(chan struct{})
			release := sync.OnceFunc(func() { close(moved) })
			defer release()
			var once sync.Once
			proxy.On(func(c faultproxy.Command) faultproxy.Fault {
				if c.Name() == "EXEC" {
					once.Do(func() { close(executes); <-moved })
				}
				return faultproxy.None
			})
			read := make(chan error, 1)
			go func() {
				rec, err := st.Load(t.Context(), secretID)
				if err == nil && string(rec.Data) != secretData {
					err = fmt.Errorf("it holds %q", rec.Data)
				}
				read <- err
			}()
			<-executes
			slot := cluster.Slot(prefix)
			tt.move(slot, cluster.OtherPrimary(cluster.Owner(slot)), func() {
				release()
				if err := <-read; err != nil {
					t.Errorf("load: %v", err)
				}
			})
			proxy.On(nil)
			allowed(t, st, "load", "update", "load")
		})
	}
}

// Those who wait for the answer to somebody else's read do not fail with the connection
// that it was sent on.
func TestCachedReadsOutliveTheirConnection(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	prefix := "sess:" + rand.Text() + ":"
	allowed(t, newStore(t, client(t, server.Option()), valkeystore.Options{Prefix: prefix}), "create")
	for range 10 {
		proxy := faultproxy.New(t)
		option := server.Option()
		option.DialCtxFn = proxy.Dial
		st := newStore(t, client(t, option), valkeystore.Options{Prefix: prefix, CacheTTL: time.Minute})
		const readers = 8
		var reading sync.WaitGroup
		reading.Add(readers)
		var once sync.Once
		proxy.On(func(c faultproxy.Command) (did faultproxy.Fault) {
			if c.Name() == "EXEC" {
				once.Do(func() {
					reading.Wait()
					did = faultproxy.CutBefore
				})
			}
			return did
		})
		var wg sync.WaitGroup
		for range readers {
			wg.Go(func() {
				reading.Done()
				if _, err := st.Load(t.Context(), secretID); err != nil {
					t.Errorf("load: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

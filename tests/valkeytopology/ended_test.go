package valkeytopology

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// What Session.Ended promises where servers fail: nobody is told of an end that there was
// not, and nobody misses one.

// openStreams makes n sessions on the servers that option leads to, and waits for the
// ends of all.
func openStreams(t *testing.T, option valkey.ClientOption, n int) *promises.Streams {
	t.Helper()
	// A server that is silent is taken for dead after two seconds, and not after ten.
	option.Dialer.KeepAlive, option.ConnWriteTimeout = time.Second, 2*time.Second
	open := func() store.Store { return newStore(t, client(t, option), valkeystore.Options{Prefix: "sess:"}) }
	return promises.OpenStreams(t, open(), open(), core.Config{PollInterval: time.Hour}, n) // nothing is found by a poll
}

// Standards: ASVS-7.4.1, ASVS-16.5.2
func TestEndsAreToldThroughTheTroublesOfACluster(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t)
	s := openStreams(t, cluster.Option(), 1000)
	s.AreTold(s.End(50))
	for _, trouble := range []struct {
		name string
		make func() (over func())
	}{
		{"a failover that an operator asks for", func() func() {
			primary := cluster.Nodes()[slices.IndexFunc(cluster.Nodes(), func(n servers.Node) bool { return n.Primary })]
			cluster.ReplicaOf(primary).Must("CLUSTER", "FAILOVER")
			return func() { cluster.AwaitReady(6) }
		}},
		{"a slot with sessions that moves", func() func() {
			for range 3 {
				slot := cluster.Slot("sess:" + s.ID(s.Live[len(s.Live)-1]))
				cluster.Move(slot, cluster.OtherPrimary(cluster.Owner(slot)), func() { s.Use(5) })
			}
			return func() { cluster.AwaitReady(6) }
		}},
		{"all connections are killed", func() func() {
			for _, node := range cluster.Nodes() {
				node.Must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			}
			return func() {}
		}},
		{"a primary hangs, and its replica takes over", func() func() {
			primary := cluster.Nodes()[slices.IndexFunc(cluster.Nodes(), func(n servers.Node) bool { return n.Primary })]
			replica := cluster.ReplicaOf(primary)
			cluster.SetNodeTimeout(nodeTimeout)
			primary.Pause()
			servers.Await(t, "the replica to take over", func() error {
				info, err := replica.Info("replication")
				if err == nil && info["role"] != "master" {
					err = errors.New("it is " + info["role"])
				}
				return err
			})
			return func() {
				primary.Resume()
				cluster.AwaitReady(6)
				cluster.SetNodeTimeout(servers.Patience)
			}
		}},
		{"a primary dies", func() func() {
			cluster.SetNodeTimeout(nodeTimeout)
			cluster.Nodes()[slices.IndexFunc(cluster.Nodes(), func(n servers.Node) bool { return n.Primary })].Kill()
			return func() {
				cluster.AwaitReady(5)
				cluster.SetNodeTimeout(servers.Patience)
			}
		}},
	} {
		start := time.Now()
		over := trouble.make()
		s.AreTold(s.End(100)) // while it lasts
		over()
		s.Use(100)
		s.AreTold(s.End(50))
		t.Logf("%s: %v", trouble.name, time.Since(start).Round(time.Millisecond))
	}
	s.Use(len(s.Live))
}

// Standards: ASVS-7.4.1, ASVS-16.5.2
func TestEndsAreToldThroughTheTroublesOfAServer(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir())
	s := openStreams(t, server.Option(), 600)
	s.AreTold(s.End(50))

	server.Must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	s.AreTold(s.End(100))
	s.Use(50)

	server.Pause()
	if err := s.Elsewhere.Ping(t.Context()); err == nil { // it returns when the client takes the server for dead
		t.Error("a server that hangs answers")
	}
	s.NoOther()
	server.Resume()
	s.AreTold(s.End(100))
	s.Use(50)

	server.Kill()
	s.NoOther()
	server.Start()
	s.AreTold(s.End(100))
	s.Use(len(s.Live))

	// What the server forgets has ended, and is told.
	all := s.Live
	s.Live = nil
	server.Must("FLUSHDB")
	s.AreTold(all)
}

// Standards: ASVS-7.4.1
func TestEndsAreToldThroughAFailoverOfSentinels(t *testing.T) {
	t.Parallel()
	sentinels := servers.StartSentinels(t)
	s := openStreams(t, sentinels.Option(), 300)
	s.AreTold(s.End(50))
	sentinels.SetDownAfter(downAfter)
	sentinels.Primary().Kill()
	s.AreTold(s.End(100))
	s.Use(len(s.Live))
}

// A server that refuses to read one session goes on to tell of the others.
//
// Standards: ASVS-16.5.2
func TestARefusedReadLosesNoWatch(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	st := newStore(t, client(t, server.Option()), valkeystore.Options{Prefix: "sess:"})
	told := make(chan string, 10)
	w := st.Watch(func(ids ...string) {
		for _, id := range ids {
			told <- id
		}
	})
	defer w.Close()
	for _, id := range []string{"a", "b"} {
		if err := st.Create(t.Context(), store.Record{ID: id, Data: []byte(`{}`), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Inspect(t.Context(), []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		server.Must("ACL", "SETUSER", "default", "-get")
		if _, err := w.Inspect(t.Context(), []string{"a"}); err == nil {
			t.Fatal("a read that is not permitted fails with no error")
		}
		server.Must("ACL", "SETUSER", "default", "+get")
	}
	if err := st.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-told:
		if id != "b" {
			t.Errorf("told of %s", id)
		}
	case <-time.After(servers.Patience):
		t.Error("nobody is told of an end, because the read of another session was refused")
	}
}

// Where the client has no connection to give, because the app's commands that block have
// them all, there is one attempt that waits, and not one more each time.
func TestOneAttemptWaitsForAConnection(t *testing.T) {
	server := servers.Start(t)
	option := server.Option()
	option.BlockingPoolSize = 1
	c := client(t, option)
	st := newStore(t, c, valkeystore.Options{Prefix: "sess:"})
	_, release := c.Dedicate()
	w := st.Watch(func(...string) {})
	defer w.Close()
	attempt := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := w.Inspect(ctx, []string{"a"})
		return err
	}
	if attempt() == nil {
		t.Fatal("there is a connection")
	}
	before := runtime.NumGoroutine()
	for range 20 {
		_ = attempt()
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines, after 20 more attempts %d", before, after)
	}
	release()
	if _, err := w.Inspect(t.Context(), []string{"a"}); err != nil {
		t.Errorf("with a connection: %v", err)
	}
}

// The connection on which replicas confirm a deletion is waited for no longer than the call may
// take.
func TestADeletionWaitsForAConnectionUntilItsContextIsDone(t *testing.T) {
	t.Parallel()
	option := servers.Start(t).Option()
	option.BlockingPoolSize = 1
	c := client(t, option)
	st := newStore(t, c, valkeystore.Options{WaitReplicas: 1})
	_, release := c.Dedicate()
	defer release()
	for _, verb := range []func(context.Context) error{
		func(ctx context.Context) error { return st.Delete(ctx, secretID) },
		func(ctx context.Context) error { return st.Remove(ctx, record(secretData)) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- verb(ctx) }()
		select {
		case err := <-done:
			var failure *store.Error
			if !errors.As(err, &failure) || !errors.Is(err, context.DeadlineExceeded) || failure.Outcome != store.OutcomeNotApplied {
				t.Errorf("%v, want a store.Error that says that the time is over and nothing was done", err)
			}
		case <-time.After(servers.Patience / 3):
			t.Fatal("it waits for a connection, though its time is over")
		}
	}
}

// Ten thousand streams of a process cost one connection to each server and no goroutine
// each, and no more than a few round trips to set up. What is measured is in the log, and
// in docs/valkey.md.
func TestTenThousandStreams(t *testing.T) {
	const n = 10_000
	server := servers.Start(t)
	goroutines := runtime.NumGoroutine()
	start := time.Now()
	s := openStreams(t, server.Option(), n)
	made := time.Since(start)
	start = time.Now()
	server.AwaitInfo("stats", fmt.Sprintf("tracking_total_keys:%d", n))
	setUp := time.Since(start)
	if more := runtime.NumGoroutine() - goroutines; more > n/100 {
		t.Errorf("%d streams took %d goroutines", n, more)
	}
	clients, err := server.Text("CLIENT", "LIST")
	if err != nil {
		t.Fatal(err)
	}
	tracking := 0
	for line := range strings.Lines(clients) {
		for _, field := range strings.Fields(line) {
			if flags, ok := strings.CutPrefix(field, "flags="); ok && strings.Contains(flags, "t") {
				tracking++
			}
		}
	}
	t.Logf("%d connections track", tracking)

	var took []time.Duration
	for range 1000 {
		began := time.Now()
		<-s.Ended(s.End(1)[0])
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d sessions made in %v, watched %v after that; from the call that loads and ends a session until it is told: p50 %v, p99 %v, max %v",
		n, made.Round(time.Millisecond), setUp.Round(time.Millisecond), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	s.NoOther()
}

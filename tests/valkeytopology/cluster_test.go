package valkeytopology

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t)
	t.Log(cluster.Servers[0].Version(), "and five more")
	c := client(t, cluster.Option())
	t.Run("storetest", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			opts valkeystore.Options
			long bool // the tests of the store have it on another cluster, or it says no more here
		}{
			{"always by scripts", valkeystore.Options{Scripts: valkeystore.ScriptsAlways}, false},
			{"cached", valkeystore.Options{CacheTTL: time.Minute}, false},
			{"WaitReplicas", valkeystore.Options{WaitReplicas: 1}, false},
			{"by default", valkeystore.Options{}, true},
			{"never by scripts", valkeystore.Options{Scripts: valkeystore.ScriptsNever}, true},
		} {
			if tt.long && soak.For(t) == 0 {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, c, tt.opts) })
			})
		}
	})
	t.Run("walk", func(t *testing.T) { testWalk(t, cluster, newStore(t, c, valkeystore.Options{})) })
	t.Run("walk while a slot moves", func(t *testing.T) {
		prefix := "sess:{" + rand.Text() + "}:"
		testMovingWalk(t, cluster, newStore(t, c, valkeystore.Options{Prefix: prefix}), cluster.Slot(prefix))
	})
}

// List, count and clear see what is on every primary, and once.
func testWalk(t *testing.T, cluster *servers.Cluster, st *valkeystore.Store) {
	const n = 300
	ctx := t.Context()
	for i := range n {
		if err := st.Create(ctx, store.Record{ID: fmt.Sprint("id", i), Data: []byte(`{"n":` + strconv.Itoa(i) + `}`), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	other := newStore(t, client(t, cluster.Option()), valkeystore.Options{})
	if err := other.Create(ctx, store.Record{ID: "another's", Data: []byte("{}"), TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for rec, err := range st.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[rec.ID] {
			t.Error("All returned a record twice")
		}
		seen[rec.ID] = true
	}
	count, err := st.Count(ctx)
	if len(seen) != n || count != n || err != nil {
		t.Errorf("All returned %d records and Count %d of %d, error %v", len(seen), count, n, err)
	}
	for _, node := range cluster.Nodes() {
		if calls := node.Calls("scan"); node.Primary && calls == 0 {
			t.Error("a primary was not asked")
		}
		for _, command := range []string{"keys", "flushdb", "flushall"} {
			if node.Calls(command) != 0 {
				t.Errorf("%s was used", command)
			}
		}
	}
	if err := st.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	if count, err = st.Count(ctx); count != 0 || err != nil {
		t.Errorf("Count after Clear: %d, %v", count, err)
	}
	if count, err = other.Count(ctx); count != 1 || err != nil {
		t.Errorf("Count of another store after Clear: %d, %v", count, err)
	}
}

// A session is listed once, also when its slot moves from a primary that was
// walked to one that was not. The order of the primaries is by chance.
func testMovingWalk(t *testing.T, cluster *servers.Cluster, st *valkeystore.Store, slot int) {
	const n = 100
	for i := range n {
		if err := st.Create(t.Context(), store.Record{ID: strconv.Itoa(i), Data: []byte("{}"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		seen := make(map[string]bool)
		for rec, err := range st.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if len(seen) == 0 {
				cluster.Move(slot, cluster.OtherPrimary(cluster.Owner(slot)), func() {})
			}
			if seen[rec.ID] {
				t.Fatalf("%s is listed twice", rec.ID)
			}
			seen[rec.ID] = true
		}
		if len(seen) != n { // they were on the first page
			t.Errorf("%d sessions are listed, want %d", len(seen), n)
		}
	}
}

// The slot of all sessions moves to another primary and back, key by key, while
// they are used.
func TestReshard(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t)
	for _, tt := range []struct {
		name string
		opts valkeystore.Options
	}{
		{"commands", valkeystore.Options{}},
		{"scripts", valkeystore.Options{Scripts: valkeystore.ScriptsAlways}},
		{"cached", valkeystore.Options{CacheTTL: time.Second}},
		{"WaitReplicas", valkeystore.Options{WaitReplicas: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Prefix = "sess:{" + rand.Text() + "}:"
			st := newStore(t, client(t, cluster.Option()), tt.opts)
			l := newPatientApp(t, st).begin(8, 8, false)
			slot, steps, began := cluster.Slot(tt.opts.Prefix), 0, time.Now()
			for range 2 {
				l.more(100)
				cluster.Move(slot, cluster.OtherPrimary(cluster.Owner(slot)), func() {
					steps++
					l.more(20)
				})
			}
			l.more(100)
			t.Logf("%d steps in %v", steps, time.Since(began).Round(time.Millisecond))
			l.end()
			if l.refused.Load() > 0 {
				t.Errorf("%d requests failed, though every key was there all the time", l.refused.Load())
			}
		})
	}
}

// nodeTimeout is how long a server of a cluster is silent that is taken for dead, where one
// is to die.
const nodeTimeout = 2 * time.Second

// A primary dies under load and its replica takes over.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t)
	prefix := "sess:{" + rand.Text() + "}:"
	st := newStore(t, client(t, cluster.Option()), valkeystore.Options{Prefix: prefix})
	a := newApp(t, st)

	primary := cluster.Owner(cluster.Slot(prefix))
	ended := endedSessions(a, 20)
	awaitReplicated(t, primary.Server)

	l := a.begin(8, 8, true)
	l.more(500)
	cluster.SetNodeTimeout(nodeTimeout)
	primary.Kill()
	killed := time.Now()
	l.refusals(1)
	cluster.AwaitReady(5)
	cluster.SetNodeTimeout(servers.Patience)
	l.more(200)
	t.Logf("the replica was in charge after at most %v", time.Since(killed).Round(time.Millisecond))
	l.end()
	stayEnded(a, ended)

	t.Run("comes back", func(t *testing.T) { // as a replica
		primary.Start()
		cluster.AwaitReady(6)
		stayEnded(a, ended)
		passes(t, client(t, cluster.Option()))
	})
}

// awaitReplicated waits until the replicas have what the primary has.
func awaitReplicated(t *testing.T, primary *servers.Server) {
	t.Helper()
	servers.Await(t, "replicas in step", func() error {
		info, err := primary.Info("replication")
		if err == nil && !strings.HasSuffix(strings.Split(info["slave0"], ",lag=")[0], "offset="+info["master_repl_offset"]) {
			err = errors.New("the replica is behind")
		}
		return err
	})
}

// endedSessions are sessions whose logout was acknowledged.
func endedSessions(a *app, n int) (cookies []string) {
	a.t.Helper()
	for range n {
		cookie := a.login()
		servers.Await(a.t, "a logout", func() error {
			if status, _, _ := a.get("/logout", cookie); status != http.StatusOK {
				return fmt.Errorf("status %d", status)
			}
			return nil
		})
		cookies = append(cookies, cookie)
	}
	return cookies
}

// back counts the ended sessions that are there, as an application sees it that
// did not end them.
func back(a *app, cookies []string) (n int) {
	a.t.Helper()
	fresh := newApp(a.t, a.store)
	for _, cookie := range cookies {
		servers.Await(a.t, "an answer", func() error {
			status, _, _ := fresh.get("/read", cookie)
			switch status {
			case http.StatusServiceUnavailable:
				return errors.New("status 503")
			case http.StatusOK:
				n++
			}
			return nil
		})
	}
	fresh.check()
	return n
}

func stayEnded(a *app, cookies []string) {
	a.t.Helper()
	if n := back(a, cookies); n != 0 {
		a.t.Errorf("%d of %d sessions are back whose logout was acknowledged", n, len(cookies))
	}
}

// Sessions end while the replica lags behind, and then the primary dies. With
// Options.WaitReplicas no logout that was acknowledged is lost; without, those
// that the replica did not see are.
func TestLogoutsThroughFailover(t *testing.T) {
	t.Parallel()
	for _, wait := range []int{0, 1} {
		t.Run(fmt.Sprintf("WaitReplicas=%d", wait), func(t *testing.T) {
			t.Parallel()
			cluster := servers.StartCluster(t)
			prefix := "sess:{" + rand.Text() + "}:"
			a := newApp(t, newStore(t, client(t, cluster.Option()), valkeystore.Options{Prefix: prefix, WaitReplicas: wait}))
			primary := cluster.Owner(cluster.Slot(prefix))
			replica := cluster.ReplicaOf(primary)
			ended := endedSessions(a, 100)
			var live []string
			for range 20 {
				live = append(live, a.login())
			}
			awaitReplicated(t, primary.Server)

			replica.Pause()
			primary.Must("CLIENT", "KILL", "TYPE", "replica") // nothing is left in a buffer
			var (
				logouts sync.WaitGroup
				acked   = make(chan string, len(live))
			)
			for _, cookie := range live {
				logouts.Go(func() {
					if status, _, _ := a.get("/logout", cookie); status == http.StatusOK {
						acked <- cookie
					}
				})
			}
			logouts.Wait()
			primary.Kill()
			replica.Resume()
			cluster.SetNodeTimeout(nodeTimeout)
			cluster.AwaitReady(5)
			cluster.SetNodeTimeout(servers.Patience)
			close(acked)

			stayEnded(a, ended)
			var last []string
			for cookie := range acked {
				last = append(last, cookie)
			}
			n := back(a, last)
			t.Logf("while the replica lagged behind, %d of %d logouts were acknowledged, of which %d were lost with the primary; failed: %s",
				len(last), len(live), n, a.check())
			if wait > 0 && n != 0 {
				t.Errorf("%d sessions are back whose logout was acknowledged", n)
			}
		})
	}
}

// A logout that was not confirmed is tried again, over another connection, on
// which nothing was written yet. It must not be taken for confirmed as long as
// the replica has not seen the first.
func TestWaitReplicasTriedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		scripts valkeystore.Scripts
		end     func(context.Context, *valkeystore.Store) error
		again   error // what it answers when that was done before
	}{
		{"delete", valkeystore.ScriptsAuto, func(ctx context.Context, s *valkeystore.Store) error { return s.Delete(ctx, secretID) }, nil},
		{"delete without scripts", valkeystore.ScriptsNever, func(ctx context.Context, s *valkeystore.Store) error { return s.Delete(ctx, secretID) }, nil},
		{"remove", valkeystore.ScriptsAuto, func(ctx context.Context, s *valkeystore.Store) error { return s.Remove(ctx, record(secretData)) }, store.ErrNotFound},
		{"remove without scripts", valkeystore.ScriptsNever, func(ctx context.Context, s *valkeystore.Store) error { return s.Remove(ctx, record(secretData)) }, store.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			primary := servers.Start(t)
			replica := servers.StartReplica(t, primary)
			prefix := "sess:" + rand.Text() + ":"
			st := func() *valkeystore.Store {
				return newStore(t, client(t, primary.Option()), valkeystore.Options{Prefix: prefix, WaitReplicas: 1, Scripts: tt.scripts})
			}
			allowed(t, st(), "create")
			awaitReplicated(t, primary)
			replica.Pause()
			for try := range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), storeTimeout/4)
				if err := tt.end(ctx, st()); err == nil || errors.Is(err, store.ErrNotFound) {
					t.Errorf("number %d is confirmed by a replica that hangs: %v", try+1, err)
				}
				cancel()
			}
			// Without a deadline it is the server that says that the time is over.
			if err := tt.end(t.Context(), st()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one that is not confirmed in time: %v, want context.DeadlineExceeded", err)
			}
			replica.Resume()
			if err := tt.end(t.Context(), st()); !errors.Is(err, tt.again) {
				t.Errorf("when the replica is back: %v, want %v", err, tt.again)
			}
			awaitReplicated(t, primary)
			if n, err := replica.Must("EXISTS", prefix+secretID).AsInt64(); n != 0 || err != nil {
				t.Errorf("the replica still has it (%d, %v)", n, err)
			}
		})
	}
}

package valkeytopology

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// What Session.Ended promises where servers fail: nobody is told of an end that there was
// not, and nobody misses one.

// streams are the sessions whose ends a process waits for, and another process that ends
// them.
type streams struct {
	t         *testing.T
	elsewhere *core.Manager
	cookies   []string
	ended     []<-chan struct{}
	live      []int // those that nobody has ended yet
}

// openStreams makes n sessions on the servers that option leads to, and waits for the
// ends of all.
func openStreams(t *testing.T, option valkey.ClientOption, prefix string, n int) *streams {
	t.Helper()
	// A server that is silent is taken for dead after two seconds, and not after ten.
	option.Dialer.KeepAlive, option.ConnWriteTimeout = time.Second, 2*time.Second
	secrets := suite.Hide("one secret for both processes of this")
	manager := func() *core.Manager {
		st, err := valkeystore.New(client(t, option), valkeystore.Options{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		m, err := core.New(core.Config{Store: st, Secrets: secrets, PollInterval: time.Hour}) // so that nothing is found by a poll
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	here := manager()
	s := &streams{t: t, elsewhere: manager(), cookies: make([]string, n), ended: make([]<-chan struct{}, n)}
	sessions := make([]*core.Session, n)
	ctx, hangUp := context.WithCancel(context.Background())
	t.Cleanup(hangUp)
	s.each(n, func(i int) error {
		made, err := here.Load(ctx, "")
		if err != nil {
			return err
		}
		made.Set("n", i)
		line, err := here.Commit(ctx, made, false)
		if err != nil {
			return err
		}
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			return errors.New("no cookie was set")
		}
		s.cookies[i] = cookie.Value
		sessions[i], err = here.Load(ctx, cookie.Value)
		return err
	})
	for i, session := range sessions {
		s.ended[i] = session.Ended(ctx)
		s.live = append(s.live, i)
	}
	return s
}

// each calls do for the first n numbers, many at once, and each again until it succeeds.
func (s *streams) each(n int, do func(i int) error) {
	s.t.Helper()
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		failed atomic.Pointer[error]
		end    = time.Now().Add(servers.Patience)
	)
	for range 32 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				for err := do(i); err != nil; err = do(i) {
					if time.Now().After(end) {
						failed.Store(&err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		s.t.Fatal(*err)
	}
}

// end has the other process end the next n sessions.
func (s *streams) end(n int) (ended []int) {
	s.t.Helper()
	ended, s.live = s.live[:n], s.live[n:]
	s.each(n, func(i int) error {
		ctx := context.Background()
		session, err := s.elsewhere.Load(ctx, s.cookies[ended[i]])
		if err != nil || session.Status() != core.StatusLoaded {
			return err
		}
		return session.Destroy(ctx)
	})
	return ended
}

// told waits until those are told that they have ended, and checks that no others are.
func (s *streams) told(ended []int) {
	s.t.Helper()
	late := time.After(servers.Patience)
	for i, n := range ended {
		select {
		case <-s.ended[n]:
		case <-late:
			s.t.Fatalf("the end of %d of %d sessions was not told within %v", len(ended)-i, len(ended), servers.Patience)
		}
	}
	s.noOther()
}

// noOther checks that nobody was told of an end that there was not.
func (s *streams) noOther() {
	s.t.Helper()
	falsely := 0
	for _, n := range s.live {
		select {
		case <-s.ended[n]:
			falsely++
		default:
		}
	}
	if falsely > 0 {
		s.t.Fatalf("%d of %d sessions that live were told to have ended", falsely, len(s.live))
	}
}

// lives has the other process change the next n sessions, which ends none.
func (s *streams) lives(n int) {
	s.t.Helper()
	s.each(n, func(i int) error {
		ctx := context.Background()
		session, err := s.elsewhere.Load(ctx, s.cookies[s.live[i]])
		if err != nil {
			return err
		}
		if session.Status() != core.StatusLoaded {
			return fmt.Errorf("a session that nobody has ended is %v", session.Status())
		}
		session.Set("n", time.Now().UnixNano())
		_, err = s.elsewhere.Commit(ctx, session, false)
		return err
	})
	s.noOther()
}

// Standards: ASVS-7.4.1, ASVS-16.5.2
func TestEndsAreToldThroughTheTroublesOfACluster(t *testing.T) {
	cluster := servers.StartCluster(t)
	s := openStreams(t, cluster.Option(), "sess:", 1000)
	s.told(s.end(50))
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
				slot := cluster.Slot("sess:" + s.idOf(s.live[len(s.live)-1]))
				cluster.Move(slot, cluster.OtherPrimary(cluster.Owner(slot)), func() { s.lives(5) })
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
			}
		}},
		{"a primary dies", func() func() {
			cluster.Nodes()[slices.IndexFunc(cluster.Nodes(), func(n servers.Node) bool { return n.Primary })].Kill()
			return func() { cluster.AwaitReady(5) }
		}},
	} {
		start := time.Now()
		over := trouble.make()
		s.told(s.end(100)) // while it lasts
		over()
		s.lives(100)
		s.told(s.end(50))
		t.Logf("%s: %v", trouble.name, time.Since(start).Round(time.Millisecond))
	}
	s.lives(len(s.live))
}

// idOf returns the id of a session.
func (s *streams) idOf(n int) string {
	s.t.Helper()
	session, err := s.elsewhere.Load(context.Background(), s.cookies[n])
	if err != nil {
		s.t.Fatal(err)
	}
	return session.ID()
}

// Standards: ASVS-7.4.1, ASVS-16.5.2
func TestEndsAreToldThroughTheTroublesOfAServer(t *testing.T) {
	server := servers.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir())
	s := openStreams(t, server.Option(), "sess:", 600)
	s.told(s.end(50))

	server.Must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	s.told(s.end(100))
	s.lives(50)

	server.Pause()
	if err := s.elsewhere.Ping(t.Context()); err == nil { // it returns when the client takes the server for dead
		t.Error("a server that hangs answers")
	}
	s.noOther()
	server.Resume()
	s.told(s.end(100))
	s.lives(50)

	server.Kill()
	s.noOther()
	server.Start()
	s.told(s.end(100))
	s.lives(len(s.live))

	// What the server forgets has ended, and is told.
	all := s.live
	s.live = nil
	server.Must("FLUSHDB")
	s.told(all)
}

// Standards: ASVS-7.4.1
func TestEndsAreToldThroughAFailoverOfSentinels(t *testing.T) {
	sentinels := servers.StartSentinels(t)
	s := openStreams(t, sentinels.Option(), "sess:", 300)
	s.told(s.end(50))
	before := sentinels.Primary()
	before.Kill()
	s.told(s.end(100))
	s.lives(len(s.live))
}

// Ten thousand streams of a process cost one connection to each server and no goroutine
// each, and no more than a few round trips to set up. What is measured is in the log, and
// in docs/valkey.md.
func TestTenThousandStreams(t *testing.T) {
	const n = 10_000
	server := servers.Start(t)
	goroutines := runtime.NumGoroutine()
	start := time.Now()
	s := openStreams(t, server.Option(), "sess:", n)
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
		<-s.ended[s.end(1)[0]]
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d sessions made in %v, watched %v after that; from the call that loads and ends a session until it is told: p50 %v, p99 %v, max %v",
		n, made.Round(time.Millisecond), setUp.Round(time.Millisecond), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	s.noOther()
}

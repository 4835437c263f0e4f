package servers

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// MasterSet is the name by which Sentinels know their primary.
const MasterSet = "primary"

// Sentinels are three Sentinels that watch a primary and its replica.
type Sentinels struct {
	Servers   []*Server // the primary and the replica, whichever is which by now
	Sentinels []*Server

	tb testing.TB
}

// StartSentinels starts a primary, a replica and three Sentinels. A primary that does not
// answer is not taken for dead before [Patience] is over, unless SetDownAfter says so: it may
// only be slow.
func StartSentinels(tb testing.TB, options ...string) *Sentinels {
	tb.Helper()
	primary := Start(tb, options...)
	c := &Sentinels{tb: tb, Servers: []*Server{primary, StartReplica(tb, primary, options...)}}
	_, primaryPort := primary.hostPort()
	for range 3 {
		port := strconv.Itoa(FreePort(tb))
		s := newServer(tb, port, nil)
		file := filepath.Join(s.Dir, "sentinel.conf")
		config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\n"+
			"sentinel monitor %s 127.0.0.1 %s 2\nsentinel down-after-milliseconds %[3]s %[5]s\nsentinel failover-timeout %[3]s 6000\n",
			port, s.Dir, MasterSet, primaryPort, milliseconds(Patience))
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			tb.Fatal(err)
		}
		s.command = []string{primary.command[0], file, "--sentinel"}
		s.run()
		c.Sentinels = append(c.Sentinels, s)
	}
	c.AwaitReady()
	return c
}

// SetDownAfter sets after which time a server that does not answer is taken for dead. A test
// in which one dies sets it before that.
func (c *Sentinels) SetDownAfter(d time.Duration) {
	c.tb.Helper()
	for _, s := range c.Sentinels {
		s.Must("SENTINEL", "SET", MasterSet, "down-after-milliseconds", milliseconds(d))
	}
}

// AwaitReady waits until every Sentinel knows the others, the primary and its
// replica, so that a failover can succeed.
func (c *Sentinels) AwaitReady() {
	c.tb.Helper()
	for _, s := range c.Sentinels {
		s.Await("readiness", func() error {
			if err := s.Do("SENTINEL", "CKQUORUM", MasterSet).Error(); err != nil {
				return err
			}
			state, err := s.Do("SENTINEL", "MASTER", MasterSet).AsStrMap()
			if err != nil {
				return err
			}
			replicas, err := s.Do("SENTINEL", "REPLICAS", MasterSet).ToArray()
			if err != nil {
				return err
			}
			if state["num-other-sentinels"] != "2" || state["flags"] != "master" || len(replicas) != 1 {
				return errors.New("it does not know all of the others")
			}
			replica, err := replicas[0].AsStrMap()
			if err == nil && (replica["flags"] != "slave" || replica["master-link-status"] != "ok") {
				err = errors.New("the replica is not in step")
			}
			return err
		})
	}
}

// Failover has the Sentinels make the replica the primary. They give up where a server is
// slow to answer, and are asked again.
func (c *Sentinels) Failover(how ...string) {
	c.tb.Helper()
	before := c.Primary()
	Await(c.tb, "another primary", func() error {
		if c.Primary() != before {
			return nil
		}
		err := c.Sentinels[0].Do(append([]string{"SENTINEL", "FAILOVER", MasterSet}, how...)...).Error()
		return cmp.Or(err, errors.New("it is still the same"))
	})
}

// Primary returns the server that the Sentinels have for the primary.
func (c *Sentinels) Primary() *Server {
	c.tb.Helper()
	addr, err := c.Sentinels[0].Must("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterSet).AsStrSlice()
	if err != nil || len(addr) != 2 {
		c.tb.Fatalf("SENTINEL GET-MASTER-ADDR-BY-NAME: %v", err)
	}
	for _, s := range c.Servers {
		if s.Addr == net.JoinHostPort(addr[0], addr[1]) {
			return s
		}
	}
	c.tb.Fatal("the Sentinels name a primary that is none of ours")
	return nil
}

// Option returns how a client reaches whichever server is the primary.
func (c *Sentinels) Option() valkey.ClientOption {
	o := valkey.ClientOption{Sentinel: valkey.SentinelOption{MasterSet: MasterSet, TopologyRefreshInterval: 5 * time.Second}}
	for _, s := range c.Sentinels {
		o.InitAddress = append(o.InitAddress, s.Addr)
	}
	return o
}

package servers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

const slots = 16384

// A Cluster is a private cluster of three primaries with a replica each.
type Cluster struct {
	Servers []*Server

	tb testing.TB
}

// A Node is a server of a cluster as it sees itself by now.
type Node struct {
	*Server
	ID      string
	Primary bool
	Of      string   // the ID of its primary
	Slots   [][2]int // from, to
}

// StartCluster starts a cluster of three primaries with a replica each, and
// returns when all is in step. A server that does not answer is not taken for dead
// before [Patience] is over, unless SetNodeTimeout says so: it may only be slow.
func StartCluster(tb testing.TB, options ...string) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	var buses []string
	for range 6 {
		bus := strconv.Itoa(FreePort(tb))
		c.Servers = append(c.Servers, Start(tb, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-announce-ip", "127.0.0.1", "--cluster-node-timeout", milliseconds(Patience),
			"--cluster-allow-replica-migration", "no", "--cluster-replica-validity-factor", "0",
		}, options...)...))
		buses = append(buses, bus)
	}
	for i, s := range c.Servers {
		s.Must("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i < 3 {
			s.Must("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1))
		}
		if i > 0 {
			host, port := c.Servers[0].hostPort()
			s.Must("CLUSTER", "MEET", host, port, buses[0])
		}
	}
	for i, s := range c.Servers[3:] {
		id, err := c.Servers[i].Must("CLUSTER", "MYID").ToString()
		if err != nil {
			tb.Fatal(err)
		}
		s.Await("replication", func() error { return s.Do("CLUSTER", "REPLICATE", id).Error() })
	}
	c.AwaitReady(6)
	return c
}

// SetNodeTimeout sets after which time a server that does not answer is taken for dead. A test
// in which one dies sets it before that.
func (c *Cluster) SetNodeTimeout(d time.Duration) {
	c.tb.Helper()
	for _, n := range c.Nodes() {
		n.Must("CONFIG", "SET", "cluster-node-timeout", milliseconds(d))
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// AwaitReady waits until all n servers that are left agree that the cluster is
// well, and each replica among them is in step.
func (c *Cluster) AwaitReady(n int) {
	c.tb.Helper()
	Await(c.tb, "a cluster that is well", func() error {
		var primaries []string
		nodes := c.Nodes()
		if len(nodes) != n {
			return fmt.Errorf("%d servers answer", len(nodes))
		}
		for _, node := range nodes {
			text, err := node.Text("CLUSTER", "INFO")
			if err != nil {
				return err
			}
			if !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_known_nodes:6\r") {
				return errors.New("the server at " + node.Addr + " thinks otherwise")
			}
			text, err = node.Text("CLUSTER", "NODES")
			if err != nil {
				return err
			}
			var seen []string
			for line := range strings.Lines(text) {
				if f := strings.Fields(line); strings.Contains(f[2], "master") && !strings.Contains(f[2], "fail") && len(f) > 8 {
					seen = append(seen, f[0])
				}
			}
			slices.Sort(seen)
			if primaries == nil {
				primaries = seen
			}
			if len(seen) != 3 || !slices.Equal(seen, primaries) {
				return errors.New("the server at " + node.Addr + " has others for the primaries:\n" + text)
			}
			info, err := node.Info("replication")
			if err != nil {
				return err
			}
			if info["role"] == "slave" && info["master_link_status"] != "up" {
				return errors.New("the replica at " + node.Addr + " is not in step")
			}
		}
		return nil
	})
}

// Nodes returns the servers that answer.
func (c *Cluster) Nodes() []Node {
	var nodes []Node
	for _, s := range c.Servers {
		select {
		case <-s.exited:
			continue
		default:
		}
		text, err := s.Text("CLUSTER", "NODES")
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if !strings.Contains(f[2], "myself") {
				continue
			}
			n := Node{Server: s, ID: f[0], Primary: strings.Contains(f[2], "master"), Of: f[3]}
			for _, r := range f[8:] {
				if strings.HasPrefix(r, "[") { // a slot that moves
					continue
				}
				from, to, ranged := strings.Cut(r, "-")
				if !ranged {
					to = from
				}
				a, _ := strconv.Atoi(from)
				b, _ := strconv.Atoi(to)
				n.Slots = append(n.Slots, [2]int{a, b})
			}
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Slot returns the slot of a key.
func (c *Cluster) Slot(key string) int {
	c.tb.Helper()
	n, err := c.Servers[0].Must("CLUSTER", "KEYSLOT", key).AsInt64()
	if err != nil {
		c.tb.Fatal(err)
	}
	return int(n)
}

// Owner returns the primary that serves a slot.
func (c *Cluster) Owner(slot int) Node {
	c.tb.Helper()
	for _, n := range c.Nodes() {
		for _, r := range n.Slots {
			if n.Primary && r[0] <= slot && slot <= r[1] {
				return n
			}
		}
	}
	c.tb.Fatalf("nobody serves slot %d", slot)
	return Node{}
}

// ReplicaOf returns the replica of a primary.
func (c *Cluster) ReplicaOf(primary Node) Node {
	c.tb.Helper()
	for _, n := range c.Nodes() {
		if n.Of == primary.ID {
			return n
		}
	}
	c.tb.Fatalf("the server at %s has no replica", primary.Addr)
	return Node{}
}

// OtherPrimary returns a primary that is not this one.
func (c *Cluster) OtherPrimary(than Node) Node {
	c.tb.Helper()
	for _, n := range c.Nodes() {
		if n.Primary && n.ID != than.ID {
			return n
		}
	}
	c.tb.Fatal("there is no other primary")
	return Node{}
}

// Move gives a slot to another primary, as operators do. Between the steps,
// with some keys here and some there, it calls between.
func (c *Cluster) Move(slot int, to Node, between func()) {
	c.tb.Helper()
	from, number := c.Owner(slot), strconv.Itoa(slot)
	host, port := to.hostPort()
	timeout := milliseconds(Patience) // for the replicas, which have to know it, too
	to.Must("CLUSTER", "SETSLOT", number, "IMPORTING", from.ID, "TIMEOUT", timeout)
	from.Must("CLUSTER", "SETSLOT", number, "MIGRATING", to.ID, "TIMEOUT", timeout)
	between()
	for {
		keys, err := from.Must("CLUSTER", "GETKEYSINSLOT", number, "3").AsStrSlice()
		if err != nil {
			c.tb.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		if result, err := from.Must(append([]string{"MIGRATE", host, port, "", "0", timeout, "KEYS"}, keys...)...).ToString(); err != nil || result != "OK" && result != "NOKEY" {
			c.tb.Fatalf("MIGRATE: %q, %v", result, err)
		}
		between()
	}
	to.Must("CLUSTER", "SETSLOT", number, "NODE", to.ID, "TIMEOUT", timeout)
	between()
	for _, n := range c.Nodes() {
		if n.Primary && n.ID != to.ID {
			n.Must("CLUSTER", "SETSLOT", number, "NODE", to.ID, "TIMEOUT", timeout)
		}
	}
}

// Option returns how a client reaches the cluster.
func (c *Cluster) Option() valkey.ClientOption {
	var o valkey.ClientOption
	for _, s := range c.Servers {
		o.InitAddress = append(o.InitAddress, s.Addr)
	}
	return o
}

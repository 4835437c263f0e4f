package valkeyenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// patience is how long a server may take for what it has to do.
const patience = 30 * time.Second

// A Server is one that belongs to a test, which may kill it.
type Server struct {
	Addr string

	tb      testing.TB
	command []string
	process *exec.Cmd
	exited  chan struct{}
}

// Start starts a server by the program that VALKEY_SERVER names, with these
// options on its command line, on a port and in a directory of its own. It is
// killed when the test is over.
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	program := strings.Fields(lookup(tb, "VALKEY_SERVER"))
	s := &Server{tb: tb}
	dir := tb.TempDir()
	tb.Cleanup(s.Kill)
	for range 5 { // somebody may take the port before the server does
		port := freePort(tb)
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		s.command = append(program[:len(program):len(program)],
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--logfile", "log")
		s.command = append(s.command, options...)
		if s.start() == nil {
			return s
		}
	}
	tb.Fatalf("a server by %q does not start", program)
	return nil
}

// Restart starts the server that was killed, at the same address and with what
// it left on disk, and returns when it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	if err := s.start(); err != nil {
		s.tb.Fatalf("the server does not start again: %v", err)
	}
}

func (s *Server) start() error {
	s.process = exec.Command(s.command[0], s.command[1:]...)
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.process.Wait() // it was killed
		close(s.exited)
	}()
	for deadline := time.Now().Add(patience); ; {
		err := Ask(s.Addr, func(ctx context.Context, c valkey.Client) error {
			return c.Do(ctx, c.B().Ping().Build()).Error()
		})
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			s.Kill()
			return err
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server has ended: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill ends the server by SIGKILL, so that it cannot put anything in order, and
// returns when it has ended.
func (s *Server) Kill() {
	if s.process == nil || s.process.Process == nil {
		return
	}
	_ = s.process.Process.Kill() // it may have ended
	<-s.exited
}

// StartCluster starts a cluster of three primaries and returns their addresses.
func StartCluster(tb testing.TB) []string {
	tb.Helper()
	const n = 3
	var addrs, buses []string
	for range n {
		bus := strconv.Itoa(freePort(tb))
		addrs = append(addrs, Start(tb, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-announce-ip", "127.0.0.1").Addr)
		buses = append(buses, bus)
	}
	for i, addr := range addrs {
		err := Ask(addr, func(ctx context.Context, c valkey.Client) error {
			first, last := int64(i*16384/n), int64((i+1)*16384/n-1)
			if err := c.Do(ctx, c.B().ClusterAddslotsrange().StartSlotEndSlot().StartSlotEndSlot(first, last).Build()).Error(); err != nil {
				return err
			}
			if err := c.Do(ctx, c.B().ClusterSetConfigEpoch().ConfigEpoch(int64(i+1)).Build()).Error(); err != nil {
				return err
			}
			host, port, err := net.SplitHostPort(addrs[0])
			if err != nil || i == 0 {
				return err
			}
			return c.Do(ctx, c.B().Arbitrary("CLUSTER", "MEET", host, port, buses[0]).Build()).Error()
		})
		if err != nil {
			tb.Fatalf("making a cluster: %v", err)
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		ready := 0
		for _, addr := range addrs {
			_ = Ask(addr, func(ctx context.Context, c valkey.Client) error { // it is asked again
				info, err := c.Do(ctx, c.B().ClusterInfo().Build()).ToString()
				if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3\r") &&
					strings.Contains(info, "cluster_slots_ok:16384") {
					ready++
				}
				return err
			})
		}
		if ready == n {
			return addrs
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the cluster does not come up: %d of %d servers are ready", ready, n)
		}
	}
}

// Ask talks to one server, by a connection for this.
func Ask(addr string, do func(context.Context, valkey.Client) error) error {
	c, err := valkey.NewClient(valkey.ClientOption{
		InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true, DisableRetry: true, PipelineMultiplex: -1,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return do(ctx, c)
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

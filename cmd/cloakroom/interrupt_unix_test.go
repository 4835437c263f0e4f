//go:build unix

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A gate stands in front of a server. Once it is shut, nothing comes through any more, and
// nobody is told.
type gate struct {
	addr string
	shut context.CancelFunc
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	isShut, shut := context.WithCancel(t.Context())
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	pass := func(to io.Writer, from io.Reader) {
		for part := make([]byte, 4096); ; {
			n, err := from.Read(part)
			if err != nil {
				return
			}
			if isShut.Err() == nil {
				_, _ = to.Write(part[:n])
			}
		}
	}
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", server) //nolint:noctx // of a test
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, client, behind)
			mu.Unlock()
			all.Go(func() { pass(behind, client) })
			all.Go(func() { pass(client, behind) })
		}
	})
	return &gate{l.Addr().String(), shut}
}

// The last pass of a copy that follows the source is not ended by what asked for it, but by
// the next, however little the store answers.
func TestASecondInterruptionEndsTheLastPass(t *testing.T) {
	t.Parallel()
	front := newGate(t, start(t))
	m := newMove(t, "valkey://"+front.addr, kinds["sqlite"](t))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "copy", "--follow", "--timeout", time.Hour.String(), "--journal", m["JOURNAL"])
	cmd.Env = append(os.Environ(), asCommand+"=1", "CLOAKROOM_STORE="+m["CLOAKROOM_STORE"]+"?write_timeout=1h", "CLOAKROOM_TO="+m["CLOAKROOM_TO"])
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := bufio.NewReader(out)
	if line, err := first.ReadString('\n'); err != nil || !strings.HasPrefix(line, "pass 1") {
		t.Fatalf("it says %q, %v; want the first pass", line, err)
	}
	front.shut()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	hints := bufio.NewReader(said)
	if line, err := hints.ReadString('\n'); err != nil || !strings.Contains(line, "the last pass") {
		t.Fatalf("it says %q, %v; want that this is the last pass", line, err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, first)
		_, _ = io.Copy(io.Discard, hints)
		close(ended)
	}()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // whoever is impatient does so, too
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		default:
			if time.Since(began) < patience {
				continue
			}
			_ = cmd.Process.Kill()
			t.Error("it goes on, however often it is interrupted")
		}
		break
	}
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want by the signal", cmd.ProcessState)
	}
}

//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A copy whose last pass cannot end is given up with a second Ctrl-C.
func TestASecondInterruptEndsTheLastPass(t *testing.T) {
	if os.Getenv("CLOAKROOM_TEST_MAIN") != "" { // what this test starts
		os.Args = []string{"cloakroom", "copy", "--follow", "--journal", os.Getenv("JOURNAL")}
		main()
		return
	}
	t.Parallel()
	addr := start(t)
	m := newMove(t, "valkey://"+addr, kinds["sqlite"](t))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestASecondInterruptEndsTheLastPass$")
	cmd.Env = append(os.Environ(), "CLOAKROOM_TEST_MAIN=1")
	for name, value := range m {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
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
	lines := bufio.NewScanner(out)
	until := func(s *bufio.Scanner, text string) {
		t.Helper()
		for s.Scan() {
			if strings.Contains(s.Text(), text) {
				return
			}
		}
		t.Errorf("it does not say %q", text)
	}
	until(lines, "pass 1")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "CLIENT PAUSE %d ALL\r\n", time.Hour.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "+OK\r\n" {
		t.Fatalf("the server says %q, %v", answer, err)
	}
	_ = cmd.Process.Signal(os.Interrupt)
	until(bufio.NewScanner(said), "interrupt it once more")
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

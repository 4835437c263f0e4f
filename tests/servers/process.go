package servers

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Process is the process of a private server. What it says stands in Dir/log.
type Process struct {
	Addr string
	Dir  string

	tb      testing.TB
	command []string
	answers func() error   // reports whether it is ready
	last    syscall.Signal // ends it when the test is over
	process *exec.Cmd
	exited  chan struct{} // closed when process has ended
	paused  bool
}

// Run starts a program that is to listen at an address, and returns when it does.
// It is told to end, by SIGTERM, when the test is over.
func Run(tb testing.TB, addr string, command ...string) *Process {
	tb.Helper()
	s := &Process{Addr: addr, Dir: tempDir(tb), tb: tb, command: command, last: syscall.SIGTERM}
	s.answers = func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	s.run()
	return s
}

// run starts the process, to be ended when the test is over.
func (s *Process) run() {
	s.tb.Helper()
	s.tb.Cleanup(func() {
		s.end(s.last)
		if s.tb.Failed() {
			s.tb.Logf("the server at %s logged at last:\n%s", s.Addr, s.log())
		}
	})
	s.Start()
}

// Start starts the server again after it was killed or stopped, at the same
// address and with what it left on disk, and returns when it answers.
func (s *Process) Start() {
	s.tb.Helper()
	s.Launch()
	s.Await("answer", func() error {
		select {
		case <-s.exited:
			s.tb.Fatalf("the server at %s has ended:\n%s", s.Addr, s.log())
		default:
		}
		return s.answers()
	})
}

// Launch is Start but does not wait.
func (s *Process) Launch() {
	s.tb.Helper()
	output, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer output.Close()
	cmd, started, exited := exec.Command(s.command[0], s.command[1:]...), make(chan error), make(chan struct{})
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = output, output, dieWithParent()
	s.process, s.exited, s.paused = cmd, exited, false
	go func() {
		runtime.LockOSThread() // Linux kills the children of a thread that ends
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the test killed it
		}
	}()
	if err := <-started; err != nil {
		s.process = nil
		s.tb.Fatalf("the server does not start: %v", err)
	}
}

// Become makes the next Start use another program: an upgrade in place.
func (s *Process) Become(program string) { s.command[0] = program }

// Kill ends the server by SIGKILL, so that it can put nothing in order, and
// returns when it has ended.
func (s *Process) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server in good order.
func (s *Process) Stop() { s.end(syscall.SIGTERM) }

func (s *Process) end(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	s.resume()
	_ = s.process.Process.Signal(sig)
	select {
	case <-s.exited:
	case <-time.After(Patience / 3):
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

func (s *Process) resume() {
	if s.paused {
		s.paused = false
		_ = s.process.Process.Signal(syscall.SIGCONT)
	}
}

func (s *Process) log() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

func (s *Process) hostPort() (host, port string) {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	return host, port
}

// Await waits until do returns nil.
func (s *Process) Await(what string, do func() error) {
	s.tb.Helper()
	Await(s.tb, what+" of the server at "+s.Addr, do)
}

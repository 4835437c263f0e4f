// Package servers gives tests the Valkey servers that they need: those that the
// environment names, and private ones that a test may kill, pause and misuse.
//
// scripts/servers.sh, which make test calls, sets the variables of the
// environment; its first lines list them. Private servers are started from the
// program that VALKEY_SERVER names (VALKEY_OLD_SERVER for one that is older), on
// free ports of the loopback address and in directories of their own. They are
// killed when the test is over, and also when the test's process dies; what they
// logged is shown where the test failed.
//
// A test whose server cannot be had is skipped, and fails where CI is set.
package servers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Patience is how long a server may take for anything. Only what fails waits
// for so long.
const Patience = 30 * time.Second

// Env returns the value of a variable of the environment that names a server.
// Without one the test is skipped.
func Env(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value != "" {
		return value
	}
	const what = "NO SERVER: %s is not set (scripts/servers.sh sets it), so this is NOT TESTED"
	if os.Getenv("CI") != "" {
		tb.Fatalf(what, name)
	}
	tb.Skipf(what, name)
	return ""
}

// A Server is a private server.
type Server struct {
	Addr string
	Dir  string

	tb      testing.TB
	command []string
	tls     *certificate // nil: it speaks without TLS
	process *exec.Cmd
	exited  chan struct{} // closed when process has ended
	paused  bool
}

// Start starts a server with these options on its command line, and returns
// when it answers.
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	return start(tb, Env(tb, "VALKEY_SERVER"), nil, options)
}

// StartOld starts a server that does not know SET with IFEQ.
func StartOld(tb testing.TB, options ...string) *Server {
	tb.Helper()
	return start(tb, Env(tb, "VALKEY_OLD_SERVER"), nil, options)
}

// StartTLS starts a server that demands TLS.
func StartTLS(tb testing.TB, options ...string) *Server {
	tb.Helper()
	program := Env(tb, "VALKEY_SERVER")
	return start(tb, program, newCertificate(tb), options)
}

// StartReplica starts a replica of a primary and returns when the two are in
// step.
func StartReplica(tb testing.TB, primary *Server, options ...string) *Server {
	tb.Helper()
	host, port := primary.hostPort()
	s := start(tb, primary.command[0], primary.tls, append([]string{"--replicaof", host + " " + port}, options...))
	s.AwaitInfo("replication", "master_link_status:up")
	return s
}

func start(tb testing.TB, program string, cert *certificate, options []string) *Server {
	tb.Helper()
	port := strconv.Itoa(FreePort(tb))
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", port), Dir: tempDir(tb), tb: tb, tls: cert}
	ports := []string{"--port", port}
	if cert != nil {
		ports = []string{
			"--port", "0", "--tls-port", port, "--tls-auth-clients", "no", "--tls-replication", "yes",
			"--tls-cert-file", cert.file, "--tls-key-file", cert.keyFile, "--tls-ca-cert-file", cert.file,
		}
	}
	s.command = slices.Concat([]string{program}, ports, []string{
		"--bind", "127.0.0.1", "--dir", s.Dir, "--logfile", filepath.Join(s.Dir, "log"),
		"--save", "", "--enable-debug-command", "local", "--repl-diskless-sync-delay", "0",
	}, options)
	s.run()
	return s
}

// tempDir is tb.TempDir, but for its cleanup, which would run while the server
// still writes, and for the length of its name.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "cloakroom-*") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// run starts the process, to be killed when the test is over.
func (s *Server) run() {
	s.tb.Helper()
	s.tb.Cleanup(func() {
		s.Kill()
		if s.tb.Failed() {
			s.tb.Logf("the server at %s logged at last:\n%s", s.Addr, s.log())
		}
	})
	s.Start()
}

// Start starts the server again after it was killed or stopped, at the same
// address and with what it left on disk, and returns when it answers.
func (s *Server) Start() {
	s.tb.Helper()
	s.Launch()
	s.Await("answer", func() error {
		select {
		case <-s.exited:
			s.tb.Fatalf("the server at %s has ended:\n%s", s.Addr, s.log())
		default:
		}
		err := s.Do("PING").Error()
		if refusal, ok := valkey.IsValkeyErr(err); ok && strings.HasPrefix(refusal.Error(), "NO") { // NOAUTH, NOPERM
			return nil
		}
		return err
	})
}

// Launch is Start but does not wait.
func (s *Server) Launch() {
	s.tb.Helper()
	s.process = exec.Command(s.command[0], s.command[1:]...)
	s.process.Stderr = os.Stderr
	if err := startProcess(s.process); err != nil {
		s.tb.Fatalf("the server does not start: %v", err)
	}
	s.exited, s.paused = make(chan struct{}), false
	go func(p *exec.Cmd, exited chan struct{}) {
		_ = p.Wait() // the test killed it
		close(exited)
	}(s.process, s.exited)
}

// Become makes the next Start use another program: an upgrade in place.
func (s *Server) Become(program string) { s.command[0] = program }

// Kill ends the server by SIGKILL, so that it can put nothing in order, and
// returns when it has ended.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server in good order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	s.Resume()
	_ = s.process.Process.Signal(sig)
	select {
	case <-s.exited:
	case <-time.After(Patience / 3):
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// Pause stops the server as a machine does that hangs: connections stay open
// and are accepted, and nothing is answered.
func (s *Server) Pause() { s.paused = true; _ = s.process.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() {
	if s.paused {
		s.paused = false
		_ = s.process.Process.Signal(syscall.SIGCONT)
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

func (s *Server) hostPort() (host, port string) {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	return host, port
}

// Do sends one command, over a connection for this, as the default user.
func (s *Server) Do(command ...string) valkey.ValkeyResult {
	return Do(s.Option(), command...)
}

// Option returns how a client reaches the server, and no other.
func (s *Server) Option() valkey.ClientOption {
	o := valkey.ClientOption{InitAddress: []string{s.Addr}, ForceSingleClient: true}
	if s.tls != nil {
		o.TLSConfig = s.tls.trust
	}
	return o
}

// Must is Do for what has to work.
func (s *Server) Must(command ...string) valkey.ValkeyResult {
	s.tb.Helper()
	r := s.Do(command...)
	if err := r.Error(); err != nil && !valkey.IsValkeyNil(err) {
		s.tb.Fatalf("%s at %s: %v", strings.Join(command[:min(2, len(command))], " "), s.Addr, err)
	}
	return r
}

// Do sends one command over a connection for this.
func Do(option valkey.ClientOption, command ...string) valkey.ValkeyResult {
	option.ForceSingleClient, option.DisableCache, option.DisableRetry, option.PipelineMultiplex = true, true, true, -1
	option.Dialer.Timeout, option.ConnWriteTimeout = 5*time.Second, Patience
	option.ReadBufferEachConn, option.WriteBufferEachConn = 4<<10, 4<<10
	c, err := valkey.NewClient(option)
	if err != nil {
		return valkey.NewErrorResult(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.Do(ctx, c.B().Arbitrary(command...).Build())
}

// Text sends a command that is answered with lines of text.
func (s *Server) Text(command ...string) (string, error) {
	text, err := s.Do(command...).ToString()
	return strings.TrimPrefix(text, "txt:"), err // what the protocol calls a verbatim string
}

// Info returns a section of INFO.
func (s *Server) Info(section string) (map[string]string, error) {
	text, err := s.Text("INFO", section)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// AwaitInfo waits until INFO says what is wanted: name:value of a section.
func (s *Server) AwaitInfo(section, want string) {
	s.tb.Helper()
	name, value, _ := strings.Cut(want, ":")
	s.Await(want, func() error {
		info, err := s.Info(section)
		if err == nil && info[name] != value {
			err = errors.New(name + " is " + strconv.Quote(info[name]))
		}
		return err
	})
}

// Calls returns how often the server executed a command, by INFO commandstats.
func (s *Server) Calls(command string) int {
	s.tb.Helper()
	info, err := s.Info("commandstats")
	if err != nil {
		s.tb.Fatal(err)
	}
	var n int
	if stat := info["cmdstat_"+command]; stat != "" {
		if _, err := fmt.Sscanf(stat, "calls=%d,", &n); err != nil {
			s.tb.Fatal(err)
		}
	}
	return n
}

// Version returns what the server says that it is.
func (s *Server) Version() string { return Version(s.Option()) }

// Version returns what a server says that it is.
func Version(option valkey.ClientOption) string {
	hello, err := Do(option, "HELLO").AsMap()
	if err != nil {
		return "unknown"
	}
	server, version := hello["server"], hello["version"]
	name, _ := server.ToString()
	number, _ := version.ToString()
	return name + " " + number
}

// Await waits until do returns nil.
func (s *Server) Await(what string, do func() error) {
	s.tb.Helper()
	Await(s.tb, what+" of the server at "+s.Addr, do)
}

// Await waits until do returns nil, and fails the test when that takes too long.
func Await(tb testing.TB, what string, do func() error) {
	tb.Helper()
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("waited in vain for: %s: %v", what, err)
		}
		<-time.After(pause)
	}
}

var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: make(map[int]bool)}

// FreePort returns a port that nobody uses. It lies below those that systems
// hand out by themselves, so that it stays free while its server is down.
func FreePort(tb testing.TB) int {
	tb.Helper()
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		var random [4]byte
		_, _ = rand.Read(random[:]) // never fails
		port := 20000 + int(binary.BigEndian.Uint32(random[:])%10000)
		if given.ports[port] {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			given.ports[port] = true
			return port
		}
	}
	tb.Fatal("no free port")
	return 0
}

// starts is where processes are started: on a thread that lives as long as this
// process, because Linux kills the children of a thread that ends.
var starts = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
})

func startProcess(cmd *exec.Cmd) error {
	cmd.SysProcAttr = dieWithParent()
	result := make(chan error)
	starts() <- func() { result <- cmd.Start() }
	return <-result
}

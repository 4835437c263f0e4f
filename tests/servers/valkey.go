package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// A Server is a private Valkey server.
type Server struct {
	Process

	tls            *certificate // nil: it speaks without TLS
	user, password string       // of the tests; empty for the default user without one
}

// newServer returns a server that is to listen at a port of the loopback address.
func newServer(tb testing.TB, port string, cert *certificate) *Server {
	tb.Helper()
	s := &Server{Process: Process{Addr: net.JoinHostPort("127.0.0.1", port), Dir: tempDir(tb), tb: tb, last: syscall.SIGKILL}, tls: cert}
	s.answers = func() error {
		err := s.Do("PING").Error()
		if refusal, ok := valkey.IsValkeyErr(err); ok && strings.HasPrefix(refusal.Error(), "NO") { // NOAUTH, NOPERM
			return nil
		}
		return err
	}
	return s
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
	s := newServer(tb, port, cert)
	ports := []string{"--port", port}
	if cert != nil {
		ports = []string{
			"--port", "0", "--tls-port", port, "--tls-auth-clients", "no", "--tls-replication", "yes",
			"--tls-cert-file", cert.file, "--tls-key-file", cert.keyFile, "--tls-ca-cert-file", cert.file,
		}
	}
	s.command = slices.Concat([]string{program}, ports, []string{
		"--bind", "127.0.0.1", "--dir", s.Dir,
		"--save", "", "--enable-debug-command", "local", "--repl-diskless-sync-delay", "0",
	}, options)
	s.run()
	return s
}

// Pause stops the server as a machine does that hangs: connections stay open
// and are accepted, and nothing is answered.
func (s *Server) Pause() { s.paused = true; _ = s.process.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.resume() }

// SignInAs makes Do and Option speak as a user, in place of the default user.
func (s *Server) SignInAs(user, password string) { s.user, s.password = user, password }

// Do sends one command, over a connection for this.
func (s *Server) Do(command ...string) valkey.ValkeyResult {
	return Do(s.Option(), command...)
}

// Option returns how a client reaches the server, and no other.
func (s *Server) Option() valkey.ClientOption {
	o := valkey.ClientOption{InitAddress: []string{s.Addr}, ForceSingleClient: true, Username: s.user, Password: s.password}
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

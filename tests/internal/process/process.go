// Package process runs a test binary again as the processes of an app, which can
// be killed.
package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// A binary that finds this in its environment is one of the processes.
const env = "CLOAKROOM_TEST_PROCESS"

// Run is called first by TestMain. In a process of the app it serves what app
// makes of its settings, until its standard input ends, and does not return.
func Run(app func(settings json.RawMessage) (http.Handler, error)) {
	settings := os.Getenv(env)
	if settings == "" {
		return
	}
	suite.Overhear()
	if err := serve(json.RawMessage(settings), app); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(settings json.RawMessage, app func(json.RawMessage) (http.Handler, error)) error {
	handler, err := app(settings)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, handler) }()
	fmt.Println("http://" + l.Addr().String())
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// A Process is one of the app's.
type Process struct {
	URL string

	cmd    *exec.Cmd
	stdin  io.Closer
	said   *bytes.Buffer
	killed bool
	ended  bool
}

// Start starts a process with settings that can be JSON. It ends with the test,
// which fails if the process says anything, such as a line of its log that looks as
// if it had an id in it.
func Start(tb testing.TB, settings any) *Process {
	tb.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Process{cmd: exec.Command(os.Args[0]), said: new(bytes.Buffer)}
	p.cmd.Env = append(os.Environ(), env+"="+string(text), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	p.cmd.Stderr = p.said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n') // empty when it failed, which it will tell
	tb.Cleanup(func() { p.end(tb) })
	if line == "" {
		tb.Fatalf("the process does not start: %s", text)
	}
	p.URL = strings.TrimSpace(line)
	return p
}

// Kill ends the process by SIGKILL and returns when it has ended.
func (p *Process) Kill(tb testing.TB) {
	tb.Helper()
	p.killed = true
	_ = p.cmd.Process.Kill()
	p.end(tb)
}

func (p *Process) end(tb testing.TB) {
	tb.Helper()
	if p.ended {
		return
	}
	p.ended = true
	_ = p.stdin.Close()
	kill := time.AfterFunc(servers.Patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil && !p.killed || p.said.Len() > 0 {
		tb.Errorf("a process of the app: %v\n%s", err, p.said)
	}
}

package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/internal/npm"
)

func init() { gin.SetMode(gin.TestMode) }

const patience = time.Minute // for what takes a moment unless something is wrong

// A side is the app as one framework serves it.
type side struct {
	name, url string
	express   bool
	manager   *core.Manager // nil for Express
}

// The names of the sides.
const (
	express = "Express"
	ginV1   = "Gin"
	echoV4  = "Echo v4"
	echoV5  = "Echo v5"
)

var goSides = []string{ginV1, echoV4, echoV5}

var handlers = map[string]func(*core.Manager) http.Handler{
	ginV1: serveGin, echoV4: serveEcho, echoV5: serveEchoV5,
}

// start starts the app on the sessions of a database. It ends with the test, or
// with all tests for Express.
func start(t testing.TB, name string, db database, s settings) side {
	t.Helper()
	running, err := tryToStart(t, name, db, s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return running
}

// tryToStart is start for settings that may be refused.
func tryToStart(t testing.TB, name string, db database, s settings) (side, error) {
	t.Helper()
	s = s.on(db)
	if name == express {
		url, err := theExpress(t).start(s)
		return side{name: name, url: url, express: true}, err
	}
	store, closeStore, err := openStore(t.Context(), s.Store)
	if err != nil {
		return side{}, err
	}
	t.Cleanup(closeStore)
	m, err := core.New(s.config(store))
	if err != nil {
		return side{}, err
	}
	server := httptest.NewServer(handlers[name](m))
	t.Cleanup(server.Close)
	return side{name: name, url: server.URL, manager: m}, nil
}

// startAll starts the app by every framework, Express first.
func startAll(t testing.TB, db database, s settings) []side {
	t.Helper()
	var all []side
	for _, name := range append([]string{express}, goSides...) {
		all = append(all, start(t, name, db, s))
	}
	return all
}

// on fills in what nearly all tests have in common.
func (s settings) on(db database) settings {
	if s.Secrets == nil {
		s.Secrets = []string{"a secret that both sides have, 32 bytes"}
	}
	own := s.Store
	s.Store = db.settings()
	s.Store.TTL, s.Store.TouchAfter = own.TTL, own.TouchAfter
	return s
}

// An expressProcess is Node.js with express/server.js.
type expressProcess struct {
	mu     sync.Mutex
	stdin  io.WriteCloser
	stdout *bufio.Reader
	cmd    *exec.Cmd
	stderr *safeBuffer
}

var (
	oneExpress     = sync.OnceValues(startExpress)
	expressStarted atomic.Bool
)

// theExpress returns the process that serves the Express apps of the tests. The
// test is skipped where there is no Node.js, and fails where CI is set.
func theExpress(t testing.TB) *expressProcess {
	t.Helper()
	needNode(t)
	expressStarted.Store(true)
	p, err := oneExpress()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func needNode(t testing.TB) {
	t.Helper()
	npm.Need(t, "express-session was not run beside Cloakroom")
}

func startExpress() (*expressProcess, error) {
	if err := installed(); err != nil {
		return nil, err
	}
	p := &expressProcess{cmd: exec.Command("node", "server.js"), stderr: &safeBuffer{}}
	p.cmd.Dir = "express"
	p.cmd.Env = append(os.Environ(), "NODE_ENV=test")
	p.cmd.Stderr = p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewReader(stdout)
	return p, p.cmd.Start()
}

// start starts an app in the process and returns its address.
func (p *expressProcess) start(s settings) (string, error) {
	line, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return "", err
	}
	url, err := p.stdout.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("node ended: %w: %s", err, p.stderr)
	}
	if !strings.HasPrefix(url, "http") {
		return "", errors.New(strings.TrimSpace(url))
	}
	return strings.TrimSpace(url), nil
}

// stop ends the process and returns an error unless it was well until then.
func (p *expressProcess) stop() error {
	_ = p.stdin.Close()
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	err := p.cmd.Wait()
	if said := p.stderr.String(); said != "" {
		err = errors.Join(err, fmt.Errorf("node said: %s", said))
	}
	return err
}

// installed installs what Express needs: once, whoever asks first.
var installed = sync.OnceValue(func() error { return npm.Install("express") })

// A safeBuffer is a bytes.Buffer for two goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Package suite is for the tests of the repository alone: it runs the tests of a
// package and fails them for what no single test looks at. Nothing that was
// logged may look like an id, a cookie or a record, and no goroutine may be left
// when all tests are over.
//
//	func TestMain(m *testing.M) { suite.Main(m) }
package suite

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Main runs the tests of a package and ends the program.
func Main(m *testing.M) { os.Exit(Run(m, nil)) }

// MainWaiting is Main for a package whose tests wait most of the time, for servers or
// for what expires: more of them run at once than there are cores.
func MainWaiting(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	Main(m)
}

// Run is Main for a package that has something to do when its tests are over: it
// calls after, which may be nil, before it looks for what is left.
func Run(m *testing.M, after func(code int) int) (code int) {
	said := new(transcript)
	logTo(said)
	// Whoever closes an httptest.Server closes what is idle in the transport that all tests
	// share, and a request that another test is about to send on such a connection fails.
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	code = m.Run()
	if after != nil {
		code = after(code)
	}
	if fuzzing() {
		return code // by workers that come and go
	}
	for _, line := range said.suspicious {
		fmt.Fprintf(os.Stderr, "FAIL: a line of the log looks as if it had an id, a cookie or a record in it:\n%s\n", line)
		code = max(code, 1)
	}
	if left := goroutines(patience); left != "" {
		fmt.Fprintf(os.Stderr, "FAIL: goroutines are left:\n\n%s\n", left)
		code = max(code, 1)
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "the end of the log:\n%s", said.tail())
	}
	return code
}

// Overhear is for a process that tests start: what it logs that may hold an id, a
// cookie or a record, it says on its standard error as well, where nothing else is
// to be heard.
func Overhear() { logTo(overheard{}) }

type overheard struct{}

func (overheard) Write(p []byte) (int, error) {
	if Suspicious(string(p)) {
		return os.Stderr.Write(p)
	}
	return len(p), nil
}

func logTo(w io.Writer) {
	slog.SetDefault(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetFlags(0)
	log.SetOutput(w)
}

// patience is how long what has ended may take to be gone. Only what fails waits so long.
const patience = time.Minute

func fuzzing() bool {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != f.DefValue {
			return true
		}
	}
	return false
}

// A transcript is all that was logged.
type transcript struct {
	mu         sync.Mutex
	lines      [][]byte // the last ones
	suspicious []string // the first ones that are
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.suspicious) < 10 && Suspicious(string(p)) {
		t.suspicious = append(t.suspicious, string(p))
	}
	const kept = 50
	if len(t.lines) == kept {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, bytes.Clone(p))
	return len(p), nil
}

func (t *transcript) tail() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Join(t.lines, nil)
}

// secretly matches what an id, a signed id and a record look like. No other word
// of a log is as long as an id.
var secretly = regexp.MustCompile(`[A-Za-z0-9_-]{32}|s(:|%3A)[^ ]{20}|\{\\?"(\w|\$)`)

// hidden are texts that are as secret and look like any other.
var hidden sync.Map

// Hide makes texts suspicious that look like any other, such as the secrets and
// the data of a test, and returns them.
func Hide(texts ...string) []string {
	for _, text := range texts {
		hidden.Store(text, true)
	}
	return texts
}

// Suspicious reports whether text may hold an id, a cookie or a record, or one of the
// texts of Hide.
func Suspicious(text string) (is bool) {
	hidden.Range(func(secret, _ any) bool {
		is = strings.Contains(text, secret.(string))
		return !is
	})
	return is || secretly.MatchString(text)
}

// goroutines waits until no goroutine is left but those of the test binary
// itself, and returns the others if there are any after some time.
func goroutines(patience time.Duration) (left string) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC() // what is collected may end its own
		if left = others(); left == "" || time.Now().After(end) {
			return left
		}
	}
}

// others returns the stacks of the goroutines but this one and those of the
// runtime.
func others() string {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	var left []string
	for i, stack := range strings.Split(string(stacks), "\n\n") {
		switch {
		case i == 0: // this one
		case strings.Contains(stack, "testing.(*F).Fuzz"), strings.Contains(stack, "os/signal.signal_recv"), strings.Contains(stack, "os/signal.loop"):
		case strings.Contains(stack, "tests/servers.init."): // holds the thread that servers die with
		case strings.Contains(stack, "testing.runTests"), strings.Contains(stack, "testing.(*M).startAlarm"):
		default:
			left = append(left, strings.TrimSpace(stack))
		}
	}
	return strings.Join(left, "\n\n")
}

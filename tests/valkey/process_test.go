package valkey

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
)

// The test binary runs itself as the processes of an app: one that finds this
// in its environment is one of them.
const processEnv = "CLOAKROOM_TEST_PROCESS"

func TestMain(m *testing.M) {
	if settings := os.Getenv(processEnv); settings != "" {
		if err := runProcess(settings); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen { // most tests wait most of the time
		if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// A setup is what a process is told.
type setup struct {
	Framework    string
	Addrs        []string // of the servers
	Prefix       string
	ClientName   string // as CLIENT LIST shows it
	CacheTTL     time.Duration
	StoreTimeout time.Duration
	Private      bool // HashIDs and SealKeys are set
}

// events counts what core tells.
type events struct {
	mu sync.Mutex
	n  map[core.EventKind]int
}

func (e *events) Observe(_ context.Context, event core.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n[event.Kind]++
}

// runProcess serves the app until its standard input ends.
func runProcess(settings string) error {
	var s setup
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return err
	}
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: s.Addrs, ClientName: s.ClientName})
	if err != nil {
		return err
	}
	store, err := valkeystore.New(client, valkeystore.Options{Prefix: s.Prefix, CacheTTL: s.CacheTTL})
	if err != nil {
		return err
	}
	seen := &events{n: make(map[core.EventKind]int)}
	cfg := core.Config{
		Store: store, Secrets: secrets, StoreTimeout: s.StoreTimeout, Observer: seen,
		Logger: slog.New(slog.DiscardHandler),
	}
	if s.Private {
		cfg.HashIDs, cfg.SealKeys = true, []string{"one key for all the processes of a test"}
	}
	m, err := core.New(cfg)
	if err != nil {
		return err
	}
	var fw frameworks.Named
	for _, f := range frameworks.All() {
		if f.Name == s.Framework {
			fw = f
		}
	}
	held := newGate()
	app := serve(fw, m, at("/hold-write", func(c *adaptertest.Context) error {
		sess := c.Get()
		held.pass()
		count.Update(sess, next)
		return say(c, "stored")
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("/-/held", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, held.waiting()) })
	mux.HandleFunc("/-/release", func(http.ResponseWriter, *http.Request) { held.release() })
	mux.HandleFunc("/-/events", func(w http.ResponseWriter, _ *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		_ = json.NewEncoder(w).Encode(seen.n) // the test misses it
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("fresh") {
			r = r.WithContext(valkeystore.Fresh(r.Context()))
		}
		app.ServeHTTP(w, r)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, mux) }()
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

// A process is one of the app's.
type process struct{ url string }

// start starts a process, which ends with the test.
func start(t *testing.T, s setup) *process {
	t.Helper()
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processEnv+"="+string(settings), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	var said bytes.Buffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n') // empty when it failed, which it will tell
	t.Cleanup(func() {
		_ = stdin.Close()
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil || said.Len() > 0 {
			t.Errorf("the process by %s: %v\n%s", s.Framework, err, said.String())
		}
	})
	if line == "" {
		t.Fatalf("the process by %s does not start", s.Framework)
	}
	return &process{strings.TrimSpace(line)}
}

// startThree starts three processes with the same settings, by Gin, Echo and
// net/http.
func startThree(t *testing.T, s setup) []*process {
	t.Helper()
	var all []*process
	for _, name := range []string{"Gin", "Echo v4", "net/http"} {
		s.Framework = name
		all = append(all, start(t, s))
	}
	return all
}

// happened returns how often something happened in the processes.
func happened(t *testing.T, all []*process, kind core.EventKind) int {
	t.Helper()
	sum := 0
	for _, p := range all {
		var n map[core.EventKind]int
		fetch(t, p.url+"/-/events", &n)
		sum += n[kind]
	}
	return sum
}

// held returns how many requests the processes hold.
func held(t *testing.T, all []*process) int {
	t.Helper()
	sum := 0
	for _, p := range all {
		var n int
		fetch(t, p.url+"/-/held", &n)
		sum += n
	}
	return sum
}

// release lets all of them go.
func release(t *testing.T, all []*process) {
	t.Helper()
	inParallel(len(all), func(i int) {
		if a := newBrowser().get(all[i].url + "/-/release"); a.err != nil || a.status != http.StatusOK {
			t.Errorf("release: %v", a)
		}
	})
}
